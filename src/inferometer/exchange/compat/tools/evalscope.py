"""``evalscope perf``, and ``evalscope-perf`` as it was called outside of EvalScope before."""

from __future__ import annotations

import math

from inferometer.exchange.compat.aliases import SPEED, Needless, Refused, Rename
from inferometer.exchange.compat.tool import HANDLED, Call, Kind, Tool, rows, words
from inferometer.exchange.compat.tools.habits import SAMPLING, as_json, float_of, headers, made_by_us

_PEER = "EvalScope"
_NAMES = words(
    """
    --model --api --tokenizer-path --url --api-key --connect-timeout --read-timeout --total-timeout -n
    --number --n --parallel --parallels --rate --sleep-interval --duration --prefix-length --image-width
    --image-height --image-num --outputs-dir --dataset --dataset-path --min-prompt-length
    --max-prompt-length --max-tokens --min-tokens --seed --stop --no-stream --temperature --top-p
    --top-k --extra-args --multi-turn
    """
)
_TRACKER = Refused(
    "EvalScope names one tracker", "--track mlflow|wandb|swanlab; see inferometer run --help-all", _PEER
)
_OWN = rows(
    ("--headers --warmup-num --open-loop --min-turns --max-turns --stream --logprobs --n-choices", HANDLED),
    ("--stop-token-ids --prefix-count", HANDLED),
    (" ".join(SAMPLING), HANDLED),
    (
        "--sla-auto-tune --sla-variable --sla-params --sla-num-runs --sla-upper-bound --sla-lower-bound "
        "--sla-fixed-parallel --sla-number-multiplier",
        HANDLED,
    ),
    ("--attn-implementation", HANDLED),
    ("--no-test-connection", Needless("a server is asked one request before a run", _PEER)),
    ("--port", Needless("it is the port of EvalScope's own engine", _PEER)),
    ("--enable-pd-metrics", Needless("the gap from the first to the second token is always reported", _PEER)),
    (
        "--db-commit-interval --queue-size-multiplier --in-flight-task-multiplier",
        Needless("there is no queue between", _PEER),
    ),
    ("--num-workers", Needless("prompts are made as they are needed", _PEER)),
    ("--log-every-n-query --enable-progress-tracker", Needless("progress is shown live", _PEER)),
    ("--debug", Needless("errors of the server are in the report", _PEER)),
    ("--visualizer --wandb-api-key --swanlab-api-key --swanlab-host", _TRACKER),
    ("--name --alias", Rename("--label", _PEER)),
    ("--no-timestamp", Needless("no run is ever overwritten", _PEER)),
    (
        "--prompt",
        Refused(
            "one prompt for all requests measures a prefix cache", "--dataset line --dataset-path FILE", _PEER
        ),
    ),
    (
        "--query-template",
        Refused("it is a request body", "--extra-body JSON; other APIs: --template FILE", _PEER),
    ),
    (
        "--apply-chat-template --no-apply-chat-template",
        Refused("the path decides", "--backend openai-chat or openai-completions", _PEER),
    ),
    ("--image-format", Needless("pictures are RGB", _PEER)),
    ("--image-patch-size", Needless("the server counts the tokens of pictures", _PEER)),
    (
        "--data-source",
        Refused("no data set is fetched by its name alone", "--dataset-path hf://OWNER/NAME/FILE", _PEER),
    ),
    ("--dataset-offset", Needless("prompts are drawn anew in each load point", _PEER)),
    (
        "--dataset-args --multi-turn-args",
        Refused("its settings are flags here", "see Data and Sessions in run --help-all", _PEER),
    ),
    (
        "--scenario",
        Refused("scenarios of agents are not in this version", "--multi-turn sends conversations", _PEER),
    ),
    (
        "--tokenize-prompt",
        Refused("tokens are sent where they are drawn", "--text token-ids with --dataset random", _PEER),
    ),
)
_TURNS = {"random_multi_turn": "random", "custom_multi_turn": "custom"}
_FILES = {
    "openqa": "open_qa.jsonl of HC3-Chinese (it fetches the file itself)",
    "longalpaca": "LongAlpaca-12k.json",
    "line_by_line": "a file of one prompt a line",
}
_BODY = {**SAMPLING, "--logprobs": "logprobs", "--n-choices": "n", "--stop-token-ids": "stop_token_ids"}
_LOCAL = ("local", "local_vllm")
_SLA = "--sla-"
_MOST = 131072


