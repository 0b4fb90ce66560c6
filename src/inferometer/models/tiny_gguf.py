"""A tiny model as a GGUF file: the same tensors by llama.cpp's names, with the tokenizer inside."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from inferometer.models import gguf
from inferometer.models.tiny_tokenizer import CHAT_TEMPLATE, CONTROL, END_OF_TEXT, TURN_END, TinyTokenizer
from inferometer.models.tiny_weights import TinyShape, Weights

_ALL_F32, _MOSTLY_F16 = 0, 1  # general.file_type
_NORMAL, _CONTROL = 1, 3  # tokenizer.ggml.token_type

_WHOLE = {
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
}
_IN_LAYER = {
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def write_gguf(path: Path, name: str, shape: TinyShape, tokenizer: TinyTokenizer, weights: Weights) -> None:
    """The model in one file: matrices as 16-bit floats (32-bit where the model's type is), vectors as 32-bit floats."""
    gguf.write(path, _keys(name, shape) | _tokenizer_keys(tokenizer), _tensors(shape, weights))


def _keys(name: str, shape: TinyShape) -> dict[str, gguf.Value]:
    arch = shape.architecture
    keys: dict[str, gguf.Value] = {
        "general.architecture": arch,
        "general.name": name,
        "general.file_type": gguf.Number(_ALL_F32 if shape.dtype == "float32" else _MOSTLY_F16),
        f"{arch}.context_length": gguf.Number(shape.max_positions),
        f"{arch}.embedding_length": gguf.Number(shape.hidden),
        f"{arch}.block_count": gguf.Number(shape.layers),
        f"{arch}.feed_forward_length": gguf.Number(shape.intermediate),
        f"{arch}.attention.head_count": gguf.Number(shape.heads),
        f"{arch}.attention.head_count_kv": gguf.Number(shape.kv_heads),
        f"{arch}.attention.layer_norm_rms_epsilon": gguf.Number(1e-6, "f32"),
        f"{arch}.rope.freq_base": gguf.Number(shape.rope_theta, "f32"),
        f"{arch}.vocab_size": gguf.Number(shape.vocab_tokens),
    }
    if arch == "llama":
        keys["llama.rope.dimension_count"] = gguf.Number(shape.head_dim)
    return keys


def _tokenizer_keys(tokenizer: TinyTokenizer) -> dict[str, gguf.Value]:
    pieces = tokenizer.pieces
    return {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "gpt-2",
        "tokenizer.ggml.tokens": pieces,
        "tokenizer.ggml.token_type": gguf.Numbers([_CONTROL if p in CONTROL else _NORMAL for p in pieces]),
        "tokenizer.ggml.merges": tokenizer.merges,
        "tokenizer.ggml.bos_token_id": gguf.Number(CONTROL.index(END_OF_TEXT)),
        "tokenizer.ggml.eos_token_id": gguf.Number(CONTROL.index(TURN_END)),
        "tokenizer.ggml.padding_token_id": gguf.Number(CONTROL.index(END_OF_TEXT)),
        "tokenizer.ggml.add_bos_token": gguf.Number(False, "bool"),
        "tokenizer.chat_template": CHAT_TEMPLATE,
    }


def _tensors(shape: TinyShape, weights: Weights) -> Weights:
    matrix = "<f4" if shape.dtype == "float32" else "<f2"
    tensors: Weights = {}
    for name, array in weights.items():
        values = array
        if shape.architecture == "llama" and ".q_proj." in name:
            values = _interleaved(array, shape.heads)
        elif shape.architecture == "llama" and ".k_proj." in name:
            values = _interleaved(array, shape.kv_heads)
        tensors[_renamed(name)] = np.ascontiguousarray(values, dtype="<f4" if array.ndim == 1 else matrix)
    return tensors


def _renamed(name: str) -> str:
    place, _, kind = name.rpartition(".")
    if place in _WHOLE:
        return f"{_WHOLE[place]}.{kind}"
    layer, _, part = place.removeprefix("model.layers.").partition(".")
    return f"blk.{layer}.{_IN_LAYER[part]}.{kind}"


def _interleaved(array: np.ndarray[Any, Any], heads: int) -> np.ndarray[Any, Any]:
    """Rows of a rotary projection in llama.cpp's order for this architecture.

    Hugging Face pairs coordinate i with i + half a head; llama.cpp's llama pairs neighbours, and its qwen2 does as
    Hugging Face. Source: ``permute`` of llama.cpp's convert_hf_to_gguf.py.
    """
    rows = array.shape[0]
    halves = array.reshape(heads, 2, rows // heads // 2, *array.shape[1:])
    return np.reshape(halves.swapaxes(1, 2), array.shape)
