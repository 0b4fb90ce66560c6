"""The event loop of the truth server: one thread, epoll, absolute deadlines, a log of what left when.

A paced event costs one clock read, one ``send`` of prepared bytes and one append. There is no priority queue for
them: every stream of a server has the same gap between chunks, so a stream that has just been served goes to the
end of a plain queue and the queue stays in order of due time. Linux only.
"""

from __future__ import annotations

import heapq
import select
import socket
import ssl
import time
from array import array
from collections import deque
from itertools import count
from typing import NamedTuple

import msgspec

from inferometer.testing.truth_answer import (
    Answer,
    Asked,
    BadRequestError,
    RequestHead,
    Voice,
    parse_body,
    parse_head,
    refusal,
    reply,
)
from inferometer.timerfd import MonotonicTimer

_WAIT = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
_LONGEST_HEAD = 64 << 10
_BATCH = 128  # events between two looks at the sockets
_SPIN_NS = 15_000  # arming a timer and waking up takes longer than this
_FAR_NS = 1 << 62
_GENERATION = {"/v1/chat/completions": True, "/v1/completions": False}


class Pace(NamedTuple):
    """When chunks are due: the first ``ttft_ns`` after the request was received, then one per ``itl_ns``.

    ``itl_ns`` 0 is a flood: the answer leaves as fast as the socket takes it.
    """

    ttft_ns: int
    itl_ns: int


class LogRecord(msgspec.Struct, frozen=True):
    """What left when, for one answer; ns of CLOCK_MONOTONIC.

    Attributes:
        id: the response id.
        received_ns: when the last byte of the request had been read.
        due_ns: when the first chunk, or a whole answer, was due.
        itl_ns: the gap at which the others were due.
        sent: int64, native byte order: time before the ``send`` that carried each chunk. A whole answer has one.
    """

    id: str
    received_ns: int
    due_ns: int
    itl_ns: int
    sent: bytes


class _Logged(NamedTuple):
    id: str
    received_ns: int
    due_ns: int
    sent: array[int]


class _Connection:
    __slots__ = (
        "answer",
        "blocked",
        "body",
        "closed",
        "filled",
        "head",
        "incoming",
        "last_one",
        "silent",
        "sock",
    )

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.incoming = bytearray()  # bytes of a head, or of a request that came early
        self.head: RequestHead | None = None
        self.body = bytearray()
        self.filled = 0
        self.answer: Answer | None = None
        self.silent = False  # the answer is one write after all its chunks are due
        self.blocked = False  # the socket did not take everything that was due
        self.last_one = False
        self.closed = False


