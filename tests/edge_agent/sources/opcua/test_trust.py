"""Whom the agent believes: every way to trust a server, and every reason not to, in words with the next step."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from edge_agent.errors import SourceMisconfigured
from edge_agent.sources.opcua import certificates, trust
from tests.support.certificates import NOW, Made, make, revoke

URI = "urn:test:plc"
PLC = make("plc")
ROOT = make("root", authority=True)
MIDDLE = make("middle", authority=True, issuer=ROOT)
SIGNED = make("signed", issuer=ROOT)
DEEP = make("deep", issuer=MIDDLE)


def shown(made: Made, *others: Made, uri: str = URI, host: str = "127.0.0.1") -> trust.Presented:
    return trust.Presented.of(b"".join(one.der for one in (made, *others)), uri, host)


def store(kept: Made | None = None, authorities: tuple[Made, ...] = (), lists: tuple[object, ...] = ()) -> trust.Store:
    return trust.Store(Path("pki/trusted/PLC.der"), kept.der if kept else None, tuple(one.certificate for one in authorities), lists)  # type: ignore[arg-type]


def judge(presented: trust.Presented, held: trust.Store, way: str = "person", fingerprint: str | None = None, **more: bool) -> str:
    return trust.judge(presented, held, trust.Rule(way, fingerprint, **more), "PLC", NOW)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("presented", "held", "way", "fingerprint", "how"),
    [
        (shown(PLC), store(PLC), "person", None, "kept"),
        (shown(PLC), store(), "fingerprint", certificates.fingerprint(PLC.der), "fingerprint"),
        (shown(PLC), store(), "person", certificates.spaced(certificates.fingerprint(PLC.der)), "fingerprint"),
        (shown(PLC), store(), "first_use", None, "first_use"),
        (shown(SIGNED), store(authorities=(ROOT,)), "person", None, "authority"),
        (shown(DEEP, MIDDLE), store(authorities=(ROOT,)), "person", None, "authority"),
        (shown(DEEP), store(authorities=(MIDDLE,)), "person", None, "authority"),
        (shown(make("renewed", issuer=ROOT)), store(SIGNED, (ROOT,)), "first_use", None, "authority"),
        (shown(SIGNED), store(authorities=(ROOT,), lists=(revoke(ROOT, make("other", issuer=ROOT)),)), "person", None, "authority"),
        (shown(SIGNED), store(authorities=(ROOT,), lists=(revoke(make("stranger", authority=True), SIGNED),)), "person", None, "authority"),
    ],
    ids=[
        "kept",
        "fingerprint",
        "fingerprint in pairs",
        "first use",
        "signed",
        "chain sent",
        "trusted middle",
        "renewed by authority",
        "list",
        "their list",
    ],
)
def test_believed(presented: trust.Presented, held: trust.Store, way: str, fingerprint: str | None, how: str) -> None:
    assert judge(presented, held, way, fingerprint) == how


@pytest.mark.parametrize(
    ("presented", "held", "way", "fingerprint", "words"),
    [
        (shown(PLC), store(), "person", None, "Nobody has trusted"),
        (shown(PLC), store(SIGNED), "person", None, "another certificate"),
        (shown(PLC), store(SIGNED), "first_use", None, "another certificate"),
        (shown(PLC), store(PLC), "fingerprint", "00" * 32, "not the one in server_fingerprint"),
        (shown(make("old", days=(-30, -1))), store(make("old", days=(-30, -1))), "person", None, "ended on"),
        (shown(make("soon", days=(1, 30))), store(), "first_use", None, "valid only from"),
        (shown(PLC, uri="urn:somebody:else"), store(PLC), "person", None, "calls itself urn:somebody:else"),
        (shown(make("nameless", uri=None)), store(), "first_use", None, "no ApplicationUri"),
        (shown(DEEP), store(authorities=(ROOT,)), "person", None, "Nobody has trusted"),
        (shown(SIGNED), store(authorities=(make("root2", authority=True),)), "person", None, "Nobody has trusted"),
        (shown(make("by leaf", issuer=PLC)), store(authorities=(PLC,)), "person", None, "Nobody has trusted"),
        (shown(SIGNED, host="192.0.2.1"), store(authorities=(ROOT,)), "person", None, "not for 192.0.2.1"),
        (shown(make("client", issuer=ROOT, serves=False)), store(authorities=(ROOT,)), "person", None, "may not be used for a server"),
        (shown(make("useless", issuer=ROOT, usage=False)), store(authorities=(ROOT,)), "person", None, "may not be used for a server"),
        (shown(SIGNED), store(authorities=(ROOT,), lists=(revoke(ROOT, SIGNED),)), "person", None, "was revoked"),
        (shown(DEEP, MIDDLE), store(authorities=(ROOT,), lists=(revoke(ROOT, MIDDLE),)), "person", None, "was revoked"),
        (shown(make("x", issuer=make("late", authority=True, days=(-9, -1)))), store(authorities=(make("late", authority=True, days=(-9, -1)),)),
         "person", None, "Nobody has trusted"),
    ],
)  # fmt: skip
def test_refused_in_words(presented: trust.Presented, held: trust.Store, way: str, fingerprint: str | None, words: str) -> None:
    with pytest.raises(SourceMisconfigured) as error:
        judge(presented, held, way, fingerprint)
    assert words in error.value.en
    assert error.value.zh and error.value.next_en and error.value.next_zh


def test_an_ended_certificate_is_accepted_only_when_told_so() -> None:
    old = make("old", days=(-30, -1))
    assert judge(shown(old), store(old), allow_expired=True) == "kept"


def test_what_is_kept_is_found_again_and_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    trust.keep(trust.load_store(tmp_path, "PLC"), PLC.der)
    for folder, name, data in (
        ("trusted-ca", "root.pem", ROOT.certificate.public_bytes(Encoding.PEM)),
        ("crl", "r.crl", revoke(ROOT).public_bytes(Encoding.DER)),
    ):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / name).write_bytes(data)
    held = trust.load_store(tmp_path, "PLC")
    assert (held.kept, held.authorities, len(held.revocations)) == (PLC.der, (ROOT.certificate,), 1)
    assert trust.load_store(tmp_path, "OTHER").kept is None, "trusted for one source is not trusted for all"
    (tmp_path / "trusted-ca" / "note.txt").write_text("not one")
    with pytest.raises(SourceMisconfigured, match=r"note\.txt"):
        trust.load_store(tmp_path, "PLC")


@pytest.mark.parametrize(
    ("days", "en", "zh"),
    [(31, None, None), (29, "ends in 29 day(s)", "29 天后"), (6, "Urgent: It ends in 6", "紧急:"), (-1, "ended on", "过期")],
)
def test_the_alarm_before_a_certificate_ends(days: int, en: str | None, zh: str | None) -> None:
    found = certificates.expiry(("It", "它"), NOW + timedelta(days=days), NOW, ("Renew.", "更新。"))
    if en is None or zh is None:
        assert found is None
    else:
        assert found is not None and en in found[0] and zh in found[1] and found[0].endswith("Renew.")


def test_an_outdated_revocation_list_is_said() -> None:
    said = trust.outdated(store(lists=(revoke(ROOT, days=(-9, -2)),)), NOW)
    assert said is not None and "outdated" in said[0]
    assert trust.outdated(store(lists=(revoke(ROOT),)), NOW) is None


def test_a_certificate_of_a_box_without_a_name_is_replaced_when_it_has_one(tmp_path: Path) -> None:
    certificates.own_certificate(tmp_path, certificates.application_uri(certificates.NAMELESS))
    own = certificates.own_certificate(tmp_path, "urn:gemba:edge:E")
    assert certificates.facts(certificates.load(own.certificate)).uris == ("urn:gemba:edge:E",)


def test_our_certificate_names_us_and_our_address_and_is_renewed_on_demand(tmp_path: Path) -> None:
    first = certificates.own_certificate(tmp_path, "urn:gemba:edge:E", "127.0.0.1")
    found = certificates.facts(certificates.load(first.certificate))
    assert found.uris == ("urn:gemba:edge:E",) and "127.0.0.1" in found.hosts
    assert found.valid_to - NOW > timedelta(days=365 * 15)
    with pytest.raises(SourceMisconfigured, match="but this edge is urn:gemba:edge:OTHER") as error:
        certificates.own_certificate(tmp_path, "urn:gemba:edge:OTHER")
    assert "--renew" in error.value.next_en
    certificates.make_own(tmp_path, "urn:gemba:edge:OTHER")
    assert certificates.facts(certificates.load(first.certificate)).uris == ("urn:gemba:edge:OTHER",)
    assert len(list((tmp_path / "own").glob("certificate.old-*.der"))) == 1
    assert first.key.stat().st_mode & 0o077 == 0
