"""Command line of the edge agent: `gemba-edge` or `python -m edge_agent`."""

from __future__ import annotations

import argparse
import asyncio
import gc
import signal
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from edge_agent.contract.clock import PlantClock
from edge_agent.errors import EdgeError

if TYPE_CHECKING:
    from edge_agent.config import AgentConfig


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="gemba-edge", description="IoT edge agent: PLCs and meters to Sparkplug B, nothing lost. 边缘网关。")
    parser.add_argument("--lang", choices=("en", "zh"), default="en", help="language of messages / 消息语言")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, text: str, *, config: bool = True, clock: bool = False) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=text, description=text)
        if config:
            made.add_argument("--config", type=Path, required=name != "check-config", help="config file (TOML) / 配置文件")
        if clock:
            made.add_argument("--clock-start", help="plant time at the anchor, ISO 8601 with zone / 工厂时间起点")
            made.add_argument("--clock-anchor", type=float, help="unix seconds of the anchor / 起点对应的真实时间")
            made.add_argument("--speed", type=float, default=1.0, help="plant seconds per real second (1) / 时间倍速")
        return made

    run = command("run", "Read the sources and deliver until stopped. 运行。", clock=True)
    run.add_argument("--take-over", action="store_true", help="hold this edge id from now on, although another box holds it / 接管此网关编号")
    check = command("check-config", "Check a config: every error at once, with its line. 检查配置。")
    check.add_argument("file", nargs="?", type=Path, help="the same as --config")
    show = command("sample-config", "Print a commented config. 打印示例配置。", config=False)
    show.add_argument("--type", action="append", dest="types", metavar="KIND", help="with a source of this kind; may be repeated / 数据源类型,可重复")
    once = command("read-once", "Read every configured value once and print it. 读取一次。", clock=True)
    once.add_argument("--source", help="only this source / 仅此数据源")
    _browse_command(command)
    _probe_command(command)
    state = command("status", "How the running agent is: sources, gaps, buffer, delivery. 运行状态。")
    state.add_argument("--json", action="store_true", help="as one JSON object / 以 JSON 输出")
    state.add_argument("--watch", action="store_true", help="every second until Ctrl-C / 每秒刷新")
    command("plan", "What a config would subscribe and read: bus load, bytes a day, hours of buffer. 预览配置的效果。")
    change = command("apply", "Give the running agent another config; goes back by itself if health falls. 在线更改配置。")
    change.add_argument("new", type=Path, help="the new config; it takes the place of --config when all is well / 新配置文件")
    change.add_argument("--watch-s", type=float, default=30.0, help="a changed source must be well within this many seconds (30) / 观察时间")
    _certificate_commands(command)
    fill = command("backfill", "Take a recording into the buffer as backlog. 导入历史记录。")
    fill.add_argument("recording", type=Path, help="recording (docs: edge_agent/README.md) / 记录文件")
    fill.add_argument("--skip-unknown", action="store_true", help="leave out devices and metrics the config does not know / 跳过未知设备")
    fill.add_argument(
        "--resume", action="store_true", help="leave out what the buffer already knows: finishes a run that was cut off / 继续上次中断的导入"
    )
    return parser


def _browse_command(command: Callable[..., argparse.ArgumentParser]) -> None:
    browse = command("browse", "Show what a PLC offers and means; --propose writes a config. 浏览 PLC 变量。", config=False, clock=True)
    browse.add_argument("url", nargs="?", metavar="opc.tcp://…", help="OPC UA server, without a config / OPC UA 服务器地址")
    browse.add_argument("--config", type=Path, help="or a config file, with --source / 或配置文件,配合 --source")
    browse.add_argument("--source", help="source of the config to list / 配置中的数据源")
    browse.add_argument("--user", help="user name / 用户名")
    browse.add_argument("--password-file", type=Path, metavar="FILE", help="file whose first line is the password / 密码文件")
    browse.add_argument("--security", default="best", metavar="POLICY", help="best (default), none, or a policy by name / 安全策略")
    browse.add_argument("--fingerprint", metavar="HEX", help="SHA-256 of the server's certificate, read at the PLC / 服务器证书指纹")
    browse.add_argument("--watch", type=float, default=30.0, metavar="SECONDS", help="how long to watch values move (30) / 观察时间")
    browse.add_argument("--propose", type=Path, metavar="FILE", help="write a config with the guessed meanings / 写出建议的配置文件")


