"""Which of several models, or LoRA adapters of one, each request asks."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from inferometer.spec import LoadPoint, derive_seed
from inferometer.workload.request import Dataset, DatasetInfo, Request, Trace


class ModelMix:
    """Draws a model for each request of a data set; all turns of a session ask the same one.

    Args:
        dataset: gives the requests.
        weights: by model name, above 0; they need not add up to anything.
    """

    def __init__(self, dataset: Dataset, weights: Mapping[str, float]) -> None:
        self._dataset = dataset
        self._names = list(weights)
        self._weights = list(weights.values())

    def info(self) -> DatasetInfo:
        """That of the data set."""
        return self._dataset.info()

    def requests(self, seed: int, salt: str) -> Iterator[Request]:
        """The data set's requests; models have a seed of their own, so that they change nothing else."""
        draw = random.Random(derive_seed(seed, "model mix"))  # noqa: S311 - a load, not secrets
        for request in self._dataset.requests(seed, salt):
            (model,) = draw.choices(self._names, self._weights)
            yield msgspec.structs.replace(request, model=model)


class TraceModelMix(ModelMix):
    """The same for a trace, which stays one."""

    def __init__(self, trace: Trace, weights: Mapping[str, float]) -> None:
        super().__init__(trace, weights)
        self._trace = trace
        self._mix = weights

    def for_point(self, point: LoadPoint) -> TraceModelMix:
        """See ``Trace``."""
        return TraceModelMix(self._trace.for_point(point), self._mix)

    def offsets_ns(self) -> Sequence[int]:
        """See ``Trace``."""
        return self._trace.offsets_ns()
