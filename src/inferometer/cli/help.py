"""The help of ``run``, written from the spec: groups, one line a flag, the names that other tools use."""

from __future__ import annotations

import textwrap
from typing import NamedTuple

from inferometer.cli.parse import SIMULATE, options_of
from inferometer.exchange.compat.aliases import names_of
from inferometer.spec.options import Option
from inferometer.spec.presets import PRESETS
from inferometer.spec.simulation_rules import is_refused

GENERAL = (
    ("-c, --config FILE", "YAML file of values; flags and environment win over it"),
    (
        "--preset NAME",
        f"a published test: {', '.join(PRESETS)}; what is given beside it wins (see: inferometer config presets)",
    ),
    (
        "--resume [RUN]",
        "go on with a run that ended early (default: the latest): finished load points stay, what is missing is "
        "measured; what is not given is as it was in that run, and its list may be another",
    ),
    ("--redo [N ...]", "with --resume: measure finished load points again: all, or numbers, titles, invalid"),
    ("--force", "with --resume: go on although spec, server or data are not what they were"),
    ("--dry-run", "show the merged plan, where each value comes from, and how long it will take"),
    ("--json", "the last line of stdout is a JSON object"),
    ("-q, --quiet", "no hints and no progress"),
    ("-h, --help", "this page; --help-all adds the advanced flags"),
)

EXAMPLES = """\
Examples
  inferometer run --url http://127.0.0.1:8000
  inferometer run --url http://127.0.0.1:8000 --dataset sharegpt --dataset-path ShareGPT.json \\
      --num-prompts 1000 --request-rate inf
  inferometer run --url http://127.0.0.1:8000 --dataset openqa --dataset-path gsm8k_test.jsonl \\
      --parallel 1 10 50 --number 10 100 500
  inferometer run --url http://127.0.0.1:8000 --request-rate 1 2 4 8 --num-prompts 100 200 400 800 \\
      --burstiness 0.5
  inferometer run --url http://127.0.0.1:8000 --dataset random --input-len 256 --output-len 128 \\
      --max-concurrency 64 --num-prompts 500 --ignore-eos
"""

INTRODUCTION = """\
usage: inferometer run --url URL | --launch COMMAND [flags]     (also: inferometer bench, inferometer perf)

Puts load on a server and measures it: one or more load points, judged and stored in a run folder.
--max-concurrency is a closed loop, --request-rate an open one; neither means concurrency 1 4 16 64.
Lists are written 1 4 16, 1,4,16 or repeated. Flags of vllm bench serve, sglang.bench_serving, evalscope perf,
aiperf, guidellm and genai-bench are understood (in brackets; all: inferometer config aliases).
"""

SEARCH_INTRODUCTION = """\
usage: inferometer search --url URL | --launch COMMAND --slo LIMIT ... [flags]

Measures one load after the other until the largest is known that meets all limits, with a 95 % interval; or, with
--target, the peak of throughput, its knee, or the largest static batch. Each load is a load point of one run folder.
A search that was broken off goes on with --resume. Exit code 3: even the lowest load fails; 5: unsure, or the client
was the limit.
Limits: "p99_ttft<=500ms" "mean_tpot<=50ms" "failed<=0.1%", or ttft:500 tpot:50 with "attainment>=95%".
"""

SEARCH_EXAMPLES = """\
Examples
  inferometer search --url http://127.0.0.1:8000 --slo "p99_ttft<=500ms" "p99_tpot<=50ms" "failed<=0.1%"
  inferometer search --url http://127.0.0.1:8000 --slo ttft:500 tpot:50 "attainment>=95%" --search max-concurrency
  inferometer search --url http://127.0.0.1:8000 --slo "p90_ttft<=500ms" --min 1 --max 50 --budget 30m --precision 5%
  inferometer search --url http://127.0.0.1:8000 --target peak-throughput --search max-concurrency
  inferometer search --url http://127.0.0.1:8000 --target max-batch --tpot-limit 50ms --input-len 256 --output-len 256
"""

