"""``inferometer serve-sim``: the simulated server on its own."""

from __future__ import annotations

import argparse
import sys

from inferometer.cli.parse import Parser

_TEXT = "Serves a simulated engine with an OpenAI-compatible API until Ctrl-C. Its times are made up, not measured."

# What each field of SimSettings is, as --help says it.
_MEANINGS = {
    "model": "name of the model",
    "adapters": "further model names, as of LoRA adapters: a,b",
    "base_s": "seconds of a step, whatever is in it",
    "per_token_s": "seconds more for each token of a step",
    "per_seq_s": "seconds more for each sequence in it",
    "per_kv_token_s": "seconds more for each KV token that is read",
    "max_num_seqs": "most sequences in a step",
    "max_num_batched_tokens": "most tokens in a step",
    "block_size": "tokens of a KV block",
    "num_blocks": "KV blocks",
    "prefix_cache": "compute full blocks of prompts once",
    "prefix_cache_blocks": "blocks that the prefix cache keeps",
    "max_model_len": "most tokens of prompt and answer",
    "stream_interval": "tokens of a chunk, after the first",
    "chat_overhead_tokens": "what a chat template would add to each message",
    "answer_tokens_median": "median length of answers that end by themselves",
    "answer_tokens_sigma": "their spread (log-normal)",
    "speculative_tokens": "tokens drafted per step of speculative decoding; 0 = none",
    "acceptance_rate": "share of draft tokens that are accepted, if all before them were",
    "per_draft_s": "seconds more of a step for each token of a draft",
    "seed": "seed of texts, lengths and acceptance",
    "api_key": "key that requests must give",
    "fault": "a fault, as JSON; see the page on the simulated server",
}


def main(argv: list[str]) -> int:
    """Serve until SIGINT or SIGTERM."""
    import msgspec

    from inferometer.simulator import SimSettings

    parser = Parser("serve-sim", _TEXT)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at (default 127.0.0.1)")
    parser.add_argument("--port", type=int, default=8000, help="port; 0 takes a free one (default 8000)")
    for field in msgspec.structs.fields(SimSettings):
        default = "none" if field.default in (None, ()) else field.default
        flag, means = f"--{field.name.replace('_', '-')}", _MEANINGS[field.name]
        if isinstance(default, bool):
            text = f"{means} (default {'on' if default else 'off'})"
            parser.add_argument(flag, action=argparse.BooleanOptionalAction, default=None, help=text)
        else:
            parser.add_argument(flag, metavar="VALUE", help=f"{means} (default {default})")
    given = vars(parser.parse(argv))
    host, port = given.pop("host"), given.pop("port")

    from inferometer.simulator.server.listening import serve
    from inferometer.simulator.server.serve import settings_from_flags

    serve(settings_from_flags(given), host, port, _ready)
    return 0


def _ready(url: str) -> None:
    print(f"simulated server  {url}", flush=True)
    print(f"next  inferometer run --url {url}      Ctrl-C ends it", file=sys.stderr, flush=True)
