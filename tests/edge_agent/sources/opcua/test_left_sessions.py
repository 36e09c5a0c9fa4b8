"""What is kept of sessions that may be left at a server: readable by the agent's user only, and believed of the same run of the server alone."""

from __future__ import annotations

import asyncio
import stat
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from asyncua import ua

from edge_agent.sources.opcua import client, left_sessions
from edge_agent.sources.opcua.left_sessions import KEPT_MAX, LeftSessions, path_of
from edge_agent.sources.opcua.resume import Run
from edge_agent.sources.opcua.security import Met, OpenClient
from tests.edge_agent.sources.opcua.test_secure_servers import asyncua_server, config
from tests.support.certificates import make
from tests.support.wait import free_port

RUN, OTHER_RUN, UNKNOWN = Run("urn:plc", 1_700_000_000_000), Run("urn:plc", 1_700_000_000_001), Run("", 0)
T = ua.SecurityPolicyType


def speaking(number: int) -> OpenClient:
    """A client with an open session, as far as it is looked at."""
    session = SimpleNamespace(authentication_token=ua.NodeId(b"token %d" % number, 0))
    return cast("OpenClient", SimpleNamespace(uaclient=SimpleNamespace(session=session), _server_nonce=b"nonce"))


def test_what_was_left_is_found_after_a_restart_in_a_file_for_the_agents_user_only(tmp_path: Path) -> None:
    path = tmp_path / "pki" / "sessions" / "PLC.json"
    assert LeftSessions(path).opened(speaking(1), RUN) == []
    assert (stat.S_IMODE(path.stat().st_mode), stat.S_IMODE(path.parent.stat().st_mode)) == (0o600, 0o700)
    after = LeftSessions(path)
    (left,) = after.opened(speaking(2), RUN)
    assert bytes.fromhex(left.nonce) == b"nonce"
    after.forget(left)
    assert len(LeftSessions(path).opened(speaking(3), RUN)) == 1
    last = LeftSessions(path)
    last.ended(speaking(3))
    last.ended(speaking(2))
    assert not path.exists()


@pytest.mark.parametrize("run", [OTHER_RUN, UNKNOWN])
def test_in_another_run_of_the_server_a_token_may_be_somebody_elses(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "PLC.json"
    LeftSessions(path).opened(speaking(1), run if run == UNKNOWN else RUN)
    assert LeftSessions(path).opened(speaking(2), run) == []


@pytest.mark.parametrize("text", ["", "{}", "[1]", '[{"token": "zz", "nonce": "", "server": "", "started_ms": 1}]', '[{"token": ""}]'])
def test_a_damaged_file_is_no_session(text: str, tmp_path: Path) -> None:
    path = tmp_path / "PLC.json"
    path.write_text(text)
    assert LeftSessions(path).opened(speaking(1), RUN) == []
    assert len(LeftSessions(path).opened(speaking(2), RUN)) == 1


def test_where_nothing_can_be_written_it_is_known_until_the_agent_ends(tmp_path: Path) -> None:
    tmp_path.joinpath("pki").write_text("a file, no folder")
    sessions = LeftSessions(tmp_path / "pki" / "PLC.json")
    for number in range(KEPT_MAX + 5):
        left = sessions.opened(speaking(number), RUN)
    assert len(left) == KEPT_MAX


def test_a_session_is_closed_over_another_connection_and_the_present_one_is_not_touched(tmp_path: Path) -> None:
    """Encrypted. This server knows one session a channel, whatever token a request has."""
    port = free_port()

    async def run() -> None:
        async with asyncua_server(tmp_path, make("plc"), port, (T.Basic256Sha256_SignAndEncrypt,)) as server:
            is_open = server.iserver.lookup_external_session
            made, met = config(tmp_path, port, timeout_s=30.0), Met()
            sessions = LeftSessions(path_of(made, "PLC"))
            async with client.connect(made, "PLC", "E", met) as first:
                run = (await first.server(None)).run
                assert sessions.opened(first.client, run) == []
                token = first.client.uaclient.session.authentication_token
                async with client.connect(made, "PLC", "E", met) as second:
                    (left,) = sessions.opened(second.client, run)
                    assert is_open(token)
                    assert await left_sessions.end(made, "PLC", "E", second.client, left, delete_subscriptions=True)
                    assert not is_open(token)
                    assert await left_sessions.end(made, "PLC", "E", second.client, left, delete_subscriptions=True), "it is gone: nothing to do"
                    assert is_open(second.client.uaclient.session.authentication_token)
                    await second.namespaces()
                assert not second.is_left

    asyncio.run(run())
