"""``vllm bench serve``, and ``benchmark_serving.py`` as vLLM had it before."""

from __future__ import annotations

from collections.abc import Mapping

from inferometer.exchange.compat.aliases import Fixed, Needless, Refused, Rename
from inferometer.exchange.compat.tool import HANDLED, Call, Kind, Tool, rows, words
from inferometer.exchange.compat.tools.habits import (
    SAMPLING,
    SHAREGPT,
    adapters,
    as_json,
    headers,
    made_by_us,
    server,
    unlimited,
)
from inferometer.exchange.compat.translate import Group
from inferometer.spec.lengths import Uniform, around

_PEER = "vLLM"
_NAMES = words(
    """
    --backend --base-url --host --port --endpoint --endpoint-type --model --served-model-name
    --tokenizer --seed --num-prompts --dataset-name --dataset-path --skip-chat-template
    --custom-skip-chat-template --custom-output-len --spec-bench-output-len --spec-bench-category
    --sharegpt-output-len --random-input-len --random-output-len --random-range-ratio
    --random-prefix-len --random-mm-base-items-per-request --random-mm-num-mm-items-range-ratio
    --random-mm-limit-mm-per-prompt --random-mm-bucket-config --prefix-repetition-prefix-len
    --prefix-repetition-suffix-len --prefix-repetition-num-prefixes --prefix-repetition-output-len
    --label --max-concurrency --input-len --output-len --use-beam-search --best-of --request-rate
    --burstiness --disable-tqdm --num-warmups --profile --save-result --save-detailed --append-result
    --metadata --result-dir --result-filename --ignore-eos --percentile-metrics --metric-percentiles
    --goodput --top-p --top-k --temperature --ramp-up-strategy --ramp-up-start-rps --ramp-up-end-rps
    --extra-body --insecure --trust-remote-code --api-key
    """
)
_AUDIO = Refused("audio is not sent in this version", "", _PEER)
_HUB = Refused(
    "rows of the hub are not read by their names",
    "--dataset custom --dataset-path hf://OWNER/NAME/FILE",
    _PEER,
)
_OWN = rows(
    ("--header --lora-modules --logprobs --dataset", HANDLED),
    (" ".join(SAMPLING), HANDLED),
    ("--ready-check-timeout-sec", Needless("a server is asked before a run; --launch waits for one", _PEER)),
    ("--no-stream", Needless("it reads the data set whole, and does not change what is sent", _PEER)),
    ("--no-oversample", HANDLED),
    ("--disable-shuffle", Needless("rows are taken in the order of the file", _PEER)),
    ("--lora-assignment", Needless("each request draws its adapter", _PEER)),
    ("--skip-tokenizer-init", Fixed(("--tokenizer", "builtin"), _PEER)),
    ("--tokenizer-mode", Needless("a tokenizer.json says how it is read", _PEER)),
    ("--timed-trace-sec-multiplier", Needless("times of the trace formats have known units", _PEER)),
    (
        "--timed-trace-chunk-hash-size",
        Needless("a Mooncake trace has blocks of 512 tokens, a Bailian trace of 16", _PEER),
    ),
    (
        "--timed-trace-label-timestamp --timed-trace-label-input-length --timed-trace-label-output-length "
        "--timed-trace-label-hash-ids",
        Refused(
            "columns of a trace have the names of its format", "rename them, or use --dataset trace", _PEER
        ),
    ),
    ("--self-timed --no-self-timed", HANDLED),
    (
        "--plot-timeline --timeline-itl-thresholds --plot-dataset-stats",
        Needless("report.html has the pictures", _PEER),
    ),
    (
        "--probe-request-rate",
        Refused("no second load runs beside the first", "run another inferometer beside it", _PEER),
    ),
    (
        "--request-id-prefix",
        Refused("requests carry no id of ours", "--header 'X-Request-Id: NAME' marks all of a run", _PEER),
    ),
    (
        "--chat-template-kwargs",
        Refused("the server applies the template", "--extra-body '{\"chat_template_kwargs\": {...}}'", _PEER),
    ),
    (
        "--enable-multimodal-chat --custom-ensure-client-side-data",
        Needless("pictures are sent in the body", _PEER),
    ),
    ("--hf-subset --hf-split --hf-name --hf-output-len --bfcl-categories", _HUB),
    ("--blazedit-min-distance --blazedit-max-distance", _HUB),
    ("--speed-bench-dataset-subset --speed-bench-output-len --speed-bench-category", _HUB),
    ("--asr-max-audio-len-sec --asr-min-audio-len-sec", _AUDIO),
    ("--random-batch-size --no-reranker", Refused("one prompt is sent in a request", "leave it out", _PEER)),
    ("--max-tokens", Rename("--max-tokens", _PEER)),
    (
        "--sonnet-input-len --sonnet-output-len --sonnet-prefix-len",
        Refused("the poem is not shipped", "--dataset random --text english --input-len N", _PEER),
    ),
)

