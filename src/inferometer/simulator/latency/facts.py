"""What of a model counts for the duration of steps and for memory."""

from __future__ import annotations

import msgspec

from inferometer.errors import UsageError
from inferometer.models.asked import Asked
from inferometer.models.config import ModelConfig
from inferometer.models.needs import needs

_BITS = {"fp8": 8.0, "int8": 8.0, "w8a8": 8.0, "awq": 4.5, "gptq": 4.5, "mxfp4": 4.25, "nvfp4": 4.5}
_BYTES = {"float32": 4.0, "float": 4.0}
_GATED = 3
_PLAIN_MLP = frozenset({"gpt2", "opt", "bloom", "falcon", "gpt_neox", "phi", "starcoder2", "mpt"})


class ModelFacts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Sizes of one model as it is loaded.

    Attributes:
        layers, hidden, intermediate, vocab_tokens: sizes, as the field names them; of a mixture, of one expert.
        heads, head_dim, kv_heads: of attention.
        linear_parameters: of all layers that one token is computed with: of a mixture, its chosen experts only;
            without embedding and output head.
        weight_bytes: of all weights.
        routed_bytes: of those, in routed experts.
        experts, experts_per_token: None = dense.
        kv_bytes_per_token: over all layers, each head once.
        latent: whether the KV cache is a compressed one, which every device keeps whole.
        compute: type of the matrix products, as device sheets name it.
        embedding_bytes: of the embedding alone, and of the output head.
    """

    layers: int
    hidden: int
    intermediate: int
    vocab_tokens: int
    heads: int
    head_dim: int
    kv_heads: int
    linear_parameters: int
    weight_bytes: int
    routed_bytes: int = 0
    experts: int | None = None
    experts_per_token: int | None = None
    kv_bytes_per_token: int
    latent: bool = False
    compute: str = "bf16"
    embedding_bytes: int = 0

    def kv_bytes_per_device(self, tensor_parallel: int, pipeline_parallel: int = 1) -> float:
        """KV bytes that one token takes on one device; heads fewer than devices are kept by several."""
        if self.latent:
            return self.kv_bytes_per_token / pipeline_parallel
        shared = max(1, self.kv_heads // tensor_parallel) / self.kv_heads
        return self.kv_bytes_per_token * shared / pipeline_parallel


def facts_of(config: ModelConfig, asked: Asked | None = None) -> ModelFacts:
    """The facts of a model's directory. Sizes of weights are exact where its files have headers, else computed.

    Computed: ``L * (H*(h*d) + 2*H*(k*d) + (h*d)*H + m*H*I*E + H*E) + embeddings``, m = 3 matrices of a gated MLP or
    2 of a plain one; it gave the published counts of 38 models.

    Raises:
        UsageError: config.json leaves out a size; names it.
    """
    asked = asked or Asked()
    missing = [
        name
        for name in ("layers", "hidden", "heads", "kv_heads", "head_dim", "intermediate", "vocab_tokens")
        if getattr(config, name) is None
    ]
    if missing:
        raise UsageError(
            f"{config.directory}/config.json does not say {', '.join(missing)}, which the duration of steps depends on",
            "give a calibrated profile instead of a device and a model",
        )
    need = needs(config, asked)
    if need.kv_bytes_per_token is None:
        raise UsageError(
            f"{config.directory}: the type of the KV cache is not known (dtype={config.dtype})",
            "name it: --dtype bfloat16 or --kv-cache-dtype",
        )
    sizes = _Sizes(config)
    width = _weight_bytes_each(config, asked)
    embeddings = sizes.embedding_parameters * _plain_width(config, asked)
    total = need.weights_bytes
    if total is None:
        total = round((sizes.dense_parameters + sizes.routed_parameters) * width + embeddings * 2)
    return ModelFacts(
        layers=sizes.layers,
        hidden=sizes.hidden,
        intermediate=sizes.expert_width,
        vocab_tokens=config.vocab_tokens or 0,
        heads=sizes.heads,
        head_dim=sizes.head_dim,
        kv_heads=sizes.kv_heads,
        linear_parameters=sizes.dense_parameters + sizes.active_parameters,
        weight_bytes=total,
        routed_bytes=min(round(sizes.routed_parameters * width), total),
        experts=config.experts.count if config.experts else None,
        experts_per_token=sizes.per_token if config.experts else None,
        kv_bytes_per_token=need.kv_bytes_per_token,
        latent=config.latent is not None,
        compute=_compute(config, asked),
        embedding_bytes=round(embeddings),
    )


class _Sizes:
    """Numbers of parameters by part."""

    def __init__(self, config: ModelConfig) -> None:
        self.layers = config.layers or 0
        self.hidden = config.hidden or 0
        self.heads, self.kv_heads = config.heads or 0, config.kv_heads or 0
        self.head_dim = config.head_dim or 0
        self.embedding_parameters = (config.vocab_tokens or 0) * self.hidden
        width = config.intermediate or 0
        matrices = 2 if config.model_type in _PLAIN_MLP else _GATED
        attention = self.layers * self.hidden * self.head_dim * 2 * (self.heads + self.kv_heads)
        mixture = config.experts
        self.per_token = (mixture.per_token or 1) if mixture else 0
        self.expert_width = (mixture.intermediate if mixture else None) or width
        one = self.layers * matrices * self.hidden * self.expert_width
        self.routed_parameters = one * mixture.count if mixture else 0
        self.active_parameters = one * self.per_token
        router = self.layers * self.hidden * mixture.count if mixture else 0
        mlp = 0 if mixture else one
        self.dense_parameters = attention + router + mlp + 2 * self.layers * self.hidden


def _weight_bytes_each(config: ModelConfig, asked: Asked) -> float:
    quantization = config.quantization
    method = _method(config, asked)
    if quantization is not None and quantization.bits:
        # A scale and a zero point of 16 and 4 bits for each group of 128, as GPTQ and AWQ keep them.
        return (quantization.bits + (0.5 if quantization.bits < 8 else 0.0)) / 8
    for name, bits in _BITS.items():
        if name in method:
            return bits / 8
    return _plain_width(config, asked)


def _plain_width(config: ModelConfig, asked: Asked) -> float:
    chosen = asked.dtype if asked.dtype not in (None, "auto") else config.dtype
    return _BYTES.get(chosen or "bfloat16", 2.0)


def _compute(config: ModelConfig, asked: Asked) -> str:
    method = _method(config, asked)
    if "fp8" in method:
        return "fp8"
    if "int8" in method or "w8a8" in method:
        return "int8"
    return "fp32" if _plain_width(config, asked) == _BYTES["float32"] else "bf16"


def _method(config: ModelConfig, asked: Asked) -> str:
    """How the weights are quantised: what is asked for, else what the files say; empty = they are not."""
    return (asked.quantization or (config.quantization.method if config.quantization else "")).lower()
