"""Which policy is chosen of what a server offers, by the names that stand on the wire."""

from __future__ import annotations

import pytest
from asyncua import ua

from edge_agent.errors import SourceMisconfigured
from edge_agent.sources.opcua.config import OpcUaConfig
from edge_agent.sources.opcua.security import _standing, choose
from tests.support.certificates import make

URI = "http://opcfoundation.org/UA/SecurityPolicy#"
SIGNED, BOTH = ua.MessageSecurityMode.Sign, ua.MessageSecurityMode.SignAndEncrypt


def offers(*policies: str, mode: ua.MessageSecurityMode = BOTH) -> list[ua.EndpointDescription]:
    return [ua.EndpointDescription(SecurityPolicyUri=URI + name, SecurityMode=mode, ServerCertificate=name.encode()) for name in policies]


ALL = ("None", "Basic128Rsa15", "Basic256", "Basic256Sha256", "Aes128_Sha256_RsaOaep", "Aes256_Sha256_RsaPss")


@pytest.mark.parametrize(
    ("offered", "wanted", "chosen"),
    [
        (ALL, "best", "Aes256_Sha256_RsaPss"),
        (ALL[:-1], "best", "Aes128_Sha256_RsaOaep"),
        (ALL[:-2], "best", "Basic256Sha256"),
        (ALL, "Aes128Sha256RsaOaep", "Aes128_Sha256_RsaOaep"),
        (ALL, "Basic256Sha256", "Basic256Sha256"),
        (("Aes256_Sha256_RsaPss",), "Aes256Sha256RsaPss", "Aes256_Sha256_RsaPss"),
    ],
)
def test_the_strongest_or_the_wanted_policy_is_chosen(offered: tuple[str, ...], wanted: str, chosen: str) -> None:
    found = choose(offers(*offered), wanted)

    assert URI + chosen == found.policy.URI
    assert found.certificate == chosen.encode()


@pytest.mark.parametrize(("offered", "mode"), [(ALL[:3], BOTH), (ALL, SIGNED)], ids=["broken ones only", "signed only"])
def test_what_is_not_safe_is_never_chosen(offered: tuple[str, ...], mode: ua.MessageSecurityMode) -> None:
    with pytest.raises(SourceMisconfigured, match="no SignAndEncrypt endpoint"):
        choose(offers(*offered, mode=mode), "best")


def test_both_certificates_that_end_are_said_as_long_as_they_are_used() -> None:
    config = OpcUaConfig.model_validate({"type": "opcua", "devices": {"M": {"namespace": "urn:x", "metrics": {"good": {"node": "s=M.Good"}}}}})
    long, short, ended = make("long"), make("short", days=(-9, 5)), make("ended", days=(-9, -2))

    def said(server: bytes, own: bytes) -> list[tuple[str, str]]:
        return [words for note in _standing(config, server, own, None) if (words := note()) is not None]

    assert said(long.der, long.der) == []
    ((en, zh),) = said(long.der, short.der)
    assert en.startswith("Urgent: This edge's certificate ends in 5 day(s)") and "gemba-edge certificate --renew" in en
    assert "本网关证书" in zh and "gemba-edge certificate --renew" in zh
    ((server_en, _), (own_en, _)) = said(ended.der, ended.der)
    assert server_en.startswith("The server's certificate ended on") and own_en.startswith("This edge's certificate ended on")
