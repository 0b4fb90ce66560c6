"""What can be known before an engine is started: what it would refuse after minutes of loading, said at once."""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from inferometer.models.asked import Asked
from inferometer.models.config import UNNAMED, ModelConfig
from inferometer.models.engine_rules import NOTHING, RULES, Rules

_MOST_DEVICES = 1024
_SHOWN = 8
# Accelerators without bfloat16: NVIDIA before Ampere, Ascend 910A, 910Pro and 310.
_NO_BFLOAT16 = re.compile(
    r"\b(V100|P100|P40|P4|T4|TITAN|GTX|RTX 20\d\d|Quadro RTX|910A|910Pro\w*|310(P\d?)?)\b", re.IGNORECASE
)
_QUANTIZED_FLOATS = {"awq", "gptq", "fp8", "compressed-tensors"}
_FAMILIES = ("awq", "gptq", "fp8", "compressed-tensors", "bitsandbytes", "mxfp4")
# Kernels for weights that other methods wrote.
_TAKES_OTHERS = frozenset({"moe_wna16", "humming", "inc", "marlin", "ipex", "quark_mxfp4"})


class Refusal(msgspec.Struct, frozen=True):
    """Why an engine will not serve a model as it is asked to.

    Attributes:
        message: which thing, which value, which rule.
        next_step: what to do about it.
    """

    message: str
    next_step: str


class Caution(msgspec.Struct, frozen=True):
    """What an engine does without a word, and is worth one: same parts as :class:`Refusal`."""

    message: str
    next_step: str


def refusals(config: ModelConfig, asked: Asked, engine: str = "") -> list[Refusal]:
    """What ``engine`` would refuse, the most basic first; empty = nothing is known against it.

    Args:
        config: of the model.
        asked: how it is to be served.
        engine: its name (vllm, sglang, lmdeploy, tgi, mindie, llamacpp); of any other only what none can do is said.
    """
    rules = RULES.get(engine, NOTHING)
    name = engine or "the engine"
    checks = {
        "files": _files(config, rules, name),
        "tensor": _tensor(config, asked, rules),
        "pipeline": _pipeline(config, asked),
        "experts": _experts(config, asked, rules, name),
        "length": _length(config, asked, rules, name),
        "quantization": _quantization(config, asked, rules, name),
        "dtype": _dtype(config, asked, rules, name),
    }
    holding = [
        found for check, found in checks.items() if not asked.flags & rules.lifts.get(check, frozenset())
    ]
    return [refusal for found in holding for refusal in found]


def _files(config: ModelConfig, rules: Rules, engine: str) -> Iterator[Refusal]:
    weights = config.weights
    if rules.gguf:
        if not any(name.endswith(".gguf") for name in weights.files):
            yield Refusal(
                f"{config.directory} holds no GGUF file, and {engine} reads nothing else",
                "convert it with llama.cpp's convert_hf_to_gguf.py, or name a GGUF file",
            )
        return
    loadable = [name for name in weights.files if not name.endswith(".gguf")]
    if not loadable and not weights.missing:
        yield Refusal(
            f"{config.directory} has a config.json and no weights (*.safetensors, *.bin)",
            "download the whole model: hf download NAME --local-dir DIRECTORY, or modelscope download",
        )
    if weights.missing:
        shown = ", ".join(weights.missing[:3]) + (", ..." if len(weights.missing) > 3 else "")
        yield Refusal(
            f"weight files that the index of {config.directory} lists are missing ({len(weights.missing)}): {shown}",
            "download them; a broken download goes on where it stopped when it is started again",
        )
    for damaged in weights.damaged:
        yield Refusal(damaged.message, damaged.next_step)
    if not config.has_tokenizer:
        yield Refusal(
            f"{config.directory} has no tokenizer (tokenizer.json, tokenizer.model, vocab.json ...)",
            "download the tokenizer's files too, or name a directory that has them as the engine's tokenizer",
        )


def _tensor(config: ModelConfig, asked: Asked, rules: Rules) -> Iterator[Refusal]:
    tensor = asked.tensor_parallel
    if tensor is None or tensor <= 1 or (rules.data_within and (asked.data_parallel or 1) > 1):
        return
    broken = list(_undivided(config, asked, rules, tensor))
    if not broken:
        return
    heads = config.heads or tensor
    fit = [
        size
        for size in range(1, min(heads, _MOST_DEVICES) + 1)
        if not any(_undivided(config, asked, rules, size))
    ]
    if len(fit) > _SHOWN:
        fit = [*fit[: _SHOWN - 1], fit[-1]]
    for message in broken:
        yield Refusal(
            message, f"tensor parallel sizes that this model can be split over: {', '.join(map(str, fit))}"
        )