def _probe_command(command: Callable[..., argparse.ArgumentParser]) -> None:
    probe = command("probe-meter", "Find out which Modbus meter it is, and print its config lines. 识别 Modbus 电表。", config=False)
    probe.add_argument("where", nargs="?", metavar="HOST[:PORT]", help="Modbus TCP meter or gateway (port 502) / 地址")
    probe.add_argument("--serial", metavar="DEV", help="a serial port instead, as /dev/ttyUSB0 / 串口")
    probe.add_argument("--baud", type=int, default=9600, help="serial: speed (9600) / 波特率")
    probe.add_argument("--parity", choices=("none", "even", "odd"), default="none", help="serial: parity (none) / 校验位")
    probe.add_argument("--stop-bits", type=int, choices=(1, 2), default=1, help="serial: stop bits (1) / 停止位")
    probe.add_argument("--rtu-over-tcp", action="store_true", help="the gateway passes RTU frames through / 网关透传 RTU 帧")
    probe.add_argument("--unit", type=int, help="unit id (1) / 从站号")
    probe.add_argument("--units", metavar="1-10", help="several unit ids: 1-10 or 1,4,7 / 多个从站号")
    probe.add_argument("--model", action="append", dest="models", help="try only this model; may be repeated / 仅尝试此型号,可重复")
    probe.add_argument("--timeout", type=float, default=1.0, help="seconds to wait for an answer (1) / 超时")
    probe.add_argument("--seconds", type=float, default=3.0, help="seconds between two looks at the energy (3) / 两次读电量的间隔")


def _certificate_commands(command: Callable[..., argparse.ArgumentParser]) -> None:
    trust = command("trust", "Show an OPC UA server's certificate and trust it by its fingerprint. 查看并信任服务器证书。")
    trust.add_argument("--source", required=True, help="OPC UA source / 数据源")
    trust.add_argument("--fingerprint", metavar="HEX", help="trust without asking, only if it has this SHA-256 / 指纹相符则直接信任")
    trust.add_argument("--certificate", type=Path, metavar="FILE", help="its certificate as a file, without asking it / 从文件读取证书")
    own = command("certificate", "Show this edge's own certificate: path, expiry, fingerprint. 查看本网关证书。")
    own.add_argument("--renew", action="store_true", help="make a new one; every PLC must trust it anew / 重新生成")


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code: 0 done, 1 an error a person can act on, 2 wrong usage."""
    given = _parser().parse_args(arguments)
    try:
        return _dispatch(given)
    except EdgeError as error:
        print(error.text(given.lang), file=sys.stderr)
        return 1
    except (KeyboardInterrupt, BrokenPipeError):
        return 1


def _dispatch(given: argparse.Namespace) -> int:
    from edge_agent import commands, config_text
    from edge_agent.control import commands as control

    if given.command == "sample-config":
        print(config_text.sample(given.lang, given.types or config_text.SAMPLED), end="")
        return 0
    if given.command == "probe-meter":
        from edge_agent.sources.modbus import probe_command

        return probe_command.run(given, given.lang)
    if given.command == "check-config":
        return commands.check_config(given.file or given.config, given.lang)
    if given.command == "apply":
        return control.apply(given.config, given.new, given.lang, watch_s=given.watch_s)
    if given.command == "browse" and given.url is not None:
        return _browse_url(given)
    if given.command == "browse" and (given.config is None or given.source is None):
        raise EdgeError(
            "What shall be browsed?",
            "请指定浏览对象。",
            "Write an address (opc.tcp://…), or --config and --source.",
            "请写地址(opc.tcp://…),或 --config 和 --source。",
        )
    config = config_text.load(given.config)
    if given.command == "status":
        return control.status(config, given.lang, as_json=given.json, watch=given.watch)
    if given.command == "plan":
        return control.show_plan(config, given.lang)
    if given.command in ("trust", "certificate"):
        return _certificates(given, config)
    if given.command == "backfill":
        return commands.backfill(config, given.recording, skip_unknown=given.skip_unknown, resume=given.resume)
    try:
        clock = PlantClock.parse(given.clock_start, given.clock_anchor, given.speed)
    except ValueError as error:
        raise EdgeError(f"{error}.", f"{error}。") from error
    if given.command == "read-once":
        return asyncio.run(commands.read_once(config, clock, given.source, given.lang))
    if given.command == "browse":
        return asyncio.run(commands.browse(config, clock, given.source))
    return asyncio.run(_run(given, clock))


def _browse_url(given: argparse.Namespace) -> int:
    from edge_agent.sources.opcua.browse_command import Call, browse_url

    call = Call(given.url, given.user, given.password_file, given.security, given.fingerprint, watch_s=given.watch, propose=given.propose)
    return asyncio.run(browse_url(call, given.lang))


def _certificates(given: argparse.Namespace, config: AgentConfig) -> int:
    from edge_agent.sources.opcua import desk

    if given.command == "certificate":
        return desk.own_certificates(config, given.renew, given.lang)
    return asyncio.run(desk.trust_server(config, given.source, given.fingerprint, given.certificate, given.lang))


async def _run(given: argparse.Namespace, clock: PlantClock) -> int:
    from edge_agent import app, config_text
    from edge_agent.control.apply import handle
    from edge_agent.control.socket import ControlServer, socket_path

    agent = app.build_agent(config_text.load(given.config), clock, take_over=given.take_over)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, agent.stop)
    control = ControlServer(socket_path(agent.config), partial(handle, agent))
    try:
        await control.start()
    except OSError as error:
        print(f"status and apply are not available: {error}", file=sys.stderr)
    gc.collect()
    gc.freeze()  # what was made at start stays; the collector need not look at it again
    try:
        await agent.run()
    finally:
        await control.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
