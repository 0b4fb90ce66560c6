"""A calibrated engine as one small JSON file: coefficients, what they were seen with, and how far they are true."""

from __future__ import annotations

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


class Profile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the simulator needs of one engine on one kind of devices.

    Attributes:
        schema: of this file.
        coefficients: the best ones.
        limits: of the engine that was measured; kv_blocks of it are those that it had.
        kv_blocks_known: whether they were read from it, not computed or fitted.
        ensemble: refits to resampled data; the spread of predictions with them is the prediction interval.
        noise: standard deviation of log(observed / predicted) of one prediction, beside that spread, by metric.
        experts: None = dense.
        residual: corrections by step records; None = none.
        hull: lowest and highest value seen, by axis: tokens, decodes, decode_kv_tokens, input_tokens, output_tokens,
            concurrency ...; outside, a prediction is an extrapolation.
        engine, device, model, placement: what it is of, where known.
        provenance: where it comes from.
    """

    schema: str = SCHEMA
    coefficients: Coefficients
    limits: EngineLimits = EngineLimits()
    kv_blocks_known: bool = False
    ensemble: tuple[Coefficients, ...] = ()
    noise: dict[str, float] = {}
    experts: TouchedExperts | None = None
    residual: Residual | None = None
    hull: dict[str, tuple[float, float]] = {}
    engine: str | None = None
    device: str | None = None
    model: ModelFacts | None = None
    placement: Placement = Placement()
    provenance: Provenance

    def step_model(self, coefficients: Coefficients | None = None) -> StepModel:
        """The model of steps; with ``coefficients``, that of a member of the ensemble."""
        model = step_model(coefficients or self.coefficients, self.experts)
        return model if self.residual is None else ResidualModel(model, self.residual)

    def outside(self, seen: dict[str, float]) -> tuple[str, ...]:
        """For each value that lies outside of the hull, a sentence that says by how much; axes not in it are passed."""
        return tuple(
            f"{axis}={value:g} is outside of the calibrated {low:g} to {high:g}"
            for axis, value in seen.items()
            for low, high in (self.hull.get(axis, (value, value)),)
            if not low <= value <= high
        )


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
