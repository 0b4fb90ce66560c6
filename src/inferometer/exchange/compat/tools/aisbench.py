"""``ais_bench``: what is measured stands in Python files that its flags name, and not in the command line."""

from __future__ import annotations

from inferometer.exchange.compat.aliases import Needless, Refused
from inferometer.exchange.compat.tool import HANDLED, Call, Tool, rows

_PEER = "AISBench"
_NAMES = frozenset({"--num-prompts", "--num-warmups", "--work-dir", "--pressure-time"})
_OWN = rows(
    ("--models --datasets --mode -m --pressure -w --summarizer --custom-dataset-path", HANDLED),
    (
        "--debug --max-num-workers --dump-eval-details --dump-extract-rate",
        Needless("progress is shown live", _PEER),
    ),
    ("--merge-ds", Needless("one data set is sent in a run", _PEER)),
    (
        "--search --dry-run",
        Refused("it lists its own files", "inferometer run ... --dry-run shows the plan", _PEER),
    ),
    ("--reuse -r", Refused("it goes on with a folder", "inferometer run --resume RUN", _PEER)),
    ("--spec-decode", Needless("acceptance is read from the server's counters", _PEER)),
    ("--response-anomaly", Needless("empty and truncated answers are always told", _PEER)),
    ("--custom-dataset-data-type --custom-dataset-meta-path --custom-dataset-infer-method --config", HANDLED),
)
# Its model files, by the beginning of their names: the API and whether it streams.
_MODELS = (
    ("vllm_api_stream_chat", "openai-chat", True),
    ("vllm_api_general_chat", "openai-chat", False),
    ("vllm_api_function_call_chat", "openai-chat", False),
    ("vllm_api_general_stream", "openai-completions", True),
    ("vllm_api_stream", "openai-completions", True),
    ("vllm_api_general", "openai-completions", False),
    ("vllm_api_old", "openai-completions", False),
    ("mindie_stream_api", "mindie", True),
    ("mindie_api", "mindie", True),
    ("tgi_stream_api", "tgi", True),
    ("tgi_api", "tgi", True),
    ("triton_stream_api", "triton", True),
    ("triton_api", "triton", True),
)
# Its data files, by the word before the first underscore: our format.
_DATASETS = {
    "gsm8k": ("openqa", "its questions (test.jsonl)"),
    "sharegpt": ("sharegpt", "ShareGPT's JSON"),
    "mtbench": ("mtbench", "MT-Bench's questions"),
    "humaneval": ("humaneval", "HumanEval's problems"),
    "mooncake": ("mooncake", "the trace"),
}


def _settle(call: Call) -> None:
    mode = call.taken("--mode", "-m") or "all"
    if mode not in ("perf", "perf_viz"):
        call.refuse(
            "--mode",
            f"{mode} judges answers",
            "what follows puts the same load on the server and does not judge",
        )
    call.drop("the steady window is found in every run", "--summarizer")
    models = call.take("--models") or []
    if len(models) > 1:
        call.refuse("--models", f"{' '.join(models[1:])} is another server", "run it once for each")
    _model(call, models[0] if models else "")
    _data(call, (call.take("--datasets") or [""])[0])
    call.missing(
        "--max-concurrency", "CONCURRENCY", "batch_size of that file (request_rate in it is --request-rate)"
    )
    call.default("--warmup", "1", unless=("--num-warmups",))
    if call.take("--pressure") is not None:
        call.default("--duration", "15", unless=("--pressure-time",))
    else:
        call.drop("it is for --pressure", "--pressure-time")
    out = call.taken("-w")
    if out:
        call.put("--out", out)
    call.drop(
        "it is for files that the data set names",
        "--custom-dataset-data-type",
        "--custom-dataset-meta-path",
        "--custom-dataset-infer-method",
        "--config",
    )
    call.differs(
        "a request that fails is sent again there, twice, and its time starts anew; here it counts as failed"
    )


def _model(call: Call, name: str) -> None:
    found = next(((api, streams) for begin, api, streams in _MODELS if name.startswith(begin)), None)
    api, streams = found or ("openai-chat", True)
    call.put("--backend", api)
    if not streams:
        call.put("--no-stream")
    if found is None:
        call.refuse(
            "--models",
            f"{name or 'nothing'} is none of its files that is known",
            "--backend says which API is spoken",
        )
    where = f"host_ip and host_port of its {name or 'model'}.py"
    call.missing("--url", "URL", f"{where}, as http://127.0.0.1:8080")


def _data(call: Call, name: str) -> None:
    path = call.taken("--custom-dataset-path")
    if name.startswith("synthetic") and not path:
        call.put("--dataset", "random")
        call.missing("--lengths", "LENGTHS", "its synthetic_config as a file, or 'N(480,240)/(300,150)'")
        return
    ours, what = _DATASETS.get(name.partition("_")[0], ("custom", f"the prompts of {name or 'its data set'}"))
    call.put("--dataset", "custom" if path else ours)
    if path:
        call.put("--dataset-path", path)
    else:
        call.missing("--dataset-path", "DATASET", what)
    call.missing("--max-tokens", "MAX_OUT_LEN", "max_out_len of its model file")
    if "shot" in name or "cot" in name:
        call.differs(
            "its examples and the call to think step by step are put before each question there", name
        )


TOOL = Tool(
    "ais_bench",
    ("ais_bench", "ais_bench.benchmark.cli.main"),
    _NAMES,
    _OWN,
    _settle,
    "AISBench of 2026-08",
    view="aisbench",
    short=False,
)
