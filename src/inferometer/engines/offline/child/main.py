"""Orders come as JSON lines on standard input, answers go as JSON lines to what standard output was at the start.

Everything else that is written there belongs to the libraries, and goes to the log. ``load`` answers with facts,
``generate`` with times; what goes wrong is an answer too (``outcome``, ``reason``), but for a death of the process.
"""

from __future__ import annotations

import ctypes
import json
import os
import platform
import random
import signal
import sys
from collections.abc import Callable
from typing import Any

from inferometer.engines.offline.child import memory, model, trouble

_PR_SET_PDEATHSIG = 1

Answer = dict[str, Any]


def main() -> int:
    """Carry out orders until standard input ends."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    _die_with_parent()
    desk = _Desk(lambda answer: _write(answers, answer))
    for line in sys.stdin:
        order = json.loads(line)
        try:
            answer = desk.carry_out(order)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # noqa: BLE001 - whatever a library throws is a result
            answer = trouble.explained(error)
        _write(answers, answer)
    return 0


def _write(answers: Any, answer: Answer) -> None:
    answers.write(json.dumps(answer) + "\n")
    answers.flush()


class _Desk:
    """Carries out orders, one after the other."""

    def __init__(self, tell: Callable[[Answer], None]) -> None:
        self._tell = tell
        self._engine: Any = None
        self._prompt_token: int | None = None
        self._vocabulary = 0

    def carry_out(self, order: Answer) -> Answer:
        """The answer to an order; raises whatever the engine raises."""
        if order["do"] == "load":
            return self._load(order)
        if order["do"] == "generate":
            return self._generate(order)
        raise ValueError(f"unknown order {order['do']!r}")

    def _load(self, order: Answer) -> Answer:
        memory.limit(order.get("memory_limit"))
        folder = model.folder_of(order, lambda text: self._tell({"progress": text}))
        about = model.read(folder, order)
        positions = order.get("max_model_len") or about.positions
        fitting = [need for need in order["needs"] if positions is None or need <= positions]
        if not fitting:
            return {
                "outcome": "too_long",
                "reason": f"the model has {positions} positions",
                "positions": positions,
            }
        self._prompt_token, self._vocabulary = about.prompt_token, about.vocabulary
        self._engine = _open(order, folder, max(fitting))
        facts = {"model": folder, "positions": positions, "quantization": about.quantization}
        own = self._engine.facts()
        own["versions"] = {**own["versions"], "python": platform.python_version()}
        return {"facts": {**facts, "prompt_token": about.prompt_token, **own}}

    def _generate(self, order: Answer) -> Answer:
        prompts = [self._ids(order, place) for place in range(order["batch"])]
        return {"outcome": "ok", **self._engine.generate(prompts, order["tokens"])}

    def _ids(self, order: Answer, place: int) -> list[int]:
        """A prompt of exactly the length asked for; one token repeated, or ids drawn anew for each generation."""
        count = order["input_tokens"]
        if order["prompt"] == "repeated" and self._prompt_token is not None:
            return [self._prompt_token] * count
        draw = random.Random(f"{order['seed']} {order['repeat']} {place}")  # noqa: S311 - no secret
        return [draw.randrange(self._vocabulary) for _ in range(count)]


def _open(order: Answer, folder: str, longest: int) -> Any:
    """The engine with the model in it."""
    if order["engine"] == "vllm":
        from inferometer.engines.offline.child.vllm_engine import VLLMEngine

        return VLLMEngine(folder, order, longest)
    from inferometer.engines.offline.child.transformers_engine import TransformersEngine

    return TransformersEngine(folder, order)


def _die_with_parent() -> None:
    """On Linux the kernel ends this process with its parent, in the middle of a generation too."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
