"""The grader: everything a broker delivers, or a proxy sees, goes in with its time; verdicts come out. Pure: no clock, no socket.

Passive: `delivered` (live) and `stored` (what the broker had kept) with what a subscriber sees. Proxy: `opened`, `sent`, `received`, `closed` of
each connection, with what the client really put on the wire. One grader is fed one way or the other, never both.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from edge_agent.conformance.edge import EdgeGrade, Session
from edge_agent.conformance.host import HostGrade, HostSession, command
from edge_agent.conformance.mqtt_packets import Connect, Disconnect, Packet, Publish, Subscribe
from edge_agent.conformance.verdicts import SUBJECTS_MAX, Sheet, Verdict

NODE_KINDS = frozenset({"NBIRTH", "NDATA", "NDEATH", "NCMD"})
DEVICE_KINDS = frozenset({"DBIRTH", "DDATA", "DDEATH", "DCMD"})
COMMANDS = frozenset({"NCMD", "DCMD"})
CONNECTIONS_MAX = 10_000
EARLY_STATES_MAX = 100


@dataclass(frozen=True, slots=True)
class Where:
    group: str
    kind: str
    edge: str
    device: str = ""
    whole: bool = True  # the levels are those the kind asks for


def where(topic: str) -> Where | None:
    """A node or device topic, however wrong its number of levels; None: something else."""
    parts = topic.split("/")
    if len(parts) < 4 or parts[0] != "spBv1.0" or parts[2] not in NODE_KINDS | DEVICE_KINDS:
        return None
    levels = 4 if parts[2] in NODE_KINDS else 5
    return Where(parts[1], parts[2], parts[3], "/".join(parts[4:]), len(parts) == levels)


@dataclass(slots=True)
class _Connection:
    connect: Connect
    edge: EdgeGrade | None = None
    edge_session: Session | None = None
    host: HostGrade | None = None
    host_session: HostSession | None = None
    early: tuple[tuple[str, int], ...] = ()  # subscriptions made before it was clear who this is
    early_states: list[tuple[int, str, bytes]] = field(default_factory=list)  # and STATE messages delivered before


class Grader:
    """`group`, `edge`, `host`: grade only these (None: every one there is)."""

    def __init__(self, group: str | None = None, edge: str | None = None, host: str | None = None) -> None:
        self._group, self._edge, self._host = group, edge, host
        self.edges: dict[tuple[str, str], EdgeGrade] = {}
        self.hosts: dict[str, HostGrade] = {}
        self._commands: dict[tuple[str, str], Sheet] = {}
        self._connections: dict[int, _Connection] = {}
        self.messages = 0
        self.unreadable = 0  # packets no MQTT parser takes

    # --- who ----------------------------------------------------------------------------------------------------------------------
    def _edge_of(self, found: Where) -> EdgeGrade | None:
        if self._group not in (None, found.group) or self._edge not in (None, found.edge):
            return None
        key = (found.group, found.edge)
        if key not in self.edges:
            if len(self.edges) >= SUBJECTS_MAX:
                return None
            grade = self.edges[key] = EdgeGrade(*key)
            for other in self.edges:
                if other != key and (other[0].lower(), other[1].lower()) == (key[0].lower(), key[1].lower()):
                    grade.sheet.check("ids_case", False, f"{'/'.join(other)} / {'/'.join(key)}")
            grade.sheet.check("ids_case", True)
        return self.edges[key]

    def _host_of(self, name: str) -> HostGrade | None:
        if self._host not in (None, name) or (name not in self.hosts and len(self.hosts) >= SUBJECTS_MAX):
            return None
        return self.hosts.setdefault(name, HostGrade(name))

    def _commands_of(self, found: Where) -> Sheet | None:
        """Who sent a command is not to be seen from the broker: such marks stand under the node it went to."""
        if self._group not in (None, found.group) or self._edge not in (None, found.edge):
            return None
        key = (found.group, found.edge)
        if key not in self._commands and len(self._commands) < SUBJECTS_MAX:
            self._commands[key] = Sheet(f"→ {found.group}/{found.edge}", "host")
        return self._commands.get(key)

    # --- passive ------------------------------------------------------------------------------------------------------------------
    def delivered(self, at_ms: int, topic: str, payload: bytes, qos: int, retain: bool | None) -> None:
        """A message as it was published now. `retain` None: the broker (MQTT 3.1.1) does not tell."""
        self.messages += 1
        self._tick(at_ms)
        self._message(at_ms, topic, payload, qos, retain)

    def stored(self, at_ms: int, topic: str, payload: bytes) -> None:
        """A message the broker had kept and gave to a new subscriber."""
        name = _host_name(topic)
        if name is not None:
            host = self._host_of(name)
            if host is not None and payload:
                host.stored_copy(at_ms, payload, topic)
            return
        found = where(topic)
        edge = None if found is None or not payload else self._edge_of(found)
        if edge is not None and found is not None and found.kind not in COMMANDS:
            edge.stored_copy(at_ms, found.kind, topic)
        elif edge is not None and found is not None and (sheet := self._commands_of(found)) is not None:
            sheet.about(at_ms, topic)
            sheet.check(f"{found.kind.lower()}_retain", False, "the broker keeps it")

    def _message(self, at_ms: int, topic: str, payload: bytes, qos: int, retain: bool | None, session: HostSession | None = None) -> None:
        name = _host_name(topic)
        if name is not None:
            host = self._host_of(name)
            if host is not None and (payload or session is not None):
                host.state(at_ms, payload, topic=topic, qos=qos, retain=retain, session=session)
            return
        found = where(topic)
        if found is None:
            return
        if found.kind in COMMANDS:
            self._command(at_ms, found, topic, payload, qos, retain)
            return
        edge = self._edge_of(found)
        if edge is None:
            return
        edge.sheet.about(at_ms, topic)
        edge.sheet.check("ids_valid", bool(found.group and found.edge), topic)
        if edge.sheet.check("topic_node" if found.kind in NODE_KINDS else "topic_device", found.whole, topic):
            edge.message(at_ms, found.kind, found.device, payload, topic=topic, qos=qos, retain=retain)

    def _command(self, at_ms: int, found: Where, topic: str, payload: bytes, qos: int, retain: bool | None, *, sheet: Sheet | None = None) -> None:
        sheet = sheet or self._commands_of(found)
        if sheet is None:
            return
        sheet.about(at_ms, topic)
        sheet.check("topic_command", found.whole, topic)
        edge = self.edges.get((found.group, found.edge))
        known = edge.known if edge is not None and edge.born and found.whole else None
        rebirth = command(sheet, at_ms, found.kind, found.device, payload, known, topic=topic, qos=qos, retain=retain)
        if rebirth and edge is not None:
            edge.asked_rebirth(at_ms)

    # --- proxy --------------------------------------------------------------------------------------------------------------------
    def opened(self, connection: int, at_ms: int, packet: Connect) -> None:
        """A client's CONNECT."""
        if len(self._connections) >= CONNECTIONS_MAX:
            return
        made = self._connections[connection] = _Connection(packet)
        topic = packet.will_topic
        name = _host_name(topic) if topic is not None else None
        found = where(topic) if topic is not None else None
        if name is not None:
            self._is_host(made, at_ms, name)
        elif found is not None and found.kind == "NDEATH":
            self._is_edge(made, at_ms, found)

    def _is_host(self, made: _Connection, at_ms: int, name: str) -> None:
        made.host = self._host_of(name)
        if made.host is not None:
            made.host_session = made.host.connects(at_ms, made.connect)
            made.host_session.filters.update(made.early)

    def _is_edge(self, made: _Connection, at_ms: int, found: Where) -> None:
        made.edge = self._edge_of(found)
        if made.edge is not None:
            made.edge_session = made.edge.connects(at_ms, made.connect)
            made.edge.subscribes(made.edge_session, made.early)
            for when_ms, name, payload in made.early_states:
                made.edge.delivered_state(made.edge_session, when_ms, name, payload)

    def sent(self, connection: int, at_ms: int, packet: Packet) -> None:
        """A packet from the client to the broker, after its CONNECT."""
        made = self._connections.get(connection)
        if made is None:
            return
        self._tick(at_ms)
        if isinstance(packet, Subscribe):
            made.early += packet.filters
            if made.edge is not None and made.edge_session is not None:
                made.edge.subscribes(made.edge_session, packet.filters)
            if made.host_session is not None:
                made.host_session.filters.update(packet.filters)
        elif isinstance(packet, Publish):
            self.messages += 1
            self._published(made, at_ms, packet)
        elif isinstance(packet, Disconnect):
            self._leaves(made, at_ms, packet)
            del self._connections[connection]

    def _published(self, made: _Connection, at_ms: int, packet: Publish) -> None:
        name, found = _host_name(packet.topic), where(packet.topic)
        if made.edge is not None and found is not None and found.kind == "NBIRTH" and (found.group, found.edge) != (made.edge.group, made.edge.edge):
            self.edges.pop((made.edge.group, made.edge.edge), None)  # its will is another node's: it is who its birth says
            made.edge = None
        if made.edge is None and made.host is None:  # no will told who this is
            if name is not None:
                self._is_host(made, at_ms, name)
            elif found is not None and found.kind not in COMMANDS:
                self._is_edge(made, at_ms, found)
        if made.host is not None and made.host_session is not None and name is None:
            made.host.publishes_other(made.host_session, at_ms, packet.topic)
        if made.edge is not None and made.edge_session is not None and found is not None and found.kind not in COMMANDS:
            made.edge.before_publish(made.edge_session, at_ms, found.kind, packet.topic)
        if found is not None and found.kind in COMMANDS and made.host is not None:
            self._command(at_ms, found, packet.topic, packet.payload, packet.qos, packet.retain, sheet=made.host.sheet)
            return
        self._message(at_ms, packet.topic, packet.payload, packet.qos, packet.retain, made.host_session)

    def received(self, connection: int, at_ms: int, packet: Packet) -> None:
        """A packet from the broker to the client."""
        made = self._connections.get(connection)
        if made is None or not isinstance(packet, Publish):
            return
        name, found = _host_name(packet.topic), where(packet.topic)
        if name is not None and len(made.early_states) < EARLY_STATES_MAX:
            made.early_states.append((at_ms, name, packet.payload))
        if name is not None and made.edge is not None and made.edge_session is not None:
            made.edge.delivered_state(made.edge_session, at_ms, name, packet.payload)
        if name is not None and made.host is not None and made.host_session is not None and name == made.host.name:
            made.host.delivered_state(made.host_session, at_ms, packet.payload)
        if found is not None and found.kind == "NCMD" and made.edge is not None and (found.group, found.edge) == (made.edge.group, made.edge.edge):
            self._command(at_ms, found, packet.topic, packet.payload, packet.qos, None)

    def closed(self, connection: int, at_ms: int) -> None:
        made = self._connections.pop(connection, None)
        if made is not None:
            self._leaves(made, at_ms, None)

    def _leaves(self, made: _Connection, at_ms: int, packet: Disconnect | None) -> None:
        if made.edge is not None and made.edge_session is not None:
            made.edge.leaves(made.edge_session, at_ms, packet)
        if made.host is not None and made.host_session is not None:
            made.host.leaves(made.host_session, at_ms, packet)

    # --- time and result ----------------------------------------------------------------------------------------------------------
    def tick(self, at_ms: int) -> None:
        """Time passes although nothing comes."""
        self._tick(at_ms)

    def _tick(self, at_ms: int) -> None:
        for edge in self.edges.values():
            if edge.rebirth_open:
                edge.tick(at_ms)
        for made in self._connections.values():
            if made.host is not None and made.host_session is not None:
                made.host.tick(made.host_session, at_ms)

    def asked_rebirth(self, at_ms: int, group: str, edge: str) -> None:
        """The grader's own request went to this node."""
        if (group, edge) in self.edges:
            self.edges[group, edge].asked_rebirth(at_ms)

    def expect(self, group: str, edge: str) -> None:
        """This node is to be graded although nothing was heard of it yet."""
        self._edge_of(Where(group, "NBIRTH", edge))

    def nothing_else_stored(self, at_ms: int, hosts: set[str]) -> None:
        """The broker keeps STATE of these hosts only."""
        for name, host in self.hosts.items():
            if host.online and name not in hosts:
                host.not_stored(at_ms)

    def finish(self, at_ms: int) -> list[Verdict]:
        """All verdicts: edges, hosts, commands; what had to happen and did not is broken now."""
        self._tick(at_ms)
        for edge in self.edges.values():
            edge.finish()
        sheets = [one.sheet for _, one in sorted(self.edges.items())]
        sheets += [one.sheet for _, one in sorted(self.hosts.items())]
        sheets += [sheet for _, sheet in sorted(self._commands.items())]
        return [verdict for sheet in sheets for verdict in sheet.verdicts()]


def _host_name(topic: str) -> str | None:
    """The host id of a STATE topic, of 3.0 or (`STATE/<id>`) of 2.2; None: another topic."""
    for prefix in ("spBv1.0/STATE/", "STATE/"):
        if topic.startswith(prefix) and "/" not in topic[len(prefix) :]:
            return topic[len(prefix) :]
    return None
