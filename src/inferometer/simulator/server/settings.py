"""What the simulated engine is and how fast it is."""

from __future__ import annotations

import math

import msgspec

from inferometer.errors import UsageError
from inferometer.simulator.instance.limits import EngineLimits, Order, SchedulerName
from inferometer.simulator.instance.shape import StepModel
from inferometer.simulator.latency.experts import TouchedExperts, step_model
from inferometer.simulator.latency.model import Coefficients
from inferometer.simulator.latency.profile import Profile
from inferometer.simulator.latency.residual import Residual, ResidualModel
from inferometer.simulator.latency.variants import DraftingModel, SlowedModel
from inferometer.simulator.server.faults import Fault

_AT_LEAST: dict[str, float] = {
    "base_s": 0,
    "weights_s": 0,
    "per_token_s": 0,
    "per_seq_s": 0,
    "per_kv_token_s": 0,
    "attention_s": 0,
    "comm_token_s": 0,
    "prompt_step_s": 0,
    "arrival_s": 0,
    "first_token_s": 0,
    "max_num_seqs": 1,
    "max_num_batched_tokens": 1,
    "block_size": 1,
    "num_blocks": 1,
    "max_model_len": 2,
    "stream_interval": 1,
    "chat_overhead_tokens": 0,
    "answer_tokens_median": 1,
    "answer_tokens_sigma": 0,
    "speculative_tokens": 0,
    "acceptance_rate": 0,
    "per_draft_s": 0,
}

# What has another name here than in the simulator and in profiles.
_COSTS = {
    "step_s": "base_s",
    "token_s": "per_token_s",
    "sequence_s": "per_seq_s",
    "kv_token_s": "per_kv_token_s",
}
_LIMITS = {"block_tokens": "block_size", "kv_blocks": "num_blocks", "draft_tokens": "speculative_tokens"}


class SimSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Model, speed and limits of a simulated engine. Names are vLLM's where vLLM has the thing.

    A step takes ``max(weights_s, per_token_s * scheduled tokens) + base_s + per_seq_s * sequences + per_kv_token_s *
    context tokens of decodes``, and what the other costs add (``latency.model.Coefficients``), times ``time_scale``.
    With the defaults one stream makes a token in about 5 ms, 32 streams of 1,000 tokens of context in less than 8 ms,
    and prefill runs at about 20,000 tokens/s. ``settings_of`` takes all of it from a profile.

    Raises:
        UsageError: a value out of range, or limits that contradict each other.
    """

    model: str = "sim-llama-8b"
    adapters: tuple[str, ...] = ()  # further model names, as of LoRA adapters; they are as fast as the model
    base_s: float = 0.0049
    weights_s: float = 0.0  # reading all weights once; hides the computing of tokens that takes less
    per_token_s: float = 5e-5
    per_seq_s: float = 2e-5
    per_kv_token_s: float = 2e-8
    attention_s: float = 0.0  # of each query-key pair of a prompt
    comm_token_s: float = 0.0  # exchange between devices, of each token
    prompt_step_s: float = 0.0  # of a step with prompts, beside base_s
    arrival_s: float = 0.0  # from a request's arrival to where it can be scheduled
    first_token_s: float = 0.0  # from the end of a step to where its tokens are sent
    experts: TouchedExperts | None = None  # of a mixture; no flag, comes with a profile
    residual: Residual | None = None  # corrections by step records; no flag, comes with a profile
    time_scale: float = 1.0  # how many times as long everything lasts
    scheduler: SchedulerName = "chunked"
    order: Order = "fcfs"
    max_num_seqs: int = 256
    max_num_batched_tokens: int = 2048
    reserve_full_prompt: bool = True
    split_prompts: bool = True
    reserve_answer: bool = False
    long_prefill_token_threshold: int = 0
    max_prefill_seqs: int | None = None
    prefill_delay_s: float = 0.0
    select_batch: bool = False
    select_steps: int | None = None
    prefill_time_s: float = 0.15
    decode_time_s: float = 0.05
    max_preempt: int | None = None
    block_size: int = 16
    num_blocks: int = 32768
    prefix_cache: bool = True  # full blocks of prompts are computed once; not with scheduler static
    max_model_len: int = 262144  # EvalScope's own prompts have up to 131,072 tokens
    stream_interval: int = 1  # tokens per chunk; the first token is always a chunk of its own
    chat_overhead_tokens: int = 0  # what a chat template would add to each message
    answer_tokens_median: int = 200  # log-normal length of an answer that ends by itself
    answer_tokens_sigma: float = 0.7
    speculative_tokens: int = 0  # drafted per sequence and decoding step; 0 = no speculation
    acceptance_rate: float = 0.7  # that a draft token is accepted, if all before it were
    acceptance: tuple[float, ...] = ()  # the same by position, in place of acceptance_rate
    per_draft_s: float = 0.0004  # the drafts are made one after the other, for all sequences at once
    seed: int = 0
    api_key: str | None = None
    fault: Fault | None = None  # hits its share of all generation requests
    step_log: str | None = None  # a file that gets a row for each step

    def __post_init__(self) -> None:
        for name, least in _AT_LEAST.items():
            value = getattr(self, name)
            if not (value >= least and math.isfinite(value)):
                raise UsageError(f"{name}={value} of the simulated server must be at least {least}")
        if not self.base_s + self.weights_s > 0:
            raise UsageError(
                f"base_s={self.base_s} must be above 0 where weights_s is 0",
                "a step without duration never ends a run",
            )
        if not (self.time_scale > 0 and math.isfinite(self.time_scale)):
            raise UsageError(
                f"time_scale={self.time_scale} of the simulated server must be above 0",
                "2 = everything lasts twice as long, 0.5 = half as long",
            )
        if not all(0 <= value <= 1 for value in (self.acceptance_rate, *self.acceptance)):
            raise UsageError(
                f"acceptance_rate={self.acceptance_rate} and acceptance={self.acceptance} of the simulated server "
                "must be at most 1, and acceptance at least 0"
            )
        if len({*self.models}) < len(self.models):
            raise UsageError(f"the simulated server has a model name twice: {', '.join(self.models)}")
        self._check_limits()

    def _check_limits(self) -> None:
        if self.scheduler == "chunked" and self.max_num_batched_tokens < self.max_num_seqs * (
            1 + self.speculative_tokens
        ):
            drafts = f" x {1 + self.speculative_tokens} with drafts" if self.speculative_tokens else ""
            raise UsageError(
                f"max_num_batched_tokens={self.max_num_batched_tokens} is less than "
                f"max_num_seqs={self.max_num_seqs}{drafts}, so not every running sequence could get its token",
                "raise the one or lower the other",
            )
        if self.num_blocks * self.block_size < self.max_model_len:
            raise UsageError(
                f"num_blocks={self.num_blocks} of block_size={self.block_size} hold "
                f"{self.num_blocks * self.block_size} tokens, less than max_model_len={self.max_model_len}",
                "raise num_blocks or lower max_model_len",
            )
        self.limits()  # says which of the others contradict each other

    @property
    def models(self) -> tuple[str, ...]:
        """All model names that are served."""
        return (self.model, *self.adapters)

    def limits(self) -> EngineLimits:
        """What the instance behind the server may do."""
        given = {name: getattr(self, ours) for name, ours in _LIMIT_NAMES.items()}
        given["prefix_cache"] = self.prefix_cache and self.scheduler != "static"
        given["prefill_delay_s"] = self.prefill_delay_s * self.time_scale
        if self.speculative_tokens and not self.acceptance:
            given["acceptance"] = (self.acceptance_rate,)
        return EngineLimits(**given)

    def step_model(self) -> StepModel:
        """How long its steps take."""
        cost = Coefficients(**{name: getattr(self, ours) for name, ours in _COST_NAMES.items()})
        plain = step_model(cost, self.experts)
        model: StepModel = plain if self.residual is None else ResidualModel(plain, self.residual)
        if self.speculative_tokens:
            model = DraftingModel(model, self.per_draft_s * self.speculative_tokens)
        return model if self.time_scale == 1.0 else SlowedModel(model, self.time_scale)


def settings_of(profile: Profile, **changed: object) -> SimSettings:
    """The simulated engine that ``profile`` describes.

    Args:
        profile: costs, limits, experts and corrections are taken from it; its model's name is not known.
        changed: fields of ``SimSettings`` that win.

    Raises:
        UsageError: what wins contradicts the rest.
        msgspec.ValidationError: a value of a wrong type.
    """
    fields: dict[str, object] = {
        ours: getattr(profile.coefficients, name) for name, ours in _COST_NAMES.items()
    }
    fields |= {ours: getattr(profile.limits, name) for name, ours in _LIMIT_NAMES.items()}
    fields |= {"experts": profile.experts, "residual": profile.residual, "per_draft_s": 0.0}
    return msgspec.convert(fields | changed, SimSettings, strict=False)


def _named(kind: type[msgspec.Struct], otherwise: dict[str, str]) -> dict[str, str]:
    """The name here of each field of ``kind`` that is a setting."""
    names = {name: otherwise.get(name, name) for name in kind.__struct_fields__}
    return {name: ours for name, ours in names.items() if ours in SimSettings.__struct_fields__}


_COST_NAMES = _named(Coefficients, _COSTS)
_LIMIT_NAMES = _named(EngineLimits, _LIMITS)


class StartOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What a new server process is told on standard input, where no list of processes shows the API key."""

    host: str
    port: int
    settings: SimSettings
