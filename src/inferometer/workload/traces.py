"""Data sets ``mooncake``, ``bailian``, ``burstgpt``, ``azure`` and ``trace``: recorded requests, to be sent again."""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import count as count_up
from typing import NamedTuple

import msgspec

from inferometer.errors import DataError, UsageError
from inferometer.spec import LoadPoint, RunSpec
from inferometer.spec.fields import window_s
from inferometer.workload.request import DatasetInfo, Request, Tokenizer
from inferometer.workload.rows import BadRowError, Row, open_rows
from inferometer.workload.trace_rows import FORMATS, NS_PER_S, Hashes, Reader, Recorded, check_lengths
from inferometer.workload.trace_text import NUMBER_BITS, BlockText

# Block numbers below are those of the trace, shared; those from here on belong to one request alone.
_OWN_BLOCKS = 1 << (NUMBER_BITS - 1)
_MOST_REQUESTS = 50_000_000  # their offsets take 400 MB
_MOST_NS = 1 << 62


class Entry(NamedTuple):
    """One request of a trace, scaled.

    ``at_ns`` counts from the beginning of the window; ``blocks`` are numbers of ``block_tokens`` tokens each, but the
    last, which may be shorter; ``own`` holds what the row brings itself: text, model, session.
    """

    row: int
    at_ns: int
    input_tokens: int | None
    output_tokens: int
    blocks: tuple[int, ...]
    block_tokens: int
    own: Recorded | None


class Trace(msgspec.Struct, frozen=True, kw_only=True):
    """A trace file, read and cut to its window.

    Attributes:
        info: identity and drop counts.
        entries: in order of time.
        span_ns: from the beginning of one pass to that of the next.
        blocks: how many different blocks the entries name.
    """

    info: DatasetInfo
    entries: list[Entry]
    span_ns: int
    blocks: int


class TraceDataset:
    """Requests of a trace, in its order and with its lengths, and when they are due.

    Prompts are made of blocks of text (see ``BlockText``): requests that name the same blocks at their beginning have
    the same beginning, and no others do. Each pass of a trace that is replayed several times has blocks of its
    own, so that passes are alike to a prefix cache. Rows with a prompt of their own send that.

    Args:
        trace: the file.
        spec: speed, loops and whether rows may be used again.
        tokenizer: decides what a token is.
        number: how many requests; None = without end.
    """

    def __init__(self, trace: Trace, spec: RunSpec, tokenizer: Tokenizer, number: int | None) -> None:
        self._trace = trace
        self._spec = spec
        self._tokenizer = tokenizer
        self._number = number
        self._expected: tuple[float | None] | None = None
        self._has_text = any(entry.own is not None and _has_text(entry.own) for entry in trace.entries)

    def for_point(self, point: LoadPoint) -> TraceDataset:
        """The same trace, cut to what one load point sends.

        Raises:
            DataError: it has fewer requests than asked for.
        """
        available = len(self._trace.entries) * self._spec.trace.trace_loop
        wanted = point.num_prompts
        again = self._spec.workload.oversample or point.kind == "warmup"
        if wanted is not None and wanted > available and (point.trace or not again):
            loops = math.ceil(wanted / len(self._trace.entries))
            raise DataError(
                f"trace {self._trace.info.path} has {available} requests to send, and {wanted} were asked for",
                f"ask for at most --num-prompts {available}, or replay it several times: --trace-loop {loops}",
            )
        number = wanted
        if point.trace:
            number = available if wanted is None else wanted
            if point.duration_s is not None:
                number = bisect_left(range(number), point.duration_s * NS_PER_S, key=self._due_ns)
            if not number:
                raise DataError(
                    f"no request of trace {self._trace.info.path} is due within --duration {point.duration_s:g}s; the "
                    f"first comes after {self._due_ns(0) / NS_PER_S:g} s",
                    "give a longer --duration, or begin later: --trace-window FROM-TO",
                )
        return TraceDataset(self._trace, self._spec, self._tokenizer, number)

    def offsets_ns(self) -> Sequence[int]:
        """When each request is due, in ns from the load point's epoch."""
        if self._number is None:
            raise ValueError("a data set without end has no list of offsets")
        return array("q", map(self._due_ns, range(self._number)))

    def info(self) -> DatasetInfo:
        """Identity and drop counts, with the cache hits that the trace itself implies."""
        if self._expected is None:
            self._expected = (self._expected_hit_share(),)
        return msgspec.structs.replace(
            self._trace.info,
            expected_hit_share=self._expected[0],
            tokenizer=self._tokenizer.name,
            tokenizer_exact=self._tokenizer.exact,
            notes=[*self._trace.info.notes, *self._notes()],
        )

    def _notes(self) -> Iterator[str]:
        if not self._tokenizer.exact:
            yield f"prompt lengths are estimates of the {self._tokenizer.name} tokenizer"
        if self._has_text:
            yield "prompts of the file are sent as they are: a server that knows them may have them in its cache"
        if self._spec.trace.trace_loop > 1:
            yield f"replayed {self._spec.trace.trace_loop} times, with made prompts of their own each time"

    def requests(self, seed: int, salt: str) -> Iterator[Request]:
        """The requests; ``seed`` and ``salt`` decide the text of their blocks and nothing else.

        Raises:
            DataError: prompts cannot be made with this tokenizer.
        """
        return self._made(BlockText(self._tokenizer, seed, salt))

    def _made(self, text: BlockText) -> Iterator[Request]:
        entries, blocks = self._trace.entries, self._trace.blocks
        for index in count_up() if self._number is None else range(self._number):
            turn, place = divmod(index, len(entries))
            entry = entries[place]
            own = entry.own
            made = named = None
            if own is None or not _has_text(own):
                named = tuple((number + turn * blocks) % _OWN_BLOCKS for number in entry.blocks)
                made = _prompt(entry, text, named, _OWN_BLOCKS + index)
            yield Request(
                row=entry.row,
                text=made if made is not None or own is None else own.prompt,
                messages=None if own is None else own.messages,
                input_tokens_target=entry.input_tokens,
                input_tokens_counted=None if made is None else entry.input_tokens,
                output_tokens_target=entry.output_tokens,
                at_ns=self._due_ns(index),
                model=None if own is None else own.model,
                session=None if own is None else own.session,
                blocks=named,
                block_tokens=entry.block_tokens,
            )

    def _due_ns(self, index: int) -> int:
        turn, place = divmod(index, len(self._trace.entries))
        at_ns = self._trace.entries[place].at_ns + turn * self._trace.span_ns
        return round(at_ns / self._spec.trace.trace_speed)

    def _expected_hit_share(self) -> float | None:
        """Of an endless cache, requests served in order; None when no blocks are named or text is the row's own."""
        entries = self._trace.entries
        if self._has_text or not self._trace.blocks:
            return None
        number = len(entries) if self._number is None else self._number
        passes, rest = divmod(number, len(entries))
        hits = tokens = 0
        for times, part in ((passes, len(entries)), (1, rest)):
            if times and part:
                found, of = _hits(entries[:part])
                hits, tokens = hits + times * found, tokens + times * of
        return hits / tokens if tokens else None


