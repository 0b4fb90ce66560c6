"""Streaming answers in every framing, with known times, and the run that measures one of them."""

from __future__ import annotations

from pathlib import Path

from inferometer import api
from inferometer.record.store import read_run
from inferometer.record.tables import PointTable
from inferometer.spec import Endpoint, Load, Output, RunSpec, Sampling, Workload
from inferometer.testing.fault_server import FaultServer, Script
from inferometer.testing.streams import delta, sse, stream, usage

TTFT_S, GAP_S, TOKENS = 0.040, 0.025, 6
ENDS = [TTFT_S + i * GAP_S for i in range(TOKENS)]
WORDS = [f" w{i}" for i in range(TOKENS)]
REQUESTS = 3


def tail(newline: str = "\n") -> list[tuple[float, bytes]]:
    """Finish, usage and [DONE] 30 ms after the last token: none of them may move a latency."""
    at_s = ENDS[-1] + 0.030
    frames = [sse(delta(finish="length"), newline), sse(usage(9, TOKENS), newline), sse("[DONE]", newline)]
    return [(at_s, frame) for frame in frames]


def tokens(newline: str = "\n", field: str = "content") -> list[tuple[float, bytes]]:
    return [(at_s, sse(delta(**{field: word}), newline)) for at_s, word in zip(ENDS, WORDS, strict=True)]


def halves(parts: list[tuple[float, bytes]], cut_at: int) -> list[tuple[float, bytes]]:
    """Each frame in two writes: the first part 8 ms early, the rest, which completes it, in time."""
    return [half for at_s, data in parts for half in ((at_s - 0.008, data[:cut_at]), (at_s, data[cut_at:]))]


def tool(text: str) -> dict[str, object]:
    return delta(tool_calls=[{"index": 0, "function": {"arguments": text}}])


ROLE = (0.002, sse(delta("", role="assistant")))
CASES: dict[str, Script] = {
    "lf": stream([*tokens(), *tail()]),
    "crlf": stream([*tokens("\r\n"), *tail("\r\n")]),
    "cr": stream([*tokens("\r"), *tail("\r")]),
    "role_first": stream([ROLE, *tokens(), *tail()]),
    "empty_first": stream([ROLE, (0.004, sse(delta(""))), *tokens(), *tail()]),
    "keep_alive_comments": stream(
        [(0.001, b": ping\n\n"), *tokens(), (ENDS[-1] + 0.01, b": ping\n\n"), *tail()]
    ),
    "usage_in_each": stream(
        [
            *(
                (at, sse({**delta(w), "usage": usage(9, i + 1)["usage"]}))
                for i, (at, w) in enumerate(zip(ENDS, WORDS, strict=True))
            ),
            *tail(),
        ]
    ),
    "reasoning_first": stream([*tokens(field="reasoning_content")[:3], *tokens()[3:], *tail()]),
    "tool_calls": stream([*((at, sse(tool(w))) for at, w in zip(ENDS, WORDS, strict=True)), *tail()]),
    "split_in_data": stream([*halves(tokens(), 20), *tail()]),
    "split_before_blank_line": stream([*halves(tokens(), -1), *tail()]),
    "split_crlf": stream([*halves(tokens("\r\n"), -3), *tail("\r\n")]),
    "done_missing": stream([*tokens(), *tail()[:-1]]),
    "no_final_blank_line": stream([*tokens(), *tail()[:-1], (ENDS[-1] + 0.03, sse("[DONE]", final=False))]),
    "content_length": stream([*tokens(), *tail()], "length"),
    "until_close": stream([*tokens(), *tail()], "close"),
    "looks_like_the_end": stream([*tokens(), (ENDS[-1] + 0.01, b": 0\r\n\r\n"), *tail()]),
}


def measure(server: FaultServer, tmp_path: Path, **endpoint: object) -> PointTable:
    result = api.run(
        RunSpec(
            endpoint=Endpoint(url=server.url, **endpoint),
            load=Load(max_concurrency=(1,), num_prompts=(REQUESTS,), warmup=1),
            workload=Workload(input_len=(8,), output_len=(TOKENS,)),
            sampling=Sampling(ignore_eos=True),
            output=Output(out=str(tmp_path)),
        )
    )
    return read_run(result.path).measured[0]
