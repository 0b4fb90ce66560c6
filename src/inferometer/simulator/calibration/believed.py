"""What is believed of coefficients before a measurement, where model and device are known."""

from __future__ import annotations

from typing import Final

import msgspec

from inferometer.simulator.calibration.fit import NAMES, Prior
from inferometer.simulator.latency.devices import Device
from inferometer.simulator.latency.facts import ModelFacts
from inferometer.simulator.latency.model import Coefficients
from inferometer.simulator.latency.roofline import Placement, priors

_PROMPT_STEP: Final = 0.5  # of a step's host part: a step with prompts has no recorded graph
_SPREAD: Final = Coefficients(
    weights_s=0.3,
    token_s=0.5,
    step_s=0.7,
    sequence_s=1.5,
    kv_token_s=0.7,
    attention_s=0.7,
    arrival_s=0.7,
    first_token_s=0.7,
    comm_token_s=0.7,
    prompt_step_s=1.0,
)


def roofline_prior(model: ModelFacts, device: Device, placement: Placement) -> Prior:
    """The roofline of model and device, as wide as engines differ in what they reach of it.

    Wider than the ensemble of an uncalibrated profile: that says what is likely, this is to give way to measurements.

    Raises:
        UsageError: the model cannot be split that way.
    """
    center = priors(model, device, placement)
    center = msgspec.structs.replace(center, prompt_step_s=_PROMPT_STEP * center.step_s)
    return Prior(center, tuple(getattr(_SPREAD, name) for name in NAMES))
