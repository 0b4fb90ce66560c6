"""The shape of the code: limits that a linter of the set does not check."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = sorted(p for folder in ("src", "tests", "bench", "examples") for p in (ROOT / folder).rglob("*.py"))
LONGEST_FILE, LONGEST_FUNCTION, MOST_PARAMETERS = 500, 80, 6


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_files_and_functions_stay_small(path: Path) -> None:
    text = path.read_text("utf-8")
    assert text.count("\n") <= LONGEST_FILE
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        names = [a.arg for a in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
        own = [name for name in names if name not in ("self", "cls")]
        assert (node.end_lineno or node.lineno) - node.lineno < LONGEST_FUNCTION, node.name
        assert len(own) <= MOST_PARAMETERS, node.name


@pytest.mark.parametrize("package", sorted((ROOT / "src").rglob("__init__.py")), ids=lambda p: p.parent.name)
def test_each_package_says_what_it_is(package: Path) -> None:
    assert ast.get_docstring(ast.parse(package.read_text("utf-8")))


def test_no_package_is_named_after_nothing() -> None:
    vague = {"utils", "util", "common", "core", "manager", "helper", "helpers", "misc"}
    assert not vague & {path.stem for path in (ROOT / "src").rglob("*")}
