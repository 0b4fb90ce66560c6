"""llama.cpp's own HTTP server from the xllamacpp wheel, as a process that takes the flags of ``llama-server``.

Of those flags it has the ones that a measurement needs; the real ``llama-server`` has all.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from typing import Any

from inferometer.engines.gguf_files import gguf_of
from inferometer.errors import InferometerError, UsageError
from inferometer.record.cache import cache_dir
from inferometer.version import __version__

INSTALL = "pip install 'inferometer[engine]'"


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until SIGINT or SIGTERM; returns the exit status."""
    asked = _flags().parse_args(argv)
    try:
        # A signal until then ends the process at once, as nothing is to be put in order.
        server = _served(asked)
    except InferometerError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    ended, ends = os.pipe()  # a byte comes with each signal: nothing has to look several times a second
    os.set_blocking(ends, False)
    signal.set_wakeup_fd(ends)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    sys.stdout.write(f"listening at {server.listening_address}\n")
    sys.stdout.flush()
    os.read(ended, 1)
    return 0


def _served(asked: argparse.Namespace) -> Any:
    """The running server.

    Raises:
        UsageError: no wheel, no model, or llama.cpp refuses it.
    """
    try:
        import xllamacpp
    except ImportError as error:
        raise UsageError(f"xllamacpp cannot be imported: {error}", INSTALL) from None
    model = gguf_of(asked.model, cache_dir(os.environ))
    sys.stdout.write(f"xllamacpp {xllamacpp.__version__}, started by inferometer {__version__}\n")
    sys.stdout.flush()
    try:
        return xllamacpp.Server(_params(xllamacpp, asked, str(model)))
    except RuntimeError as error:
        raise UsageError(
            f"llama.cpp does not serve {str(model)!r}: {error}", "its reason stands above"
        ) from None


def _params(xllamacpp: Any, asked: argparse.Namespace, model: str) -> Any:
    params = xllamacpp.CommonParams()
    params.model.path = model
    params.hostnames = [asked.host]
    params.port = asked.port
    params.offline = True
    params.ui = False
    params.endpoint_metrics = params.endpoint_slots = params.endpoint_props = True
    params.use_jinja = True
    params.cache_prompt = asked.cache_prompt
    params.cache_ram_mib = (
        0  # else slots that were left are kept beside the KV cache, which a run does not expect
    )
    params.model_alias = {asked.alias or asked.model}
    given = {
        "n_ctx": asked.ctx_size,
        "n_parallel": asked.parallel,
        "n_batch": asked.batch_size,
        "n_ubatch": asked.ubatch_size,
        "n_gpu_layers": asked.n_gpu_layers,
        "n_threads_http": asked.threads_http,
        "chat_template": asked.chat_template,
        "api_keys": asked.api_key.split(",") if asked.api_key else None,
        "cache_type_k": _type(xllamacpp, asked.cache_type_k),
        "cache_type_v": _type(xllamacpp, asked.cache_type_v),
    }
    for name, value in given.items():
        if value is not None:
            setattr(params, name, value)
    threads = asked.threads or _cores()
    params.cpuparams.n_threads = threads
    params.cpuparams_batch.n_threads = asked.threads_batch or threads
    return params


def _cores() -> int:
    """The cores that this process may use: llama.cpp would count all of the machine, whatever it is kept on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _type(xllamacpp: Any, name: str | None) -> Any:
    if name is None:
        return None
    found = getattr(xllamacpp.ggml_type, f"GGML_TYPE_{name.upper()}", None)
    if found is None:
        raise UsageError(f"llama.cpp has no type {name!r}", "as llama-server: f32, f16, bf16, q8_0, q4_0 ...")
    return found


def _flags() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="inferometer.engines.llama_server", description=__doc__, allow_abbrev=False
    )
    parser.add_argument("-m", "--model", required=True, help="GGUF file, a folder with one, or tiny")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("-a", "--alias", help="name of the model in requests")
    parser.add_argument(
        "-c", "--ctx-size", type=int, help="tokens of all slots together; default: the model's"
    )
    parser.add_argument("-np", "--parallel", type=int, help="slots: sequences at a time")
    parser.add_argument("-b", "--batch-size", type=int, help="most tokens that are taken up together")
    parser.add_argument("-ub", "--ubatch-size", type=int, help="most tokens in one step of the device")
    parser.add_argument("-t", "--threads", type=int, help="default: the cores that it may use")
    parser.add_argument("-tb", "--threads-batch", type=int, help="threads of prefill; default: the same")
    parser.add_argument("--threads-http", type=int, help="threads that speak HTTP")
    parser.add_argument("-ngl", "--n-gpu-layers", "--gpu-layers", type=int, help="layers on the device")
    parser.add_argument("-ctk", "--cache-type-k", help="type of the KV cache's keys")
    parser.add_argument("-ctv", "--cache-type-v", help="type of the KV cache's values")
    parser.add_argument("--chat-template", help="in place of the model's")
    parser.add_argument(
        "--api-key",
        help="that requests have to give, or several: a,b",
        default=os.environ.get("LLAMA_API_KEY"),
    )
    parser.add_argument(
        "--cache-prompt",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="keep prefixes of a slot's prompts",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