def open_trace(spec: RunSpec, point: LoadPoint, tokenizer: Tokenizer) -> TraceDataset:
    """A trace file, as ``spec.workload.dataset`` names its format.

    Raises:
        UsageError: no path, or a replay that is too long to be planned.
        DataError: a broken file or row, no row in the window, or fewer than the load point asks for.
    """
    path = spec.workload.dataset_path
    if path is None:
        raise UsageError(f"--dataset {spec.workload.dataset} needs a file", "give --dataset-path FILE")
    trace = _Reading(spec).read(path)
    requests = len(trace.entries) * spec.trace.trace_loop
    longest_ns = trace.span_ns * spec.trace.trace_loop / spec.trace.trace_speed
    if requests > _MOST_REQUESTS or longest_ns > _MOST_NS:
        raise UsageError(
            f"the replay has {requests} requests over {longest_ns / 1e9:.3g} s, more than can be planned "
            f"({_MOST_REQUESTS} requests, {_MOST_NS / 1e9:.3g} s)",
            "lower --trace-loop, raise --trace-speed, or take a part with --trace-window",
        )
    return TraceDataset(trace, spec, tokenizer, requests).for_point(point)


class _Reading:
    """Reads one file: rows in order, bad ones told or counted, times and lengths as the replay wants them."""

    def __init__(self, spec: RunSpec) -> None:
        self._spec = spec
        window = spec.trace.trace_window
        begin_s, end_s = (0.0, math.inf) if window is None else window_s(window)
        self._begin_ns = round(begin_s * NS_PER_S)
        self._end_ns = round(end_s * NS_PER_S) if math.isfinite(end_s) else None
        self._numbers: dict[tuple[int, int | str], int] = {}
        self._first_ns: int | None = None
        self._last_ns = 0
        self._skipped: dict[str, int] = {}
        self._dropped: dict[str, int] = {}

    def read(self, path: str) -> Trace:
        name = self._spec.workload.dataset
        form = FORMATS[name]
        source = open_rows(path, form.suffixes)
        entries: list[Entry] = []
        rows = 0
        for row in source.rows:
            rows += 1
            entry = self._entry(row, form.read)
            if entry is not None:
                entries.append(entry)
        if not entries:
            raise self._nothing(path, rows)
        info = DatasetInfo(
            name=name,
            path=path,
            rows_total=rows,
            rows_usable=len(entries),
            dropped=self._dropped,
            skipped=self._skipped,
            sha256=source.sha256,
            notes=list(source.notes),
        )
        return Trace(info=info, entries=entries, span_ns=self._span_ns(entries), blocks=len(self._numbers))

    def _entry(self, row: Row, read: Reader) -> Entry | None:
        """The entry of ``row``; None when it is left out."""
        try:
            recorded = read(row)
            if recorded is None:
                self._drop("failed in the trace")
                return None
            check_lengths(recorded)
            self._check_time(recorded.at_ns)
            since_ns = recorded.at_ns - (self._first_ns or 0)
            if since_ns < self._begin_ns or (self._end_ns is not None and since_ns >= self._end_ns):
                self._drop("outside --trace-window")
                return None
            return self._scaled(row.number, since_ns - self._begin_ns, recorded)
        except BadRowError as bad:
            if self._spec.workload.on_bad_row == "fail":
                raise row.failure(bad) from None
            self._skipped[bad.reason] = self._skipped.get(bad.reason, 0) + 1
            return None

    def _drop(self, reason: str) -> None:
        self._dropped[reason] = self._dropped.get(reason, 0) + 1

    def _check_time(self, at_ns: int) -> None:
        if self._first_ns is None:
            self._first_ns = self._last_ns = at_ns
        if at_ns < self._last_ns:
            raise BadRowError(
                "back_in_time",
                f"it came {(self._last_ns - at_ns) / NS_PER_S:g} s before the row above it",
                "sort the rows by time, or leave such rows out: --on-bad-row skip",
            )
        self._last_ns = at_ns

    def _scaled(self, number: int, at_ns: int, recorded: Recorded) -> Entry:
        trace = self._spec.trace
        has_text = _has_text(recorded)
        if has_text and trace.trace_input_scale != 1.0:
            raise BadRowError(
                "text_not_scaled",
                f"--trace-input-scale {trace.trace_input_scale:g}, but the row brings its own prompt",
                "drop --trace-input-scale, or remove the prompts",
            )
        size, tokens = recorded.block_tokens, recorded.input_tokens
        if tokens is not None and recorded.hash_ids is not None:
            size, tokens = _scaled_blocks(tokens, size, trace.trace_input_scale)
        elif tokens is not None:
            tokens = max(1, round(tokens * trace.trace_input_scale))
        answer = max(1, round(recorded.output_tokens * trace.trace_output_scale))
        limit = self._spec.workload.max_model_len
        if limit and (tokens or 0) + answer > limit:
            raise BadRowError(
                "max_model_len",
                f"{tokens} prompt and {answer} answer tokens are above --max-model-len {limit}",
                "raise it, or leave such rows out: --on-bad-row skip",
            )
        blocks = self._numbered(recorded.block_tokens, recorded.hash_ids or [])
        own = recorded if has_text or recorded.model is not None or recorded.session is not None else None
        return Entry(number, at_ns, tokens, answer, blocks, size, own)

    def _numbered(self, size: int, names: Hashes) -> tuple[int, ...]:
        numbers = self._numbers
        return tuple(numbers.setdefault((size, name), len(numbers)) for name in names)

    def _span_ns(self, entries: list[Entry]) -> int:
        """The window's length; without an end of it, the last arrival and one mean gap after it."""
        if self._end_ns is not None:
            return self._end_ns - self._begin_ns
        last_ns = entries[-1].at_ns
        return last_ns + round((last_ns - entries[0].at_ns) / max(1, len(entries) - 1))

    def _nothing(self, path: str, rows: int) -> DataError:
        left_out = (
            ", ".join(f"{why} {n}" for why, n in sorted((self._dropped | self._skipped).items())) or "none"
        )
        length_s = (self._last_ns - (self._first_ns or 0)) / NS_PER_S
        return DataError(
            f"trace {path} has no usable row of {rows} (left out: {left_out}); it is {length_s:g} s long",
            "check --dataset and --trace-window",
        )


