"""A run that has ended, sent to the trackers that ``--track`` names."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from inferometer.errors import InferometerError

if TYPE_CHECKING:
    from inferometer.api import RunResult


def print_tracked(result: RunResult, names: Sequence[str]) -> None:
    """Send the run to each, and print where it went; one that fails is told of, and changes nothing else."""
    for name in dict.fromkeys(names):
        from inferometer.api.tracking import track

        try:
            print(f"track  {track(result.path, name, summary=result.summary)}")
        except InferometerError as error:
            again = f"then inferometer export {result.path} --as {name}"
            print(f"warning: --track {name}: {error.message}; {error.next_step}, {again}", file=sys.stderr)
