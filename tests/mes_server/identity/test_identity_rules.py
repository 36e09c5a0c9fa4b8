"""Pure rules of identity."""

from __future__ import annotations

from mes_server.identity import rules


def test_rights_of_roles_and_areas() -> None:
    held = rules.rights_of([("operator", "L1"), ("inspector", ""), ("unknown", "")])
    assert "floor.report@L1" in held and "floor.report" not in held
    assert "quality.release" in held


def test_no_role_but_admin_may_edit_people() -> None:
    assert {role for role, rights in rules.ROLES.items() if "people.edit" in rights or "admin" in rights} == {"admin"}


def test_initials() -> None:
    assert [rules.initials(name) for name in ("王小明", "Ann Lee", "Bob", "")] == ["小明", "AL", "BO", ""]


def test_made_badges_differ() -> None:
    made = {rules.made_badge(b"k" * 32, person, serial) for person in ("P-1", "P-2") for serial in (1, 2)}
    assert len(made) == 4 and all(rules.badge_is_good(one) for one in made)
    assert rules.made_badge(b"other", "P-1", 1) not in made
