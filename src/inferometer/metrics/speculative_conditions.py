"""Conditions on acceptance: prompts that it means something on, counters that hold, nobody else's drafts among them."""

from __future__ import annotations

from inferometer.metrics.engine_counts import Unknown, engine_counts
from inferometer.metrics.evidence import Evidence
from inferometer.metrics.speculative import speculative_of
from inferometer.metrics.verdict import Condition

_OTHERS_SHARE = 0.01
WRITTEN = "use prompts that people wrote: --dataset humaneval --dataset-path FILE"


def written_prompts(e: Evidence) -> Condition | None:
    """What is drafted follows the text: of made-up text neither draft nor answer is what users get."""
    found = speculative_of(e.data)
    if found is None or not found.made_text:
        return None
    return Condition(
        name="acceptance on made-up prompts",
        level="warn",
        asked="acceptance on them means nothing, and latencies follow it",
        measured=found.acceptance_rate,
        limit=None,
        unit="share",
        ok=False,
        next_step=WRITTEN,
    )


def counters_hold(e: Evidence) -> Condition | None:
    """The engine's counters were there before and after, and grew in between."""
    counts = engine_counts(e.table.point)
    if not isinstance(counts, Unknown):
        return None
    return Condition(
        name="engine counters",
        level="warn",
        asked=counts.reason,
        measured=None,
        limit=None,
        unit="",
        ok=False,
        next_step=counts.next_step,
    )


def drafts_are_ours(e: Evidence) -> Condition | None:
    """Our answers can hold what came out of the drafts that the engine counted."""
    found = speculative_of(e.data)
    if found is None or found.unexplained is None:
        return None
    return Condition(
        name="drafts of others",
        level="warn",
        asked="share of the tokens from drafts that no request of ours got",
        measured=found.unexplained,
        limit=_OTHERS_SHARE,
        unit="share",
        ok=found.unexplained <= _OTHERS_SHARE,
        next_step="somebody else uses the server: its acceptance is in the counters too, and its load in the latencies",
    )
