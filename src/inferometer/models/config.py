"""What the files of a model say of it, before any engine reads them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from inferometer.errors import DataError
from inferometer.models.weights import Weights, read_weights

# Several names for one thing, the ones in use first. Source: vLLM's model_arch_config_convertor.py.
_KV_HEADS = (
    "num_key_value_heads",
    "num_kv_heads",
    "n_head_kv",
    "multi_query_group_num",
    "num_attention_groups",
)
_POSITIONS = (
    "max_position_embeddings",
    "n_positions",
    "max_seq_len",
    "seq_length",
    "model_max_length",
    "max_sequence_length",
    "max_seq_length",
)
_EXPERTS = ("n_routed_experts", "num_local_experts", "num_experts", "moe_num_experts")
_EXPERTS_PER_TOKEN = ("num_experts_per_tok", "num_experts_per_token", "moe_topk", "moe_top_k")
_TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer.model",
    "vocab.json",
    "tekken.json",
    "tiktoken.model",
    "qwen.tiktoken",
    "vocab.txt",
    "spiece.model",
)
UNNAMED = "unknown"
"""The method of weights that are quantized by one that config.json does not name."""
_KEEPS_NO_KV = frozenset(
    {"linear_attention", "mamba", "mamba2", "recurrent", "conv", "short_conv", "mlp", "moe"}
)


class Rope(msgspec.Struct, frozen=True):
    """How positions beyond those of training are reached.

    Attributes:
        kind: default, linear, dynamic, yarn, llama3, longrope ...
        factor: by which the positions are stretched.
        original_positions: positions of training, where it says so.
    """

    kind: str
    factor: float = 1.0
    original_positions: int | None = None


class Quantization(msgspec.Struct, frozen=True):
    """How the weights are stored.

    Attributes:
        method: as the file names it: awq, gptq, fp8, compressed-tensors ...
        bits: of a weight, where it says so.
        group: weights that share a scale along the input, where it says so.
        block: rows and columns that share a scale, of block-wise fp8.
    """

    method: str
    bits: int | None = None
    group: int | None = None
    block: tuple[int, int] | None = None


class Experts(msgspec.Struct, frozen=True):
    """The experts of a mixture: how many, how many a token goes to, the width of one."""

    count: int
    per_token: int | None = None
    intermediate: int | None = None


class Latent(msgspec.Struct, frozen=True):
    """Multi-head latent attention: what it keeps of a token instead of keys and values."""

    kv_rank: int
    rope_dim: int


class ModelConfig(msgspec.Struct, frozen=True, kw_only=True):
    """A model's sizes, from config.json (of a multimodal model, its text part) and the headers of its weights.

    None = the files do not say it.

    Attributes:
        directory: where the files are.
        architecture: class that loads it: Qwen2ForCausalLM ...
        model_type: qwen2, llama ...
        layers, hidden, heads, kv_heads, head_dim, intermediate: sizes, as the field names them.
        kv_layers: layers that keep keys and values; fewer than ``layers`` where some attend linearly.
        vocab_tokens: size of the vocabulary.
        max_positions: positions it states.
        rope: how positions are stretched.
        sliding_window: tokens that attention looks back, where all layers do.
        dtype: of the weights, as config.json names it.
        quantization: None = not quantized.
        experts: None = dense.
        latent: None = keys and values are kept.
        weights: its weight files.
        has_tokenizer: whether files of a tokenizer are there.
    """

    directory: Path
    architecture: str | None = None
    model_type: str | None = None
    layers: int | None = None
    kv_layers: int | None = None
    hidden: int | None = None
    heads: int | None = None
    kv_heads: int | None = None
    head_dim: int | None = None
    intermediate: int | None = None
    vocab_tokens: int | None = None
    max_positions: int | None = None
    rope: Rope = Rope("default")
    sliding_window: int | None = None
    dtype: str | None = None
    quantization: Quantization | None = None
    experts: Experts | None = None
    latent: Latent | None = None
    weights: Weights = Weights()
    has_tokenizer: bool = True


def read_model(path: Path | str) -> ModelConfig | None:
    """What the files of a model's directory say; None when ``path`` is no directory with a config.json.

    A name on a hub and a GGUF file are such. Missing, damaged and unreadable weights are part of the answer.

    Raises:
        DataError: config.json is not JSON, or a field of it is of another kind than all models have.
    """
    directory = Path(path)
    file = directory / "config.json"
    if not file.is_file():
        return None
    whole = _decoded(file)
    text = whole | whole["text_config"] if isinstance(whole.get("text_config"), dict) else whole
    try:
        return _read(directory, whole, text)
    except (msgspec.ValidationError, TypeError, ValueError) as error:
        raise DataError(
            f"{file} cannot be understood: {error}", "compare it with the one on the hub"
        ) from error


def _decoded(file: Path) -> dict[str, Any]:
    try:
        return msgspec.json.decode(file.read_bytes(), type=dict[str, Any])
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror}", "check its permissions") from error
    except msgspec.DecodeError as error:
        raise DataError(f"{file} is no JSON object: {error}", "download it again") from error


def _read(directory: Path, whole: Mapping[str, Any], text: Mapping[str, Any]) -> ModelConfig:
    heads = _count(text, "num_attention_heads", "n_head", "num_heads")
    hidden = _count(text, "hidden_size", "n_embd", "d_model")
    head_dim = _count(text, "head_dim", "hidden_size_per_head", "kv_channels")
    if head_dim is None and heads and hidden:
        head_dim = hidden // heads
    layers = _count(text, "num_hidden_layers", "n_layer", "num_layers")
    names = whole.get("architectures") or text.get("architectures") or [None]
    return ModelConfig(
        directory=directory,
        architecture=names[0],
        model_type=text.get("model_type"),
        layers=layers,
        kv_layers=_kv_layers(text, layers),
        hidden=hidden,
        heads=heads,
        kv_heads=_count(text, *_KV_HEADS) or heads,
        head_dim=head_dim,
        intermediate=_count(text, "intermediate_size", "ffn_hidden_size", "n_inner"),
        vocab_tokens=_count(text, "vocab_size", "padded_vocab_size"),
        max_positions=min(
            (text[name] for name in _POSITIONS if isinstance(text.get(name), int)), default=None
        ),
        rope=_rope(text),
        sliding_window=_window(text),
        dtype=_dtype(whole, text),
        quantization=_quantization(whole, text),
        experts=_experts(text),
        latent=_latent(text),
        weights=read_weights(directory),
        has_tokenizer=any((directory / name).is_file() for name in _TOKENIZER_FILES),
    )


def _count(text: Mapping[str, Any], *names: str) -> int | None:
    """The first of ``names`` that is a number; lists (one number a layer) and 0 count as not said."""
    for name in names:
        value = text.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and value > 0:
            return value
    return None


def _kv_layers(text: Mapping[str, Any], layers: int | None) -> int | None:
    kinds = text.get("layer_types") or text.get("layers_block_type")
    if isinstance(kinds, list) and len(kinds) == layers:
        return sum(kind not in _KEEPS_NO_KV for kind in kinds)
    return layers


def _rope(text: Mapping[str, Any]) -> Rope:
    # Newer files call it rope_parameters and may hold one entry for each kind of layer.
    found = text.get("rope_scaling") or text.get("rope_parameters")
    if not isinstance(found, dict):
        return Rope("default")
    nested = [value for value in found.values() if isinstance(value, dict)]
    entry = nested[0] if nested else found
    kind = entry.get("rope_type") or entry.get("type") or "default"
    return Rope(kind, float(entry.get("factor") or 1.0), entry.get("original_max_position_embeddings"))


def _window(text: Mapping[str, Any]) -> int | None:
    """The sliding window where every layer has it; Qwen2 states one without using it, Gemma has it in some layers."""
    if text.get("use_sliding_window") is False or text.get("sliding_window_pattern"):
        return None
    kinds = text.get("layer_types")
    if isinstance(kinds, list) and set(kinds) != {"sliding_attention"}:
        return None
    return _count(text, "sliding_window")


def _dtype(whole: Mapping[str, Any], text: Mapping[str, Any]) -> str | None:
    for part in (text, whole):
        found = part.get("torch_dtype") or part.get("dtype")
        if isinstance(found, str):
            return found.removeprefix("torch.")
    return None


def _quantization(whole: Mapping[str, Any], text: Mapping[str, Any]) -> Quantization | None:
    for part in (whole, text):
        found = part.get("quantization_config") or part.get("compression_config")
        if isinstance(found, dict):
            method = str(found.get("quant_method") or _producer(found) or UNNAMED).lower()
            block = found.get("weight_block_size")
            return Quantization(
                method.replace("compressed_tensors", "compressed-tensors"),
                _count(found, "bits", "w_bit", "num_bits"),
                _count(found, "group_size", "q_group_size"),
                (int(block[0]), int(block[1])) if isinstance(block, list) and len(block) == 2 else None,
            )
    return None


def _producer(found: Mapping[str, Any]) -> str | None:
    """ModelOpt names itself where others name the method."""
    producer = found.get("producer")
    return producer.get("name") if isinstance(producer, dict) else None


def _experts(text: Mapping[str, Any]) -> Experts | None:
    count = _count(text, *_EXPERTS)
    if count is None or count == 1:
        return None
    # Mixtral's experts have the width that others call that of the dense MLP.
    width = _count(text, "moe_intermediate_size", "intermediate_size")
    return Experts(count, _count(text, *_EXPERTS_PER_TOKEN), width)


def _latent(text: Mapping[str, Any]) -> Latent | None:
    rank = _count(text, "kv_lora_rank")
    return Latent(rank, _count(text, "qk_rope_head_dim") or 0) if rank else None
