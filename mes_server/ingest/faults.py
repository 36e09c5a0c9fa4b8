"""What is wrong on the way in from the edges: the broker, its process, the loop that books, the two stores. Words for system health."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from mes_server.kit.errors import MesError
from mes_server.kit.faults import Fault

if TYPE_CHECKING:
    from mes_server.ingest.embedded_broker import EmbeddedBroker
    from mes_server.ingest.mqtt import MqttLink
    from mes_server.ingest.service import IngestService

RESTART_SHOWN_S = 3_600.0  # a broker that was started again is told for so long


def faults(ingest: IngestService) -> Iterator[Fault]:
    """Nothing while all is well."""
    if ingest.broker is not None:
        yield from _process(ingest.broker)
    if ingest.mqtt is not None:
        yield from _connection(ingest.mqtt)
    if ingest.fault:
        yield Fault(
            "ingest",
            f"What comes from the edges is not taken in: {ingest.fault}",
            f"无法接收采集器的数据：{ingest.fault}",
            "It is tried again every second and nothing is lost: the edges keep it. Send the server’s log to support if it lasts.",
            "系统每秒重试，数据保存在采集器中，不会丢失。若持续出现，请将服务器日志发给技术支持。",
        )
    for part, error in (("book", ingest.committer.facts_fault), ("telemetry", ingest.committer.telemetry_fault)):
        if error is not None:
            yield _store(part, error)


def _store(part: str, error: MesError) -> Fault:
    return Fault(part, error.say("en"), error.say("zh"), error.next_step("en"), error.next_step("zh"))


def _process(broker: EmbeddedBroker) -> Iterator[Fault]:
    since_s = None if broker.restarted_s is None else time.monotonic() - broker.restarted_s
    error = broker.fault
    if error is not None:
        known = error if isinstance(error, MesError) else None
        yield Fault(
            "broker_process",
            f"The built-in broker ended and cannot be started again. {known.say('en') if known else error}",
            f"内置消息代理已退出，且无法重新启动。{known.say('zh') if known else error}",
            known.next_step("en") if known else "It is tried again by itself. See the server’s log.",
            known.next_step("zh") if known else "系统会自动重试，详情见服务器日志。",
            since_s,
        )
    elif broker.silent_since_s is not None:
        silent_s = time.monotonic() - broker.silent_since_s
        yield Fault(
            "broker_process",
            f"The built-in broker runs but has not answered for {silent_s:.0f} s.",
            f"内置消息代理在运行，但已 {silent_s:.0f} 秒没有应答。",
            "If it stays so, it is ended and started again by itself; nothing is lost. "
            "If this comes often, look whether the computer is overloaded or out of memory.",
            "若持续无应答，系统会自动结束并重新启动它，数据不会丢失。若经常出现，请检查计算机是否过载或内存不足。",
            silent_s,
        )
    elif since_s is not None and since_s < RESTART_SHOWN_S:
        why, why_zh = ("did not answer any more, was ended", "不再应答而被结束") if broker.was_hung else ("ended unexpectedly", "意外退出")
        yield Fault(
            "broker_process",
            f"The built-in broker {why} and was started again ({broker.restarts} times since the server’s start).",
            f"内置消息代理曾{why_zh}，已自动重新启动（服务器启动以来共 {broker.restarts} 次）。",
            "Nothing was lost: the edges send what was not answered again. If it happens again, look into broker/nats.log in the data folder.",
            "没有数据丢失：采集器会重发未确认的数据。若再次出现，请查看数据目录中的 broker/nats.log。",
            since_s,
            grave=False,
        )

    if broker.lists_unread:
        yield Fault(
            "broker_process",
            f"The lists of who may sign in at the broker cannot be read: {broker.lists_unread}",
            f"无法读取消息代理的登录名单：{broker.lists_unread}",
            "Who is signed in stays so, but new edges cannot sign in. Mend or restore the file in the folder broker of the data folder.",
            "已登录的不受影响，但新采集器无法登录。请修复或恢复数据目录 broker 中的该文件。",
            grave=False,
        )


def _connection(link: MqttLink) -> Iterator[Fault]:
    offline_s = link.offline_s
    if offline_s is None:
        return
    en = f"{link.fault[:1].upper()}{link.fault[1:]}." if link.fault else "The connection to the broker is down."
    yield Fault(
        "broker",
        en,
        f"{link.fault_zh}。" if link.fault_zh else "与消息代理的连接已断开。",
        "No edge is heard until it is back; their data wait in their buffers, nothing is lost. It is tried again by itself: "
        "check that the broker runs, its address, and the user’s password.",
        "恢复之前收不到任何采集器的数据；数据在采集器缓存中等待，不会丢失。系统会自动重试：请检查消息代理是否运行、地址与用户密码是否正确。",
        offline_s,
    )