_LENGTH = {"input": "1024", "output": "128"}
# Data sets, and the names of lengths that are obeyed for them alone.
_LENGTHS = {
    "random": ("--random-input-len", "--random-output-len", "--random-range-ratio", "--random-prefix-len"),
    "sharegpt": ("--sharegpt-output-len",),
    "custom": ("--custom-output-len",),
    "spec_bench": ("--spec-bench-output-len", "--spec-bench-category"),
    "prefix_repetition": (
        "--prefix-repetition-prefix-len",
        "--prefix-repetition-suffix-len",
        "--prefix-repetition-num-prefixes",
        "--prefix-repetition-output-len",
    ),
}
_WITHOUT = {
    "hf": "rows of the hub: write the prompts to a file",
    "speed_bench": "SPEED-Bench: write the prompts to a file",
    "burstgpt": "",
    "sonnet": "the poem is not shipped: --dataset random --text english",
    "custom_image": "pictures by row: --image-path DIR beside --dataset custom",
    "custom_audio": "audio is not sent in this version",
    "random-rerank": "rerankers are not measured in this version",
}


def _settle(call: Call) -> None:
    completions = (call.value("--backend", "--endpoint-type") or "openai") in (
        "openai",
        "vllm",
        "openai-completions",
    )
    if (
        completions
        and "--repetition-penalty" not in call
        and "repetition_penalty" not in (call.value("--extra-body") or "")
    ):
        call.differs(
            "vLLM sends repetition_penalty 1.0 with completions; where the model's generation_config.json has another, "
            "add --extra-body '{\"repetition_penalty\": 1.0}'"
        )
    _settle_as(call, "random")


def _settle_script(call: Call) -> None:
    call.default("--temperature", "0")
    if "--random-range-ratio" in call:
        call.differs(
            "until vLLM 0.8 the script drew from ratio x length to the length: --range-ratio-as sglang; the later "
            "meaning, around the length, is taken here",
            "--random-range-ratio",
        )
    _settle_as(call, "sharegpt")


def _settle_as(call: Call, dataset: str) -> None:
    path = call.taken("--dataset")  # what the script called --dataset-path at first
    if path:
        call.replace("--dataset", "--dataset-path", path)
    server(call, 8000)
    if "--backend" not in call and "--endpoint-type" not in call:
        call.default("--backend", "openai-completions")
    headers(call, "--header")
    adapters(call, "--lora-modules")
    call.into_body({**SAMPLING, "--logprobs": "logprobs"})
    _data(call, call.value("--dataset-name") or dataset)
    replayed = call.value("--dataset-name") == "timed_trace" and "--no-self-timed" not in call
    if replayed:
        call.replace("--dataset-name", "--dataset", "mooncake")
        call.drop("a trace is replayed by its own times", "--request-rate", "--burstiness")
    elif "--ramp-up-strategy" not in call:
        unlimited(call)
    call.default("--num-prompts", "1000")
    call.default("--warmup", "0", unless=("--num-warmups",))
    call.take("--self-timed")
    if call.take("--no-self-timed") is not None:
        call.refuse(
            "--no-self-timed",
            "a trace is replayed by its own times",
            "--lengths PAIRS.csv takes its lengths alone",
        )


