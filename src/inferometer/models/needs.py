"""How much memory a model takes: its weights, and what a token keeps."""

from __future__ import annotations

import msgspec

from inferometer.models.asked import Asked
from inferometer.models.config import ModelConfig
from inferometer.models.safetensors import ELEMENT_BITS

_BYTES = {"bfloat16": 2, "half": 2, "float16": 2, "float": 4, "float32": 4, "auto": None}
_FLOATS = ("F64", "F32", "F16", "BF16")


class Needs(msgspec.Struct, frozen=True, kw_only=True):
    """Memory in bytes; None = the files do not say it.

    Attributes:
        weights_bytes: of all weights once, in the type that they are loaded as; exact from the headers.
        weights_bytes_per_device: of one device under tensor and pipeline parallelism, split evenly; embeddings and
            norms that every device keeps whole come on top.
        kv_bytes_per_token: what one token keeps, over all layers and devices, each head counted once.
        kv_bytes_per_token_per_device: what it keeps on one device; heads fewer than devices are kept by several.
        longest_bytes_per_device: what one sequence of ``max_model_len`` tokens keeps on one device.
        full_bytes_per_device: what ``max_num_seqs`` of them keep: an engine with less preempts or queues.
    """

    weights_bytes: int | None = None
    weights_bytes_per_device: int | None = None
    kv_bytes_per_token: int | None = None
    kv_bytes_per_token_per_device: float | None = None
    longest_bytes_per_device: int | None = None
    full_bytes_per_device: int | None = None


def needs(config: ModelConfig, asked: Asked) -> Needs:
    """What a model needs as it is asked for; without ``max_model_len``, the positions that it states."""
    tensor = asked.tensor_parallel or 1
    devices = tensor * (asked.pipeline_parallel or 1)
    weights = _weights(config, asked)
    each = _kept(config, asked, tensor)
    longest = asked.max_model_len or config.max_positions
    if longest is not None and config.sliding_window is not None:
        longest = min(longest, config.sliding_window)
    per_sequence = round(each * longest / (asked.pipeline_parallel or 1)) if each and longest else None
    return Needs(
        weights_bytes=weights,
        weights_bytes_per_device=None if weights is None else -(-weights // devices),
        kv_bytes_per_token=_kept(config, asked, 1),
        kv_bytes_per_token_per_device=None if each is None else each / (asked.pipeline_parallel or 1),
        longest_bytes_per_device=per_sequence,
        full_bytes_per_device=per_sequence * asked.max_num_seqs
        if per_sequence and asked.max_num_seqs
        else None,
    )


def _weights(config: ModelConfig, asked: Asked) -> int | None:
    """Bytes of the weights; floats are loaded in the type asked for, all other types as they are."""
    elements = config.weights.elements
    if elements is None:
        return None
    loaded = _BYTES.get(asked.dtype or config.dtype or "auto")
    bits = 0
    for dtype, count in elements.items():
        if loaded is not None and dtype in _FLOATS and config.quantization is None:
            bits += count * loaded * 8
        elif dtype in ELEMENT_BITS:
            bits += count * ELEMENT_BITS[dtype]
        else:
            return None
    return bits // 8


def _kept(config: ModelConfig, asked: Asked, tensor: int) -> int | None:
    """Bytes that a token keeps on the devices of one tensor-parallel rank, over all layers.

    Grouped-query attention keeps a key and a value of each of its KV heads: 2 x layers x KV heads x head width (Ainslie
    et al. 2023, arXiv:2305.13245). Latent attention keeps the compressed pair and the rotary key, on every rank whole:
    layers x (kv_lora_rank + qk_rope_head_dim) (DeepSeek-V2, arXiv:2405.04434, section 2.1.4).
    """
    width = _kv_width(asked.kv_cache_dtype, asked.dtype, config.dtype)
    if width is None or config.kv_layers is None:
        return None
    if config.latent is not None:
        return config.kv_layers * (config.latent.kv_rank + config.latent.rope_dim) * width
    if config.kv_heads is None or config.head_dim is None:
        return None
    heads = max(1, config.kv_heads // tensor)
    return 2 * config.kv_layers * heads * config.head_dim * width


def _kv_width(*names: str | None) -> int | None:
    """Bytes of a kept number: the first name that says it."""
    for name in names:
        if name in (None, "auto"):
            continue
        if "fp8" in name or "int8" in name:
            return 1
        return _BYTES.get(name)
    return None
