"""Items, BOMs and routings of the pump maker as its ERP keeps them."""

from __future__ import annotations

from typing import Any

from simulators.erp.books import Books
from simulators.scenario import Product, Scenario


def fill(books: Books, scenario: Scenario) -> None:
    for component in scenario.components:
        for product in scenario.products:
            code = component.item(product.code)
            books.put(
                "items",
                code,
                {
                    "code": code,
                    "name_zh": f"{component.name_zh} {product.code[2:]}",
                    "name_en": f"{component.name_en} {product.code[2:]}",
                    "unit": component.unit,
                    "tracking": "lot",
                    "family": None,
                    "box_quantity": None,
                    "gtin": None,
                },
            )
    for product in scenario.products:
        books.put("items", product.code, _item(product))
        lines = [{"item": c.item(product.code), "quantity": c.quantity, "operation": c.operation} for c in scenario.components]
        books.put("boms", product.code, {"item": product.code, "revision": "A", "lines": lines})
        books.put("routings", product.code, {"item": product.code, "revision": "A", "operations": routing(scenario, product)})


def _item(product: Product) -> dict[str, Any]:
    return {
        "code": product.code,
        "name_zh": product.name_zh,
        "name_en": product.name_en,
        "unit": "pcs",
        "tracking": "serial",
        "family": product.family,
        "box_quantity": product.box_quantity,
        "gtin": product.gtin,
    }


def routing(scenario: Scenario, product: Product) -> list[dict[str, Any]]:
    return [
        {
            "number": operation.number,
            "name_zh": operation.name_zh,
            "name_en": operation.name_en,
            "machine_class": operation.machine_class,
            "machines": list(operation.machines),
            "setup_s": round(scenario.setup_same_s * scenario.setup_factor.get(operation.machine_class, 1.0)),
            "cycle_s": product.cycle_s[operation.number],
            "counting": operation.counting,
            "milestone": operation.milestone,
        }
        for operation in scenario.operations
    ]
