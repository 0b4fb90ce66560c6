"""Blocks of prompts: named by all that stands before them, computed once, and told to the client."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from sim_world import events

from inferometer.simulator import SimSettings
from inferometer.simulator.instance.instance import Instance
from inferometer.simulator.instance.limits import Job
from inferometer.simulator.instance.sequence import Sequence
from inferometer.simulator.server.prompt_view import PromptViewer
from inferometer.simulator.server.serve import settings_from_flags
from inferometer.workload.builtin import WORDS, BuiltinTokenizer

BUILTIN = BuiltinTokenizer()
PLAIN = "/v1/completions"


def names(*words: str) -> list[int]:
    return PromptViewer(BUILTIN, 2).of_text(" ".join(words)).blocks


def test_a_block_is_named_by_everything_before_it():
    one, two, three = (
        names("all", "is", "well"),
        names("all", "is", "far", "off"),
        names("war", "is", "far", "off"),
    )
    assert len(one) == 1
    assert len(two) == 2
    assert one[0] == two[0]
    assert not {*two} & {*three}


WORDY = st.lists(st.sampled_from(["a", "abcdefg", "abcdefgh", "zzzzzzzzzzzzzzz", *WORDS[:20]]), min_size=1)
ANY = st.text(alphabet=st.sampled_from("ab zA9.'\n好ё "), min_size=1)


@given(WORDY.map(" ".join) | ANY, st.integers(1, 5))
def test_the_quick_way_and_the_general_one_see_the_same_tokens(text, size):
    viewer = PromptViewer(BUILTIN, size)
    assert viewer.of_text(text) == viewer._of_pieces(BUILTIN.pieces(text), "")
    assert viewer.of_text(text).tokens == BUILTIN.count(text)
    assert len(viewer.of_text(text).blocks) == BUILTIN.count(text) // size
    assert PromptViewer(BUILTIN, 0).of_text(text) == (BUILTIN.count(text), [])


@given(st.lists(st.text(max_size=8), min_size=1, max_size=4), st.integers(0, 2))
def test_conversations_count_as_their_messages_do(texts, overhead):
    messages = [("user", [text]) for text in texts]
    counted = sum(overhead + BUILTIN.count(text) for text in texts)
    for size in (0, 3):
        assert PromptViewer(BUILTIN, size).of_messages(messages, overhead).tokens == counted


def engine(**settings: int) -> Instance:
    made = SimSettings(block_size=4, max_model_len=4096, **settings)
    return Instance(made.limits(), made.step_model())


def add(one: Instance, prompt: int, blocks: tuple[int, ...] | None) -> Sequence:
    return one.add(Job(prompt_tokens=prompt, output_tokens=1, names=blocks))


def test_the_engine_computes_only_what_the_cache_lacks():
    one = engine(per_kv_token_s=0)
    first = add(one, 10, (1, 2))
    step = one.step(0)
    assert (first.cached, step.shape.tokens) == (0, 10)
    second = add(one, 10, (1, 2))
    shorter = one.step(0)
    assert (second.cached, shorter.shape.tokens) == (8, 2)
    assert shorter.step_s < step.step_s


def test_the_last_token_of_a_prompt_is_always_computed():
    one = engine()
    for _ in range(2):
        sequence = add(one, 8, (1, 2))
        step = one.step(0)
    assert (sequence.cached, step.shape.tokens) == (4, 4)


def test_a_prompt_in_chunks_gives_what_is_computed_already():
    one = engine(max_num_batched_tokens=8, max_num_seqs=8)
    add(one, 16, (1, 2, 3, 4))
    one.step(0)  # the first two blocks
    late = add(one, 16, (1, 2, 3, 4))
    one.step(0)  # the other two, and no budget is left
    one.step(0)
    assert late.cached == 12


def test_without_names_the_cache_has_no_part_in_it():
    one = engine()
    for _ in range(2):
        sequence = add(one, 8, None)
        one.step(0)
    assert sequence.cached == 0
    assert one.forget_prefixes()


def cached_of(peer) -> int:
    return events(peer.reply()[2])[-2]["usage"]["prompt_tokens_details"]["cached_tokens"]


def completed(here, prompt: str, model: str = "sim-llama-8b") -> int:
    """Cached tokens of one request, as usage tells them."""
    peer = here.peer()
    options = {"max_tokens": 2, "ignore_eos": True, "stream": True, "stream_options": {"include_usage": True}}
    peer.post(PLAIN, {"model": model, "prompt": prompt, **options})
    here.finish()
    return cached_of(peer)


PROMPT = " ".join(WORDS[:40])


def test_usage_tells_what_was_cached_until_the_cache_is_emptied(world):
    here = world()
    assert [completed(here, PROMPT) for _ in range(2)] == [0, 32]
    assert completed(here, PROMPT[: PROMPT.index(WORDS[20])] + "now for something else") == 16
    for path in ("/reset_prefix_cache", "/flush_cache"):
        peer = here.peer()
        peer.post(path, {})
        assert peer.reply()[0] == 200
        assert [completed(here, PROMPT) for _ in range(2)] == [0, 32]


def test_each_adapter_has_blocks_of_its_own(world):
    here = world(adapters=("lora",))
    assert [completed(here, PROMPT, model) for model in ("sim-llama-8b", "lora", "lora")] == [0, 0, 32]


def test_the_cache_can_be_turned_off(world):
    here = world(prefix_cache=False)
    assert [completed(here, PROMPT) for _ in range(2)] == [0, 0]


def test_it_is_a_switch_on_the_command_line():
    given = settings_from_flags({"prefix_cache": False, "block_size": "32", "num_blocks": None})
    assert (given.prefix_cache, given.block_size) == (False, 32)


def test_counters_have_the_names_of_vllm(world):
    here = world(model="m")
    for _ in range(2):
        completed(here, PROMPT, "m")
    text = here.peer().get("/metrics")[2].decode()
    assert 'vllm:prefix_cache_queries_total{engine="0",model_name="m"} 80' in text
    assert 'vllm:prefix_cache_hits_total{engine="0",model_name="m"} 32' in text
