"""The server that a run started itself, as text."""

from __future__ import annotations

from typing import Any

from inferometer.record.engine import EngineRecord
from inferometer.report.text import count, number
from inferometer.spec.launch_rules import cores_text

# Facts of an engine that explain its numbers, and how they are called.
_SHOWN = {
    "max_num_seqs": "sequences in a step at most",
    "max_model_len": "tokens of prompt and answer at most",
    "kv_tokens": "tokens in the KV cache",
}


def engine_lines(engine: EngineRecord) -> list[str]:
    """What it is, what it can hold, and what it was started with; each line may be wrapped."""
    name = engine.name if engine.version is None else f"{engine.name} {engine.version}"
    ready = [] if engine.ready_s is None else [f"ready after {number(engine.ready_s, 1)} s"]
    cores = (
        [f"on core{'s' if len(engine.cores) > 1 else ''} {cores_text(engine.cores)}"] if engine.cores else []
    )
    lines = [", ".join([name, *ready, *cores])]
    facts = [f"{_number(engine.facts[key])} {words}" for key, words in _SHOWN.items() if key in engine.facts]
    if facts:
        lines.append(", ".join(facts))
    variables = [f"{name}={value}" for name, value in engine.env.items()]
    lines.append(f"command: {' '.join([*variables, engine.command])}")
    return lines


def _number(value: Any) -> str:
    return count(value) if isinstance(value, int) else str(value)
