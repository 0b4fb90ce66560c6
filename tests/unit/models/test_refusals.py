"""What engines refuse is said before they are started, with what would do; what they accept is not."""

import published
import pytest
from published import download, model

from inferometer.models.asked import Asked
from inferometer.models.config import read_model
from inferometer.models.refusals import cautions, lacks_bfloat16, longest_context, refusals

ENGINES = ("vllm", "sglang", "lmdeploy", "tgi", "mindie")


def only(found):
    assert len(found) == 1, found
    return found[0]


def test_the_refusal_of_the_source_document(tmp_path):
    """dcu-load-test.md: ValueError: Total number of attention heads (28) must be divisible by ... size (8)."""
    asked = Asked(tensor_parallel=8)

    heads = refusals(model(tmp_path, published.QWEN25_7B), asked, "vllm")[0]

    assert heads.message == "attention heads (28) must be divisible by tensor parallel size (8)"
    # 7, 14 and 28 divide the heads, but not the width 18944 of the MLP.
    assert heads.next_step == "tensor parallel sizes that this model can be split over: 1, 2, 4"


@pytest.mark.parametrize(
    ("engine", "sizes"), [("lmdeploy", "1, 2, 4, 28"), ("mindie", "1, 2, 4, 7, 14, 28"), ("tgi", "1, 2, 4")]
)
def test_engines_differ_in_what_they_divide(tmp_path, engine, sizes):
    refused = refusals(model(tmp_path, published.QWEN25_7B), Asked(tensor_parallel=8), engine)

    assert refused[0].next_step.endswith(f": {sizes}")


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("config", "tensor"),
    [
        (published.QWEN25_7B, 4),
        (published.QWEN25_72B, 8),
        (published.QWEN25_72B, 16),
        (published.LLAMA3_8B, 16),
        (published.MIXTRAL_8X7B, 8),
        (published.DEEPSEEK_V3, 16),
    ],
)
def test_what_is_served_every_day_is_not_refused(tmp_path, config, tensor, engine):
    assert refusals(model(tmp_path, config, shards=2), Asked(tensor_parallel=tensor), engine) == []


def test_heads_of_keys_and_values_are_divided_or_kept_by_several(tmp_path):
    llama = model(tmp_path, published.LLAMA3_8B | {"num_key_value_heads": 6, "num_attention_heads": 24})

    assert "KV heads (6)" in only(refusals(llama, Asked(tensor_parallel=4), "vllm")).message
    assert refusals(llama, Asked(tensor_parallel=2), "vllm") == []
    assert (
        "each head is kept by 2 of them"
        in only(cautions(model(tmp_path, published.LLAMA3_8B), Asked(tensor_parallel=16), "vllm")).message
    )
    assert cautions(model(tmp_path, published.LLAMA3_8B), Asked(tensor_parallel=8), "vllm") == []


def test_groups_of_quantized_weights_are_not_cut(tmp_path):
    awq = {"quantization_config": {"quant_method": "awq", "bits": 4, "group_size": 128}}
    config = model(tmp_path, published.QWEN25_72B | awq)

    # The known case: 29568 / 8 = 3696 is no multiple of 128; Qwen padded the width to 29696 for that.
    refused = only(refusals(config, Asked(tensor_parallel=8), "vllm"))

    assert "gives each 3696 inputs, not a multiple of the 128" in refused.message
    padded = model(tmp_path, published.QWEN25_72B | awq | {"intermediate_size": 29696})
    assert refusals(padded, Asked(tensor_parallel=8), "vllm") == []


def test_positions_that_only_some_versions_stretch_are_a_caution(tmp_path):
    config = model(tmp_path, published.QWEN25_7B | YARN)

    said = only(cautions(config, Asked(max_model_len=65536), "vllm"))
    assert "newer refuses" in said.message
    assert said.next_step == 'set "max_position_embeddings": 131072 in config.json'
    assert cautions(config, Asked(max_model_len=32768), "vllm") == []


