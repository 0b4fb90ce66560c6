"""What the files of published models tell."""

import json

import published
import pytest
from published import download, model

from inferometer.errors import DataError
from inferometer.models.config import Experts, Latent, Quantization, Rope, read_model
from inferometer.models.weights import Weights


def test_a_dense_model(tmp_path):
    read = model(tmp_path, published.QWEN25_7B)

    assert (read.architecture, read.model_type, read.dtype) == ("Qwen2ForCausalLM", "qwen2", "bfloat16")
    assert (read.layers, read.kv_layers, read.hidden, read.intermediate) == (28, 28, 3584, 18944)
    assert (read.heads, read.kv_heads, read.head_dim) == (28, 4, 128)
    assert (read.vocab_tokens, read.max_positions, read.rope) == (152064, 32768, Rope("default"))
    assert (read.experts, read.latent, read.quantization) == (None, None, None)
    assert read.sliding_window is None, "it states one and does not use it"
    assert read.has_tokenizer


def test_a_model_with_latent_attention_experts_and_blocks_of_fp8(tmp_path):
    read = model(tmp_path, published.DEEPSEEK_V3)

    assert read.latent == Latent(kv_rank=512, rope_dim=64)
    assert read.experts == Experts(count=256, per_token=8, intermediate=2048)
    assert read.quantization == Quantization("fp8", block=(128, 128))
    assert read.rope == Rope("yarn", 40.0, 4096)


def test_a_mixture_whose_experts_have_the_width_of_the_file(tmp_path):
    assert model(tmp_path, published.MIXTRAL_8X7B).experts == Experts(
        count=8, per_token=2, intermediate=14336
    )


def test_the_text_part_of_a_multimodal_model(tmp_path):
    whole = {
        "architectures": ["Qwen2_5_VLForConditionalGeneration"],
        "model_type": "qwen2_5_vl",
        "vision_config": {"hidden_size": 1280, "num_heads": 16},
        "text_config": published.QWEN25_7B | {"model_type": "qwen2_5_vl_text", "architectures": None},
    }
    read = model(tmp_path, whole)

    assert (read.architecture, read.model_type) == ("Qwen2_5_VLForConditionalGeneration", "qwen2_5_vl_text")
    assert (read.heads, read.hidden) == (28, 3584)


def test_layers_that_keep_no_keys_and_values_are_not_counted(tmp_path):
    kinds = (["linear_attention"] * 3 + ["full_attention"]) * 7

    assert model(tmp_path, published.QWEN25_7B | {"layer_types": kinds}).kv_layers == 7


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"sliding_window": 4096, "use_sliding_window": None}, 4096),
        ({"sliding_window": 4096, "use_sliding_window": False}, None),
        ({"sliding_window": 4096, "use_sliding_window": True, "sliding_window_pattern": 6}, None),
    ],
)
def test_a_window_counts_where_every_layer_has_it(tmp_path, change, expected):
    assert model(tmp_path, published.QWEN25_7B | change).sliding_window == expected


@pytest.mark.parametrize(
    ("stated", "expected"),
    [
        ({"quant_method": "awq", "bits": 4, "group_size": 128}, Quantization("awq", 4, 128)),
        ({"quant_method": "gptq", "bits": 8, "group_size": -1}, Quantization("gptq", 8)),
        ({"quant_method": "compressed_tensors"}, Quantization("compressed-tensors")),
        ({"quant_method": "moe_wna16"}, Quantization("moe_wna16")),
        ({"bits": 4}, Quantization("unknown", 4)),
        ({"producer": {"name": "modelopt"}, "quantization": {"quant_algo": "FP8"}}, Quantization("modelopt")),
    ],
)
def test_quantization(tmp_path, stated, expected):
    assert model(tmp_path, published.QWEN25_7B | {"quantization_config": stated}).quantization == expected


