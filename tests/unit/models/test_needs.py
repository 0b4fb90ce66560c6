"""Memory: against figures that were published or measured by others."""

import msgspec
import published
import pytest
from published import model

from inferometer.models.asked import Asked
from inferometer.models.needs import needs
from inferometer.models.weights import Weights


@pytest.mark.parametrize(
    ("config", "kib"),
    [
        (published.QWEN25_7B, 56),  # 2 x 28 layers x 4 heads x 128 x 2 bytes
        (published.QWEN25_72B, 320),
        (published.LLAMA3_8B, 128),  # "128 KiB per token" of vLLM's and others' sizing guides
        (
            published.DEEPSEEK_V3,
            68.625,
        ),  # 70,272 bytes: DeepSeek-V3, arXiv:2505.09343, table 1 gives 70.272 KB
    ],
)
def test_what_a_token_keeps(tmp_path, config, kib):
    assert needs(model(tmp_path, config), Asked()).kv_bytes_per_token == kib * 1024


def test_a_block_of_mindie_holds_what_was_measured(tmp_path):
    """ascend_tools.md: a block of 128 tokens of Qwen2.5-7B takes 7,340,032 bytes."""
    assert needs(model(tmp_path, published.QWEN25_7B), Asked()).kv_bytes_per_token * 128 == 7_340_032


@pytest.mark.parametrize(
    ("config", "tensor", "pipeline", "share"),
    [
        (published.LLAMA3_8B, 4, 1, 1 / 4),
        (published.LLAMA3_8B, 16, 1, 1 / 8),  # eight heads, each kept twice
        (published.LLAMA3_8B, 4, 2, 1 / 8),
        (published.DEEPSEEK_V3, 16, 1, 1),  # latent attention keeps the same on every rank
    ],
)
def test_what_one_device_keeps_of_a_token(tmp_path, config, tensor, pipeline, share):
    found = needs(model(tmp_path, config), Asked(tensor_parallel=tensor, pipeline_parallel=pipeline))

    assert found.kv_bytes_per_token_per_device == pytest.approx(found.kv_bytes_per_token * share)


def test_types_of_the_cache(tmp_path):
    config = model(tmp_path, published.LLAMA3_8B)

    assert needs(config, Asked(kv_cache_dtype="fp8_e5m2")).kv_bytes_per_token == 64 * 1024
    assert needs(config, Asked(kv_cache_dtype="auto", dtype="float32")).kv_bytes_per_token == 256 * 1024
    assert needs(config, Asked(kv_cache_dtype="odd")).kv_bytes_per_token is None


def test_sequences_of_the_longest_context(tmp_path):
    config = model(tmp_path, published.LLAMA3_8B)
    found = needs(config, Asked(tensor_parallel=2, max_model_len=8192, max_num_seqs=16))

    assert found.longest_bytes_per_device == 64 * 1024 * 8192
    assert found.full_bytes_per_device == 16 * found.longest_bytes_per_device
    assert needs(config, Asked()).longest_bytes_per_device == 128 * 1024 * 131072
    assert needs(config, Asked()).full_bytes_per_device is None


def test_a_window_bounds_what_a_sequence_keeps(tmp_path):
    config = model(tmp_path, published.MIXTRAL_8X7B | {"sliding_window": 4096})

    assert needs(config, Asked(max_model_len=32768)).longest_bytes_per_device == 128 * 1024 * 4096


@pytest.mark.parametrize(
    ("elements", "dtype", "expected"),
    [
        ({"BF16": 100}, None, 200),
        ({"F32": 100}, "bfloat16", 200),
        ({"BF16": 100}, "float32", 400),
        ({"BF16": 100, "I64": 2}, None, 216),
        ({"SOMETHING": 1}, None, None),
        (None, None, None),
    ],
)
def test_weights_are_counted_in_the_type_they_are_loaded_as(tmp_path, elements, dtype, expected):
    config = msgspec.structs.replace(model(tmp_path, published.LLAMA3_8B), weights=Weights(elements=elements))

    assert needs(config, Asked(dtype=dtype)).weights_bytes == expected


def test_quantized_weights_are_counted_as_they_are(tmp_path):
    config = model(tmp_path, published.DEEPSEEK_V3)
    config = msgspec.structs.replace(
        config, weights=Weights(elements={"F8_E4M3": 1000, "F32": 10, "BF16": 50})
    )

    found = needs(config, Asked(dtype="bfloat16", tensor_parallel=16))

    assert (found.weights_bytes, found.weights_bytes_per_device) == (1140, 72)
