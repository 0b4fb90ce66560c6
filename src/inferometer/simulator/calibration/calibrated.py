"""What a calibration comes to: the profile, and everything that says how far to trust it."""

from __future__ import annotations

import msgspec

from inferometer.simulator.calibration.evidence_fit import Pool
from inferometer.simulator.calibration.residuals import Compared, ComparedValues
from inferometer.simulator.calibration.seen import Seen
from inferometer.simulator.latency.profile import Profile


class Calibrated(msgspec.Struct, frozen=True, kw_only=True):
    """A profile, and how it came about.

    Attributes:
        profile: to be written; ``provenance.held_out`` has the errors on what the fits had not seen.
        sources: what it was fitted to, a line each.
        requests: measured and predicted, by load point.
        values: the same of tables and step records.
        fitted: errors of the fit on what it saw, as shares; see ``residuals.errors_of``.
        coverage: share of measured values inside their 90 % intervals, by metric, where centre, and noise come from
            fits and errors that did not see the value's block.
        seen: what the data say of each coefficient, the worst known first.
        pool: what they say of the KV cache.
        kv_source: where its size comes from, in words.
        warnings: what a user has to know.
    """

    profile: Profile
    sources: tuple[str, ...]
    requests: tuple[Compared, ...]
    values: tuple[ComparedValues, ...]
    fitted: dict[str, float]
    coverage: dict[str, float]
    seen: tuple[Seen, ...]
    pool: Pool
    kv_source: str
    warnings: tuple[str, ...]
