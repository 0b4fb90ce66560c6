"""Names that other tools use, as data: what each becomes here, or why it is refused.

A name is accepted only when it means the same thing there and here. The table is consulted before parsing, and
only for the verb ``run``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Rename:
    """A peer's name for one of our flags.

    Attributes:
        values: the peer's words that are written differently here; None drops the flag.
        reads: how values are rewritten: empty = as they are, ``{}`` = ``key:value`` words become a JSON
            object, ``key=`` = this key is put before the value.
    """

    flag: str
    peers: str
    values: Mapping[str, str | None] = field(default_factory=dict)
    reads: str = ""


@dataclass(frozen=True, slots=True)
class Fixed:
    """A peer's switch that is a fixed flag and value here."""

    argv: tuple[str, ...]
    peers: str


@dataclass(frozen=True, slots=True)
class Needless:
    """Accepted and left out, because what it asks for is always so.

    Attributes:
        only: the values for which that holds; empty = any. Another value is refused.
    """

    why: str
    peers: str
    only: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Refused:
    """Known, but with another meaning or not in this version: an error that says what to do instead."""

    why: str
    instead: str
    peers: str


@dataclass(frozen=True, slots=True)
class Resolution:
    """A peer's name for height and width at once: ``HEIGHTxWIDTH`` or a word of ``RESOLUTIONS``."""

    peers: str


Alias = Rename | Fixed | Needless | Refused | Resolution

# SGLang's words for heights and widths.
RESOLUTIONS: Mapping[str, tuple[int, int]] = {
    "4k": (2160, 3840),
    "1080p": (1080, 1920),
    "720p": (720, 1280),
    "360p": (360, 640),
}

# vLLM's, SGLang's and LMDeploy's --backend. Names that mean the same here (vllm, vllm-chat, lmdeploy, lmdeploy-chat,
# sglang, tgi, openai-chat, openai-embeddings) are not in it.
_ENGINES: dict[str, str | None] = {
    "openai": "openai-completions",
    "sglang-oai": "openai-completions",
    "sglang-oai-chat": "openai-chat",
    "sglang-native": "sglang",
    "trt": "trtllm",
    "tensorrt-llm": "trtllm",
    "mindie_stream": "mindie",
    "embeddings": "openai-embeddings",
    "openai_embedding": "openai-embeddings",
    "responses": "openai-responses",
    "chat": "openai-chat",
    "completions": "openai-completions",
}
# EvalScope lets the URL decide, and takes chat without a path: what leaving the flag out does here.
_EVALSCOPE: dict[str, str | None] = {**_ENGINES, "openai": None}
# genai-bench and LLMPerf send chat requests to "openai" and to every engine that speaks it.
_CHAT: dict[str, str | None] = {**_ENGINES, **dict.fromkeys(("openai", "vllm", "sglang"), "openai-chat")}

# MindIE's --TestType: which of its APIs is put under load.
_MINDIE: dict[str, str | None] = {
    "client": "mindie",
    "vllm_client": "vllm-generate",
    "tgi_client": "tgi",
    "triton_client": "triton",
    "openai": "openai-chat",
}

# Peers' data sets that are random text with shared prefixes.
_PREFIXED: dict[str, str | None] = dict.fromkeys(("generated-shared-prefix", "prefix_repetition"), "random")

# Peers' names of data set files; SGLang's openai is rows of messages with an answer length.
_FILES: dict[str, str | None] = {"spec_bench": "specbench", "openai": "custom"}

# Dialects of peers that this version does not speak; refused for --backend and its aliases.
UNSPOKEN = frozenset(
    {"truss", "gserver", "local", "local_vllm", "rankings", "openai_rerank", "vllm-rerank", "openai_http"}
)

_STORED = "every run is stored, with one record per request"
_NO_CODE = "no remote code is ever run"
_EXTRA = "it has no flag of its own"
_ZERO = ("0", "0.0")

