"""`python -m mes_server …` and `gemba-server …`."""

from __future__ import annotations

import sys

from mes_server.cli import main

if __name__ == "__main__":
    sys.exit(main())
