"""Which ranks are slow beside the others, and where ranks are."""

from __future__ import annotations

import pytest

from inferometer.engines.nodes.ranks import pattern_urls, ranks_of
from inferometer.engines.nodes.warmup import Woken, judged
from inferometer.errors import UsageError


def answers(*times_ms: float | None) -> list[Woken]:
    return [
        Woken(rank=rank, url="http://r", state="dead" if ms is None else "ok", attempts=1, answer_ms=ms)
        for rank, ms in enumerate(times_ms)
    ]


def states(*times_ms: float | None, factor: float = 3.0) -> list[str]:
    return [woken.state for woken in judged(answers(*times_ms), factor)]


def test_a_host_without_an_address_is_a_dead_rank_and_not_the_end() -> None:
    found, gone = ranks_of(["http://127.0.0.1:1", "http://nowhere.invalid:1"], {}, {})
    assert found.target is not None
    assert gone.target is None
    assert "host 'nowhere.invalid' cannot be resolved" in str(gone.unknown)


def test_slow_is_beside_the_median_of_those_that_answered() -> None:
    assert states(1000, 1010, 3500, 990, None) == ["ok", "ok", "slow", "ok", "dead"]
    assert judged(answers(1000, 1010, 3500, 990), 3.0)[2].reason == "3.5 x the median of 1005 ms"


def test_almost_half_of_them_may_be_slow() -> None:
    assert states(100, 100, 100, 900, 900) == ["ok"] * 3 + ["slow"] * 2


def test_what_is_a_few_milliseconds_slower_is_not_slow() -> None:
    assert states(2, 2, 2, 40, 101) == ["ok"] * 5
    assert states(2, 2, 2, 103) == ["ok"] * 3 + ["slow"]


def test_two_are_not_compared() -> None:
    assert states(10, 5000) == ["ok", "ok"]


def test_the_factor_is_asked_for() -> None:
    assert states(1000, 1000, 1900, factor=1.5) == ["ok", "ok", "slow"]


def test_a_pattern_fills_one_host_after_the_other_as_warmup_engine_py_does() -> None:
    urls = pattern_urls(["n0", "n1", "n2", "n3"], 32, 23333, 10)
    assert [urls[rank] for rank in (0, 7, 8, 31)] == [
        "http://n0:23333", "http://n0:23403", "http://n1:23413", "http://n3:23643"
    ]  # fmt: skip


def test_no_hosts_are_refused() -> None:
    with pytest.raises(UsageError, match="do not share 0 hosts"):
        pattern_urls([], 4, 23333, 10)


def test_a_key_that_is_none_is_not_blamed_on_the_address() -> None:
    with pytest.raises(UsageError, match="API key: a key is one word"):
        ranks_of(["http://127.0.0.1:1"], {"api_key": "a\nb"}, {})


@pytest.mark.parametrize(("ranks", "port"), [(3, 23333), (0, 23333), (32, 65500), (32, 0)])
def test_a_pattern_that_is_none_is_refused(ranks: int, port: int) -> None:
    with pytest.raises(UsageError):
        pattern_urls(["a", "b"], ranks, port, 10)


def test_the_same_rank_twice_is_refused() -> None:
    with pytest.raises(UsageError, match="is given more than once"):
        ranks_of(["http://127.0.0.1:1", "http://127.0.0.1:1/v1"], {}, {})


def test_a_path_belongs_to_no_rank() -> None:
    (rank,) = ranks_of(["http://127.0.0.1:1/v1"], {"api_key": "secret-key"}, {})
    assert rank.url == "http://127.0.0.1:1"
    assert ("Authorization", "Bearer secret-key") in rank.target.headers
