"""The section on speculative decoding, word for word."""

from __future__ import annotations

import msgspec

from inferometer.metrics.speculative import Speculative
from inferometer.metrics.summary import PointSummary
from inferometer.report.speculative import speculative_lines

COUNTED = Speculative(
    source="engine counters",
    acceptance_rate=0.75,
    acceptance_length=3.1,
    drafts=1584,
    draft_tokens=4436,
    accepted_tokens=3325,
    per_position=[0.836, 0.683],
    notes=["15 % of the steps had no draft"],
)


def summary(found: Speculative | None) -> PointSummary:
    """A load point of which only this is looked at."""
    fields = dict.fromkeys(PointSummary.__struct_fields__)
    return PointSummary(**(fields | {"speculative": found}))


def test_a_row_its_places_and_what_is_to_know() -> None:
    assert speculative_lines([summary(COUNTED)], ["concurrency 2"]) == [
        "load           accepted  length  drafts  draft tok  accepted tok  tok/step  from",
        "concurrency 2    75.0 %    3.10   1,584      4,436         3,325       n/a  engine counters",
        "accepted by place in the draft: 1: 83.6 %, 2: 68.3 %",
        "accepted: of the draft tokens; length: tokens per checked draft, the model's own included; "
        "tok/step: mean of the requests, from the stream",
        "15 % of the steps had no draft",
    ]


def test_points_without_speculation_have_no_row_and_a_run_without_it_no_section() -> None:
    gauges = msgspec.structs.replace(COUNTED, source="engine gauges", per_position=[], notes=[])
    lines = speculative_lines([summary(None), summary(gauges)], ["a", "b"])
    assert [line.split()[0] for line in lines] == ["load", "b", "accepted:"]
    assert speculative_lines([summary(None)], ["a"]) == []
