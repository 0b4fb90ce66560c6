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
