"""What can go wrong with actions, in words."""

from mes_server.kit.errors import NotFound


class ActionUnknown(NotFound):
    code = "action_unknown"
    en = "There is no action {action}."
    zh = "没有行动项 {action}。"
    next_en = "Load the page again."
    next_zh = "请刷新页面。"
