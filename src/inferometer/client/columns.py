"""The chunks of one answer in columns: when each arrived, in which read, and how many tokens it carried."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right

from inferometer.client.dialects import Delta, Deltas
from inferometer.client.dialects.reading import MOST_TOKENS
from inferometer.client.exchange import Exchange
from inferometer.record.types import OUTPUT_KINDS, ChunkColumns, ChunkKind

# Tables for bytes.translate, by kind: is it output, and is it output that is no reasoning?
_OUTPUT = bytes(kind in OUTPUT_KINDS for kind in range(256))
_ANSWER = bytes(kind in OUTPUT_KINDS and kind != ChunkKind.REASONING for kind in range(256))
_UNKNOWN = array("i", [-1])
# The same for the signed byte 1 where there is output and -1 elsewhere.
_ONE_OR_UNKNOWN = bytes(1 if kind in OUTPUT_KINDS else 255 for kind in range(256))


class Chunks:
    """The columns of ``ChunkColumns`` while they grow. Events are added in their order."""

    __slots__ = ("_at", "_chars", "_exchange", "_kind", "_lag_ns", "_read", "_recv_ns", "_running", "_tokens")

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._at = 0  # the read of the latest event
        self._recv_ns: array[int] = array("q")
        self._lag_ns: array[int] = array("q")
        self._read: array[int] = array("i")
        self._tokens: array[int] = array("i")
        self._chars: array[int] = array("i")
        self._kind = bytearray()
        # The usage that grows with each output chunk (``continuous_usage_stats``); None once a chunk had none.
        self._running: int | None = 0

    def __len__(self) -> int:
        """Number of events."""
        return len(self._kind)

    def add(self, ends: list[int], deltas: Deltas) -> None:
        """Add events.

        Args:
            ends: offset in the body just past the byte that completed each event; at least one.
            deltas: what they carried.
        """
        self._add_times(ends)
        self._chars.extend(array("i", [len(text) for text in deltas.texts]))
        self._add_tokens(deltas)
        self._kind += deltas.kinds

    def _add_times(self, ends: list[int]) -> None:
        upto, at, count = self._exchange.upto, self._at, len(ends)
        while upto[at] < ends[0]:
            at += 1
        if upto[at] >= ends[-1]:  # one read brought them all
            self._read.extend(array("i", [at]) * count)
            self._recv_ns.extend(self._exchange.at_ns[at : at + 1] * count)
            self._lag_ns.extend(self._exchange.lag_ns[at : at + 1] * count)
        elif upto[at : at + count] == array("q", ends):  # each came with a read of its own
            self._read.extend(range(at, at + count))
            self._recv_ns.extend(self._exchange.at_ns[at : at + count])
            self._lag_ns.extend(self._exchange.lag_ns[at : at + count])
            at += count - 1
        else:
            reads = []
            for end in ends:
                while upto[at] < end:
                    at += 1
                reads.append(at)
            self._read.extend(reads)
            self._recv_ns.extend(map(self._exchange.at_ns.__getitem__, reads))
            self._lag_ns.extend(map(self._exchange.lag_ns.__getitem__, reads))
        self._at = at

    def _add_tokens(self, deltas: Deltas) -> None:
        base, tokens = len(self._kind), self._tokens
        tokens.extend(_UNKNOWN * len(deltas.kinds))
        plain = _first_plain(deltas) if self._running is not None else 0
        for place, delta in deltas.more.items():
            if place > plain:
                self._running = None
            tokens[base + place] = self._tokens_of(delta)
        if plain < len(deltas.kinds):
            self._running = None

    def _tokens_of(self, delta: Delta) -> int:
        """Tokens of a chunk: by its ids, or from a usage that grows with each chunk; -1 if it does not say.

        A usage that comes with the last chunk only counts the chunks before it as well: it says nothing of one
        chunk.
        """
        if delta.token_ids is not None:
            return delta.token_ids
        if not _OUTPUT[delta.kind]:
            return -1
        before, total = self._running, delta.usage and delta.usage.output_tokens
        if total is None or before is None or not before <= total < MOST_TOKENS:
            self._running = None
            return -1
        self._running = total
        return total - before

    def first_output_ns(self) -> int | None:
        """When the first output arrived."""
        return self._time(self._kind.translate(_OUTPUT).find(1))

    def first_answer_ns(self) -> int | None:
        """When the first output that is no reasoning arrived."""
        return self._time(self._kind.translate(_ANSWER).find(1))

    def last_output_ns(self) -> int | None:
        """When the last output arrived."""
        return self._time(self._kind.translate(_OUTPUT).rfind(1))

    def _time(self, place: int) -> int | None:
        return self._recv_ns[place] if place >= 0 else None

    def blur(self) -> tuple[int, int | None]:
        """Output chunks whose time is known only to within a span, and the largest such span in ns.

        Those are the output chunks of a late read that a later one came with: the kernel kept the last one's time.
        What ends a stream (usage, ``[DONE]``) does not count as later: servers send it right behind the last token.
        """
        blurred, largest = 0, None
        for read, late_ns in self._exchange.late.items():
            first, end = bisect_left(self._read, read), bisect_right(self._read, read)
            found = self._kind[first:end].translate(_OUTPUT).count(1) - 1
            if found > 0:
                blurred += found
                largest = max(late_ns, largest or 0)
        return blurred, largest

    def columns(self, output_tokens: int | None) -> ChunkColumns:
        """The finished columns.

        One token per output chunk is certain when the server's count equals the number of output chunks.

        Args:
            output_tokens: the server's count of the whole answer, if it gave one.
        """
        output = self._kind.translate(_OUTPUT)
        if output_tokens == output.count(1):
            self._fill_single_tokens(output)
        return ChunkColumns(
            recv_ns=self._recv_ns.tobytes(),
            tokens=self._tokens.tobytes(),
            chars=self._chars.tobytes(),
            kind=bytes(self._kind),
            read=self._read.tobytes(),
            lag_ns=self._lag_ns.tobytes(),
        )

    def _fill_single_tokens(self, output: bytearray) -> None:
        if self._tokens == _UNKNOWN * len(output):
            self._tokens = array("i", array("b", self._kind.translate(_ONE_OR_UNKNOWN)))
            return
        places = [place for place, is_output in enumerate(output) if is_output]
        if all(self._tokens[place] < 0 for place in places):
            for place in places:
                self._tokens[place] = 1


def _first_plain(deltas: Deltas) -> int:
    """Place of the first output that said no more than its text; past the end if there is none."""
    for place, kind in enumerate(deltas.kinds):
        if _OUTPUT[kind] and place not in deltas.more:
            return place
    return len(deltas.kinds)
