"""A server that comes back is opened by the endpoint of last time, in one connection; whatever changed meanwhile is seen and asked for anew."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from asyncua import ua

from edge_agent.errors import SourceLost, SourceMisconfigured
from edge_agent.sources.opcua import client
from edge_agent.sources.opcua.security import Met
from tests.edge_agent.sources.opcua.test_secure_servers import asyncua_server, config
from tests.support.certificates import make
from tests.support.proxy import FaultProxy
from tests.support.wait import free_port

T = ua.SecurityPolicyType
BASIC, STRONG = T.Basic256Sha256_SignAndEncrypt, T.Aes256Sha256RsaPss_SignAndEncrypt


def test_a_known_endpoint_is_opened_at_once_and_another_one_is_asked_for(tmp_path: Path) -> None:
    port, met = free_port(), Met()
    first, other = make("plc"), make("another")

    async def run() -> None:
        with FaultProxy(port) as link:

            async def connected(timeout_s: float = 10.0) -> tuple[str, int]:
                """(policy, connections it took)"""
                before = link.accepted
                async with client.connect(config(tmp_path, link.port, timeout_s=timeout_s), "PLC", "E", met) as connection:
                    await connection.namespaces()
                    return connection.policy, link.accepted - before

            async with asyncua_server(tmp_path, first, port, (BASIC,)):
                assert await connected() == ("Basic256Sha256", 2), "what it offers, then the session"
                assert await connected() == ("Basic256Sha256", 1)
            link.refuse()
            with pytest.raises(client.SourceAway):
                await connected()
            link.pass_on()
            async with asyncua_server(tmp_path, first, port, (BASIC, STRONG)):
                assert await connected() == ("Aes256Sha256RsaPss", 3), "it learned a stronger one: the session's list says so"
                assert await connected() == ("Aes256Sha256RsaPss", 1)
            async with asyncua_server(tmp_path, first, port, (BASIC,)):
                with pytest.raises(SourceLost):  # the stronger one is switched off again; this server answers nothing to it
                    await connected(0.5)
                assert await connected() == ("Basic256Sha256", 2)
            async with asyncua_server(tmp_path, other, port, (BASIC,)):
                with pytest.raises(SourceLost):
                    await connected(0.5)
                with pytest.raises(SourceMisconfigured, match="another certificate"):
                    await connected()

    asyncio.run(run())
