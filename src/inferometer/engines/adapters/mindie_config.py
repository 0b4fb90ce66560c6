"""Settings in the words of MindIE's config.json, and back. Pure: takes the file's content, gives a changed copy."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import msgspec

from inferometer.engines.engine import Settings
from inferometer.errors import UsageError

_SECTIONS = ("ServerConfig", "BackendConfig", "ModelDeployConfig", "ModelConfig", "ScheduleConfig")
_PLACE = {"ipAddress": "--host", "port": "--port", "modelWeightPath": "MODEL"}
_PORTS = ("managementPort", "metricsPort")


class _Parts:
    """The sections of one file that settings are in.

    Raises:
        UsageError: one is missing.
    """

    def __init__(self, config: dict[str, Any]) -> None:
        self.server = _section(config, "ServerConfig")
        self.backend = _section(config, "BackendConfig")
        self.deploy = _section(self.backend, "ModelDeployConfig")
        models = self.deploy.get("ModelConfig")
        if not isinstance(models, list) or not models or not isinstance(models[0], dict):
            raise UsageError(
                "MindIE's configuration has no ModelConfig", "take conf/config.json of the installation"
            )
        self.model: dict[str, Any] = models[0]
        self.schedule = _section(self.backend, "ScheduleConfig")


def described(settings: Settings, config: dict[str, Any]) -> Settings:
    """The settings with the model of the file, where they name none."""
    if settings.model:
        return settings
    return msgspec.structs.replace(settings, model=str(_Parts(config).model.get("modelWeightPath", "")))


def changed(config: dict[str, Any], settings: Settings) -> dict[str, Any]:
    """A copy of ``config`` that says what ``settings`` say.

    Lengths go together, as a length of other engines holds for prompt and answer in any division: maxInputTokenLen and
    maxIterTimes become maxSeqLen - 1, and maxPrefillTokens at least as much. The other ports keep their distance to the
    first. Raw parameters come last.

    Raises:
        UsageError: a raw parameter that the file does not have, has twice, or that says where the server is.
    """
    config = copy.deepcopy(config)
    parts = _Parts(config)
    _serve(parts, settings)
    _deploy(parts, settings)
    _spread(parts, settings)
    for word in settings.extra:
        _set_raw(config, word)
    return config


def _serve(parts: _Parts, settings: Settings) -> None:
    server = parts.server
    moved = settings.port - server.get("port", settings.port)
    server |= {name: server[name] + moved for name in _PORTS if isinstance(server.get(name), int)}
    server |= {"ipAddress": settings.host, "port": settings.port, "httpsEnabled": False}
    if settings.host == "0.0.0.0":  # noqa: S104 (asked for; MindIE wants it said twice)
        server["allowAllZeroIpListening"] = True


def _deploy(parts: _Parts, settings: Settings) -> None:
    model, schedule = parts.model, parts.schedule
    model["modelWeightPath"] = settings.model
    if settings.served_name is not None:
        model["modelName"] = settings.served_name
    if settings.trust_remote_code:
        model["trustRemoteCode"] = True
    if settings.prefix_cache is not None:
        model["plugin_params"] = _plugins(model.get("plugin_params"), settings.prefix_cache)
        if "enablePrefixCache" in schedule or settings.prefix_cache:
            schedule["enablePrefixCache"] = settings.prefix_cache
    if settings.max_model_len is not None:
        length = settings.max_model_len
        parts.deploy |= {"maxSeqLen": length, "maxInputTokenLen": max(1, length - 1)}
        schedule["maxIterTimes"] = max(1, length - 1)
        schedule["maxPrefillTokens"] = max(length, schedule.get("maxPrefillTokens", length))
    if settings.max_num_seqs is not None:
        schedule["maxBatchSize"] = settings.max_num_seqs
        if isinstance(schedule.get("maxPrefillBatchSize"), int):
            schedule["maxPrefillBatchSize"] = min(settings.max_num_seqs, schedule["maxPrefillBatchSize"])
    if settings.max_num_batched_tokens is not None:
        schedule["maxPrefillTokens"] = settings.max_num_batched_tokens


def _spread(parts: _Parts, settings: Settings) -> None:
    """Devices: worldSize = dp x tp, as many as npuDeviceIds names."""
    model, backend = parts.model, parts.backend
    if settings.devices is not None:
        backend["npuDeviceIds"] = [_numbers(settings.devices)]
    asked = (settings.tensor_parallel, settings.data_parallel)
    if asked == (None, None) and settings.devices is None and settings.expert_parallel is None:
        return
    tensor, data = asked
    size = (tensor or 1) * (data or 1) if asked != (None, None) else len(backend["npuDeviceIds"][0])
    if settings.devices is None and asked != (None, None):
        backend["npuDeviceIds"] = [list(range(size))]
    held = len(backend["npuDeviceIds"][0])
    if held != size:
        raise UsageError(
            f"MindIE runs {size} ranks (tp {tensor or 1} x dp {data or 1}) on {held} devices ({settings.devices})",
            f"name {size} devices, or set tensor_parallel to {held // (data or 1) or 1}",
        )
    model["worldSize"] = size
    if data is not None:
        model |= {"dp": data, "tp": tensor or 1}
    if settings.expert_parallel is not None:
        model |= {"moe_ep": size, "moe_tp": 1} if settings.expert_parallel else {"moe_ep": 1, "moe_tp": size}


def _numbers(devices: str) -> list[int]:
    listed = devices.rpartition(":")[2].split(",")
    try:
        return [int(number) for number in listed]
    except ValueError:
        raise UsageError(f"devices {devices!r} are no numbers", "give them as 0,1") from None


def _plugins(written: Any, wanted: bool) -> str:
    """plugin_params, JSON in a text, with or without prefix_cache among its plugins."""
    try:
        params = json.loads(written or "{}")
    except ValueError:
        params = {}
    names = [
        name for name in str(params.get("plugin_type", "")).split(",") if name and name != "prefix_cache"
    ]
    if wanted:
        names.append("prefix_cache")
    params = {**params, "plugin_type": ",".join(names)} if names else {}
    return json.dumps(params) if params else ""


def _set_raw(config: dict[str, Any], word: str) -> None:
    """One raw parameter: ``NAME=VALUE`` or ``SECTION.NAME=VALUE``, the value as JSON where it is some, else a text."""
    path, equals, text = word.lstrip("-").partition("=")
    section, _, name = path.rpartition(".")
    if name in _PLACE:
        raise UsageError(
            f"raw parameter {word!r} of MindIE says what {_PLACE[name]} is for",
            f"write it as {_PLACE[name]} before the --, so that what is asked is what is started",
        )
    places = [
        place for place in _places(config) if section in ("", place[0]) and (name in place[1] or section)
    ]
    if not equals or len(places) != 1:
        why = (
            "is in none of its sections"
            if not places
            else "stands in " + " and ".join(place[0] for place in places)
        )
        raise UsageError(
            f"raw parameter {word!r} of MindIE: {name} {why if equals else 'has no value'}",
            f"write SECTION.NAME=VALUE, as ScheduleConfig.maxBatchSize=200; sections: {', '.join(_SECTIONS)}",
        )
    try:
        places[0][1][name] = json.loads(text)
    except ValueError:
        places[0][1][name] = text


def _places(config: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    parts = _Parts(config)
    yield from zip(
        _SECTIONS, (parts.server, parts.backend, parts.deploy, parts.model, parts.schedule), strict=True
    )


def _section(config: dict[str, Any], name: str) -> dict[str, Any]:
    found = config.get(name)
    if not isinstance(found, dict):
        raise UsageError(f"MindIE's configuration has no {name}", "take conf/config.json of the installation")
    return found
