"""What can go wrong at the ERP desk.

MesError
├── NoSuchMessage, NoSuchChange (404)
└── NotNow (409)   the message or change is in a state that forbids the act
"""

from mes_server.kit.errors import Conflict, NotFound


class NoSuchMessage(NotFound):
    code = "erp_no_such_message"
    en = "There is no ERP message {key}."
    zh = "没有 ERP 报文 {key}。"
    next_en = "Reload the list; it may have been dealt with."
    next_zh = "请刷新列表，可能已被处理。"


class NoSuchChange(NotFound):
    code = "erp_no_such_change"
    en = "There is no ERP change {key}."
    zh = "没有 ERP 变更 {key}。"
    next_en = "Reload the list; it may have been dealt with."
    next_zh = "请刷新列表，可能已被处理。"


class NotNow(Conflict):
    code = "erp_not_now"
    en = "{key} is {status}: this cannot be done any more."
    zh = "{key} 当前为“{status}”，无法执行此操作。"
    next_en = "Reload the list and look at what happened meanwhile."
    next_zh = "请刷新列表，查看最新状态。"
