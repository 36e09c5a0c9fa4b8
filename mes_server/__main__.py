"""`python -m mes_server …` and `gemba-server …`."""

from __future__ import annotations

import sys


def main(argv: list[str] | None = None) -> int:
    """The exit code of the command; 2 where what it needs is not installed (an edge's box; no extra for this database)."""
    try:
        from mes_server.cli import main as run

        return run(argv)
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing in ("mes_server", "edge_agent"):
            raise
        what = {"influxdb_client": "influx", "psycopg": "postgres", "psycopg2": "postgres"}.get(missing, "server")
        sys.stderr.write(f"此安装缺少 {missing}。请运行 pip install gemba-mes[{what}]\n")
        sys.stderr.write(f"{missing} is missing in this installation. Install it: pip install gemba-mes[{what}]\n")
        return 2


if __name__ == "__main__":
    sys.exit(main())
