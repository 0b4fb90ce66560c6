"""Three requests, worked out by hand, against the formulas of Huawei's scripts."""

import numpy as np
import pytest
from run_builder import Chunk, point, request

from inferometer.metrics import guide
from inferometer.metrics.latency import PointData

NONE = np.nan


@pytest.fixture
def data() -> PointData:
    """0: a token a chunk. 1: chunks of one, three and two tokens. 2: one token. 3: failed."""
    requests = [
        request(0, sent=0, first_token=10, last_token=30, end=31, output_tokens_server=4),
        request(1, sent=12, first_token=22, last_token=42, end=43, output_tokens_server=6),
        request(2, sent=0, first_token=5, last_token=5, end=6, output_tokens_server=1),
        request(3, sent=24, end=50, status="timeout", streamed=False),
    ]
    chunks = [
        *(Chunk(0, at, read=place) for place, at in enumerate((10, 14, 20, 30))),
        Chunk(1, 22, tokens=1, read=0),
        Chunk(1, 23, tokens=3, read=1),
        Chunk(1, 42, tokens=2, read=2),
        Chunk(2, 5),
    ]
    return PointData(point(requests, chunks), "sent")


def test_the_gap_between_first_and_second_chunk(data: PointData) -> None:
    np.testing.assert_allclose(guide.second_chunk_gap_ms(data), [4, 1, NONE])


def test_tpot_from_the_second_chunk_divides_by_the_tokens_after_it(data: PointData) -> None:
    np.testing.assert_allclose(guide.tpot_from_second_ms(data), [16 / 2, 19 / 2, NONE])


def test_chunks_that_do_not_say_their_tokens_are_taken_for_one_each(data: PointData) -> None:
    unsaid = dict(data.table.chunks) | {"tokens": np.full(8, np.nan)}
    told = PointData(type(data.table)(data.table.point, data.table.requests, unsaid), "sent")
    np.testing.assert_allclose(guide.tpot_from_second_ms(told), [16 / 2, 19 / 4, NONE])


def test_decoding_as_a_rate_and_as_time_per_token(data: PointData) -> None:
    np.testing.assert_allclose(guide.decode_rate_per_s(data), [4 / 0.020, 6 / 0.020, NONE])
    np.testing.assert_allclose(guide.decode_ms_per_token(data), [20 / 4, 20 / 6, 0])


def test_the_early_latency_leaves_out_what_touches_any_wait_for_a_first_token(data: PointData) -> None:
    # Waits: 0-10, 12-22, 0-5. Gaps: 10-14, 14-20, 20-30, 22-23, 23-42; only the last touches none.
    np.testing.assert_allclose(guide.undisturbed_gap_ms(data), [19])


def test_without_chunks_there_is_nothing_to_measure() -> None:
    whole = PointData(point([request(0, sent=0, end=40, streamed=False, output_tokens_server=9)]), "sent")
    for formula in (guide.second_chunk_gap_ms, guide.tpot_from_second_ms, guide.decode_rate_per_s):
        np.testing.assert_allclose(formula(whole), [NONE])
    assert len(guide.undisturbed_gap_ms(whole)) == 0
