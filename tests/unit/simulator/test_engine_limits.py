"""Limits that contradict each other, or that nobody would look at, are named with what to do."""

from __future__ import annotations

import pytest
from instance_world import small

from inferometer.errors import UsageError
from inferometer.simulator.instance.limits import EngineLimits


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"max_num_seqs": 0}, "max_num_seqs=0"),
        ({"kv_blocks": -1}, "kv_blocks=-1"),
        ({"max_prefill_seqs": 0, "scheduler": "prefill-first"}, "max_prefill_seqs=0"),
        ({"max_preempt": 0, "scheduler": "prefill-first"}, "max_preempt=0"),
        ({"prefill_delay_s": float("nan"), "scheduler": "prefill-first"}, "prefill_delay_s=nan"),
        ({"prefill_delay_s": float("inf"), "scheduler": "prefill-first"}, "prefill_delay_s=inf"),
        ({"kv_blocks": 15}, "hold 60 tokens, less than max_model_len=64"),
        ({"max_num_batched_tokens": 3}, "max_num_batched_tokens=3 is less than max_num_seqs=4"),
        ({"max_prefill_seqs": 2}, "max_prefill_seqs=2 has no meaning with scheduler=chunked"),
        ({"reserve_full_prompt": False, "scheduler": "static"}, "use scheduler=chunked"),
        ({"prefix_cache": True, "scheduler": "static"}, "scheduler=static"),
        ({"draft_tokens": 2}, "draft_tokens=2 without acceptance"),
        ({"draft_tokens": 1, "acceptance": (0.5, 0.5)}, "not more of them than draft_tokens=1"),
        ({"draft_tokens": 1, "acceptance": (1.5,)}, "from 0 to 1"),
        ({"acceptance": (0.5,)}, "draft_tokens=0"),
    ],
)
def test_a_contradiction_is_named(given: dict[str, object], says: str) -> None:
    with pytest.raises(UsageError) as caught:
        small(**given)
    assert says in str(caught.value)


def test_fewer_tokens_than_sequences_are_fine_where_decodes_are_not_counted() -> None:
    assert small(scheduler="prefill-first", max_num_batched_tokens=2).max_num_seqs == 4


def test_the_defaults_are_those_of_vllm() -> None:
    plain = EngineLimits()
    assert (plain.max_num_seqs, plain.max_num_batched_tokens, plain.block_tokens) == (256, 2048, 16)
