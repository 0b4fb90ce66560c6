"""The transport: a single-threaded reactor over non-blocking connections. It moves bytes and takes times.

No JSON, no tokenising and no logging happens here; a read appends its time and bytes and looks only for the end of
the message. What the bytes mean is found out later, when nothing else waits (``inferometer.client.decode``).
"""

from __future__ import annotations

import contextlib
import time
from collections import deque
from ssl import SSLContext

from inferometer.client.abandoned import AbandonedError
from inferometer.client.connection import TLS_ENDED, Connection, Ended
from inferometer.client.exchange import NO_LOG, Exchange, Read
from inferometer.client.http1 import ProtocolError
from inferometer.client.poller import MOST_EVENTS, READ, WRITE, Poller, make_poller
from inferometer.client.stamps import ClockOffset
from inferometer.client.target import Target
from inferometer.client.tls import TlsStream, client_context
from inferometer.client.turns import Turns
from inferometer.clock import Clock
from inferometer.record.types import Status

READ_BUFFER_BYTES = 1 << 18
# Servers close idle connections, most after 5 s; one that is younger is not in danger of a race with that.
IDLE_REUSE_NS = 4_000_000_000
# A server that closes a connection sooner than this after an answer does not mean its keep-alive.
BROKEN_KEEP_ALIVE_NS = 1_000_000_000
NEVER_KEPT = 4  # so many first answers that all close their connection are the server's habit
# A turn that came later than this may have met several events of one stream in one read.
LATE_NS = 500_000
# While answers are awaited no wait is longer: a process that was stopped in its sleep wakes far behind it, and
# knows by that that it was late.
HEARTBEAT_NS = 5_000_000
USER_HEARTBEAT_NS = 1_000_000  # where our own reads are the receive times, and must be in time for that
IDLE_WAIT_NS = 1_000_000_000
CHECKED_PER_TURN = 128
MOST_HEADS = 4096
# Where data comes so densely that several answers get some within this time, the loop sleeps so long after each
# turn: one wake-up for several reads costs less, and the kernel's receive times do not mind. It stays below what
# makes a turn late, and the sleep ends so much before the next deadline as sleeps are late themselves.
LINGER_NS = 300_000
SLEEP_LATE_NS = 70_000


