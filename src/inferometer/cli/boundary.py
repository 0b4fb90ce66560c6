"""The one place where whatever went wrong becomes a message and an exit code."""

from __future__ import annotations

import json
import os
import sys
from types import TracebackType

from inferometer.errors import InferometerError, place_of

INTERRUPTED = 130
OWN_FAULT = 70  # EX_SOFTWARE
PIPE_CLOSED = 141  # 128 + SIGPIPE, as a shell reports it


class Boundary:
    """Turns any exception into a message on stderr and an exit code; no traceback reaches a user.

    Args:
        json_asked: also print the error as the JSON line that ``--json`` promises.
    """

    def __init__(self, json_asked: bool) -> None:
        self.exit_code = 0
        self._json_asked = json_asked

    def __enter__(self) -> Boundary:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if error is None:
            return True
        if isinstance(error, BrokenPipeError):
            # The reader has gone; keep the interpreter from writing to it once more when it exits.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            self.exit_code = PIPE_CLOSED
            return True
        if isinstance(error, SystemExit):
            self.exit_code = error.code if isinstance(error.code, int) else 0 if error.code is None else 2
            return True
        self.exit_code, message = _judged(error)
        if os.environ.get("INFEROMETER_DEBUG"):
            sys.excepthook(kind or type(error), error, trace)
        print(message, file=sys.stderr)
        if self._json_asked:
            folder = getattr(error, "run_folder", None)
            print(json.dumps({"run": folder, "verdict": None, "exit_code": self.exit_code, "error": message}))
        return True


def _judged(error: BaseException) -> tuple[int, str]:
    if isinstance(error, InferometerError):
        step = f"\nnext: {error.next_step}" if error.next_step else ""
        kept = f"\nrun  {error.run_folder}" if error.run_folder else ""
        return error.exit_code, f"error: {error.message}{step}{kept}"
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED, "interrupted"
    return OWN_FAULT, (
        f"error: this is a fault of Inferometer itself: {place_of(error)}\n"
        "next: report it, with what INFEROMETER_DEBUG=1 shows"
    )
