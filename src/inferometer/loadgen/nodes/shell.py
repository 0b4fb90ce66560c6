"""What is carried to a node: a thin shell around ``Agent``.

It travels as code and not by name, so that it also works where this package is missing, and can say so. Hence nothing
but the standard library at the top.
"""

import importlib.util
import os
import platform
import sys
from typing import Any


class Shell:
    """An actor on a node; ``call`` passes on to its ``Agent``."""

    def __init__(self) -> None:
        self._parent = os.getppid()  # the cluster's own process on this node
        self._agent: Any = None

    def look(self) -> "dict[str, Any]":
        """Which versions are here; ``inferometer`` is None where it is not installed."""
        version: str | None = None
        if importlib.util.find_spec("inferometer") is not None:
            from inferometer.version import __version__

            version = __version__
        return {
            "inferometer": version,
            "python": platform.python_version(),
            "executable": sys.executable,
            "name": platform.node(),
        }

    def open(self) -> "dict[str, Any]":
        """Make the agent; what it knows of this machine."""
        from inferometer.clock import MonotonicClock
        from inferometer.loadgen.nodes.agent import Agent

        self._agent = Agent(MonotonicClock(), lambda: os.getppid() != self._parent)
        facts: dict[str, Any] = self._agent.facts()
        return facts

    def call(self, name: str, *arguments: Any) -> Any:
        """A method of the agent."""
        return getattr(self._agent, name)(*arguments)
