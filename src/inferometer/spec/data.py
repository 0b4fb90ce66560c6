"""The parts of the spec that say what is sent: data, lengths, shared prefixes, sessions, traces, images."""

from __future__ import annotations

from typing import Literal

from inferometer.spec.fields import option
from inferometer.spec.kinds import Count, Ints, Part, PositiveInt, PositiveNumber, Share, Texts

SIDE = 512  # pixels of generated pictures, where no size is asked for
TRACES = ("mooncake", "bailian", "burstgpt", "azure", "trace")  # data sets with recorded arrivals


class Workload(Part):
    """What is sent."""

    dataset: str = option("random", "data set: random, a file format, or a trace; see docs", metavar="NAME")
    dataset_path: str | None = option(
        None, "its file or directory, - for standard input, or hf://OWNER/NAME/FILE", metavar="FILE"
    )
    input_len: Ints = option((512,), "tokens per prompt (random), one load point per value", metavar="N")
    output_len: Ints | None = option(
        None,
        "tokens per answer, one load point per value "
        "(default: --max-tokens or 128 for random, the data set's own otherwise)",
        metavar="N",
    )
    lengths: str | None = option(
        None,
        "random: both lengths at once: 'N(480,240)/(300,150)', a CSV of pairs, or a synthetic_config.json",
        metavar="SPEC",
    )
    input_dist: str | None = option(
        None,
        "random: distribution of prompt lengths, as normal:mean=1800,std=500,min=100,max=3600",
        metavar="DIST",
        advanced=True,
    )
    output_dist: str | None = option(None, "random: the same for answers", metavar="DIST", advanced=True)
    range_ratio: Share | None = option(
        None,
        "random: lengths uniform around --input-len and --output-len; meaning: --range-ratio-as",
        metavar="X",
        advanced=True,
    )
    range_ratio_as: Literal["vllm", "sglang"] = option(
        "vllm", "vllm: [L(1-X), L(1+X)]; sglang: [L X, L]", advanced=True
    )
    text: Literal["words", "english", "chinese", "mixed", "token-ids"] = option(
        "words", "random: what prompts are made of", advanced=True
    )
    tokenizer: str = option(
        "builtin",
        "tokenizer.json or directory that holds one; server = the server's /tokenize; builtin = estimate",
        metavar="PATH",
    )
    on_bad_row: Literal["fail", "skip"] = option(
        "fail", "what a row that cannot be used does to the run", advanced=True
    )
    column: Texts = option(
        (), "custom: which column is what, as prompt=question output=answer", metavar="X=NAME", advanced=True
    )
    category: Texts = option((), "mtbench, specbench: only these categories", metavar="NAME", advanced=True)
    model_mix: Texts = option(
        (), "several model or LoRA names with weights: base=3 lora-a=1", metavar="NAME=W", advanced=True
    )
    oversample: bool = option(False, "use rows again when the file has fewer than --num-prompts")
    min_prompt_length: Count = option(
        0, "file data: drop shorter prompts (tokens; characters with builtin)", metavar="N", advanced=True
    )
    max_prompt_length: Count = option(
        0, "file data: drop longer prompts (counted as above), 0 = no limit", metavar="N", advanced=True
    )
    max_prompt_tokens: Count = option(
        0,
        "file data: drop prompts of more tokens, estimated ones with builtin; 0 = no limit",
        metavar="N",
        advanced=True,
    )
    max_model_len: Count = option(
        0, "prompt + answer above this is a bad row; 0 = not checked", metavar="N", advanced=True
    )
    sharegpt_min_input: Count = option(4, "sharegpt: drop prompts below, 0 = off", metavar="N", advanced=True)
    sharegpt_min_output: Count = option(
        4, "sharegpt: drop answers below, 0 = off", metavar="N", advanced=True
    )
    sharegpt_max_input: Count = option(
        1024, "sharegpt: drop prompts above, 0 = off", metavar="N", advanced=True
    )
    sharegpt_max_total: Count = option(
        2048, "sharegpt: drop prompt + answer above, 0 = off", metavar="N", advanced=True
    )


