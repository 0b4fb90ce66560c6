"""``aiperf profile``."""

from __future__ import annotations

from itertools import product

from inferometer.exchange.compat.aliases import Fixed, Needless, Refused, Rename
from inferometer.exchange.compat.tool import HANDLED, Call, Kind, Tool, rows, words
from inferometer.exchange.compat.tools.habits import SHAREGPT, as_json, header, made_by_us
from inferometer.exchange.compat.translate import Group

_PEER = "AIPerf"
# Several names of one flag, each led back to the one that the shared table has.
_SAME = {
    "--model": "--model-names",
    "-m": "--model-names",
    "-u": "--url",
    "--endpoint": "--custom-endpoint",
    "-H": "--header",
    "--ui": "--ui-type",
    "--num-requests": "--request-count",
    "--prompt-input-tokens-mean": "--isl",
    "--synthetic-input-tokens-mean": "--isl",
    "--prompt-input-tokens-stddev": "--isl-stddev",
    "--synthetic-input-tokens-stddev": "--isl-stddev",
    "--prompt-output-tokens-mean": "--osl",
    "--output-tokens-mean": "--osl",
    "--prompt-output-tokens-stddev": "--osl-stddev",
    "--output-tokens-stddev": "--osl-stddev",
    "--prompt-prefix-pool-size": "--num-prefix-prompts",
    "--prefix-prompt-pool-size": "--num-prefix-prompts",
    "--prompt-prefix-length": "--prefix-prompt-length",
    "--shared-system-prompt-length": "--prefix-prompt-length",
    "--artifact-dir": "--output-artifact-dir",
    "--num-warmup-requests": "--warmup-request-count",
    "--arrival-smoothness": "--vllm-burstiness",
    "--request-rate-mode": "--arrival-pattern",
    "--session-turns-mean": "--conversation-turn-mean",
    "--session-turns-stddev": "--conversation-turn-stddev",
    "--session-turn-delay-mean": "--conversation-turn-delay-mean",
    "--session-turn-delay-stddev": "--conversation-turn-delay-stddev",
    "--session-delay-ratio": "--conversation-turn-delay-ratio",
    "--num-conversations": "--conversation-num",
    "--num-sessions": "--conversation-num",
    "--num-prompts": "--num-dataset-entries",
    "--batch-size-image": "--image-batch-size",
}
_NAMES = words(
    """
    --model-names --custom-endpoint --endpoint-type --url --request-timeout-seconds --api-key
    --extra-inputs --goodput --output-artifact-dir --tokenizer --tokenizer-trust-remote-code
    --benchmark-duration --benchmark-grace-period --concurrency --request-rate --vllm-burstiness
    --request-count --concurrency-ramp-duration --request-rate-ramp-duration --warmup-request-count
    --request-cancellation-rate --request-cancellation-delay --isl --isl-stddev --osl --osl-stddev
    --num-prefix-prompts --prefix-prompt-length --image-width-mean --image-width-stddev
    --image-height-mean --image-height-stddev --image-batch-size --image-format --ui-type
    --num-profile-runs --profile-run-cooldown-seconds --parameter-sweep-cooldown-seconds
    --random-range-ratio
    """
)
_SEARCH = Refused(
    "its search is one of many planners", 'inferometer search --slo "p99_ttft<=500ms" ...', _PEER
)
_TRACK = Refused(
    "a tracker is named as such",
    "--track mlflow|wandb, or inferometer export RUN --as mlflow|wandb|otlp",
    _PEER,
)
_AGENT = Refused(
    "replays of agents' trees are not in this version", "--dataset mooncake|bailian|trace", _PEER
)
_MEDIA = Refused("audio and made videos with sound are not sent", "--video-frames N sends frames", _PEER)
_RANK = Refused("rerankers are not measured in this version", "", _PEER)
_ZMQ = Needless("there are no services between", _PEER)
_WARM = Refused(
    "the warm-up has the load of the load point", "--warmup N says how many requests it has", _PEER
)
OWN = rows(
    (
        "--streaming --header --arrival-pattern --input-file --custom-dataset-type --public-dataset --sweep-type "
        "--conversation-turn-mean --conversation-turn-stddev --conversation-turn-delay-mean "
        "--conversation-turn-delay-stddev --conversation-turn-delay-ratio --conversation-num --isl-osl-pairs "
        "--user-centric-rate --num-users --fixed-schedule --no-fixed-schedule --replay-speedup --random-corpus-style",
        HANDLED,
    ),
    (" ".join(_SAME), HANDLED),
    ("--random-seed", Rename("--seed", _PEER)),
    ("--reset-kv-cache", Fixed(("--flush-cache",), _PEER)),
    (
        "--server-profiler --server-profiler-timeout-seconds --server-profiler-start-path --server-profiler-stop-path",
        Refused("no profiler is started", "leave it out", _PEER),
    ),
    (
        "--reset-kv-cache-timeout-seconds --reset-kv-cache-path",
        Needless("the path is that of the engine", _PEER),
    ),
    (
        "--failed-request-threshold",
        Refused("it is a number of requests or a share", "--stop-on-errors SHARE", _PEER),
    ),
    (
        "--seq-dist --sequence-distribution",
        Refused("mixes of lengths are a file of pairs", "--lengths PAIRS.csv", _PEER),
    ),
    ("--cache-bust", Needless("prompts are drawn anew", _PEER)),
    ("--num-dataset-entries", Needless("as many prompts are made as are sent", _PEER)),
    (
        "--use-server-token-count",
        Needless("the server's own count comes first, and ours is beside it", _PEER),
    ),
    ("--per-chunk-usage", Needless("--backend vllm-chat asks for it", _PEER)),
    ("--use-legacy-max-tokens", Needless("a dialect knows its field", _PEER)),
    (
        "--wait-for-model-timeout --wait-for-model-mode --wait-for-model-interval",
        Needless("a server is asked before a run; --launch waits for one", _PEER),
    ),
    ("--url-strategy --model-selection-strategy", Needless("servers take turns", _PEER)),
    ("--transport --transport-type", Needless("there is one: HTTP/1.1", _PEER)),
    ("--connection-reuse-strategy", Needless("connections are kept; a session keeps its server", _PEER)),
    ("--session-header", Refused("a session keeps its server by itself", "leave it out", _PEER)),
    (
        "--request-content-type --download-video-content --uuid-and-strip",
        Refused("bodies are JSON", "leave it out", _PEER),
    ),
    (
        "--hf-subset --dataset-filter --hf-weka-dataset",
        Refused("rows of the hub are not read by their names", "--dataset-path hf://OWNER/NAME/FILE", _PEER),
    ),
    (
        "--ignore-trace-delays --use-think-time-only --timing-strategy --max-context-length --allow-dataset-wrap "
        "--no-allow-dataset-wrap --trace-session-sample-ratio --trajectory-start-min-ratio "
        "--trajectory-start-max-ratio "
        "--burst-phase-starts --trace-idle-gap-cap-seconds --system-idle-gap-cap-seconds --scenario --unsafe-override "
        "--inter-turn-delay-cap-seconds --max-idle-gap-cap-seconds --open-loop-replay --no-open-loop-replay "
        "--open-loop-strict --omit-kv-hints --agentic-cache-warmup-duration --agentic-warmup-grace-period",
        _AGENT,
    ),
    ("--force-min-tokens --no-force-min-tokens", Refused("it is sent as a field", "--min-tokens N", _PEER)),
    ("--dataset-sampling-strategy", Needless("rows are taken in the order of the file", _PEER)),
    (
        "--config -f",
        Refused("its file has other names", "inferometer run -c FILE; inferometer config schema", _PEER),
    ),
    ("--fixed-schedule-auto-offset", Needless("a trace begins at its first request", _PEER)),
    (
        "--fixed-schedule-start-offset --fixed-schedule-end-offset",
        Refused("it counts milliseconds there", "--trace-window FROM-TO", _PEER),
    ),
    (
        "--profile-export-prefix --profile-export-file --export-level --profile-export-level --export-outputs-json "
        "--export-http-trace --show-trace-timing",
        Needless("every run is stored, with one record per request", _PEER),
    ),
    (
        "--slice-duration --auto-plot --no-auto-plot --plot-required",
        Needless("report.html has the pictures", _PEER),
    ),
    (
        "--otel-url --stream --otel-resource-attributes --gen-ai-provider --mlflow-tracking-uri --mlflow-experiment "
        "--mlflow-run-name --mlflow-tag --mlflow-parent-run-id --mlflow-artifact-glob --wandb-project --wandb-entity "
        "--wandb-run-name --wandb-tag",
        _TRACK,
    ),
    ("--tokenizer-revision", Refused("a tokenizer is a file here", "--tokenizer DIR", _PEER)),
    ("--apply-chat-template", Needless("the server counts its template", _PEER)),
    (
        "--prefill-concurrency --prefill-concurrency-ramp-duration --request-rate-series",
        Refused("there is no such load", "--max-concurrency, --request-rate, --ramp, --spike", _PEER),
    ),
    (
        "--warmup-duration --num-warmup-sessions --warmup-concurrency --warmup-prefill-concurrency "
        "--warmup-request-rate "
        "--warmup-arrival-pattern --warmup-grace-period --warmup-concurrency-ramp-duration "
        "--warmup-prefill-concurrency-ramp-duration --warmup-request-rate-ramp-duration",
        _WARM,
    ),
    (
        "--prompt-input-tokens-block-size --synthetic-input-tokens-block-size --isl-block-size",
        Needless("blocks of a trace have the size of its format", _PEER),
    ),
    (
        "--prompt-batch-size --batch-size-text --batch-size -b",
        Refused("one prompt is sent in a request", "", _PEER),
    ),
    ("--prompt-corpus", Refused("the words are ours", "--text words|english|chinese|mixed", _PEER)),
    (
        "--system-prompt --system-prompt-file --user-context-prompt-length",
        Refused("a text before all prompts is a prefix", "--prefix-len N", _PEER),
    ),
    (
        "--rankings-passages-mean --rankings-passages-stddev --rankings-passages-prompt-token-mean "
        "--rankings-passages-prompt-token-stddev --rankings-query-prompt-token-mean "
        "--rankings-query-prompt-token-stddev",
        _RANK,
    ),
    ("--synthesis-speedup-ratio", Rename("--trace-speed", _PEER)),
    ("--synthesis-prompt-len-multiplier", Rename("--trace-input-scale", _PEER)),
    ("--synthesis-output-len-multiplier", Rename("--trace-output-scale", _PEER)),
    (
        "--synthesis-prefix-len-multiplier --synthesis-prefix-root-multiplier --synthesis-max-isl --synthesis-max-osl",
        Refused("a trace is replayed with its prefixes", "--trace-input-scale X", _PEER),
    ),
    (
        "--audio-batch-size --batch-size-audio --audio-length-mean --audio-length-stddev "
        "--audio-format --audio-depths "
        "--audio-sample-rates --audio-num-channels --video-batch-size --batch-size-video --video-duration --video-fps "
        "--video-width --video-height --video-synth-type --video-format --video-codec --video-audio-sample-rate "
        "--video-audio-num-channels --video-audio-codec --video-audio-depth",
        _MEDIA,
    ),
    (
        "--image-source --image-source-sampling",
        Refused("pictures of a directory are named", "--image-path DIR", _PEER),
    ),
    (
        "--log-level --verbose -v --extra-verbose -vv --stats-interval",
        Needless("progress is --ui rich|plain|none", _PEER),
    ),
    (
        "--record-processor-service-count --record-processors --api-port --api-host --zmq-host --zmq-ipc-path "
        "--zmq-dual-bind",
        _ZMQ,
    ),
    ("--workers-max --max-workers", Needless("workers are as many as are needed; --workers N", _PEER)),
    (
        "--server-metrics --no-server-metrics --server-metrics-formats",
        Needless("counters of the server are read from /metrics; --metrics-url", _PEER),
    ),
    (
        "--network-latency-automatic --network-latency-mean --network-latency-ping-interval",
        Refused(
            "times are those of the client", "inferometer check --url URL shows the way to the server", _PEER
        ),
    ),
    ("--gpu-telemetry --no-gpu-telemetry", Needless("no device is asked during a run", _PEER)),
    (
        "--accuracy-benchmark --accuracy-tasks --accuracy-n-shots --accuracy-enable-cot --accuracy-no-enable-cot "
        "--accuracy-grader --accuracy-system-prompt --accuracy-verbose",
        Refused("answers are not judged in this version", "", _PEER),
    ),
    ("--confidence-level", Needless("intervals are of 95 %", _PEER)),
    (
        "--profile-run-disable-warmup-after-first --no-profile-run-disable-warmup-after-first",
        Needless("the warm-up comes before the first load point; --warmup-each", _PEER),
    ),
    (
        "--set-consistent-seed --no-set-consistent-seed --vary-seed-per-trial --no-vary-seed-per-trial "
        "--parameter-sweep-same-seed --no-parameter-sweep-same-seed",
        Needless("lengths and arrivals follow --seed, prompts are new in each round; --same-prompts", _PEER),
    ),
    (
        "--convergence-metric --convergence-stat --convergence-threshold --convergence-mode",
        Refused("rounds are as many as asked for", "--repeat N", _PEER),
    ),
    ("--parameter-sweep-mode", Needless("rounds are the outer loop", _PEER)),
    ("--no-sweep-table", Needless("progress is --ui rich|plain|none", _PEER)),
    (
        "--search-space --search-metric --search-stat --search-direction --search-max-iterations "
        "--search-initial-points "
        "--search-random-seed --search-planner --optuna-acquisition --optuna-sampler --optuna-terminator "
        "--search-percentile-pooling --bo-constraint-mode --search-sla --search-sla-tier "
        "--search-recipe --ttft-sla-ms "
        "--itl-sla-ms --tpot-sla-ms --e2e-sla-ms --error-rate-sla --slo-attainment-fraction --search-style "
        "--degradation-threshold --degradation-metric-tag --degradation-stat",
        _SEARCH,
    ),
    ("--variant --sweep-variant", Refused("a sweep is lists", "--pair zip|grid|matrix", _PEER)),
    (
        "--isl-min --isl-max --isl-steps --concurrency-min --concurrency-max --concurrency-steps --osl-min --osl-max "
        "--osl-steps",
        Refused("a recipe's range is a list", "--max-concurrency 1 4 16, --input-len 512 2048", _PEER),
    ),
)
_TRACES = {
    "mooncake_trace": "mooncake",
    "bailian_trace": "bailian",
    "burst_gpt_trace": "burstgpt",
    "single_turn": "custom",
    "multi_turn": "custom",
    "random_pool": "custom",
}
_SLO = {
    "time_to_first_token": "ttft",
    "inter_token_latency": "tpot",
    "request_latency": "e2el",
    "inter_chunk_latency": "itl",
}


