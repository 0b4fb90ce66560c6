"""transformers and vLLM in a process of their own, so that what kills them kills a row and not the measurement."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from inferometer.clock import Clock
from inferometer.engines.offline import Ask, BrokenError
from inferometer.engines.offline.process import Child
from inferometer.loadgen.stop import StopSignal
from inferometer.record.speed import EngineFacts, Generation
from inferometer.spec.speed import SpeedSpec

LOG = "engine.log"
_CUDA_ORDER = "CUDA_DEVICE_ORDER"
# NVIDIA and Hygon, AMD, Ascend: each reads its own.
_VISIBLE = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ASCEND_RT_VISIBLE_DEVICES")


class LocalEngine:
    """An engine in a child process.

    Args:
        spec: which one, and how.
        folder: that its log lies in.
        clock: for time limits.
        stop: asked for, what it is doing is given up.
        tell: told how loading goes on.
    """

    def __init__(
        self, spec: SpeedSpec, folder: Path, clock: Clock, stop: StopSignal, tell: Callable[[str], None]
    ) -> None:
        self._spec, self._folder, self._clock, self._stop, self._tell = spec, folder, clock, stop, tell
        self._child: Child | None = None
        self.shrinks = (
            spec.engine == "vllm" and spec.max_model_len is None
        )  # it takes its KV cache when it is loaded

    def load(self, needs: tuple[int, ...]) -> EngineFacts:
        """See ``OfflineEngine``."""
        self.close()
        began_ns = self._clock.now_ns()
        self._child = Child(
            str(Path(self._spec.python or sys.executable).expanduser()),
            self._folder / LOG,
            environment_of(self._spec, os.environ),
            self._clock,
            self._stop,
        )
        answer = self._child.ask(self._order(needs), self._spec.load_limit_s, self._tell)
        if "facts" not in answer:
            self.close()
            raise BrokenError(answer["outcome"], answer["reason"], answer.get("positions"))
        load_s = (self._clock.now_ns() - began_ns) / 1e9
        return msgspec.convert({**answer["facts"], "load_s": load_s}, EngineFacts)

    def generate(self, ask: Ask) -> Generation:
        """See ``OfflineEngine``."""
        assert self._child is not None
        spec = self._spec
        order = {"do": "generate", **ask._asdict(), "prompt": spec.prompt, "seed": spec.seed}
        try:
            answer = self._child.ask(order, spec.generate_limit_s, self._tell)
        except BrokenError as error:
            return ask.failed(error.outcome, error.reason)
        if answer["outcome"] != "ok":
            return ask.failed(answer["outcome"], answer.get("reason"))
        about = {
            "input_tokens": ask.input_tokens, "batch": ask.batch, "asked_tokens": ask.tokens, "repeat": ask.repeat
        }  # fmt: skip
        return msgspec.convert({**answer, **about}, Generation)

    def close(self) -> None:
        """See ``OfflineEngine``."""
        if self._child is not None:
            self._child.close()
            self._child = None

    def _order(self, needs: tuple[int, ...]) -> dict[str, Any]:
        spec = self._spec
        model = Path(spec.model or "").expanduser()
        names = (
            "engine", "hub", "revision", "device", "devices", "dtype", "attn_implementation", "trust_remote_code",
            "max_model_len", "gpu_memory_utilization", "enforce_eager", "memory_limit",
        )  # fmt: skip
        settings = {name: getattr(spec, name) for name in names}
        return {
            "do": "load",
            "model": str(model.resolve()) if model.is_dir() else spec.model,
            "needs": list(needs),
            "largest_batch": max(spec.batch_size),
            **settings,
        }


def environment_of(spec: SpeedSpec, environ: Mapping[str, str]) -> dict[str, str]:
    """The child's environment: ours, the devices that it may see, and no advice of libraries on the terminal.

    Devices are counted as nvidia-smi counts them; CUDA would begin with the fastest.
    """
    visible = {} if spec.devices is None else dict.fromkeys(_VISIBLE, spec.devices)
    return {_CUDA_ORDER: "PCI_BUS_ID", **environ, **visible, "TOKENIZERS_PARALLELISM": "false"}
