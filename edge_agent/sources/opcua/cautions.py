"""What a person chose that is weaker than it could be: shown in red, and on the wire as long as it is used. Needs no driver."""

from __future__ import annotations

from edge_agent.sources.opcua.config import OpcUaConfig

BROKEN = ("Basic256", "Basic128Rsa15")  # SHA-1; deprecated by OPC 10000-7 since 1.04: only by name, never by "best"
Words = tuple[str, str]  # English, Chinese


def cautions(config: OpcUaConfig) -> list[Words]:
    """What a person chose that is weaker than it could be: shown in red, and on the wire as long as it is used."""
    if config.security == "none":
        return [
            (
                'unencrypted by choice (security = "none"): anybody on the network can read and forge values.',
                '按配置不加密(security = "none"):网络上任何人都可读取或伪造数据。',
            )
        ]
    out: list[Words] = []
    if config.security in BROKEN:
        out.append(
            (
                f"{config.security} by choice: this policy is broken (SHA-1). Use Basic256Sha256 or better as soon as the server can.",
                f"按配置使用 {config.security}:该策略已不安全(SHA-1)。服务器支持后请改用 Basic256Sha256 或更强。",
            )
        )
    if config.security_mode == "Sign":
        out.append(
            (
                "signed but not encrypted by choice: anybody on the network can read the values.",
                "按配置只签名不加密:网络上任何人都可读取数据。",
            )
        )
    return out
