"""A server as an engine without load: each batch is a run of the measuring line, with prompts of exact lengths."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from inferometer.api.launched import FEW_CORES, asked_of
from inferometer.api.measuring import RunResult, run
from inferometer.clock import MonotonicClock
from inferometer.engines.offline import Ask
from inferometer.engines.ready import LINES_FOLLOW
from inferometer.engines.shown import shell_line
from inferometer.engines.start import RunningEngine, Where, start
from inferometer.errors import EndpointError, EngineError, InterruptedEarlyError, LoadgenError
from inferometer.loadgen.affinity import allowed_cores, keeping_off
from inferometer.loadgen.stop import StopSignal
from inferometer.metrics.verdict import Condition
from inferometer.record.speed import EngineFacts, Generation, Outcome
from inferometer.record.store import read_run
from inferometer.record.tables import PointTable
from inferometer.spec import Layer, RunSpec, derive_seed, environment_layer, merge
from inferometer.spec.endpoint_rules import SERVER_TOKENIZER
from inferometer.spec.speed import SpeedSpec
from inferometer.workload.exact import NoSuchLengthError

RUNS = "runs"
_TOO_LONG = re.compile(
    r"context (length|window|size)|maximum (model|input|context)|max_model_len|too long|"
    r"exceeds? (the )?(max|model|available)",
    re.IGNORECASE,
)
_OOM = re.compile(r"out of memory|OutOfMemory|KV cache", re.IGNORECASE)
_WHY_NO_MEMORY = "a client cannot see the server's memory"
# One batch is far too little for these, its times count from the send itself, or the rows say it.
_NOT_OF_A_BATCH = frozenset(
    {
        "errors",
        "samples",
        "steady window",
        "achieved rate",
        "concurrency",
        "send lag",
        "latest send",
        "output length",
    }
)


class EndpointEngine:
    """A server, started here if asked to be.

    Args:
        spec: where it is, and what is asked.
        folder: that the runs lie in.
        stop: ends a run early.
        tell: told how a start goes on.
    """

    shrinks = False

    def __init__(self, spec: SpeedSpec, folder: Path, stop: StopSignal, tell: Callable[[str], None]) -> None:
        self._spec, self._folder, self._stop, self._tell = spec, folder, stop, tell
        self._open = ExitStack()
        self._url, self._model = spec.url, None if _is_folder(spec.model) else spec.model
        self._api_key: str | None = None
        self._answered = False
        self._running: RunningEngine | None = None

    def load(self, needs: tuple[int, ...]) -> EngineFacts:
        """See ``OfflineEngine``; a server that runs already is taken as it is."""
        self.close()
        if self._spec.launch is None:
            return EngineFacts(memory_why=_WHY_NO_MEMORY)
        asked = asked_of(
            merge([Layer({"launch.command": self._spec.launch}, {"launch.command": "speed"})]).spec
        )
        assert asked is not None
        cores = _cores()
        self._tell(f"launching {shell_line(asked.engine.command(asked.settings))}")
        where = Where(
            folder=self._folder, clock=MonotonicClock(), cores=cores, ready_limit_s=self._spec.load_limit_s
        )
        running = self._open.enter_context(start(*asked, where, self._stop, self._tell))
        self._open.enter_context(keeping_off(cores))  # not before: what is started has the cores that we have
        self._running = running
        self._url, self._model, self._api_key = running.url, running.model, running.api_key
        facts = running.facts
        return EngineFacts(
            versions={} if facts.version is None else {facts.engine: facts.version},
            model=facts.model,
            positions=facts.max_model_len,
            load_s=running.ready_s,
            notes=[f"the server was kept on cores {', '.join(map(str, cores))}"] if cores else [],
            memory_why=_WHY_NO_MEMORY,
        )

    def generate(self, ask: Ask) -> Generation:
        """See ``OfflineEngine``.

        Raises:
            EndpointError: the server has not answered a single time.
            EngineError: nor can it any more.
        """
        try:
            result = run(self._run_spec(ask), stop=self._stop)
        except NoSuchLengthError as error:  # that of the others may exist
            return ask.failed(
                "failed", f"{error.message}; the model's own --tokenizer makes one of token ids"
            )
        except (EndpointError, LoadgenError) as error:
            if not self._answered:
                raise self._ended() or error from None
            return self._failed(ask, error.message)
        if self._stop.level:
            raise InterruptedEarlyError("interrupted")
        done = _generation(ask, result, self._folder)
        if done.outcome != "ok" and self._ended() is not None:
            done = msgspec.structs.replace(self._failed(ask, done.reason or ""), run=done.run)
        self._answered = self._answered or done.outcome != "failed"
        return done

    def close(self) -> None:
        """See ``OfflineEngine``; a server that was not started here stays."""
        self._running = None
        self._open.close()

    def _ended(self) -> EngineError | None:
        """Why the server that was started here has ended; None while it runs."""
        return None if self._running is None else self._running.explained()

    def _failed(self, ask: Ask, reason: str) -> Generation:
        """A row that came to nothing; where the server has ended, its log says why."""
        ended = self._ended()
        if ended is None:
            return ask.failed(_outcome(reason), reason)
        why = ended.message.partition("\n")[0].removesuffix(LINES_FOLLOW)  # a row is one line
        return ask.failed("oom" if _OOM.search(why) else "crashed", why)

    def _run_spec(self, ask: Ask) -> RunSpec:
        spec = self._spec
        values: dict[str, Any] = {
            "endpoint.url": self._url,
            "endpoint.backend": "openai-completions",
            "load.max_concurrency": ask.batch,
            "load.num_prompts": ask.batch,
            "load.warmup": 0,
            "load.seed": derive_seed(spec.seed, f"{ask.input_tokens} {ask.batch} {ask.repeat}"),
            "workload.dataset": "random",
            "workload.input_len": ask.input_tokens,
            "workload.output_len": ask.tokens,
            "sampling.ignore_eos": True,
            "sampling.min_tokens": ask.tokens,
            "sampling.temperature": 0.0,
            "output.out": str(self._folder / RUNS),
            "output.ui": "none",
            **_lengths(spec),
        }
        given = {"endpoint.model": self._model, "endpoint.api_key": self._api_key}
        values |= {name: value for name, value in given.items() if value is not None}
        given_there = environment_layer(os.environ).values
        endpoint = {name: value for name, value in given_there.items() if name.startswith("endpoint.")}
        layers = [Layer(values, dict.fromkeys(values, "speed"))]
        return merge([*layers, Layer(endpoint, dict.fromkeys(endpoint, "environment"))]).spec


def _cores() -> tuple[int, ...]:
    """Cores for the server where there are few: all but one, which is the load generator's; else none are set apart."""
    allowed = sorted(allowed_cores())
    return tuple(allowed[:-1]) if 1 < len(allowed) <= FEW_CORES else ()