def _settle(call: Call) -> None:
    dataset = call.value("--dataset") or "openqa"
    if dataset in SPEED or call.value("--api") in _LOCAL:
        _speed(call, dataset)
        return
    call.drop("it is for engines that it starts itself", "--attn-implementation")
    call.default("--url", "http://127.0.0.1:8877/v1/chat/completions")
    headers(call, "--headers")
    call.into_body(_BODY, "--extra-args")
    if "--seed" in call:
        call.differs("it is sent with each request there too: --extra-body '{\"seed\": N}'", "--seed")
    call.drop("answers are streamed", "--stream")
    if call.value("--duration") in ("0", "None"):
        call.take("--duration")
    _search(call)
    _load(call)
    _data(call, dataset)
    call.default("--temperature", "0")
    if call.verb != "search" and "--rate" in call:
        call.differs(
            "latencies count from the planned moment of a request; in it they count from the send", "--rate"
        )


def _settle_early(call: Call) -> None:
    words = call.take("") or []
    for flag, word in zip(("--url", "--model", "--dataset-path"), words, strict=False):
        call.put(flag, word)
    call.drop("its settings are flags here", *(name for name in ("--debug",) if name in call))
    if "--dataset" not in call:
        call.default("--dataset", "openqa")
    headers(call, "--headers")
    _settle_rest(call)


def _settle_rest(call: Call) -> None:
    call.take("--stream")
    call.drop("it is for engines that it starts itself", "--attn-implementation")
    call.into_body(_BODY, "--extra-args")
    call.drop(
        "it belongs to EvalScope's own command",
        *(name for name, entry in _OWN.items() if entry is HANDLED and name in call),
    )
    call.default("--max-concurrency", "1", unless=("--parallel", "--parallels"))
    call.default("--max-tokens", "2048")
    call.default("--warmup", "0")


def _speed(call: Call, dataset: str) -> None:
    """Its tests of an engine without load are what ``speed`` does, in its own words."""
    call.verb = "speed"
    if dataset not in SPEED:
        call.refuse(
            "--dataset", f"--api local measures {dataset} in an engine of its own", "lengths are --input-len"
        )
    local = call.value("--api") in _LOCAL
    if not local:
        call.default("--url", "http://127.0.0.1:8877/v1/chat/completions")
    for name in ("--model", "--api", "--dataset", "--parallel", "--max-tokens", "--min-tokens", "--attn-implementation",
                 "--outputs-dir", "--url", "--log-every-n-query", "--connect-timeout", "--read-timeout", "--number",
                 "--tokenizer-path"):  # fmt: skip
        values = call.take(name)
        if values is not None:
            call.put(name, *values)
    call.default("--generate-len", "2048", unless=("--max-tokens",))
    call.drop(
        "a generation is measured alone, one after the other",
        *[group.name for group in call.theirs if group.name],
    )


def _search(call: Call) -> None:
    names = [group.name for group in call.theirs if group.name.startswith(_SLA)]
    if "--sla-auto-tune" not in names:
        call.drop("it is for --sla-auto-tune", *names)
        return
    call.verb = "search"
    call.drop("how many requests a load takes follows from its percentiles here", "--sla-number-multiplier")
    multiplied = call.take("--parallel", "--rate", "-n", "--number")
    if multiplied is not None:
        call.say(
            Kind.LEFT_OUT, "--parallel", "the search varies the load and decides how many requests it takes"
        )
    for name in dict.fromkeys(names):
        values = call.take(name)
        if values is not None:
            call.put(name, *values)


def _load(call: Call) -> None:
    rate = call.value("--rate")
    open_loop = call.take("--open-loop") is not None
    if rate is not None and float_of(rate) <= 0:
        call.drop("no rate is asked for", "--rate")
        rate = None
    if open_loop and rate is not None:
        call.drop("--open-loop does not limit what is in flight", "--parallel", "--parallels")
    elif rate is not None:
        call.differs(
            "without --open-loop its rate is held back by --parallel: both are limits here too", "--rate"
        )
    if call.verb != "search":
        if not (open_loop and rate is not None):
            call.default("--max-concurrency", "1", unless=("--parallel", "--parallels"))
        call.default("--num-prompts", "1000", unless=("-n", "--number", "--n"))
    call.default("--pause", "5", unless=("--sleep-interval",))
    _warmup(call)


