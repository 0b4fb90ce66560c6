"""Which data set a file is, told by its first row; and some of its rows as they are."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from inferometer.errors import DataError
from inferometer.workload.rows import BadRowError, open_rows

# Fields that only one format has, the most telling first.
_TELLING = (
    ("bailian", {"chat_id", "timestamp", "input_length", "output_length"}),
    ("mooncake", {"timestamp", "input_length", "output_length", "hash_ids"}),
    ("trace", {"output_tokens", "input_tokens"}),
    ("sharegpt", {"conversations"}),
    ("specbench", {"turns", "category"}),
    ("humaneval", {"task_id", "prompt"}),
    ("alpaca", {"instruction", "output"}),
    ("burstgpt", {"Timestamp", "Request tokens", "Response tokens"}),
    ("azure", {"TIMESTAMP", "ContextTokens", "GeneratedTokens"}),
)
_WRITTEN = {"input", "output", "instruction"}  # by generate_dataset.py, with an instruction that says nothing


def recognise(path: str) -> tuple[str, tuple[str, ...]]:
    """The name of the data set, and which columns are what where that is no matter of course.

    Raises:
        DataError: the file cannot be read or is empty.
    """
    if Path(path).suffix == ".txt":
        return "line", ()
    row = next(open_rows(path).rows, None)
    if row is None:
        raise DataError(f"{path} holds no row", "check the file")
    try:
        value = row.value()
    except BadRowError as bad:
        raise row.failure(bad) from bad
    if not isinstance(value, dict):
        return "custom", ()
    if value.keys() >= _WRITTEN and value["instruction"] == "NA":
        return "custom", ("prompt=input", "output=output")
    if value.keys() == {"id", "input"}:
        return "custom", ("prompt=input",)
    return next((name for name, fields in _TELLING if value.keys() >= fields), "custom"), ()


def sampled_rows(path: str, count: int, seed: int) -> Iterator[dict[str, Any]]:
    """Some rows as they are, in the order of the file, the same ones for the same seed.

    Raises:
        DataError: fewer rows than asked for, or a broken one.
    """
    total = sum(1 for _ in open_rows(path).rows)
    if total < count:
        raise DataError(f"{path} has {total} rows, and {count} were asked for", f"ask for at most {total}")
    chosen = set(random.Random(seed).sample(range(total), count))  # noqa: S311 - a sample, not a secret
    for number, row in enumerate(open_rows(path).rows):
        if number in chosen:
            try:
                yield row.value()
            except BadRowError as bad:
                raise row.failure(bad) from bad
