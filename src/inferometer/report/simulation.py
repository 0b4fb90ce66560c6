"""What a report says of a simulated run: what was simulated, how sure its numbers are, and where they are a guess."""

from __future__ import annotations

from collections.abc import Sequence

from inferometer.metrics.summary import PointSummary
from inferometer.record.prediction import PointPrediction, Predicted, Prediction
from inferometer.report.text import ABSENT, number, percent, table

_COLUMNS = (
    ("req/s", "request_throughput_per_s", "value"),
    ("out tok/s", "output_throughput_per_s", "value"),
    ("TTFT mean ms", "ttft_ms", "mean"),
    ("TTFT p99 ms", "ttft_ms", "p99"),
    ("TPOT mean ms", "tpot_ms", "mean"),
    ("E2EL mean ms", "e2el_ms", "mean"),
    ("E2EL p99 ms", "e2el_ms", "p99"),
)


def told(prediction: Prediction) -> list[str]:
    """What stands in place of a server, in a sentence each."""
    lines = [f"simulated: {prediction.what}; no real server was measured"]
    method, file = prediction.profile.get("method"), prediction.profile.get("file")
    if method == "priors":
        lines.append("not calibrated: times follow from the sizes of the model and the sheet of the device")
    elif file is not None:
        lines.append(f"calibrated by {method}: {file}")
    return lines


def interval_lines(
    prediction: Prediction, points: Sequence[PointSummary], titles: Sequence[str]
) -> tuple[list[str], list[str]]:
    """A table of numbers with their intervals, a row a load point, and what is to be said of it.

    Args:
        prediction: of the run.
        points: its load points.
        titles: of these.
    """
    known = [(title, prediction.of_point(point.index)) for title, point in zip(titles, points, strict=True)]
    shown = [(title, found) for title, found in known if found is not None]
    columns = [column for column in _COLUMNS if any(_of(found, column) is not None for _, found in shown)]
    rows = [
        [title, *(_cell(_of(found, column)) for column in columns), _busy(found)] for title, found in shown
    ]
    lines: list[str] = []
    if columns and any(each.low is not None for _, found in shown for each in found.numbers):
        header = ["load", *(name for name, _, _ in columns), "busy"]
        lines = table(header, rows, "<" + ">" * (len(columns) + 1))
    return lines, _notes(prediction, shown)


def _notes(prediction: Prediction, shown: Sequence[tuple[str, PointPrediction]]) -> list[str]:
    notes = []
    if prediction.no_interval is not None:
        notes.append(f"no interval: {prediction.no_interval}")
    elif any(found.numbers for _, found in shown):
        members = " or ".join(str(each) for each in sorted({found.members for _, found in shown}))
        drawn = prediction.profile.get("method") == "priors"
        what = (
            "drawn from what is not known of device and engine"
            if drawn
            else "that fit the data about as well"
        )
        notes.append(
            f"value [where 90 of 100 measurements are expected], from {members} sets of coefficients {what}; busy: "
            "time in which a step ran"
        )
    for title, found in shown:
        notes += [f"{title}: {warning}" for warning in found.warnings]
    return notes


def _of(found: PointPrediction, column: tuple[str, str, str]) -> Predicted | None:
    _, metric, statistic = column
    return next((n for n in found.numbers if (n.metric, n.statistic) == (metric, statistic)), None)


def _cell(found: Predicted | None) -> str:
    if found is None:
        return ABSENT
    if found.low is None or found.high is None:
        return _figure(found.value)
    return f"{_figure(found.value)} [{_figure(found.low)}, {_figure(found.high)}]"


def _figure(value: float) -> str:
    """Some three digits: 0.05, 1.20, 12.3, 1,234."""
    return number(value, 2 if value < 10 else 1 if value < 100 else 0)


def _busy(found: PointPrediction) -> str:
    return percent(max(found.busy_share)) if found.busy_share else ABSENT
