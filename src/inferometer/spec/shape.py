"""How a load changes while a load point goes on: ramps, bursts, spikes, requests given up, reasons to stop early."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from inferometer.spec.fields import option
from inferometer.spec.kinds import Part, PositiveInt, PositiveNumber, Seconds, finite

FromZero = Annotated[float, AfterValidator(finite), Field(ge=0)]
BelowOne = Annotated[float, Field(ge=0, lt=1)]
Factor = Annotated[float, AfterValidator(finite), Field(gt=1, le=1000)]

RAMP_STEPS = 5
CLIMB_EVERY_S = 1.0


class Shape(Part):
    """How the load changes over a load point, which requests are given up, and when it is stopped early."""

    ramp: Literal["linear", "exponential", "step"] | None = option(
        None, "how rate or concurrency rises to what was asked for (linear where only --ramp-time is given)"
    )
    ramp_from: FromZero | None = option(
        None,
        "where a ramp begins (default: 1 in flight; a rate of 0, or a tenth where 0 cannot be; the first step)",
        metavar="X",
        advanced=True,
    )
    ramp_time_s: Seconds | None = option(
        None,
        "how long a ramp takes (default: --duration, else as many requests as are sent, as vLLM's)",
        flag="--ramp-time",
        metavar="TIME",
    )
    ramp_steps: PositiveInt | None = option(
        None,
        f"levels of --ramp step, the last is what was asked for (default: {RAMP_STEPS})",
        metavar="N",
        advanced=True,
    )
    climb: PositiveNumber | None = option(
        None,
        "add so many requests in flight, or so much rate, again and again up to what was asked for",
        metavar="N",
        advanced=True,
    )
    climb_every_s: Seconds | None = option(
        None,
        f"time between two steps of --climb (default: {CLIMB_EVERY_S:g}s)",
        flag="--climb-every",
        metavar="TIME",
        advanced=True,
    )
    burst: PositiveInt = option(
        1, "requests that arrive together; the mean rate stays as asked", metavar="N", advanced=True
    )
    spike: Factor | None = option(
        None,
        "rate or concurrency goes up to X times itself for a while, then back",
        metavar="X",
        advanced=True,
    )
    spike_at_s: Seconds | None = option(
        None, "when the spike begins", flag="--spike-at", metavar="TIME", advanced=True
    )
    spike_time_s: Seconds | None = option(
        None, "how long the spike lasts", flag="--spike-time", metavar="TIME", advanced=True
    )
    waves: bool = option(
        False,
        "each round of --max-concurrency requests begins when the whole round before has ended; one worker",
    )
    drain: Literal["finish", "cut"] = option(
        "finish",
        "requests in flight when time is up or a load point is stopped: finished (within --grace) and counted, or cut "
        "off at once and counted apart",
        advanced=True,
    )
    stop_on_errors: BelowOne | None = option(
        None,
        "stop a load point once its failed share is above this beyond chance",
        metavar="SHARE",
        advanced=True,
    )
    stop_on_saturation: bool = option(
        False,
        "open loop: stop a load point once the server keeps falling behind, and leave out higher rates",
    )
    cancel_share: BelowOne = option(
        0.0, "share of the requests that the client gives up: it closes the connection", metavar="SHARE"
    )
    cancel_within_s: Seconds | None = option(
        None,
        "they are given up at a random time within this after the send (default: after a random part of the answer)",
        flag="--cancel-within",
        metavar="TIME",
        advanced=True,
    )

    @property
    def ramped(self) -> bool:
        """Whether the load rises to what was asked for."""
        return self.ramp is not None or self.ramp_time_s is not None or self.climb is not None
