"""Which edges may sign in at the broker, as the server's screens and commands decide it: given, put out, let in again.

What the running server decides is put into the same lists as by `gemba-server broker-credentials` (`edge_lists.py`); the embedded broker takes
them in within two seconds. A broker of your own knows nothing of them until that command has written its files.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from mes_server.identity import access
from mes_server.identity.schemas import Invitation
from mes_server.ingest.broker_settings import Credentials
from mes_server.ingest.edge_lists import EdgeLists, changing
from mes_server.ingest.embedded_broker import EmbeddedBroker
from mes_server.ingest.errors import EdgeAtYourBroker, EdgePutOut, EdgeSignInUnknown
from mes_server.ingest.schemas import EdgeEnrolled
from mes_server.kit.actor import Actor
from mes_server.kit.acts import Acts


def is_out(folder: Path, edge: str) -> bool:
    """An administrator has put this edge out, and nobody has let it in again since. `folder`: `<data>/broker`."""
    return edge in EdgeLists.read(folder).revoked


def invite(
    acts: Acts, folder: Path, edge: str, *, readmit: bool, real_now_ms: int, good_s: int, actor: Actor | None, key: UUID | None = None
) -> Invitation:
    """A one-time code for the box that shall speak as this edge. Raises EdgePutOut where it was put out and `readmit` is not said.

    Its old password stays worthless then: putting it out has forgotten it. The journal says who let it in.
    """
    out = is_out(folder, edge)
    if out and not readmit:
        raise EdgePutOut(edge=edge)
    made = access.invite_edge(acts, edge, real_now_ms=real_now_ms, good_s=good_s, actor=actor, readmitted=out, key=key)
    if out:
        with changing(folder):
            lists = EdgeLists.read(folder)
            lists.revoked.discard(edge)
            lists.write(folder)
    return made


@dataclass(frozen=True, slots=True)
class EdgeAccess:
    """`folder` is `<data>/broker`; `broker` None: it is not ours."""

    folder: Path
    broker: EmbeddedBroker | None
    group: str
    host_id: str
    tls_ca: Path | None

    def sign_in(self, edge: str) -> EdgeEnrolled:
        """How `edge` signs in: the embedded broker makes it; for a broker of your own it is read from `<data>/broker/users/<edge>.json`.

        Raises EdgePutOut (since it was invited), EdgeSignInUnknown.
        """
        if is_out(self.folder, edge):
            raise EdgePutOut(edge=edge)
        file = self.folder / "users" / f"{edge}.json"
        if self.broker is not None:
            self.broker.allow_edges([edge])
            found = self.broker.credentials(edge)
        elif file.is_file():
            found = Credentials.model_validate_json(file.read_bytes())
        else:
            raise EdgeSignInUnknown(edge=edge, file=str(file))
        return EdgeEnrolled(
            group=self.group,
            edge=edge,
            host_id=self.host_id,
            broker_host=found.host,
            broker_port=found.port,
            user=found.user,
            password=found.password,
            ca_pem=self.tls_ca.read_text() if self.tls_ca is not None else None,
        )

    def put_out(self, edge: str) -> None:
        """Forgets its password and lets it in no more. Raises EdgeAtYourBroker where that broker would let it in all the same."""
        if self.broker is None:
            if not is_out(self.folder, edge):
                raise EdgeAtYourBroker(edge=edge)
            return
        with changing(self.folder):
            lists = EdgeLists.read(self.folder)
            lists.revoke(self.folder, edge)
            lists.write(self.folder)