def _has_text(recorded: Recorded) -> bool:
    return recorded.prompt is not None or recorded.messages is not None


def _scaled_blocks(tokens: int, size: int, scale: float) -> tuple[int, int]:
    """Tokens of a block and of the prompt, so that as many blocks stay as full as they were."""
    full, rest = divmod(tokens, size)
    scaled = max(1, round(size * scale))
    return scaled, full * scaled + (min(scaled, max(1, round(rest * scale))) if rest else 0)


def _prompt(entry: Entry, text: BlockText, named: Sequence[int], own_block: int) -> str:
    """The prompt of ``entry``; what its blocks do not fill is text of its own."""
    parts: list[str] = []
    left = entry.input_tokens or 0
    for number in named:
        tokens = min(entry.block_tokens, left)
        parts.append(text.block(number, tokens))
        left -= tokens
    if left:
        parts.append(text.block(own_block, left))
    return "".join(parts)[1:]


def _hits(entries: Sequence[Entry]) -> tuple[int, int]:
    """Prompt tokens in blocks that an earlier entry had after the same blocks, and all prompt tokens."""
    children: dict[tuple[int, int], int] = {}
    hits = tokens = 0
    for entry in entries:
        left = entry.input_tokens or 0
        tokens += left
        node, known = 0, True
        for number in entry.blocks:
            child = children.get((node, number))
            if child is None:
                known = False
                child = children[node, number] = len(children) + 1
            took = min(entry.block_tokens, left)
            hits += took if known else 0
            left -= took
            node = child
    return hits, tokens
