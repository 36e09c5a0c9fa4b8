"""Every command of `gemba-edge`: its words, its options, what it calls. A new command is one entry of VERBS and its two functions.

Nothing heavy is imported before a command needs it: `--help` and a mistyped option answer at once.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NoReturn

from edge_agent.contract.clock import PlantClock
from edge_agent.errors import EdgeError

if TYPE_CHECKING:
    from edge_agent.config import AgentConfig


def _no_options(parser: argparse.ArgumentParser) -> None:
    """None of its own."""


@dataclass(frozen=True, slots=True)
class Verb:
    """`run` returns the exit code. Raises EdgeError. `config`: whether --config must, may or cannot be named."""

    name: str
    text: str
    run: Callable[[argparse.Namespace], int]
    options: Callable[[argparse.ArgumentParser], None] = _no_options
    config: Literal["required", "optional", "own"] = "required"
    clock: bool = False


class Parser(argparse.ArgumentParser):
    """Wrong usage is said with the way to help, in both languages: the language may be what was mistyped."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(2, f"{self.prog}: {message}\n参数有误,用法见 / see: {self.prog} --help\n")


def parser() -> argparse.ArgumentParser:
    top = Parser(prog="gemba-edge", description="IoT edge agent: PLCs and meters to Sparkplug B, nothing lost. 边缘网关。")
    top.add_argument("--lang", choices=("en", "zh"), default="en", help="language of messages / 消息语言")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for verb in VERBS:
        made = commands.add_parser(verb.name, help=verb.text, description=verb.text)
        made.set_defaults(run=verb.run)
        if verb.config != "own":
            made.add_argument("--config", type=Path, required=verb.config == "required", help="config file (TOML) / 配置文件")
        if verb.clock:
            made.add_argument("--clock-start", help="plant time at the anchor, ISO 8601 with zone / 工厂时间起点")
            made.add_argument("--clock-anchor", type=float, help="unix seconds of the anchor / 起点对应的真实时间")
            made.add_argument("--speed", type=float, default=1.0, help="plant seconds per real second (1) / 时间倍速")
        verb.options(made)
    return top


def _config(given: argparse.Namespace) -> AgentConfig:
    from edge_agent import config_text

    return config_text.load(given.config)


def clock_of(given: argparse.Namespace) -> PlantClock:
    try:
        return PlantClock.parse(given.clock_start, given.clock_anchor, given.speed)
    except ValueError as error:
        raise EdgeError(
            f"The clock options are wrong: {error}.",
            f"时钟参数有误:{error}。",
            "Leave them out for the machine's own time.",
            "使用本机时间时请不要填写。",
        ) from error


# --- run, and the machine round it -----------------------------------------------------------------------------------------------
def _run_options(made: argparse.ArgumentParser) -> None:
    made.add_argument("--take-over", action="store_true", help="hold this edge id from now on, although another box holds it / 接管此网关编号")


def _run(given: argparse.Namespace) -> int:
    from edge_agent.running import run

    config = _config(given)
    if sys.stderr.isatty():  # a person started it and would otherwise see nothing where all is well
        how = f"gemba-edge status --config {given.config}"
        en = f"{config.edge} runs with {len(config.sources)} source(s). How it is: `{how}` in another window. Stop it: Ctrl-C."
        zh = f"{config.edge} 正在运行,数据源 {len(config.sources)} 个。另开窗口用 `{how}` 查看状态;Ctrl-C 停止。"
        sys.stderr.write((en if given.lang == "en" else zh) + "\n")
    return asyncio.run(run(config, clock_of(given), take_over=given.take_over))


def _enrol_options(made: argparse.ArgumentParser) -> None:
    made.add_argument("server", help="address of the Gemba server, as http://host:port / 服务器地址")
    made.add_argument("code", help="one-time code (dashboards, or gemba-server invite-edge) / 一次性代码")
    made.add_argument("--config", type=Path, default=Path("edge.toml"), help="config to write or to stand beside (edge.toml) / 配置文件")
    made.add_argument("--ca-file", type=Path, help="authority of the server's certificate (PEM) / 服务器证书的 CA")


def _enrol(given: argparse.Namespace) -> int:
    from edge_agent.control.enrol import enrol

    return enrol(given.server, given.code, given.config, given.ca_file, given.lang)


def _unit_options(made: argparse.ArgumentParser) -> None:
    made.add_argument("kind", choices=("systemd", "compose"))
    made.add_argument("--user", default="gemba", help="systemd: user the agent runs as (gemba) / 运行用户")


def _unit(given: argparse.Namespace) -> int:
    from edge_agent.control.unit import unit

    sys.stdout.write(unit(given.kind, _config(given), given.config, given.user))
    return 0


def _status_options(made: argparse.ArgumentParser) -> None:
    made.add_argument("--json", action="store_true", help="as one JSON object / 以 JSON 输出")
    made.add_argument("--watch", action="store_true", help="every second until Ctrl-C / 每秒刷新")