class Prefix(Part):
    """What prompts have in common, as a variable of the experiment."""

    prefix_len: Count = option(0, "tokens that prompts share at their beginning", metavar="N")
    prefix_groups: PositiveInt = option(1, "number of different shared prefixes", metavar="N", advanced=True)
    prefix_popularity: Literal["uniform", "zipf"] = option(
        "uniform", "how often each of them is drawn", advanced=True
    )
    prefix_zipf: PositiveNumber = option(1.1, "exponent of zipf popularity", metavar="X", advanced=True)
    prefix_share: Share = option(
        1.0, "share of the prompts that have a shared prefix", metavar="X", advanced=True
    )
    prefix_warm: bool = option(False, "send each shared prefix once before the load point", advanced=True)
    flush_cache: bool = option(
        False, "ask the server to empty its prefix cache before each load point", advanced=True
    )


class Sessions(Part):
    """Conversations of several turns."""

    multi_turn: bool = option(False, "send conversations turn by turn, each with the answers before it")
    turns: Count = option(
        0, "turns of a session: made for random data, at most so many of a file's", metavar="N"
    )
    turn_input_len: Count = option(
        0, "random: tokens of later turns; 0 = as --input-len", metavar="N", advanced=True
    )
    think_time: str = option(
        "0s", "between an answer and the next turn: 2s, exp:2s, uniform:1s,3s", metavar="TIME", advanced=True
    )
    history: Literal["server", "dataset"] = option(
        "server", "answers that later turns repeat: the server's own, or the data set's", advanced=True
    )

    @property
    def wanted(self) -> bool:
        """Whether requests may have later turns."""
        return self.multi_turn or self.turns > 1


class Trace(Part):
    """Replay of recorded arrivals (--dataset mooncake, bailian, burstgpt, azure, trace)."""

    trace_speed: PositiveNumber = option(1.0, "replay so many times as fast", metavar="X", advanced=True)
    trace_input_scale: PositiveNumber = option(1.0, "prompt lengths times this", metavar="X", advanced=True)
    trace_output_scale: PositiveNumber = option(1.0, "answer lengths times this", metavar="X", advanced=True)
    trace_window: str | None = option(
        None, "part of the trace, in its own time from its start: 10m-15m", metavar="FROM-TO", advanced=True
    )
    trace_loop: PositiveInt = option(1, "replay so many times in a row", metavar="N", advanced=True)


class Images(Part):
    """Pictures and video frames that go with each prompt."""

    image_count: Count | None = option(
        None, "pictures per request (default: 1 when another picture option is given, else 0)", metavar="N"
    )
    image_width: PositiveInt | None = option(None, f"pixels (default {SIDE})", metavar="N", advanced=True)
    image_height: PositiveInt | None = option(None, f"pixels (default {SIDE})", metavar="N", advanced=True)
    image_format: Literal["png", "jpeg"] | None = option(
        None, "of generated pictures (default png; jpeg: inferometer[vision])", advanced=True
    )
    image_content: Literal["noise", "shapes", "blank"] | None = option(
        None, "what generated pictures show (default shapes)", advanced=True
    )
    image_path: str | None = option(
        None,
        "pictures or MP4 videos of a file or directory instead, taken in turn",
        metavar="PATH",
        advanced=True,
    )
    image_as: Literal["data", "link"] = option(
        "data", "data: in the body; link: --image-path lists URLs", advanced=True
    )
    video_frames: Count = option(
        0, "frames of a generated video per request, sent as pictures", metavar="N", advanced=True
    )

    @property
    def made(self) -> tuple[str, ...]:
        """The options given that say how generated pictures are to be."""
        names = ("image_width", "image_height", "image_format", "image_content")
        return tuple(name for name in names if getattr(self, name) is not None)

    @property
    def pictures(self) -> int:
        """Pictures per request, video frames left out."""
        if self.image_count is not None:
            return self.image_count
        return int(not self.video_frames and (bool(self.made) or self.image_path is not None))

    @property
    def wanted(self) -> bool:
        """Whether requests have pictures or video frames."""
        return bool(self.pictures or self.video_frames)
