"""Conditions, and why there is no steady window, in both languages; numbers that are to be told apart."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import inferometer.metrics
from inferometer.metrics.verdict import Condition
from inferometer.report.condition_words import condition_asked, condition_figures, condition_step, no_window
from inferometer.report.text import apart

METRICS = Path(inferometer.metrics.__file__).parent
_ENGLISH = re.compile(r"\b(?!token|goodput|offset|inferometer|tool)[a-z]{3,}\b")
_PARTS = {
    "percentile_name": "p99",
    "imported.tool": "tool",
    "load_title": "concurrency 8",
    "name": "p99",
    "'spike'": "spike",
    "asked": "8",
    "_span": "3.2 s",
    "parts": "12",
    "between": "between 12 and 34 tok/s",
    "grew": "in flight grew until the end, from 12 to 34",
    "_short": "12.5",
    "steady_window": "2-4",
    "sessions at once": "in flight",
}


def condition(**changes: object) -> Condition:
    fields = {
        "name": "send lag",
        "level": "hard",
        "asked": "share",
        "measured": 1.0,
        "limit": 2.0,
        "unit": "ms",
    }
    return Condition(**{**fields, "ok": False, "next_step": "", **changes})  # type: ignore[arg-type]


def texts_of(node: ast.AST) -> Iterator[str]:
    """The texts that an expression can be, with something in place of what is filled in."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value:
        yield node.value
    elif isinstance(node, ast.IfExp):
        yield from texts_of(node.body)
        yield from texts_of(node.orelse)
    elif isinstance(node, ast.JoinedStr):
        yield "".join(part.value if isinstance(part, ast.Constant) else filled(part) for part in node.values)  # type: ignore[misc]


def filled(part: ast.AST) -> str:
    source = ast.unparse(part)
    return next((text for sign, text in _PARTS.items() if sign in source), "7")


def asked_texts() -> Iterator[str]:
    for path in METRICS.glob("*.py"):
        if path.stem == "speed_conditions":  # of a table of its own, which has no page
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Condition":
                for keyword in node.keywords:
                    if keyword.arg == "asked":
                        yield from texts_of(keyword.value)


def reasons() -> Iterator[str]:
    for name in ("steady_window.py", "steady.py"):
        for node in ast.walk(ast.parse((METRICS / name).read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("Found", "_too_short"):
                for argument in node.args:
                    yield from texts_of(argument)


def test_whatever_a_condition_asks_for_is_said_in_chinese_too() -> None:
    found = sorted(set(asked_texts()))
    assert len(found) > 30
    chinese = {text: condition_asked(condition(asked=text)).zh for text in found}
    assert {text: zh for text, zh in chinese.items() if _ENGLISH.search(zh)} == {}


def test_why_there_is_no_steady_window_is_said_in_chinese_too() -> None:
    found = sorted(set(reasons()))
    assert len(found) > 12
    chinese = {text: no_window(text).zh for text in found}
    plain = {text: re.sub(r"--[a-z-]+|auto|tok/s|req/s", "", zh) for text, zh in chinese.items()}
    assert {text: zh for text, zh in plain.items() if _ENGLISH.search(zh)} == {}


def test_a_reason_within_a_reason_keeps_its_numbers() -> None:
    both = no_window("too short: 1,000 requests do not outlast the first 64 in flight; see what failed")
    assert both.zh == "过短：1,000 个请求未能延续到首批 64 个在途请求之后；查看失败请求"


@pytest.mark.parametrize(
    ("numbers", "texts"),
    [
        ((0.00104, 0.001, "share"), ("0.104 %", "0.100 %")),
        ((1.0, 2.0, "ms"), ("1 ms", "2 ms")),
        ((10.004, 10.0, "ms"), ("10.004 ms", "10.000 ms")),
        ((5.0, 5.0, "requests"), ("5 requests", "5 requests")),
        ((None, 0.5, "share"), ("n/a", "50.0 %")),
    ],
)
def test_what_was_measured_never_reads_as_its_limit(
    numbers: tuple[float | None, float, str], texts: tuple[str, str]
) -> None:
    assert apart(*numbers) == texts


def test_figures_and_steps_in_chinese() -> None:
    samples = condition(
        name="samples",
        measured=30,
        limit=1000,
        unit="values",
        next_step="--num-prompts 1000, or ask for lower --percentiles",
    )
    measured, limit = condition_figures(samples)
    assert measured is not None
    assert limit is not None
    assert (measured.en, measured.zh, limit.zh) == ("30 values", "30 个值", "1,000 个值")
    step = condition_step(samples)
    assert step is not None
    assert step.zh.startswith("使用 --num-prompts 1000")


def test_why_something_is_not_known_is_no_advice() -> None:
    unknown = condition_step(condition(name="output length", ok=None, next_step="strange"))
    assert unknown is not None
    assert unknown.zh == "strange"
