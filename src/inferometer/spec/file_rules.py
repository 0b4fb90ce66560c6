"""Rules of data set files: their options, for the formats that obey them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from inferometer.spec.model import RunSpec
from inferometer.spec.problems import Problem

WITH_CATEGORIES = ("mtbench", "specbench")
PAYLOADS = ("prompt", "messages", "body")
COLUMN_ROLES = (*PAYLOADS, "system", "output", "output_tokens", "model")
_EXAMPLE = "write --column prompt=NAME output=NAME"


def file_problems(spec: RunSpec) -> Iterator[Problem]:
    """What contradicts itself in ``--category``, ``--column``, ``--on-bad-row`` and ``--max-model-len``."""
    data = spec.workload
    if data.category and data.dataset not in WITH_CATEGORIES:
        yield Problem(
            f"--category is for --dataset {' and '.join(WITH_CATEGORIES)}, but the data set is {data.dataset}",
            "drop --category",
        )
    if data.column and data.dataset != "custom":
        yield Problem(
            f"--column names the columns of --dataset custom, but the data set is {data.dataset}",
            "drop --column, or use --dataset custom",
        )
    elif data.column:
        yield from _columns(data.column)
    if data.dataset == "random":
        if data.on_bad_row != "fail" and spec.images.image_path is None:
            yield Problem("--on-bad-row is for files, but --dataset random reads none", "drop --on-bad-row")
        if data.max_model_len:
            yield Problem(
                "--max-model-len checks the rows of files, but --dataset random makes the lengths asked for",
                "drop --max-model-len, or lower --input-len and --output-len",
            )


def _columns(texts: Sequence[str]) -> Iterator[Problem]:
    roles = []
    for text in texts:
        role, _, name = text.partition("=")
        if not role or not name:
            yield Problem(f"--column {text!r} is not ROLE=NAME", _EXAMPLE)
        elif role not in COLUMN_ROLES:
            yield Problem(f"--column {text!r}: no role {role!r}", f"the roles are {', '.join(COLUMN_ROLES)}")
        elif role in roles:
            yield Problem(f"--column gives {role} twice", "keep one of them")
        roles.append(role)
    payloads = [role for role in PAYLOADS if role in roles]
    if not payloads:
        yield Problem("--column does not say what is sent", f"name one of {', '.join(PAYLOADS)}: {_EXAMPLE}")
    elif len(payloads) > 1:
        yield Problem(f"--column names both {' and '.join(payloads)}", "a request is made from one of them")
    elif payloads == ["body"] and len(roles) > 1:
        yield Problem(
            "--column body=NAME names whole requests, so no other column can say anything",
            "drop the other columns",
        )
