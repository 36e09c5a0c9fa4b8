"""The simulated PLC and meters as plain third-party clients see them."""

from __future__ import annotations

import asyncio
import struct
from pathlib import Path

import pytest
from asyncua import Client, ua
from asyncua.crypto.cert_gen import setup_self_signed_certificate
from cryptography.x509.oid import ExtendedKeyUsageOID
from pymodbus.client import AsyncModbusTcpClient

from simulators.meters import MAPS, MeterGateway, MeterReading
from simulators.physics import Plant, VarEvent
from simulators.plc import LinePlc, PlcIdentity
from simulators.scenario import load
from tests.support.ports import free_port

START = 1_772_401_500_000


async def _connect(url: str, tmp_path: Path, user: str, password: str) -> Client:
    client = Client(url, timeout=5)
    client.application_uri = "urn:test:client"
    await client.set_security_string("Basic256Sha256,SignAndEncrypt," + ",".join(str(p) for p in await _own_certificate(tmp_path)))
    client.set_user(user)
    client.set_password(password)
    return client


async def _own_certificate(tmp_path: Path) -> tuple[Path, Path]:
    key, cert = tmp_path / "client.pem", tmp_path / "client.der"
    names = {"organizationName": "t"}
    await setup_self_signed_certificate(key, cert, "urn:test:client", "localhost", [ExtendedKeyUsageOID.CLIENT_AUTH], names)
    return cert, key


def test_plc_shows_physics_with_source_times_and_keeps_strangers_out(tmp_path: Path) -> None:
    asyncio.run(_plc(tmp_path))


async def _plc(tmp_path: Path) -> None:
    scenario = load("quiet")
    plant = Plant(scenario, START)
    plant.advance(START)
    line = scenario.line("L1")
    plc = LinePlc(line, [m for m in plant.machines.values() if m.spec.line == "L1"], PlcIdentity(free_port(), "edge", "secret", tmp_path))
    await plc.start(lambda since_ms: since_ms)
    try:
        stranger = await _connect(plc.identity.url, tmp_path, "edge", "wrong")
        with pytest.raises(ua.UaError):
            await stranger.connect()
        anonymous = Client(plc.identity.url, timeout=5)
        with pytest.raises((ua.UaError, ConnectionError, asyncio.TimeoutError)):
            await anonymous.connect()
        async with await _connect(plc.identity.url, tmp_path, "edge", "secret") as client:
            index = await client.get_namespace_index(line.namespace)
            truth: dict[str, tuple[object, int]] = {}
            for event in plant.advance(START + 3_600_000):
                if isinstance(event, VarEvent) and event.machine in [m.code for m in scenario.machines if m.line == "L1"]:
                    await plc.write(event.machine, event.name, event.value, event.at_ms)
                    truth[f"{event.machine}.{event.name}"] = (event.value, event.at_ms)
            assert len(truth) > 25
            for name, (value, at_ms) in truth.items():
                data = await client.get_node(ua.NodeId(name, index)).read_data_value()
                assert data.Value is not None and data.SourceTimestamp is not None
                assert data.Value.Value == value, name
                assert round(data.SourceTimestamp.timestamp() * 1000) == at_ms, name
            saw = await client.get_node(ua.NodeId("SAW-01.GoodCount", index)).read_data_type_as_variant_type()
            assert saw is ua.VariantType.UInt16
    finally:
        await plc.stop()


def test_meters_answer_as_their_makers_document() -> None:
    asyncio.run(_meters())


async def _meters() -> None:
    reading = MeterReading(4321.5, 1200.0, 123_456_789.0, 55_555_000.0)
    gateway = MeterGateway(free_port(), {unit: (meter, lambda: reading) for unit, meter in enumerate(MAPS.values(), 1)})
    await gateway.start()
    client = AsyncModbusTcpClient("127.0.0.1", port=gateway.port, timeout=2)
    try:
        for _ in range(50):
            if await client.connect():
                break
            await asyncio.sleep(0.05)
        eastron = await client.read_input_registers(52, count=2, device_id=1)
        assert struct.unpack(">f", struct.pack(">2H", *eastron.registers))[0] == pytest.approx(4321.5)
        energy = await client.read_input_registers(72, count=2, device_id=1)
        assert struct.unpack(">f", struct.pack(">2H", *energy.registers))[0] == pytest.approx(123_456.789, rel=1e-6)
        schneider = await client.read_holding_registers(3203, count=4, device_id=2)
        assert struct.unpack(">q", struct.pack(">4H", *schneider.registers))[0] == 123_456_789
        siemens = await client.read_input_registers(801, count=4, device_id=3)
        assert struct.unpack(">d", struct.pack(">4H", *siemens.registers))[0] == 123_456_789.0
        low, high = (await client.read_holding_registers(52, count=2, device_id=4)).registers  # EM340: low word first, 0.1 kWh
        assert (high << 16 | low) == 1_234_567
        assert (await client.read_holding_registers(9000, count=2, device_id=4)).isError()
        assert (await client.write_register(52, 1, device_id=4)).isError()
    finally:
        client.close()
        await gateway.stop()
