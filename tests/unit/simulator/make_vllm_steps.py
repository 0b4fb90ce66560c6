"""Writes ``vllm_steps.jsonl``: random loads, and what vLLM's own scheduler put into each step.

Run it with a Python that has vLLM (CPU is enough); no model is loaded::

    python tests/unit/simulator/make_vllm_steps.py > tests/unit/simulator/vllm_steps.jsonl
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
from pathlib import Path
from typing import Any

LLAMA = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_attention_heads": 4,
    "num_hidden_layers": 2,
    "vocab_size": 128,
    "max_position_embeddings": 4096,
}
ANSWER_TOKEN = 5


def some_case(draw: random.Random) -> dict[str, Any]:
    """Limits and jobs; a job is [step at which it arrives, prompt tokens, output tokens, priority, family]."""
    cache = draw.random() < 0.5
    jobs = sorted(
        [
            draw.choice([0, 0, 0, draw.randint(1, 30)]),
            draw.randint(1, 40),
            draw.randint(1, 24),
            draw.randint(0, 2),
            draw.randint(0, 2) if cache else place + 10,
        ]
        for place in range(draw.randint(4, 12))
    )
    limits = {
        "max_num_seqs": draw.choice([2, 4, 8]),
        "max_num_batched_tokens": draw.choice([16, 64]),
        "max_model_len": 64,
        "kv_blocks": draw.choice([16, 20, 40]),
        "block_tokens": 4,
        "long_prefill_token_threshold": draw.choice([0, 0, 5]),
        "order": draw.choice(["fcfs", "fcfs", "priority"]),
        "reserve_full_prompt": draw.random() < 0.6,
        "prefix_cache": cache,
    }
    return {"limits": limits, "jobs": jobs}


def scheduler_of(limits: dict[str, Any], folder: str) -> Any:
    """vLLM's scheduler under these limits."""
    import torch
    from vllm.config import CacheConfig, DeviceConfig, ModelConfig, SchedulerConfig, VllmConfig
    from vllm.v1.core.sched.scheduler import Scheduler
    from vllm.v1.kv_cache_interface import FullAttentionSpec, KVCacheConfig, KVCacheGroupSpec
    from vllm.v1.structured_output import StructuredOutputManager

    size, blocks = limits["block_tokens"], limits["kv_blocks"] + 1  # one of vLLM's blocks is never given out
    model = ModelConfig(
        model=folder, skip_tokenizer_init=True, dtype="float16", max_model_len=limits["max_model_len"]
    )
    config = VllmConfig(
        model_config=model,
        scheduler_config=SchedulerConfig(
            max_num_seqs=limits["max_num_seqs"],
            max_num_batched_tokens=limits["max_num_batched_tokens"],
            max_model_len=limits["max_model_len"],
            is_encoder_decoder=False,
            long_prefill_token_threshold=limits["long_prefill_token_threshold"],
            policy=limits["order"],
            scheduler_reserve_full_isl=limits["reserve_full_prompt"],
            async_scheduling=False,
        ),
        cache_config=CacheConfig(block_size=size, enable_prefix_caching=limits["prefix_cache"]),
        device_config=DeviceConfig(device="cpu"),
    )
    config.cache_config.num_gpu_blocks = blocks
    spec = FullAttentionSpec(block_size=size, num_kv_heads=1, head_size=1, dtype=torch.float32)
    pool = KVCacheConfig(
        num_blocks=blocks, kv_cache_tensors=[], kv_cache_groups=[KVCacheGroupSpec(["layer"], spec)]
    )
    return Scheduler(config, pool, StructuredOutputManager(config), block_size=size)


def steps_of(case: dict[str, Any], folder: str) -> list[list[list[int]]]:
    """Of each step, job and tokens; the order is that in which the scheduler took them."""
    from vllm.sampling_params import SamplingParams
    from vllm.utils.hashing import sha256
    from vllm.v1.core.kv_cache_utils import get_request_block_hasher, init_none_hash
    from vllm.v1.outputs import ModelRunnerOutput
    from vllm.v1.request import Request

    init_none_hash(sha256)
    limits = case["limits"]
    scheduler, steps = scheduler_of(limits, folder), []
    hasher = get_request_block_hasher(limits["block_tokens"], sha256) if limits["prefix_cache"] else None
    coming = list(enumerate(case["jobs"]))
    while coming or scheduler.requests:
        while coming and coming[0][1][0] <= len(steps):
            number, (at, prompt, output, priority, family) = coming.pop(0)
            asked = SamplingParams(max_tokens=output, ignore_eos=True)
            scheduler.add_request(
                Request(
                    str(number),
                    [10 + family] * prompt,
                    asked,
                    None,
                    arrival_time=at + number * 1e-6,
                    priority=priority,
                    block_hasher=hasher,
                )
            )
        planned = scheduler.schedule()
        order = list(planned.num_scheduled_tokens)
        steps.append([[int(name), planned.num_scheduled_tokens[name]] for name in order])
        done = [scheduler.requests[name] for name in order]
        made = [[ANSWER_TOKEN] if one.num_computed_tokens >= one.num_tokens else [] for one in done]
        places = {name: place for place, name in enumerate(order)}
        scheduler.update_from_output(planned, ModelRunnerOutput(order, places, made))
    return steps


def main() -> None:
    """Write the cases to standard output."""
    draw = random.Random(2026)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "config.json").write_text(json.dumps(LLAMA))
        for _ in range(40):
            case = some_case(draw)
            line = json.dumps(case | {"steps": steps_of(case, folder)}, separators=(",", ":"))
            sys.stdout.write(line + "\n")


if __name__ == "__main__":
    main()
