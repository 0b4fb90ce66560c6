"""From lists to load points: pairing, defaults and the checks that need several fields."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from inferometer.errors import UsageError
from inferometer.spec.model import RunSpec

DEFAULT_CONCURRENCY = (1, 4, 16, 64)


@dataclass(frozen=True, slots=True)
class LoadPoint:
    """One load: everything a schedule and a workload need, with no lists left.

    ``max_concurrency`` alone is a closed loop; ``request_rate`` is an open loop, which ``max_concurrency`` then
    limits; an infinite rate with a limit is a closed loop too (as vLLM's users write it).
    """

    index: int
    kind: str  # "warmup" or "measure"
    max_concurrency: int | None
    request_rate: float | None  # requests per second, inf = all at once, None = closed loop
    burstiness: float
    num_prompts: int | None
    duration_s: float | None
    input_len: int | None  # tokens, random data only
    output_len: int | None  # tokens; None = the data set's own
    seed: int

    @property
    def closed(self) -> bool:
        """Whether a new request waits for an earlier one to end."""
        return self.request_rate is None

    def to_dict(self) -> dict[str, Any]:
        """Plain values for ``run.json``; an infinite rate is the text "inf"."""
        data = asdict(self)
        data["closed"] = self.closed
        for key in ("request_rate", "burstiness"):
            if data[key] is not None and math.isinf(data[key]):
                data[key] = "inf"
        return data
