"""The verbs: where each is implemented and what it says of itself. A verb is imported when it is called."""

from __future__ import annotations

import difflib
import importlib
import sys
from typing import NamedTuple

from inferometer.cli.pasted import refuse_pasted, without_invisible
from inferometer.errors import UsageError
from inferometer.version import __version__


class Verb(NamedTuple):
    """One verb; its module has ``main(argv) -> exit code``."""

    group: str
    module: str
    text: str


VERBS = {
    "demo": Verb(
        "Start here", "demo", "measure a simulated server, or a real engine: no configuration, no network"
    ),
    "run": Verb("Measure", "run", "put load on a server and judge the result (also: bench, perf)"),
    "search": Verb(
        "Measure",
        "search",
        "the largest load within limits, the peak of throughput, its knee, or the largest batch",
    ),
    "speed": Verb(
        "Measure",
        "speed",
        "an engine without load: tokens/s and memory by prompt length (transformers, vLLM, a server)",
    ),
    "data": Verb("Measure", "data", "make, inspect, convert, sample or anonymise files of prompts"),
    "simulate": Verb(
        "Predict",
        "simulate",
        "a run, a sweep or a search against a calibrated engine in virtual time; calibrate one from runs",
    ),
    "report": Verb(
        "Look",
        "report",
        "print runs again: as a report, a table (CSV, Markdown, Excel) or another tool's view",
    ),
    "compare": Verb(
        "Look", "compare", "whether two runs differ, by how much and how surely; for people and pipelines"
    ),
    "export": Verb(
        "Look",
        "export",
        "runs as files of other tools (vLLM, EvalScope, GuideLLM ...), traces, or to a tracker",
    ),
    "import": Verb(
        "Look", "import_verb", "other tools' result files as runs, to report, compare and export them"
    ),
    "ui": Verb(
        "Look", "ui", "local pages over the stored runs: list, reports, comparisons, live view, new runs"
    ),
    "runs": Verb("Look", "runs", "list, show, tag, remove or recover stored runs; trend over their history"),
    "metrics": Verb("Look", "metrics", "what every number means: list, explain NAME"),
    "check": Verb(
        "Set up", "check", "this machine as a load generator; --calibrate measures what it carries"
    ),
    "config": Verb("Set up", "config", "show merged values, the JSON Schema, other tools' flags"),
    "compat": Verb(
        "Set up", "compat", "a command line of another tool (vllm, evalscope, aiperf ...) in our words"
    ),
    "launch": Verb(
        "Set up", "launch", "start an engine, wait until it answers, keep it; plan and wake several nodes"
    ),
    "serve-sim": Verb("Set up", "serve_sim", "run the simulated server on its own"),
}
SYNONYMS = {"bench": "run", "perf": "run"}


def dispatch(argv: list[str]) -> int:
    """Run the verb that ``argv`` begins with.

    Raises:
        UsageError: no such verb, or the line holds signs that were pasted from a web page.
    """
    if argv[:1] != ["compat"]:  # it sets such signs right itself
        argv, changed = without_invisible(argv)
        if changed and "--quiet" not in argv:
            print("hint: invisible signs in the command line were left out", file=sys.stderr)
        refuse_pasted(argv)
    if not argv or argv[0] in ("-h", "--help", "--help-all", "help"):
        print(overview())
        return 0
    if argv[0] in ("-V", "--version"):
        print(f"inferometer {__version__}")
        return 0
    name = SYNONYMS.get(argv[0], argv[0])
    if name not in VERBS:
        _refuse(argv[0])
    module = importlib.import_module(f"inferometer.cli.{VERBS[name].module}")
    return int(module.main(argv[1:]))


def overview() -> str:
    """The first page of help: verbs in groups, one line each."""
    lines = ["Inferometer measures LLM inference services.", "", "usage: inferometer VERB [flags]"]
    group = ""
    for name, verb in VERBS.items():
        if verb.group != group:
            group = verb.group
            lines += ["", group]
        lines.append(f"  {name:<12}{verb.text}")
    return "\n".join([*lines, "", "inferometer VERB --help tells more; inferometer --version"])


def _refuse(word: str) -> None:
    if word.startswith("-"):
        raise UsageError(f"{word} before a verb", f"write the verb first: inferometer run {word} ...")
    from inferometer.exchange.compat.tools import is_program

    if is_program(word):
        raise UsageError(
            f"{word} is another tool's command", f'write it in one text: inferometer compat "{word} ..."'
        )
    near = difflib.get_close_matches(word, [*VERBS, *SYNONYMS], n=1)
    known = f"did you mean `inferometer {near[0]}`?" if near else f"known: {', '.join(VERBS)}"
    raise UsageError(f"unknown verb {word!r}", known)