def _undivided(config: ModelConfig, asked: Asked, rules: Rules, tensor: int) -> Iterator[str]:
    """What ``tensor`` devices cannot share evenly."""
    heads, kv_heads = config.heads, config.kv_heads
    grouped = kv_heads != heads or rules.heads == "all"
    if rules.heads and grouped and heads and heads % tensor:
        yield f"attention heads ({heads}) must be divisible by tensor parallel size ({tensor})"
    # Latent attention keeps no KV heads; fewer heads than devices are kept by several devices each.
    if rules.kv_heads and config.latent is None and kv_heads and kv_heads % tensor and tensor % kv_heads:
        yield f"KV heads ({kv_heads}) must be divisible by tensor parallel size ({tensor}), or it by them"
    if not rules.widths:
        return
    for name, width in _widths(config, asked):
        if width % tensor:
            yield f"{name} ({width}) must be divisible by tensor parallel size ({tensor})"
            continue
        step = _scale_step(config)
        if step and tensor > 1 and (width // tensor) % step:
            yield (
                f"{name} ({width}) over {tensor} devices gives each {width // tensor} inputs, not a multiple of the "
                f"{step} that share a quantization scale"
            )


def _widths(config: ModelConfig, asked: Asked) -> Iterator[tuple[str, int]]:
    experts = config.experts
    if experts and experts.intermediate and not asked.expert_parallel:
        yield "the experts' intermediate size", experts.intermediate
    dense = config.intermediate
    if dense and (experts is None or experts.intermediate not in (None, dense)):
        yield "the intermediate size", dense


def _scale_step(config: ModelConfig) -> int | None:
    """Inputs of the row-parallel matrix that share a scale, where engines refuse to cut between them."""
    quantization = config.quantization
    if quantization is None or config.experts is not None:
        return None  # newer versions choose another block for experts: see cautions
    if quantization.block:
        return quantization.block[1]
    return quantization.group if quantization.method in ("awq", "gptq") else None


def _pipeline(config: ModelConfig, asked: Asked) -> Iterator[Refusal]:
    stages, layers = asked.pipeline_parallel, config.layers
    if stages and layers and stages > layers:
        yield Refusal(
            f"a pipeline of {stages} stages is longer than the model's {layers} layers",
            f"take {layers} stages or fewer",
        )


def _experts(config: ModelConfig, asked: Asked, rules: Rules, engine: str) -> Iterator[Refusal]:
    if not asked.expert_parallel:
        return
    if config.experts is None:
        if rules.dense_experts:
            yield Refusal(
                f"expert parallelism needs experts, and {config.architecture or config.directory} has none",
                "leave expert parallelism away",
            )
        return
    ranks = asked.tensor_parallel or 1
    if rules.experts and config.experts.count % ranks:
        fit = [size for size in range(1, config.experts.count + 1) if config.experts.count % size == 0]
        yield Refusal(
            f"{config.experts.count} experts cannot be spread evenly over {ranks} ranks, as {engine} asks for",
            f"take a number of ranks that divides them: {', '.join(map(str, fit[:_SHOWN]))}",
        )


def longest_context(config: ModelConfig, engine: str) -> int | None:
    """The most tokens of prompt and answer that ``engine`` accepts for a model; None = it refuses none.

    vLLM multiplies the positions by the factor of linear and dynamic scaling. Of YaRN, older versions take the
    original positions times the factor, newer ones the positions stated; the larger is given here, so that nothing
    is refused that any version accepts. SGLang multiplies where no original positions are stated.
    """
    rules = RULES.get(engine, NOTHING)
    positions, rope = config.max_positions, config.rope
    if rules.length is None or positions is None:
        return None
    if rules.length == "sglang":
        kept = rope.original_positions is not None or rope.kind == "llama3"
        return int(positions * (1.0 if kept else rope.factor))
    if rope.kind in ("yarn", "deepseek_yarn"):
        return max(positions, int((rope.original_positions or positions) * rope.factor))
    if rope.kind in ("su", "longrope", "llama3", "deepseek_llama_scaling", "mrope", "default"):
        return positions
    return int(positions * rope.factor)


def _length(config: ModelConfig, asked: Asked, rules: Rules, engine: str) -> Iterator[Refusal]:
    most = longest_context(config, engine)
    if most is None or not asked.max_model_len or asked.max_model_len <= most:
        return
    if rules.longer and asked.env.get(rules.longer, "0").lower() in ("1", "true", "yes"):
        return
    allowed = (
        f"; {rules.longer}=1 allows it, and answers beyond {most:,} may be nonsense" if rules.longer else ""
    )
    yield Refusal(
        f"a context of {asked.max_model_len:,} tokens is longer than the {most:,} positions of {config.directory}",
        f"take {most} or fewer, or give the model a rope scaling in its config.json{allowed}",
    )


def _quantization(config: ModelConfig, asked: Asked, rules: Rules, engine: str) -> Iterator[Refusal]:
    if rules.methods is None:
        return
    stored = config.quantization.method if config.quantization else None
    wanted = asked.quantization
    if wanted and wanted.replace("-", "_") not in {method.replace("-", "_") for method in rules.methods}:
        yield Refusal(f"{engine} knows no quantization {wanted!r}", f"it knows {_few(rules.methods)}")
        return
    if stored and stored != UNNAMED and stored not in rules.methods:
        yield Refusal(
            f"the weights in {config.directory} are quantized by {stored!r}, which {engine} does not know",
            f"take weights in another form: {_few(rules.methods)}",
        )
        return
    if wanted and stored and not _same_family(wanted, stored):
        yield Refusal(
            f"the weights are quantized by {stored!r}, and {wanted!r} is asked for",
            f"leave the setting away: {engine} reads the method from config.json",
        )


def _few(methods: frozenset[str]) -> str:
    common = [name for name in (*_FAMILIES, "gguf") if name in methods]
    return ", ".join(common) + (" and others" if len(common) < len(methods) else "")


def _same_family(wanted: str, stored: str) -> bool:
    wanted, stored = wanted.lower().replace("_tensors", "-tensors"), stored.lower()
    family = next((name for name in _FAMILIES if stored == name), None)
    # Of families that are not listed, engines have rules of their own.
    return family is None or family in wanted or wanted in _TAKES_OTHERS


def _dtype(config: ModelConfig, asked: Asked, rules: Rules, engine: str) -> Iterator[Refusal]:
    wanted = None if asked.dtype in (None, "auto") else asked.dtype
    used = wanted or config.dtype
    if wanted in ("float16", "half") and config.model_type in rules.no_float16:
        yield Refusal(
            f"{engine} does not compute {config.model_type} in float16, where its numbers overflow",
            "take bfloat16 or float32",
        )
    weighed = wanted if rules.bfloat16 == "asked" else used
    if rules.bfloat16 and weighed == "bfloat16" and asked.device and lacks_bfloat16(asked.device):
        where = "" if wanted else ': set "torch_dtype": "float16" in config.json'
        yield Refusal(f"{asked.device} has no bfloat16", f"take float16{where}")
    quantized = (asked.quantization or "").replace("-", "_")
    if asked.dtype and quantized and rules.dtype_with is not None and quantized not in rules.dtype_with:
        yield Refusal(
            f"{engine} takes no dtype ({asked.dtype}) beside the quantization {asked.quantization}, which says it",
            "leave the dtype out",
        )
    method = config.quantization.method if config.quantization else None
    if rules.methods is not None and wanted in ("float32", "float") and method in _QUANTIZED_FLOATS:
        yield Refusal(
            f"weights quantized by {method} are not computed in {wanted}", "take float16 or bfloat16"
        )


def lacks_bfloat16(device: str) -> bool:
    """Whether an accelerator of that name is known to compute no bfloat16."""
    return _NO_BFLOAT16.search(device) is not None


def cautions(config: ModelConfig, asked: Asked, engine: str = "") -> list[Caution]:
    """What ``engine`` accepts, and a user would want to know before a measurement."""
    return [
        *_replicated(config, asked),
        *_stretched(config, asked, engine),
        *_block_of_experts(config, asked, engine),
        *_half_of_awq(config, asked, engine),
    ]


def _replicated(config: ModelConfig, asked: Asked) -> Iterator[Caution]:
    tensor, kv_heads = asked.tensor_parallel or 1, config.kv_heads
    if config.heads and config.heads % tensor:
        return  # refused
    if config.latent is None and kv_heads and tensor > kv_heads and tensor % kv_heads == 0:
        yield Caution(
            f"{kv_heads} KV heads over {tensor} devices: each head is kept by {tensor // kv_heads} of them, and a "
            f"device keeps as much of a token as with {kv_heads}",
            "compare with fewer devices and more replicas",
        )


def _stretched(config: ModelConfig, asked: Asked, engine: str) -> Iterator[Caution]:
    length, stated, rope = asked.max_model_len, config.max_positions, config.rope
    if engine == "vllm" and rope.kind == "yarn" and stated and length and length > stated:
        yield Caution(
            f"a context of {length:,} tokens is beyond the {stated:,} positions stated beside YaRN x {rope.factor:g}: "
            "older vLLM multiplies them, newer refuses (0.32 does)",
            f'set "max_position_embeddings": {longest_context(config, engine)} in config.json',
        )


def _block_of_experts(config: ModelConfig, asked: Asked, engine: str) -> Iterator[Caution]:
    tensor, experts = asked.tensor_parallel or 1, config.experts
    block = config.quantization.block if config.quantization else None
    if engine not in ("vllm", "sglang") or not block or experts is None or asked.expert_parallel:
        return
    width = experts.intermediate
    if width and width % tensor == 0 and (width // tensor) % block[0]:
        yield Caution(
            f"experts {width} wide over {tensor} devices give each {width // tensor}, not a multiple of the block of "
            f"{block[0]} that shares a scale: many versions refuse it",
            "take fewer devices for tensor parallelism, or expert parallelism",
        )


def _half_of_awq(config: ModelConfig, asked: Asked, engine: str) -> Iterator[Caution]:
    used = config.dtype if asked.dtype in (None, "auto") else asked.dtype
    method = config.quantization.method if config.quantization else None
    if engine == "vllm" and used == "bfloat16" and method == "awq":
        yield Caution(
            "AWQ weights are computed in float16 by vLLM before 0.10, which refuses bfloat16",
            "take float16 there",
        )
