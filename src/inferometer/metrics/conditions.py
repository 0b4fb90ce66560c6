"""The conditions of the verdict, in the order in which they are told."""

from __future__ import annotations

from collections.abc import Callable

from inferometer.metrics import answer_conditions as answers
from inferometer.metrics import client_conditions as client
from inferometer.metrics import shape_conditions as shapes
from inferometer.metrics import speculative_conditions as drafts
from inferometer.metrics.evidence import Evidence
from inferometer.metrics.verdict import Condition

Judge = Callable[[Evidence], Condition | None]

HARD: tuple[Judge, ...] = (
    answers.all_recorded,
    answers.few_errors,
    client.all_workers_reported,
    client.sent_in_time,
    client.load_reached,
    client.read_in_time,
    client.chunk_times_known,
    client.cpu_to_spare,
    answers.really_streamed,
    answers.length_as_asked,
    client.clock_steady,
    client.clock_converted,
)
WARN: tuple[Judge, ...] = (
    answers.enough_samples,
    answers.steady,
    answers.cold_cache,
    answers.reads_apart,
    answers.usage_reported,
    answers.finished_as_asked,
    answers.prompts_fresh,
    answers.not_cut_off,
    drafts.written_prompts,
    drafts.counters_hold,
    drafts.drafts_are_ours,
    shapes.stopped_early,
    shapes.shape_complete,
    shapes.given_up_as_asked,
    client.never_very_late,
    client.had_its_core,
)


# They ask whether the generator kept up, and in virtual time there is none: requests are sent when they are due.
OF_CLIENT: frozenset[Judge] = frozenset(
    {
        client.all_workers_reported,
        client.sent_in_time,
        client.read_in_time,
        client.chunk_times_known,
        client.cpu_to_spare,
        client.clock_steady,
        client.clock_converted,
        client.never_very_late,
        client.had_its_core,
    }
)


def judge(evidence: Evidence) -> list[Condition]:
    """Every condition that applies to the load point, hard ones first; none on the client of a simulated one."""
    left_out = OF_CLIENT if evidence.table.point.virtual else frozenset()
    found = (condition(evidence) for condition in (*HARD, *WARN) if condition not in left_out)
    return [condition for condition in found if condition is not None]
