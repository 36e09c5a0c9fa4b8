"""Every kind of source there is, in the order in which `sample-config` shows them. A new kind is one line here and one folder."""

from __future__ import annotations

from edge_agent.sources.dlt645.kind import KIND as DLT645
from edge_agent.sources.dsmr.kind import KIND as DSMR
from edge_agent.sources.enip.kind import KIND as ENIP
from edge_agent.sources.kind import Kind
from edge_agent.sources.mbus.kind import KIND as MBUS
from edge_agent.sources.modbus.kind import KIND as MODBUS
from edge_agent.sources.mqtt.kind import KIND as MQTT
from edge_agent.sources.mtconnect.kind import KIND as MTCONNECT
from edge_agent.sources.opcua.kind import KIND as OPCUA
from edge_agent.sources.s7.kind import KIND as S7

KINDS: tuple[Kind, ...] = (OPCUA, MODBUS, MBUS, DLT645, DSMR, MTCONNECT, S7, ENIP, MQTT)
BY_TYPE: dict[str, Kind] = {kind.type: kind for kind in KINDS}
