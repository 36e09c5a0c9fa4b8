"""Roles and their rights, and what makes a secret good enough. Pure."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable, Mapping
from itertools import pairwise

_FLOOR = ("read", "floor.report", "floor.start", "floor.stop_reason", "floor.material", "quality.defect")

RIGHTS: tuple[str, ...] = (
    *_FLOOR, "quality.hold", "quality.release", "supervise.correct", "plan.orders", "model.edit", "people.edit", "erp.desk", "energy.read", "admin",
)  # fmt: skip

ROLES: Mapping[str, tuple[str, ...]] = {
    "operator": _FLOOR,
    "inspector": ("read", "quality.defect", "quality.hold", "quality.release"),
    "supervisor": (*_FLOOR, "quality.hold", "supervise.correct", "energy.read"),
    "planner": ("read", "plan.orders", "erp.desk"),
    "manager": ("read", "plan.orders", "supervise.correct", "energy.read"),
    "energy": ("read", "energy.read"),
    "erp": ("read", "plan.orders", "model.edit", "erp.desk"),
    "admin": RIGHTS,
    "integration": (*_FLOOR, "plan.orders", "model.edit", "energy.read"),
}

PASSWORD_LENGTH = 8
PASSWORD_LENGTH_MAX = 200
BADGE_LENGTH = 12

_COMMON_WORDS = """
12345678 123456789 1234567890 0123456789 87654321 987654321 11111111 00000000 88888888 66666666 12341234 12344321 11223344
147258369 password password1 password12 password123 passw0rd p@ssw0rd qwertyui qwerty12 qwerty123 qwertyuiop q1w2e3r4 1q2w3e4r
1qaz2wsx zaq12wsx asdfghjk asdfghjkl abcd1234 abc12345 abcdefgh a1234567 aa123456 iloveyou sunshine princess football baseball
superman trustno1 letmein1 welcome1 welcome123 admin123 admin1234 administrator changeme changeme1 default1 p@ssword monkey123
dragon123 michael1 jennifer computer internet whatever starwars woaini1314 woaini520 5201314520 1314520a qq123456 gemba123
gembagemba frangoteam751 operator supervisor
"""
_COMMON = frozenset(_COMMON_WORDS.split())


def rights_of(roles: Iterable[tuple[str, str]]) -> frozenset[str]:
    """Rights of (role, area) pairs: "right" where the role holds everywhere (area ""), "right@area" else. Unknown roles give nothing."""
    return frozenset(f"{right}@{area}" if area else right for role, area in roles for right in ROLES.get(role, ()))


def password_is_good(password: str, user: str) -> bool:
    """ASVS 5.0 V6.2: a length, no composition rules, not the user name, not a common one."""
    low = password.casefold()
    if not PASSWORD_LENGTH <= len(password) <= PASSWORD_LENGTH_MAX or low in _COMMON or len(set(low)) < 3:
        return False
    return not (user and low in (user.casefold(), user.casefold() * 2, user.casefold()[::-1]))


def pin_is_good(pin: str) -> bool:
    """Six digits (≥ 20 bits, ASVS 5.0 V6.5.4), not all the same, not a run up or down."""
    if len(pin) != 6 or not pin.isascii() or not pin.isdigit():
        return False
    steps = {(int(b) - int(a)) % 10 for a, b in pairwise(pin)}
    return steps not in ({0}, {1}, {9})


def badge_is_good(badge: str) -> bool:
    return BADGE_LENGTH <= len(badge) <= 64 and badge.isascii() and badge.replace("-", "").isalnum()


def made_badge(key: bytes, person: str, serial: int) -> str:
    """The n-th badge of a person: 80 bits of HMAC-SHA-256 as base32, so that the server can print it without storing it."""
    digest = hmac.new(key, f"badge\x1f{person}\x1f{serial}".encode(), hashlib.sha256).digest()
    return base64.b32encode(digest[:10]).decode()


def token_hash(secret: str) -> str:
    """For secrets with 64 random bits and more: one SHA-256 is enough and can be looked up."""
    return hashlib.sha256(secret.encode()).hexdigest()


def badge_forms(scanned: str) -> list[str]:
    """What a scan of a badge may mean: as it is, without the own prefix `B*`, and without the check character that goes with it."""
    text = scanned.strip().upper()
    return [text, text[2:], text[2:-1]] if text.startswith("B*") else [text]


def initials(name: str) -> str:
    """王小明 → 小明, Ann Lee → AL."""
    words = name.split()
    if len(words) > 1:
        return "".join(word[0] for word in words[:3]).upper()
    return name[-2:] if name and not name.isascii() else name[:2].upper()
