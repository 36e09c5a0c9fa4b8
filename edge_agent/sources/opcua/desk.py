"""What a person decides about certificates: `gemba-edge trust` and `gemba-edge certificate`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.serialization import Encoding

from edge_agent.config import AgentConfig
from edge_agent.errors import ConfigInvalid, EdgeError, SourceMisconfigured
from edge_agent.sources.opcua import certificates, security, trust
from edge_agent.sources.opcua.client import in_words
from edge_agent.sources.opcua.config import OpcUaConfig
from edge_agent.terminal import say, warn


def opcua_sources(config: AgentConfig) -> dict[str, OpcUaConfig]:
    return {name: cast("OpcUaConfig", source) for name, source in config.sources.items() if source.type == "opcua"}


def _source(config: AgentConfig, name: str) -> OpcUaConfig:
    found = opcua_sources(config)
    if name not in found:
        raise ConfigInvalid(
            f"There is no OPC UA source {name!r} in the config.",
            f"配置中没有 OPC UA 数据源 {name!r}。",
            f"It has {', '.join(found) or 'none'}.",
            f"现有:{'、'.join(found) or '无'}。",
        )
    return found[name]


async def trust_server(config: AgentConfig, name: str, wanted: str | None, file: Path | None, lang: str) -> int:
    """Shows the server's certificate and keeps it when a person says so (or when it has the fingerprint `wanted`)."""
    source = _source(config, name)
    if file is not None:
        der = certificates.load(file).public_bytes(Encoding.DER)
        shown = trust.Presented.of(der, "", "")
    else:
        shown = await ask_server(source, name, config.edge)
    found = certificates.facts(shown.leaf)
    store = trust.load_store(source.pki_dir, name)
    say((f"Certificate of {name}, {source.url}:" if lang == "en" else f"{name}({source.url})的证书:") + "\n" + trust.shown_lines(found, lang))
    for words in _doubts(shown, found):
        warn(words[0] if lang == "en" else words[1])
    if store.kept == shown.der:
        say("It is trusted already." if lang == "en" else "该证书已受信任。")
        return 0
    if wanted is not None and wanted.replace(":", "").lower() != found.fingerprint:
        raise SourceMisconfigured(
            f"This is not the fingerprint you gave ({wanted}): not trusted.",
            f"与给出的指纹({wanted})不符:未信任。",
            "Read it again at the PLC; if it differs, somebody stands between.",
            "请在 PLC 上重新核对;若仍不同,说明中间有人。",
        )
    if wanted is None and not _asked(store, lang):
        say("Nothing was changed." if lang == "en" else "未作更改。")
        return 1
    trust.keep(store, shown.der)
    say(f"Trusted: {store.kept_at}" if lang == "en" else f"已信任:{store.kept_at}")
    return 0


async def ask_server(source: OpcUaConfig, name: str, edge: str) -> trust.Presented:
    """The certificate of the endpoint that the agent would use; any secured one when the server has no such."""
    uri = certificates.application_uri(edge)
    host = urlsplit(source.url).hostname or ""
    with in_words(source):
        own = certificates.own_certificate(source.pki_dir, uri, host)
        endpoints = await security.endpoints_of(source, uri, own, trust.load_store(source.pki_dir, name).kept)
    wanted = "best" if source.security == "none" else source.security
    try:
        choice = security.choose(endpoints, wanted, source.security_mode)
    except SourceMisconfigured:
        some = next((one for one in endpoints if one.ServerCertificate), None)
        if some is None:
            raise
        return trust.Presented.of(some.ServerCertificate, some.Server.ApplicationUri or "", host)
    return trust.Presented.of(choice.chain, choice.uri, host)


def _doubts(shown: trust.Presented, found: certificates.Facts) -> list[certificates.Words]:
    out: list[certificates.Words] = []
    ends = certificates.expiry(("It", "该证书"), found.valid_to, certificates.now_utc(), ("Renew it at the server.", "请在服务器上更新。"))
    if ends is not None:
        out.append(ends)
    if shown.uri and shown.uri not in found.uris:
        out.append(
            (
                f"The server calls itself {shown.uri}, which its certificate does not name: the agent will refuse it.",
                f"服务器自称 {shown.uri},与证书不符:网关将拒绝连接。",
            )
        )
    return out


def _asked(store: trust.Store, lang: str) -> bool:
    """True when a person at a terminal says yes. Raises EdgeError when nobody is there to ask."""
    if not sys.stdin.isatty():
        raise EdgeError(
            "Nobody is here to ask.",
            "无法询问(非交互终端)。",
            "Give the fingerprint that you read at the PLC: --fingerprint HEX",
            "请给出在 PLC 上读到的指纹:--fingerprint HEX",
        )
    if store.kept is not None:
        warn("Another certificate was trusted until now; it will be replaced." if lang == "en" else "此前信任的是另一证书,将被替换。")
    return confirmed(lang)


def confirmed(lang: str) -> bool:
    question = "Is this the fingerprint shown at the PLC? [yes/no] " if lang == "en" else "与 PLC 上显示的指纹一致吗?[yes/no] "
    return input(question).strip().lower() in ("yes", "y", "是")


def own_certificates(config: AgentConfig, renew: bool, lang: str) -> int:
    """Shows this edge's certificate for each folder of certificates; `renew` makes new ones first."""
    sources = opcua_sources(config)
    if not sources:
        raise ConfigInvalid(
            "The config has no OPC UA source.", "配置中没有 OPC UA 数据源。", "Only OPC UA needs a certificate.", "仅 OPC UA 需要证书。"
        )
    uri = certificates.application_uri(config.edge)
    for folder, source in {source.pki_dir: source for source in sources.values()}.items():
        host = urlsplit(source.url).hostname or ""
        own = certificates.make_own(folder, uri, host) if renew else certificates.own_certificate(folder, uri, host)
        found = certificates.facts(certificates.load(own.certificate))
        say(f"{own.certificate}\n{trust.shown_lines(found, lang)}")
        ends = certificates.expiry(("It", "该证书"), found.valid_to, certificates.now_utc(), ("Use --renew.", "请用 --renew 更新。"))
        if ends is not None:
            warn(ends[0] if lang == "en" else ends[1])
    if renew:
        say("Let every PLC trust the new certificate, then restart the agent." if lang == "en" else "请让每台 PLC 信任新证书,然后重启网关。")
    return 0