def _lengths(spec: SpeedSpec) -> dict[str, str]:
    """Prompts of ids of the model's own vocabulary where it is at hand, else of text that the server counts."""
    own = spec.tokenizer or (spec.model if _is_folder(spec.model) else None)
    if own is None or own == SERVER_TOKENIZER:
        return {"workload.tokenizer": SERVER_TOKENIZER}
    return {"workload.tokenizer": own} | ({} if own == "builtin" else {"workload.text": "token-ids"})


def _is_folder(model: str | None) -> bool:
    return model is not None and Path(model).is_dir()


def _generation(ask: Ask, result: RunResult, folder: Path) -> Generation:
    """One batch from the run that was made of it."""
    table = read_run(result.path).measured[0]
    place = str(result.path.relative_to(folder.resolve())) if result.path.is_absolute() else str(result.path)
    bad = [
        str(error)
        for error, status in zip(table.text("error"), table.text("status"), strict=True)
        if status != "ok"
    ]
    if bad or not len(table.number("sent_ns")):
        reason = bad[0] if bad else "no request was sent"
        return msgspec.structs.replace(ask.failed(_outcome(reason), reason), run=place)
    point = table.point
    sent, last = table.number("sent_ns"), table.number("last_token_ns")
    tokens = _counted(table, "output_tokens_server", "output_tokens_client")
    return Generation(
        input_tokens=ask.input_tokens,
        batch=ask.batch,
        asked_tokens=ask.tokens,
        repeat=ask.repeat,
        outcome="ok",
        begin_ns=_at(point.epoch_ns, sent.min()),
        end_ns=_at(point.epoch_ns, last.max()),
        first_token_ns=[_at(point.epoch_ns, at) for at in table.number("first_token_ns")],
        last_token_ns=[_at(point.epoch_ns, at) for at in last],
        output_tokens=tokens,
        seen_input_tokens=_counted(table, "input_tokens_server"),
        doubts=_doubts(
            [*result.summary.verdict.failed, *(c for p in result.summary.points for c in p.verdict.failed)]
        ),
        run=place,
        simulated=result.summary.simulated,
    )


def _at(epoch_ns: int | None, relative_ns: float) -> int:
    return (epoch_ns or 0) + int(relative_ns)


def _counted(table: PointTable, *names: str) -> list[int]:
    """Tokens of each request, from the first column that has them of all; empty when none has."""
    for name in names:
        values = table.number(name)
        if len(values) and not np.isnan(values).any():
            return [int(value) for value in values]
    return []


def _doubts(failed: list[Condition]) -> list[str]:
    names = ["!" * (each.level == "hard") + each.name for each in failed if each.name not in _NOT_OF_A_BATCH]
    return list(dict.fromkeys(names))


def _outcome(reason: str) -> Outcome:
    if _TOO_LONG.search(reason):
        return "too_long"
    return "oom" if _OOM.search(reason) else "failed"