class TruthLoop:
    """Serves until a descriptor of ``end_with`` hangs up.

    Args:
        listeners: bound, listening sockets.
        pace: when chunks are due.
        voice: builds the answers.
        name: part of each response id: ``truth-<name>-<number>``.
        log: keep what left when; 8 bytes a chunk.
        tls: a server-side context, to speak TLS.

    Raises:
        OSError: no descriptor left for epoll or the timer.
    """

    def __init__(
        self,
        listeners: list[socket.socket],
        pace: Pace,
        voice: Voice,
        name: str,
        log: bool = True,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._pace, self._voice, self._name, self._keeps_log, self._tls = pace, voice, name, log, tls
        self._listeners = {listener.fileno(): listener for listener in listeners}
        self._connections: dict[int, _Connection] = {}
        self._epoll = select.epoll()
        self._timer = MonotonicTimer()
        self._waiting: list[tuple[int, int, _Connection]] = []  # heap: answers whose first write is not due
        self._steady: deque[_Connection] = deque()  # streams that run, in order of due time
        self._numbers = count()
        self._log: list[_Logged] = []
        self._ends_with: set[int] = set()
        self._buffer = memoryview(bytearray(256 << 10))
        # Edge-triggered, so that an expiry needs no read: the next arming is what ends it.
        self._epoll.register(self._timer.fd, select.EPOLLIN | select.EPOLLET)
        for fd, listener in self._listeners.items():
            listener.setblocking(False)
            self._epoll.register(fd, select.EPOLLIN)

    def end_with(self, fd: int) -> None:
        """Let ``run`` return when the other side of this pipe, socket or terminal closes, too; nothing is read.

        Raises:
            OSError: there is no such descriptor, or it is one of the loop's own.
        """
        try:
            self._epoll.register(fd, 0)  # a hang-up is reported even so
        except PermissionError:
            return  # a plain file or /dev/null: it never hangs up
        self._ends_with.add(fd)

    def records(self) -> list[LogRecord]:
        """The log so far."""
        itl_ns = self._pace.itl_ns
        return [LogRecord(x.id, x.received_ns, x.due_ns, itl_ns, x.sent.tobytes()) for x in self._log]

    def run(self) -> None:
        """Serve; returns, between two looks at the sockets, when a descriptor of ``end_with`` hangs up."""
        clock = time.monotonic_ns
        while True:
            next_ns = self._next_due_ns()
            timeout = 0.0
            if next_ns > clock() + _SPIN_NS:
                timeout = -1.0
                if next_ns != _FAR_NS:
                    self._timer.arm(next_ns)
            for fd, events in self._epoll.poll(timeout, 64):
                if fd in self._ends_with:
                    return
                self._ready(fd, events)
            self._send_due(clock())

    def _ready(self, fd: int, events: int) -> None:
        connection = self._connections.get(fd)
        if connection is not None:
            if events & select.EPOLLOUT:
                self._flush(connection)
            if events & ~select.EPOLLOUT:
                self._receive(connection)
        elif fd in self._listeners:
            self._accept(self._listeners[fd])

    def _next_due_ns(self) -> int:
        next_ns = self._waiting[0][0] if self._waiting else _FAR_NS
        if self._steady:
            answer = self._steady[0].answer
            next_ns = 0 if answer is None else min(next_ns, answer.due_ns)  # 0: it was closed, take it out
        return next_ns

    # Sending

    def _send_due(self, now_ns: int) -> None:
        """Send what is due, in order of due time, at most about a batch."""
        waiting = self._waiting
        room = _BATCH
        while room > 0:
            first_ns = waiting[0][0] if waiting else _FAR_NS
            room -= self._send_steady(min(now_ns, first_ns), room)
            if room <= 0 or first_ns > now_ns:
                return
            self._start(heapq.heappop(waiting)[2])
            room -= 1

    def _start(self, connection: _Connection) -> None:
        """The first chunk of an answer is due, or all of it: a whole answer, or a flood."""
        answer = connection.answer
        if answer is None:  # closed meanwhile
            return
        if connection.silent or self._pace.itl_ns == 0:
            answer.left = 0
        else:
            answer.left -= 1
        self._flush(connection)
        if answer.left:
            answer.due_ns += self._pace.itl_ns
            self._steady.append(connection)

    def _send_steady(self, limit_ns: int, room: int) -> int:
        """One chunk to each running stream that is due by ``limit_ns``; how many there were."""
        steady, clock, itl_ns = self._steady, time.monotonic_ns, self._pace.itl_ns
        sent = 0
        while steady and sent < room:
            connection = steady[0]
            answer = connection.answer
            if answer is None:  # closed meanwhile
                steady.popleft()
                continue
            if answer.due_ns > limit_ns:
                break
            steady.popleft()
            sent += 1
            left = answer.left = answer.left - 1
            if not connection.blocked:  # else it is sent with what is before it
                data = answer.middle if left else answer.last
                now_ns = clock()
                try:
                    took = connection.sock.send(data)
                except OSError as error:
                    took = self._not_sent(connection, error)
                if took < len(data):
                    answer.stamp(answer.end_of(answer.chunks - left - 1) + took, now_ns)
                    self._block(connection)
                elif answer.sent is not None:
                    answer.sent.append(now_ns)
            if left:
                answer.due_ns += itl_ns
                steady.append(connection)
            elif not connection.blocked:
                self._finish(connection)
        return sent

    def _not_sent(self, connection: _Connection, error: OSError) -> int:
        """0 bytes left; the connection is closed unless the socket is only full."""
        if not isinstance(error, _WAIT):
            self._close(connection)
        return 0

    def _block(self, connection: _Connection) -> None:
        """Go on with this connection when its socket takes more."""
        if not connection.closed and not connection.blocked:
            connection.blocked = True
            self._epoll.modify(connection.sock.fileno(), select.EPOLLIN | select.EPOLLOUT)

    def _flush(self, connection: _Connection) -> None:
        """Send what is due and has not left; the rest of it when the socket takes more."""
        answer = connection.answer
        if answer is None:
            return
        stop = answer.end_of(answer.chunks - answer.left)
        at = answer.position
        while at < stop:
            data = answer.piece(at, stop)
            now_ns = time.monotonic_ns()
            try:
                at += connection.sock.send(data)
            except OSError as error:
                self._not_sent(connection, error)
                self._block(connection)
                return
            answer.stamp(at, now_ns)
        if connection.blocked:
            connection.blocked = False
            self._epoll.modify(connection.sock.fileno(), select.EPOLLIN)
        if not answer.left:
            self._finish(connection)

    def _finish(self, connection: _Connection) -> None:
        connection.answer = None
        if connection.closed:
            return
        if connection.last_one:
            self._close(connection)
        elif connection.incoming:
            self._advance(connection)

    # Receiving

    def _accept(self, listener: socket.socket) -> None:
        for _ in range(64):
            try:
                sock, _peer = listener.accept()
                sock.setblocking(False)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if self._tls is not None:
                    sock = self._tls.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
            except OSError:
                return  # nobody waits any more, or has gone already, or no descriptor is left for now
            self._connections[sock.fileno()] = _Connection(sock)
            self._epoll.register(sock.fileno(), select.EPOLLIN)

    def _receive(self, connection: _Connection) -> None:
        """Read what there is: into the body when one is being received, else as part of a head."""
        while not connection.closed:
            body = connection.head is not None
            space = memoryview(connection.body)[connection.filled :] if body else self._buffer
            try:
                size = connection.sock.recv_into(space)
            except _WAIT:
                return
            except OSError:
                size = 0
            received_ns = time.monotonic_ns()
            full = size == len(space)
            if not size:
                self._close(connection)
                return
            if body:
                space.release()
                connection.filled += size
                self._when_complete(connection, received_ns)
            else:
                connection.incoming += self._buffer[:size]
                self._advance(connection, received_ns)
            if not full and self._tls is None:
                return

    def _advance(self, connection: _Connection, received_ns: int | None = None) -> None:
        """Find a head in what was received, unless an answer is still on its way."""
        incoming = connection.incoming
        if connection.answer is not None or connection.head is not None:
            return
        end = incoming.find(b"\r\n\r\n")
        if end < 0:
            if len(incoming) > _LONGEST_HEAD:
                self._close(connection)
            return
        try:
            head = parse_head(bytes(incoming[:end]))
        except BadRequestError as error:
            connection.last_one = True
            self._answer_now(connection, refusal(error))
            return
        arrived = incoming[end + 4 : end + 4 + head.length]
        del incoming[: end + 4 + head.length]
        connection.head, connection.last_one = head, head.close
        connection.body = arrived
        connection.filled = len(arrived)
        if connection.filled < head.length:
            connection.body.extend(bytes(head.length - connection.filled))
            if head.expects_continue:
                self._invite(connection)
        self._when_complete(connection, received_ns or time.monotonic_ns())

    def _invite(self, connection: _Connection) -> None:
        """Ask for the body; a client sends it some time anyway (RFC 9110, 10.1.1)."""
        try:
            connection.sock.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        except OSError as error:
            self._not_sent(connection, error)

    def _when_complete(self, connection: _Connection, received_ns: int) -> None:
        head = connection.head
        if head is None or connection.filled < head.length:
            return
        body, connection.body, connection.head = connection.body, bytearray(), None
        try:
            self._answer(connection, head, body, received_ns)
        except BadRequestError as error:
            self._answer_now(connection, refusal(error))

    def _answer(self, connection: _Connection, head: RequestHead, body: bytearray, received_ns: int) -> None:
        chat = _GENERATION.get(head.path)
        if chat is not None and head.method == "POST":
            self._generate(connection, parse_body(body), chat, len(body), received_ns)
        elif head.path == "/v1/models":
            self._answer_now(connection, self._voice.models())
        elif head.path == "/health":
            self._answer_now(connection, reply(200, b"{}"))
        elif head.path == "/truth/log":
            log = msgspec.msgpack.encode(self.records())
            if head.method == "DELETE":
                self._log.clear()
            self._answer_now(connection, reply(200, log, "application/msgpack"))
        else:
            raise BadRequestError(f"there is no {head.method} {head.path} here", 404)

    def _generate(
        self, connection: _Connection, asked: Asked, chat: bool, size: int, received_ns: int
    ) -> None:
        number = next(self._numbers)
        identity = f"truth-{self._name}-{number}"
        connection.silent = not asked.stream
        make = self._voice.stream if asked.stream else self._voice.whole
        answer = make(identity, asked, chat, size // 4)
        due_ns = received_ns + self._pace.ttft_ns
        if connection.silent:
            due_ns += (asked.tokens - 1) * self._pace.itl_ns
        if self._keeps_log:
            answer.sent = array("q")
            self._log.append(_Logged(identity, received_ns, due_ns, answer.sent))
        answer.due_ns = due_ns
        connection.answer = answer
        heapq.heappush(self._waiting, (due_ns, number, connection))

    def _answer_now(self, connection: _Connection, answer: Answer) -> None:
        answer.left = 0
        connection.answer = answer
        self._flush(connection)

    def _close(self, connection: _Connection) -> None:
        if connection.closed:
            return
        connection.closed = True
        connection.answer = None
        fd = connection.sock.fileno()
        self._epoll.unregister(fd)
        del self._connections[fd]
        connection.sock.close()
