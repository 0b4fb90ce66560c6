from __future__ import annotations

import pytest

from inferometer.metrics.views.vllm import vllm_result
from inferometer.record.types import ChunkKind
from views.compare import compared, missing
from views.server import Served, script
from views.traffic import Seen, as_sent, meta_of, rows_of, table_of


def served(number: int, tokens: int) -> Served:
    """An answer that left exactly when it was due, 7 s after the server's clock began."""
    answer = Served(7_000_000_000, tokens, 16, script(number, tokens))
    moments = sorted({frame.at_ms for frame in answer.frames})
    answer.sent_ns = [7_000_000_000 + round(frame.at_ms * 1e6) for frame in answer.frames]
    answer.read = [moments.index(frame.at_ms) for frame in answer.frames]
    return answer


@pytest.mark.parametrize("tokens", [1, 3, 4, 5, 20])
def test_a_script_carries_all_tokens_and_ends_like_a_server(tokens: int) -> None:
    for number in range(15):
        frames = script(number, tokens)
        assert sum(frame.tokens or 0 for frame in frames) == tokens
        assert frames[0].kind is ChunkKind.ROLE
        assert [f.kind for f in frames[-3:]] == [ChunkKind.OTHER, ChunkKind.USAGE, ChunkKind.DONE]
        assert [f.at_ms for f in frames] == sorted(f.at_ms for f in frames)


def test_frames_of_one_write_share_a_read() -> None:
    answer = served(0, 8)
    together = [read for read in answer.read if answer.read.count(read) > 1]
    assert len(together) == 2


def test_a_record_made_from_stamps_is_read_back_by_the_view() -> None:
    answers = [served(0, 8), served(5, 1)]
    seen = [
        Seen(a, start, as_sent(a, start), start + 0.3)
        for a, start in zip(answers, (100.0, 100.4), strict=True)
    ]
    result = vllm_result(table_of(rows_of(seen)), meta_of())
    assert result["mean_ttft_ms"] == pytest.approx(20.0), "the role frame"
    assert result["total_output_tokens"] == 9
    assert result["duration"] == pytest.approx(0.7)


def test_only_numbers_at_the_same_place_are_compared() -> None:
    theirs = {"a": 1.0, "b": [{"c": 2}], "text": "3", "flag": True, "date": 4, "only": 5}
    ours = {"a": 1.0000004, "b": [{"c": 3}], "text": 3, "flag": True, "date": 4, "own": None}
    found = {one.key: one for one in compared(theirs, ours)}
    assert set(found) == {"a", "b / 0 / c"}
    assert found["a"].equal(0.0, 1e-6)
    assert not found["b / 0 / c"].equal(0.05, 1e-6)
    assert missing(theirs, ours) == ["own"]