_ROWS: tuple[tuple[str, Alias], ...] = (
    # Target
    ("--base-url", Rename("--url", "vLLM SGLang LMDeploy")),
    ("--target", Rename("--url", "GuideLLM")),
    ("--api-base", Rename("--url", "genai-bench")),
    ("-u", Rename("--url", "AIPerf")),
    ("--custom-endpoint", Rename("--endpoint", "AIPerf")),
    ("--backend", Rename("--backend", "vLLM SGLang LMDeploy", _ENGINES)),
    ("--endpoint-type", Rename("--backend", "AIPerf, vLLM until 0.10", _ENGINES)),
    ("--api", Rename("--backend", "EvalScope", _EVALSCOPE)),
    ("--api-backend", Rename("--backend", "genai-bench", _CHAT)),
    ("--llm-api", Rename("--backend", "LLMPerf", _CHAT)),
    ("-m --model-names", Rename("--model", "AIPerf")),
    ("--api-model-name", Rename("--model", "genai-bench")),
    ("--headers", Rename("--header", "EvalScope")),
    ("-H", Rename("--header", "AIPerf")),
    ("--total-timeout", Rename("--timeout", "EvalScope")),
    ("--request-timeout-seconds", Rename("--timeout", "AIPerf")),
    ("--Http", Rename("--url", "MindIE")),
    ("--TestType", Rename("--backend", "MindIE", _MINDIE)),
    ("--ModelName", Rename("--model", "MindIE")),
    ("--RequestTimeOut", Rename("--timeout", "MindIE")),
    # Load
    ("--parallel --parallels", Rename("--max-concurrency", "EvalScope")),
    ("--parallel-num", Rename("--max-concurrency", "benchmark_parallel.py")),
    ("--concurrency", Rename("--max-concurrency", "AIPerf LMDeploy")),
    ("--num-concurrency", Rename("--max-concurrency", "genai-bench")),
    ("--num-concurrent-requests", Rename("--max-concurrency", "LLMPerf")),
    ("--max-vus", Rename("--max-concurrency", "inference-benchmarker")),
    ("--rate", Rename("--request-rate", "EvalScope")),
    ("--rates", Rename("--request-rate", "inference-benchmarker")),
    ("--vllm-burstiness --arrival-smoothness", Rename("--burstiness", "AIPerf")),
    ("-n --number --n", Rename("--num-prompts", "EvalScope")),
    ("--num-requests", Rename("--num-prompts", "AISBench")),
    ("--request-count", Rename("--num-prompts", "AIPerf")),
    ("--RequestCount", Rename("--num-prompts", "MindIE")),
    ("--Concurrency", Rename("--max-concurrency", "MindIE")),
    ("--RequestRate", Rename("--request-rate", "MindIE")),
    ("--WorkersNum", Rename("--workers", "MindIE")),
    ("--WarmupSize", Rename("--warmup", "MindIE")),
    ("--max-requests", Rename("--num-prompts", "GuideLLM")),
    ("--max-requests-per-run", Rename("--num-prompts", "genai-bench")),
    ("--max-num-completed-requests", Rename("--num-prompts", "LLMPerf")),
    ("--ramp-up-strategy", Rename("--ramp", "vLLM AISBench")),
    ("--ramp-up-start-rps", Rename("--ramp-from", "vLLM AISBench")),
    ("--ramp-up-end-rps", Rename("--request-rate", "vLLM AISBench")),
    ("--concurrency-ramp-duration --request-rate-ramp-duration", Rename("--ramp-time", "AIPerf")),
    ("--rampup", Rename("--ramp-time", "GuideLLM")),
    ("--growth-rate", Rename("--climb", "Huawei")),
    ("--max-error-rate", Rename("--stop-on-errors", "GuideLLM")),
    (
        "--detect-saturation --default-over-saturation",
        Fixed(("--stop-on-saturation",), "GuideLLM"),
    ),
    ("--benchmark-duration", Rename("--duration", "AIPerf")),
    ("--max-seconds", Rename("--duration", "GuideLLM")),
    ("--pressure-time", Rename("--duration", "AISBench")),
    ("--num-warmups", Rename("--warmup", "vLLM AISBench")),
    ("--warmup-requests", Rename("--warmup", "SGLang")),
    ("--warmup-num", Rename("--warmup", "EvalScope")),
    ("--warmup-request-count --num-warmup-requests", Rename("--warmup", "AIPerf")),
    # Data
    ("--dataset-name", Rename("--dataset", "vLLM SGLang LMDeploy", {**_PREFIXED, **_FILES})),
    ("--dataset", Rename("--dataset", "EvalScope", {"line_by_line": "line"})),
    ("--custom-output-len", Rename("--output-len", "vLLM", {"-1": None})),
    ("--spec-bench-output-len", Rename("--output-len", "vLLM")),
    ("--spec-bench-category", Rename("--category", "vLLM")),
    ("--random-input-len", Rename("--input-len", "vLLM SGLang LMDeploy")),
    ("--random-output-len", Rename("--output-len", "vLLM SGLang LMDeploy")),
    ("--sharegpt-output-len", Rename("--output-len", "vLLM SGLang LMDeploy")),
    ("--isl --synthetic-input-tokens-mean", Rename("--input-len", "AIPerf")),
    ("--osl --output-tokens-mean", Rename("--output-len", "AIPerf")),
    ("--prompt-tokens", Rename("--input-len", "GuideLLM")),
    ("--output-tokens", Rename("--output-len", "GuideLLM")),
    # Lengths that vary, and shared prefixes; what several of these mean together: cli.combined
    ("--random-range-ratio", Rename("--range-ratio", "vLLM SGLang LMDeploy")),
    ("--traffic-scenario", Rename("--lengths", "genai-bench")),
    ("--SyntheticConfigPath", Rename("--lengths", "MindIE")),
    ("--DatasetType", Rename("--dataset", "MindIE", {"synthetic": "random", "gsm8k": "openqa"})),
    ("--DatasetPath", Rename("--dataset-path", "MindIE")),
    ("--ModelPath", Rename("--tokenizer", "MindIE")),
    ("--MaxOutputLen", Rename("--max-tokens", "MindIE")),
    ("--isl-stddev --synthetic-input-tokens-stddev", Rename("--input-dist", "AIPerf", reads="std=")),
    ("--osl-stddev --output-tokens-stddev", Rename("--output-dist", "AIPerf", reads="std=")),
    ("--random-prefix-len --prefix-repetition-prefix-len", Rename("--prefix-len", "vLLM")),
    ("--prefix-repetition-suffix-len", Rename("--input-len", "vLLM")),
    ("--prefix-repetition-num-prefixes", Rename("--prefix-groups", "vLLM")),
    ("--prefix-repetition-output-len", Rename("--output-len", "vLLM")),
    ("--prefix-length", Rename("--prefix-len", "EvalScope")),
    ("--prefix-prompt-length", Rename("--prefix-len", "AIPerf")),
    ("--num-prefix-prompts", Rename("--prefix-groups", "AIPerf")),
    ("--gsp-system-prompt-len", Rename("--prefix-len", "SGLang")),
    ("--gsp-question-len", Rename("--input-len", "SGLang")),
    ("--gsp-num-groups", Rename("--prefix-groups", "SGLang")),
    ("--gsp-prompts-per-group", Rename("--num-prompts", "SGLang")),
    ("--gsp-output-len", Rename("--output-len", "SGLang")),
    ("--tokenizer", Rename("--tokenizer", "vLLM and others", {"none": "builtin"})),
    ("--tokenizer-path", Rename("--tokenizer", "EvalScope")),
    ("--model-tokenizer", Rename("--tokenizer", "genai-bench")),
    ("--tokenizer-name", Rename("--tokenizer", "inference-benchmarker")),
    ("--processor", Rename("--tokenizer", "GuideLLM")),
    # Pictures
    ("--height", Rename("--image-height", "modal_benchmark_parallel.py")),
    ("--width", Rename("--image-width", "modal_benchmark_parallel.py")),
    ("--image-num", Rename("--image-count", "EvalScope")),
    ("--image-batch-size", Rename("--image-count", "AIPerf")),
    ("--random-mm-base-items-per-request", Rename("--image-count", "vLLM")),
    ("--image-width-mean", Rename("--image-width", "AIPerf")),
    ("--image-height-mean", Rename("--image-height", "AIPerf")),
    ("--image-content", Rename("--image-content", "SGLang", {"random": "noise"})),
    ("--image-resolution", Resolution("SGLang")),
    ("--image-width-stddev --image-height-stddev", Needless("sizes are exact", "AIPerf", _ZERO)),
    (
        "--random-mm-num-mm-items-range-ratio",
        Needless("every request has the same number of pictures", "vLLM", _ZERO),
    ),
    (
        "--random-mm-bucket-config --random-mm-limit-mm-per-prompt",
        Refused(
            "pictures of several sizes, or of a number that varies, are not in this version",
            "--image-count N --image-width W --image-height H --image-content noise; frames: --video-frames N",
            "vLLM",
        ),
    ),
    # Request
    ("--disable-ignore-eos", Fixed(("--no-ignore-eos",), "SGLang LMDeploy")),
    ("--streaming", Fixed(("--stream",), "AIPerf")),
    ("--disable-stream", Fixed(("--no-stream",), "SGLang")),
    ("--extra-request-body", Rename("--extra-body", "SGLang LMDeploy")),
    ("--extra-args", Rename("--extra-body", "EvalScope")),
    ("--extra-inputs", Rename("--extra-body", "AIPerf", reads="{}")),
    ("--additional-request-params", Rename("--extra-body", "genai-bench")),
    # Measure and output
    ("--goodput", Rename("--slo", "vLLM SGLang AIPerf")),
    ("--metric-percentiles", Rename("--percentiles", "vLLM")),
    ("--result-dir", Rename("--out", "vLLM")),
    ("--outputs-dir", Rename("--out", "EvalScope")),
    ("--work-dir", Rename("--out", "AISBench")),
    ("--output-artifact-dir --artifact-dir", Rename("--out", "AIPerf")),
    ("--output-dir", Rename("--out", "GuideLLM")),
    ("--metadata", Rename("--label", "vLLM")),
    ("--server-engine", Rename("--label", "genai-bench", reads="server-engine=")),
    ("--server-version", Rename("--label", "genai-bench", reads="server-version=")),
    ("--server-gpu-type", Rename("--label", "genai-bench", reads="server-gpu-type=")),
    ("--server-gpu-count", Rename("--label", "genai-bench", reads="server-gpu-count=")),
    ("--ui-type", Rename("--ui", "AIPerf", {"dashboard": "rich", "simple": "plain"})),
    ("--disable-tqdm", Fixed(("--ui", "none"), "vLLM SGLang LMDeploy")),
    ("--disable-progress", Fixed(("--ui", "none"), "GuideLLM")),
    # Not needed
    ("--save-result --save-detailed", Needless(_STORED, "vLLM")),
    ("--output-details", Needless(_STORED, "SGLang")),
    ("--custom-skip-chat-template --skip-chat-template", Needless("prompts are sent as they are", "vLLM")),
    ("--append-result", Needless("no run is ever overwritten", "vLLM")),
    ("--percentile-metrics", Needless("every metric is always computed", "vLLM")),
    ("--trust-remote-code --tokenizer-trust-remote-code", Needless(_NO_CODE, "vLLM SGLang AIPerf")),
    ("--num-runs --num-profile-runs", Rename("--repeat", "vLLM AIPerf")),
    ("--profile-run-cooldown-seconds --parameter-sweep-cooldown-seconds", Rename("--pause", "AIPerf")),
    ("--sleep-interval", Rename("--pause", "EvalScope")),
    ("--ready-check-timeout-sec", Needless("a server that is not ready is not waited for", "vLLM", ("0",))),
    ("--ManagementHttp", Needless("only --Http is put under load", "MindIE")),
    ("--TaskKind", Needless("answers are streamed, as text", "MindIE", ("stream",))),
    ("--Tokenizer", Needless("prompts are sent as text", "MindIE", ("True",))),
    ("--Distribution", Needless("gaps are those of a Poisson process", "MindIE", ("poisson",))),
    # Refused
    (
        "--profile",
        Refused(
            "it starts a profiler in vLLM and SGLang, names a workload in inference-benchmarker and a schedule in "
            "GuideLLM",
            "leave it out; load is set by --max-concurrency or --request-rate",
            "vLLM SGLang GuideLLM",
        ),
    ),
    (
        "--rate-type",
        Refused(
            "it changes what GuideLLM's --rate means",
            "concurrent: --max-concurrency N; constant: --request-rate R --burstiness inf; poisson: --request-rate R; "
            "throughput: --request-rate inf; synchronous: --max-concurrency 1",
            "GuideLLM",
        ),
    ),
    (
        "--data",
        Refused(
            "GuideLLM's data strings are not read",
            "use --dataset random --input-len N --output-len N, or --dataset custom --dataset-path FILE",
            "GuideLLM",
        ),
    ),
    (
        "--input-file",
        Refused(
            "AIPerf's times, roles and pictures in its input files are not read",
            "for rows of one prompt, messages or a request body use --dataset custom --dataset-path FILE",
            "AIPerf",
        ),
    ),
    (
        "--public-dataset",
        Refused(
            "no data set is fetched by its name alone",
            "name the file: --dataset sharegpt --dataset-path hf://OWNER/NAME/FILE, or one of this machine",
            "AIPerf",
        ),
    ),
    (
        "--result-filename --output-file",
        Refused(
            "each run has a folder of its own",
            "leave it out; a result with vLLM's keys is vllm.json in the run folder",
            "vLLM SGLang",
        ),
    ),
    (
        "--max-time-per-run",
        Refused("it counts minutes in genai-bench", "write the unit: --duration 10m", "genai-bench"),
    ),
    (
        "--sla-params --sla-auto-tune --sla-variable",
        Refused(
            "the largest load within an SLO is what `inferometer search` finds",
            'inferometer search --url URL --search request-rate --slo "p99_ttft<=500ms"',
            "EvalScope",
        ),
    ),
    (
        "--request-cancellation-rate --request-cancellation-delay",
        Refused(
            "AIPerf gives up a percentage of the requests, all after the same time",
            "--cancel-share 0.1 --cancel-within 2s: a tenth of them, at a random time within 2 s",
            "AIPerf",
        ),
    ),
    (
        "--benchmark-grace-period",
        Refused(
            "AIPerf waits for requests in flight only where it is given",
            "--drain finish --grace 30s is the default here; --drain cut waits for none",
            "AIPerf",
        ),
    ),
    (
        "--climbing-period",
        Refused("it counts milliseconds there", "write the unit: --climb-every 1s", "Huawei"),
    ),
    (
        "--over-saturation",
        Refused("GuideLLM's settings of its test are not read", "use --stop-on-saturation", "GuideLLM"),
    ),
    (
        "--max-errors --max-global-error-rate",
        Refused(
            "GuideLLM counts errors one by one", "--stop-on-errors SHARE stops beyond chance", "GuideLLM"
        ),
    ),
    (
        "--RequestNum --concurrent-num",
        Refused(
            "the rate counts bursts there, and requests here",
            "--burst B --request-rate R, with B times the rate that is given there",
            "MindIE Huawei",
        ),
    ),
    (
        "--frequency-penalty --presence-penalty --repetition-penalty --min-p --logprobs",
        Refused(_EXTRA, """send it with --extra-body '{"min_p": 0.1}'""", "vLLM EvalScope"),
    ),
    ("--use-beam-search --best-of", Refused("one answer per request is measured", "leave it out", "vLLM")),
)

