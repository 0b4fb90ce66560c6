"""A run that has ended, sent to the trackers that ``--track`` names."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from inferometer.errors import InferometerError, place_of

if TYPE_CHECKING:
    from inferometer.api import RunResult


def print_tracked(result: RunResult, names: Sequence[str]) -> None:
    """Send the run to each, and print where it went; one that fails is told of, and changes nothing else."""
    for name in dict.fromkeys(names):
        from inferometer.api.tracking import track

        again = f"inferometer export {result.path} --as {name}"
        try:
            print(f"track  {track(result.path, name, summary=result.summary)}")
            continue
        except InferometerError as error:
            why = f"{error.message}; {error.next_step}, then {again}"
        except Exception as error:  # noqa: BLE001 - a fault in what is sent takes nothing away that was measured
            why = f"{place_of(error)}; INFEROMETER_DEBUG=1 {again} shows more"
        print(f"warning: --track {name}: {why}", file=sys.stderr)