def test_experts(tmp_path):
    mixtral, dense = model(tmp_path / "m", published.MIXTRAL_8X7B), model(tmp_path / "d", published.LLAMA3_8B)
    spread = Asked(tensor_parallel=16, expert_parallel=True)

    assert (
        "8 experts cannot be spread evenly over 16 ranks" in only(refusals(mixtral, spread, "sglang")).message
    )
    assert refusals(mixtral, spread, "vllm") == [], "it gives the first ranks one more"
    assert "LlamaForCausalLM has none" in only(refusals(dense, Asked(expert_parallel=True), "vllm")).message
    assert refusals(dense, Asked(expert_parallel=False), "vllm") == []


def test_the_width_of_experts_is_not_cut_where_they_are_spread(tmp_path):
    odd = model(tmp_path, published.MIXTRAL_8X7B | {"moe_intermediate_size": 1001})

    assert (
        "the experts' intermediate size (1001)"
        in only(refusals(odd, Asked(tensor_parallel=8), "vllm")).message
    )
    assert refusals(odd, Asked(tensor_parallel=8, expert_parallel=True), "vllm") == []


def test_blocks_of_fp8_experts_are_a_caution(tmp_path):
    config = model(tmp_path, published.DEEPSEEK_V3)

    assert (
        "give each 64, not a multiple of the block of 128"
        in only(cautions(config, Asked(tensor_parallel=32), "vllm")).message
    )
    assert cautions(config, Asked(tensor_parallel=16), "vllm") == []


def test_a_pipeline_longer_than_the_model(tmp_path):
    config = model(tmp_path, published.QWEN25_7B)

    assert (
        "29 stages is longer than the model's 28 layers"
        in only(refusals(config, Asked(pipeline_parallel=29), "anything")).message
    )
    assert refusals(config, Asked(pipeline_parallel=28), "anything") == []


YARN = {"rope_scaling": {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768}}
LINEAR = {"rope_scaling": {"type": "linear", "factor": 2.0}}


@pytest.mark.parametrize(
    ("config", "vllm", "sglang"),
    [
        (published.QWEN25_7B, 32768, 32768),
        (published.QWEN25_7B | YARN, 131072, 32768),
        (published.QWEN25_7B | LINEAR, 65536, 65536),
        (published.LLAMA3_8B, 131072, 131072),
        (published.DEEPSEEK_V3, 163840, 163840),
    ],
)
def test_the_longest_context(tmp_path, config, vllm, sglang):
    read = model(tmp_path, config)

    assert (longest_context(read, "vllm"), longest_context(read, "sglang")) == (vllm, sglang)
    assert longest_context(read, "lmdeploy") is None
    assert refusals(read, Asked(max_model_len=vllm), "vllm") == []
    refused = only(refusals(read, Asked(max_model_len=vllm + 1), "vllm"))
    assert f"longer than the {vllm:,} positions" in refused.message
    allowed = Asked(max_model_len=vllm + 1, env={"VLLM_ALLOW_LONG_MAX_MODEL_LEN": "1"})
    assert refusals(read, allowed, "vllm") == []


@pytest.mark.parametrize(
    ("engine", "method", "refused"),
    [
        ("vllm", "awq", False),
        ("vllm", "eetq", True),
        ("tgi", "eetq", False),
        ("tgi", "mxfp4", True),
        ("sglang", "w4afp8", False),
        ("lmdeploy", "anything", False),
        ("vllm", None, False),
    ],
)
def test_quantization_that_an_engine_does_not_know(tmp_path, engine, method, refused):
    config = model(tmp_path, published.QWEN25_7B | {"quantization_config": {"quant_method": method}})

    found = refusals(config, Asked(), engine)

    assert [f"quantized by {method!r}" in each.message for each in found] == [True] * refused


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ("awq", None),
        ("awq_marlin", None),
        ("moe_wna16", None),
        ("fp8", "quantized by 'awq', and 'fp8' is asked for"),
        ("awqq", "vllm knows no quantization 'awqq'"),
    ],
)
def test_quantization_that_is_asked_for(tmp_path, wanted, message):
    config = model(tmp_path, published.QWEN25_7B | {"quantization_config": {"quant_method": "awq"}})

    found = refusals(config, Asked(quantization=wanted), "vllm")

    assert [message in each.message for each in found] == ([True] if message else [])


