"""MindIE's ``benchmark``."""

from __future__ import annotations

import json

from inferometer.exchange.compat.aliases import Needless, Refused
from inferometer.exchange.compat.tool import HANDLED, Call, Tool, rows, words
from inferometer.exchange.compat.tools.habits import as_json

_PEER = "MindIE"
_NAMES = words(
    """
    --Http --ManagementHttp --ModelName --RequestTimeOut --RequestCount --Concurrency --RequestRate
    --WorkersNum --WarmupSize --SyntheticConfigPath --DatasetType --DatasetPath --ModelPath
    --MaxOutputLen --RequestNum
    """
)
_OWN = rows(
    ("--TestType --TaskKind --Tokenizer --Distribution --DoSampling --SamplingParams --MaxInputLen", HANDLED),
    (
        "--TestAccuracy --SaveHumanEvalOutputFile",
        Refused("answers are not judged in this version", "", _PEER),
    ),
    ("--SavePath --SaveTokensPath", Needless("every run is stored; --keep-text stores the answers", _PEER)),
    ("--TrustRemoteCode", Needless("no remote code is ever run", _PEER)),
    ("--LoraDataMappingFile", Refused("adapters are drawn by weights", "--model-mix base=3 lora-a=1", _PEER)),
)
_TYPES = {
    "client": "mindie",
    "vllm_client": "vllm-generate",
    "tgi_client": "tgi",
    "triton_client": "triton",
    "openai": "openai-chat",
}
_READ = ("synthetic", "gsm8k", "mtbench", "humaneval")


def _settle(call: Call) -> None:
    kind = call.taken("--TestType") or "client"
    call.put("--backend", _TYPES.get(kind, "mindie"))
    if kind not in _TYPES:
        call.refuse(
            "--TestType",
            f"{kind} runs the engine in its own process",
            "put a server under load; or inferometer speed MODEL",
        )
    call.default("--url", "https://127.0.0.1:1025", unless=("--Http",))
    call.default("--max-concurrency", "128", unless=("--Concurrency",))
    call.default("--warmup", "10", unless=("--WarmupSize",))
    task = call.taken("--TaskKind") or "stream"
    if task == "text":
        call.put("--no-stream")
    elif task != "stream":
        call.refuse(
            "--TaskKind",
            f"{task} sends numbers of tokens",
            "--text token-ids, with a dialect that takes them",
        )
    if (call.taken("--Tokenizer") or "True").lower() != "true":
        call.refuse(
            "--Tokenizer", "False sends numbers of tokens", "--text token-ids, with a dialect that takes them"
        )
    _arrivals(call)
    _data(call)
    sampling = as_json(call.taken("--SamplingParams"))
    if (call.taken("--DoSampling") or "False").lower() == "true" and sampling:
        call.put("--extra-body", json.dumps(sampling))
    call.drop("prompts are as long as the data says", "--MaxInputLen")
    call.differs("its prompts repeat one letter, so a prefix cache answers for them; here words are drawn")


def _arrivals(call: Call) -> None:
    spread = call.taken("--Distribution") or "uniform"
    rate = call.value("--RequestRate")
    if not rate:
        call.take("--RequestRate")
        call.drop("there are no bursts without a rate", "--RequestNum")
    elif spread == "uniform":
        call.put("--burstiness", "inf")


def _data(call: Call) -> None:
    kind = call.value("--DatasetType") or ""
    if call.value("--RequestCount") == "-1":
        call.take("--RequestCount")
    if kind in _READ or not kind:
        if kind != "synthetic":
            call.default("--max-tokens", "20", unless=("--MaxOutputLen",))
        return
    call.refuse("--DatasetType", f"data set {kind} is not read", "write its questions to a file")
    call.take("--DatasetPath")
    call.put("--dataset", "custom")
    call.missing("--dataset-path", "PROMPTS", f"the questions of {kind}")
    call.default("--max-tokens", "20", unless=("--MaxOutputLen",))


TOOL = Tool(
    "MindIE benchmark",
    ("benchmark", "mindiebenchmark"),
    _NAMES,
    _OWN,
    _settle,
    "MindIE 2.1, mindiebenchmark",
    signs=frozenset({"--TestType", "--Http", "--DatasetType"}),
    view="mindie",
    short=False,
)
