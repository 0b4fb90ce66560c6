"""Several simulated services on the same load: numbers, differences, and which is best within the limits. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from inferometer.metrics.slo import LATENCIES, PointLimit, SloResult, parse_slo
from inferometer.metrics.summary import PointSummary
from inferometer.record.prediction import PointPrediction, Predicted
from inferometer.report.sweep import titled
from inferometer.report.text import ABSENT
from inferometer.simulator.calibration.ensemble import student_95

SCHEMA = "inferometer.what-if/1"
_TIE, _ALL = 0.01, 1.0
MOST = "most output tokens per second; of those within 1 % the fewest instances, then the lowest TPOT"
CARRIED = "all that meet the limits carry the load: of those the fewest instances, then the lowest TPOT"


class Column(msgspec.Struct, frozen=True):
    """One number of the table: metric and statistic as in ``prediction.json``, and how it is called."""

    metric: str
    statistic: str
    title: str


OUTPUT = Column("output_throughput_per_s", "value", "out tok/s")
TPOT = Column("tpot_ms", "p50", "TPOT p50 ms")


class Simulation(msgspec.Struct, frozen=True, kw_only=True):
    """One service, simulated.

    Attributes:
        label: of the variant, for people.
        what: the service in one line.
        run: its folder.
        instances: in all.
        verdict: of the run.
        points: its load points.
        predicted: intervals of the same.
        no_interval: why there are none, in words; None = there are.
        notes: what was assumed, and what is not simulated.
    """

    label: str
    what: str
    run: str
    instances: int
    verdict: str
    points: list[PointSummary]
    predicted: list[PointPrediction]
    no_interval: str | None = None
    notes: list[str] = []

    @property
    def certain(self) -> bool:
        """Whether there are intervals, so that one can be sure of a number."""
        return self.no_interval is None and all(point.members for point in self.predicted)


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """One number of one service.

    Attributes:
        value: predicted; None where there is none.
        low, high: 90 % prediction interval.
        difference: to the first service, as a share of its value, of an attainment in its own unit; None for the first.
        difference_low, difference_high: 90 % interval of that, over the members of the ensemble.
        sure: whether that interval leaves 0 out; None without an ensemble.
    """

    value: float | None = None
    low: float | None = None
    high: float | None = None
    difference: float | None = None
    difference_low: float | None = None
    difference_high: float | None = None
    sure: bool | None = None


class RowOf(msgspec.Struct, frozen=True, kw_only=True):
    """One service at one load point.

    Attributes:
        label: of the service.
        cells: by title of the column.
        meets: whether all limits are met; None without limits, or where it cannot be known.
        surely: whether they are at the worse end of the intervals, too; None without intervals.
        failing: limits that are not met, with what was predicted.
        warnings: where the prediction is an extrapolation.
    """

    label: str
    cells: dict[str, Cell]
    meets: bool | None
    surely: bool | None
    failing: list[str] = []
    warnings: list[str] = []

    @property
    def limited(self) -> bool:
        """Whether there are limits on the load point, even if it is not known whether they are met."""
        return self.meets is not None or bool(self.failing)


class LoadOf(msgspec.Struct, frozen=True, kw_only=True):
    """All services at one load point; ``best`` is the label of the best one, None where none meets the limits.

    ``rule`` says in words what makes it the best.
    """

    title: str
    load: dict[str, Any]
    rows: list[RowOf]
    best: str | None
    rule: str


class Fewest(msgspec.Struct, frozen=True, kw_only=True):
    """How many instances meet the limits.

    Attributes:
        label: what each instance is; empty if only one kind was asked about.
        enough: the fewest whose prediction meets them; None if ``most`` do not.
        sure: the fewest that meet them at the worse end of the 90 % intervals, too; None if ``most`` do not, or
            without intervals.
        most: that were to be tried.
        unknown: why it cannot be known whether ``most`` meet them; empty where it is known.
    """

    label: str
    enough: int | None
    sure: int | None
    most: int
    unknown: str = ""


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """Services compared.

    Attributes:
        schema: of this object.
        limits: that were to be met.
        simulations: label, description, folder and verdict of each.
        loads: the numbers, by load point.
        fewest: answers to ``--instances auto``.
        notes: what the numbers rest on.
    """

    schema: str = SCHEMA
    limits: list[str]
    simulations: list[dict[str, Any]]
    loads: list[LoadOf]
    fewest: list[Fewest] = []
    notes: list[str] = []

    @property
    def any_meets(self) -> bool | None:
        """Whether a service is known to meet the limits at every load point; None without limits on load points."""
        if self.fewest:
            return any(one.enough is not None for one in self.fewest)
        if not any(row.limited for load in self.loads for row in load.rows):
            return None
        return any(
            all(rows) for rows in zip(*([row.meets for row in load.rows] for load in self.loads), strict=True)
        )


def compared(simulations: Sequence[Simulation], *, limits: list[str], fewest: list[Fewest]) -> Comparison:
    """Put services side by side; the first is what the others are compared with.

    Args:
        simulations: of the same load points; of one that was stopped, those that it has.
        limits: that were to be met.
        fewest: answers to how many instances are needed.
    """
    count = min((len(one.points) for one in simulations), default=0)
    loads = [one.load for one in simulations[0].points[:count]] if simulations else []
    return Comparison(
        limits=limits,
        simulations=[
            {
                "label": one.label,
                "what": one.what,
                "run": one.run,
                "instances": one.instances,
                "verdict": one.verdict,
            }
            for one in simulations
        ],
        loads=[
            _load_of(place, title, load, simulations)
            for place, (title, load) in enumerate(zip(titled(loads), loads, strict=True))
        ],
        fewest=fewest,
        notes=_notes(simulations),
    )


def meets(one: Simulation, place: int | None = None) -> bool | None:
    """Whether all limits on load points are met, at one load point or all; None without limits, or if not known."""
    points = one.points if place is None else one.points[place : place + 1]
    results = [result.met for point in points for result in point.slo]
    if not results or not points:
        return None
    return False if False in results else None if None in results else True


def failing(point: PointSummary) -> list[str]:
    """Limits that a load point does not meet, or is not known to, with what was predicted, or why it is not known."""
    return [
        f"{result.slo}: {short(result.measured)} {result.unit}"
        if result.met is False
        else f"{result.slo}: {result.reason}"
        for result in point.slo
        if result.met is not True
    ]


def surely_meets(one: Simulation, place: int | None = None) -> bool:
    """Whether they are met at the worse end of the 90 % intervals, too; no where one has no interval."""
    if meets(one, place) is not True:
        return False
    points = one.points if place is None else one.points[place : place + 1]
    return all(_surely(point, result, one) for point in points for result in point.slo)


def _surely(point: PointSummary, result: SloResult, one: Simulation) -> bool:
    if result.slo.strip().lower().startswith("failed"):
        return True  # requests fail for their length alone, whatever the coefficients
    metric, statistic, upper = _limited(result.slo)
    found = _number(one, point.index, metric, statistic)
    worse = None if found is None else found.high if upper else found.low
    if worse is None:
        return False
    return worse <= result.limit if upper else worse >= result.limit


def _limited(text: str) -> tuple[str, str, bool]:
    """Metric and statistic in ``prediction.json`` of a limit on a load point, and whether it is one from above."""
    limit = parse_slo(text)
    assert isinstance(limit, PointLimit)
    if limit.metric in LATENCIES:
        return f"{limit.metric}_ms", limit.statistic, True
    name = limit.metric.removeprefix("steady_")
    return (name if name == "attainment" else f"{name}_per_s"), "value", False


def columns(simulations: Sequence[Simulation]) -> list[Column]:
    """What the table shows: of latencies the median, and the highest percentile up to p99 that one of them has."""
    there = {
        (number.metric, number.statistic)
        for one in simulations
        for point in one.predicted
        for number in point.numbers
    }
    tails = {
        metric: max(
            (float(name[1:]) for key, name in there if key == metric and _is_tail(name)), default=None
        )
        for metric in ("ttft_ms", "tpot_ms")
    }
    found = [OUTPUT, Column("request_throughput_per_s", "value", "req/s")]
    for metric, median in (("ttft_ms", Column("ttft_ms", "p50", "TTFT p50 ms")), ("tpot_ms", TPOT)):
        found.append(median)
        if (tail := tails[metric]) is not None:
            name = f"p{tail:g}"
            found.append(Column(metric, name, f"{metric[:4].upper()} {name} ms"))
    return [*found, Column("attainment", "value", "attainment"), Column("goodput", "value", "goodput/s")]


def _is_tail(statistic: str) -> bool:
    return statistic.startswith("p") and 50.0 < float(statistic[1:]) <= 99.0


def _load_of(place: int, title: str, load: dict[str, Any], simulations: Sequence[Simulation]) -> LoadOf:
    shown = columns(simulations)
    rows = [
        _row(one, place, simulations[0] if number else None, shown) for number, one in enumerate(simulations)
    ]
    carried = _carries(load) and any(row.limited for row in rows)
    best = _best(rows, [one.instances for one in simulations], _ALL if carried else _TIE)
    return LoadOf(title=title, load=load, rows=rows, best=best, rule=CARRIED if carried else MOST)


def _carries(load: dict[str, Any]) -> bool:
    """Whether requests come at their own rate, so that whoever meets the limits gives the same output."""
    rate = load.get("request_rate")
    return rate is not None and rate != float("inf")


def _row(one: Simulation, place: int, first: Simulation | None, shown: Sequence[Column]) -> RowOf:
    point = one.points[place]
    cells = {}
    for column in shown:
        found = _number(one, point.index, column.metric, column.statistic)
        against = (
            None
            if first is None
            else _number(first, first.points[place].index, column.metric, column.statistic)
        )
        if found is not None:
            cells[column.title] = _cell(found, against)
            if column.metric == "attainment" and against is not None:
                cells[column.title] = _in_points(cells[column.title], found, against)
        elif column.metric in point.values and point.values[column.metric] is not None:
            cells[column.title] = Cell(value=point.values[column.metric])  # as an attainment of 0
    prediction = next((each for each in one.predicted if each.point == point.index), None)
    return RowOf(
        label=one.label,
        cells=cells,
        meets=meets(one, place),
        surely=surely_meets(one, place) if one.certain and meets(one, place) is not None else None,
        failing=failing(point),
        warnings=[] if prediction is None else prediction.warnings,
    )


def _number(one: Simulation, index: int, metric: str, statistic: str) -> Predicted | None:
    return next(
        (
            number
            for point in one.predicted
            if point.point == index
            for number in point.numbers
            if (number.metric, number.statistic) == (metric, statistic)
        ),
        None,
    )


def _cell(found: Predicted, first: Predicted | None) -> Cell:
    if first is None:
        return Cell(value=found.value, low=found.low, high=found.high)
    low, high = _spread(found, first)
    return Cell(
        value=found.value,
        low=found.low,
        high=found.high,
        difference=found.value / first.value - 1.0,
        difference_low=low,
        difference_high=high,
        sure=None if low is None or high is None else not low <= 0.0 <= high,
    )


def _in_points(cell: Cell, found: Predicted, first: Predicted) -> Cell:
    """The cell of a share with its difference as such: from 3 % to 90 % are 87 points, not thirty times as much."""
    difference = found.value - first.value
    if len(found.members) < 2 or len(found.members) != len(first.members):
        low = high = None
    else:
        reach = student_95(len(found.members) - 1) * float(
            np.std(np.subtract(found.members, first.members), ddof=1)
        )
        low, high = difference - reach, difference + reach
    return msgspec.structs.replace(
        cell,
        difference=difference,
        difference_low=low,
        difference_high=high,
        sure=None if low is None or high is None else not low <= 0.0 <= high,
    )


def _spread(found: Predicted, first: Predicted) -> tuple[float | None, float | None]:
    """90 % interval of the relative difference: of the logarithm of the ratio, member by member, about the best one.

    What the model leaves out of both services alike is not in it.
    """
    if len(found.members) < 2 or len(found.members) != len(first.members):
        return None, None
    ratios = np.log(np.array(found.members) / np.array(first.members))
    center = np.log(found.value / first.value)
    reach = student_95(len(ratios) - 1) * float(np.std(ratios, ddof=1))
    return float(np.expm1(center - reach)), float(np.expm1(center + reach))


def _best(rows: Sequence[RowOf], instances: Sequence[int], tie: float) -> str | None:
    """Of those that meet all limits the one of most output; within ``tie`` of it the fewest instances, then TPOT."""
    limited = any(row.limited for row in rows)
    left = [(row, count) for row, count in zip(rows, instances, strict=True) if row.meets or not limited]
    output, tpot = OUTPUT.title, TPOT.title
    rates = [row.cells[output].value or 0.0 for row, _ in left if output in row.cells]
    if not rates:
        return None
    tied = [
        (row, count)
        for row, count in left
        if output in row.cells and (row.cells[output].value or 0.0) >= (1 - tie) * max(rates)
    ]

    def rank(entry: tuple[RowOf, int]) -> tuple[int, float]:
        cell = entry[0].cells.get(tpot, Cell())
        return entry[1], float("inf") if cell.value is None else cell.value

    return min(tied, key=rank)[0].label


def _notes(simulations: Sequence[Simulation]) -> list[str]:
    notes = ["all services had the same requests at the same times"]
    missing = {one.no_interval for one in simulations if one.no_interval is not None}
    notes += [f"no intervals: {text}" for text in sorted(missing)]
    for text in dict.fromkeys(text for one in simulations for text in one.notes):
        whose = [one.label for one in simulations if text in one.notes]
        notes.append(text if len(whose) == len(simulations) else f"{', '.join(whose)}: {text}")
    if not any(column.statistic == "p99" for column in columns(simulations)):
        notes.append("p99 is not shown for fewer than 1,000 requests: --num-prompts 1000")
    if any(one.certain for one in simulations):
        notes.append(
            "differences are sure where the 90 % interval of the members' own differences leaves 0 out; what the model "
            "leaves out of all services alike is not in them"
        )
    return notes


def short(value: float | None) -> str:
    """A number with the digits that count, three of them below 100."""
    if value is None:
        return ABSENT
    decimals = 0 if value >= 100 else 1 if value >= 10 else 2
    return f"{value:,.{decimals}f}"
