"""What stands in place of a server where load points are carried out in virtual time."""

from __future__ import annotations

from dataclasses import dataclass

from inferometer.record.prediction import Prediction
from inferometer.simulator.cluster.service import Service
from inferometer.simulator.latency.profile import Profile


@dataclass(frozen=True, slots=True)
class Virtual:
    """A simulated service.

    Attributes:
        service: with the best coefficients of its profile; its answers are the run.
        members: the same with those of each member of the ensemble, for intervals; empty = none are wanted.
        profile: how noisy its predictions are, and the loads that it was calibrated with.
        prediction: what is simulated, in words and numbers; load points are added as they are carried out.
    """

    service: Service
    members: tuple[Service, ...]
    profile: Profile
    prediction: Prediction
