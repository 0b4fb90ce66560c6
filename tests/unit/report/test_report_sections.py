"""What the report page says of runs of every kind, before it is HTML."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import msgspec
import pytest
from run_builder import point, request, run
from table_runs import closed as partly_closed
from table_runs import measured
from table_runs import opened as partly_opened

from inferometer.cli.parse import parse_run
from inferometer.metrics.summary import RunSummary, summarize
from inferometer.record.imported import Imported, ImportedPoint, ImportedStat
from inferometer.record.tables import PointTable, RunRecord
from inferometer.report.files import write_page
from inferometer.report.html import report_page, run_names
from inferometer.report.page.in_numbers import plots_of
from inferometer.report.page.model import Block, Cards, Choice, Code, Page, Picture, Table, Verdict
from inferometer.report.page.render import render_page
from inferometer.report.search import Told
from inferometer.report.sections.command import command_of
from inferometer.report.sections.headline import headline
from inferometer.report.sections.measured import measured as measured_blocks
from inferometer.report.sections.tables import load_table
from inferometer.spec import RunSpec, public_dict

WHOLE: dict[str, Any] = {"kind": "measure", "burstiness": 1.0, "duration_s": None, "seed": 0}
CLOSED: dict[str, Any] = WHOLE | {
    "index": 1,
    "max_concurrency": 1,
    "request_rate": None,
    "input_len": 8,
    "output_len": 3,
}
LIMITS: dict[str, Any] = {"measure": {"slo": ["p90_ttft<=40ms", "tpot:100"]}}

FAST: dict[str, Any] = {"measure": {"slo": ["request_throughput>=20"]}}


def closed(index: int, concurrency: int, count: int = 20, **more: Any) -> PointTable:
    """A closed loop whose load is told in full."""
    return partly_closed(index, concurrency, count, **(WHOLE | more))


def cards(summary: RunSummary) -> dict[str, tuple[str, str]]:
    (found,) = [block for block in headline(summary) if isinstance(block, Cards)]
    return {card.name.en: (card.value.en, card.under.en if card.under else "") for card in found.cards}


def section(page: Page, key: str) -> tuple[Block, ...]:
    return next((section.blocks for section in page.sections if section.key == key), ())


def cells(table: Table) -> list[dict[str, str]]:
    names = [head.name.en for head in table.head]
    return [dict(zip(names, (cell.text.en for cell in row), strict=True)) for row in table.rows]


def test_the_headline_answers_how_fast_up_to_where_and_how_many_failed() -> None:
    _, summary = measured(
        closed(1, 1, 200), closed(2, 4, 300, gap_ms=25), closed(3, 8, 400, failed=40, gap_ms=20), spec=LIMITS
    )
    found = cards(summary)
    best = max(point.values["output_throughput_per_s"] or 0 for point in summary.points)
    assert found["Highest output throughput"][0] == f"{best:,.0f} tok/s"
    assert "at concurrency 8" in found["Highest output throughput"][1]
    assert found["TTFT p50/p90"][0] == "30.0 / 30.0 ms"
    assert "at concurrency 8 (highest within the SLO)" in found["TTFT p50/p90"][1]
    assert found["SLO met up to"] == ("concurrency 8", "p90_ttft<=40ms (the highest measured)")
    assert found["99 % of requests within the SLO up to"][0] == "concurrency 4"
    assert found["Requests answered"] == ("900", "40 failed (4.3 %)")


def test_loads_of_several_lengths_are_answered_each_for_itself() -> None:
    ladder = [
        closed(1, 1, 200, gap_ms=20),
        closed(2, 4, 200, gap_ms=20),
        closed(3, 1, 200, input_len=16, gap_ms=20),
        closed(4, 4, 200, input_len=16, gap_ms=100),
    ]
    _, summary = measured(*ladder, spec=FAST)
    found = cards(summary)
    kept = "concurrency 4, in 8, out 3; concurrency 1, in 16, out 3"
    assert found["SLO met up to"] == (kept, "request_throughput>=20")
    assert found["Knee"] == ("not known", "3 loads or more are needed")


def test_a_load_that_is_told_in_part_has_its_pictures_over_time() -> None:
    record, summary = measured(partly_closed(1, 4, 50))
    page = report_page([(record, summary)])
    charts = {plot.key: plot for plot in plots_of(section(page, "timelines"))}
    assert [series.name.en for series in charts["in_flight-1"].series][-1] == "asked"  # type: ignore[union-attr]


def test_a_family_that_never_keeps_its_limits_is_said_beside_those_that_do() -> None:
    _, summary = measured(closed(1, 4, 200, gap_ms=20), closed(2, 4, 200, input_len=16), spec=FAST)
    assert cards(summary)["SLO met up to"] == (
        "concurrency 4, in 8, out 3",
        "request_throughput>=20; others at no load",
    )


def test_the_verdict_tells_each_reason_once_and_says_what_it_means() -> None:
    _, summary = measured(closed(1, 1, 10, failed=10), closed(2, 4, 10, failed=10))
    verdict = headline(summary)[0]
    assert isinstance(verdict, Verdict)
    assert (verdict.word, verdict.tone) == ("INVALID", "bad")
    errors = [reason.en for reason in verdict.reasons if "errors 50.0 %" in reason.en]
    assert len(errors) == 1
    assert "at 1 more load point too" in errors[0]


def test_the_load_table_has_a_row_a_load_with_repeats_together() -> None:
    _, summary = measured(closed(1, 4, 200), closed(2, 4, 200, repeat=2), closed(3, 8, 20), spec=LIMITS)
    table = load_table([("", summary)])
    assert table is not None
    first, second = cells(table)
    assert (first["load"], first["n"], first["failed"]) == ("concurrency 4", "400", "0")
    assert "±" in first["out tok/s"]
    assert first["TTFT p90 ms"].startswith("30.0")
    assert second["TTFT p90 ms"] == "n/a"
    needs = table.rows[1][[head.name.en for head in table.head].index("TTFT p90 ms")].title
    assert needs is not None
    assert needs.en == "needs 100 requests"


def test_a_run_of_failures_alone_gives_an_honest_page() -> None:
    refused = [
        request(
            i,
            planned=0,
            sent=0,
            end=4,
            status="http_error",
            http_status=503,
            error=f"busy {i}",
            streamed=False,
        )
        for i in range(6)
    ]
    record = run(point(refused, load=CLOSED))
    page = report_page([(record, summarize(record))])
    (failures, *_) = section(page, "failures")
    assert isinstance(failures, Table)
    assert cells(failures)[0] | {"load": ""} == {
        "load": "", "count": "6", "how it ended": "http_error 503", "first example": "busy 0", "first request": "0",
    }  # fmt: skip
    assert cards(summarize(record)) == {"Requests answered": ("0", "6 failed (100.0 %)")}
    assert "INVALID" in render_page(page)


def test_a_run_without_load_points_says_so() -> None:
    record = run()
    assert "No load point was measured" in render_page(report_page([(record, summarize(record))]))


def test_an_imported_run_shows_what_its_files_say() -> None:
    stat = ImportedStat(mean=22.0, percentiles={"50": 21.0, "99": 40.0})
    told = ImportedPoint(
        point=1, completed=500, failed=2, values={"output_throughput_per_s": 1234.0}, stats={"ttft_ms": stat}
    )
    other = Imported(tool="vllm", format="vllm bench serve JSON", points=[told], stated={"backend": "vllm"})
    record = run(point([], planned_requests=None, dispatched=0, load=CLOSED))
    record = RunRecord(record.path, record.meta, record.tables, imported=other)
    summary = summarize(record)
    found = cards(summary)
    assert found["Highest output throughput"][0] == "1,234 tok/s"
    assert found["TTFT p50/p99"][0] == "21.0 / 40.0 ms"
    assert found["Requests answered"] == ("500", "2 failed (0.4 %)")
    text = render_page(report_page([(record, summary)]))
    assert "Measured and reported by vllm" in text


def test_several_runs_lie_over_each_other_then_come_one_by_one_with_keys_of_their_own() -> None:
    first = measured(closed(1, 1, 50), closed(2, 4, 50), model="a")
    second = measured(partly_opened(1, 2.0, 50, **WHOLE), model="b")
    page = report_page([first, second], "zh")
    table = next(block for block in section(page, "loads") if isinstance(block, Table))
    assert [row["run"] for row in cells(table)] == ["a", "a", "b"]
    names = [series.name.en for series in next(plots_of(list(section(page, "loads")))).series]  # type: ignore[union-attr]
    assert names[:2] == ["a", "b"]
    text = render_page(page)
    ids = [part.split('"')[0] for part in text.split(' id="')[1:]]
    assert len(ids) == len(set(ids))


def test_names_of_runs_are_the_shortest_that_tell_them_apart() -> None:
    _, summary = measured(closed(1, 1))

    def named(**fields: str) -> RunSummary:
        return msgspec.structs.replace(summary, **fields)

    assert run_names([named(label="x"), named(label="y")]) == ["x", "y"]
    assert run_names([named(model="m"), named(model="n")]) == ["m", "n"]
    assert run_names([named(run_id="1"), named(run_id="2")]) == ["1", "2"]


def test_pictures_of_load_points_are_chosen_by_load() -> None:
    page = report_page([measured(closed(1, 1, 50), closed(2, 4, 50))])
    (choice,) = section(page, "timelines")
    assert isinstance(choice, Choice)
    assert [name.en for name, _ in choice.options] == ["concurrency 1", "concurrency 4"]
    alone = section(report_page([measured(closed(1, 1, 50))]), "timelines")
    assert all(isinstance(block, Picture) for block in alone)


def test_the_command_asks_for_the_same_again_without_secrets() -> None:
    spec = RunSpec.model_validate(
        {
            "endpoint": {"url": "http://h:8000", "api_key": "sk-very-secret", "header": ["X-Key: hidden"]},
            "load": {"max_concurrency": [1, 8], "num_prompts": [20, 80]},
            "workload": {"input_len": [128], "text": "words"},
            "sampling": {"stream": False, "extra_body": {"a b": "it's"}},
            "measure": {"slo": ["p99_ttft<=200ms"]},
            "output": {"label": ["two words"], "out": "elsewhere"},
        }
    )
    text, secret = command_of(public_dict(spec))
    assert "secret" not in text
    assert "hidden" not in text
    assert secret == ("--api-key", "--header")
    words = shlex.split(text.replace("\\\n", " "))
    assert words[:2] == ["inferometer", "run"]
    asked = parse_run(words[2:]).flags.values
    for part in ("load", "workload", "sampling", "measure"):
        given = {key: value for key, value in asked.items() if key.startswith(part)}
        for key, value in given.items():
            known = getattr(
                getattr(RunSpec.model_validate({part: {key.split(".")[1]: value}}), part), key.split(".")[1]
            )
            assert known == getattr(getattr(spec, part), key.split(".")[1])
    assert {"load.max_concurrency", "load.num_prompts", "sampling.stream", "sampling.extra_body"} <= set(
        asked
    )


def test_the_page_of_a_run_is_written_whole_into_its_folder(tmp_path: Path) -> None:
    record = run(closed(1, 1, 30), path=tmp_path)
    path = write_page(record, summarize(record), Told(("the largest load is 8",)))
    assert path == tmp_path / "report.html"
    assert "the largest load is 8" in path.read_text(encoding="utf-8")
    assert [each.name for each in tmp_path.iterdir()] == ["report.html"]


@pytest.mark.parametrize("state", ["interrupted", "recovered"])
def test_a_run_that_was_cut_short_has_a_page_too(state: str) -> None:
    begun = point(
        [], index=2, planned_requests=5, dispatched=0, load=CLOSED | {"index": 2, "max_concurrency": 4}
    )
    record = run(closed(1, 1, 3), begun, state=state)
    page = report_page([(record, summarize(record))])
    table = next(block for block in section(page, "loads") if isinstance(block, Table))
    assert [row["n"] for row in cells(table)] == ["3", "0"]
    assert render_page(page)


def test_where_most_requests_are_refused_the_client_is_not_called_slow() -> None:
    requests = [
        request(
            i,
            planned=10 * i,
            sent=10 * i,
            end=10 * i + 1,
            status="http_error",
            http_status=503,
            streamed=False,
        )
        for i in range(200)
    ]
    _, summary = measured(point(requests, [], load=CLOSED | {"max_concurrency": 8, "closed": True}))
    (held,) = [c for c in summary.points[0].verdict.conditions if c.name == "concurrency"]
    assert held.ok is False
    assert held.next_step == "see the failures: a request that is refused is hardly in flight"


def test_several_runs_are_each_judged_with_their_first_reason() -> None:
    few = msgspec.structs.replace(measured(closed(1, 4, 20))[1], run_id="few")
    failed = msgspec.structs.replace(measured(closed(1, 4, 20, failed=20))[1], run_id="failed")
    record, _ = measured(closed(1, 4, 20))
    (verdict, *_) = section(report_page([(record, few), (record, failed)]), "result")
    assert isinstance(verdict, Verdict)
    assert verdict.word == "INVALID"
    assert verdict.reasons[0].en.startswith("few: INVALID: concurrency 0.98 requests, limit 3.80 requests")
    assert verdict.reasons[1].en.startswith("failed: INVALID: errors 50.0 %")


def test_what_measures_a_demo_again_is_the_demo() -> None:
    spec = public_dict(RunSpec.model_validate({"endpoint": {"url": "http://127.0.0.1:41785"}}))
    record = run(closed(1, 1, 30), spec=spec, again="inferometer demo")
    (told,) = [block.text for block in measured_blocks(record, summarize(record)) if isinstance(block, Code)]
    assert told == "inferometer demo"


def test_a_launched_server_is_started_again_and_listens_where_it_will() -> None:
    parts = {"endpoint": {"url": "http://127.0.0.1:41785"}, "launch": {"command": "llamacpp tiny"}}
    text, _ = command_of(public_dict(RunSpec.model_validate(parts)))
    assert "--launch 'llamacpp tiny'" in text
    assert "--url" not in text
