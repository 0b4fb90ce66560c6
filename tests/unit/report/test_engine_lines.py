"""What a person reads of the server that a run started itself, and what its end makes of the verdict."""

from __future__ import annotations

from run_builder import point, run, steady_requests

from inferometer.metrics.summary import RunSummary, summarize
from inferometer.record.engine import EngineRecord
from inferometer.report.console import render_run
from inferometer.report.engine import engine_lines

ENGINE = EngineRecord(
    name="vllm",
    version="0.32.0",
    command="vllm serve m --port 43210",
    env={"HF_TOKEN": "***"},
    url="http://127.0.0.1:43210",
    cores=[0, 1, 2, 5],
    ready_s=31.25,
    facts={"max_num_seqs": 16, "kv_tokens": 65536, "kv_blocks": 4096},
)
KILLED = {"ended": "vllm ended with signal SIGKILL; it wrote nothing", "next_step": "was memory short?"}


def summary(engine: EngineRecord | None) -> RunSummary:
    return summarize(run(point(*steady_requests(200)), engine=engine))


def test_what_it_is_and_what_it_was_started_with() -> None:
    assert engine_lines(ENGINE) == [
        "vllm 0.32.0, ready after 31.2 s, on cores 0-2,5",
        "16 sequences in a step at most, 65,536 tokens in the KV cache",
        "command: HF_TOKEN=*** vllm serve m --port 43210",
    ]
    assert engine_lines(EngineRecord(name="command", command="./serve")) == ["command", "command: ./serve"]


def test_the_report_has_it_only_where_the_run_started_it() -> None:
    lines = render_run(summary(ENGINE)).splitlines()
    assert lines.index("Engine") < lines.index("Load points, qwen2.5-7b")
    assert "Engine" not in render_run(summary(None)).splitlines()


def test_a_server_that_ended_by_itself_makes_the_run_invalid() -> None:
    fields = {name: getattr(ENGINE, name) for name in EngineRecord.__struct_fields__}
    ended = summary(EngineRecord(**(fields | KILLED)))
    assert ended.verdict.word == "INVALID"
    text = " ".join(render_run(ended).split())
    assert (
        "engine (vllm ended with signal SIGKILL; it wrote nothing). Next: was memory short?; all that it wrote is in "
        "engine.log." in text
    )
    assert [c.ok for c in summary(ENGINE).verdict.conditions if c.name == "engine"] == [True]
