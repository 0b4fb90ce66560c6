"""A plan from flags and YAML; whatever is wrong in it becomes one UsageError."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from inferometer.engines.nodes.plan import NodePlan
from inferometer.errors import UsageError
from inferometer.spec.problems import Problem, raise_problems


def make_plan(values: Mapping[str, Any]) -> NodePlan:
    """A plan from values by field name.

    Raises:
        UsageError: every value that is not allowed, with flag, value, rule and next step.
    """
    try:
        return NodePlan.model_validate(dict(values))
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False)
    raise_problems(dict.fromkeys(_problem(str(item["loc"][0]), item["msg"], item["input"]) for item in found))
    raise AssertionError("a ValidationError always holds an error")


def read_plan(path: Path) -> dict[str, Any]:
    """The values of a plan file by field name; a flag's name with dashes does as well.

    Raises:
        UsageError: it cannot be read, is no YAML of ``key: value`` lines, or holds unknown keys.
    """
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise UsageError(
            f"plan {path}: {error.strerror}", "check the path; launch plan --out DIR writes one"
        ) from None
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: byte {error.start} is not UTF-8", "save the file as UTF-8") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or error
        raise UsageError(f"{path}{line}: not YAML: {problem}", "check quotes and indentation") from None
    if not isinstance(values, dict):
        raise UsageError(f"{path} is no plan", "write lines of the form 'key: value', as engine: lmdeploy")
    named = {str(key).replace("-", "_"): value for key, value in values.items()}
    names = {flag_of(name).removeprefix("--").replace("-", "_"): name for name in NodePlan.model_fields}
    strange = [key for key in named if key not in names and key not in NodePlan.model_fields]
    raise_problems(Problem(f"{path}: unknown key {key!r}", _near(key)) for key in strange)
    return {names.get(key, key): value for key, value in named.items() if value is not None}


def flag_of(name: str) -> str:
    """The flag of a field."""
    extra = NodePlan.model_fields[name].json_schema_extra
    flag = extra.get("flag") if isinstance(extra, dict) else None
    return str(flag or f"--{name.replace('_', '-')}")


def _problem(name: str, rule: str, given: object) -> Problem:
    rule = rule.removeprefix("Value error, ").replace("Input should be a valid tuple", "write it as a list")
    return Problem(
        f"{flag_of(name)} {given!r}: {rule[:1].lower()}{rule[1:]}",
        f"it takes: {NodePlan.model_fields[name].description}",
    )


def _near(key: str) -> str:
    near = difflib.get_close_matches(key, NodePlan.model_fields, n=1)
    return f"did you mean {near[0]}?" if near else "see `inferometer launch plan --help`"