def settle(call: Call) -> None:
    """What AIPerf does when nothing is said, and its lists, arrivals and data."""
    _same(call)
    call.default("--url", "http://localhost:8000")
    call.default("--backend", "openai-chat", unless=("--endpoint-type",))
    given = call.take("--header")
    if given:
        call.put("--header", *(header(word) for word in given))
    if call.take("--streaming") is None:
        call.default("--no-stream")
        call.differs("without --streaming it asks for whole answers: no TTFT, TPOT and ITL", "--no-stream")
    if (call.value("--custom-dataset-type") or "").replace("-", "_").endswith(
        "_trace"
    ) and "--no-fixed-schedule" not in call:
        call.drop(
            "a trace is replayed by its own times",
            *(
                "--request-rate",
                "--concurrency",
                "--arrival-pattern",
                "--vllm-burstiness",
                "--user-centric-rate",
            ),
            *("--num-users", "--sweep-type"),
        )
    else:
        _arrivals(call)
    _data(call)
    _slo(call)
    _sessions(call)
    call.default("--warmup", "0", unless=("--warmup-request-count",))


def _same(call: Call) -> None:
    for group in call.theirs:
        group.name = _SAME.get(group.name, group.name)
        if group.name != "--header":
            group.values = [part for value in group.values for part in _parts(group.name, value)]
    urls = call.take("--url")
    if urls:
        first, *more = [url if "://" in url else f"http://{url}" for url in urls]
        call.put("--url", first)
        if more:
            call.put("--more-url", *more)


