"""A load point in virtual time: the schedule of a real one against a server that is only reckoned, no clock, no socket.

What takes minutes on a server takes a fraction of a second here, and the truth is known: searches, sweeps and tuners
are tried on it many times over. The rows are those that a run would have recorded.
"""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, get_args, get_type_hints

import numpy as np
from numpy.typing import NDArray

from inferometer.record.tables import Column, PointTable
from inferometer.record.types import ChunkKind, ClientHealth, PointRecord, RequestRecord
from inferometer.schedule import make_schedule
from inferometer.simulator import SimSettings
from inferometer.simulator.cluster.service import Ask, Service
from inferometer.simulator.cluster.serving import serve_point
from inferometer.simulator.instance.simulate import Overheads
from inferometer.spec import LoadPoint, derive_seed

_NS_PER_S = 1_000_000_000
_PROMPT_TOKENS = 128  # where the load point does not say
_ANSWER_TOKENS = 32


class Answer(NamedTuple):
    """One request as it went: times in ns from the load point's epoch."""

    planned_ns: int
    queued_ns: int | None
    sent_ns: int
    tokens_ns: Sequence[int] | NDArray[np.int64]  # when each output token came
    prompt_tokens: int = _PROMPT_TOKENS


@dataclass(frozen=True, slots=True)
class Fifo:
    """A server that answers one request after the other, in the order in which they come (M/D/1 under Poisson load).

    The first token comes when the service of a request ends, ``token_s`` later the next one, which costs it nothing.
    It carries ``servers / service_s`` requests per second.

    Attributes:
        service_s: mean time of service.
        spread: sigma of its log-normal distribution; 0 = all alike.
        servers: how many requests are served at once.
        answer_tokens: output tokens of each answer.
        token_s: time between two of them.
        slower: how much longer service takes at a load point, times; None = never.
    """

    service_s: float
    spread: float = 0.0
    servers: int = 1
    answer_tokens: int = 2
    token_s: float = 0.01
    slower: Callable[[LoadPoint], float] | None = None

    def serve(self, point: LoadPoint) -> PointTable:
        """The rows of one load point."""
        draw = random.Random(derive_seed(point.seed, "service"))
        mean_s = self.service_s * (1.0 if self.slower is None else self.slower(point))
        free = [0] * self.servers  # when each is; a list of equal values is a heap
        ends: list[int] = []
        schedule, answers = make_schedule(point), []
        while not schedule.exhausted():
            wake_ns = schedule.wake_ns()
            if ends and (wake_ns is None or ends[0] <= wake_ns):
                schedule.release(heapq.heappop(ends))
                continue
            planned = schedule.take()
            sent_ns = planned.planned_ns if planned.queued_ns is None else planned.queued_ns
            first_ns = max(free[0], sent_ns) + round(self._service_s(mean_s, draw) * _NS_PER_S)
            heapq.heapreplace(free, first_ns)
            gap_ns = round(self.token_s * _NS_PER_S)
            tokens_ns = range(first_ns, first_ns + self.answer_tokens * gap_ns, gap_ns or 1)[
                : self.answer_tokens
            ]
            heapq.heappush(ends, tokens_ns[-1])
            answers.append(Answer(planned.planned_ns, planned.queued_ns, sent_ns, tokens_ns))
        return table_of(point, answers)

    def _service_s(self, mean_s: float, draw: random.Random) -> float:
        if self.spread == 0.0:
            return mean_s
        return mean_s * math.exp(draw.gauss(-(self.spread**2) / 2.0, self.spread))


@dataclass(frozen=True, slots=True)
class Batching:
    """The project's simulated engine: continuous batching, its steps paid for in virtual time.

    Attributes:
        settings: of the engine.
        answer_spread: answers are between 1 - x and 1 + x times as long as asked, evenly; 0 = as asked.
    """

    settings: SimSettings = field(default_factory=SimSettings)
    answer_spread: float = 0.0

    def serve(self, point: LoadPoint) -> PointTable:
        """The rows of one load point."""
        draw = random.Random(derive_seed(point.seed, "answers"))
        settings = self.settings
        scale = settings.time_scale
        service = Service(
            limits=settings.limits(),
            model=settings.step_model(),
            overheads=Overheads(arrival_s=settings.arrival_s * scale, reply_s=settings.first_token_s * scale),
            seed=settings.seed,
        )
        asks = iter(lambda: self._ask(point, draw), None)
        answers = [
            Answer(one.planned_ns, one.queued_ns, one.sent_ns, one.tokens_ns, one.prompt_tokens)
            for one in serve_point(service, asks, make_schedule(point)).answers
        ]
        return table_of(point, answers)

    def _ask(self, point: LoadPoint, draw: random.Random) -> Ask:
        asked = point.output_len or _ANSWER_TOKENS
        answer = max(1, round(asked * (1.0 + self.answer_spread * draw.uniform(-1.0, 1.0))))
        return Ask(prompt_tokens=point.input_len or _PROMPT_TOKENS, output_tokens=answer)


