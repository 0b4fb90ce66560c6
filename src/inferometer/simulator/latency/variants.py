"""Step models made of others: with drafts to be paid for, or slower as a whole."""

from __future__ import annotations

from inferometer.simulator.instance.shape import StepModel, StepShape


class DraftingModel:
    """A step model in which steps that check drafts take longer, for the drafts have to be made first.

    Args:
        model: of everything else.
        drafts_s: seconds of a step in which any sequence has drafts; they are made for all of them at once.
    """

    def __init__(self, model: StepModel, drafts_s: float) -> None:
        self._model = model
        self._drafts_s = drafts_s

    def step_s(self, shape: StepShape) -> float:
        """See ``StepModel``."""
        drafted = shape.tokens > shape.prefill_tokens + shape.decodes
        return self._model.step_s(shape) + (self._drafts_s if drafted else 0.0)

    def decode_line(self, decodes: int) -> tuple[float, float]:
        """See ``StepModel``; of steps without drafts."""
        return self._model.decode_line(decodes)


class SlowedModel:
    """A step model whose steps all take ``factor`` times as long as those of another."""

    def __init__(self, model: StepModel, factor: float) -> None:
        self._model = model
        self._factor = factor

    def step_s(self, shape: StepShape) -> float:
        """See ``StepModel``."""
        return self._model.step_s(shape) * self._factor

    def decode_line(self, decodes: int) -> tuple[float, float]:
        """See ``StepModel``."""
        fixed, slope = self._model.decode_line(decodes)
        return fixed * self._factor, slope * self._factor
