"""How this package starts another process of its own."""

from __future__ import annotations

import sys


def own_program(module: str, *arguments: str) -> list[str]:
    """The command that runs ``main()`` of one of our modules in a process of its own.

    ``python -m`` would put the current directory first on the path, and a file there named ``random.py`` would
    stand in for the library's. Here that directory comes last.

    Args:
        module: a module whose ``main()`` returns an exit status.
        arguments: what it finds in ``sys.argv[1:]``.
    """
    start = f"import sys; sys.path.append(sys.path.pop(0)); from {module} import main; sys.exit(main())"
    return [sys.executable, "-c", start, *arguments]


def own_module(module: str, *arguments: str) -> list[str]:
    """As ``own_program``, for a command line that a person reads and copies.

    It runs the module as ``__main__``: of one that others import there would be two. Before Python 3.11 no flag keeps
    the current directory off the path, and it is ``own_program``.
    """
    if not hasattr(sys.flags, "safe_path"):
        return own_program(module, *arguments)
    return [sys.executable, "-P", "-m", module, *arguments]
