"""Two result blocks of a published load test (Hygon DCU, vLLM): our formulas give their printed throughputs.

The blocks print the duration with two decimals, so the test asks for a duration that rounds to the printed one and
gives all three throughput lines at once.
"""

from typing import NamedTuple

import numpy as np
import pytest

from inferometer.metrics.throughput import add, throughput


class Block(NamedTuple):
    successful: int
    duration_s: str
    input_tokens: int
    output_tokens: int
    request_throughput: str
    output_throughput: str
    total_throughput: str


BLOCKS = {
    "qwen2.5-72b": Block(1000, "337.55", 217393, 201633, "2.96", "597.34", "1241.37"),
    "deepseek-r1-distill-qwen-7b, 388 of 1000": Block(
        388, "55.08", 105060, 177808, "7.04", "3228.07", "5135.42"
    ),
}


@pytest.mark.parametrize("name", BLOCKS)
def test_the_printed_throughputs_follow_from_counts_and_duration(name: str) -> None:
    block = BLOCKS[name]

    def printed(duration_s: float) -> tuple[str, ...]:
        counts = (block.successful, block.output_tokens, add(block.input_tokens, block.output_tokens))
        return tuple(f"{throughput(count, duration_s):.2f}" for count in counts)

    wanted = (block.request_throughput, block.output_throughput, block.total_throughput)
    durations = float(block.duration_s) + np.linspace(-0.005, 0.005, 4001)
    assert any(printed(float(d)) == wanted for d in durations)


def test_no_time_and_no_count_give_no_throughput() -> None:
    assert throughput(5, 0.0) is None
    assert throughput(5, None) is None
    assert throughput(None, 5.0) is None
    assert throughput(0, 5.0) == 0.0
