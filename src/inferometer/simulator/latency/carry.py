"""A calibrated profile on other devices, or spread over another number of them: scaled as the roofline scales."""

from __future__ import annotations

import math

import msgspec
import numpy as np

from inferometer.simulator.latency.devices import Device
from inferometer.simulator.latency.facts import ModelFacts
from inferometer.simulator.latency.model import Coefficients
from inferometer.simulator.latency.profile import Profile
from inferometer.simulator.latency.roofline import Placement, priors
from inferometer.simulator.latency.uncalibrated import PRIOR_SD


def carried(
    profile: Profile, model: ModelFacts, devices: tuple[Device, Device], placement: Placement, *, seed: int
) -> Profile:
    """The profile with each coefficient times the ratio of its priors, there over here.

    So what a kernel reached of the device's peak here, it is taken to reach there. How far that is true nobody has
    measured: in the ensemble, coefficients that change spread as widely as priors do. Residuals do not carry over.

    Args:
        profile: calibrated.
        model: what it was calibrated with.
        devices: what it was calibrated on, and where it is to run.
        placement: there.
        seed: of the spread.

    Raises:
        UsageError: the model cannot be split that way.
    """
    here, there = devices
    before = priors(model, here, profile.placement)
    after = priors(model, there, placement)
    chooser = np.random.default_rng(seed)
    return msgspec.structs.replace(
        profile,
        coefficients=_scaled(profile.coefficients, before, after),
        ensemble=tuple(
            _spread(_scaled(member, before, after), before, after, chooser) for member in profile.ensemble
        ),
        residual=None,
        device=there.title,
        model=model,
        placement=placement,
    )


def _scaled(fitted: Coefficients, before: Coefficients, after: Coefficients) -> Coefficients:
    """What was nothing before, as the exchange of a single device, is what the roofline says."""
    changed = {}
    for name in fitted.__struct_fields__:
        old, new = getattr(before, name), getattr(after, name)
        changed[name] = getattr(fitted, name) * new / old if old > 0.0 else max(new, getattr(fitted, name))
    return Coefficients(**changed)


def _spread(
    member: Coefficients, before: Coefficients, after: Coefficients, chooser: np.random.Generator
) -> Coefficients:
    changed = {
        name: getattr(member, name) * math.exp(float(chooser.normal(0.0, spread)))
        for name, spread in PRIOR_SD.items()
        if getattr(before, name) != getattr(after, name)
    }
    return msgspec.structs.replace(member, **changed)