def _parts(name: str, value: str) -> list[str]:
    listed = ("--concurrency", "--request-rate", "--isl", "--osl", "--request-count", "--model-names")
    return value.split(",") if name in listed else [value]


def _arrivals(call: Call) -> None:
    pattern = (call.taken("--arrival-pattern") or "poisson").replace("-", "_")
    users = call.taken("--user-centric-rate")
    if users is not None:
        call.refuse(
            "--user-centric-rate",
            "users with a rate each",
            "--request-rate R with --multi-turn --think-time T",
        )
        call.put("--request-rate", users)
    call.drop("users are what is in flight", "--num-users")
    if pattern == "constant" and "--request-rate" in call:
        call.put("--burstiness", "inf")
        call.say(Kind.RENAMED, "--arrival-pattern constant", "is --burstiness inf")
    elif pattern == "concurrency_burst":
        call.drop("all at once, up to the concurrency", "--request-rate")
    if pattern != "gamma":
        call.drop("it is for gamma arrivals", "--vllm-burstiness")
    if "--request-rate" not in call and users is None:
        call.default("--max-concurrency", "1", unless=("--concurrency",))
        call.drop("there are no arrivals without a rate", "--vllm-burstiness")
    _sweep(call, call.taken("--sweep-type") or "grid")


def _sweep(call: Call, kind: str) -> None:
    """Lists cross there unless they are zipped; the requests that nothing is said of follow the concurrency."""
    if not {"--request-count", "--conversation-num", "--benchmark-duration"} & {
        group.name for group in call.theirs
    }:
        levels = [int(value) for value in call.values("--concurrency") if value.isdecimal()] or [1]
        counts = list(dict.fromkeys(str(max(10, 2 * level)) for level in levels))
        call.default(
            "--num-prompts", *(counts if len(counts) == 1 else (str(max(10, 2 * level)) for level in levels))
        )
    if kind != "grid":
        return
    crossed = [
        _cross(call, names)
        for names in (("--concurrency", "--request-rate", "--request-count"), ("--isl", "--osl"))
    ]
    if all(crossed):
        call.put("--pair", "matrix")
        call.differs("loads cross with pairs of lengths", "--pair matrix")


