"""What each engine refuses of a model, as data. Read from their sources; only what every known version refuses is here.

vllm: 0.6 to 0.32, config/model.py (heads, experts, length, quantization), distributed/utils.py (``divide``),
layers/quantization. sglang: srt/configs/model_config.py, srt/layers/linear.py, layers/moe, layers/dp_attention.py.
lmdeploy: pytorch/config.py.
tgi: server/text_generation_server/models/custom_modeling, cli.py (dtype). mindie: atb_models,
models/base/flash_causal_lm.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """What one engine refuses.

    Attributes:
        heads: attention heads that tensor parallelism does not divide; ``grouped`` = only where some share a KV head.
        kv_heads: KV heads that it does not divide, or that do not divide it.
        widths: a width of the MLP that it does not divide.
        experts: experts that expert parallelism does not divide; over which ranks they are spread.
        dense_experts: expert parallelism of a model without experts.
        length: how the longest context is derived; None = a longer one is not refused.
        longer: environment variable that allows it all the same.
        methods: quantization methods that any version knows; None = it is not checked.
        dtype_with: methods that a dtype may be asked for with; None = all.
        bfloat16: on a device without it, where it is ``asked`` for, or also where the model's own ``config`` says it.
        no_float16: model types that it refuses to compute in float16.
        gguf: it reads GGUF files and nothing else.
        data_within: data parallel ranks share the devices of tensor parallelism (attention alone), so that with several
            nothing is known of what is divided by what.
        lifts: flags with which a group of checks does not hold, by its name in ``refusals``.
    """

    heads: Literal["all", "grouped"] | None = None
    kv_heads: bool = False
    widths: bool = False
    experts: Literal["tensor"] | None = None
    dense_experts: bool = False
    length: Literal["vllm", "sglang"] | None = None
    longer: str | None = None
    methods: frozenset[str] | None = None
    dtype_with: frozenset[str] | None = None
    bfloat16: Literal["asked", "config"] | None = None
    no_float16: frozenset[str] = frozenset()
    gguf: bool = False
    data_within: bool = False
    lifts: Mapping[str, frozenset[str]] = {}


_VLLM_METHODS = frozenset(
    {
        "aqlm",
        "ascend",
        "auto_awq",
        "auto_gptq",
        "auto_round",
        "awq",
        "awq_marlin",
        "bitblas",
        "bitsandbytes",
        "compressed-tensors",
        "deepseek_v4_fp8",
        "deepspeedfp",
        "experts_int8",
        "fbgemm_fp8",
        "fp8",
        "fp8_per_block",
        "fp8_per_channel",
        "fp8_per_tensor",
        "fp_quant",
        "gguf",
        "gpt_oss_mxfp4",
        "gptq",
        "gptq_bitblas",
        "gptq_marlin",
        "gptq_marlin_24",
        "hqq",
        "humming",
        "inc",
        "int8_per_channel_weight_only",
        "ipex",
        "marlin",
        "modelopt",
        "modelopt_fp4",
        "modelopt_mixed",
        "modelopt_mxfp8",
        "moe_wna16",
        "mxfp4",
        "mxfp8",
        "neuron_quant",
        "nvfp4",
        "nvfp4_per_token",
        "online",
        "petit_nvfp4",
        "ptpc_fp8",
        "qqq",
        "quark",
        "rtn",
        "squeezellm",
        "torchao",
        "tpu_int8",
    }
)
_SGLANG_METHODS = frozenset(
    {
        "aqlm",
        "auto_round",
        "awq",
        "awq_marlin",
        "bitsandbytes",
        "blockwise_int8",
        "compressed-tensors",
        "deepspeedfp",
        "experts_int8",
        "fbgemm_fp8",
        "fp8",
        "gguf",
        "gptq",
        "gptq_marlin",
        "gptq_marlin_24",
        "marlin",
        "modelopt",
        "modelopt_fp4",
        "modelopt_fp8",
        "modelopt_mixed",
        "modelslim",
        "moe_wna16",
        "mxfp4",
        "mxfp8",
        "petit_nvfp4",
        "qoq",
        "qqq",
        "quark",
        "quark_mxfp4",
        "torchao",
        "tpu_int8",
        "unquant",
        "w4afp8",
        "w8a8_fp8",
        "w8a8_int8",
    }
)
_TGI_METHODS = frozenset(
    {
        "awq",
        "bitsandbytes",
        "bitsandbytes_fp4",
        "bitsandbytes_nf4",
        "compressed-tensors",
        "eetq",
        "exl2",
        "fp8",
        "gptq",
        "marlin",
    }
)

_SPREAD = frozenset(
    {"--enable-dp-attention", "--moe-a2a-backend", "--enable-deepep-moe", "--moe-dense-tp-size"}
)


def _lifts(config: str, **checks: frozenset[str]) -> Mapping[str, frozenset[str]]:
    """The flags that lift each group of checks; ``config`` changes config.json, and so lifts all that rest on it."""
    resting = ("tensor", "pipeline", "experts", "length", "quantization", "dtype")
    return checks | {name: checks.get(name, frozenset()) | {config} for name in resting}


NOTHING = Rules()
"""Of an engine that is not known: what holds for all is refused, nothing else."""

RULES: Mapping[str, Rules] = {
    "vllm": Rules(
        heads="all",
        kv_heads=True,
        widths=True,
        dense_experts=True,
        length="vllm",
        longer="VLLM_ALLOW_LONG_MAX_MODEL_LEN",
        methods=_VLLM_METHODS,
        bfloat16="asked",
        no_float16=frozenset({"gemma2", "gemma3", "gemma3_text", "glm4"}),
        lifts=_lifts(
            "--hf-overrides",
            files=frozenset({"--load-format", "--tokenizer", "--skip-tokenizer-init", "--hf-config-path"}),
            length=frozenset({"--rope-scaling"}),
        ),
    ),
    "sglang": Rules(
        heads="all",
        kv_heads=True,
        widths=True,
        experts="tensor",
        length="sglang",
        longer="SGLANG_ALLOW_OVERWRITE_LONGER_CONTEXT_LEN",
        methods=_SGLANG_METHODS,
        lifts=_lifts(
            "--json-model-override-args",
            files=frozenset({"--load-format", "--tokenizer-path", "--skip-tokenizer-init"}),
            tensor=_SPREAD,
            experts=_SPREAD | {"--ep-num-redundant-experts", "--init-expert-location"},
        ),
    ),
    "lmdeploy": Rules(heads="all", kv_heads=True, data_within=True, lifts=_lifts("--hf-overrides")),
    "tgi": Rules(
        heads="all",
        widths=True,
        methods=_TGI_METHODS,
        dtype_with=frozenset({"bitsandbytes", "bitsandbytes_nf4", "bitsandbytes_fp4"}),
    ),
    "mindie": Rules(heads="grouped", bfloat16="config"),
    "llamacpp": Rules(gguf=True),
}