# Names of --output-len that their tools obey for one data set only, and ignore for others.
LENGTH_OF: Mapping[str, str] = {
    "--random-output-len": "random",
    "--sharegpt-output-len": "sharegpt",
    "--custom-output-len": "custom",
    "--spec-bench-output-len": "specbench",
}

# Data sets of peers that are random text with pictures, and the pictures that these tools send when nothing is said.
PICTURED: Mapping[str, Mapping[str, str]] = {
    "random_vl": {"--image-count": "1", "--image-height": "224", "--image-width": "224"},
    "image": {
        "--image-count": "1",
        "--image-height": "1080",
        "--image-width": "1920",
        "--image-content": "noise",
        "--image-format": "jpeg",
    },
}
OF_MANY_SIZES = "random-mm"  # vLLM's
SPEED = ("speed_benchmark", "speed_benchmark_long")  # EvalScope's

ALIASES: Mapping[str, Alias] = {name: alias for names, alias in _ROWS for name in names.split()}


def names_of(flag: str) -> list[str]:
    """The peers' names for one of our flags, in the order of the table."""
    return [
        name
        for name, alias in ALIASES.items()
        if isinstance(alias, Rename) and alias.flag == flag and name != flag and not alias.reads
    ]


def meaning(alias: Alias) -> str:
    """What a name becomes here, on one line."""
    if isinstance(alias, Rename):
        words = ", ".join(f"{there} = {here or 'left out'}" for there, here in alias.values.items())
        shape = {"": "", "{}": " (key:value becomes JSON)"}.get(alias.reads, f" {alias.reads}VALUE")
        return alias.flag + shape + (f" ({words})" if words else "")
    if isinstance(alias, Fixed):
        return " ".join(alias.argv)
    if isinstance(alias, Needless):
        return f"not needed{' with ' + alias.only[0] if alias.only else ''}: {alias.why}"
    if isinstance(alias, Resolution):
        return f"--image-height and --image-width (HEIGHTxWIDTH, {', '.join(RESOLUTIONS)})"
    return f"refused: {alias.why}"