def _status(given: argparse.Namespace) -> int:
    from edge_agent.control import commands

    return commands.status(_config(given), given.lang, as_json=given.json, watch=given.watch)


def _plan(given: argparse.Namespace) -> int:
    from edge_agent.control import commands

    return commands.show_plan(_config(given), given.lang)


def _apply_options(made: argparse.ArgumentParser) -> None:
    made.add_argument("new", type=Path, help="the new config; it takes the place of --config when all is well / 新配置文件")
    made.add_argument("--watch-s", type=float, default=30.0, help="a changed source must be well within this many seconds (30) / 观察时间")


def _apply(given: argparse.Namespace) -> int:
    from edge_agent.control import commands

    return commands.apply(given.config, given.new, given.lang, watch_s=given.watch_s)


# --- the config, and what is behind it -----------------------------------------------------------------------------------------------
def _check_options(made: argparse.ArgumentParser) -> None:
    made.add_argument("file", nargs="?", type=Path, help="the same as --config")


def _check(given: argparse.Namespace) -> int:
    from edge_agent import commands

    return commands.check_config(given.file or given.config, given.lang)


def _sample_options(made: argparse.ArgumentParser) -> None:
    made.add_argument("--type", action="append", dest="types", metavar="KIND", help="with a source of this kind; may be repeated / 数据源类型,可重复")


def _sample(given: argparse.Namespace) -> int:
    from edge_agent import config_text

    sys.stdout.write(config_text.sample(given.lang, given.types or config_text.SAMPLED))
    return 0


def _once_options(made: argparse.ArgumentParser) -> None:
    made.add_argument("--source", help="only this source / 仅此数据源")


def _once(given: argparse.Namespace) -> int:
    from edge_agent import commands

    return asyncio.run(commands.read_once(_config(given), clock_of(given), given.source, given.lang))


def _browse_options(made: argparse.ArgumentParser) -> None:
    made.add_argument("url", nargs="?", metavar="opc.tcp://…", help="OPC UA server, without a config / OPC UA 服务器地址")
    made.add_argument("--source", help="source of the config to list / 配置中的数据源")
    made.add_argument("--user", help="user name / 用户名")
    made.add_argument("--password-file", type=Path, metavar="FILE", help="file whose first line is the password / 密码文件")
    made.add_argument("--security", default="best", metavar="POLICY", help="best (default), none, or a policy by name / 安全策略")
    made.add_argument("--fingerprint", metavar="HEX", help="SHA-256 of the server's certificate, read at the PLC / 服务器证书指纹")
    made.add_argument("--watch", type=float, default=30.0, metavar="SECONDS", help="how long to watch values move (30) / 观察时间")
    made.add_argument("--propose", type=Path, metavar="FILE", help="write a config with the guessed meanings / 写出建议的配置文件")


def _browse(given: argparse.Namespace) -> int:
    if given.url is not None:
        from edge_agent.sources.opcua.browse_command import Call, browse_url

        call = Call(given.url, given.user, given.password_file, given.security, given.fingerprint, watch_s=given.watch, propose=given.propose)
        return asyncio.run(browse_url(call, given.lang))
    if given.config is None or given.source is None:
        raise EdgeError(
            "What shall be browsed?",
            "请指定浏览对象。",
            "Write an address (opc.tcp://…), or --config and --source.",
            "请写地址(opc.tcp://…),或 --config 和 --source。",
        )
    from edge_agent import commands

    return asyncio.run(commands.browse(_config(given), clock_of(given), given.source))


def _probe_options(made: argparse.ArgumentParser) -> None:
    made.add_argument("where", nargs="?", metavar="HOST[:PORT]", help="Modbus TCP meter or gateway (port 502) / 地址")
    made.add_argument("--serial", metavar="DEV", help="a serial port instead, as /dev/ttyUSB0 / 串口")
    made.add_argument("--baud", type=int, default=9600, help="serial: speed (9600) / 波特率")
    made.add_argument("--parity", choices=("none", "even", "odd"), default="none", help="serial: parity (none) / 校验位")
    made.add_argument("--stop-bits", type=int, choices=(1, 2), default=1, help="serial: stop bits (1) / 停止位")
    made.add_argument("--rtu-over-tcp", action="store_true", help="the gateway passes RTU frames through / 网关透传 RTU 帧")
    made.add_argument("--unit", type=int, help="unit id (1) / 从站号")
    made.add_argument("--units", metavar="1-10", help="several unit ids: 1-10 or 1,4,7 / 多个从站号")
    made.add_argument("--model", action="append", dest="models", help="try only this model; may be repeated / 仅尝试此型号,可重复")
    made.add_argument("--timeout", type=float, default=1.0, help="seconds to wait for an answer (1) / 超时")
    made.add_argument("--seconds", type=float, default=3.0, help="seconds between two looks at the energy (3) / 两次读电量的间隔")


def _probe(given: argparse.Namespace) -> int:
    from edge_agent.sources.modbus import probe_command

    return probe_command.run(given, given.lang)


