"""EvalScope's search for an SLA, pasted."""

import shlex

import pytest

from inferometer.cli.parse import SEARCH, parse_run
from inferometer.errors import UsageError
from inferometer.exchange.compat.sla import translated


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        (
            """--sla-auto-tune --sla-variable rate --sla-params '[{"p99_ttft": "<=2s", "avg_latency": "<10"}]'""",
            "--search request-rate --slo p99_ttft<=2s mean_e2el<10s failed<=0",
        ),
        (
            """--sla-params '{"p90_tpot": "<=50ms"}' --sla-lower-bound 2 --sla-upper-bound 64""",
            "--slo p90_tpot<=50ms failed<=0 --min 2 --max 64 --search max-concurrency",
        ),
        (
            """--sla-variable parallel --sla-params '[{"tps": "max"}]' --sla-num-runs 3""",
            "--search max-concurrency --target peak-throughput --objective output-throughput --repeat 3",
        ),
        ("--slo p99_ttft<=1s --min 2", "--slo p99_ttft<=1s --min 2"),
    ],
)
def test_flags_that_mean_the_same_are_taken_over(theirs: str, ours: str) -> None:
    assert translated(shlex.split(theirs))[0] == ours.split()


@pytest.mark.parametrize(
    ("theirs", "words"),
    [
        ("""--sla-params '[{"p99_ttft": "<=2"}]'""", "seconds in some versions"),
        ("""--sla-params '[{"p99_ttft": "<=2s"}, {"p99_tpot": "<=50ms"}]'""", "2 groups"),
        ("""--sla-params '[{"tps": ">=100"}]'""", "upper limits on a latency"),
        ("--sla-params p99", "no JSON"),
        ("--sla-params 3", "no list of objects"),
        ("--sla-variable load", "neither parallel nor rate"),
        ("--sla-number-multiplier 2", "follows from its percentiles"),
    ],
)
def test_what_does_not_map_plainly_is_refused(theirs: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        translated(shlex.split(theirs))


def test_a_search_takes_them_and_a_run_does_not() -> None:
    words = ["--sla-params", '[{"p99_ttft": "<=2s"}]']
    asked = parse_run(words, SEARCH)
    assert asked.flags.values["measure.slo"] == ["p99_ttft<=2s", "failed<=0"]
    assert any("--sla-params is --slo" in hint for hint in asked.hints)
    with pytest.raises(UsageError, match="inferometer search"):
        parse_run(words)
