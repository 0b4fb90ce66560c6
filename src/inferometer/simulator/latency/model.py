"""How long a step takes: coefficients that can be calibrated from outside, and what a request costs beside steps."""

from __future__ import annotations

import msgspec

from inferometer.errors import UsageError
from inferometer.simulator.instance.shape import StepShape


class Coefficients(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What steps and requests cost.

    A step takes

        max(weights_s, token_s * T) + comm_token_s * T + step_s + sequence_s * N + kv_token_s * K + attention_s * Q
            + prompt_step_s if a prompt is in it

    with T tokens, N sequences, K tokens of KV read by decodes and Q query-key pairs of prefill: the roofline of the
    linear layers, what several devices exchange, the host's part, sampling, and attention. All are seconds and at
    least 0.

    Attributes:
        weights_s: reading all weights once.
        token_s: computing one token.
        step_s: of every step, whatever is in it.
        sequence_s: of each sequence in it.
        kv_token_s: of each token of context that decodes read.
        attention_s: of each query-key pair of a prefill chunk.
        arrival_s: from a request's arrival to where it can be scheduled (HTTP, tokenising).
        first_token_s: from the end of the step to where the client has the first token.
        comm_token_s: exchanging one token's activations between devices; not hidden behind the linear layers.
        prompt_step_s: of a step with prefill chunks beside ``step_s`` (no recorded graph, more to launch).

    Raises:
        UsageError: a negative value.
    """

    weights_s: float
    token_s: float
    step_s: float
    sequence_s: float = 0.0
    kv_token_s: float = 0.0
    attention_s: float = 0.0
    arrival_s: float = 0.0
    first_token_s: float = 0.0
    comm_token_s: float = 0.0
    prompt_step_s: float = 0.0

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            if not getattr(self, name) >= 0.0:
                raise UsageError(f"coefficient {name}={getattr(self, name)} must be at least 0")

    def step_seconds(self, shape: StepShape) -> float:
        """Seconds of a step."""
        return (
            max(self.weights_s, self.token_s * shape.tokens)
            + self.comm_token_s * shape.tokens
            + self.step_s
            + (self.prompt_step_s if shape.prefill_tokens else 0.0)
            + self.sequence_s * shape.sequences
            + self.kv_token_s * shape.decode_kv_tokens
            + self.attention_s * shape.prefill_work
        )


class LinearModel:
    """The step model of ``Coefficients`` alone."""

    def __init__(self, coefficients: Coefficients) -> None:
        self.coefficients = coefficients

    def step_s(self, shape: StepShape) -> float:
        """See ``StepModel``."""
        return self.coefficients.step_seconds(shape)

    def decode_line(self, decodes: int) -> tuple[float, float]:
        """See ``StepModel``."""
        cost = self.coefficients
        each = cost.sequence_s + cost.comm_token_s
        return max(cost.weights_s, cost.token_s * decodes) + cost.step_s + each * decodes, cost.kv_token_s
