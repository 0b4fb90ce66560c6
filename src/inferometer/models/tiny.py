"""Tiny models with random weights, for trying engines where no model can or need be downloaded."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from inferometer.errors import UsageError
from inferometer.models import safetensors
from inferometer.models.tiny_gguf import write_gguf
from inferometer.models.tiny_tokenizer import (
    CHAT_TEMPLATE,
    CONTROL,
    END_OF_TEXT,
    TURN_END,
    TinyTokenizer,
    has_text,
    train,
)
from inferometer.models.tiny_weights import TinyShape, Weights, make_weights

__all__ = ["EOS_BIAS", "GENERATOR", "TinyModel", "TinyShape", "cached_tiny_model", "make_tiny_model"]

GENERATOR = 1
"""Goes up when equal arguments make other files."""

EOS_BIAS = 10.0
"""An ``eos_bias`` with which answers end within a handful of tokens."""

_SHAPE = TinyShape()
_FILE_DTYPES = {"bfloat16": "BF16", "float16": "F16", "float32": "F32"}
_ARCHITECTURES = {"qwen2": "Qwen2ForCausalLM", "llama": "LlamaForCausalLM"}


class TinyModel(NamedTuple):
    """One model in two forms.

    Attributes:
        folder: as Hugging Face has it: config.json, model.safetensors, tokenizer.json, tokenizer_config.json
            (with the chat template), generation_config.json.
        gguf: the same for llama.cpp, in one file.
    """

    folder: Path
    gguf: Path


def make_tiny_model(
    out: Path, *, shape: TinyShape = _SHAPE, seed: int = 0, eos_bias: float = 0.0
) -> TinyModel:
    """A model with random weights and a tokenizer trained on the bundled prose; equal for equal arguments.

    Answers are varied and whole text: control tokens and parts of characters are not generated.

    Args:
        out: directory to write into; made where it is missing.
        shape: sizes, architecture, type of the weights.
        seed: of the weights.
        eos_bias: about what is added to the logit of the token that ends an answer, see ``EOS_BIAS``; 0 = it is not
            generated either, and each answer goes on to its limit.

    Raises:
        UsageError: sizes that do not fit each other.
    """
    _check(shape)
    name = f"tiny-{shape.architecture}"
    model = TinyModel(out / name, out / f"{name}.gguf")
    model.folder.mkdir(parents=True, exist_ok=True)
    tokenizer = train(shape.vocab_tokens)
    end = CONTROL.index(TURN_END)
    avoided = [at for at, piece in enumerate(tokenizer.pieces) if not has_text(piece)]
    drawn = make_weights(shape, seed, avoided=avoided, favoured={end: eos_bias} if eos_bias else {})
    dtype = _FILE_DTYPES[shape.dtype]
    # Both files hold the numbers as the model's type can say them.
    weights: Weights = {
        key: safetensors.decoded(safetensors.encoded(array, dtype), dtype).reshape(array.shape)
        for key, array in drawn.items()
    }
    safetensors.write(model.folder / "model.safetensors", weights, dtype)
    _write_texts(model.folder, shape, tokenizer)
    write_gguf(model.gguf, name, shape, tokenizer, weights)
    return model


def cached_tiny_model(
    cache: Path, *, shape: TinyShape = _SHAPE, seed: int = 0, eos_bias: float = 0.0
) -> TinyModel:
    """The model of :func:`make_tiny_model`, made once below ``cache`` and kept.

    It appears there whole or not at all: two processes at once make two, and one of them stays.

    Raises:
        UsageError: sizes that do not fit each other, or ``cache`` cannot be written.
    """
    told = msgspec.json.encode([GENERATOR, msgspec.to_builtins(shape), seed, eos_bias])
    place = cache / "models" / f"tiny-{shape.architecture}-{hashlib.sha256(told).hexdigest()[:12]}"
    name = f"tiny-{shape.architecture}"
    if not place.is_dir():
        try:
            _make_at(place, shape, seed, eos_bias)
        except OSError as error:
            raise UsageError(
                f"the tiny model cannot be kept at {place}: {error.strerror or error}",
                "set INFEROMETER_CACHE_DIR to a directory that can be written",
            ) from error
    return TinyModel(place / name, place / f"{name}.gguf")


def _make_at(place: Path, shape: TinyShape, seed: int, eos_bias: float) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    making = Path(tempfile.mkdtemp(prefix=".making-", dir=place.parent))
    try:
        make_tiny_model(making, shape=shape, seed=seed, eos_bias=eos_bias)
        making.chmod(0o755)  # a temporary directory is its owner's alone
        try:
            making.rename(place)
        except OSError:
            if not place.is_dir():  # else another process was faster, with equal files
                raise
    finally:
        shutil.rmtree(making, ignore_errors=True)


def _check(shape: TinyShape) -> None:
    if (
        min(shape.hidden, shape.intermediate, shape.layers, shape.heads, shape.kv_heads, shape.max_positions)
        < 1
    ):
        raise UsageError("each size of a tiny model is 1 or more", f"these were asked for: {shape}")
    if shape.hidden % (2 * shape.heads):
        raise UsageError(
            f"a hidden size of {shape.hidden} cannot be split over {shape.heads} heads of even width",
            f"take a multiple of {2 * shape.heads}",
        )
    if shape.heads % shape.kv_heads:
        raise UsageError(
            f"{shape.heads} attention heads cannot share {shape.kv_heads} heads of keys and values",
            "take a divisor",
        )


def _write_texts(folder: Path, shape: TinyShape, tokenizer: TinyTokenizer) -> None:
    end, pad = CONTROL.index(TURN_END), CONTROL.index(END_OF_TEXT)
    tokens = {"bos_token_id": pad, "eos_token_id": end, "pad_token_id": pad}
    config: dict[str, Any] = {
        "architectures": [_ARCHITECTURES[shape.architecture]],
        "model_type": shape.architecture,
        "vocab_size": shape.vocab_tokens,
        "hidden_size": shape.hidden,
        "intermediate_size": shape.intermediate,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "max_position_embeddings": shape.max_positions,
        "hidden_act": "silu",
        "rms_norm_eps": 1e-6,
        "rope_theta": shape.rope_theta,
        "tie_word_embeddings": False,
        "torch_dtype": shape.dtype,
        **tokens,
    }
    tokenizer_config = {
        # The class that takes tokenizer.json as it is; newer transformers rebuild what is named otherwise.
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": TURN_END,
        "pad_token": END_OF_TEXT,
        "additional_special_tokens": [token for token in CONTROL if token not in (TURN_END, END_OF_TEXT)],
        "clean_up_tokenization_spaces": False,
        "model_max_length": shape.max_positions,
        "chat_template": CHAT_TEMPLATE,
    }
    texts: dict[str, str | bytes] = {
        "config.json": _pretty(config),
        "generation_config.json": _pretty({**tokens, "do_sample": False}),
        "tokenizer_config.json": _pretty(tokenizer_config),
        "tokenizer.json": tokenizer.json.encode(),
    }
    for name, text in texts.items():
        (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())


def _pretty(values: dict[str, Any]) -> bytes:
    return msgspec.json.format(msgspec.json.encode(values), indent=2) + b"\n"