SIMULATE_INTRODUCTION = """\
usage: inferometer simulate --profile FILE | --device NAME --model-config PATH [flags]
       inferometer simulate calibrate RUN ... -o PROFILE        (see: inferometer simulate calibrate --help)
       inferometer simulate devices [NAME ...]

Carries out the load points of a run, a sweep or a search against a simulated engine, in virtual time, into the same
run folder, marked simulated. Flags are those of run and search without those of a server. Several values of
--engine-args, --instances or --prefill-decode are compared on the same load. Numbers have 90 % prediction intervals
where the profile has an ensemble.
"""

SIMULATE_EXAMPLES = """\
Examples
  inferometer simulate --profile h100.json --max-concurrency 1 8 64 --input-len 512 --output-len 256
  inferometer simulate --profile h100.json --request-rate 20 --num-prompts 2000 --engine-args "--max-num-seqs 256"
  inferometer simulate --profile h100.json --target slo --slo "p99_ttft<=500ms" "mean_tpot<=50ms"
  inferometer simulate --device h100 --model-config ./Llama-3-8B --dataset mooncake --dataset-path trace.jsonl
"""

_INDENT = 30
_SHOWN_NAMES = 3
_OF_STORED = ("--resume [RUN]", "--redo [N ...]", "--force")  # a simulated run is begun anew


class Page(NamedTuple):
    """What the help of a verb says around its flags; ``first`` are the groups that stand at the top."""

    verb: str
    introduction: str
    examples: str
    first: tuple[str, ...] = ()


RUN_PAGE = Page("run", INTRODUCTION, EXAMPLES)
SEARCH_PAGE = Page("search", SEARCH_INTRODUCTION, SEARCH_EXAMPLES, ("Search",))
SIMULATE_PAGE = Page("simulate", SIMULATE_INTRODUCTION, SIMULATE_EXAMPLES, ("Simulation",))


def run_help(everything: bool, width: int) -> str:
    """The help page of ``run``; see ``page``."""
    return page(RUN_PAGE, everything, width)


def page(about: Page, everything: bool, width: int) -> str:
    """The help page of a verb whose flags are those of the spec.

    Args:
        about: the verb.
        everything: advanced flags too.
        width: columns of the terminal.
    """
    groups: dict[str, list[str]] = {name: [] for name in about.first}
    for option in options_of(about.verb):
        if about.verb == SIMULATE and is_refused(option.dotted):
            continue
        if everything or not option.advanced:
            lines = groups.setdefault(option.group, [])
            lines += _entry(_head(option), _description(option), width)
    general = [(head, text) for head, text in GENERAL if about.verb != SIMULATE or head not in _OF_STORED]
    groups["General"] = [line for head, text in general for line in _entry(head, text, width)]
    body = "\n\n".join("\n".join([title, *lines]) for title, lines in groups.items())
    return f"{about.introduction}\n{body}\n\n{about.examples}"


def _entry(head: str, text: str, width: int) -> list[str]:
    lines = textwrap.wrap(text, max(width - _INDENT, 30), break_long_words=False, break_on_hyphens=False)
    if len(head) + 4 > _INDENT:
        return [f"  {head}", *(" " * _INDENT + line for line in lines)]
    return [f"  {head}".ljust(_INDENT) + lines[0], *(" " * _INDENT + line for line in lines[1:])]


def _head(option: Option) -> str:
    if option.shape == "switch":
        no = "--no-" + option.flag.removeprefix("--")
        return {False: option.flag, True: no}.get(option.default, f"{option.flag}, {no}")
    return f"{option.flag} {option.metavar}" + (" ..." if option.shape in ("list", "texts") else "")


def _description(option: Option) -> str:
    text = option.text
    if option.shape == "switch" and option.default is True:
        text = f"do not {text}"
    default = option.default
    if option.shape != "switch" and default not in (None, "", (), {}) and "default" not in text:
        words = (
            " ".join(_number(item) for item in default) if isinstance(default, tuple) else _number(default)
        )
        text += f" (default {words})"
    names = names_of(option.flag)
    if names:
        text += f" [{' '.join(names[:_SHOWN_NAMES])}{' ...' if len(names) > _SHOWN_NAMES else ''}]"
    return text


def _number(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
