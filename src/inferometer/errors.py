"""The exception tree. Every message names the thing, its value, the rule and the next step."""

from __future__ import annotations


def place_of(error: BaseException) -> str:
    """A fault of our own, for its report: its kind, and the last place of our code on its way."""
    from pathlib import Path  # only a fault needs it

    house, place, trace = Path(__file__).parent, "", error.__traceback__
    while trace is not None:
        file = Path(trace.tb_frame.f_code.co_filename)
        if file.is_relative_to(house):
            place = f" at {file.relative_to(house)}:{trace.tb_lineno} in {trace.tb_frame.f_code.co_name}"
        trace = trace.tb_next
    return f"{type(error).__name__}{place}"


class InferometerError(Exception):
    """Something a user can act on.

    Args:
        message: which thing, which value, which rule was broken.
        next_step: what to do about it; empty when the message already says so.

    Attributes:
        run_folder: where what was measured before is kept; None when nothing was.
    """

    exit_code = 2

    def __init__(self, message: str, next_step: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.next_step = next_step
        self.run_folder: str | None = None

    def __str__(self) -> str:
        return f"{self.message} ({self.next_step})" if self.next_step else self.message


class UsageError(InferometerError):
    """A flag, a configuration file or a combination of values that cannot be carried out.

    Attributes:
        problems: where several things may be wrong at once, each with its next step, for those who show them singly.
    """

    problems: tuple[tuple[str, str], ...] = ()


class DataError(InferometerError):
    """A data set or tokenizer file that is missing, empty or broken; names the file and the line."""


class EndpointError(InferometerError):
    """The endpoint cannot be reached, or does not answer as its dialect says it should."""

    exit_code = 6


class EngineError(InferometerError):
    """An engine does not start, does not become ready, or ends before it is asked to.

    Attributes:
        log: the file that holds what it wrote; None when it was never started.
    """

    log: str | None = None


class RunFolderError(InferometerError):
    """A run folder that cannot be written or read."""


class LoadgenError(InferometerError):
    """The load generator itself failed; what had been measured is in the run folder."""

    exit_code = 5


class InterruptedEarlyError(InferometerError):
    """The user ended the run before the first request went out; there is no run folder."""

    exit_code = 130
