"""A calibrated engine as one small JSON file: coefficients, what they were seen with, and how far they are true."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import msgspec

from inferometer.errors import DataError, UsageError
from inferometer.simulator.instance.limits import EngineLimits
from inferometer.simulator.instance.shape import StepModel
from inferometer.simulator.latency.experts import TouchedExperts, step_model
from inferometer.simulator.latency.facts import ModelFacts
from inferometer.simulator.latency.model import Coefficients
from inferometer.simulator.latency.residual import Residual, ResidualModel
from inferometer.simulator.latency.roofline import Placement
from inferometer.simulator.latency.trust import Where, distance, outside

SCHEMA = "inferometer.profile/1"
_FAMILY = "inferometer.profile/"


class Provenance(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a profile comes from.

    Attributes:
        method: ``steps``, ``requests``, ``table``, or ``priors`` of a device sheet where nothing was measured.
        runs: folders or files that it was fitted to.
        made_at: UTC, ISO 8601; None = not said.
        version: of Inferometer.
        observations: steps, requests or rows that it was fitted to.
        held_out: errors on what it was not fitted to, as shares: ``tpot_mape``, ``ttft_p99`` ...
        unseen: coefficients that the data could not tell from their priors.
        notes: for people.
    """

    method: str
    runs: tuple[str, ...] = ()
    made_at: str | None = None
    version: str | None = None
    observations: int = 0
    held_out: dict[str, float] = {}
    unseen: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class Noise(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How far measured values lie from predictions with the right coefficients: standard deviations.

    Attributes:
        share: of the logarithm of observed over predicted; what the model cannot express, what differs from one
            minute to the next.
        seconds: beside it, of the difference; what does not grow with the value, such as where in a step a request
            arrives.
        freedom: degrees of freedom that the two rest on (Student's t); many = they are known.

    Raises:
        UsageError: a negative part, or a freedom below 1.
    """

    share: float
    seconds: float = 0.0
    freedom: float = 1000.0

    def __post_init__(self) -> None:
        if not (0.0 <= self.share < float("inf") and 0.0 <= self.seconds < float("inf")):
            raise UsageError(
                f"noise of share={self.share}, seconds={self.seconds} must be at least 0, and finite"
            )
        if not 1.0 <= self.freedom < float("inf"):
            raise UsageError(
                f"noise with freedom={self.freedom} must rest on 1 degree of freedom at least, and finite"
            )


EXTRAPOLATED = 0.05
"""Share by which predictions err more for each unit of logarithm that a load is away from those measured (bench:
sim.intervals, lengths that were not calibrated)."""


def extrapolated(noise: Noise, away: float) -> Noise:
    """Noise at a logarithmic distance from the loads that were measured; see ``trust.distance``."""
    return msgspec.structs.replace(noise, share=math.hypot(noise.share, EXTRAPOLATED * away))


class Profile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the simulator needs of one engine on one kind of devices.

    Attributes:
        schema: of this file.
        coefficients: the best ones.
        limits: of the engine that was measured; kv_blocks of it are those that it had.
        kv_blocks_known: whether they were read from it, not computed or fitted.
        ensemble: refits to resampled data; the spread of predictions with them is the prediction interval.
        ensemble_pools: of each of these refits its KV pool, as a share of that of ``limits``; empty = all have that,
            since the pool was not fitted.
        noise: what an interval has beside that spread, by metric: ``ttft``, ``tpot``, ``e2el`` of one request;
            ``mean_ttft``, ``p99_ttft`` ... of a load point.
        experts: None = dense.
        residual: corrections by step records; None = none.
        seen: loads that were measured; outside of their convex hull a prediction is an extrapolation. Empty = nothing
            was measured.
        engine, device, model, placement: what it is of, where known.
        provenance: where it comes from.
    """

    schema: str = SCHEMA
    coefficients: Coefficients
    limits: EngineLimits = EngineLimits()
    kv_blocks_known: bool = False
    ensemble: tuple[Coefficients, ...] = ()
    ensemble_pools: tuple[float, ...] = ()
    noise: dict[str, Noise] = {}
    experts: TouchedExperts | None = None
    residual: Residual | None = None
    seen: tuple[Where, ...] = ()
    engine: str | None = None
    device: str | None = None
    model: ModelFacts | None = None
    placement: Placement = Placement()
    provenance: Provenance

    def __post_init__(self) -> None:
        pools = self.ensemble_pools
        if pools and (len(pools) != len(self.ensemble) or not min(pools) > 0):
            raise UsageError(
                f"ensemble_pools must be {len(self.ensemble)} shares above 0, one a member of the ensemble"
            )

    def limits_of(self, member: int) -> EngineLimits:
        """The limits that a member of the ensemble has, with a pool that holds the longest sequence at least."""
        if not self.ensemble_pools:
            return self.limits
        limits = self.limits
        least = -(-limits.max_model_len // limits.block_tokens)
        blocks = max(least, round(limits.kv_blocks * self.ensemble_pools[member]))
        return msgspec.structs.replace(limits, kv_blocks=blocks)

    def step_model(self, coefficients: Coefficients | None = None) -> StepModel:
        """The model of steps; with ``coefficients``, that of a member of the ensemble."""
        model = step_model(coefficients or self.coefficients, self.experts)
        return model if self.residual is None else ResidualModel(model, self.residual)

    def noise_of(self, metric: str, load: Where | None = None) -> Noise | None:
        """What an interval of a metric has beside the ensemble's spread.

        Args:
            metric: as in ``noise``; a statistic that has no noise of its own has that of one request, which is wider.
            load: that is predicted; outside of the loads that were measured noise is wider. None = inside.

        Returns:
            None where nothing is known of the metric.
        """
        noise = self.noise.get(metric) or self.noise.get(metric.partition("_")[2])
        return noise if noise is None or load is None else extrapolated(noise, distance(self.seen, load))

    def outside(self, load: Where) -> tuple[str, ...]:
        """What of a load lies outside of the loads that were measured, a sentence each; empty inside."""
        return outside(self.seen, load)


def read_profile(path: Path | str) -> Profile:
    """Read a profile.

    Raises:
        UsageError: there is no such file.
        DataError: it is no profile, of another schema version, or has a field that is wrong; names it.
    """
    file = Path(path)
    try:
        found: Any = msgspec.json.decode(file.read_bytes())
    except OSError as error:
        raise UsageError(
            f"profile {file} cannot be read: {error.strerror}", "make one: inferometer simulate calibrate RUN"
        ) from error
    except msgspec.DecodeError as error:
        raise DataError(f"profile {file} is no JSON: {error}") from error
    schema = found.get("schema") if isinstance(found, dict) else None
    if schema != SCHEMA:
        raise _other_schema(file, schema)
    try:
        return msgspec.convert(found, Profile)
    except (msgspec.ValidationError, UsageError, DataError) as error:
        raise DataError(
            f"profile {file}: {error}", "calibrate again, or undo the change to the file"
        ) from error


def _other_schema(file: Path, schema: object) -> DataError:
    if isinstance(schema, str) and schema.startswith(_FAMILY):
        return DataError(
            f"profile {file} has schema {schema}; this version reads {SCHEMA}",
            "calibrate again with this version, or use the version that wrote it",
        )
    return DataError(f"{file} is no profile: its schema is {schema!r}, not {SCHEMA!r}")


def write_profile(profile: Profile, path: Path | str) -> None:
    """Write a profile, readable for people.

    Raises:
        UsageError: it cannot be written.
    """
    file = Path(path)
    try:
        file.write_bytes(msgspec.json.format(msgspec.json.encode(profile), indent=2) + b"\n")
    except OSError as error:
        raise UsageError(f"profile {file} cannot be written: {error.strerror}") from error
