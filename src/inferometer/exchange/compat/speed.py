"""What the efficiency scripts of Qwen and EvalScope's speed benchmark call the flags of ``speed``."""

from __future__ import annotations

from collections.abc import Collection

from inferometer.errors import UsageError
from inferometer.exchange.compat.translate import Group, split

MODEL = "MODEL"
_NAMES = {
    "--model_id_or_path": MODEL,
    "--model": MODEL,
    "--context_length": "--input-len",
    "--generate_length": "--generate-len",
    "--max-tokens": "--generate-len",
    "--gpus": "--devices",
    "--outputs_dir": "--out",
    "--outputs-dir": "--out",
    "--parallel": "--batch-size",
}
_HF_LENGTHS = {
    "speed_benchmark": ("1", "6144", "14336", "30720"),
    "speed_benchmark_long": ("63488", "129024"),
}
_APIS = {"local": "transformers", "local_vllm": "vllm", "openai": "endpoint"}
_NEEDLESS = {
    "--log-every-n-query": "every generation is told",
    "--connect-timeout": "there is --generate-timeout",
    "--read-timeout": "there is --generate-timeout",
    "--number": "there is --repeats",
    "--tokenizer-path": "an engine has its own; with an endpoint there is --tokenizer",
}


def translated(argv: list[str], known: Collection[str]) -> tuple[list[str], list[str]]:
    """The command line in our words, and hints about what was called otherwise.

    Args:
        argv: as given.
        known: our flags.

    Raises:
        UsageError: a value that has no meaning here, or two lengths that contradict each other.
    """
    words: list[str] = []
    hints: list[str] = []
    groups = split(argv)
    _refuse_range(groups)
    model: list[str] = []
    for group in groups:
        if _NAMES.get(group.name) == MODEL:
            model = group.values[-1:]
            hints.append(f"{group.name} is {MODEL} here, without a flag")
        else:
            words += _replaced(group, known, hints)
    return [*model, *words], hints  # behind a list it would be one more of its values


def _replaced(group: Group, known: Collection[str], hints: list[str]) -> list[str]:
    name, values = group.name, group.values
    if name in _NEEDLESS or name == "--min-tokens":
        why = _NEEDLESS.get(name, "as many tokens as --generate-len are generated, neither more nor fewer")
        hints.append(f"{name} is not needed here: {why}")
        return []
    if name in ("--use_modelscope", "--use-modelscope"):
        hints.append(f"{name} is --hub modelscope here")
        return ["--hub", "modelscope", *values]
    if name in ("--dataset", "--api"):
        return _chosen(group, hints)
    ours = _NAMES.get(name)
    if ours is None and name not in known and name.replace("_", "-") in known:
        ours = name.replace("_", "-")
    if ours is None:
        return [*([name] if name else []), *values]
    hints.append(f"{name} is {ours} here")
    return [ours, *values]


def _chosen(group: Group, hints: list[str]) -> list[str]:
    """A value of EvalScope's that is several of ours."""
    value = (group.values or [""])[-1]
    if group.name == "--dataset" and value in _HF_LENGTHS:
        words = ["--input-len", *_HF_LENGTHS[value]]
    elif group.name == "--api" and value in _APIS:
        words = ["--engine", _APIS[value]]
    else:
        choices = _HF_LENGTHS if group.name == "--dataset" else _APIS
        raise UsageError(
            f"{group.name} {value}: speed knows {', '.join(choices)}", "or see `inferometer speed --help`"
        )
    hints.append(f"{group.name} {value} is {' '.join(words)} here")
    return words


def _refuse_range(groups: list[Group]) -> None:
    """``--min-tokens`` below ``--max-tokens`` asks for a range; here every answer has the same length."""
    given = {group.name: group.values[-1] for group in groups if group.values}
    least, most = given.get("--min-tokens"), given.get("--max-tokens") or given.get("--generate-len")
    if least is not None and most is not None and least != most:
        raise UsageError(
            f"--min-tokens {least} and {most} tokens at most: speed generates a fixed number",
            "give --generate-len N alone",
        )
