"""What can be wrong with an item."""

from __future__ import annotations

from dataclasses import dataclass

from mes_server.kit.errors import Conflict, Lang, NotFound, Refused


class UnknownItem(NotFound):
    """No item has this code."""

    code = "unknown_item"
    en = "There is no item {item}."
    zh = "没有物料 {item}。"
    next_en = "Check the code; items come from the ERP or from PUT /items."
    next_zh = "请检查代码；物料来自 ERP 或物料维护。"


class UnknownRevision(NotFound):
    """The item has no such revision."""

    code = "unknown_revision"
    en = "Item {item} has no {kind} revision {revision}."
    zh = "物料 {item} 没有 {kind} 版本 {revision}。"
    next_en = "Look at the item's revisions."
    next_zh = "请查看该物料的版本。"


@dataclass(frozen=True, slots=True)
class ItemFault:
    """One fault or warning, in both languages."""

    where: str
    en: str
    zh: str


class ItemInvalid(Refused):
    """The item contradicts itself; every fault is named at once."""

    code = "item_invalid"
    en = "Item {item} has {count} fault(s): {faults}"
    zh = "物料 {item} 有 {count} 处错误：{faults}"
    next_en = "Correct them all and send again; nothing was changed."
    next_zh = "请全部更正后重新提交；未做任何更改。"

    def __init__(self, item: str, faults: list[ItemFault]) -> None:
        self.faults = faults
        super().__init__(item=item, count=len(faults), faults="; ".join(f"{fault.where}: {fault.en}" for fault in faults[:50]))

    def say(self, lang: Lang) -> str:
        words = "; ".join(f"{fault.where}: {fault.zh if lang == 'zh' else fault.en}" for fault in self.faults[:50])
        return (self.zh if lang == "zh" else self.en).format(**{**self.params, "faults": words})


class RevisionFrozen(Conflict):
    """A revision was sent again with other content."""

    code = "revision_frozen"
    en = "Revision {revision} of the {kind} of {item} exists with other content."
    zh = "物料 {item} 的 {kind} 版本 {revision} 已存在且内容不同。"
    next_en = "Give the change a new revision name, or leave the name out and one is made."
    next_zh = "请使用新的版本号，或不填版本号由系统生成。"


class GtinTaken(Conflict):
    """Two items cannot share a GTIN."""

    code = "gtin_taken"
    en = "GTIN {gtin} already belongs to item {item}."
    zh = "GTIN {gtin} 已属于物料 {item}。"
    next_en = "Check the number on the label."
    next_zh = "请核对标签上的号码。"