class Reactor:
    """Sends exchanges and collects their raw responses.

    Life cycle: ``send`` exchanges, ``poll`` in a loop, take ``finished`` ones; ``close`` at the end.

    Args:
        target: where to; several servers take turns by the index of the exchange.
        clock: the monotonic clock of all stamps.
        poller: readiness; the platform's best when absent.
    """

    def __init__(self, target: Target, clock: Clock, poller: Poller | None = None) -> None:
        self.target = target
        self.clock = clock
        self.servers = target.servers
        self._tls: SSLContext | None = (
            client_context(target) if any(server.tls for server in self.servers) else None
        )
        self.poller = poller or make_poller()
        self.offset = ClockOffset(clock.now_ns)
        self.finished: deque[Exchange] = deque()
        self.kernel_stamps: bool | None = None  # unknown until the first connection
        self.keep_alive = True  # whether the server keeps the connections it promises to keep
        self._closing_answers: int | None = 0  # in a row from the first on; None once a connection was kept
        self.resent = 0  # exchanges that met a connection the server was just closing
        self.woken: set[int] = set()  # descriptors of others that the last poll found readable
        self.turns = Turns()
        self._heads: dict[tuple[int, str, int], bytes] = {}
        self._connections: dict[int, Connection] = {}
        # For each server: what carries nothing, the last one used to be used first; and what is not ready yet.
        self._idle: list[dict[int, Connection]] = [{} for _ in self.servers]
        self._opening: list[dict[int, Connection]] = [{} for _ in self.servers]
        self.in_flight = 0  # exchanges sent and not finished
        self._buffers = (bytearray(READ_BUFFER_BYTES),)
        limits = target.timeouts
        self._limits_ns = tuple(round(s * 1e9) for s in (limits.connect_s, limits.read_s, limits.total_s))
        self._check_every_ns = max(
            10_000_000, min(1_000_000_000, *(limit // 20 for limit in self._limits_ns))
        )
        self._check_at_ns = clock.now_ns() + self._check_every_ns
        self._to_check: list[Connection] = []
        self._heartbeat_ns = HEARTBEAT_NS
        self._unseen: deque[int] = deque()  # since when each portion of a burst may have been there
        self._woke_ns = clock.now_ns()

    @property
    def idle(self) -> int:
        """Open connections that carry nothing."""
        return sum(map(len, self._idle))

    @property
    def connections(self) -> int:
        """Open connections, and those being opened."""
        return len(self._connections)

    def post_head(self, index: int, path: str, body_bytes: int) -> bytes:
        """The head of the POST request with that index, for the server whose turn it is."""
        key = index % len(self.servers), path, body_bytes
        head = self._heads.get(key)
        if head is None:
            if len(self._heads) >= MOST_HEADS:  # later turns and pictures hardly ever have the same length
                self._heads.clear()
            head = self._heads[key] = self.servers[key[0]].request_head("POST", path, body_bytes)
        return head

    def send(self, exchange: Exchange, place: int | None = None) -> None:
        """Send on an idle connection, or on a new one, to the server whose turn it is at ``place``.

        That is the exchange's own index when absent; the turns of a session have one place, and so one server.
        """
        self.in_flight += 1
        exchange.server = (exchange.index if place is None else place) % len(self.servers)
        idle, opening = self._idle[exchange.server], self._opening[exchange.server]
        now_ns = self.clock.now_ns()
        while idle:
            _, connection = idle.popitem()
            if self.keep_alive and now_ns - connection.idle_since_ns < IDLE_REUSE_NS:
                exchange.reused = connection.used
                self._start(connection, exchange)
                return
            self._drop(connection)
        exchange.connect_start_ns = now_ns
        if opening:  # a second connection would only take a second descriptor
            _, connection = opening.popitem()
            connection.exchange, connection.started_ns = exchange, now_ns
        else:
            self._connect(exchange, exchange.server)

    def open_idle(self, index: int = 0) -> None:
        """Begin to open one connection that will wait for the exchange of that index, or another of its server."""
        self._connect(None, index % len(self.servers))

    def drop_old(self) -> None:
        """Close the idle connections that would soon be too old for use."""
        now_ns = self.clock.now_ns()
        for connection in [each for idle in self._idle for each in idle.values()]:
            if now_ns - connection.idle_since_ns > IDLE_REUSE_NS // 2:
                self._drop(connection)

    def serve(self, deadline_ns: int) -> None:
        """Poll until an exchange has ended, another's descriptor is readable, or the deadline has come."""
        while not self.finished and not self.woken:
            last_ns = self._woke_ns
            ready = self.poll(deadline_ns)
            if self._woke_ns >= deadline_ns:
                return
            if ready * LINGER_NS > 2 * (self._woke_ns - last_ns) and not self.finished:
                self._linger(deadline_ns)

    def poll(self, deadline_ns: int | None = None) -> int:
        """Handle what is ready, waiting for it until ``deadline_ns``, but not for long (0 = not at all).

        Returns:
            The number of descriptors that were ready.
        """
        asleep_ns = self.clock.now_ns()
        busy_ns = asleep_ns - self._woke_ns
        self.turns.turn(busy_ns)
        most_ns = self._heartbeat_ns if self.in_flight else IDLE_WAIT_NS
        if deadline_ns is None or deadline_ns > self._check_at_ns:
            deadline_ns = self._check_at_ns
        ready = self.poller.wait(deadline_ns, most_ns)
        now_ns = self._woke_ns = self.clock.now_ns()
        self.offset.refresh(now_ns)
        # Who was asleep too long, or busy too long before, does not know when data came meanwhile.
        overslept_ns = now_ns - max(asleep_ns, min(deadline_ns, asleep_ns + most_ns))
        if overslept_ns > self.turns.late_max_ns:
            self.turns.late_max_ns = overslept_ns
        if ready:
            self._handle(ready, now_ns - self._unseen_since_ns(len(ready), max(busy_ns, overslept_ns)))
        elif self._unseen:
            self._unseen.clear()
        if now_ns >= self._check_at_ns:
            self._check_timeouts(now_ns)
        return len(ready)

    def _unseen_since_ns(self, ready: int, late_ns: int) -> int:
        """Since when what this turn meets may have been there: portions of a burst come after one another.

        Args:
            ready: how many descriptors this turn was told of.
            late_ns: how late this turn alone was at most.
        """
        unseen = self._unseen
        unseen.append(self._woke_ns - late_ns)
        if len(unseen) > len(self._connections) // MOST_EVENTS + 1:
            unseen.popleft()  # by now each had its turn
        since_ns = unseen[0]
        if ready < MOST_EVENTS - 1:  # the timer may have taken a place
            unseen.clear()
        return since_ns

    def _linger(self, deadline_ns: int) -> None:
        left_ns = min(self._woke_ns + LINGER_NS, deadline_ns) - SLEEP_LATE_NS - self.clock.now_ns()
        if left_ns > 0 and self.kernel_stamps:
            time.sleep(left_ns / 1e9)

    def _handle(self, ready: list[tuple[int, int]], late_ns: int) -> None:
        """Read and write; then note at each read how late this turn was, if it was."""
        get, buffers = self._connections.get, self._buffers
        offset_ns, clock_ns = self.offset.offset_ns, self.clock.now_ns
        met: list[Exchange] = []
        lag_max_ns = 0
        for fd, mask in ready:
            connection = get(fd)
            if connection is None:
                self.woken.add(fd)
                continue
            exchange = connection.exchange
            if exchange is None or mask != READ or not connection.ready:
                lag_ns = self._tend(connection, mask)
            else:
                got = connection.read(buffers, offset_ns, clock_ns)
                lag_ns = got if isinstance(got, int) else self._heard(connection, exchange, got)
            if lag_ns >= 0 and exchange is not None:
                met.append(exchange)
                if lag_ns > lag_max_ns:
                    lag_max_ns = lag_ns
        if lag_max_ns > self.turns.lag_max_ns:
            self.turns.lag_max_ns = lag_max_ns
        late_ns = max(late_ns, lag_max_ns, self.clock.now_ns() - self._woke_ns)
        if late_ns > LATE_NS:
            for exchange in met:
                exchange.late[exchange.reads - 1] = late_ns

    def cancel_all(self, status: Status, text: str) -> None:
        """End every exchange in flight with ``status``."""
        for connection in list(self._connections.values()):
            if connection.exchange is not None:
                self._fail(connection, status, text)

    def abandon(self, exchange: Exchange, text: str) -> None:
        """Give up one exchange that was sent: its connection is closed; one that has ended stays as it is."""
        connection = self._connections.get(exchange.fd)
        if connection is not None and connection.exchange is exchange:
            self._fail(connection, "aborted", text)

    def close(self) -> None:
        """Close all connections."""
        for connection in list(self._connections.values()):
            self._drop(connection)
        self.poller.close()

    def _connect(self, exchange: Exchange | None, server: int) -> None:
        target = self.servers[server]
        tls = TlsStream(self._tls, target.server_name) if target.tls and self._tls is not None else None
        try:
            connection = Connection(target, server, tls, self.clock.now_ns())
        except OSError as error:  # out of descriptors
            if exchange is None:
                return
            exchange.failure = "connect_error"
            exchange.failure_text = (
                f"socket: {error.strerror or error}; raise the limit with: ulimit -n 65536"
            )
            self._end(exchange, self.clock.now_ns())
            return
        if self.kernel_stamps is None:
            self.kernel_stamps = connection.stamped
            self._heartbeat_ns = HEARTBEAT_NS if connection.stamped else USER_HEARTBEAT_NS
        connection.exchange = exchange
        self._connections[connection.fd] = connection
        if exchange is None:
            self._opening[server][connection.fd] = connection
        self._settle(connection, connection.connect())

    def _start(self, connection: Connection, exchange: Exchange) -> None:
        connection.exchange = exchange
        self._settle(connection, connection.start(exchange, self.clock.now_ns()))

    def _advance(self, connection: Connection) -> None:
        ended = connection.advance()
        if ended is not None:
            self._settle(connection, ended)
        elif not connection.ready:
            self._settle(connection, None)
        else:
            exchange = connection.exchange
            now_ns = self.clock.now_ns()
            if exchange is None:
                self._make_idle(connection, now_ns)
            else:
                exchange.connect_end_ns = now_ns
                self._start(connection, exchange)

    def _settle(self, connection: Connection, ended: Ended | None) -> None:
        """Watch what the connection now needs, or take it down."""
        if ended is None:
            self.poller.watch(connection.fd, connection.mask)
        elif connection.exchange is not None:
            self._fail(connection, ended.failure or "truncated", ended.text)
        else:
            self._drop(connection)

    def _tend(self, connection: Connection, mask: int) -> int:
        """Whatever is not plainly an answer that goes on: connecting, writing, hang-ups, idle connections.

        Returns:
            How long the bytes had waited for us, in ns, 0 where that is not known; -1 where none came for an exchange.
        """
        exchange = connection.exchange
        if not connection.ready:
            self._advance(connection)
        elif mask == WRITE:
            connection.moved_ns = self._woke_ns
            self._settle(connection, connection.flush())
        elif exchange is not None:
            got = connection.read(self._buffers, self.offset.offset_ns, self.clock.now_ns)
            return got if isinstance(got, int) else self._heard(connection, exchange, got)
        elif connection.read(self._buffers, 0, self.clock.now_ns) is not None:
            self._drop(connection)  # the server closed, or spoke without being asked
        return -1

    def _heard(self, connection: Connection, exchange: Exchange, got: Read | Ended | None) -> int:
        """A read that was not simply put on the exchange's log; returns as ``_tend``."""
        if isinstance(got, tuple):
            self._take_apart(connection, exchange, got)
            return got[1] if got[1] > 0 else 0
        if got is not None:
            self._peer_ended(connection, exchange, got)
        else:
            self._settle(connection, connection.flush())
        return -1

    def _take_apart(self, connection: Connection, exchange: Exchange, read: Read | None = None) -> None:
        """Look whether the message has ended, and with it the exchange."""
        try:
            ended_ns = exchange.take_apart() if read is None else exchange.take(read)
        except ProtocolError as error:
            self._fail(connection, "stream_error", str(error))
            return
        except AbandonedError as enough:
            self._fail(connection, "aborted", str(enough))
            return
        if ended_ns is not None:
            self._complete(connection, exchange, ended_ns)
        elif connection.ended:
            self._peer_ended(connection, exchange, TLS_ENDED)

    def _complete(self, connection: Connection, exchange: Exchange, at_ns: int) -> None:
        """The message is whole: the connection may carry the next one."""
        head = exchange.framer.head
        assert head is not None
        connection.exchange = None
        connection.used = True
        if head.keep_alive:
            self._closing_answers = None
        elif self._closing_answers is not None:
            self._closing_answers += 1
            if self._closing_answers >= NEVER_KEPT:
                self.keep_alive = False
        # A server that answers before it has read the request would take the next one for the rest of it.
        clean = not (exchange.framer.extra or connection.unsent or connection.ended)
        if self.keep_alive and head.keep_alive and clean:
            self._make_idle(connection, self.clock.now_ns())
        else:
            self._drop(connection)
        self._end(exchange, at_ns)

    def _peer_ended(self, connection: Connection, exchange: Exchange, ended: Ended) -> None:
        if exchange.logged:
            self._take_apart(connection, exchange)
            if connection.exchange is not exchange:
                return  # that was the end of the message, or no HTTP
        if ended.failure is None and exchange.framer.end_of_input():
            connection.exchange = None
            self._drop(connection)
            self._end(exchange, exchange.at_ns[-1])
        elif exchange.reused and not exchange.at_ns:
            self._resend(connection, exchange)
        elif not exchange.at_ns:
            text = (
                "the server closed the connection without an answer" if ended.failure is None else ended.text
            )
            self._fail(connection, "connect_error", text)
        else:
            self._fail(connection, ended.failure or "truncated", ended.text)

    def _resend(self, connection: Connection, exchange: Exchange) -> None:
        """Send again on a new connection: the server closed a kept one and has not seen the request.

        RFC 9112, 9.3.1 has clients do so. The planned time stays; what was lost is part of the latency from it.
        """
        now_ns = self.clock.now_ns()
        if (exchange.sent_ns or now_ns) - connection.idle_since_ns < BROKEN_KEEP_ALIVE_NS:
            self.keep_alive = False
        self.resent += 1
        connection.exchange = None
        self._drop(connection)
        exchange.reused, exchange.sent_ns, exchange.connect_start_ns = False, None, now_ns
        self._connect(exchange, exchange.server)

    def _make_idle(self, connection: Connection, now_ns: int) -> None:
        connection.idle_since_ns = now_ns
        self._opening[connection.server].pop(connection.fd, None)
        self._idle[connection.server][connection.fd] = connection
        self.poller.watch(connection.fd, connection.mask)

    def _fail(self, connection: Connection, status: Status, text: str) -> None:
        exchange = connection.exchange
        connection.exchange = None
        self._drop(connection)
        if exchange is not None:
            with contextlib.suppress(ProtocolError):  # what failed first is told
                exchange.take_apart()
            exchange.failure, exchange.failure_text = status, text
            self._end(exchange, self.clock.now_ns())

    def _end(self, exchange: Exchange, at_ns: int) -> None:
        exchange.end_ns = at_ns
        exchange.log = NO_LOG
        self.in_flight -= 1
        self.finished.append(exchange)

    def _drop(self, connection: Connection) -> None:
        if self._connections.get(connection.fd) is not connection:
            return  # its number may be another's by now
        del self._connections[connection.fd]
        self._idle[connection.server].pop(connection.fd, None)
        self._opening[connection.server].pop(connection.fd, None)
        self.poller.forget(connection.fd)
        connection.close()

    def _check_timeouts(self, now_ns: int) -> None:
        """Look at some connections a turn: all 10,000 at once would hold up the others for milliseconds."""
        if not self._to_check:
            self._to_check = list(self._connections.values())
        part = self._to_check[-CHECKED_PER_TURN:]
        del self._to_check[-CHECKED_PER_TURN:]
        for connection in part:
            self._check(connection, now_ns)
        self._check_at_ns = now_ns + (1_000_000 if self._to_check else self._check_every_ns)

    def _check(self, connection: Connection, now_ns: int) -> None:
        connect_ns, read_ns, total_ns = self._limits_ns
        limits = self.target.timeouts
        if self._connections.get(connection.fd) is not connection:
            return  # it has gone since it was listed
        exchange = connection.exchange
        if (
            exchange is not None
            and exchange.logged
            and now_ns - (exchange.heard_ns or 0) > self._check_every_ns
        ):
            self._take_apart(connection, exchange)
            exchange = connection.exchange
        if not connection.ready and now_ns - connection.started_ns > connect_ns:
            text = f"no connection within {limits.connect_s:g} s (--connect-timeout)"
            self._settle(connection, Ended("connect_error", text))
        elif exchange is not None and exchange.sent_ns is not None:
            if now_ns - exchange.sent_ns > total_ns:
                self._fail(connection, "timeout", f"not finished within {limits.total_s:g} s (--timeout)")
            elif now_ns - max(exchange.heard_ns or exchange.sent_ns, connection.moved_ns) > read_ns:
                self._fail(connection, "timeout", f"no byte for {limits.read_s:g} s (--read-timeout)")
