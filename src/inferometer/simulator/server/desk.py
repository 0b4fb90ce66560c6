"""The front of the simulated server: which path is asked, what the request wants, and what is refused."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol
from urllib.parse import unquote

import msgspec

from inferometer.clock import utc_now
from inferometer.simulator.server.answers import Answer, EventStream, Reply, WholeAnswer
from inferometer.simulator.server.dialects.pages import Pages
from inferometer.simulator.server.dialects.table import Dialects, Found, split_engine
from inferometer.simulator.server.dialects.tokens import TokenPages
from inferometer.simulator.server.exposition import CONTENT_TYPE
from inferometer.simulator.server.faults import Fault
from inferometer.simulator.server.generation import ApiError, Generation, Intake
from inferometer.simulator.server.http11 import HttpConnection, HttpRequest
from inferometer.simulator.server.settings import SimSettings
from inferometer.simulator.server.text import Voice, uniform
from inferometer.simulator.server.vocabulary import Vocabulary
from inferometer.simulator.server.wire import JSON, Asked, Form, Subject, Wire
from inferometer.workload.builtin import WORDS

PAGE = b"<!doctype html><html><head><title>Error</title></head><body><h1>Bad gateway</h1></body></html>\n"
_HTML = "text/html; charset=utf-8"
_PLAIN = "text/plain; charset=utf-8"
_GUARDED = ("/v1/", "/v2/", "/api/")  # by the API key; vLLM guards what makes tokens, and not its own pages
_FLUSHED = (
    b"Cache flushed.\nPlease check backend logs for more details.\n"  # as SGLang answers, with the rest below
)
_NOT_FLUSHED = b"(When there are running or waiting requests, the operation will not be performed.)\n"


class Cancellable(Protocol):
    """A call that is to come."""

    def cancel(self) -> None:
        """Let it not come."""
        ...


class EngineRoom(Protocol):
    """What stands behind the desk."""

    def submit(self, answers: Sequence[Answer], connection: HttpConnection) -> None:
        """Have the tokens of all answers to one request made; forget them when the connection is lost."""
        ...

    def exposition(self) -> bytes:
        """The text of ``/metrics``."""
        ...

    def forget_prefixes(self) -> bool:
        """Empty the prefix cache; False, and nothing done, while sequences hold blocks."""
        ...

    def load(self) -> int:
        """Requests that are not answered yet."""
        ...


class _Page(NamedTuple):
    """A path that is answered at once."""

    methods: tuple[str, ...]
    answer: Callable[[HttpRequest, HttpConnection], None]


_GET, _POST = ("GET", "HEAD"), ("POST",)


class Desk:
    """Takes requests and gives them to the engine, or answers them at once.

    Args:
        settings: model, limits, faults.
        room: where tokens are made.
        call_later: calls a function after a number of seconds, for the fault ``slow_first_byte``.
    """

    def __init__(
        self,
        settings: SimSettings,
        room: EngineRoom,
        call_later: Callable[[float, Callable[[], None]], Cancellable],
    ) -> None:
        self._settings = settings
        self._room = room
        self._call_later = call_later
        vocabulary = Vocabulary()
        self._intake = Intake(settings, vocabulary)
        self._dialects = Dialects(vocabulary)
        self._told = Pages(settings, int(utc_now().timestamp()))
        self._tokens = TokenPages(vocabulary, self._intake)
        self._voice = Voice(settings, WORDS)
        self._accepted = 0
        self._pages = self._all_pages()

    def handle(self, request: HttpRequest, connection: HttpConnection) -> None:
        """Answer ``request``, at once or token by token."""
        engine, path = split_engine(request.path)
        found = self._dialects.find(engine, path, request)
        wire: Wire = self._dialects.openai if found is None else found.wire
        try:
            self._check_key(request, path)
            page = None if found else self._pages.get(path) or self._model_page(path)
            if page is None and found is None:
                known = ", ".join(sorted({*self._pages, *self._dialects.paths}))
                raise ApiError(404, f"no such path: {request.path}; known: {known}")
            methods = page.methods if page is not None else _POST
            if request.method not in methods:
                status, body = wire.error(
                    405, f"{request.method} {request.path}: this path takes {methods[0]} only", None
                )
                connection.reply(status, body, JSON, {"allow": ", ".join(methods)})
            elif page is not None:
                page.answer(request, connection)
            elif found is not None:
                self._generate(found, request, connection)
        except ApiError as error:
            headers = {"www-authenticate": "Bearer"} if error.status == 401 else None
            status, body = wire.error(error.status, error.message, error.param)
            connection.reply(status, body, JSON, headers)

    def refuse(self, status: int, message: str, connection: HttpConnection) -> None:
        """Answer what is no HTTP request."""
        status, body = self._dialects.openai.error(status, message, None)
        connection.reply(status, body, JSON)

    def _check_key(self, request: HttpRequest, path: str) -> None:
        key = self._settings.api_key
        if key is None or not path.startswith(_GUARDED):
            return
        given = request.headers.get(b"authorization") or b"Bearer " + request.headers.get(b"x-api-key", b"")
        if not hmac.compare_digest(given, b"Bearer " + key.encode()):
            raise ApiError(401, "the API key is missing or wrong: send 'Authorization: Bearer KEY'")

    # Pages that are answered at once.

    def _all_pages(self) -> dict[str, _Page]:
        told, tokens, room = self._told, self._tokens, self._room
        empty = _Page(_GET, lambda _, peer: peer.reply(200, b"", JSON))
        return {
            "/health": empty,
            "/ping": _Page((*_GET, "POST"), empty.answer),  # vLLM, for SageMaker
            "/health_generate": empty,  # SGLang
            "/v2/health/live": empty,  # Triton, MindIE
            "/v2/health/ready": empty,
            "/metrics": _Page(_GET, lambda _, peer: peer.reply(200, room.exposition(), CONTENT_TYPE)),
            "/version": _json(lambda _: told.version()),
            "/v1/models": _json(lambda _: told.models()),
            "/load": _json(lambda _: {"server_load": room.load()}),  # vLLM
            "/server_info": _json(lambda _: told.server_info()),  # vLLM
            "/get_model_info": _json(lambda _: told.sglang_model()),
            "/get_server_info": _json(lambda _: told.sglang_server(room.load())),
            "/info": _json(lambda _: told.tgi_info()),
            "/tokenize": _raw(lambda request: tokens.tokenize(request.body)),
            "/detokenize": _raw(lambda request: tokens.detokenize(request.body)),
            "/v1/encode": _raw(lambda request: tokens.encode(request.body)),
            "/reset_prefix_cache": _Page(_POST, self._reset_vllm),
            "/flush_cache": _Page((*_POST, *_GET), self._flush_sglang),
        }

    def _model_page(self, path: str) -> _Page | None:
        """The page of one model."""
        for before, after, tell in (
            ("/v1/models/", "", self._told.model),
            ("/v2/models/", "/ready", self._told.triton_model),
            ("/v2/models/", "", self._told.triton_model),
        ):
            if path.startswith(before) and path.endswith(after) and len(path) > len(before) + len(after):
                name = unquote(path[len(before) : len(path) - len(after)])
                return _json(lambda _, tell=tell, name=name: tell(name))  # type: ignore[misc]
        return None

    def _reset_vllm(self, _: HttpRequest, connection: HttpConnection) -> None:
        body = msgspec.json.encode({"success": self._room.forget_prefixes()})
        connection.reply(200, body, JSON)

    def _flush_sglang(self, _: HttpRequest, connection: HttpConnection) -> None:
        done = self._room.forget_prefixes()
        connection.reply(200 if done else 400, _FLUSHED + _NOT_FLUSHED, _PLAIN)

    # Requests for tokens.

    def _generate(self, found: Found, http: HttpRequest, connection: HttpConnection) -> None:
        asked = found.wire.read(http.body, self._intake, found.model)
        self._accepted += 1
        first = asked.generations[0]
        fault = self._fault_for(first)
        if first.stream and http.version != "1.1":
            raise ApiError(400, f"a stream needs HTTP/1.1, the request is HTTP/{http.version}", "stream")
        if fault is not None and self._spoiled(fault, found.wire, connection):
            return
        answers = self._answers(asked, fault, found.wire, connection)
        if fault is not None and fault.kind == "slow_first_byte":
            later = self._call_later(fault.delay_s, lambda: self._room.submit(answers, connection))
            connection.on_lost = later.cancel
        else:
            self._room.submit(answers, connection)

    def _fault_for(self, request: Generation) -> Fault | None:
        """The request's own fault, else the server's, for the share of requests that it hits."""
        fault = request.fault or self._settings.fault
        if fault is None:
            return None
        drawn, _ = uniform(self._settings.seed, b"fault", str(self._accepted).encode())
        return fault if drawn < fault.share else None

    def _spoiled(self, fault: Fault, wire: Wire, connection: HttpConnection) -> bool:
        """Whether ``fault`` keeps the request from the engine; the answer it prescribes is then given."""
        if fault.kind == "html":
            connection.reply(200, PAGE, _HTML)
        elif fault.kind == "status" and fault.html:
            connection.reply(fault.status, PAGE, _HTML)
        elif fault.kind == "status" and fault.body is not None:
            connection.reply(fault.status, fault.body.encode(), _PLAIN)
        elif fault.kind == "status":
            message = f"status {fault.status} on purpose (inferometer_fault)"
            _, body = wire.error(fault.status, message, None)
            connection.reply(fault.status, body, JSON)
        return fault.kind in ("html", "status", "hang")

    def _answers(
        self, asked: Asked, fault: Fault | None, wire: Wire, connection: HttpConnection
    ) -> list[Answer]:
        """The answers to one request."""
        created_s = int(utc_now().timestamp())
        forms = [self._form(asked, request, fault, created_s) for request in asked.generations]
        reply = Reply(forms, wire, connection, fault)
        streams = asked.generations[0].stream and not (fault is not None and fault.kind == "not_stream")
        if streams:
            return [EventStream(form, reply, self._settings.stream_interval) for form in forms]
        return [WholeAnswer(form, reply) for form in forms]

    def _form(self, asked: Asked, request: Generation, fault: Fault | None, created_s: int) -> Form:
        start = self._voice.start(request.prompt, request.index)
        ending = self._voice.ending(request, start)
        subject = Subject(
            request=msgspec.structs.replace(request, fault=fault),
            number=self._accepted,
            created_s=created_s,
            model=request.model or self._settings.model,
            finish_reason=ending.reason,
            stopped_by=ending.stopped_by,
            start=start,
            output_tokens=ending.tokens,
            text_end=ending.text_end,
        )
        return asked.form(subject, self._voice)


def _json(tell: Callable[[HttpRequest], object]) -> _Page:
    """A page of JSON."""
    return _Page(_GET, lambda request, peer: peer.reply(200, msgspec.json.encode(tell(request)), JSON))


def _raw(tell: Callable[[HttpRequest], bytes]) -> _Page:
    """A question whose answer is JSON already."""
    return _Page(_POST, lambda request, peer: peer.reply(200, tell(request), JSON))
