"""Facts gathered from what an engine has said: the first source that says something is believed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any, NamedTuple

from inferometer.client.exposition import name_and_labels, series_of
from inferometer.engines.engine import Facts, Said
from inferometer.spec.launch_rules import is_secret

_COUNTS = frozenset({"max_model_len", "kv_blocks", "kv_block_tokens", "kv_tokens", "max_num_seqs"})
_SIMPLE = (str, int, float, bool)


class Finding(NamedTuple):
    """What one source says of one field of ``Facts``."""

    field: str
    value: Any
    source: str


def gathered(engine: str, findings: Iterable[Finding]) -> Facts:
    """The facts of ``findings``; of a field the first that is something, counts only if they are above 0."""
    fields: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for field, value, source in findings:
        said = _count(value) if field in _COUNTS else value
        if field not in fields and said not in (None, "", {}):
            fields[field] = said
            sources[field] = source
    if "kv_tokens" not in fields and {"kv_blocks", "kv_block_tokens"} <= fields.keys():
        fields["kv_tokens"] = fields["kv_blocks"] * fields["kv_block_tokens"]
        sources["kv_tokens"] = "kv_blocks x kv_block_tokens"
    return Facts(engine=engine, sources=sources, **fields)


def in_log(log: str, pattern: str) -> str | None:
    """The group of the last place where ``pattern``, which has one, stands in ``log``."""
    found = re.findall(pattern, log)
    return found[-1] if found else None


def in_page(said: Said, path: str) -> dict[str, Any]:
    """The JSON object of a page; empty when there is none."""
    try:
        value = json.loads(said.pages.get(path, "{}"))
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def first_model(said: Said, path: str = "/v1/models") -> dict[str, Any]:
    """The first entry of an OpenAI list of models; empty when there is none."""
    data = in_page(said, path).get("data")
    first = data[0] if isinstance(data, list) and data else None
    return first if isinstance(first, dict) else {}


def labels_of(said: Said, name: str, path: str = "/metrics") -> list[dict[str, str]]:
    """The labels of each series called ``name`` on a page in Prometheus' format; empty when it is none."""
    try:
        series = series_of(said.pages.get(path, ""))
    except ValueError:
        return []
    return [labels for found, labels in map(name_and_labels, series) if found == name]


def told(values: dict[str, Any]) -> dict[str, str]:
    """Settings as text: simple values that are not None, without secrets."""
    return {
        key: str(value)
        for key, value in values.items()
        if isinstance(value, _SIMPLE) and value != "" and not is_secret(key)
    }


def total(values: Iterable[Any]) -> int | None:
    """The sum of counts as written; None when one of them is none, or there are none."""
    counts = [_count(value) for value in values]
    known = [count for count in counts if count is not None]
    return sum(known) if known and len(known) == len(counts) else None


def _count(value: Any) -> int | None:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        number = int(float(value.replace(",", "")) if isinstance(value, str) else value)
    except (ValueError, OverflowError):
        return None
    return number if number > 0 else None
