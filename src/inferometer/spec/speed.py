"""What ``inferometer speed`` measures: an engine without load, one batch at a time, by length of the prompt."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, Field, ValidationError, WithJsonSchema

from inferometer.errors import UsageError
from inferometer.spec.fields import option
from inferometer.spec.kinds import Count, Ints, Part, PositiveInt, Seconds
from inferometer.spec.launch_rules import shown_command
from inferometer.spec.options import Option, part_options
from inferometer.spec.url import shown_url

LENGTHS = (1, 6144, 14336, 30720, 63488, 129024)  # of the speed reports of Qwen1.5 to Qwen3
GENERATED = 2048
SPEED = "speed"

EngineName = Literal["transformers", "vllm", "endpoint"]
ENGINES: tuple[str, ...] = get_args(EngineName)
IN_PROCESS = ("transformers", "vllm")
# Engines that a setting means something to, where it is not all.
_ONLY: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(
        (
            "python",
            "prompt",
            "device",
            "devices",
            "dtype",
            "trust_remote_code",
            "hub",
            "revision",
            "memory_limit",
            "require_idle",
        ),
        IN_PROCESS,
    ),
    "tokenizer": ("endpoint",),
    "attn_implementation": ("transformers",),
    "gpu_memory_utilization": ("vllm",),
    "enforce_eager": ("vllm",),
}


def _as_bytes(value: Any) -> Any:
    """``4g``, ``512MiB`` or a number of bytes; all units are powers of 1024."""
    if not isinstance(value, str):
        return value
    match = re.fullmatch(r"\s*(\d+\.?\d*)\s*([kmgt]?)(i?b)?\s*", value.lower())
    if match is None:
        raise ValueError("an amount of memory is written 4g, 512m or in bytes")
    return int(float(match[1]) * 1024 ** " kmgt".index(match[2] or " "))


Bytes = Annotated[
    int,
    Field(gt=0),
    BeforeValidator(_as_bytes),
    WithJsonSchema({"anyOf": [{"type": "integer", "exclusiveMinimum": 0}, {"type": "string"}]}),
]


class SpeedSpec(Part):
    """One measurement of speed: a model in an engine, lengths, batch sizes, repeats."""

    model: str | None = option(
        None, "directory of a model, or its name on a hub; with an endpoint the name that requests give"
    )
    engine: EngineName = option(
        "transformers",
        "who generates: a library in a process of ours, or a server (default transformers; with --url or --launch "
        "endpoint)",
    )
    python: str | None = option(
        None,
        "Python that has the engine's library (default: this one); it needs nothing of Inferometer",
        metavar="PATH",
    )
    url: str | None = option(None, "endpoint: base URL of the server", metavar="URL")
    launch: str | None = option(
        None,
        'endpoint: start this server, measure it and stop it ("vllm serve MODEL ...")',
        metavar="COMMAND",
    )
    tokenizer: str | None = option(
        None,
        "endpoint: tokenizer.json or its directory, for prompts of exact lengths (default: that of MODEL if it is a "
        "directory, else the server's /tokenize)",
        metavar="PATH",
    )
    input_len: Ints = option(LENGTHS, "tokens per prompt, one row per value", metavar="N")
    generate_len: PositiveInt = option(GENERATED, "tokens to generate, neither more nor fewer", metavar="N")
    batch_size: Ints = option((1,), "prompts that are generated together, one row per value", metavar="N")
    repeats: PositiveInt = option(3, "measured generations per row", metavar="N")
    warmup: Count = option(1, "generations before them that do not count", metavar="N")
    warmup_len: PositiveInt = option(16, "tokens to generate in a warm-up", metavar="N")
    prompt: Literal["repeated", "random"] = option(
        "repeated",
        "tokens of the prompt: one, again and again, as Qwen's scripts do, or drawn (a mixture of experts may be "
        "faster or slower with them)",
    )
    seed: Count = option(0, "seed of drawn tokens", metavar="N")
    device: str = option(
        "auto",
        "auto, cpu, cuda:0, npu:0 (auto: the first of cuda, npu, xpu, mps, cpu; vllm takes auto and cpu)",
        metavar="DEVICE",
    )
    devices: str | None = option(
        None, "numbers of the devices that the engine may see, as 0,1", metavar="LIST"
    )
    dtype: str = option("auto", "type of the weights: auto, bfloat16, float16, float32", metavar="TYPE")
    attn_implementation: Literal["flash_attention_2", "sdpa", "eager"] | None = option(
        None, "transformers: how attention is computed (default: the library's choice)"
    )
    trust_remote_code: bool = option(False, "let code of the model's repository be run")
    hub: Literal["hf", "modelscope"] = option("hf", "where a model that is no directory comes from")
    revision: str | None = option(None, "branch, tag or commit on the hub", metavar="NAME")
    max_model_len: PositiveInt | None = option(
        None,
        "most tokens of prompt and answer (default: transformers as the model's config.json says, vLLM what the rows "
        "need); a row beyond it is too long",
        metavar="N",
    )
    gpu_memory_utilization: Annotated[float, Field(gt=0, le=1)] = option(
        0.9, "vllm: share of the device's memory that it takes beforehand", metavar="SHARE"
    )
    enforce_eager: bool = option(False, "vllm: no CUDA graphs")
    memory_limit: Bytes | None = option(
        None,
        "address space that the engine's process may take (4g); what does not fit is OOM",
        metavar="SIZE",
    )
    load_limit_s: Seconds = option(
        1800.0, "longest wait until the model is loaded", flag="--load-timeout", metavar="TIME"
    )
    generate_limit_s: Seconds = option(
        3600.0, "longest wait for one generation", flag="--generate-timeout", metavar="TIME"
    )
    require_idle: bool = option(False, "do not start while the device is busy (default: WARN)")
    out: str = option("runs", "directory of run folders", metavar="DIR")

    @property
    def rows(self) -> list[tuple[int, int]]:
        """Pairs of prompt length and batch size, each once, in the order in which they are measured."""
        return list(dict.fromkeys((length, batch) for batch in self.batch_size for length in self.input_len))

    def public(self) -> dict[str, Any]:
        """The values as JSON, without a secret of the address or of the command line."""
        plain: dict[str, Any] = self.model_dump(mode="json")
        shown = {
            "url": None if self.url is None else shown_url(self.url),
            "launch": None if self.launch is None else shown_command(self.launch),
        }
        return plain | shown


def speed_options() -> dict[str, Option]:
    """The options of the verb by name of the field."""
    return {each.name: each for each in part_options(SPEED, "Speed", SpeedSpec)}


def speed_spec(values: dict[str, Any]) -> SpeedSpec:
    """A spec from what was given, by name of the field.

    Raises:
        UsageError: a value that is not allowed, or values that contradict each other.
    """
    if "engine" not in values and (values.get("url") or values.get("launch")):
        values = {**values, "engine": "endpoint"}
    try:
        spec = SpeedSpec.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        name = str(first["loc"][0]) if first["loc"] else ""
        known = speed_options().get(name)
        rule = first["msg"].removeprefix("Value error, ")
        if known is None:
            raise UsageError(f"{name}: {rule}", "see `inferometer speed --help`") from None
        raise UsageError(
            f"{known.flag} {first['input']!r}: {rule[:1].lower()}{rule[1:]}", f"{known.flag}: {known.text}"
        ) from None
    _check(spec)
    return spec


def _check(spec: SpeedSpec) -> None:
    served = spec.url is not None or spec.launch is not None
    if spec.engine == "endpoint":
        _check_endpoint(spec)
    _check_of_others(spec)
    if spec.engine == "endpoint":
        return
    if spec.engine == "vllm" and spec.device not in ("auto", "cpu"):
        raise UsageError(
            f"--device {spec.device}: vLLM chooses its device itself",
            f"say which it may see: --devices {spec.device.partition(':')[2] or '0'}",
        )
    if served:
        flag = "--url" if spec.url is not None else "--launch"
        raise UsageError(
            f"{flag} is a server, and --engine {spec.engine} measures a library in a process of ours",
            "give --engine endpoint, or leave it out",
        )
    if spec.model is None:
        raise UsageError(
            "speed does not know which model to load",
            "name a directory or a model of a hub: inferometer speed Qwen/Qwen2.5-0.5B-Instruct",
        )
    folder = Path(spec.model).expanduser()
    if folder.is_dir() and not (folder / "config.json").is_file():
        raise UsageError(
            f"{spec.model!r} holds no config.json", "name the directory that the model's files lie in"
        )
    if re.match(r"[.~/]", spec.model) and not folder.is_dir():
        raise UsageError(
            f"{spec.model!r} is no directory",
            "give the directory that holds config.json, or OWNER/NAME of a hub",
        )


def _check_of_others(spec: SpeedSpec) -> None:
    """A setting that would change nothing is a mistake."""
    options = speed_options()
    for name, engines in _ONLY.items():
        given = name in spec.model_fields_set and getattr(spec, name) not in (None, False)
        if given and spec.engine not in engines:
            raise UsageError(
                f"{options[name].flag} does nothing with --engine {spec.engine}: it is for {' and '.join(engines)}",
                f"leave {options[name].flag} out",
            )
    if spec.devices is not None and not re.fullmatch(r"[\w/-]+(\s*,\s*[\w/-]+)*", spec.devices.strip()):
        raise UsageError(
            f"--devices {spec.devices!r} is no list of devices",
            "numbers with commas between them: --devices 0,1",
        )


def _check_endpoint(spec: SpeedSpec) -> None:
    if spec.url is not None and spec.launch is not None:
        raise UsageError("--url and --launch both name the server", "keep one of them")
    if spec.url is None and spec.launch is None:
        raise UsageError(
            "--engine endpoint needs a server", 'give --url http://HOST:PORT or --launch "vllm serve MODEL"'
        )
