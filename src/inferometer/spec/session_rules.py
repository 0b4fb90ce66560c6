"""Rules of sessions and of model mixes, and how their texts are read."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

from inferometer.spec.data import TRACES, Sessions
from inferometer.spec.fields import as_seconds
from inferometer.spec.model import RunSpec
from inferometer.spec.problems import Problem

# Backends whose requests have no messages, so that an answer could not be told from what the user said.
WITHOUT_MESSAGES = (
    "openai-completions",
    "openai-embeddings",
    "vllm",
    "vllm-generate",
    "sglang",
    "lmdeploy",
    "lmdeploy-generate",
    "tgi",
    "mindie",
    "mindspore",
    "triton",
    "trtllm",
)
# Data of one prompt a row; sharegpt, mtbench and custom have conversations, and so may data sets of other packages.
SINGLE_TURN = ("openqa", "alpaca", "codefuse", "longalpaca", "humaneval", "line")


class ThinkTime(NamedTuple):
    """How long a user takes between an answer and the next turn, in seconds.

    Attributes:
        kind: always ``low_s``, exponential with mean ``low_s``, or uniform from ``low_s`` to ``high_s``.
    """

    kind: Literal["fixed", "exp", "uniform"]
    low_s: float
    high_s: float

    @property
    def mean_s(self) -> float:
        """The mean, in seconds."""
        return (self.low_s + self.high_s) / 2


def parse_think_time(text: str) -> ThinkTime:
    """``2s``, ``exp:2s`` or ``uniform:1s,3s``; 0 is allowed.

    Raises:
        ValueError: it is written otherwise.
    """
    match = re.fullmatch(r"(?:(exp|uniform):)?(.*)", text.strip().lower())
    assert match is not None
    times = [float(as_seconds(part)) for part in match[2].split(",")]
    if match[1] == "uniform" and len(times) == 2 and times[0] <= times[1]:
        return ThinkTime("uniform", times[0], times[1])
    if match[1] == "uniform" or len(times) != 1:
        raise ValueError("uniform takes the shortest and the longest time: uniform:1s,3s")
    return ThinkTime("exp" if match[1] else "fixed", times[0], times[0])


def model_weights(mix: Sequence[str]) -> dict[str, float]:
    """Weights by model name from ``["base=3", "lora-a=1"]`` or ``["base=3 lora-a=1"]``; without a weight it is 1.

    Raises:
        ValueError: a weight is no number above 0, or a name comes twice.
    """
    weights: dict[str, float] = {}
    for item in (item for text in mix for item in re.split(r"[,\s]+", text) if item):
        name, _, written = item.rpartition("=") if "=" in item else (item, "", "1")
        try:
            weight = float(written)
        except ValueError:
            weight = math.nan
        if not name or not (weight > 0 and math.isfinite(weight)):
            raise ValueError(f"{item!r} is not NAME=WEIGHT with a weight above 0")
        if name in weights:
            raise ValueError(f"{name!r} comes twice")
        weights[name] = weight
    return weights


def session_problems(spec: RunSpec) -> Iterator[Problem]:
    """What contradicts itself in ``--multi-turn``, ``--turns`` and their kin."""
    sessions = spec.sessions
    yield from _think_time(spec)
    if sessions.turns and not sessions.multi_turn and spec.workload.dataset != "random":
        yield Problem(
            f"--turns {sessions.turns} bounds conversations, and --dataset {spec.workload.dataset} is sent prompt "
            "by prompt",
            "add --multi-turn, or drop --turns",
        )
    elif sessions.wanted:
        yield from _wanted(spec)
    else:
        yield from _idle(sessions)


def _idle(sessions: Sessions) -> Iterator[Problem]:
    """Options of sessions where none are asked for."""
    options = {
        "--turn-input-len": sessions.turn_input_len > 0,
        "--think-time": sessions.think_time != "0s",
        "--history": sessions.history != "server",
    }
    for flag in (flag for flag, given in options.items() if given):
        yield Problem(
            f"{flag} is for sessions of several turns, which are not asked for",
            "give --turns N with --dataset random, or --multi-turn with a file of conversations",
        )


def _wanted(spec: RunSpec) -> Iterator[Problem]:
    sessions, data, backend = spec.sessions, spec.workload.dataset, spec.endpoint.backend
    if backend in WITHOUT_MESSAGES:
        yield Problem(
            f"sessions of several turns need chat messages, which --backend {backend} does not send",
            "use --backend openai-chat",
        )
    if data == "random" and sessions.turns < 2:
        yield Problem(
            "--multi-turn with --dataset random does not say how many turns", "give --turns N, 2 or more"
        )
    if data == "random" and spec.workload.text == "token-ids":
        yield Problem(
            "sessions are chat messages, and --text token-ids makes prompts that are none",
            "drop --text token-ids",
        )
    if data in SINGLE_TURN:
        yield Problem(
            f"--multi-turn needs conversations, and --dataset {data} has one prompt a row",
            "drop it, or use --dataset sharegpt, mtbench or custom",
        )
    if data in TRACES:
        yield Problem(
            f"--dataset {data} replays each request at its recorded time, and a later turn waits for its answer",
            "drop --multi-turn and --turns",
        )
    if data != "random" and sessions.turn_input_len:
        yield Problem(
            f"--turn-input-len is for --dataset random; the turns of {data} have their own lengths", "drop it"
        )
    if data == "random" and sessions.history == "dataset":
        yield Problem(
            "--history dataset repeats recorded answers, and --dataset random has none", "drop --history"
        )


def _think_time(spec: RunSpec) -> Iterator[Problem]:
    try:
        parse_think_time(spec.sessions.think_time)
    except ValueError as error:
        yield Problem(
            f"--think-time {spec.sessions.think_time!r}: {error}",
            "write 2s, exp:2s (mean), or uniform:1s,3s",
        )


def mix_problems(spec: RunSpec) -> Iterator[Problem]:
    """What contradicts itself in ``--model-mix``."""
    mix, endpoint = spec.workload.model_mix, spec.endpoint
    if not mix:
        return
    try:
        weights = model_weights(mix)
    except ValueError as error:
        yield Problem(f"--model-mix: {error}", "write --model-mix base=3 lora-a=1")
        return
    if not weights:
        yield Problem("--model-mix names no model", "write --model-mix base=3 lora-a=1")
    if endpoint.model is not None and weights and endpoint.model not in weights:
        yield Problem(
            f"--model {endpoint.model} is not one of --model-mix {' '.join(weights)}, so it would never be asked",
            "drop --model, or add it to the mix",
        )
    if endpoint.served_model_name is not None:
        yield Problem(
            "--served-model-name gives one name to all requests, and --model-mix gives each its own",
            "drop --served-model-name, and write the names of the server into --model-mix",
        )
