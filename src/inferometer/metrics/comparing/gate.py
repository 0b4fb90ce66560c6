"""What has to be equal for a comparison to mean anything, and what was changed on purpose."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

import msgspec

from inferometer.record.tables import RunRecord
from inferometer.record.types import RunMeta
from inferometer.spec import RunSpec, public_dict

_DATA = ("workload", "prefix", "sessions", "trace", "images")
# What the load point, the digest of the file or the counting of tokens says already.
_NOT_OF_THE_DATA = ("dataset", "dataset_path", "input_len", "output_len", "tokenizer", "column", "on_bad_row")
_HARDWARE = (
    "device",
    "devices",
    "gpu",
    "npu",
    "accelerator",
    "hardware",
    "server_gpu_type",
    "server_gpu_count",
)
_UNKNOWN = "not told"


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """Something that is one thing on the first side and another on the second; several values where a side is mixed."""

    name: str
    a: str
    b: str

    def __str__(self) -> str:
        return f"{self.name} {self.a} -> {self.b}"


class Gate(msgspec.Struct, frozen=True, kw_only=True):
    """Whether two sides may be compared.

    Attributes:
        equal: what is equal, with its value.
        unequal: what should be, and is not.
        changed: what was changed on purpose: engine, its flags and version, labels.
        unknown: what cannot be known of one side, such as of typed numbers.
    """

    equal: list[tuple[str, str]]
    unequal: list[Difference]
    changed: list[Difference]
    unknown: list[str] = []


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What one run says of itself: ``asked`` has to be equal, ``made`` may be changed on purpose; its ``seed``."""

    asked: dict[str, str]
    made: dict[str, str]
    seed: int | None = None


def facts_of(run: RunRecord, verdict: str) -> Facts:
    """What a run says of itself.

    Args:
        run: the run.
        verdict: VALID, WARN or INVALID.
    """
    meta, imported = run.meta, run.imported
    asked = {
        "kind": "simulated" if meta.simulated else "measured",
        "model": meta.model,
        "tool": f"{imported.tool} {imported.version or ''}".strip()
        if imported
        else f"inferometer {meta.environment.get('inferometer', '')}".strip(),
        **_data_facts(meta),
        **_hardware(run),
        "client verdict": "INVALID" if verdict == "INVALID" else "not INVALID",
    }
    seed = (meta.spec.get("load") or {}).get("seed")
    return Facts(asked={k: v for k, v in asked.items() if v}, made=_made(run), seed=seed)


def gate(a: Sequence[Facts], b: Sequence[Facts]) -> Gate:
    """Hold what two sides say against each other; each has a fact per run."""
    equal: list[tuple[str, str]] = []
    unequal: list[Difference] = []
    unknown: list[str] = []
    for name in _names(facts.asked for facts in (*a, *b)):
        first, second = (_values(facts.asked.get(name) for facts in side) for side in (a, b))
        if first == second and len(first) == 1:
            equal.append((name, first[0]))
        elif not first or not second:
            unknown.append(name)
        else:
            unequal.append(Difference(name=name, a=" | ".join(first), b=" | ".join(second)))
    changed = []
    for name in _names(facts.made for facts in (*a, *b)):
        first, second = (_values(facts.made.get(name) for facts in side) for side in (a, b))
        if first != second:
            changed.append(Difference(name=name, a=_joined(first), b=_joined(second)))
    invalid = [
        Difference(name="client verdict", a="INVALID", b="INVALID")
        for name, value in equal
        if name == "client verdict" and value == "INVALID"
    ]
    return Gate(equal=equal, unequal=[*unequal, *invalid], changed=changed, unknown=unknown)


def mixture(facts: Sequence[Facts]) -> list[str]:
    """What the runs of one side differ in, of all that may be changed on purpose; labels are no part of it."""
    names = [name for name in _names(each.made for each in facts) if not name.startswith("label ")]
    return [name for name in names if len({each.made.get(name) for each in facts}) > 1]


