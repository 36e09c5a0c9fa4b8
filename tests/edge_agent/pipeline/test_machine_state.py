"""State maps: every PackML state has a meaning, codes are read however a PLC says them."""

from __future__ import annotations

import pytest

from edge_agent.contract.names import MachineState as S
from edge_agent.pipeline.machine_state import MAPS, PACKML, code_of, map_state, table_of


def test_all_seventeen_packml_states_are_mapped() -> None:
    assert {str(n) for n in range(18)} <= PACKML.keys()


@pytest.mark.parametrize(
    ("table", "raw", "state"),
    [
        ("packml", 6, S.PRODUCING),
        ("packml", "Execute", S.PRODUCING),
        ("packml", 9.0, S.FAULT),
        ("packml", 4, S.IDLE),
        ("packml", 5, S.STARVED),
        ("packml", 15, S.SETUP),
        ("packml", 2, S.STOPPED),
        ("opc40001", 3, S.PRODUCING),
        ("opc40001", 2, S.IDLE),  # NotExecuting; 0 is NotAvailable
        ("opc40001", 0, S.OFF),
        ("opc40001", "NotAvailable", S.OFF),
        ("mtconnect", "ACTIVE", S.PRODUCING),
        ("mtconnect", "FEED_HOLD", S.STOPPED),
        ("packml", 77, None),
    ],
)
def test_mapping(table: str, raw: object, state: S | None) -> None:
    assert map_state(MAPS[table], raw) is state


def test_vendor_codes_from_the_config() -> None:
    table = table_of({"10": S.IDLE, "RUN": S.PRODUCING})
    assert (map_state(table, 10), map_state(table, "run"), map_state(table, True)) == (S.IDLE, S.PRODUCING, None)
    assert table_of(None) is PACKML
    assert code_of(True) == "1"
