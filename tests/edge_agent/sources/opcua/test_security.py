"""Which policy is chosen of what a server offers, by the names that stand on the wire."""

from __future__ import annotations

import pytest
from asyncua import ua

from edge_agent.errors import SourceMisconfigured
from edge_agent.sources.opcua.security import choose

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
