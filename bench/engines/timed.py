"""The completions dialect with llama.cpp's ``timings`` kept behind the text of each answer.

``install`` writes it as a package of its own with an entry point, the way in which anybody adds a dialect: the run then
takes ``--backend timed-completions --keep-text``, and ``timings_of`` reads from its record what the engine said of each
request.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from inferometer.client.dialects import Delta
from inferometer.client.dialects.openai import OpenAIDialect
from inferometer.client.dialects.reading import UNREADABLE
from inferometer.record.tables import PointTable

BACKEND = "timed-completions"
_MARK = "\x1e timings \x1e"  # a random model may well write a record separator


class TimedCompletions(OpenAIDialect):
    """Legacy completions; the finish event, which carries no output, gets the timings as its text."""

    events = None  # type: ignore[assignment]  # each event by itself

    def event(self, data: bytes, name: bytes) -> Delta:
        """As completions, but for the event with the timings."""
        delta = super().event(data, name)
        if b'"timings"' not in data:
            return delta
        try:
            timings = json.loads(data)["timings"]
        except (*UNREADABLE, ValueError, KeyError):
            return delta
        return delta._replace(text=delta.text + _MARK + json.dumps(timings))


TIMED_COMPLETIONS = TimedCompletions("openai-completions")


def install(folder: Path) -> None:
    """Make the dialect known to whoever has ``folder`` on PYTHONPATH."""
    shutil.copy(__file__, folder / "inferometer_timed.py")
    metadata = folder / "inferometer_timed-1.dist-info"
    metadata.mkdir(exist_ok=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: inferometer-timed\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text(
        f"[inferometer.dialects]\n{BACKEND} = inferometer_timed:TIMED_COMPLETIONS\n"
    )


def timings_of(table: PointTable) -> list[dict[str, Any]]:
    """The engine's timings of each request, in the order of the record; an empty one where there are none."""
    parts = [(text or "").rpartition(_MARK) for text in table.text("output").tolist()]
    return [json.loads(timings) if mark else {} for _, mark, timings in parts]
