"""The model itself: where it lies, what its configuration says, and which tokens prompts are made of."""

from __future__ import annotations

import importlib
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from inferometer.engines.offline.child.trouble import ForUserError

_TEXTS = ("我", "A", "a", "the", "0")  # the first is that of Qwen's script
_FILES = ["*.json", "*.safetensors", "*.txt", "*.model", "*.py", "*.jinja", "*.tiktoken"]
_OLD_WEIGHTS = ["*.bin"]
_POSITIONS = ("max_position_embeddings", "n_positions", "max_sequence_length", "seq_length", "max_seq_len")
_TOLD_EVERY_S = 5.0


class About(NamedTuple):
    """What the files of a model say.

    Attributes:
        positions: most tokens of prompt and answer; None = they do not say.
        quantization: as reports write it, such as GPTQ-Int4; None = none.
        prompt_token: one token for repeated prompts.
        vocabulary: how many ids may be drawn.
    """

    positions: int | None
    quantization: str | None
    prompt_token: int
    vocabulary: int


def folder_of(order: dict[str, Any], tell: Callable[[str], None]) -> str:
    """The directory of the model; fetched from its hub unless it is one already."""
    name = order["model"]
    if Path(name).is_dir():
        return str(name)
    if order["hub"] == "modelscope":
        return _from_modelscope(name, order.get("revision"))
    return _from_hugging_face(name, order.get("revision"), tell)


def _from_hugging_face(name: str, revision: str | None, tell: Callable[[str], None]) -> str:
    """HF_ENDPOINT, HF_HOME, HF_TOKEN and HF_HUB_OFFLINE are obeyed by the library."""
    library = needed("huggingface_hub", "hf")
    given = {"revision": revision, "tqdm_class": _telling(tell)}
    folder = str(library.snapshot_download(name, allow_patterns=_FILES, **given))
    if not any(Path(folder).glob("*.safetensors")):
        folder = str(library.snapshot_download(name, allow_patterns=[*_FILES, *_OLD_WEIGHTS], **given))
    return folder


def _from_modelscope(name: str, revision: str | None) -> str:
    library = needed("modelscope", "modelscope")
    given = {} if revision is None else {"revision": revision}
    return str(library.snapshot_download(name, **given))


def _telling(tell: Callable[[str], None]) -> Any:
    """A progress bar that says every few seconds how far it is."""
    bar = importlib.import_module("tqdm.auto").tqdm

    class Telling(bar):  # type: ignore[misc, valid-type]
        told_s = 0.0

        def update(self, n: float | None = 1) -> Any:
            shown = super().update(n)
            now_s = time.monotonic()
            if now_s - Telling.told_s > _TOLD_EVERY_S:
                Telling.told_s = now_s
                tell(
                    f"{self.desc or 'fetching'}: {self.n:,} of {self.total:,} {self.unit}"
                    if self.total
                    else "fetching"
                )
            return shown

    return Telling


def needed(module: str, extra: str | None = None) -> Any:
    """A library that has to be there.

    Args:
        module: to be imported.
        extra: of Inferometer, that brings it along.

    Raises:
        ForUserError: it is not.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        if getattr(error, "name", None) not in (module, None):
            raise
        alternative = "" if extra is None else f" (or inferometer[{extra}], which brings it along)"
        raise ForUserError(
            f"the Python of the engine has no {module}",
            f"{sys.executable} -m pip install {module}{alternative}; or name another Python: --python PATH",
        ) from None


def read(folder: str, order: dict[str, Any]) -> About:
    """What the configuration and the tokenizer of a model say."""
    if not (Path(folder) / "config.json").is_file():
        raise ForUserError(
            f"{folder} holds no config.json", "name the directory that the model's files lie in"
        )
    library = needed("transformers", "local")
    trust = order["trust_remote_code"]
    config = library.AutoConfig.from_pretrained(folder, trust_remote_code=trust)
    text = config.get_text_config() if hasattr(config, "get_text_config") else config
    tokenizer = library.AutoTokenizer.from_pretrained(folder, trust_remote_code=trust)
    return About(_positions(text), _quantization(config), _prompt_token(tokenizer), int(text.vocab_size))


def _positions(config: Any) -> int | None:
    """Positions, stretched where the configuration says so (YaRN)."""
    found = next(
        (value for name in _POSITIONS if isinstance(value := getattr(config, name, None), int)), None
    )
    scaling = getattr(config, "rope_scaling", None) or getattr(config, "rope_parameters", None) or {}
    factor = scaling.get("factor") if isinstance(scaling, dict) else None
    original = scaling.get("original_max_position_embeddings") if isinstance(scaling, dict) else None
    if found is not None and factor and original:
        return max(found, int(factor * original))
    return found


def _quantization(config: Any) -> str | None:
    """GPTQ-Int4, AWQ, FP8: method and width as the speed reports write them."""
    about = getattr(config, "quantization_config", None)
    if about is None:
        return None
    values = about if isinstance(about, dict) else about.to_dict()
    method, bits = str(values.get("quant_method", "quantized")).upper(), values.get("bits")
    return f"{method}-Int{bits}" if method == "GPTQ" and bits else method


def _prompt_token(tokenizer: Any) -> int:
    """The first of some texts that is one token; else the first id that is not special."""
    for text in _TEXTS:
        ids = tokenizer.encode(text, add_special_tokens=False)
        if len(ids) == 1:
            return int(ids[0])
    special = set(tokenizer.all_special_ids)
    return next(place for place in range(len(tokenizer)) if place not in special)
