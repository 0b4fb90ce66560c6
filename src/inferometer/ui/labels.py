"""Labels as people write them into a form. A note is the label ``note``, so that every verb shows it."""

from __future__ import annotations

from collections.abc import Mapping

from inferometer.errors import UsageError
from inferometer.ui.store import StoredRun

NOTE = "note"
_LONGEST = 2000


def labels_of(label: str, lines: str, note: str) -> tuple[str, Mapping[str, str]]:
    """The word and the pairs that a form gives.

    Args:
        label: one line.
        lines: ``key=value``, one a line.
        note: any text.

    Raises:
        UsageError: a line is no pair, a key is given twice, or a text is too long.
    """
    labels: dict[str, str] = {}
    for line in filter(None, map(str.strip, lines.splitlines())):
        key, equals, value = (part.strip() for part in line.partition("="))
        if not key or not equals:
            raise UsageError(f"label {line!r} is no pair", "write key=value, one a line")
        if key in labels or key == NOTE:
            raise UsageError(f"label {key!r} is given twice", "write each key once")
        labels[key] = value
    if note.strip():
        labels[NOTE] = note.strip().replace("\r\n", "\n")
    if max(map(len, [label, *labels, *labels.values()])) > _LONGEST:
        raise UsageError(f"a label is longer than {_LONGEST:,} characters", "write less")
    return " ".join(label.split()), labels


def label_lines(run: StoredRun) -> tuple[str, str, str]:
    """The three texts of a form for the labels that a run has."""
    pairs = [f"{key}={value}" for key, value in run.labels.items() if key != NOTE]
    return run.label, "\n".join(pairs), run.labels.get(NOTE, "")