def _data(call: Call, dataset: str) -> None:
    for owner, names in _LENGTHS.items():
        if owner != dataset:
            call.drop(f"it is obeyed for the data set {owner} only, and this one is {dataset}", *names)
    given = call.take("--no-oversample") is not None
    if dataset in _WITHOUT:
        _elsewhere(call, dataset)
    elif dataset == "random":
        _random(call)
    elif dataset == "prefix_repetition":
        call.default("--prefix-groups", "10", unless=("--prefix-repetition-num-prefixes",))
        call.default("--output-len", "128", unless=("--prefix-repetition-output-len",))
        for name in ("--prefix-repetition-prefix-len", "--prefix-repetition-suffix-len"):
            if name not in call:
                call.theirs.append(Group(name, ["256"]))
                call.say(Kind.DEFAULT, f"{name} 256", "")
        call.put("--ignore-eos" if "--ignore-eos" in call else "--no-ignore-eos")
        call.take("--ignore-eos")
        made_by_us(call, _PEER)
    elif dataset == "timed_trace":
        call.differs(
            "a trace of Mooncake's format; Bailian's (16 tokens a block) is --dataset bailian", "timed_trace"
        )
    elif dataset != "random-mm":
        _file(call, dataset, oversample=not given)


def _random(call: Call) -> None:
    call.default("--dataset", "random", unless=("--dataset-name",))
    ratio = call.value("--random-range-ratio")
    each = as_json(ratio) if ratio else {}
    if each.keys() == {"input", "output"}:
        _two_ratios(call, each)
    for side, length in _LENGTH.items():
        call.default(f"--{side}-len", length, unless=(f"--random-{side}-len", f"--{side}-dist"))
    if ratio in ("0", "0.0"):
        call.drop("0 makes every length exact, as without it here", "--random-range-ratio")
    elif "--random-range-ratio" in call:
        call.default("--range-ratio-as", "vllm")
    made_by_us(call, _PEER)


def _two_ratios(call: Call, ratios: Mapping[str, object]) -> None:
    """A ratio for each side, which here are two distributions."""
    asked = {
        side: (call.value(f"--{side}-len") or call.value(f"--random-{side}-len") or length, ratios[side])
        for side, length in _LENGTH.items()
    }
    drawn: dict[str, Uniform] = {}
    for side, (length, ratio) in asked.items():
        if not length.isdecimal() or not isinstance(ratio, int | float) or not 0 <= ratio < 1:
            return  # our parser says what is wrong with it
        drawn[side] = around(int(length), ratio, "vllm")
    for side, found in drawn.items():
        call.take(f"--{side}-len", f"--random-{side}-len")
        call.put(f"--{side}-dist", f"uniform:min={found.low},max={found.high}")
    call.take("--random-range-ratio")
    call.say(Kind.RENAMED, "--random-range-ratio", "is --input-dist and --output-dist")


def _file(call: Call, dataset: str, *, oversample: bool) -> None:
    if "--dataset-name" not in call:
        call.default("--dataset", dataset)
    if "--dataset-path" not in call and not any(group.name == "--dataset-path" for group in call.ours):
        call.missing(
            "--dataset-path", "DATASET", SHAREGPT if dataset == "sharegpt" else f"the file of {dataset}"
        )
    if oversample:
        call.default("--oversample")
    if dataset in ("custom", "spec_bench"):
        call.default("--output-len", "256", unless=(f"--{dataset.replace('_', '-')}-output-len",))
    if (
        dataset == "custom"
        and "--skip-chat-template" not in call
        and "--custom-skip-chat-template" not in call
    ):
        call.differs(
            "vLLM puts each prompt into the model's chat template itself; use --backend openai-chat for one",
            "custom",
        )


def _elsewhere(call: Call, dataset: str) -> None:
    if dataset == "burstgpt":
        call.replace("--dataset-name", "--dataset", "burstgpt")
        call.differs("vLLM takes the lengths of the trace alone; its arrivals are replayed here", "burstgpt")
        return
    call.refuse("--dataset-name", f"data set {dataset}", _WITHOUT[dataset])
    call.take("--dataset-path")
    call.put("--dataset", "custom")
    call.missing("--dataset-path", "PROMPTS", 'a file of rows {"prompt": ..., "output_tokens": ...}')


_SOURCE = "vLLM 0.32, vllm/benchmarks/serve.py"
SERVE = Tool("vllm bench serve", ("vllm bench serve",), _NAMES, _OWN, _settle, _SOURCE, view="vllm")
SCRIPT = Tool(
    "benchmark_serving.py (vLLM)",
    ("benchmark_serving.py", "vllm.benchmarks.serve"),
    _NAMES,
    _OWN,
    _settle_script,
    "vLLM 0.4 to 0.9, benchmarks/benchmark_serving.py",
    signs=frozenset({"--dataset-name", "--base-url", "--goodput", "--sharegpt-output-len"}),
    view="vllm",
)
