"""Sessions that were left at a server when the agent was killed or a link was cut: they are closed as soon as the next session stands.

A server keeps such a session until its timeout and has room for few (an S7-1200, node-opcua: ten); an agent that is killed again and again would
find it full. What closes one is its authentication token and the server's last nonce (OPC 10000-4, 5.7.3: ActivateSession on another channel, by
the same certificate and user), so these two lie on disk while it is open, readable by the agent's user only. The subscription has been taken over
by then, or could not be. They are closed on a channel of their own: not every server tells two sessions on one channel apart.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from asyncua import ua
from asyncua.common.utils import Buffer
from asyncua.ua.ua_binary import nodeid_from_binary, nodeid_to_binary

from edge_agent.errors import SourceLost, SourceMisconfigured
from edge_agent.sources.opcua import security
from edge_agent.sources.opcua.config import OpcUaConfig
from edge_agent.sources.opcua.resume import Run

KEPT_MAX = 20


@dataclass(frozen=True, slots=True)
class Session:
    """A session as it can be found again. `token`: NodeId, encoded; `nonce`: what the server answered last; both in hex."""

    token: str
    nonce: str
    server: str
    started_ms: int

    @classmethod
    def read(cls, held: Mapping[str, object]) -> Session:
        """Raises KeyError, ValueError, TypeError for what was not written by us."""
        found = cls(str(held["token"]), str(held["nonce"]), str(held["server"]), int(str(held["started_ms"])))
        bytes.fromhex(found.token + found.nonce)
        return found

    def is_of(self, run: Run) -> bool:
        """Tokens mean nothing in another run of the server, where they may be somebody else's."""
        return bool(run.started_ms) and (self.server, self.started_ms) == (run.server, run.started_ms)


class LeftSessions:
    """What is open at one source's server, the present session last. The file is for the next start of the agent; without it all else works."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._open: list[Session] | None = None  # None: not read yet

    def opened(self, client: security.OpenClient, run: Run) -> list[Session]:
        """Keeps the present session. Returns those that were left in the same run of the server."""
        left = [one for one in self._known() if one.is_of(run)][-KEPT_MAX:]
        self._open = [*left, Session(_token(client), (client._server_nonce or b"").hex(), run.server, run.started_ms)]
        self._write()
        return left

    def ended(self, client: security.OpenClient) -> None:
        """The server has closed this client's session."""
        for one in [one for one in self._known() if one.token == _token(client)]:
            self.forget(one)

    def forget(self, one: Session) -> None:
        self._known().remove(one)
        self._write()

    def _known(self) -> list[Session]:
        if self._open is None:
            try:
                self._open = [Session.read(one) for one in json.loads(self._path.read_bytes())]
            except (OSError, ValueError, KeyError, TypeError):
                self._open = []
        return self._open

    def _write(self) -> None:
        """A power cut may take it along: then the sessions end by their timeout."""
        fresh = self._path.with_suffix(".tmp")
        with suppress(OSError):
            if not self._open:
                self._path.unlink(missing_ok=True)
                return
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            fresh.unlink(missing_ok=True)
            descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                json.dump([asdict(one) for one in self._open], file)
            fresh.replace(self._path)


def _token(client: security.OpenClient) -> str:
    return bytes(nodeid_to_binary(client.uaclient.session.authentication_token)).hex()


def path_of(config: OpcUaConfig, source: str) -> Path:
    return config.pki_dir / "sessions" / f"{source}.json"


async def end(config: OpcUaConfig, source: str, edge: str, live: security.OpenClient, left: Session, *, delete_subscriptions: bool) -> bool:
    """Closes a session that was left; `live`: the client of the present one. False when the server could not be asked, and it should be again."""
    try:
        secured = await security.prepare(config, source, edge, live.taken)
        client = secured.client
        client.speaks_as(live)
        await client.connect_socket()
        try:
            await client.send_hello()
            await client.open_secure_channel()
            client.uaclient.session.restore_authentication_token(nodeid_from_binary(Buffer(bytes.fromhex(left.token))))
            client._server_nonce = bytes.fromhex(left.nonce) or None
            with suppress(ua.UaStatusCodeError):  # it is not there any more, or is nothing of ours
                await client._activate_with_credentials()
                await client.uaclient.close_session(delete_subscriptions)
            await client.close_secure_channel()
        finally:
            client.disconnect_socket()
    except (*security.BROKEN_TRANSPORT, SourceLost, SourceMisconfigured):
        return False
    return True
