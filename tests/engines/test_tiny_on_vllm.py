"""Tiny models in transformers, beside llama.cpp; and what vLLM itself refuses, beside what is refused beforehand."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
from conftest import PROGRAM
from tests.integration.llama_process import llama
from tests.unit.models import published

from inferometer.models.asked import Asked
from inferometer.models.config import read_model
from inferometer.models.refusals import refusals
from inferometer.models.tiny import TinyShape, make_tiny_model

PYTHON = Path(str(PROGRAM)).with_name("python")
PROMPT = "The quick brown fox jumps over the lazy dog, and then it goes home. 今天天气很好。"

GENERATE = """
import json, sys, torch
from transformers import AutoModelForCausalLM, AutoTokenizer
torch.set_num_threads(1)
for folder in sys.argv[2:]:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    ids = tokenizer(sys.argv[1], return_tensors="pt").input_ids
    length = ids.shape[1]
    with torch.no_grad():
        tokens = model.generate(ids, max_new_tokens=32, do_sample=False)[0]
        logprobs = model(tokens[None]).logits[0].log_softmax(-1)
    made = tokens[length:].tolist()
    said = [logprobs[length - 1 + at, token].item() for at, token in enumerate(made)]
    hi = [{"role": "user", "content": "Hi"}]
    chat = tokenizer.apply_chat_template(hi, add_generation_prompt=True, tokenize=False)
    print(json.dumps({"prompt": ids[0].tolist(), "tokens": made, "logprobs": said, "chat": chat}))
"""

JUDGE = """
import json, sys
from types import SimpleNamespace
from vllm.config.model import ModelConfig
for line in sys.stdin:
    asked = json.loads(line)
    parallel = SimpleNamespace(
        tensor_parallel_size=asked.get("tensor_parallel", 1), pipeline_parallel_size=1, world_size_across_dp=1,
        enable_expert_parallel=asked.get("expert_parallel", False), enable_hc_sp=False, decode_context_parallel_size=1,
    )
    try:
        ModelConfig(
            model=asked["model"], tokenizer=asked["model"], max_model_len=asked.get("max_model_len"),
            dtype=asked.get("dtype", "auto"), quantization=asked.get("quantization"),
        ).verify_with_parallel_config(parallel)
        print(json.dumps(None), flush=True)
    except ValueError as error:
        print(json.dumps(str(error)), flush=True)
"""


def child(script: str, *arguments: str, said: str = "") -> list[Any]:
    """What a script in the engines' environment prints as JSON lines."""
    ended = subprocess.run(
        [str(PYTHON), "-c", script, *arguments],
        check=False,
        input=said,
        capture_output=True,
        text=True,
        env=os.environ | {"HF_HUB_OFFLINE": "1", "VLLM_LOGGING_LEVEL": "ERROR", "VLLM_NO_USAGE_STATS": "1"},
    )
    assert ended.returncode == 0, ended.stderr[-3000:]
    return [json.loads(line) for line in ended.stdout.splitlines() if line[:1] in '{"n']


def test_transformers_and_llama_cpp_compute_the_same(tmp_path):
    shapes = [
        TinyShape(architecture="qwen2"),
        TinyShape(architecture="llama"),
        TinyShape(architecture="llama", dtype="float32"),
    ]
    models = [make_tiny_model(tmp_path / str(at), shape=shape) for at, shape in enumerate(shapes)]
    told = child(GENERATE, PROMPT, *(str(model.folder) for model in models))

    for model, expected in zip(models, told, strict=True):
        with llama(model.gguf) as server:
            body = {"prompt": PROMPT, "n_predict": 32, "temperature": 0, "n_probs": 1}
            given = server.ask("/completion", body)["completion_probabilities"]
            assert server.ask("/tokenize", {"content": PROMPT})["tokens"] == expected["prompt"]
        assert [one["id"] for one in given] == expected["tokens"]
        np.testing.assert_allclose([one["logprob"] for one in given], expected["logprobs"], rtol=0, atol=0.05)
        assert expected["chat"] == "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"


AWQ = published.QWEN25_72B | {"quantization_config": {"quant_method": "awq", "bits": 4, "group_size": 128}}
LINEAR = published.QWEN25_7B | {"rope_scaling": {"type": "linear", "factor": 2.0}}
EETQ = published.QWEN25_7B | {"quantization_config": {"quant_method": "eetq"}}
JUDGED: list[tuple[dict[str, Any], dict[str, Any]]] = [
    (published.QWEN25_7B, {"tensor_parallel": 8}),
    (published.QWEN25_7B, {"tensor_parallel": 4}),
    (published.LLAMA3_8B, {"tensor_parallel": 16}),
    (published.LLAMA3_8B, {"expert_parallel": True}),
    (published.MIXTRAL_8X7B, {"tensor_parallel": 8, "expert_parallel": True}),
    (published.DEEPSEEK_V3, {"tensor_parallel": 16}),
    (published.QWEN25_7B, {"max_model_len": 32768}),
    (published.QWEN25_7B, {"max_model_len": 32769}),
    (LINEAR, {"max_model_len": 65536}),
    (LINEAR, {"max_model_len": 65537}),
    (published.LLAMA3_8B, {"max_model_len": 131072}),
    (published.LLAMA3_8B, {"max_model_len": 131073}),
    (published.DEEPSEEK_V3, {"max_model_len": 163840}),
    (published.DEEPSEEK_V3, {"max_model_len": 163841}),
    (AWQ, {}),
    (AWQ, {"quantization": "fp8"}),
    (EETQ, {}),
    (published.QWEN25_7B, {"quantization": "nonsense"}),
    (
        published.LLAMA3_8B | {"model_type": "gemma2", "architectures": ["Gemma2ForCausalLM"]},
        {"dtype": "half"},
    ),
]


def test_what_vllm_refuses_is_refused_before_and_nothing_else(tmp_path):
    folders = [published.download(tmp_path / str(at), config) for at, (config, _) in enumerate(JUDGED)]
    lines = [
        json.dumps(asked | {"model": str(folder)}) for folder, (_, asked) in zip(folders, JUDGED, strict=True)
    ]

    judged = child(JUDGE, said="\n".join(lines))

    ours = [
        refusals(read_model(folder), Asked(**asked), "vllm")
        for folder, (_, asked) in zip(folders, JUDGED, strict=True)
    ]
    assert [bool(found) for found in ours] == [refused is not None for refused in judged], judged
