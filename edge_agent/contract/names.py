"""The closed vocabularies of the wire: metric names, machine states, signal quality, gap causes.

A device is a machine or a meter. Its semantic metrics have the names below; any other name is a plain sample (temperature, speed, …).
Facts go into the book of record in the order of their record number; every numeric metric is a telemetry sample besides.
Unit last, SI base units: W, Wh, V, A, s.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import Final


class MachineState(StrEnum):
    """The normalised states of vocabulary.md; PackML, OPC 40001, MTConnect and vendor codes are mapped to them by configuration."""

    PRODUCING = "producing"
    IDLE = "idle"
    STOPPED = "stopped"
    FAULT = "fault"
    SETUP = "setup"
    BLOCKED = "blocked"
    STARVED = "starved"
    MAINTENANCE = "maintenance"
    OFF = "off"
    NO_DATA = "no_data"


class Quality(IntEnum):
    """Sparkplug 3.0 values of the property `Quality`."""

    BAD = 0
    GOOD = 192
    STALE = 500


class GapCause(StrEnum):
    """Why something could not be known."""

    EDGE_DOWN = "edge_down"  # the agent itself was not running
    SOURCE_LOST = "source_lost"  # PLC or meter unreachable, or restarted
    OVERFLOW = "overflow"  # the server's queue dropped values (OPC UA overflow bit)
    BUFFER_FULL = "buffer_full"  # the agent's own disk bound was reached
    BAD_QUALITY = "bad_quality"  # the source itself says the value is bad
    DAMAGED = "damaged"  # what the buffer held of that time was damaged on the disk
    CLOCK = "clock"  # the edge's clock was set: that stretch of time was not watched, or was watched under another time
    NEW_BUFFER = "new_buffer"  # a new disk: what the old buffer still held is unknown


# --- machine facts -------------------------------------------------------------------------------------------------------------
STATE: Final = "state"  # String, a MachineState
STATE_RAW: Final = "state_raw"  # Int64, the code as the machine says it
ALARM: Final = "alarm"  # String, the machine's own alarm code, "" when none
ORDER: Final = "order"  # String, work order number the machine says it runs, "" when none
OPERATION: Final = "operation"  # String, operation number, "" when none
GOOD_TOTAL: Final = "good_total"  # Int64, running total kept by the edge over resets and rollovers
SCRAP_TOTAL: Final = "scrap_total"  # Int64, the same for scrap
GOOD_RAW: Final = "good_raw"  # Int64, the counter as the machine shows it
SCRAP_RAW: Final = "scrap_raw"  # Int64
# --- meter facts ---------------------------------------------------------------------------------------------------------------
ENERGY_IMPORT_WH: Final = "energy_import_wh"  # Double, running total kept by the edge over resets, rollovers and jumps
ENERGY_EXPORT_WH: Final = "energy_export_wh"  # Double
ENERGY_REACTIVE_VARH: Final = "energy_reactive_varh"  # Double, inductive (lagging) reactive energy imported
# Double, what the edge has added to the register to make the total, where that is not 0: total minus offset is what the meter's display shows.
ENERGY_OFFSETS: Final = {
    ENERGY_IMPORT_WH: "energy_import_offset_wh",
    ENERGY_EXPORT_WH: "energy_export_offset_wh",
    ENERGY_REACTIVE_VARH: "energy_reactive_offset_varh",
}
# --- facts of any device -------------------------------------------------------------------------------------------------------
WATCHED_UNTIL: Final = "watched_until"  # DateTime (ms): the source was alive and everything up to here is in this or earlier records
GAP: Final = "gap"  # String, a JSON GapRecord (contract.delivery)
CLOCK_SUSPECT: Final = "clock_suspect"  # Boolean: true from here on what the edge stamped by its own clock is in doubt, false: no longer
SAMPLES_GAP: Final = "samples_gap"  # String, a JSON GapRecord: plain samples are missing there (thinned, queue overflow); facts are complete
READ_AFTERWARDS: Final = "read_afterwards"  # String, a JSON GapRecord: no gap, this time was read from the source's own history
# --- samples with a meaning ----------------------------------------------------------------------------------------------------
CYCLE_S: Final = "cycle_s"  # Double, duration of the last cycle
POWER_W: Final = "power_w"  # Double, active power
POWER_REACTIVE_VAR: Final = "power_reactive_var"
POWER_FACTOR: Final = "power_factor"
VOLTAGE_V: Final = ("voltage_l1_v", "voltage_l2_v", "voltage_l3_v")
CURRENT_A: Final = ("current_l1_a", "current_l2_a", "current_l3_a")

MACHINE_FACTS: Final = frozenset({STATE, STATE_RAW, ALARM, ORDER, OPERATION, GOOD_TOTAL, SCRAP_TOTAL, GOOD_RAW, SCRAP_RAW})
METER_FACTS: Final = frozenset({*ENERGY_OFFSETS, *ENERGY_OFFSETS.values()})
FACTS: Final = MACHINE_FACTS | METER_FACTS | {WATCHED_UNTIL, GAP}

# --- node metrics --------------------------------------------------------------------------------------------------------------
BDSEQ: Final = "bdSeq"
REBIRTH: Final = "Node Control/Rebirth"
STORED_EPOCH: Final = "Node Control/Stored Epoch"  # String, in an NCMD: which buffer the answer below is about
STORED_UP_TO: Final = "Node Control/Stored Up To"  # Int64, in an NCMD: the server holds every record 1..n of that epoch
BUFFER_EPOCH: Final = "Buffer/Epoch"  # String, in the NBIRTH
BUFFER_LAST: Final = "Buffer/Last Record"  # Int64, newest record number
BUFFER_WAITING: Final = "Buffer/Waiting Records"  # Int64, not yet answered "stored"
BUFFER_BYTES: Final = "Buffer/Bytes"  # Int64
BUFFER_FILL: Final = "Buffer/Fill"  # Double, 0..1 of the configured bound
HOST_TIME: Final = "Node Control/Host Time"  # DateTime (ms), in an NCMD: plant time at the host, the witness of an edge whose clock jumps
CLOCK_STATE: Final = "Clock/State"  # String: ok | suspect | held (the host's time is used, this machine's clock is wrong)
CLOCK_WRONG_BY_MS: Final = "Clock/Wrong By Ms"  # Int64, this machine's clock minus the plant time in use
BUFFER_STATE: Final = "Buffer/State"  # String: ok | high (80 %) | critical (95 %) | thinning (plain samples are left out) | full (reading stops)
BUFFER_HOURS_LEFT: Final = "Buffer/Hours Left"  # Double: how long it lasts if the server went away now, at the last minute's pace; null: unknown
DISK_FILL: Final = "Buffer/Disk Fill"  # Double, 0..1 of the disk that holds the buffer
INSTANCE: Final = "Properties/Instance"  # String, in the NBIRTH: machine (16 hex) "-" run of the agent (8 hex); see docs/decisions/006
TAKE_OVER: Final = "Properties/Take Over"  # Boolean, in the NBIRTH: a person moves the identity to this machine
FENCED: Final = "Node Control/Fenced"  # String, in an NCMD: the instance that must be silent, another one holds this identity
AGENT_UP_S: Final = "Properties/Up S"  # Int64: seconds since the agent began; grows with every report: a calm agent is not a silent one
COMMANDS_REFUSED: Final = "Commands/Refused"  # Int64: metrics of NCMD and DCMD that this edge does not carry out (it writes nothing to machines)
FENCED_FOR: Final = "Node Control/Fenced For"  # Int64, in the same NCMD: seconds after which it may try again
SOURCE_PREFIX: Final = "Source/"  # then <source name>/…, with the leaves below
SOURCE_STATUS: Final = "Status"  # String: connected | connecting | lost | misconfigured
SOURCE_ERROR: Final = "Last Error"  # String, in words with the next step; "" when none
SOURCE_RATE: Final = "Values Per Second"  # Double: mean of the last minute (longer for what comes rarely); null while not known
SOURCE_LAG_S: Final = "Lag S"  # Double: seconds (real) since the last moment proven of its slowest device; -1: nothing proven yet
SOURCE_CLOCK_OFFSET_MS: Final = "Clock Offset Ms"  # Double, source clock minus plant clock; null where the source has none
