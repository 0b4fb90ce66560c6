"""What a tracker is, and how one that fails says so."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from inferometer.client.redact import error_text
from inferometer.errors import InferometerError, UsageError
from inferometer.exchange.trackers.logged import Logged
from inferometer.record.tables import RunRecord


class TrackerError(InferometerError):
    """A tracker that could not be reached, or refused what it was sent. The run itself is as it was."""


class Tracker(Protocol):
    """Sends one run; made anew for each.

    Attributes:
        about: one line for a list of formats.
        options: what may be given beside its own environment variables, and what it means.
    """

    about: str
    options: Mapping[str, str]

    def check(self) -> None:
        """Find out that it is installed, without sending anything.

        Raises:
            UsageError: its extra is missing; names the line that installs it.
        """
        ...

    def send(self, run: RunRecord, logged: Logged, files: Sequence[Path], options: Mapping[str, str]) -> str:
        """Send it, leave no process behind, and say in one line where it went.

        Raises:
            TrackerError: it could not be sent.
        """
        ...


def library(module: str, extra: str) -> Any:
    """The module of a tracker, imported now.

    Raises:
        UsageError: it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise UsageError(
            f"{extra} is not installed: {error}", f"pip install 'inferometer[{extra}]'"
        ) from None


@contextmanager
def told(name: str, next_step: str) -> Iterator[None]:
    """Whatever a tracker's library raises becomes one error with a next step: the one seam for foreign errors.

    Raises:
        TrackerError: in place of what the library raised.
    """
    try:
        yield
    except InferometerError:
        raise
    except Exception as error:
        text = error_text(str(error)) or type(error).__name__
        raise TrackerError(f"{name} did not take the run: {text}", next_step) from error
