"""Qwen's ``speed_benchmark_transformers.py`` and ``speed_benchmark_vllm.py``, which ``speed`` is named after."""

from __future__ import annotations

from functools import partial

from inferometer.exchange.compat.tool import Call, Tool

_NAMES = frozenset(
    [
        "--model_id_or_path",
        "--context_length",
        "--generate_length",
        "--gpus",
        "--use_modelscope",
        "--outputs_dir",
        "--max_model_len",
        "--gpu_memory_utilization",
        "--enforce_eager",
    ]
)
_AS_HERE = {
    name: name.replace("_", "-")
    for name in ("--max_model_len", "--gpu_memory_utilization", "--enforce_eager")
}


def _settle(call: Call, engine: str) -> None:
    call.put("--engine", engine)
    for group in list(call.theirs):
        if group.name in _NAMES:
            call.take(group.name)
            call.put(_AS_HERE.get(group.name, group.name), *group.values)
    call.default("--generate_length", "2048")
    call.differs("three generations are measured and their mean is told; the scripts measure one")


def _tool(engine: str) -> Tool:
    script = f"speed_benchmark_{engine}.py"
    return Tool(
        f"{script} (Qwen)",
        (script,),
        _NAMES,
        {},
        partial(_settle, engine=engine),
        "Qwen2.5, examples/speed-benchmark",
        verb="speed",
        short=False,
    )


TRANSFORMERS = _tool("transformers")
VLLM = _tool("vllm")