def _warmup(call: Call) -> None:
    given = call.taken("--warmup-num") or "0"
    number = float_of(given)
    if not math.isfinite(number):
        call.put("--warmup", given)  # our parser says what is wrong with it
    elif 0 < number < 1:
        whole = float_of((call.values("-n", "--number", "--n") or ["1000"])[0])
        call.put("--warmup", str(max(1, int(number * whole))))
        call.differs("a share of the first --number is taken for all load points", "--warmup-num")
    else:
        call.put("--warmup", str(int(max(number, 0))))


def _data(call: Call, dataset: str) -> None:
    if dataset in _TURNS or dataset.startswith("share_gpt") or "--multi-turn" in call:
        call.put("--multi-turn")
        call.take("--multi-turn")
        turns = call.taken("--max-turns") or call.value("--min-turns")
        if turns:
            call.put("--turns", turns)
        call.drop("sessions have as many turns as --turns says", "--min-turns")
    call.drop("it is for conversations", "--min-turns", "--max-turns")
    if dataset.startswith(("random", "speed")):
        _random(call, dataset)
        return
    call.drop(
        "it is for random data",
        "--prefix-length",
        "--prefix-count",
        "--image-width",
        "--image-height",
        "--image-num",
    )
    _file(call, dataset)
    _longest(call)


def _file(call: Call, dataset: str) -> None:
    if dataset == "custom":
        call.replace("--dataset", "--dataset", "line")
    elif dataset in _TURNS:
        call.replace("--dataset", "--dataset", _TURNS[dataset])
    elif dataset.startswith("share_gpt"):
        call.refuse("--dataset", f"{dataset} is fetched from ModelScope", "name the file")
        call.put("--dataset", "custom")
    elif dataset in _FILES:
        call.default("--dataset", dataset, unless=("--dataset",))
    elif dataset not in ("workload_trace",):
        call.refuse("--dataset", f"data set {dataset} is not read", "write its prompts to a file")
        call.put("--dataset", "custom")
    else:
        call.replace("--dataset", "--dataset", "trace")
    if "--dataset-path" not in call:
        call.missing("--dataset-path", "DATASET", _FILES.get(dataset, f"the file of {dataset}"))


def _longest(call: Call) -> None:
    given = call.values("--max-tokens")
    if len(given) == 2:
        call.take("--max-tokens")
        call.put("--max-tokens", given[1])
        call.differs("one limit for all answers here; its two are drawn between", "--max-tokens")
    call.default("--max-tokens", "2048")


def _random(call: Call, dataset: str) -> None:
    if dataset != "random" and dataset != "random_vl":
        call.replace("--dataset", "--dataset", "random")
    low, high = call.taken("--min-prompt-length") or "0", call.taken("--max-prompt-length") or str(_MOST)
    if low == high:
        call.put("--input-len", high)
    else:
        call.put("--input-dist", f"uniform:min={max(1, int(float_of(low)))},max={high}")
        call.differs(
            "prompt lengths are uniform between --min-prompt-length and --max-prompt-length", "--input-dist"
        )
    tokens = call.take("--max-tokens") or ["2048"]
    if len(tokens) == 2:
        call.put("--output-dist", f"uniform:min={tokens[0]},max={tokens[1]}")
    else:
        call.put("--output-len", tokens[0])
    if as_json(call.value("--extra-args")).get("ignore_eos") is not True:
        call.default("--no-ignore-eos")
    call.drop("random text is made here", "--dataset-path")
    prefixes = call.taken("--prefix-count")
    if prefixes and "--prefix-length" in call:
        call.put("--prefix-groups", prefixes)
    made_by_us(call, _PEER)


_SOURCE = "EvalScope 1.14, evalscope/perf/arguments.py"
TOOL = Tool(
    "evalscope perf",
    ("evalscope perf", "evalscope.perf.main"),
    _NAMES,
    _OWN,
    _settle,
    _SOURCE,
    view="evalscope",
)
EARLY = Tool(
    "evalscope-perf", ("evalscope-perf",), _NAMES, _OWN, _settle_early, "evalscope-perf 0.x", view="evalscope"
)