def _cross(call: Call, names: tuple[str, ...]) -> bool:
    """Lists of the same kind written out so that they pair up; whether there is more than one value."""
    groups = [group for group in call.theirs if group.name in names and group.values]
    if sum(len(group.values) > 1 for group in groups) > 1:
        for group, values in zip(
            groups, zip(*product(*(group.values for group in groups)), strict=True), strict=True
        ):
            group.values = list(values)
    return any(len(group.values) > 1 for group in groups)


def _data(call: Call) -> None:
    file, kind = (
        call.taken("--input-file"),
        (call.taken("--custom-dataset-type") or "single_turn").replace("-", "_"),
    )
    public = call.taken("--public-dataset")
    call.take("--random-corpus-style")
    replayed = call.take("--fixed-schedule") is not None
    call.take("--no-fixed-schedule")
    speed = call.taken("--replay-speedup")
    if file is not None:
        name = _TRACES.get(kind, "custom")
        call.put("--dataset", name)
        call.put("--dataset-path", file)
        call.say(Kind.RENAMED, "--input-file", f"is --dataset {name} --dataset-path (for {kind})")
        if speed:
            call.put("--trace-speed", speed)
        if name == "custom" and (replayed or kind == "multi_turn"):
            call.differs(
                "times, roles and turns of its files are not read; for a trace use --dataset trace",
                "--input-file",
            )
    elif public is not None:
        call.refuse("--public-dataset", f"{public} is not fetched by its name alone", "name the file")
        call.put("--dataset", "sharegpt" if public == "sharegpt" else "custom")
        call.missing("--dataset-path", "DATASET", SHAREGPT if public == "sharegpt" else f"a file of {public}")
    else:
        _synthetic(call)


