"""Random weights of a tiny model, by the names that Hugging Face gives them.

All matrices keep the size of what goes through them (a gain over the square root of the inputs), so that what comes
out depends on the whole context and greedy decoding does not fall into a loop. The first coordinate of the residual
stream is held at one: no matrix writes to it. With it each row of the output matrix has a constant of its own, which
is how a model without biases can be made to favour or avoid a token.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from typing import Any, Literal

import msgspec
import numpy as np

Architecture = Literal["qwen2", "llama"]
Weights = dict[str, np.ndarray[Any, Any]]

_HELD = 0  # the coordinate that stays constant
_ATTENTION_GAIN = 1.6  # scores with a deviation of about 2.6: sharp enough to tell contexts apart
_LOGIT_GAIN = 3.0  # deviation of the logits: some hundred likely tokens of twelve thousand
_BIAS_DEVIATION = 0.1
_NEVER = -60.0  # in units of a logit


class TinyShape(msgspec.Struct, frozen=True, kw_only=True):
    """The size of a tiny model.

    Attributes:
        architecture: ``qwen2`` or ``llama``.
        vocab_tokens: tokens of its vocabulary; ``vllm bench`` draws numbers up to 10,000.
        hidden: width; a multiple of twice the heads.
        intermediate: width within the MLP.
        layers: how many.
        heads: attention heads.
        kv_heads: heads of keys and values, a divisor of ``heads``.
        max_positions: most tokens of prompt and answer.
        rope_theta: base of the rotary angles.
        dtype: ``bfloat16``, ``float16`` or ``float32``.
    """

    architecture: Architecture = "qwen2"
    vocab_tokens: int = 12_288
    hidden: int = 256
    intermediate: int = 512
    layers: int = 2
    heads: int = 4
    kv_heads: int = 2
    max_positions: int = 32_768
    rope_theta: float = 100_000.0
    dtype: Literal["bfloat16", "float16", "float32"] = "bfloat16"

    @property
    def head_dim(self) -> int:
        """Width of one attention head."""
        return self.hidden // self.heads


def make_weights(
    shape: TinyShape, seed: int, *, avoided: Iterable[int], favoured: dict[int, float]
) -> Weights:
    """The weights as 32-bit floats; each tensor has a stream of its own, by its name.

    Args:
        shape: sizes.
        seed: equal seeds make equal weights.
        avoided: tokens that are never to be generated.
        favoured: what is added to the logit of a token, about.
    """

    def drawn(name: str, rows: int, columns: int, gain: float) -> None:
        stream = np.random.default_rng([seed, zlib.crc32(name.encode())])
        values = stream.standard_normal((rows, columns), dtype=np.float32)
        weights[name] = values * np.float32(gain / columns**0.5)

    weights: Weights = {}
    hidden = shape.hidden
    # Drawn as a matrix whose every row has unit deviation.
    drawn("model.embed_tokens.weight", shape.vocab_tokens, hidden, hidden**0.5)
    weights["model.embed_tokens.weight"][:, _HELD] = 1.0
    for layer in range(shape.layers):
        prefix = f"model.layers.{layer}."
        weights[prefix + "input_layernorm.weight"] = np.ones(hidden, np.float32)
        for part, heads in (("q", shape.heads), ("k", shape.kv_heads), ("v", shape.kv_heads)):
            gain = 1.0 if part == "v" else _ATTENTION_GAIN
            drawn(f"{prefix}self_attn.{part}_proj.weight", heads * shape.head_dim, hidden, gain)
            if shape.architecture == "qwen2":
                name = f"{prefix}self_attn.{part}_proj.bias"
                drawn(name, 1, heads * shape.head_dim, _BIAS_DEVIATION * (heads * shape.head_dim) ** 0.5)
                weights[name] = weights[name][0]
        drawn(prefix + "self_attn.o_proj.weight", hidden, shape.heads * shape.head_dim, 1.0)
        weights[prefix + "post_attention_layernorm.weight"] = np.ones(hidden, np.float32)
        drawn(prefix + "mlp.gate_proj.weight", shape.intermediate, hidden, 1.0)
        drawn(prefix + "mlp.up_proj.weight", shape.intermediate, hidden, 1.0)
        drawn(prefix + "mlp.down_proj.weight", hidden, shape.intermediate, 1.0)
        for writer in ("self_attn.o_proj", "mlp.down_proj"):
            weights[f"{prefix}{writer}.weight"][_HELD] = 0.0
    weights["model.norm.weight"] = np.ones(hidden, np.float32)
    drawn("lm_head.weight", shape.vocab_tokens, hidden, _LOGIT_GAIN)
    constants = np.zeros(shape.vocab_tokens, np.float32)
    constants[list(avoided)] = _NEVER
    for token, logit in favoured.items():
        constants[token] = logit
    weights["lm_head.weight"][:, _HELD] = constants * np.float32(_final_deviation(shape))
    return weights


def _final_deviation(shape: TinyShape) -> float:
    """About the size of the residual stream before the last norm, by which that norm divides the held coordinate.

    The embedding has variance 1; a layer adds about 0.4 by its attention (a mean over a few values) and 0.36 by its MLP
    (the mean square of SiLU of a normal variable).
    """
    return float((1.0 + shape.layers * (0.4 + 0.36)) ** 0.5)
