"""Sizes of published models by their names, for when a name is all there is."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from importlib import resources
from pathlib import Path

import msgspec
import yaml

from inferometer.models.config import Experts, Latent, ModelConfig, Quantization

# Words of a name that say how a model was tuned or stored, and not how large it is.
_NO_SIZE = re.compile(
    "meta|instruct|chat|it|hf|base|thinking|preview|turbo|awq|gptq|dynamic|block|quantized|kv|"
    r"b?f(p|loat)?(4|8|16)|(nv|mx)fp4|int[48]|w\d+a\d+|v0\.\d|\d{4}"
)


class _Sheet(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    intermediate: int
    vocab_tokens: int
    model_type: str | None = None
    experts: Experts | None = None
    latent: Latent | None = None
    quantization: Quantization | None = None
    also: tuple[str, ...] = ()


def published_model(name: str) -> ModelConfig | None:
    """The sizes of a published model; None = it is not in models.yaml.

    Args:
        name: as a hub or a table writes it, with or without its owner, tuning and number format:
            ``meta-llama/Llama-3.1-70B-Instruct-FP8``.
    """
    sheet = _sheets().get(_plain(name))
    if sheet is None:
        return None
    return ModelConfig(
        directory=Path(name),
        model_type=sheet.model_type,
        layers=sheet.layers,
        kv_layers=sheet.layers,
        hidden=sheet.hidden,
        heads=sheet.heads,
        kv_heads=sheet.kv_heads,
        head_dim=sheet.head_dim,
        intermediate=sheet.intermediate,
        vocab_tokens=sheet.vocab_tokens,
        dtype="bfloat16",
        experts=sheet.experts,
        latent=sheet.latent,
        quantization=sheet.quantization,
    )


@functools.cache
def _sheets() -> Mapping[str, _Sheet]:
    text = resources.files(__package__).joinpath("models.yaml").read_text("utf-8")
    sheets = msgspec.convert(yaml.safe_load(text), dict[str, _Sheet])
    return {_plain(name): sheet for key, sheet in sheets.items() for name in (key, *sheet.also)}


def _plain(name: str) -> str:
    words = re.split(r"[-_ ]+", name.rstrip("/").rsplit("/", 1)[-1].lower())
    return "-".join(word for word in words if not _NO_SIZE.fullmatch(word))
