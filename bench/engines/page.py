"""The tables of real engines in docs/performance.md, from what ``engines.run`` stored.

cd bench && python -m engines.page        write them again
"""

from __future__ import annotations

import json
import statistics
import sys
from pathlib import Path
from typing import Any

from engines.truth import METRICS
from machine import code_line, machine_line
from table import put

RESULTS = Path(__file__).resolve().parents[2] / "build" / "bench" / "engines.json"
_TRUTH_NOTES = """\
Means in ms. "Engine": its own clock, vLLM's histograms of /metrics before and after, llama.cpp's log. "Server": the
whole of it, because the engine's clock begins when the request has been read and tokenised: for vLLM noted at its HTTP
edge, from the kernel's receipt of the request to the write; for llama.cpp the engine's clock and what a plain blocking
client finds beside it. Off by: from the server where that is given, else from the engine. A figure of ours is good
within 2 % or 1 ms. ITL is per token. llama.cpp has no clock for requests that wait: TTFT and E2EL compare with one
stream only. The client in user space is vLLM bench's own request function with the same prompts. Waited: the share of
the time in which the client was ready to run and had no core."""
_SAME_NOTES = """\
Means over the turns; noise: standard deviation of one run. p: exact permutation test of the difference of the means;
below 1 % it is more than noise, which takes five turns a side. The same definitions on both sides (`--as vllm`). The
turns on shared cores show what starvation does, and decide nothing but whether ours agrees with the server."""


def main() -> int:
    """Write the page; 1 when there is nothing to write."""
    if not RESULTS.exists():
        return 1
    write(json.loads(RESULTS.read_text(encoding="utf-8")))
    return 0


def write(document: dict[str, Any]) -> None:
    """Both tables, of what was measured."""
    end = f"{machine_line(document['machine'])}; {code_line(document['code'])}; {document['versions']}."
    if document["truth"]:
        put(
            "engines-truth",
            "\n".join(
                [*truth_table(document["truth"]), "", *_each_lines(document["truth"]), _TRUTH_NOTES, end]
            ),
        )
    if document["same"]:
        parts = [line for found in document["same"] for line in same_table(found)]
        put("engines-same", "\n".join([*parts, _SAME_NOTES, end]))


def truth_table(cases: list[dict[str, Any]]) -> list[str]:
    """One row a metric of each load."""
    lines = [
        "| engine, cores | load | metric | engine | server | ours | off by | | user space: server | its | off by "
        "| waited: ours, user space |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for case in cases:
        ours, user = case["sides"]
        head = f"| {case['engine']}, {case['placement']} | {case['load']}"
        waited = f"{ours['wait_share']:.1%}, {user['wait_share']:.1%}"
        for metric in METRICS:
            if ours["truth"][metric] is None:
                continue
            word = "good" if ours["within"][metric] else "missed"
            lines.append(
                f"{head} | {metric} | {_ms(ours['engine'].get(metric))} | {_ms(ours['server'].get(metric))} "
                f"| {_ms(ours['measured'][metric])} | {_off(ours, metric)} | {word} "
                f"| {_ms(user['truth'][metric])} | {_ms(user['measured'][metric])} | {_off(user, metric)} | {waited} |"
            )
            head, waited = "| |", ""
    return lines


def _each_lines(cases: list[dict[str, Any]]) -> list[str]:
    """What is known of single requests and chunks, one line a load."""
    lines = []
    for case in cases:
        notes = case["sides"][0]["notes"]
        said = [f"our verdict {notes['verdict'][0]}{_failed(notes['verdict'][1:])}"]
        if notes.get("realtime"):
            said.append("worker at real-time priority")
        arrival = notes.get("arrival", {"n": 0})
        if arrival["n"]:
            said.append(
                f"time of a chunk less the server's write, ms: p50 {arrival['p50']:.3f}, p99 {arrival['p99']:.3f}, "
                f"largest {arrival['max']:.1f} ({arrival['n']:,} chunks)"
            )
        for name, words in (("each_tpot", "TPOT"), ("each_ttft", "TTFT"), ("each_e2el", "E2EL")):
            if name in notes:
                found = notes[name]
                said.append(
                    f"{words} less `timings`, request by request, ms: mean {found['mean']:+.3f}, "
                    f"p50 {found['p50']:.3f}, p99 {found['p99']:.3f}"
                )
        lines.append(f"- {case['engine']}, {case['placement']}, {case['load']}: {'; '.join(said)}.")
    return [*lines, ""]


def same_table(found: dict[str, Any]) -> list[str]:
    """One row a metric, and what the server says of each side's runs."""
    lines = [
        f"{found['load']}, {found['placement']}, {found['turns']} turns:",
        "",
        "| metric | ours | vllm bench serve | difference | noise | p | |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for held in found["held"]:
        ours, theirs = (statistics.fmean(held[side]) for side in ("ours", "theirs"))
        lines.append(
            f"| {held['metric']} | {_ms(ours)} | {_ms(theirs)} | {held['difference'] / theirs:+.2%} "
            f"| {held['noise'] / theirs:.2%} | {held['p_value']:.1%} | {held['word']} |"
        )
    edge, own = found["edge"], found["own"]
    if edge["ours"]:
        told = "; ".join(
            f"{name} ours {_ms(_mean(found, name, 'ours'))}, the server {_ms(edge['ours'][name])}, "
            f"vllm bench serve {_ms(_mean(found, name, 'theirs'))}, the server {_ms(edge['theirs'][name])}"
            for name in ("TTFT", "E2EL")
        )
        lines += ["", f"Against the server in the same runs, where run noise cancels, mean ms: {told}."]
    mine = ", ".join(f"{name.upper()} {_ms(own[name])}" for name in own)
    return [*lines, f"By our own definitions, means from the send, ms: {mine}.", ""]


def _mean(found: dict[str, Any], metric: str, side: str) -> float:
    (held,) = (one for one in found["held"] if one["metric"] == f"mean_{metric.lower()}_ms")
    return statistics.fmean(held[side])


def _failed(names: list[str]) -> str:
    return f" ({', '.join(names)})" if names else ""


def _ms(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}" if abs(value) >= 1000 else f"{value:#.4g}".rstrip(".")


def _off(side: dict[str, Any], metric: str) -> str:
    off, truth = side["off_ms"][metric], side["truth"][metric]
    return f"{off:+.3g} ({off / truth:+.1%})"


if __name__ == "__main__":
    sys.exit(main())
