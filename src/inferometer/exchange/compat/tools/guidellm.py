"""``guidellm run`` with settings as ``kind=NAME,key=value``, and ``guidellm benchmark`` as it was until 0.6."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from inferometer.exchange.compat.aliases import Needless, Refused, Rename
from inferometer.exchange.compat.tool import HANDLED, Call, Kind, Tool, rows
from inferometer.exchange.compat.tools.habits import as_json, float_of, made_by_us

_PEER = "GuideLLM"
_NAMES = frozenset({"--disable-progress"})
_SHAPES = Refused(
    "columns of a file are named one by one", "--dataset custom --column prompt=NAME output=NAME", _PEER
)
_RUN = rows(
    ("--backend --profile --constraint --tokenizer --data --seed --override", HANDLED),
    (
        "-c --config --scenario",
        Refused("its scenarios have names of their own", "inferometer run -c FILE, --preset NAME", _PEER),
    ),
    ("-l --label", Rename("--label", _PEER)),
    ("--data-column-mapper --data-preprocessor --data-finalizer", _SHAPES),
    ("--data-loader", Needless("rows are read as they are needed", _PEER)),
    ("--output", Needless("every run is stored; inferometer report RUN --as guidellm has its tables", _PEER)),
    ("--metrics", Needless("every metric is always computed", _PEER)),
    (
        "--disable-console --disable-console-outputs --disable-console-interactive",
        Needless("progress is --ui rich|plain|none", _PEER),
    ),
)
_BENCHMARK = rows(
    (
        "--target --model --backend --backend-type --backend-args --backend-kwargs --processor --data --data-args",
        HANDLED,
    ),
    ("--rate-type --profile --rate --max-requests --max-seconds --max-errors --max-error-rate", HANDLED),
    ("--max-global-error-rate --random-seed --request-type --request-format --rampup", HANDLED),
    ("--warmup --warmup-percent --cooldown --cooldown-percent", HANDLED),
    ("--detect-saturation --default-over-saturation --over-saturation", HANDLED),
    ("--scenario -c", _RUN["--scenario"]),
    (
        "--processor-args --data-sampler --data-num-workers --data-samples --dataloader-kwargs --data-collator",
        Needless("rows are read as they are needed", _PEER),
    ),
    (
        "--data-column-mapper --data-request-formatter --data-preprocessors --data-preprocessors-kwargs",
        _SHAPES,
    ),
    (
        "--output-path --outputs --output-extras --output-sampling --output-dir --sample-requests",
        _RUN["--output"],
    ),
    (
        "--display-scheduler-stats --disable-console --disable-console-outputs "
        "--disable-console-interactive --show-progress",
        Needless("progress is --ui rich|plain|none", _PEER),
    ),
)
_PATHS = {
    "chat_completions": "openai-chat",
    "/v1/chat/completions": "openai-chat",
    "text_completions": "openai-completions",
    "/v1/completions": "openai-completions",
    "/v1/responses": "openai-responses",
    "/v1/embeddings": "openai-embeddings",
    "embeddings": "openai-embeddings",
}
_RATED = {"constant": "inf", "async": "inf", "poisson": ""}
_LENGTH = ("tokens", "tokens_stdev", "tokens_min", "tokens_max")
Settings = Mapping[str, str]


def _settle_run(call: Call) -> None:
    backend = settings_of(call.take("--backend"))
    profile = settings_of(call.take("--profile"))
    tokenizer = settings_of(call.take("--tokenizer"))
    seed = settings_of(call.take("--seed"))
    constraints = [settings_of([word]) for word in call.take("--constraint") or []]
    limits = {
        each.get("kind", ""): each.get("count") or each.get("seconds") or each.get("rate") or ""
        for each in constraints
    }
    over = call.take("--override")
    loads = over[1:] if over and over[0].startswith("profile.") else []
    data = call.take("--data")
    _server(call, backend)
    _tokenizer(call, tokenizer.get("model"))
    if "kind" in seed and next(iter(value for key, value in seed.items() if key != "kind"), ""):
        call.put("--seed", next(value for key, value in seed.items() if key != "kind"))
    rates = [
        part
        for word in loads or [profile.get("streams") or profile.get("rate") or ""]
        for part in listed(word)
    ]
    _load(call, profile.get("kind", "sweep"), rates, profile)
    _limits(call, limits)
    _data(call, data)


def _settle_benchmark(call: Call) -> None:
    words = call.take("") or []
    if words not in ([], ["run"]):
        call.say(Kind.UNKNOWN, " ".join(words), "is no part of its command that is known")
    arguments = as_json(call.taken("--backend-args") or call.taken("--backend-kwargs"))
    call.take("--backend-kwargs", "--backend", "--backend-type")
    request = call.taken("--request-type") or call.taken("--request-format")
    call.take("--request-format")
    backend = {
        "target": call.taken("--target") or "",
        "model": call.taken("--model") or "",
        "request_format": request or "",
        "api_key": str(arguments.get("api_key") or ""),
    }
    profile = call.taken("--rate-type") or call.taken("--profile") or "sweep"
    call.take("--profile")
    rates = [part for word in call.take("--rate") or [] for part in listed(word)]
    saturation = (
        call.take("--detect-saturation", "--default-over-saturation", "--over-saturation") is not None
    )
    limits = {
        kind: call.taken(f"--{kind.replace('_', '-')}") or ""
        for kind in ("max_requests", "max_errors", "max_error_rate", "max_global_error_rate")
    }
    limits |= {
        "max_duration": call.taken("--max-seconds") or "",
        "over_saturation": "on" if saturation else "",
    }
    ramp, data = call.taken("--rampup"), call.take("--data")
    seed = call.taken("--random-seed")
    if seed:
        call.put("--seed", seed)
    if call.take("--warmup", "--warmup-percent", "--cooldown", "--cooldown-percent") is not None:
        call.refuse(
            "--warmup-percent",
            "a share is cut off at both ends there",
            "the steady window is found by itself; --steady-window FROM-TO",
        )
    call.drop("columns of a file: --column", "--data-args")
    _server(call, {key: value for key, value in backend.items() if value})
    _tokenizer(call, call.taken("--processor"))
    _load(call, profile, rates, {"rampup_duration": ramp or ""})
    _limits(call, limits)
    _data(call, data)


def settings_of(words: Sequence[str] | None) -> dict[str, str]:
    """``kind=poisson,rate=5``, or JSON, as names and values; a list in brackets or JSON stays one text."""
    text = (words or [""])[-1].strip()
    if text.startswith("{"):
        return {
            key: value if isinstance(value, str) else json.dumps(value)
            for key, value in as_json(text).items()
        }
    found: dict[str, str] = {}
    last = ""
    for part in text.split(",") if text else []:
        key, equals, value = part.partition("=")
        if equals and "[" not in found.get(last, "").rpartition("]")[2]:
            last = key.strip()
            found[last] = value.strip()
        elif last:  # a comma inside a value
            found[last] += "," + part
        else:
            found["kind"] = part.strip()
    return found


def listed(text: str) -> list[str]:
    """``1,2,4`` or ``[1, 2, 4]`` as its parts."""
    return [part.strip() for part in text.strip("[] ").split(",") if part.strip()]


def _server(call: Call, backend: Settings) -> None:
    if backend.get("target"):
        call.put("--url", backend["target"])
    else:
        call.default("--url", "http://localhost:8000")
    if backend.get("model"):
        call.put("--model", backend["model"])
    form = backend.get("request_format", "")
    call.put("--backend", _PATHS.get(form, "openai-chat"))
    if form and form not in _PATHS:
        call.refuse(
            "--request-type",
            f"{form} is no request that is known here",
            "--backend, see inferometer config backends",
        )
    if backend.get("api_key"):
        call.put("--api-key", backend["api_key"])
    if backend.get("stream", "").lower() == "false":
        call.put("--no-stream")
    if backend.get("timeout"):
        call.put("--timeout", backend["timeout"])
    if backend.get("kind", "openai_http") != "openai_http":
        call.refuse("--backend", f"{backend['kind']} is not a server's HTTP API", "serve the model: --launch")


def _tokenizer(call: Call, name: str | None) -> None:
    if name:
        call.put("--tokenizer", name)


def _load(call: Call, kind: str, rates: Sequence[str], profile: Settings) -> None:
    """A profile as a load; the ones that look for loads themselves are searches here."""
    if kind in _RATED:
        call.put("--request-rate", *(rates or ["1"]))
        if _RATED[kind]:
            call.put("--burstiness", _RATED[kind])
    elif kind == "concurrent":
        call.put("--max-concurrency", *(rates or ["1"]))
    elif kind == "synchronous":
        call.put("--max-concurrency", "1")
    elif kind == "throughput":
        limit = rates or [each for each in [profile.get("max_concurrency", "")] if each]
        if limit:
            call.put("--max-concurrency", *limit)
        call.put("--request-rate", "inf")
    elif kind in ("knee", "goodput", "sweep"):
        _searches(call, kind)
    else:
        call.refuse(
            "--profile", f"{kind} is a load that is not known here", "--max-concurrency N or --request-rate R"
        )
        call.missing("--max-concurrency", "CONCURRENCY", "requests in flight")
    if float_of(profile.get("rampup_duration", "")) > 0:
        call.put("--ramp-time", profile["rampup_duration"])
    if profile.get("warmup") or profile.get("cooldown"):
        call.refuse("--profile", "a warm-up share is cut off there", "the steady window is found by itself")
    call.default("--warmup", "0")


def _searches(call: Call, kind: str) -> None:
    call.verb = "search"
    if kind == "goodput":
        call.missing("--slo", "SLO", 'limits, as "p99_ttft<=500ms" "attainment>=95%"')
        call.put("--search", "max-concurrency")
        return
    call.put("--target", "knee" if kind == "knee" else "peak-throughput")
    if kind == "sweep":
        call.differs(
            "sweep measures one request at a time, all at once and eight rates between; here the peak of throughput is "
            "searched, each load of which is a load point. A fixed ladder: inferometer run --request-rate R1 R2 ...",
            "--profile sweep",
        )


def _limits(call: Call, limits: Mapping[str, str]) -> None:
    searching = call.verb == "search"
    count, seconds = limits.get("max_requests") or limits.get("min_requests"), limits.get("max_duration")
    if count and not searching:
        call.put("--num-prompts", count)
    if seconds and not searching:
        call.put("--duration", seconds)
    if searching and (count or seconds):
        call.refuse(
            "--max-requests" if count else "--max-seconds",
            "a search decides how long it measures a load",
            "--budget TIME for all of it",
        )
    elif not count and not seconds:
        call.differs("it goes on until the data ends; here a load point has its default number of requests")
    for kind in ("max_error_rate", "max_global_error_rate"):
        if limits.get(kind):
            call.put("--stop-on-errors", limits[kind])
    if limits.get("max_errors"):
        call.refuse(
            "--max-errors", "errors are not counted one by one", "--stop-on-errors SHARE stops beyond chance"
        )
    if limits.get("over_saturation") and not searching:
        call.put("--stop-on-saturation")


def _data(call: Call, given: Sequence[str] | None) -> None:
    data = settings_of(given)
    kind = data.get("kind", "synthetic_text" if "prompt_tokens" in data else "")
    if kind in ("synthetic_text", "") and "prompt_tokens" in data:
        call.put("--dataset", "random")
        _lengths(call, "--input", data, "prompt_")
        _lengths(call, "--output", data, "output_")
        call.put("--ignore-eos")
        if data.get("prefix_tokens"):
            _prefix(call, data["prefix_tokens"])
        if data.get("turns", "1") != "1":
            call.put("--multi-turn")
            call.put("--turns", data["turns"])
        made_by_us(call, _PEER)
        return
    path = data.get("path") or data.get("source") or (kind if kind and "=" not in kind else "")
    call.put("--dataset", "mooncake" if kind == "mooncake" else "custom")
    if path and (path.startswith(("/", ".", "~")) or "." in path.rpartition("/")[2]):
        call.put("--dataset-path", path)
    else:
        call.missing(
            "--dataset-path",
            "PROMPTS",
            f"the prompts of {path or 'its data'} in a file (hf://OWNER/NAME/FILE)",
        )
    call.differs("its columns are found by their names; here: --column prompt=NAME output=NAME", "--data")


def _prefix(call: Call, tokens: str) -> None:
    """It comes before a prompt of the length asked for there, and is part of that length here."""
    length = next((group.values[0] for group in call.ours if group.name == "--input-len"), "")
    if length.isdecimal() and tokens.isdecimal():
        call.put("--input-len", str(int(length) + int(tokens)))
        call.differs(
            "the prefix is part of the prompt's length here, and comes before it there", "--input-len"
        )
    else:
        call.differs("it is part of lengths that are drawn here, and comes before them there", "--prefix-len")
    call.put("--prefix-len", tokens)


def _lengths(call: Call, ours: str, data: Settings, prefix: str) -> None:
    mean, spread, low, high = (data.get(prefix + part) for part in _LENGTH)
    if mean is None:
        return
    if spread in (None, "0") and low in (None, mean) and high in (None, mean):
        call.put(f"{ours}-len", mean)
        return
    parts = [
        f"mean={mean}",
        f"std={spread or 0}",
        *(f"{key}={value}" for key, value in (("min", low), ("max", high)) if value),
    ]
    call.put(f"{ours}-dist", "normal:" + ",".join(parts))


TOOL = Tool(
    "guidellm run",
    ("guidellm run",),
    _NAMES,
    _RUN,
    _settle_run,
    "GuideLLM 0.8, guidellm run --help",
    view="guidellm",
    short=False,
)
EARLY = Tool(
    "guidellm benchmark",
    ("guidellm benchmark", "guidellm"),
    _NAMES,
    _BENCHMARK,
    _settle_benchmark,
    "GuideLLM 0.2 to 0.6",
    view="guidellm",
    short=False,
)
