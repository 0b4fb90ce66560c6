"""transformers in this process: ``generate`` with a streamer that takes the time of every step."""

from __future__ import annotations

import time
from typing import Any

from inferometer.engines.offline.child import memory
from inferometer.engines.offline.child.model import needed
from inferometer.engines.offline.child.trouble import ForUserError

_BACKENDS = ("cuda", "npu", "xpu")
_DTYPES = {"bfloat16": "BF16", "float16": "FP16", "float32": "FP32"}


class _Clock:
    """A streamer: ``generate`` hands it the prompt, then the token of each sequence as soon as the host has it."""

    def __init__(self) -> None:
        self.at_ns: list[int] = []

    def put(self, value: Any) -> None:
        """Take the time."""
        self.at_ns.append(time.monotonic_ns())

    def end(self) -> None:
        """Nothing to do."""


class TransformersEngine:
    """A causal language model of transformers.

    Args:
        folder: of the model.
        order: settings by name.
    """

    def __init__(self, folder: str, order: dict[str, Any]) -> None:
        self._torch = needed("torch", "local")
        self._library = needed("transformers", "local")
        self._device = self._chosen(order["device"])
        self._backend = getattr(self._torch, self._device.split(":")[0]) if self._is_device() else None
        several = self._backend is not None and ":" not in self._device and self._backend.device_count() > 1
        model = self._opened(folder, order, several)
        self._model = (model if several else model.to(self._device)).eval()
        number = int(self._device.partition(":")[2] or 0)
        self._places = (
            []
            if self._backend is None
            else list(range(self._backend.device_count()))
            if several
            else [number]
        )
        self._memory = self._meter()

    def _chosen(self, asked: str) -> str:
        """The device: as asked, else the first that is there."""
        kind = asked.split(":")[0]
        if kind == "npu" or asked == "auto":
            self._load_npu(required=kind == "npu")
        if asked != "auto":
            if kind != "cpu" and not self._available(kind):
                raise ForUserError(
                    f"--device {asked}: torch {self._torch.__version__} sees no {kind} device",
                    "--device auto",
                )
            return asked
        return next((kind for kind in (*_BACKENDS, "mps") if self._available(kind)), "cpu")

    def _load_npu(self, *, required: bool) -> None:
        """Ascend's devices come with a library of their own."""
        try:
            needed("torch_npu")
        except ForUserError:
            if required:
                raise

    def _available(self, kind: str) -> bool:
        place = getattr(self._torch, kind, None) if kind != "mps" else self._torch.backends.mps
        return place is not None and hasattr(place, "is_available") and bool(place.is_available())

    def _is_device(self) -> bool:
        return self._device.split(":")[0] in _BACKENDS

    def _opened(self, folder: str, order: dict[str, Any], several: bool) -> Any:
        dtype = "auto" if order["dtype"] == "auto" else getattr(self._torch, order["dtype"], None)
        if dtype is None:
            raise ForUserError(f"--dtype {order['dtype']}: torch has no such type", "--dtype bfloat16")
        version = tuple(int(part) for part in self._library.__version__.split(".")[:2])
        given: dict[str, Any] = {"dtype" if version >= (4, 56) else "torch_dtype": dtype}
        if order.get("attn_implementation"):
            given["attn_implementation"] = order["attn_implementation"]
        if several:
            given["device_map"] = "auto"
        try:
            return self._library.AutoModelForCausalLM.from_pretrained(
                folder, trust_remote_code=order["trust_remote_code"], **given
            )
        except ImportError as error:  # flash_attn, accelerate, a quantizer
            first = (str(error).splitlines() or [""])[0]
            raise ForUserError(
                f"transformers cannot load it so: {first}", "install what is missing, or leave the flag out"
            ) from error

    def _meter(self) -> Any:
        if self._backend is not None:
            return memory.DeviceMemory(self._backend)
        return memory.ProcessMemory() if self._device == "cpu" else memory.NoMemory()

    def facts(self) -> dict[str, Any]:
        """What it is and what it computes on."""
        dtype = str(next(self._model.parameters()).dtype).removeprefix("torch.")
        config = self._model.config
        names = [self._backend.get_device_name(place) for place in self._places] if self._backend else []
        notes = [f"CPU: {self._torch.get_num_threads()} threads"] if self._device == "cpu" else []
        return {
            "versions": {"transformers": self._library.__version__, "torch": self._torch.__version__},
            "device": self._device,
            "device_names": names,
            "device_count": len(self._places),
            "dtype": _DTYPES.get(dtype, dtype.upper()),
            "attn_implementation": getattr(config, "_attn_implementation", None),
            "notes": notes,
        }

    def generate(self, prompts: list[list[int]], tokens: int) -> dict[str, Any]:
        """Generate exactly ``tokens`` of each prompt, greedily, and take the times."""
        torch = self._torch
        ids = torch.tensor(prompts, device=self._model.device)
        clock = _Clock()
        self._memory.reset()
        self._finish()
        waited_s, unix_ns = memory.core_wait_s(), time.clock_gettime_ns(time.CLOCK_REALTIME)
        begin_ns = time.monotonic_ns()
        with torch.inference_mode():
            made = self._model.generate(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                min_new_tokens=tokens,
                max_new_tokens=tokens,
                do_sample=False,
                temperature=None,
                top_p=None,
                top_k=None,
                num_beams=1,
                use_cache=True,
                streamer=clock,
            )
        self._finish()
        end_ns, waits_s = time.monotonic_ns(), memory.core_wait_s()
        steps = clock.at_ns[1:]  # the first is the prompt
        count = len(prompts)
        return {
            "begin_ns": begin_ns,
            "end_ns": end_ns,
            "unix_begin_ns": unix_ns,
            "unix_end_ns": time.clock_gettime_ns(time.CLOCK_REALTIME),
            "first_token_ns": steps[:1] * count,
            "last_token_ns": steps[-1:] * count,
            "output_tokens": [int(made.shape[1]) - len(prompts[0])] * count,
            "step_ns": [at_ns - begin_ns for at_ns in steps],
            "core_wait_s": None if waited_s is None or waits_s is None else waits_s - waited_s,
            **self._memory.peak(),
        }

    def _finish(self) -> None:
        """Wait until the devices have done what they were given."""
        if self._backend is not None:
            for place in range(self._backend.device_count()):
                self._backend.synchronize(place)
        elif self._device == "mps":
            self._torch.mps.synchronize()