def table_of(point: LoadPoint, answers: Sequence[Answer]) -> PointTable:
    """Answers, in the order in which they were due, as the columns of a run; the client was flawless."""
    end_ns = max((answer.tokens_ns[-1] for answer in answers), default=0)
    record = PointRecord(
        index=point.index,
        kind="measure" if point.kind == "measure" else "warmup",
        load=point.to_dict(),
        planned_requests=len(answers) if point.duration_s is None else None,
        epoch_ns=0,
        end_ns=end_ns,
        stop_reason="complete" if point.duration_s is None else "duration",
        dispatched=len(answers),
        health=[
            ClientHealth(
                receive_clock="kernel",
                cpu_s=0.0,
                wall_s=end_ns / _NS_PER_S,
                run_queue_wait_s=0.0,
                clock_error_ns=0,
            )
        ],
    )
    return PointTable(point=record, requests=_request_columns(point, answers), chunks=_chunk_columns(answers))


def _request_columns(point: LoadPoint, answers: Sequence[Answer]) -> dict[str, Column]:
    rows = len(answers)
    columns: dict[str, Column] = {
        name: _absent(hint, rows) for name, hint in get_type_hints(RequestRecord).items()
    }
    firsts = np.array([answer.tokens_ns[0] for answer in answers], dtype=float)
    lasts = np.array([answer.tokens_ns[-1] for answer in answers], dtype=float)
    lengths = np.array([len(answer.tokens_ns) for answer in answers], dtype=float)
    prompts = np.array([answer.prompt_tokens for answer in answers], dtype=float)
    queued = [math.nan if answer.queued_ns is None else float(answer.queued_ns) for answer in answers]
    columns |= {
        "point": np.full(rows, float(point.index)),
        "index": np.arange(rows, dtype=float),
        "streamed": np.ones(rows),
        "status": _texts("ok", rows),
        "finish_reason": _texts("length", rows),
        "planned_ns": np.array([answer.planned_ns for answer in answers], dtype=float),
        "queued_ns": np.array(queued),
        "sent_ns": np.array([answer.sent_ns for answer in answers], dtype=float),
        "first_byte_ns": firsts,
        "first_token_ns": firsts,
        "first_answer_ns": firsts,
        "last_token_ns": lasts,
        "end_ns": lasts,
        "cached_tokens": np.zeros(rows),
    }
    for side, counted in (("input", prompts), ("output", lengths)):
        columns |= {f"{side}_tokens_{who}": counted for who in ("target", "server", "client")}
    zeros = (
        "worker",
        "server",
        "turn",
        "turns_left",
        "images",
        "image_bytes",
        "bytes_in",
        "bytes_out",
        "reads",
    )
    return columns | {name: np.zeros(rows) for name in (*zeros, "blurred_chunks")}


def _absent(hint: Any, rows: int) -> Column:
    kinds = set(get_args(hint)) or {hint}
    number = kinds & {int, bool}
    return np.full(rows, np.nan) if number else _texts(None, rows)


def _texts(value: str | None, rows: int) -> NDArray[np.object_]:
    column = np.empty(rows, dtype=object)
    column[:] = value
    return column


def _chunk_columns(answers: Sequence[Answer]) -> dict[str, Column]:
    lengths = [len(answer.tokens_ns) for answer in answers]
    total = sum(lengths)
    came_ns = np.fromiter(
        (at_ns for answer in answers for at_ns in answer.tokens_ns), dtype=float, count=total
    )
    return {
        "request": np.repeat(np.arange(len(answers), dtype=float), lengths),
        "recv_ns": came_ns,
        "tokens": np.ones(total),
        "chars": np.full(total, 4.0),
        "kind": np.full(total, float(ChunkKind.CONTENT)),
        "read": np.concatenate([np.arange(length, dtype=float) for length in lengths])
        if lengths
        else np.empty(0),
        "lag_ns": np.zeros(total),
    }
