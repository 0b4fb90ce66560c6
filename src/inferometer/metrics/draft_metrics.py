"""The entries of the metric dictionary on speculative decoding."""

from __future__ import annotations

from inferometer.metrics import speculative
from inferometer.metrics.metric import Metric

_STEPS = "m = chunks with output, one step of the engine each; absent where the stream does not show steps"
_TOLD = "k from --num-speculative-tokens, else from the engine's counters; s from --num-scheduler-steps. "

DRAFTS = (
    Metric(
        "acceptance_rate",
        "Acceptance rate of draft tokens",
        "share",
        "accepted / drafted tokens",
        "counters_before, counters_after; accepted_draft_tokens; chunks",
        "From the engine's counters before and after the load point (as vLLM and AISBench, in %), else from what "
        "answers report, else from tokens per step. On random prompts it means nothing.",
        "point",
        speculative.acceptance_rate,
    ),
    Metric(
        "acceptance_length",
        "Acceptance length",
        "tokens",
        "1 + accepted tokens / drafts",
        "as acceptance_rate",
        "Tokens per checked draft, the model's own included. SGLang: accept_length.",
        "point",
        speculative.acceptance_length,
    ),
    Metric(
        "tokens_per_step",
        "Tokens per step",
        "tokens",
        "(n - n_first) / (m - 1)",
        "output tokens; chunks: kind, tokens",
        f"{_STEPS}. EvalScope: Avg Decoded Tok/Iter, of which it takes 1 - 1 / L for the acceptance rate.",
        "request",
        speculative.tokens_per_step,
    ),
    Metric(
        "accept_rate",
        "Acceptance rate from the stream (MTP)",
        "share",
        "(n - n_first - (m - 1) s) / ((m - 1) k s)",
        "output tokens; chunks: kind, tokens",
        f"{_TOLD}{_STEPS}. SPEC_ACCEPT_RATE of the Ascend guide's scripts.",
        "request",
        speculative.accept_rate,
    ),
    Metric(
        "accept_rate_plain",
        "Acceptance rate from the stream (plain)",
        "share",
        "(n - n_first) / ((m - 1) (k + 1) s)",
        "output tokens; chunks: kind, tokens",
        f"{_TOLD}{_STEPS}. The guide's scripts without --use-mtp-accept-rate.",
        "request",
        speculative.accept_rate_plain,
    ),
)