def test_weights_add_up_from_their_headers(tmp_path):
    weights = model(tmp_path, published.QWEN25_7B, shards=3).weights

    assert list(weights.files) == [f"model-0000{at}-of-00003.safetensors" for at in (1, 2, 3)]
    assert (weights.elements, weights.tensor_bytes, weights.parameters) == ({"BF16": 96}, 192, 96)
    assert weights.file_bytes == sum(path.stat().st_size for path in tmp_path.glob("*.safetensors"))


def test_what_is_missing_or_damaged_is_told_and_nothing_is_added_up(tmp_path):
    directory = download(tmp_path, published.QWEN25_7B, shards=4)
    (directory / "model-00002-of-00004.safetensors").unlink()
    cut = directory / "model-00003-of-00004.safetensors"
    cut.write_bytes(cut.read_bytes()[:-10])
    pointer = directory / "model-00004-of-00004.safetensors"
    pointer.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 4\n")

    weights = read_model(directory).weights

    assert weights.missing == ("model-00002-of-00004.safetensors",)
    assert [damaged.path for damaged in weights.damaged] == [cut, pointer]
    assert "10 bytes are missing" in weights.damaged[0].message
    assert "git lfs pull" in weights.damaged[1].next_step
    assert (weights.elements, weights.tensor_bytes, weights.parameters) == (None, None, None)


def test_a_link_into_a_cache_whose_file_is_gone_is_a_missing_file(tmp_path):
    directory = download(tmp_path, published.QWEN25_7B, shards=2)
    link = directory / "model-00002-of-00002.safetensors"
    link.unlink()
    link.symlink_to(tmp_path / "blobs" / "gone")

    assert read_model(directory).weights.missing == (link.name,)


def test_a_file_that_the_index_does_not_list_is_not_counted(tmp_path):
    directory = download(tmp_path, published.QWEN25_7B, shards=2)
    (directory / "consolidated.safetensors").write_bytes(b"whatever")

    assert len(read_model(directory).weights.files) == 2


def test_weights_of_pytorch_are_files_without_a_header(tmp_path):
    directory = download(tmp_path, published.QWEN25_7B)
    (directory / "model.safetensors").unlink()
    (directory / "pytorch_model-00001-of-00002.bin").write_bytes(bytes(5000))
    (directory / "pytorch_model-00002-of-00002.bin").write_text(
        "version https://git-lfs.github.com/spec/v1\n"
    )
    (directory / "training_args.bin").write_bytes(bytes(10))

    weights = read_model(directory).weights

    assert list(weights.files) == [f"pytorch_model-0000{at}-of-00002.bin" for at in (1, 2)]
    assert [damaged.path.name for damaged in weights.damaged] == ["pytorch_model-00002-of-00002.bin"]
    assert weights.parameters is None


def test_packed_weights_have_no_number_of_parameters():
    assert Weights(elements={"I32": 10, "F16": 10}).parameters is None
    assert Weights(elements={"F8_E4M3": 10, "F32": 1}).parameters == 11


def test_a_name_on_a_hub_and_a_gguf_file_are_not_read(tmp_path):
    assert read_model("Qwen/Qwen2.5-7B-Instruct") is None
    (tmp_path / "model.gguf").write_bytes(b"GGUF")
    assert read_model(tmp_path / "model.gguf") is None
    assert read_model(tmp_path) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "no JSON object"),
        ("[1]", "no JSON object"),
        ('{"rope_scaling": {"factor": "x"}}', "cannot be understood"),
    ],
)
def test_a_configuration_that_cannot_be_read_is_named(tmp_path, text, message):
    (tmp_path / "config.json").write_text(text)

    with pytest.raises(DataError, match=message) as caught:
        read_model(tmp_path)

    assert "config.json" in caught.value.message


def test_fields_that_are_lists_or_missing_are_not_said(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "odd", "num_attention_heads": [8, 8]}))

    read = read_model(tmp_path)

    assert (read.heads, read.head_dim, read.kv_heads, read.layers) == (None, None, None, None)
    assert not read.has_tokenizer
