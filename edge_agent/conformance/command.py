"""`gemba-edge check-sparkplug`: grades every edge node and host application of a broker, or those that connect through a proxy."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
import time

from edge_agent.conformance.connection import BrokerAddress, Subscriber
from edge_agent.conformance.grader import Grader
from edge_agent.conformance.proxy import GradingProxy
from edge_agent.conformance.show import failures, report
from edge_agent.conformance.verdicts import Verdict
from edge_agent.conformance.watch import ASK_AFTER_S, TICK_S, Watcher, rebirth_request
from edge_agent.contract.clock import Clock
from edge_agent.contract.topics import NAMESPACE
from edge_agent.errors import EdgeError

PROGRESS_S = 2.0


def run(given: argparse.Namespace, clock: Clock) -> int:
    """Exit code 0 only when something was graded and nothing failed. Raises EdgeError."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # a supervisor that ends it early wants what there is, like Ctrl-C
    if given.rebirth and not given.edge:
        raise EdgeError("--rebirth needs a node.", "--rebirth 需要指定节点。", "Name it with --edge (and --group).", "请用 --edge(及 --group)指定。")
    address = BrokerAddress.parse(given.broker, given.user, given.password_file, given.ca_file)
    grader = Grader(given.group, given.edge, given.host)
    progress = _Progress(grader, given.lang)
    if given.proxy:
        verdicts = _through_proxy(given, address, grader, clock, progress)
    else:
        watcher = Watcher(address, grader, clock, group=given.group, edge=given.edge)
        verdicts = watcher.run(given.seconds, rebirth=given.rebirth, progress=progress)
    if given.json:
        given.json.write_text(json.dumps([one.as_json() for one in verdicts], ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    for line in report(verdicts, given.lang):
        sys.stdout.write(line + "\n")
    return 0 if verdicts and not failures(verdicts) else 1


def _through_proxy(given: argparse.Namespace, address: BrokerAddress, grader: Grader, clock: Clock, progress: _Progress) -> list[Verdict]:
    host, _, port = given.proxy.rpartition(":")
    if not port.isdecimal():
        raise EdgeError(f"{given.proxy!r} is no port.", f"{given.proxy!r} 不是端口。", "Write --proxy 1884.", "请写成 --proxy 1884。")
    lock = threading.Lock()
    proxy = GradingProxy((host or "127.0.0.1", int(port)), address, grader, clock, lock)
    proxy.start()
    zh = given.lang == "zh"
    where = f"{host or '127.0.0.1'}:{proxy.port}"
    sys.stderr.write(f"请让客户端连接 {where}(转发至 {address})\n" if zh else f"Let the clients connect to {where} (it goes on to {address}).\n")
    asker: Subscriber | None = None
    begun, asked = time.monotonic(), not given.rebirth
    try:
        while (now_s := time.monotonic() - begun) < given.seconds:
            time.sleep(TICK_S)
            with lock:
                grader.tick(clock.now_ms())
                born = [key for key, edge in grader.edges.items() if edge.born]
            if not asked and born and now_s >= ASK_AFTER_S:
                asked = True
                asker = Subscriber(address, [f"{NAMESPACE}/STATE/+"], lambda *_: None, live_only=True)
                asker.open()
                for group, edge in born:
                    asker.publish(f"{NAMESPACE}/{group}/NCMD/{edge}", rebirth_request(clock.now_ms()))
            progress(now_s)
    except KeyboardInterrupt:  # whoever ends it early wants what there is
        pass
    finally:
        with lock:
            verdicts = grader.finish(clock.now_ms())
        proxy.stop()
        if asker is not None:
            asker.close()
    for fault in proxy.faults[:5]:
        sys.stderr.write(fault + "\n")
    return verdicts


class _Progress:
    """A line every PROGRESS_S, on the error stream."""

    def __init__(self, grader: Grader, lang: str) -> None:
        self._grader, self._zh = grader, lang == "zh"
        self._next_s = PROGRESS_S

    def __call__(self, now_s: float) -> None:
        if now_s < self._next_s:
            return
        self._next_s = now_s + PROGRESS_S
        edges, hosts, messages = len(self._grader.edges), len(self._grader.hosts), self._grader.messages
        text = (
            f"{now_s:.0f} 秒:{edges} 个节点,{hosts} 个主机,{messages} 条消息"
            if self._zh
            else f"{now_s:.0f} s: {edges} edge node(s), {hosts} host(s), {messages} messages"
        )
        sys.stderr.write(text + "\n")
        sys.stderr.flush()
