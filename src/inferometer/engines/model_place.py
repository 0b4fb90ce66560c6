"""Whether the model that an engine is to serve is where its name says; engines say it after a minute of imports."""

from __future__ import annotations

from pathlib import Path

from inferometer.engines.engine import Engine, Settings
from inferometer.engines.gguf_files import TINY, gguf_of
from inferometer.errors import UsageError
from inferometer.models.engine_rules import RULES
from inferometer.models.refusals import Refusal

_PATHS = ("/", "./", "../", "~")
# What some engine takes for config.json: Mistral's own format, a model that LMDeploy has converted.
_OTHER_CONFIGS = ("params.json", "triton_models")
_CONFIG_ELSEWHERE = "--hf-config-path"  # of vLLM
_MOST_NAMED = 3


def misplaced(engine: Engine, settings: Settings) -> Refusal | None:
    """Why ``engine`` will not find the model of ``settings`` on this machine; None when it may.

    Of names on a hub nothing is known, nor of engines that take any name.
    """
    rules, model = RULES.get(engine.name), settings.model
    if rules is None or not model:
        return None
    if rules.gguf:
        return None if model == TINY else _no_gguf(model)
    if model.startswith("~"):  # quotes keep a shell from writing it out, and no engine does
        return Refusal(f"{engine.name} reads {model!r} as it stands", "write the path without ~")
    here = Path(model)
    if here.is_dir():
        return _no_config(engine.name, here, settings.extra)
    if not here.exists() and (model.startswith(_PATHS) or _is_long(model)):
        return Refusal(
            f"there is no {model!r} on this machine", "check the path; a hub's models are OWNER/NAME"
        )
    return None


def _is_long(model: str) -> bool:
    """Whether it has more parts than a name on a hub, and is no address and no file of a hub's model."""
    return model.count("/") > 1 and "://" not in model and not model.endswith(".gguf")


def _no_gguf(model: str) -> Refusal | None:
    try:
        gguf_of(model, None)
    except UsageError as error:
        return Refusal(error.message, error.next_step)
    return None


def _no_config(engine: str, here: Path, extra: tuple[str, ...]) -> Refusal | None:
    if any((here / name).exists() for name in ("config.json", *_OTHER_CONFIGS)):
        return None
    if any(word.replace("_", "-").startswith(_CONFIG_ELSEWHERE) for word in extra):
        return None
    below = sorted(str(file.parent) for file in here.glob("*/config.json"))[:_MOST_NAMED]
    return Refusal(
        f"{str(here)!r} has no config.json, without which {engine} does not know what model it is",
        f"name the folder below it: {', '.join(below)}"
        if below
        else "fetch the whole model, or name its folder",
    )