def _trust_options(made: argparse.ArgumentParser) -> None:
    made.add_argument("--source", required=True, help="OPC UA source / 数据源")
    made.add_argument("--fingerprint", metavar="HEX", help="trust without asking, only if it has this SHA-256 / 指纹相符则直接信任")
    made.add_argument("--certificate", type=Path, metavar="FILE", help="its certificate as a file, without asking it / 从文件读取证书")


def _trust(given: argparse.Namespace) -> int:
    from edge_agent.sources.opcua import desk

    return asyncio.run(desk.trust_server(_config(given), given.source, given.fingerprint, given.certificate, given.lang))


def _certificate_options(made: argparse.ArgumentParser) -> None:
    made.add_argument("--renew", action="store_true", help="make a new one; every PLC must trust it anew / 重新生成")


def _certificate(given: argparse.Namespace) -> int:
    from edge_agent.sources.opcua import desk

    return desk.own_certificates(_config(given), given.renew, given.lang)


def _grade_options(made: argparse.ArgumentParser) -> None:
    made.add_argument("--broker", required=True, metavar="URL", help="mqtt://host:port or mqtts://host:port / 代理地址")
    made.add_argument("--user", help="user name / 用户名")
    made.add_argument("--password-file", type=Path, metavar="FILE", help="file whose first line is the password / 密码文件")
    made.add_argument("--ca-file", type=Path, metavar="FILE", help="CA of the broker's certificate (PEM) / 代理证书的 CA")
    made.add_argument("--group", help="only this group / 仅此组")
    made.add_argument("--edge", help="only this edge node / 仅此节点")
    made.add_argument("--host", help="only this host application / 仅此主机应用")
    made.add_argument("--seconds", type=float, default=30.0, help="how long to watch (30) / 观察时间")
    made.add_argument("--rebirth", action="store_true", help="ask --edge for a rebirth and grade its answer / 向 --edge 请求重生")
    made.add_argument("--proxy", metavar="[HOST:]PORT", help="listen here instead; clients connect through it / 代理模式的监听地址")
    made.add_argument("--json", type=Path, metavar="FILE", help="write all verdicts here / 将全部结果写入文件")


def _grade(given: argparse.Namespace) -> int:
    from edge_agent.conformance import command

    return command.run(given, PlantClock())


def _backfill_options(made: argparse.ArgumentParser) -> None:
    made.add_argument("recording", type=Path, help="recording (docs: edge_agent/README.md) / 记录文件")
    made.add_argument("--skip-unknown", action="store_true", help="leave out devices and metrics the config does not know / 跳过未知设备")
    made.add_argument(
        "--resume", action="store_true", help="leave out what the buffer already knows: finishes a run that was cut off / 继续上次中断的导入"
    )


def _backfill(given: argparse.Namespace) -> int:
    from edge_agent import commands

    return commands.backfill(_config(given), given.recording, skip_unknown=given.skip_unknown, resume=given.resume)


VERBS: tuple[Verb, ...] = (
    Verb("enrol", "Make this box an edge of a plant by a one-time code. 用一次性代码注册本机。", _enrol, _enrol_options, config="own"),
    Verb(
        "browse",
        "Show what a PLC offers; --propose writes a config. 浏览 PLC 变量。",
        _browse,
        _browse_options,
        config="optional",
        clock=True,
    ),
    Verb("probe-meter", "Find out which Modbus meter it is, and print its config lines. 识别 Modbus 电表。", _probe, _probe_options, config="own"),
    Verb("sample-config", "Print a commented config. 打印示例配置。", _sample, _sample_options, config="own"),
    Verb("check-config", "Check a config: every error at once, with its line. 检查配置。", _check, _check_options, config="optional"),
    Verb("read-once", "Read every configured value once and print it. 读取一次。", _once, _once_options, clock=True),
    Verb("plan", "What a config would subscribe and read: bus load, bytes a day, hours of buffer. 预览配置的效果。", _plan),
    Verb("run", "Read the sources and deliver until stopped. 运行。", _run, _run_options, clock=True),
    Verb("status", "How the running agent is: sources, gaps, buffer, delivery. 运行状态。", _status, _status_options),
    Verb("apply", "Give the running agent another config; goes back by itself if health falls. 在线更改配置。", _apply, _apply_options),
    Verb("unit", "Print a systemd unit or a Compose file for this config. 打印 systemd 单元或 Compose 文件。", _unit, _unit_options),
    Verb("trust", "Show an OPC UA server's certificate and trust it by its fingerprint. 查看并信任服务器证书。", _trust, _trust_options),
    Verb("certificate", "Show this edge's own certificate: path, expiry, fingerprint. 查看本网关证书。", _certificate, _certificate_options),
    Verb("check-sparkplug", "Grade the Sparkplug nodes and hosts of any broker. 检查 Sparkplug 一致性。", _grade, _grade_options, config="own"),
    Verb("backfill", "Take a recording into the buffer as backlog. 导入历史记录。", _backfill, _backfill_options),
)
