"""``prediction.json``: what was simulated in place of a server, and how sure its numbers are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from inferometer.record.beside import read_beside, write_beside

PREDICTION_JSON = "prediction.json"
SCHEMA = "inferometer.prediction/1"


class Predicted(msgspec.Struct, frozen=True, kw_only=True):
    """One number of a load point with its 90 % prediction interval.

    Attributes:
        metric: its key in the summary (``ttft_ms``, ``output_throughput_per_s``); the unit is that of the key.
        statistic: "mean", "p99" ..., or "value" where the metric is one number.
        value: predicted by the profile's best coefficients.
        low, high: where 90 of 100 measurements are expected; None where that is not known.
        members: predicted by each member of the ensemble, in its order; empty where one of them has no such number.
            Two services that are compared differ as far as their members do, pair by pair.
    """

    metric: str
    statistic: str
    value: float
    low: float | None = None
    high: float | None = None
    members: list[float] = []


class PointPrediction(msgspec.Struct, frozen=True, kw_only=True):
    """One load point.

    Attributes:
        point: its ``index``.
        members: of the ensemble that it was simulated with; 0 = none, so there is no interval.
        numbers: those that have, or may have, an interval.
        warnings: what of the load lies outside of what the profile was calibrated with.
        steps: of all instances.
        busy_share: by instance, the part of the time in which a step ran; prefill instances first.
        kv_peak_blocks: by instance, most KV blocks held at a time; None where that was not counted.
    """

    point: int
    members: int
    numbers: list[Predicted]
    warnings: list[str] = []
    steps: int = 0
    busy_share: list[float] = []
    kv_peak_blocks: list[int | None] = []


class Prediction(msgspec.Struct, frozen=True, kw_only=True):
    """A simulated run.

    Attributes:
        schema: of this file.
        what: the service, in one line for people.
        label: which of several that were compared; empty where it is the only one.
        profile: schema, file, sha256, method and coefficients of the calibration.
        limits: of each instance.
        service: instances, router, ratio and transfer.
        engine: whose flags, and the flags.
        notes: what a reader has to know: flags that are not simulated, what was assumed.
        no_interval: why there are no intervals, in words; None = there are.
        points: those that count, in the order in which they were simulated.
    """

    schema: str = SCHEMA
    what: str
    label: str = ""
    profile: dict[str, Any] = {}
    limits: dict[str, Any] = {}
    service: dict[str, Any] = {}
    engine: dict[str, Any] = {}
    notes: list[str] = []
    no_interval: str | None = None
    points: list[PointPrediction] = []

    def of_point(self, index: int) -> PointPrediction | None:
        """That of a load point; None where it was not simulated to its end."""
        return next((point for point in self.points if point.point == index), None)


def write_prediction(folder: Path, prediction: Prediction) -> None:
    """Write ``prediction.json``.

    Raises:
        RunFolderError: it cannot be written.
    """
    write_beside(folder / PREDICTION_JSON, prediction)


def read_prediction(folder: Path) -> Prediction | None:
    """The prediction of a run; None for one that was measured.

    Raises:
        RunFolderError: the file cannot be understood.
    """
    return read_beside(folder / PREDICTION_JSON, Prediction, SCHEMA, "simulate again")
