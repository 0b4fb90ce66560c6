"""vLLM in this process: its engine is stepped by hand, so that every step has a time, and prefill stands apart."""

from __future__ import annotations

import os
import time
from typing import Any

from inferometer.engines.offline.child import memory
from inferometer.engines.offline.child.model import needed

_USUAL_SEQUENCES = 256
_DTYPES = {"bfloat16": "BF16", "float16": "FP16", "float32": "FP32"}
_PREALLOCATED = "vLLM takes its share of the device's memory beforehand (--gpu-memory-utilization)"


class VLLMEngine:
    """An ``LLM`` of vLLM.

    Args:
        folder: of the model.
        order: settings by name.
        longest: tokens of the longest prompt with its answer.
    """

    def __init__(self, folder: str, order: dict[str, Any], longest: int) -> None:
        # The engine core in this process: no hop to another one in the times, and its memory is that of this process.
        os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
        os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
        if order["device"] == "cpu":
            os.environ.setdefault("VLLM_TARGET_DEVICE", "cpu")
        if order.get("max_model_len"):
            os.environ.setdefault("VLLM_ALLOW_LONG_MAX_MODEL_LEN", "1")
        self._library = needed("vllm", "vllm")
        self._torch = needed("torch", "vllm")
        self._count = max(len([part for part in (order.get("devices") or "0").split(",") if part.strip()]), 1)
        given: dict[str, Any] = (
            {"max_num_seqs": order["largest_batch"]} if order["largest_batch"] > _USUAL_SEQUENCES else {}
        )
        self._llm = self._library.LLM(
            model=folder,
            dtype=order["dtype"],
            tensor_parallel_size=self._count,
            gpu_memory_utilization=order["gpu_memory_utilization"],
            max_model_len=order.get("max_model_len") or longest,
            enforce_eager=order["enforce_eager"],
            enable_prefix_caching=False,  # a repeat of the same prompt has to be computed again
            trust_remote_code=order["trust_remote_code"],
            disable_log_stats=True,
            seed=0,
            **given,
        )
        self._engine = self._llm.llm_engine
        self._made = 0
        on_device = self._torch.cuda.is_available() and self._count == 1
        self._memory = memory.DeviceMemory(self._torch.cuda) if on_device else self._without_device()

    def _without_device(self) -> Any:
        return memory.ProcessMemory() if self._platform() == "cpu" else memory.NoMemory()

    def _platform(self) -> str:
        platforms = needed("vllm.platforms", "vllm")
        return str(platforms.current_platform.device_type)

    def facts(self) -> dict[str, Any]:
        """What it is and what it computes on."""
        config = self._engine.vllm_config if hasattr(self._engine, "vllm_config") else None
        platform = self._platform()
        dtype = "" if config is None else str(config.model_config.dtype).removeprefix("torch.")
        on_gpu = platform != "cpu"
        names = (
            [self._torch.cuda.get_device_name(i) for i in range(self._count)] if platform == "cuda" else []
        )
        notes = [_PREALLOCATED] if on_gpu else []
        found: dict[str, Any] = {
            "versions": {"vllm": self._library.__version__, "torch": self._torch.__version__},
            "device": platform,
            "device_names": names,
            "device_count": self._count if on_gpu else 0,
            "notes": notes,
        }
        if dtype:
            found["dtype"] = _DTYPES.get(dtype, dtype.upper())
        if on_gpu and isinstance(self._memory, memory.NoMemory):
            found["memory_why"] = "its workers are processes of their own"
        return found

    def generate(self, prompts: list[list[int]], tokens: int) -> dict[str, Any]:
        """Generate exactly ``tokens`` of each prompt, greedily, and take the times."""
        library = self._library
        sampling = library.SamplingParams(
            temperature=0.0,
            min_tokens=tokens,
            max_tokens=tokens,
            ignore_eos=True,
            detokenize=False,
            output_kind=needed("vllm.sampling_params", "vllm").RequestOutputKind.DELTA,
        )
        names = [f"speed-{self._made}-{place}" for place in range(len(prompts))]
        self._made += 1
        self._memory.reset()
        waited_s, unix_ns = memory.core_wait_s(), time.clock_gettime_ns(time.CLOCK_REALTIME)
        begin_ns = time.monotonic_ns()
        for name, prompt in zip(names, prompts, strict=True):
            self._engine.add_request(name, {"prompt_token_ids": prompt}, sampling)
        steps, firsts, lasts, counts = self._stepped()
        end_ns, waits_s = time.monotonic_ns(), memory.core_wait_s()
        ordered = list(firsts)  # request ids as the engine names them, in the order of their first tokens
        return {
            "begin_ns": begin_ns,
            "end_ns": end_ns,
            "unix_begin_ns": unix_ns,
            "unix_end_ns": time.clock_gettime_ns(time.CLOCK_REALTIME),
            "first_token_ns": [firsts[name] for name in ordered],
            "last_token_ns": [lasts[name] for name in ordered],
            "output_tokens": [counts[name] for name in ordered],
            "step_ns": [at_ns - begin_ns for at_ns in steps],
            "core_wait_s": None if waited_s is None or waits_s is None else waits_s - waited_s,
            **self._memory.peak(),
        }

    def _stepped(self) -> tuple[list[int], dict[str, int], dict[str, int], dict[str, int]]:
        """Step until nothing is left: times of the steps, and by request first and last time and tokens."""
        steps: list[int] = []
        firsts: dict[str, int] = {}
        lasts: dict[str, int] = {}
        counts: dict[str, int] = {}
        while self._engine.has_unfinished_requests():
            outputs = self._engine.step()
            now_ns = time.monotonic_ns()
            new = [(each.request_id, len(each.outputs[0].token_ids)) for each in outputs]
            if any(count for _, count in new):
                steps.append(now_ns)
            for name, count in new:
                if count:
                    firsts.setdefault(name, now_ns)
                    lasts[name] = now_ns
                    counts[name] = counts.get(name, 0) + count
        return steps, firsts, lasts, counts
