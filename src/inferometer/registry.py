"""One generic registry: a name leads to an object that is imported when it is first asked for."""

from __future__ import annotations

import difflib
import importlib
from importlib.metadata import entry_points
from typing import Any

from inferometer.errors import UsageError


class Registry:
    """Names of one kind of extension, each with a lazy ``module:attribute`` target.

    Args:
        kind: what the names stand for, as a user reads it in an error ("data set").
        targets: the built-in names.
        group: entry-point group that other packages may register names under.
    """

    def __init__(self, kind: str, targets: dict[str, str], group: str | None = None) -> None:
        self.kind = kind
        self._targets = dict(targets)
        self._group = group
        self._discovered = group is None

    def register(self, name: str, target: str) -> None:
        """Add ``name``; a name that is taken is an error, never an override."""
        if name in self._targets:
            raise ValueError(f"{self.kind} {name!r} is already registered as {self._targets[name]}")
        self._targets[name] = target

    def names(self) -> tuple[str, ...]:
        """All known names, sorted."""
        self._discover()
        return tuple(sorted(self._targets))

    def get(self, name: str) -> Any:
        """The object behind ``name``.

        Raises:
            UsageError: no such name; the message suggests the nearest one.
        """
        if name not in self._targets:
            self._discover()
        if name not in self._targets:
            near = difflib.get_close_matches(name, self._targets, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(sorted(self._targets))}"
            raise UsageError(f"unknown {self.kind} {name!r}", hint)
        module, _, attribute = self._targets[name].partition(":")
        return getattr(importlib.import_module(module), attribute)

    def _discover(self) -> None:
        if self._discovered or self._group is None:
            return
        self._discovered = True
        for point in entry_points(group=self._group):
            self.register(point.name, point.value)