def load_differences(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[Difference]:
    """How two loads differ, how long they were measured included."""
    return [
        Difference(name=name.replace("_", " "), a=_word(a.get(name)), b=_word(b.get(name)))
        for name in dict.fromkeys((*a, *b))
        if a.get(name) != b.get(name) and name not in ("closed", "kind")
    ]


def _data_facts(meta: RunMeta) -> dict[str, str]:
    """Data set, arrivals and answers, as far as the load point does not say them."""
    measured = [point for point in meta.points if point.kind == "measure"]
    data = meta.spec.get("workload") or {}
    sums = _values(str(point.dataset.get("sha256") or "")[:12] for point in measured)
    arrivals = _values(str(point.schedule_sha256 or "")[:12] for point in measured if point.load.get("trace"))
    sampling = meta.spec.get("sampling") or {}
    endpoint = meta.spec.get("endpoint") or {}
    about = [text for part in _DATA for text in _unusual(meta, part, _NOT_OF_THE_DATA)]
    return {
        "API": str(endpoint.get("backend") or "") if endpoint.get("url") else "",
        "data set": " ".join([str(data.get("dataset") or ""), *sums]).strip(),
        "data options": (", ".join(about) or "defaults") if data else "",
        "schedule": " ".join(arrivals),
        "stream": "" if "stream" not in sampling else "on" if sampling["stream"] else "off",
        "sampling": (", ".join(_unusual(meta, "sampling", ("stream",))) or "defaults") if sampling else "",
    }


def _unusual(meta: RunMeta, part: str, left_out: Sequence[str]) -> list[str]:
    """What a part of the spec asks for that is not the default."""
    usual = _usual().get(part, {})
    values = meta.spec.get(part) or {}
    return [
        f"{name} {_word(value)}"
        for name, value in values.items()
        if name not in left_out and value != usual.get(name)
    ]


@cache
def _usual() -> dict[str, dict[str, Any]]:
    return public_dict(RunSpec())


def _hardware(run: RunRecord) -> dict[str, str]:
    """What serves, each as it was told: a label on one side alone is not known of the other, and no difference."""
    meta = run.meta
    facts = meta.engine.facts if meta.engine else {}
    simulation, sweep = meta.spec.get("simulation") or {}, meta.spec.get("sweep") or {}
    device = simulation.get("device") or facts.get("device") or facts.get("devices")
    found = {"device": device, "devices served": sweep.get("devices_served")}
    found |= {f"label {name}": meta.labels.get(name) for name in _HARDWARE}
    return {name: _word(value) for name, value in found.items() if value}


def _made(run: RunRecord) -> dict[str, str]:
    meta, found = run.meta, dict[str, str]()
    engine, prediction = meta.engine, run.prediction
    if meta.server.get("server") and not meta.simulated:
        found["server"] = str(meta.server["server"])
    if engine is not None:
        found |= {"engine": engine.name, "engine version": engine.version or _UNKNOWN}
        found |= flags_of(engine.command) | {f"${name}": value for name, value in engine.env.items()}
    if prediction is not None:
        found |= {name: _word(value) for name, value in prediction.limits.items()}
        found |= {name: _word(value) for name, value in prediction.service.items() if name != "router"}
        found["profile"] = str(prediction.profile.get("sha256") or "")[:12]
    found |= {f"label {name}": value for name, value in meta.labels.items() if name not in _HARDWARE}
    host = meta.environment
    found |= {
        "client " + name: str(host[name]) for name in ("system", "machine", "cpus", "python") if name in host
    }
    return {name: value for name, value in found.items() if value}


def flags_of(command: str) -> dict[str, str]:
    """The flags of a command line by name, without dashes and with underscores; a switch is "on"."""
    words, found, name = shlex.split(command), dict[str, str](), ""
    for word in words:
        if word.startswith("--"):
            name, equals, value = word.lstrip("-").partition("=")
            name = name.replace("-", "_")
            found[name] = value if equals else "on"
            name = "" if equals else name
        elif name:
            found[name] = word if found[name] == "on" else f"{found[name]} {word}"
    found.pop("port", None)
    return found


def _names(maps: Iterable[Mapping[str, str]]) -> list[str]:
    return list(dict.fromkeys(name for each in maps for name in each))


def _values(found: Iterable[str | None]) -> list[str]:
    return sorted({value for value in found if value})


def _joined(values: Sequence[str]) -> str:
    return " | ".join(values) or "none"


def _word(value: Any) -> str:
    return "none" if value is None else value if isinstance(value, str) else json.dumps(value)
