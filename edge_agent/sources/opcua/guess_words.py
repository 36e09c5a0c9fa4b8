"""What PLC programmers call things, in English, German and Chinese. Tables only.

A word is a whole token of a name (split at case changes, digits and punctuation); words of four letters and more and all Chinese words also count
inside a token (Gutteilezähler). The figure is how much a word says: 3 alone is nearly enough, 1 is a hint.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

WORDS: Final[Mapping[str, Mapping[str, float]]] = {
    "state": {
        "state": 3, "status": 2.6, "machinestate": 3.5, "unitstate": 3.5, "statecurrent": 3.5, "runstate": 3, "opstate": 3, "execution": 2.5,
        "zustand": 3, "betriebszustand": 3.5, "maschinenstatus": 3.5, "maschinenzustand": 3.5, "anlagenstatus": 3,
        "状态": 3, "运行状态": 3.5, "设备状态": 3.5,
    },
    "good": {
        "good": 2.5, "ok": 1.5, "pass": 1, "passed": 1.5, "io": 1.5, "gut": 2.5, "gutteile": 3.5, "gutstück": 3.5, "gutstueck": 3.5,
        "part": 1.3, "parts": 1.8, "piece": 1.5, "pieces": 2, "pcs": 2, "partcount": 3.2, "partscount": 3.2, "produced": 2, "production": 0.7,
        "count": 1.2, "counter": 1.2, "cnt": 1.2, "cycles": 1.2, "processed": 1.5, "shot": 1.5, "shots": 2, "stroke": 1.2, "strokes": 1.5,
        "stück": 1.8, "stueck": 1.8, "stückzahl": 2.8, "stueckzahl": 2.8, "teile": 1.5, "zähler": 1.4, "zaehler": 1.4, "teilezähler": 3,
        "teilezaehler": 3, "hub": 0.8, "hubzähler": 2.2,
        "良品": 3.5, "合格": 3, "产量": 3, "计数": 1.4, "件数": 2.2, "数量": 1.4, "成品": 2,
    },
    "scrap": {
        "scrap": 3, "reject": 3, "rejects": 3, "rejected": 3, "bad": 2.2, "nok": 2.8, "nio": 2.8, "ng": 2.2, "defect": 2, "defective": 2.5,
        "defects": 2, "waste": 2, "fail": 1.2, "failed": 1.5, "ausschuss": 3.5, "ausschuß": 3.5, "schlecht": 2.5, "schlechtteile": 3.5,
        "fehlteile": 2.5, "废品": 3.5, "不良": 3.2, "不合格": 3.5, "报废": 3.2, "次品": 3,
    },
    "alarm": {
        "alarm": 3, "alarmcode": 3.5, "error": 2.5, "errorcode": 3.2, "errcode": 3, "fault": 2.8, "faultcode": 3.2, "errno": 2.5, "störung": 3,
        "stoerung": 3, "fehler": 2.8, "fehlercode": 3.3, "fehlernummer": 3.3, "störcode": 3.3, "meldung": 1.5, "warning": 1.2,
        "报警": 3.2, "故障": 3, "错误": 2.8, "告警": 3.2, "故障码": 3.4,
    },
    "order": {
        "order": 2.6, "orderid": 3.2, "ordernumber": 3.2, "orderno": 3.2, "workorder": 3.5, "job": 1.8, "jobid": 2.5, "batch": 1.3, "lot": 1.3,
        "auftrag": 3, "auftragsnummer": 3.5, "fertigungsauftrag": 3.5, "auftragsnr": 3.4, "charge": 1.3,
        "工单": 3.5, "订单": 3, "工单号": 3.6, "批次": 1.3, "任务": 1.2,
    },
    "operation": {
        "operationid": 3, "operation": 1.6, "opid": 2, "opnr": 2.4, "operationno": 3, "arbeitsgang": 3.4, "arbeitsvorgang": 3.4, "vorgang": 2,
        "工序": 3.4, "工序号": 3.6,
    },
    "power": {
        "power": 2.6, "activepower": 3.4, "kw": 2.2, "watt": 2, "watts": 2, "leistung": 2.8, "wirkleistung": 3.5, "功率": 3, "有功功率": 3.5,
    },
    "energy": {
        "energy": 2.8, "activeenergy": 3.4, "kwh": 3, "wh": 2, "mwh": 2.5, "consumption": 1.4, "energie": 2.8, "wirkenergie": 3.4, "wirkarbeit": 3.3,
        "verbrauch": 1.6, "energieverbrauch": 3.2, "电能": 3.2, "能耗": 2.6, "电量": 2.8, "用电量": 3.2, "有功电能": 3.5,
    },
    "cycle_s": {
        "cycletime": 3.4, "cycle": 1.4, "takt": 2, "takttime": 3, "taktzeit": 3.4, "zykluszeit": 3.4, "zyklus": 1.5, "bearbeitungszeit": 2.2,
        "lastcycle": 2.6, "节拍": 3.3, "周期": 1.8, "循环时间": 3.2,
    },
    "temperature": {"temperature": 3, "temp": 2.4, "temperatur": 3, "oiltemp": 3, "öltemperatur": 3, "温度": 3.2},
    "speed": {"speed": 2.6, "rpm": 3, "drehzahl": 3.2, "feedrate": 2.6, "feed": 1.4, "vorschub": 2.6, "geschwindigkeit": 3, "转速": 3.2, "速度": 2.8},
    "pressure": {"pressure": 3, "druck": 2.6, "压力": 3.2},
    "current": {"current": 1.6, "strom": 2.4, "amps": 2.5, "电流": 3.2},
    "voltage": {"voltage": 3, "spannung": 2.8, "volt": 2.4, "电压": 3.2},
}  # fmt: skip

# Pairs that mean one thing only together: both tokens in the name.
PAIRS: Final[Mapping[tuple[str, str], tuple[str, float]]] = {
    ("cycle", "time"): ("cycle_s", 2.2),
    ("zyklus", "zeit"): ("cycle_s", 2),
    ("good", "count"): ("good", 1.5),
    ("part", "count"): ("good", 1.2),
    ("parts", "good"): ("good", 1.5),
    ("total", "count"): ("good", 0.8),
    ("order", "id"): ("order", 0.8),
    ("order", "no"): ("order", 0.8),
    ("job", "id"): ("order", 0.7),
    ("operation", "id"): ("operation", 1.4),
    ("operation", "no"): ("operation", 1.4),
    ("state", "current"): ("state", 1.5),
    ("machine", "state"): ("state", 1),
    ("machine", "status"): ("state", 1),
    ("alarm", "code"): ("alarm", 0.8),
    ("error", "code"): ("alarm", 0.8),
    ("error", "id"): ("alarm", 0.6),
    ("active", "power"): ("power", 1),
    ("active", "energy"): ("energy", 1),
    ("energy", "import"): ("energy", 0.8),
    ("spindle", "speed"): ("speed", 0.6),
}

# Not what runs but what should run, or talk between programs: a weight taken from every meaning.
AGAINST: Final[Mapping[str, float]] = {
    "set": 1.5, "setpoint": 3, "sp": 1.5, "target": 3, "planned": 3, "plan": 2, "limit": 3, "max": 2, "min": 2, "nominal": 3, "ideal": 2.5,
    "preset": 3,
    "soll": 3, "sollwert": 3, "sollmenge": 3, "sollstückzahl": 4, "vorgabe": 3, "grenzwert": 3, "cmd": 2.5, "command": 2.5, "request": 2, "req": 2,
    "requested": 2, "ack": 2, "reset": 2, "enable": 2, "heartbeat": 5, "watchdog": 5, "lifebit": 5, "alive": 3, "lebenszeichen": 5, "uptime": 5,
    "version": 4, "serial": 3, "address": 3, "config": 2, "setting": 2, "test": 1, "simulation": 2, "random": 2, "sine": 2, "sinusoid": 2,
    "sawtooth": 2,
    "设定": 3, "目标": 3, "计划": 2.5, "上限": 3, "下限": 3, "额定": 3, "心跳": 5, "复位": 2, "命令": 2.5, "版本": 4,
    "history": 2, "previous": 2, "prev": 2, "remaining": 2.5, "rest": 1.5, "reactive": 1.5, "apparent": 1.5, "timestamp": 3, "extent": 2,
}  # fmt: skip

# Only integers that step up say "counter", and these words say what kind.
REACTIVE_OR_BACK: Final = frozenset({"export", "reactive", "blind", "blindarbeit", "abgabe", "反向", "无功"})

# What states are called, by normalised state: for enumerations and texts. Inside a longer word they count too.
STATE_WORDS: Final[tuple[tuple[str, tuple[str, ...]], ...]] = (
    # the order is the order of the questions: "not running" must be asked before "running"
    ("no_data", ("unknown", "undefined", "notavailable", "not available", "unavailable", "unbekannt", "未知", "不可用")),
    ("off", ("off", "shutdown", "aus", "ausgeschaltet", "关机", "断电", "停机断电")),
    ("fault", ("fault", "error", "alarm", "abort", "estop", "e-stop", "emergency", "failure", "broken", "störung", "stoerung", "fehler", "notaus",
               "outofservice", "故障", "报警", "急停", "异常")),
    ("maintenance", ("maintenance", "service", "wartung", "instandhaltung", "维护", "保养", "检修")),
    ("starved", ("starved", "suspended", "waiting", "wait", "mangel", "materialmangel", "缺料", "待料", "等待")),
    ("blocked", ("blocked", "jam", "stau", "blockiert", "堵料", "阻塞", "堵塞")),
    ("setup", ("setup", "set up", "changeover", "starting", "resetting", "clearing", "manual", "rüsten", "ruesten", "einrichten", "hand",
               "调试", "换型", "准备", "手动", "调机")),
    ("stopped", ("stopped", "stop", "stopping", "held", "hold", "halt", "paused", "pause", "interrupted", "gestoppt", "angehalten", "unterbrochen",
                 "停止", "暂停", "停机")),
    ("idle", ("idle", "ready", "standby", "stand-by", "notexecuting", "not executing", "complete", "bereit", "leerlauf", "空闲", "就绪", "待机")),
    ("producing", ("producing", "running", "run", "execute", "executing", "active", "automatic", "auto", "production", "processing", "working",
                   "läuft", "laeuft", "produktion", "automatik", "betrieb", "运行", "生产", "加工", "自动")),
)  # fmt: skip

# EUInformation display name (or what a name ends in) -> (meaning, factor to the SI unit of our metric names, suffix of the metric name)
UNITS: Final[Mapping[str, tuple[str, float, str]]] = {
    "w": ("power", 1.0, "w"),
    "kw": ("power", 1000.0, "w"),
    "mw": ("power", 1_000_000.0, "w"),
    "wh": ("energy", 1.0, "wh"),
    "kwh": ("energy", 1000.0, "wh"),
    "mwh": ("energy", 1_000_000.0, "wh"),
    "kw·h": ("energy", 1000.0, "wh"),
    "kw.h": ("energy", 1000.0, "wh"),
    "°c": ("temperature", 1.0, "c"),
    "c": ("temperature", 1.0, "c"),
    "degc": ("temperature", 1.0, "c"),
    "℃": ("temperature", 1.0, "c"),
    "s": ("cycle_s", 1.0, "s"),
    "sec": ("cycle_s", 1.0, "s"),
    "ms": ("cycle_s", 0.001, "s"),
    "rpm": ("speed", 1.0, "rpm"),
    "1/min": ("speed", 1.0, "rpm"),
    "r/min": ("speed", 1.0, "rpm"),
    "mm/min": ("speed", 1.0, "mm_min"),
    "m/min": ("speed", 1.0, "m_min"),
    "bar": ("pressure", 1.0, "bar"),
    "pa": ("pressure", 1.0, "pa"),
    "kpa": ("pressure", 1000.0, "pa"),
    "mpa": ("pressure", 1_000_000.0, "pa"),
    "a": ("current", 1.0, "a"),
    "ma": ("current", 0.001, "a"),
    "v": ("voltage", 1.0, "v"),
}
PIECES: Final = frozenset({"pcs", "piece", "pieces", "st", "stk", "stück", "个", "件", "one"})
