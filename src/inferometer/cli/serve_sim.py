"""``inferometer serve-sim``: the simulated server on its own."""

from __future__ import annotations

import argparse
import sys

from inferometer.cli.parse import Parser

_TEXT = "Serves a simulated engine with an OpenAI-compatible API until Ctrl-C. Its times are made up, not measured."

# What each field of SimSettings is, as --help says it.
_MEANINGS = {
    "what is served": {
        "model": "name of the model",
        "adapters": "further model names, as of LoRA adapters: a,b",
        "api_key": "key that requests must give",
        "stream_interval": "tokens of a chunk, after the first",
        "chat_overhead_tokens": "what a chat template would add to each message",
        "answer_tokens_median": "median length of answers that end by themselves",
        "answer_tokens_sigma": "their spread (log-normal)",
        "seed": "seed of texts, lengths and acceptance",
        "fault": "a fault, as JSON; see the page on the simulated server",
        "step_log": "file that gets a row for each step, for: inferometer simulate calibrate --step-log FILE",
    },
    "seconds of a step and of a request": {
        "base_s": "of a step, whatever is in it",
        "weights_s": "beside it: reading all weights",
        "per_token_s": "of each token of a step, where they are more than --weights-s",
        "per_seq_s": "more for each sequence in it",
        "per_kv_token_s": "more for each token of context that its decodes read",
        "attention_s": "more for each query-key pair of its prompts",
        "comm_token_s": "more for each token of it: exchange between devices",
        "prompt_step_s": "more of a step with prompts",
        "arrival_s": "from the arrival of a request to where it can be scheduled",
        "first_token_s": "from the end of a step to where its tokens are sent",
        "time_scale": "how many times as long all of it lasts: 2 = half as fast, 0.5 = twice as fast",
    },
    "scheduler and KV cache": {
        "scheduler": "chunked = vLLM; prefill-first = MindIE, LMDeploy; static = offline batches, without prefix cache",
        "order": "who waits in front; shortest = prompt",
        "max_num_seqs": "most sequences in a step",
        "max_num_batched_tokens": "most tokens in a step; of prefill-first in a prefill step",
        "max_model_len": "most tokens of prompt and answer",
        "block_size": "tokens of a KV block",
        "num_blocks": "KV blocks",
        "prefix_cache": "compute full blocks of prompts once, and keep them while nobody needs their place",
        "reserve_full_prompt": "chunked: admit a prompt when all of it fits into the free blocks",
        "split_prompts": "chunked: compute a prompt in several steps where it is longer than what is left of one",
        "reserve_answer": "admit a request when prompt and whole answer fit, and preempt nobody",
        "long_prefill_token_threshold": "chunked: most tokens of one prompt in a step; 0 = not limited",
        "max_prefill_seqs": "prefill-first: most prompts of a step",
        "prefill_delay_s": "prefill-first: seconds that a request may wait for a full batch of prompts",
        "select_batch": "prefill-first: prompts or decodes first, whichever would lose more time",
        "select_steps": "decode steps after which prompts go first all the same",
        "prefill_time_s": "weight of a waiting request then",
        "decode_time_s": "weight of a running request then",
        "max_preempt": "prefill-first: most sequences that lose their blocks in a step",
    },
    "speculative decoding": {
        "speculative_tokens": "tokens drafted per step; 0 = none",
        "acceptance_rate": "share of draft tokens that are accepted, if all before them were",
        "acceptance": "the same by position: 0.8,0.6,0.4",
        "per_draft_s": "seconds more of a step for each token of a draft",
    },
}


def main(argv: list[str]) -> int:
    """Serve until SIGINT or SIGTERM."""
    from inferometer.simulator.server.listening import serve
    from inferometer.simulator.server.serve import settings_from_flags

    given = vars(_parser().parse(argv))
    host, port = given.pop("host"), given.pop("port")
    serve(settings_from_flags(given), host, port, _ready)
    return 0


def _parser() -> Parser:
    from inferometer.simulator.server.serve import add_field, flag_fields

    parser = Parser("serve-sim", _TEXT)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at (default 127.0.0.1)")
    parser.add_argument("--port", type=int, default=8000, help="port; 0 takes a free one (default 8000)")
    text = "a calibrated engine, as inferometer simulate calibrate writes it; flags beside it win"
    parser.add_argument("--profile", metavar="FILE", help=text)
    parser.add_argument("--prefix-cache-blocks", help=argparse.SUPPRESS)  # says that it is gone
    fields = {field.name: field for field in flag_fields()}
    for title, meanings in _MEANINGS.items():
        group = parser.add_argument_group(title)
        for name, means in meanings.items():
            add_field(group, fields[name], means)
    return parser


def _ready(url: str) -> None:
    print(f"simulated server  {url}", flush=True)
    print(f"next  inferometer run --url {url}      Ctrl-C ends it", file=sys.stderr, flush=True)