@pytest.mark.parametrize(
    ("engine", "dtype", "device", "refused"),
    [
        ("vllm", "bfloat16", "Tesla V100-SXM2-32GB", True),
        ("vllm", "auto", "Tesla V100-SXM2-32GB", False),  # it falls back to float16 by itself
        ("vllm", "bfloat16", "NVIDIA H100 80GB HBM3", False),
        ("mindie", None, "Ascend 910A", True),
        ("mindie", "float16", "Ascend 910A", False),
        ("mindie", None, "Ascend 910B3", False),
    ],
)
def test_bfloat16_on_a_device_without_it(tmp_path, engine, dtype, device, refused):
    found = refusals(model(tmp_path, published.QWEN25_7B), Asked(dtype=dtype, device=device), engine)

    assert [f"{device} has no bfloat16" == each.message for each in found] == [True] * refused


def test_devices_without_bfloat16_by_name():
    without = ("Tesla T4", "Quadro RTX 6000", "NVIDIA GeForce RTX 2080 Ti", "910ProA", "Ascend 310P3")
    with_it = (
        "NVIDIA A100-SXM4-80GB",
        "NVIDIA RTX A6000",
        "NVIDIA GeForce RTX 4090",
        "Ascend 910B",
        "K100_AI",
        "L4",
    )

    assert all(map(lacks_bfloat16, without))
    assert not any(map(lacks_bfloat16, with_it))


def test_types_that_do_not_go_together(tmp_path):
    awq = model(tmp_path / "a", published.QWEN25_7B | {"quantization_config": {"quant_method": "awq"}})
    gemma = model(tmp_path / "g", published.LLAMA3_8B | {"model_type": "gemma2"})

    assert "not computed in float32" in only(refusals(awq, Asked(dtype="float32"), "vllm")).message
    assert "float16" in only(cautions(awq, Asked(), "vllm")).next_step
    assert "does not compute gemma2 in float16" in only(refusals(gemma, Asked(dtype="half"), "vllm")).message
    assert refusals(gemma, Asked(dtype="half"), "sglang") == []


@pytest.mark.parametrize("engine", [*ENGINES, ""])
def test_files_that_are_not_there(tmp_path, engine):
    directory = download(tmp_path, published.QWEN25_7B, shards=5)
    for at in (1, 2, 4, 5):
        (directory / f"model-{at:05d}-of-00005.safetensors").unlink()
    (directory / "tokenizer.json").unlink()

    missing, tokenizer = refusals(read_model(directory), Asked(), engine)

    assert "are missing (4): model-00001-of-00005.safetensors, " in missing.message
    assert missing.message.endswith(", ...")
    assert "has no tokenizer" in tokenizer.message


def test_no_weights_at_all_and_weights_of_another_engine(tmp_path):
    directory = download(tmp_path, published.QWEN25_7B)
    assert "no GGUF file" in only(refusals(read_model(directory), Asked(), "llamacpp")).message

    (directory / "model.safetensors").rename(directory / "model-q4.gguf")
    assert "no weights" in only(refusals(read_model(directory), Asked(), "vllm")).message
    assert refusals(read_model(directory), Asked(), "llamacpp") == []


def test_a_damaged_file_is_refused_by_its_name(tmp_path):
    directory = download(tmp_path, published.QWEN25_7B)
    (directory / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n")

    refused = only(refusals(read_model(directory), Asked(), "vllm"))

    assert "model.safetensors is a pointer of Git LFS" in refused.message
    assert "git lfs pull" in refused.next_step


@pytest.mark.parametrize(("method", "refused"), [("awq", True), ("bitsandbytes-nf4", False), (None, False)])
def test_tgi_takes_a_dtype_or_a_quantization(tmp_path, method, refused):
    """text_generation_server/cli.py: Only 1 can be set between `dtype` and `quantize` ..."""
    found = refusals(model(tmp_path, published.LLAMA3_8B), Asked(dtype="float16", quantization=method), "tgi")

    assert [one.next_step for one in found] == ["leave the dtype out"] * refused
