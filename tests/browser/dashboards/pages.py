"""Every page of the dashboards with an address that shows something on the tests' stage. `shots` uses the same list with a plant's own codes."""

from __future__ import annotations


def pages(*, day: str, machine: str, line: str, order: str, serial: str) -> dict[str, str]:
    """name → path (with query). `day`: a production day with data."""
    return {
        "yesterday": f"/dashboards/yesterday?day={day}",
        "now": "/dashboards/now",
        "machine-day": f"/dashboards/machines/{machine}?day={day}",
        "losses": f"/dashboards/losses?scope=line:{line}&day={day}",
        "orders": "/dashboards/orders",
        "order": f"/dashboards/orders/{order}",
        "energy": f"/dashboards/energy?day={day}",
        "trace": f"/dashboards/trace?code={serial}&kind=serial",
        "erp-messages": "/dashboards/erp",
        "erp-changes": "/dashboards/erp?tab=changes",
        "people": "/dashboards/people",
        "devices": "/dashboards/people?tab=devices",
        "api-tokens": "/dashboards/people?tab=tokens",
        "roles": "/dashboards/people?tab=roles",
        "health": "/dashboards/health",
        "wall": f"/dashboards/wall/{line}",
        "sign-in": "/dashboards/signin",
    }


PAGES = pages(day="2026-03-02", machine="SAW-01", line="L1", order="WO-1001", serial="SN-0001")
