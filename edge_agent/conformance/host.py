"""One host application held to Sparkplug 3.0 by its STATE messages, and by its connection where a proxy shows that; and commands to a node. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from edge_agent.conformance import metrics
from edge_agent.conformance.edge import covers
from edge_agent.conformance.mqtt_packets import Connect, Disconnect
from edge_agent.conformance.state import State, claims_online, read_state
from edge_agent.conformance.verdicts import Sheet
from edge_agent.contract.names import REBIRTH
from edge_agent.contract.payload import BadPayload
from edge_agent.contract.sparkplug_b_pb2 import Payload

CLOCK_TOLERANCE_MS = 600_000  # a will's timestamp may be this far from the grader's clock
REPUBLISH_MS = 10_000
AT_ONCE_MS = 1_000


@dataclass(slots=True)
class HostSession:
    """The host's side of one proxied connection."""

    will: State | None = None
    level: int = 4
    filters: dict[str, int] = field(default_factory=dict)
    published: int = 0
    last: State | None = None
    online: bool | None = None  # what its newest STATE means, well formed or not
    contradicted_ms: int | None = None  # it was delivered its own "offline"


class HostGrade:
    """`sheet` holds the marks of host `name`."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.sheet = Sheet(name, "host")
        self._birth: State | None = None

    def state(self, at_ms: int, raw: bytes, *, topic: str, qos: int, retain: bool | None, session: HostSession | None = None) -> None:
        """One STATE message on its topic. `session`: the proxied connection that published it."""
        sheet = self.sheet
        sheet.about(at_ms, topic)
        sheet.check("state_topic", topic == f"spBv1.0/STATE/{self.name}", topic)
        said = read_state(raw)
        online = said.online if said is not None else claims_online(raw)
        what = "state_death" if online is False else "state_birth"
        sheet.check(f"{what}_payload", said is not None, raw[:80])
        sheet.check(f"{what}_qos", qos == 1, f"QoS {qos}")
        if retain is not None:
            sheet.check(f"{what}_retain", retain, "retain false")
        if session is not None:
            self._from_session(session, said, online)
        if said is None:
            return
        if said.online:
            self._birth = said
        elif self._birth is not None:
            sheet.check("state_death_timestamp", said.timestamp >= self._birth.timestamp, f"{said.timestamp}, birth {self._birth.timestamp}")

    def stored_copy(self, at_ms: int, raw: bytes, topic: str) -> None:
        """The broker keeps this STATE: it was published with retain, as it must."""
        self.sheet.about(at_ms, topic)
        online = claims_online(raw)
        self.sheet.check("state_death_retain" if online is False else "state_birth_retain", True)
        said = read_state(raw)
        self.sheet.check("state_topic", topic == f"spBv1.0/STATE/{self.name}", topic)
        self.sheet.check("state_death_payload" if online is False else "state_birth_payload", said is not None, raw[:80])
        if said is not None and said.online:
            self._birth = said

    def not_stored(self, at_ms: int) -> None:
        """The host is online, and yet the broker keeps no STATE of it."""
        self.sheet.about(at_ms, f"spBv1.0/STATE/{self.name}")
        self.sheet.check("state_birth_retain", False, "the broker keeps no STATE")

    @property
    def online(self) -> bool:
        return self._birth is not None

    # --- the connection (proxy) -----------------------------------------------------------------------------------------------
    def connects(self, at_ms: int, packet: Connect) -> HostSession:
        sheet = self.sheet
        sheet.about(at_ms, packet.will_topic or "CONNECT")
        if packet.level >= 5:
            holds = packet.clean and packet.session_expiry_s == 0
            sheet.check("host_clean_session_50", holds, f"clean {packet.clean}, expiry {packet.session_expiry_s} s")
        else:
            sheet.check("host_clean_session_311", packet.clean, "clean session false")
        session = HostSession(level=packet.level)
        if sheet.check("host_will", packet.will_topic is not None, "no will") and packet.will_topic is not None:
            sheet.check("host_will_topic", packet.will_topic == f"spBv1.0/STATE/{self.name}", packet.will_topic)
            sheet.check("host_will_qos", packet.will_qos == 1, f"QoS {packet.will_qos}")
            sheet.check("host_will_retain", packet.will_retain, "retain false")
            said = read_state(packet.will_payload)
            sheet.check("host_will_payload", said is not None and not said.online, packet.will_payload[:80])
            if said is not None:
                sheet.check("host_will_timestamp", abs(said.timestamp - at_ms) <= CLOCK_TOLERANCE_MS, f"{said.timestamp}, now {at_ms}")
            session.will = said
        return session

    def _from_session(self, session: HostSession, said: State | None, online: bool | None) -> None:
        sheet = self.sheet
        own = f"spBv1.0/STATE/{self.name}"
        if not session.published:
            sheet.check("host_first_publish", said is not None and said.online, "the first message is no STATE online")
            sheet.check("host_subscribes_state", any(covers(one, own) for one in session.filters), "its own STATE is not subscribed")
            data = [one for one in session.filters if one.startswith("spBv1.0/") and not one.startswith("spBv1.0/STATE/")]
            sheet.check("host_subscribes_first", bool(data), "no Sparkplug topic is subscribed before the birth")
        session.published += 1
        session.online = online
        if online and session.contradicted_ms is not None:
            sheet.check("host_republishes", True)
            session.contradicted_ms = None
        if said is not None:
            session.last = said
            if said.online and session.will is not None:
                holds = said.timestamp == session.will.timestamp
                sheet.check("state_birth_timestamp", holds, f"{said.timestamp}, will {session.will.timestamp}")

    def publishes_other(self, session: HostSession, at_ms: int, topic: str) -> None:
        if not session.published:
            self.sheet.about(at_ms, topic)
            self.sheet.check("host_first_publish", False, "the first message is no STATE online")
        session.published += 1

    def delivered_state(self, session: HostSession, at_ms: int, raw: bytes) -> None:
        """Its own STATE came back to it."""
        if claims_online(raw) is False and session.online and session.contradicted_ms is None:
            session.contradicted_ms = at_ms

    def tick(self, session: HostSession, at_ms: int) -> None:
        if session.contradicted_ms is not None and at_ms - session.contradicted_ms > REPUBLISH_MS:
            self.sheet.about(at_ms, f"spBv1.0/STATE/{self.name}")
            self.sheet.check("host_republishes", False, f"no STATE online within {REPUBLISH_MS} ms")
            session.contradicted_ms = None

    def leaves(self, session: HostSession, at_ms: int, packet: Disconnect | None) -> None:
        if packet is None or not session.published:
            return
        sheet, last = self.sheet, session.last
        sheet.about(at_ms, "DISCONNECT")
        if session.contradicted_ms is not None and at_ms - session.contradicted_ms > AT_ONCE_MS:
            sheet.check("host_republishes", False, "no STATE online after its offline came back")
        if (
            sheet.check("host_goodbye", session.online is False, "DISCONNECT without STATE offline before it")
            and last is not None
            and not last.online
        ):
            sheet.check("host_goodbye_timestamp", abs(last.timestamp - at_ms) <= CLOCK_TOLERANCE_MS, f"{last.timestamp}, now {at_ms}")


def command(
    sheet: Sheet, at_ms: int, kind: str, device: str, raw: bytes, known: metrics.Known | None, *, topic: str, qos: int, retain: bool | None
) -> bool:
    """Marks one NCMD or DCMD. `known`: the births of the node it goes to. Returns whether it asks for a rebirth."""
    key = kind.lower()
    sheet.about(at_ms, topic)
    sheet.check(f"{key}_qos", qos == 0, f"QoS {qos}")
    if retain is not None:
        sheet.check(f"{key}_retain", not retain, "retain")
    try:
        payload = metrics.read(raw)
    except BadPayload as error:
        sheet.check(f"{key}_payload", False, error)
        return False
    sheet.check(f"{key}_payload", bool(payload.metrics), "no metric")
    sheet.check(f"{key}_timestamp", payload.HasField("timestamp"), "no timestamp")
    sheet.check(f"{key}_seq", not payload.HasField("seq"), f"seq {payload.seq}")
    rebirth = False
    for metric in payload.metrics:
        if metric.name == REBIRTH:
            sheet.check("rebirth_by_ncmd", kind == "NCMD", kind)
            rebirth = kind == "NCMD" and sheet.check("rebirth_true", metric.HasField("boolean_value") and metric.boolean_value, metric.boolean_value)
        _command_metric(sheet, key, device, metric, known)
    return rebirth


def _command_metric(sheet: Sheet, key: str, device: str, metric: Payload.Metric, known: metrics.Known | None) -> None:
    sheet.check("command_datatype", not metric.HasField("datatype"), f"{metrics.called(metric)}: datatype {metric.datatype}")
    sheet.check(f"{key}_value", metric.WhichOneof("value") is not None or metric.is_null, f"{metrics.called(metric)}: no value")
    if metric.name == REBIRTH:  # every node has to offer it, by this name; that has rules of its own
        sheet.check(f"{key}_name", True)
        return
    if known is None or device not in known.names:
        return
    found = known.find(device, metric)
    sheet.check(f"{key}_name", found is not None, f"{metrics.called(metric)} is in no birth")
    if found is not None:
        datatype = known.names[device][found[1]]
        sheet.check(f"{key}_value", metrics.value_fits(metric, datatype), f"{found[1]}: {metric.WhichOneof('value')} for datatype {datatype}")
        sheet.check("command_alias", not metric.name or found not in known.aliased, f"{metric.name}: the birth gave it an alias")
