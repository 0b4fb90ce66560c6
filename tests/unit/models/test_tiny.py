"""Tiny models: equal for equal arguments, whole texts, an end that can be favoured, and made once in a cache."""

import hashlib
import json
import subprocess
import sys
from functools import cache

import numpy as np
import pytest
from tokenizers import Tokenizer

from inferometer.errors import UsageError
from inferometer.models import tiny_tokenizer
from inferometer.models.safetensors import read_header
from inferometer.models.tiny import TinyShape, cached_tiny_model, make_tiny_model

SMALL = TinyShape(vocab_tokens=600, hidden=32, intermediate=48, layers=1, heads=2, kv_heads=1)
END = tiny_tokenizer.CONTROL.index(tiny_tokenizer.TURN_END)


def digest(model) -> dict[str, str]:
    files = [*sorted(model.folder.iterdir()), model.gguf]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@cache
def full_tokenizer() -> tiny_tokenizer.TinyTokenizer:
    return tiny_tokenizer.train(TinyShape().vocab_tokens)


def test_equal_arguments_make_equal_files(tmp_path):
    first = digest(make_tiny_model(tmp_path / "a", shape=SMALL, seed=3))
    second = digest(make_tiny_model(tmp_path / "b", shape=SMALL, seed=3))
    other = digest(make_tiny_model(tmp_path / "c", shape=SMALL, seed=4))

    assert first == second
    assert {name for name in first if first[name] != other[name]} == {"model.safetensors", "tiny-qwen2.gguf"}
    assert set(first) == {
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
        "tiny-qwen2.gguf",
    }


def test_the_favoured_end_is_one_number_of_the_output_matrix(tmp_path):
    plain = make_tiny_model(tmp_path / "plain", shape=SMALL)
    ends = make_tiny_model(tmp_path / "ends", shape=SMALL, eos_bias=10.0)

    one, other = (read_header(model.folder / "model.safetensors") for model in (plain, ends))

    changed = {name for name in one.tensors if not np.array_equal(one.array(name), other.array(name))}
    assert changed == {"lm_head.weight"}
    rows, columns = np.nonzero(one.array("lm_head.weight") != other.array("lm_head.weight"))
    assert (list(rows), list(columns)) == ([END], [0])
    assert other.array("lm_head.weight")[END, 0] > 10.0
    assert one.array("lm_head.weight")[END, 0] < -50.0


def test_nothing_writes_to_the_coordinate_that_is_held(tmp_path):
    weights = read_header(make_tiny_model(tmp_path, shape=SMALL).folder / "model.safetensors")

    assert set(weights.array("model.embed_tokens.weight")[:, 0]) == {1.0}
    for name in ("self_attn.o_proj", "mlp.down_proj"):
        assert not weights.array(f"model.layers.0.{name}.weight")[0].any()


@pytest.mark.parametrize(("architecture", "biases"), [("qwen2", 3), ("llama", 0)])
def test_the_configuration_says_what_the_weights_are(tmp_path, architecture, biases):
    shape = TinyShape(
        architecture=architecture, vocab_tokens=600, hidden=64, intermediate=80, layers=2, heads=4, kv_heads=2
    )
    model = make_tiny_model(tmp_path, shape=shape)
    config = json.loads((model.folder / "config.json").read_text())
    tensors = read_header(model.folder / "model.safetensors").tensors

    assert config["model_type"] == architecture
    assert (config["num_attention_heads"], config["num_key_value_heads"]) == (4, 2)
    assert tensors["model.embed_tokens.weight"].shape == (600, 64)
    assert tensors["model.layers.1.self_attn.k_proj.weight"].shape == (32, 64)
    assert tensors["model.layers.1.mlp.down_proj.weight"].shape == (64, 80)
    assert {entry.dtype for entry in tensors.values()} == {"BF16"}
    assert sum(name.startswith("model.layers.0") and name.endswith("bias") for name in tensors) == biases


@pytest.mark.parametrize(
    "text", ["The quick brown fox.", "今天天气很好，我们去公园。", "👩🏽‍🚀 naïve\n\ttabs  ", ""]
)
def test_every_text_comes_back_from_the_tokenizer(text):
    loaded = Tokenizer.from_str(full_tokenizer().json)

    assert loaded.decode(loaded.encode(text).ids) == text


def test_a_vocabulary_has_a_piece_for_each_number():
    pieces = full_tokenizer().pieces

    assert len(pieces) == len(set(pieces)) == 12_288
    assert tuple(pieces[:3]) == tiny_tokenizer.CONTROL
    assert len(full_tokenizer().merges) == 12_288 - 256 - 3


def test_pieces_that_are_whole_characters_are_told_from_parts():
    loaded = Tokenizer.from_str(full_tokenizer().json)
    pieces = full_tokenizer().pieces

    for number in range(3, len(pieces), 37):
        whole = "\ufffd" not in loaded.decode([number])
        assert tiny_tokenizer.has_text(pieces[number]) is whole, pieces[number]
    assert not any(map(tiny_tokenizer.has_text, tiny_tokenizer.CONTROL))


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        (TinyShape(heads=3), "256 cannot be split over 3 heads"),
        (TinyShape(heads=4, kv_heads=3), "4 attention heads cannot share 3"),
        (TinyShape(layers=0), "1 or more"),
        (TinyShape(vocab_tokens=100), "no room for every byte"),
        (TinyShape(vocab_tokens=1_000_000), "makes a vocabulary of"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(tmp_path, shape, message):
    with pytest.raises(UsageError, match=message):
        make_tiny_model(tmp_path, shape=shape)


def test_a_cached_model_is_made_once(tmp_path):
    first = cached_tiny_model(tmp_path, shape=SMALL)
    made = first.gguf.stat().st_mtime_ns

    assert cached_tiny_model(tmp_path, shape=SMALL) == first
    assert first.gguf.stat().st_mtime_ns == made
    assert cached_tiny_model(tmp_path, shape=SMALL, eos_bias=9.0).folder != first.folder
    assert digest(first) == digest(make_tiny_model(tmp_path / "by hand", shape=SMALL))


MAKE = """
import sys
from pathlib import Path
from inferometer.models.tiny import TinyShape, cached_tiny_model
shape = TinyShape(vocab_tokens=600, hidden=32, intermediate=48, layers=1, heads=2, kv_heads=1)
print(cached_tiny_model(Path(sys.argv[1]), shape=shape).gguf)
"""


def test_two_processes_at_once_leave_one_whole_model(tmp_path):
    command = [sys.executable, "-c", MAKE, str(tmp_path / "cache")]
    makers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = {maker.communicate()[0].strip() for maker in makers}

    model = cached_tiny_model(tmp_path / "cache", shape=SMALL)
    assert [maker.returncode for maker in makers] == [0, 0]
    assert said == {str(model.gguf)}
    assert digest(model) == digest(make_tiny_model(tmp_path / "by hand", shape=SMALL))
    assert [path.name for path in (tmp_path / "cache" / "models").iterdir()] == [model.gguf.parent.name]


def test_a_cache_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "models").write_text("a file is in the way")

    with pytest.raises(UsageError, match="cannot be kept at") as caught:
        cached_tiny_model(tmp_path, shape=SMALL)

    assert "INFEROMETER_CACHE_DIR" in caught.value.next_step
