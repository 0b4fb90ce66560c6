"""The simulated server's engine room: what the desk accepts is computed here, step by step."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence as Several

from inferometer.clock import Clock
from inferometer.simulator.instance.limits import Job
from inferometer.simulator.instance.sequence import Sequence
from inferometer.simulator.instance.steady import SteadyInstance
from inferometer.simulator.server.answers import Answer
from inferometer.simulator.server.desk import Cancellable, Desk
from inferometer.simulator.server.exposition import ServerMetrics
from inferometer.simulator.server.http11 import HttpConnection, HttpRequest
from inferometer.simulator.server.pacing import Alarm, Delivery, StepLoop, Witness
from inferometer.simulator.server.settings import SimSettings

_NS_PER_S = 1e9


class SimulatorApp:
    """Application of the simulated server; one engine behind all APIs.

    Args:
        settings: model, speed and limits.
        clock: the axis of arrivals and deadlines.
        alarm: wakes the step loop.
        call_later: calls a function after a number of seconds, for the fault ``slow_first_byte``.
        witness: sees every step, for a log of them.
    """

    def __init__(
        self,
        settings: SimSettings,
        clock: Clock,
        alarm: Alarm,
        call_later: Callable[[float, Callable[[], None]], Cancellable],
        witness: Witness | None = None,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._metrics = ServerMetrics(settings)
        self._instance = SteadyInstance(settings.limits(), settings.step_model(), seed=settings.seed)
        self._arrival_ns = round(settings.arrival_s * settings.time_scale * _NS_PER_S)
        reply_ns = round(settings.first_token_s * settings.time_scale * _NS_PER_S)
        self._steps = StepLoop(
            self._instance, clock, alarm, self._deliver, reply_ns=reply_ns, witness=witness
        )
        self._desk = Desk(settings, self, call_later)
        self._received_ns: int | None = None  # when the request came that is being read
        self._answers: dict[Sequence, Answer] = {}
        self._together: dict[Answer, list[Sequence]] = {}  # sequences of the request of each answer

    def handle(self, request: HttpRequest, connection: HttpConnection) -> None:
        """Answer ``request``, at once or token by token.

        It has arrived now: what reading it costs this server is no part of the simulated engine.
        """
        self._received_ns = self._clock.now_ns()
        try:
            self._desk.handle(request, connection)
        finally:
            self._received_ns = None

    def refuse(self, status: int, message: str, connection: HttpConnection) -> None:
        """Answer what is no HTTP request."""
        self._desk.refuse(status, message, connection)

    def submit(self, answers: Several[Answer], connection: HttpConnection) -> None:
        """See ``EngineRoom``: one sequence for each answer to a request."""
        sequences: list[Sequence] = []
        arrival_ns = self._clock.now_ns() if self._received_ns is None else self._received_ns
        for answer in answers:
            if answer.begin():  # a fault ended the request
                return
        for answer in answers:
            answer.arrival_ns = arrival_ns
            request = answer.subject.request
            names = request.blocks if self._settings.prefix_cache else None
            job = Job(
                prompt_tokens=request.prompt_tokens,
                output_tokens=answer.subject.output_tokens,
                priority=request.priority,
                names=None if names is None else tuple(names),
            )
            sequence = self._instance.add(job, arrival_ns + self._arrival_ns)
            self._answers[sequence] = answer
            sequences.append(sequence)
            self._together[answer] = sequences
        self._metrics.params_n.observe(len(answers))
        connection.on_lost = lambda: self._drop(sequences)
        self._steps.wake()

    def exposition(self) -> bytes:
        """The text of ``/metrics``."""
        return self._metrics.render(self._instance)

    def forget_prefixes(self) -> bool:
        """Empty the prefix cache; False, and nothing done, while sequences hold blocks, as vLLM has it."""
        return self._instance.forget_prefixes()

    def load(self) -> int:
        """Requests that are not answered yet."""
        return len({id(sequences) for sequences in self._together.values()})

    def _drop(self, sequences: list[Sequence]) -> None:
        """The client is gone, or a fault ended the answer: forget what is left of the request."""
        for sequence in sequences:
            answer = self._answers.pop(sequence, None)
            if answer is None:
                continue
            del self._together[answer]
            self._instance.cancel(sequence)
            self._metrics.finished["abort"] += 1

    def _deliver(self, delivery: Delivery) -> None:
        """Send the tokens of a step. This runs for every token that is made: it is kept short."""
        metrics, answers = self._metrics, self._answers
        now_ns = self._clock.now_ns()
        metrics.stepped(delivery.step, (now_ns - delivery.due_ns) / _NS_PER_S)
        finished = {*delivery.step.finished}
        gaps: dict[int, int] = {}  # since when, and how often: most sequences had their last token together
        for sequence, made in zip(delivery.step.emitted, delivery.made, strict=True):
            answer = answers.get(sequence)
            if answer is None:  # cancelled while the step ran
                continue
            before_ns = answer.last_token_ns
            if before_ns is None:
                answer.cached_tokens = sequence.cached
                metrics.begun(sequence, (now_ns - answer.arrival_ns) / _NS_PER_S)
            else:
                gaps[before_ns] = gaps.get(before_ns, 0) + 1
            answer.last_token_ns = now_ns
            metrics.generation_tokens += made
            if sequence in finished:
                self._finish(sequence, answer, made, now_ns)
            elif answer.advance(finished=False, tokens=made):
                self._drop(self._together[answer])
        for before_ns, count in gaps.items():
            metrics.itl.observe((now_ns - before_ns) / _NS_PER_S, count)

    def _finish(self, sequence: Sequence, answer: Answer, made: int, now_ns: int) -> None:
        """Send the last tokens of an answer."""
        del self._answers[sequence]
        together = self._together.pop(answer)
        broken = answer.advance(finished=True, tokens=made)
        if broken:
            self._drop(together)
        reason = "abort" if broken else answer.subject.finish_reason
        asked = answer.subject.request.max_tokens
        self._metrics.ended(sequence, reason, (now_ns - answer.arrival_ns) / _NS_PER_S, asked)