def _synthetic(call: Call) -> None:
    pairs = call.take("--isl-osl-pairs")
    if pairs:
        both = [word.split(",") for word in pairs if word.count(",") == 1]
        call.put("--input-len", *(each[0] for each in both))
        call.put("--output-len", *(each[1] for each in both))
        call.put("--pair", "matrix")
    call.default("--dataset", "random")
    if pairs is None and "--isl" not in call:
        call.theirs.append(Group("--isl", ["550"]))
        call.say(Kind.DEFAULT, "--input-len 550", "")
    inputs = " ".join(call.values("--extra-inputs"))
    if "ignore_eos" not in inputs and as_json(call.value("--extra-inputs")).get("ignore_eos") is None:
        call.default("--no-ignore-eos")
        call.differs(
            "the model may end an answer earlier there too; add --ignore-eos for exact lengths", "--osl"
        )
    if "--osl" not in call and pairs is None:
        call.default("--output-len", "2048")
        call.differs(
            "it sends no limit without --osl, and the model ends the answer; here 2,048 tokens are one",
            "--osl",
        )
    if "--random-range-ratio" in call:
        call.put("--range-ratio-as", "vllm")
    made_by_us(call, _PEER)


def _slo(call: Call) -> None:
    for group in call.theirs:
        if group.name == "--goodput":
            words = [word for value in group.values for word in value.split()]
            group.values = [
                f"{_SLO.get(key, key)}:{limit}" for key, _, limit in (word.partition(":") for word in words)
            ]


def _sessions(call: Call) -> None:
    turns, sessions = call.taken("--conversation-turn-mean"), call.taken("--conversation-num")
    pause = call.taken("--conversation-turn-delay-mean")
    call.drop(
        "every session has the same turns and pauses",
        "--conversation-turn-stddev",
        "--conversation-turn-delay-stddev",
        "--conversation-turn-delay-ratio",
    )
    if turns and turns != "1":
        call.put("--multi-turn")
        call.put("--turns", turns.partition(".")[0])
        if pause and pause != "0":
            call.put("--think-time", f"{pause}ms")
    if sessions and "--request-count" not in call:
        call.put("--num-prompts", sessions)


TOOL = Tool(
    "aiperf profile",
    ("aiperf profile", "aiperf"),
    _NAMES,
    OWN,
    settle,
    "AIPerf 0.13, aiperf profile --help",
    view="aiperf",
    short=False,
)
