"""Many small machines: 50 devices x 20 metrics x 10 Hz = 10,000 values/s in 500 DDATA messages/s. How much of a core the agent takes.

The limit in the same run is one bare MQTT publisher (paho) that sends 500 messages/s of the same size and does nothing else.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks import row
from benchmarks._edge import Agent, CountingHost, fast_source, head, source_process, until

DEVICES, TAGS, HZ, SECONDS = 50, 1000, 10.0, 15.0
TARGET = 15.0
MORE = "[delivery]\ncommit_interval_s = 0.05\n"


def run() -> Iterator[dict[str, Any]]:
    """Rows for `python -m benchmarks edge_devices`."""
    from tests.support.broker import free_port, nats

    port = free_port()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with nats(folder) as broker, source_process(port, TAGS, TAGS * HZ, interval_s=1 / HZ) as (wanted, sent, _):
            host = CountingHost(broker)
            host.connect()
            config = folder / "edge.toml"
            config.write_text(head(broker, MORE) + fast_source(port, TAGS, DEVICES, interval_s=1 / HZ))
            with Agent(config) as agent:
                until(lambda: host.counted >= 10 * TAGS, 60)
                time.sleep(3.0)
                cpu, records, values, began = agent.cpu_s(), host.records, host.counted, time.monotonic()
                time.sleep(SECONDS)
                took = time.monotonic() - began
                cpu, records, values = agent.cpu_s() - cpu, host.records - records, host.counted - values
                wanted.value = 0.0
                until(lambda: host.counted >= sent.value, 10)
                time.sleep(0.5)
                lost = abs(int(sent.value) - host.counted) + len(host.holes)
            bare = _bare_share(broker)
            host.disconnect()
    share = 100 * cpu / took
    yield row("edge_devices_cpu", share, "% of a core", TARGET)
    yield row("edge_devices_cpu_beside_bare_paho", share, "% of a core", bare)
    yield row("edge_devices_ddata", records / took, "messages/s", DEVICES * HZ)
    yield row("edge_devices_values", values / took, "values/s", TAGS * HZ)
    yield row("edge_devices_cpu_a_value", cpu / max(values, 1) * 1e6, "us/value")
    yield row("edge_devices_lost_or_twice", lost, "values")


def _bare_share(broker: Any, seconds: float = 5.0) -> float:
    """% of a core of a client that only publishes as many messages of 450 bytes, in bursts as an agent commits (this thread and paho's)."""
    import paho.mqtt.client as mqtt

    user, password = broker.credentials("EDGE-L1")
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id="bare")
    client.username_pw_set(user, password)
    client.connect(broker.host, broker.port)
    client.loop_start()
    burst, payload = int(DEVICES * HZ * 0.1), os.urandom(450)
    cpu, began = time.process_time(), time.monotonic()
    for number in range(int(seconds / 0.1)):
        for _ in range(burst):
            client.publish("spBv1.0/PUMP/NDATA/EDGE-L1", payload)
        time.sleep(max(0.0, began + (number + 1) * 0.1 - time.monotonic()))
    share = 100 * (time.process_time() - cpu) / (time.monotonic() - began)
    client.disconnect()
    client.loop_stop()
    return share
