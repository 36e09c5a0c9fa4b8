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
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "edge_agent":
            raise
        print(not_installed(error.name or "").text(given.lang), file=sys.stderr)
        return 2
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            return 1
        print(file_trouble(error).text(given.lang), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 1


def not_installed(package: str) -> EdgeError:
    """This installation has no edge in it (a server's, or one without any extra)."""
    return EdgeError(
        f"The edge agent is not part of this installation ({package} is missing).",
        f"此安装不含边缘网关(缺少 {package})。",
        "Install it: pip install gemba-mes[edge]",
        "请运行 pip install gemba-mes[edge]",
    )


def file_trouble(error: OSError) -> EdgeError:
    """A file or folder that somebody named, a full disk."""
    return EdgeError(
        f"A file could not be used: {error}.",
        f"文件操作失败:{error}。",
        "Check its path, the rights and the space on the disk.",
        "请检查路径、权限与磁盘空间。",
    )


if __name__ == "__main__":
    sys.exit(main())
