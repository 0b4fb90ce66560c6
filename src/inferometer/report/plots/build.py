"""The pictures of a run: what is known of it as a whole, and of each of its load points."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from inferometer.metrics.capacity import Capacity
from inferometer.metrics.latency import PointData
from inferometer.metrics.summary import RunSummary, stored_spec
from inferometer.record.tables import RunRecord
from inferometer.report.plots.client import client_charts
from inferometer.report.plots.courses import courses
from inferometer.report.plots.distributions import METRICS, Sampled, distributions, sampled, stated
from inferometer.report.plots.lengths import lengths_of_loads, lengths_of_point
from inferometer.report.plots.loads import Load, limits_of, loads_of
from inferometer.report.plots.model import Plot
from inferometer.report.plots.over_load import over_load
from inferometer.report.plots.place import Place
from inferometer.report.plots.scatter import cloud_of, scatters
from inferometer.report.plots.telemetry import telemetry_charts
from inferometer.report.plots.terms import point_names
from inferometer.report.plots.throughput import throughput_latency
from inferometer.report.plots.timeline import gantt
from inferometer.report.words import Words


class PointPictures(msgspec.Struct, frozen=True, kw_only=True):
    """Those of one load point.

    Attributes:
        index: of the load point.
        load: its name.
        plots: timeline, courses, lengths, telemetry, client: those that have data.
    """

    index: int
    load: Words
    plots: tuple[Plot, ...]


class Pictures(msgspec.Struct, frozen=True, kw_only=True):
    """All pictures of a run; keys are unique among them.

    Attributes:
        overview: of the whole run.
        points: of the load points that have any, in the order of the summary.
    """

    overview: tuple[Plot, ...]
    points: tuple[PointPictures, ...]


def pictures_of(run: RunRecord, summary: RunSummary, capacity: Capacity | None = None) -> Pictures:
    """The pictures that a run has data for; warm-up is in none of them.

    Args:
        run: as it is stored.
        summary: of it.
        capacity: what a search for the largest load within limits found.

    Raises:
        RunFolderError: the stored spec cannot be read.
    """
    measure = stored_spec(run.meta).measure
    tables = {table.point.index: table for table in run.measured}
    names = {
        point.index: name for point, name in zip(summary.points, point_names(summary.points), strict=True)
    }
    of_points: dict[int, PointPictures] = {}
    lines, clouds, loads = [], [], loads_of(summary)
    for load in loads:
        places = [
            Place(names[point.index], PointData(tables[point.index], slo=measure.slo), point, run.telemetry)
            for point in load.points
            if point.index in tables
        ]
        lines.append((load.title, _distributions(load, places)))
        if places:
            clouds.append(cloud_of(load, [place.data for place in places]))
        for place in places:
            of_points[place.index] = PointPictures(index=place.index, load=place.name, plots=_of_point(place))
    ordered = [of_points[point.index] for point in summary.points if point.index in of_points]
    overview: tuple[Plot, ...] = (
        *throughput_latency([("", summary)]),
        *over_load(summary, capacity),
        *distributions(lines, limits_of([summary])),
        *lengths_of_loads(loads),
        *scatters(clouds),
    )
    return Pictures(overview=overview, points=tuple(each for each in ordered if each.plots))


def _distributions(load: Load, places: Sequence[Place]) -> dict[str, Sampled]:
    """Of the requests of all repeats; where these are not known, the percentiles that were reported."""
    found = {}
    for metric in METRICS:
        values = [getattr(place.data, f"{metric}_ms") for place in places]
        own = sampled(np.concatenate(values)) if values else None
        own = own or stated(load, metric)
        if own is not None:
            found[metric] = own
    return found


def _of_point(place: Place) -> tuple[Plot, ...]:
    timeline = gantt(place)
    return (
        *(() if timeline is None else (timeline,)),
        *courses(place),
        *lengths_of_point(place),
        *telemetry_charts(place),
        *client_charts(place),
    )
