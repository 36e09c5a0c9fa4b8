"""Command line of the edge agent: `gemba-edge` or `python -m edge_agent`. The commands are in `cli.py`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from edge_agent.cli import parser
from edge_agent.errors import EdgeError


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code: 0 done, 1 an error a person can act on, 2 wrong usage."""
    given = parser().parse_args(arguments)
    run: Callable[..., int] = given.run
    try:
        return run(given)
    except EdgeError as error:
        print(error.text(given.lang), file=sys.stderr)
        return 1
    except (KeyboardInterrupt, BrokenPipeError):
        return 1


if __name__ == "__main__":
    sys.exit(main())
