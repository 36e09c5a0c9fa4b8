"""One edge node held to Sparkplug 3.0: a state machine over its messages, and over its connection where a proxy shows that. Pure.

What is not known is not marked: a grader that joins late marks nothing that depends on a birth until it has seen one.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from edge_agent.conformance import metrics
from edge_agent.conformance.mqtt_packets import Connect, Disconnect
from edge_agent.conformance.state import State, read_state
from edge_agent.conformance.verdicts import Sheet
from edge_agent.contract.names import BDSEQ, REBIRTH
from edge_agent.contract.payload import BadPayload
from edge_agent.contract.sparkplug_b_pb2 import Payload

REBIRTH_GRACE_MS = 2_000  # DATA that was on its way when the request arrived
REBIRTH_WAIT_MS = 15_000  # a birth sequence takes this long at most
OFFLINE_WAIT_MS = 10_000  # from the host's STATE offline to the node's goodbye
DEVICES_MAX = 5_000


@dataclass(slots=True)
class Session:
    """The node's side of one proxied connection."""

    will_bdseq: int | None = None
    level: int = 4
    filters: dict[str, int] = field(default_factory=dict)
    host: str | None = None  # whose STATE it subscribed
    state: State | None = None  # newest STATE it was delivered
    published: int = 0
    said_goodbye: bool = False
    offline_since_ms: int | None = None


