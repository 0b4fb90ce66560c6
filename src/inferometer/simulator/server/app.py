"""The simulated server's paths, and the traffic between connections and engine."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from typing import Protocol

import msgspec

from inferometer.clock import Clock, utc_now
from inferometer.simulator.engine import Engine, Sequence, StepResult
from inferometer.simulator.server.answers import JSON, Answer, EventStream, Subject, WholeAnswer
from inferometer.simulator.server.exposition import CONTENT_TYPE, ServerMetrics
from inferometer.simulator.server.faults import Fault
from inferometer.simulator.server.generation import ApiError, Generation, GenerationParser, error_json
from inferometer.simulator.server.http11 import HttpConnection, HttpRequest
from inferometer.simulator.server.pacing import Alarm, StepLoop
from inferometer.simulator.server.settings import SimSettings
from inferometer.simulator.server.text import Voice, uniform
from inferometer.version import __version__
from inferometer.workload.builtin import WORDS, BuiltinTokenizer

PAGE = b"<!doctype html><html><head><title>Error</title></head><body><h1>Bad gateway</h1></body></html>\n"
_HTML = "text/html; charset=utf-8"


class Cancellable(Protocol):
    """A call that is to come."""

    def cancel(self) -> None:
        """Let it not come."""
        ...


class SimulatorApp:
    """Application of the simulated server; one engine behind OpenAI's API.

    Args:
        settings: model, speed and limits.
        clock: the axis of arrivals and deadlines.
        alarm: wakes the step loop.
        call_later: calls a function after a number of seconds, for the fault ``slow_first_byte``.
    """

    def __init__(
        self,
        settings: SimSettings,
        clock: Clock,
        alarm: Alarm,
        call_later: Callable[[float, Callable[[], None]], Cancellable],
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._call_later = call_later
        self._created_s = int(utc_now().timestamp())
        self._metrics = ServerMetrics(settings.model, settings.speculative_tokens)
        self._engine = Engine(settings)
        self._steps = StepLoop(self._engine, clock, alarm, self._deliver)
        self._parser = GenerationParser(settings, BuiltinTokenizer())
        self._voice = Voice(settings, WORDS)
        self._answers: dict[Sequence, Answer] = {}
        self._accepted = 0
        self._routes: dict[str, tuple[str, Callable[[HttpRequest, HttpConnection], None]]] = {
            "/v1/completions": ("POST", lambda request, peer: self._generate(request, peer, chat=False)),
            "/v1/chat/completions": ("POST", lambda request, peer: self._generate(request, peer, chat=True)),
            "/v1/models": ("GET", self._models),
            "/health": ("GET", lambda _, peer: peer.reply(200, b"", JSON)),
            "/version": ("GET", self._version),
            "/metrics": ("GET", self._exposition),
            "/reset_prefix_cache": ("POST", self._reset_cache),  # as vLLM names it
            "/flush_cache": ("POST", self._reset_cache),  # as SGLang names it
        }

    def handle(self, request: HttpRequest, connection: HttpConnection) -> None:
        """Answer ``request``, at once or token by token."""
        try:
            method, answer = self._route(request)
            if request.method != method:
                body = error_json(405, f"{request.method} {request.path}: this path takes {method} only")
                connection.reply(405, body, JSON, {"allow": method})
                return
            answer(request, connection)
        except ApiError as error:
            headers = {"www-authenticate": "Bearer"} if error.status == 401 else None
            body = error_json(error.status, error.message, error.param)
            connection.reply(error.status, body, JSON, headers)

    def refuse(self, status: int, message: str, connection: HttpConnection) -> None:
        """Answer what is no HTTP request."""
        connection.reply(status, error_json(status, message), JSON)

    def _route(self, request: HttpRequest) -> tuple[str, Callable[[HttpRequest, HttpConnection], None]]:
        if request.path not in self._routes:
            raise ApiError(404, f"no such path: {request.path}; known: {', '.join(sorted(self._routes))}")
        key = self._settings.api_key
        if key is not None and request.path.startswith("/v1/"):
            given = request.headers.get(b"authorization", b"")
            if not hmac.compare_digest(given, b"Bearer " + key.encode()):
                raise ApiError(401, "the API key is missing or wrong: send 'Authorization: Bearer KEY'")
        return self._routes[request.path]

    def _models(self, _: HttpRequest, connection: HttpConnection) -> None:
        models = [
            {
                "id": name,
                "object": "model",
                "created": self._created_s,
                "owned_by": "inferometer-simulator",
                "root": self._settings.model,
                "parent": None if name == self._settings.model else self._settings.model,
                "max_model_len": self._settings.max_model_len,
            }
            for name in self._settings.models
        ]
        connection.reply(200, msgspec.json.encode({"object": "list", "data": models}), JSON)

    def _version(self, _: HttpRequest, connection: HttpConnection) -> None:
        body = {"version": __version__, "engine": "inferometer-simulator"}
        connection.reply(200, msgspec.json.encode(body), JSON)

    def _exposition(self, _: HttpRequest, connection: HttpConnection) -> None:
        body = self._metrics.render(self._engine, self._settings.num_blocks)
        connection.reply(200, body, CONTENT_TYPE)

    def _reset_cache(self, _: HttpRequest, connection: HttpConnection) -> None:
        self._engine.prefix_cache.clear()
        connection.reply(200, b"", JSON)

    def _generate(self, http: HttpRequest, connection: HttpConnection, *, chat: bool) -> None:
        request = self._parser.parse(http.body, chat=chat)
        self._accepted += 1
        fault = self._fault_for(request)
        request = msgspec.structs.replace(request, fault=fault)
        if request.stream and http.version != "1.1":
            raise ApiError(400, f"a stream needs HTTP/1.1, the request is HTTP/{http.version}", "stream")
        if fault is not None and self._spoiled(fault, connection):
            return
        answer, output_tokens = self._answer(request, connection)
        if fault is not None and fault.kind == "slow_first_byte":
            later = self._call_later(fault.delay_s, lambda: self._submit(answer, output_tokens, connection))
            connection.on_lost = later.cancel
        else:
            self._submit(answer, output_tokens, connection)

    def _fault_for(self, request: Generation) -> Fault | None:
        """The request's own fault, else the server's, for the share of requests that it hits."""
        fault = request.fault or self._settings.fault
        if fault is None:
            return None
        drawn, _ = uniform(self._settings.seed, b"fault", str(self._accepted).encode())
        return fault if drawn < fault.share else None

    def _spoiled(self, fault: Fault, connection: HttpConnection) -> bool:
        """Whether ``fault`` keeps the request from the engine; the answer it prescribes is then given."""
        if fault.kind == "html":
            connection.reply(200, PAGE, _HTML)
        elif fault.kind == "status" and fault.html:
            connection.reply(fault.status, PAGE, _HTML)
        elif fault.kind == "status" and fault.body is not None:
            connection.reply(fault.status, fault.body.encode(), "text/plain; charset=utf-8")
        elif fault.kind == "status":
            message = f"status {fault.status} on purpose (inferometer_fault)"
            connection.reply(fault.status, error_json(fault.status, message), JSON)
        return fault.kind in ("html", "status", "hang")

    def _answer(self, request: Generation, connection: HttpConnection) -> tuple[Answer, int]:
        """The answer to ``request`` and its length in tokens."""
        output_tokens, reason = request.ending(self._voice.natural_length(request.prompt))
        subject = Subject(
            request=request,
            identity=f"{'chatcmpl' if request.chat else 'cmpl'}-sim-{self._accepted:08x}",
            created_s=int(utc_now().timestamp()),
            model=request.model or self._settings.model,
            finish_reason=reason,
            start=self._voice.start(request.prompt),
        )
        fault = request.fault
        if request.stream and not (fault is not None and fault.kind == "not_stream"):
            return EventStream(
                subject, self._voice, connection, self._settings.stream_interval
            ), output_tokens
        return WholeAnswer(subject, self._voice, connection), output_tokens

    def _submit(self, answer: Answer, output_tokens: int, connection: HttpConnection) -> None:
        if answer.begin():
            return
        answer.arrival_ns = self._clock.now_ns()
        request = answer.subject.request
        sequence = self._engine.add(
            request.prompt_tokens, output_tokens, answer.arrival_ns / 1e9, self._names(request)
        )
        self._answers[sequence] = answer
        connection.on_lost = lambda: self._drop(sequence)
        self._steps.wake()

    def _names(self, request: Generation) -> list[int] | None:
        return request.blocks if self._settings.prefix_cache else None

    def _drop(self, sequence: Sequence) -> None:
        """The client is gone, or a fault ended the answer."""
        del self._answers[sequence]
        self._engine.cancel(sequence)
        self._metrics.finished["abort"] += 1

    def _deliver(self, result: StepResult, due_ns: int) -> None:
        metrics = self._metrics
        now_ns = self._clock.now_ns()
        metrics.step_lag.observe((now_ns - due_ns) / 1e9)
        metrics.preemptions += len(result.preempted)
        metrics.drafted(result.checked)
        for sequence in result.emitted:
            answer = self._answers.get(sequence)
            if answer is None:  # cancelled while the step ran
                continue
            if answer.last_token_ns is None:
                answer.cached_tokens = sequence.cached
                metrics.prompt_tokens += sequence.prompt_tokens
                metrics.queried(sequence)
                metrics.ttft.observe((now_ns - answer.arrival_ns) / 1e9)
            else:
                metrics.itl.observe((now_ns - answer.last_token_ns) / 1e9)
            answer.last_token_ns = now_ns
            metrics.generation_tokens += sequence.made
            if not sequence.finished:
                if answer.advance(finished=False, tokens=sequence.made):
                    self._drop(sequence)
                continue
            del self._answers[sequence]
            broken = answer.advance(finished=True, tokens=sequence.made)
            reason = "abort" if broken else answer.subject.finish_reason
            metrics.finished[reason] += 1
            metrics.e2e.observe((now_ns - answer.arrival_ns) / 1e9)
