"""What is known of a model before an engine is started with it, where its files are on this machine."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from inferometer.engines.engine import Engine, Settings
from inferometer.engines.flags import flag_names
from inferometer.engines.model_place import misplaced
from inferometer.errors import UsageError
from inferometer.models.asked import Asked
from inferometer.models.config import ModelConfig, read_model
from inferometer.models.needs import Needs, needs
from inferometer.models.refusals import Caution, Refusal, cautions, refusals

_ASKED = sorted({*Asked.__struct_fields__} & {*Settings.__struct_fields__} - {"env"})


class Known(NamedTuple):
    """What the files of a model say about a start; empty where they are not here.

    Attributes:
        refusals: what the engine would refuse.
        cautions: what it would do without a word.
        needs: memory that it takes; None where the files do not tell.
    """

    refusals: tuple[Refusal, ...] = ()
    cautions: tuple[Caution, ...] = ()
    needs: Needs | None = None


def known_of(engine: Engine, settings: Settings, environ: Mapping[str, str]) -> Known:
    """Hold ``settings`` against the files of the model.

    A directory is looked at as it is; of a model in a hub's cache only what its config.json says, as the engine fetches
    files that lack.

    Args:
        engine: that is to serve it.
        settings: and how.
        environ: variables that say where the hubs keep their files; those of ``settings`` win.

    Raises:
        UsageError: a setting that the engine does not have.
        DataError: its config.json cannot be understood.
    """
    nowhere = misplaced(engine, settings)
    if nowhere is not None:
        return Known((nowhere,))
    config = _config(settings.model, {**environ, **settings.env})
    if config is None:
        return Known()
    asked = asked_of(engine, settings, environ)
    return Known(
        tuple(refusals(config, asked, engine.name)),
        tuple(cautions(config, asked, engine.name)),
        needs(config, asked),
    )


def asked_of(engine: Engine, settings: Settings, environ: Mapping[str, str]) -> Asked:
    """What the engine is asked for by its whole command line, raw flags included, as it reads that itself.

    Args:
        engine: that is to serve.
        settings: and how.
        environ: variables that it gets from this process; those of ``settings`` win.

    Raises:
        UsageError: a setting that the engine does not have.
    """
    read = engine.settings(engine.command(settings).argv)
    values: dict[str, Any] = {}
    for name in _ASKED:
        said = None if read is None else getattr(read, name)
        values[name] = getattr(settings, name) if said is None else said
    raw = settings.extra if read is None else read.extra
    return Asked(env={**environ, **settings.env}, flags=flag_names(raw), **values)


def refuse(engine: Engine, settings: Settings, environ: Mapping[str, str]) -> None:
    """Refuse a start that is known to fail.

    Raises:
        UsageError: with all reasons.
    """
    found = known_of(engine, settings, environ).refusals
    if not found:
        return
    steps = list(dict.fromkeys(one.next_step for one in found))
    raise UsageError(
        f"{engine.name} would not serve {settings.model}: " + "; ".join(one.message for one in found),
        "; ".join([*steps, "or start it all the same with --unchecked"]),
    )


def cached_model(name: str, environ: Mapping[str, str]) -> Path | None:
    """Where a hub's cache on this machine keeps the model ``OWNER/NAME``; None when it does not.

    Sources: huggingface_hub "Understand caching" (refs/main names the snapshot); modelscope's file cache, which writes
    a dot as three underscores.
    """
    home = Path(environ.get("HOME", "")) / ".cache"
    hub = Path(environ.get("HF_HUB_CACHE") or Path(environ.get("HF_HOME") or home / "huggingface") / "hub")
    repository = hub / f"models--{name.replace('/', '--')}"
    ref = repository / "refs" / "main"
    if ref.is_file():
        return repository / "snapshots" / ref.read_text("utf-8").strip()
    scope = Path(environ.get("MODELSCOPE_CACHE") or home / "modelscope" / "hub")
    owner, _, model = name.partition("/")
    places = (scope / folder / owner / model.replace(".", "___") for folder in ("models", ""))
    return next((place for place in places if place.is_dir()), None)


def _config(model: str, environ: Mapping[str, str]) -> ModelConfig | None:
    if not model:
        return None
    here = Path(model).expanduser()
    if here.exists():
        return read_model(here)
    cached = cached_model(model, environ) if model.count("/") == 1 else None
    config = None if cached is None else read_model(cached)
    if config is None:
        return None
    # What lacks in a cache the engine fetches.
    weights = msgspec.structs.replace(
        config.weights, missing=(), damaged=(), files=config.weights.files or {"model.safetensors": 0}
    )
    return msgspec.structs.replace(config, weights=weights, has_tokenizer=True)