class EdgeGrade:
    """`sheet` holds the marks. Times are milliseconds of any one clock."""

    def __init__(self, group: str, edge: str) -> None:
        self.group, self.edge = group, edge
        self.sheet = Sheet(f"{group}/{edge}", "edge")
        self.known = metrics.Known()
        self.born = False
        self._bdseq: int | None = None
        self._seq: int | None = None  # of the newest message; None: not known
        self._alive: set[str] = set()  # devices born in this session
        self._expected: set[str] = set()  # devices of the session before, which a birth sequence has to name again
        self._data_since_birth = False
        self._died = False  # an NDEATH was seen and no NBIRTH since
        self._asked_ms: int | None = None  # a rebirth request is open
        self._reborn = False  # this birth sequence answers a request
        self._connect_bdseq: int | None = None

    # --- messages ------------------------------------------------------------------------------------------------------------
    def message(self, at_ms: int, kind: str, device: str, raw: bytes, *, topic: str, qos: int, retain: bool | None) -> None:
        """One message of the node. `retain` None: the broker does not tell."""
        self.sheet.about(at_ms, topic)
        key = kind.lower()
        if kind != "NDEATH":
            self.sheet.check(f"{key}_qos", qos == 0, f"QoS {qos}")
            if retain is not None:
                self.sheet.check(f"{key}_retain", not retain, "retain")
        else:
            self.sheet.check("will_qos", qos == 1, f"QoS {qos}")
            if retain is not None:
                self.sheet.check("will_retain", not retain, "retain")
        try:
            payload = metrics.read(raw)
        except BadPayload as error:
            self.sheet.check(f"{key}_payload", False, error)
            return
        self.sheet.check(f"{key}_payload", True)
        if kind == "NDEATH":
            self._node_death(payload)
            return
        self.sheet.check(f"{key}_timestamp", payload.HasField("timestamp"), "no timestamp")
        has_seq = payload.HasField("seq") and payload.seq <= 255
        self.sheet.check(f"{key}_seq", has_seq, f"seq {payload.seq}" if payload.HasField("seq") else "no seq")
        if kind == "NBIRTH":
            self._node_birth(payload, has_seq)
            return
        self._count(key, payload.seq if has_seq else None)
        if kind == "DBIRTH":
            self._device_birth(device, payload)
        elif kind == "DDEATH":
            self._alive.discard(device)
        else:
            self._data(key, device, payload, at_ms)

    def stored_copy(self, at_ms: int, kind: str, topic: str) -> None:
        """The broker keeps this message: it was published with retain."""
        self.sheet.about(at_ms, topic)
        self.sheet.check("will_retain" if kind == "NDEATH" else f"{kind.lower()}_retain", False, "the broker keeps it")

    def _count(self, key: str, seq: int | None) -> None:
        if self._seq is not None and seq is not None:
            expected = (self._seq + 1) % 256
            self.sheet.check(f"{key}_seq_inc", seq == expected, f"seq {seq}, expected {expected}")
        if seq is not None:
            self._seq = seq
        elif self._seq is not None:
            self._seq = (self._seq + 1) % 256

    def _node_birth(self, payload: Payload, has_seq: bool) -> None:
        sheet = self.sheet
        if has_seq:
            sheet.check("nbirth_seq_zero", payload.seq == 0, f"seq {payload.seq}")
        self._seq = payload.seq if has_seq else None
        by_name = {metric.name: metric for metric in payload.metrics}
        bdseq = by_name.get(BDSEQ)
        found: int | None = None
        if sheet.check("nbirth_bdseq", bdseq is not None and bdseq.WhichOneof("value") is not None, "no bdSeq") and bdseq is not None:
            found = bdseq.long_value if bdseq.HasField("long_value") else bdseq.int_value
            self._compare_bdseq(found)
        self._rebirth_metric(by_name.get(REBIRTH))
        self._expected = (self._alive or self._expected) if self._died or self.born else set()
        if self._died:
            self._expected = set()  # a new session may have other devices
        self._reborn, self._asked_ms = self._asked_ms is not None, None
        if self._reborn:
            sheet.check("rebirth_stops", True)
        self.known = metrics.Known()
        self._alive = set()
        self._bdseq, self.born, self._died, self._data_since_birth = found, True, False, False
        metrics.birth(sheet, "nbirth", "", payload, self.known)

    def _compare_bdseq(self, found: int) -> None:
        sheet = self.sheet
        if self._asked_ms is not None and self._bdseq is not None and not self._died:
            wanted = self._bdseq if self._connect_bdseq is None else self._connect_bdseq
            sheet.check("rebirth_bdseq", found == wanted, f"bdSeq {found}, before {wanted}")
        if self._connect_bdseq is not None:
            sheet.check("nbirth_bdseq_matches", found == self._connect_bdseq, f"bdSeq {found}, will {self._connect_bdseq}")
        elif self._died and self._bdseq is not None:
            sheet.check("bdseq_increment", found != self._bdseq, f"bdSeq {found} again")

    def _rebirth_metric(self, metric: Payload.Metric | None) -> None:
        sheet = self.sheet
        if sheet.check("rebirth_metric", metric is not None, f"no {REBIRTH}") and metric is not None:
            sheet.check("rebirth_no_alias", not metric.HasField("alias"), f"alias {metric.alias}")
            sheet.check("rebirth_datatype", metric.datatype == 11, f"datatype {metric.datatype}")
            sheet.check("rebirth_value", metric.HasField("boolean_value") and not metric.boolean_value, f"{metric.boolean_value}")

    def _device_birth(self, device: str, payload: Payload) -> None:
        sheet = self.sheet
        if self._died or self.born:
            sheet.check("dbirth_after_nbirth", self.born, "no NBIRTH in this session")
        if self.born and device in self._expected:
            sheet.check("dbirth_before_data", not self._data_since_birth, f"{device}: born after data")
            self._expected.discard(device)
            if self._reborn and not self._expected:
                sheet.check("rebirth_complete", True)
        if len(self._alive) < DEVICES_MAX:
            self._alive.add(device)
        for other in self._alive:
            if other.lower() == device.lower():
                sheet.check("ids_case", other == device, f"{other} / {device}")
        if self.born:
            metrics.birth(sheet, "dbirth", device, payload, self.known)

    def _data(self, key: str, device: str, payload: Payload, at_ms: int) -> None:
        sheet = self.sheet
        if self._asked_ms is not None and not self._died:
            sheet.check("rebirth_stops", at_ms - self._asked_ms <= REBIRTH_GRACE_MS, f"{at_ms - self._asked_ms} ms after the request")
        if self._died:
            sheet.check(f"{key}_order", False, "data after NDEATH without NBIRTH")
        if not self.born:
            return
        if key == "ddata":
            sheet.check("ddata_order", device in self._alive, f"{device}: no DBIRTH")
            if device not in self._alive:
                return
        else:
            sheet.check("ndata_order", True)
        if self._reborn and self._expected and not self._data_since_birth:
            sheet.check("rebirth_complete", False, f"no DBIRTH of {', '.join(sorted(self._expected)[:5])}")
        elif self._reborn and not self._data_since_birth:
            sheet.check("rebirth_complete", True)
        self._data_since_birth = True
        metrics.data(sheet, key, device, payload, self.known)

    def _node_death(self, payload: Payload) -> None:
        sheet = self.sheet
        sheet.check("ndeath_seq", not payload.HasField("seq"), f"seq {payload.seq}")
        names = [metric.name for metric in payload.metrics]
        sheet.check("ndeath_payload", names == [BDSEQ], f"metrics {names[:5]}")
        for metric in payload.metrics:
            if metric.name == BDSEQ and self.born and self._bdseq is not None:
                found = metric.long_value if metric.HasField("long_value") else metric.int_value
                sheet.check("ndeath_bdseq", found == self._bdseq, f"bdSeq {found}, birth {self._bdseq}")
                if found != self._bdseq:
                    return  # of an older session: it ends nothing
        self.born, self._died, self._seq = False, True, None
        self._alive.clear()

    # --- a rebirth request ------------------------------------------------------------------------------------------------------
    def asked_rebirth(self, at_ms: int) -> None:
        """A rebirth request was delivered to the node (or, seen from the broker, sent to it)."""
        if self._asked_ms is None:
            self._asked_ms = at_ms

    @property
    def rebirth_open(self) -> bool:
        return self._asked_ms is not None

    def tick(self, at_ms: int) -> None:
        """What did not happen in time."""
        if self._asked_ms is not None and at_ms - self._asked_ms > REBIRTH_WAIT_MS:
            self.sheet.about(at_ms, f"spBv1.0/{self.group}/NBIRTH/{self.edge}")
            self.sheet.check("rebirth_complete", False, f"no NBIRTH within {REBIRTH_WAIT_MS} ms")
            self._asked_ms = None

    def finish(self) -> None:
        """A birth sequence that answered a request and left out no device we knew was whole."""
        if self._reborn and not self._data_since_birth and not self._expected:
            self.sheet.check("rebirth_complete", True)
            self._reborn = False

    # --- the connection (proxy) -----------------------------------------------------------------------------------------------
    def connects(self, at_ms: int, packet: Connect) -> Session:
        """A CONNECT whose will is this node's NDEATH, or that published as this node."""
        sheet = self.sheet
        sheet.about(at_ms, packet.will_topic or "CONNECT")
        if packet.level >= 5:
            sheet.check(
                "clean_session_50", packet.clean and packet.session_expiry_s == 0, f"clean {packet.clean}, expiry {packet.session_expiry_s} s"
            )
        else:
            sheet.check("clean_session_311", packet.clean, "clean session false")
        session = Session(level=packet.level)
        if sheet.check("will_present", packet.will_topic is not None, "no will") and packet.will_topic is not None:
            sheet.check("will_topic", packet.will_topic == f"spBv1.0/{self.group}/NDEATH/{self.edge}", packet.will_topic)
            sheet.check("will_qos", packet.will_qos == 1, f"QoS {packet.will_qos}")
            sheet.check("will_retain", not packet.will_retain, "retain")
            session.will_bdseq = self._will(packet.will_payload)
        self.born, self._died, self._seq, self._alive = False, False, None, set()
        self._bdseq, self._expected, self._asked_ms = None, set(), None
        return session

    def _will(self, raw: bytes) -> int | None:
        sheet = self.sheet
        try:
            payload = metrics.read(raw)
        except BadPayload as error:
            sheet.check("will_payload", False, error)
            return None
        sheet.check("will_payload", True)
        sheet.check("ndeath_seq", not payload.HasField("seq"), f"seq {payload.seq}")
        names = [metric.name for metric in payload.metrics]
        sheet.check("ndeath_payload", names == [BDSEQ], f"metrics {names[:5]}")
        found: int | None = None
        for metric in payload.metrics:
            if metric.name == BDSEQ:
                found = metric.long_value if metric.HasField("long_value") else metric.int_value
        if found is not None and self._connect_bdseq is not None:
            expected = (self._connect_bdseq + 1) % 256
            sheet.check("bdseq_increment", found == expected, f"bdSeq {found}, expected {expected}")
        self._connect_bdseq = found
        return found

    def subscribes(self, session: Session, filters: tuple[tuple[str, int], ...]) -> None:
        session.filters.update(filters)
        for name, _ in filters:
            if name.startswith("spBv1.0/STATE/"):
                session.host = name.removeprefix("spBv1.0/STATE/")

    def before_publish(self, session: Session, at_ms: int, kind: str, topic: str) -> None:
        """Marks that need the connection, before the message itself is marked."""
        sheet = self.sheet
        sheet.about(at_ms, topic)
        if not session.published:
            sheet.check("nbirth_first", kind == "NBIRTH", f"first message {kind}")
        session.published += 1
        session.said_goodbye = kind == "NDEATH"
        if kind == "NBIRTH":
            sheet.check("connect_first", True)
            self._subscriptions(session)
            if session.host is not None:
                online = session.state is not None and session.state.online
                sheet.check("host_wait", online, f"STATE/{session.host}: {session.state}")
        if session.offline_since_ms is not None and kind != "NDEATH" and at_ms - session.offline_since_ms > OFFLINE_WAIT_MS:
            sheet.check("host_offline", False, f"{kind} {at_ms - session.offline_since_ms} ms after STATE offline")

    def _subscriptions(self, session: Session) -> None:
        wanted = f"spBv1.0/{self.group}/NCMD/{self.edge}"
        granted = [qos for name, qos in session.filters.items() if covers(name, wanted)]
        self.sheet.check("ncmd_subscribe", bool(granted) and max(granted) == 1, f"QoS {granted or 'not subscribed'}")
        for name, qos in session.filters.items():
            if "/DCMD/" in name:
                self.sheet.check("dcmd_subscribe", qos == 1, f"{name}: QoS {qos}")
        if session.host is not None:
            self.sheet.check("state_subscribe", True)

    def delivered_state(self, session: Session, at_ms: int, host: str, raw: bytes) -> None:
        """A STATE message reached the node."""
        state = read_state(raw)
        if host != session.host or state is None:
            return
        if session.state is not None and state.timestamp < session.state.timestamp:
            return  # old news: the node must not act on it, which a goodbye would show
        session.state = state
        if not state.online and self.born:
            session.offline_since_ms = at_ms
        elif state.online:
            session.offline_since_ms = None

    def leaves(self, session: Session, at_ms: int, packet: Disconnect | None) -> None:
        """DISCONNECT (or None: the connection ended without one)."""
        sheet = self.sheet
        sheet.about(at_ms, "DISCONNECT")
        if session.offline_since_ms is not None:
            sheet.check("host_offline", session.said_goodbye, "no NDEATH after STATE offline")
            session.offline_since_ms = None
        if packet is not None and session.published:
            if session.level >= 5:
                sheet.check("goodbye_50", packet.reason == 4, f"DISCONNECT reason {packet.reason}")
            else:
                sheet.check("goodbye", session.said_goodbye, "DISCONNECT without NDEATH before it")
        session.published = 0
        self.born, self._seq, self._alive = False, None, set()


def covers(pattern: str, topic: str) -> bool:
    """MQTT filter `pattern` matches `topic`."""
    parts, levels = pattern.split("/"), topic.split("/")
    for at, part in enumerate(parts):
        if part == "#":
            return True
        if at >= len(levels) or part not in ("+", levels[at]):
            return False
    return len(parts) == len(levels)
