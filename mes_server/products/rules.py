"""Checks of an item. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from mes_server.products.errors import ItemFault
from mes_server.products.schemas import Bom, ItemBody, Routing


def gtin_fits(gtin: str) -> bool:
    """GS1 General Specifications 7.9: the weighted digit sum, check digit included, divides by ten."""
    digits = [int(digit) for digit in reversed(gtin)]
    return sum(digit * (3 if place % 2 else 1) for place, digit in enumerate(digits)) % 10 == 0


def faults(item: ItemBody) -> list[ItemFault]:
    """Everything in which an item contradicts itself."""
    found: list[ItemFault] = []
    if item.gtin is not None and not gtin_fits(item.gtin):
        found.append(ItemFault("gtin", f"the check digit of {item.gtin} is wrong", f"{item.gtin} 校验位错误"))
    if item.bom is not None:
        found += _bom_faults(item, item.bom)
    if item.routing is not None:
        found += _routing_faults(item.routing)
    return found


def _bom_faults(item: ItemBody, bom: Bom) -> Iterator[ItemFault]:
    steps = {one.number for one in item.routing.operations} if item.routing is not None else None
    seen: set[tuple[str, int | None]] = set()
    for line in bom.lines:
        where = f"bom.{line.item}"
        if line.item == item.code:
            yield ItemFault(where, "an item is not its own component", "物料不能是自身的组件")
        if (line.item, line.operation) in seen:
            yield ItemFault(where, "the component is named twice for the same operation", "同一工序中组件重复")
        seen.add((line.item, line.operation))
        if steps is not None and line.operation is not None and line.operation not in steps:
            yield ItemFault(where, f"the routing has no operation {line.operation}", f"工艺路线中没有工序 {line.operation}")


def _routing_faults(routing: Routing) -> Iterator[ItemFault]:
    numbers = [one.number for one in routing.operations]
    if not numbers:
        yield ItemFault("routing", "a routing has at least one operation", "工艺路线至少有一道工序")
    if numbers != sorted(set(numbers)):
        yield ItemFault("routing", "operation numbers rise and none comes twice", "工序号须递增且不重复")


def warnings(item: ItemBody, *, items: Collection[str], machines: Collection[str], classes: Collection[str]) -> list[ItemFault]:
    """What the item names and this plant does not know (yet): told, not refused, because master data arrives in any order."""
    found = [
        ItemFault(f"bom.{line.item}", f"item {line.item} is not known yet", f"物料 {line.item} 尚未建立")
        for line in (item.bom.lines if item.bom else ())
        if line.item not in items and line.item != item.code
    ]
    for step in item.routing.operations if item.routing else ():
        if step.machine_class not in classes:
            what = step.machine_class
            found.append(ItemFault(f"routing.{step.number}", f"no machine is of class {what}", f"没有类别为 {what} 的设备"))
        found += [
            ItemFault(f"routing.{step.number}", f"there is no machine {code}", f"没有设备 {code}") for code in step.machines if code not in machines
        ]
    return found
