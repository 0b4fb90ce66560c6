"""Runs of engines whose truth is known, and which the simulator's step model cannot express: what unseen runs are like.

Each family breaks the model in its own way: captured batch sizes and tiles of tokens, attention that grows faster than
its context, noise of steps, pauses of the host, a full KV pool, shared prefixes nobody told of, bursts, drift. A truth
is the stepped ``Instance`` under another step model with noise of its own; lengths are log-normal.
"""

from __future__ import annotations

from typing import Final

import msgspec
import numpy as np

from inferometer.simulator.calibration.fit import NAMES
from inferometer.simulator.calibration.replay import Floats, Load, Times
from inferometer.simulator.calibration.requests import RunTimes
from inferometer.simulator.instance.instance import Instance
from inferometer.simulator.instance.limits import EngineLimits, Job
from inferometer.simulator.instance.shape import StepShape
from inferometer.simulator.latency.model import Coefficients

REQUESTS = 300
SMALL: Final = Coefficients(
    weights_s=9e-3,
    token_s=4e-5,
    step_s=4e-3,
    sequence_s=1.5e-5,
    kv_token_s=7e-8,
    attention_s=1e-9,
    arrival_s=2e-3,
    first_token_s=1e-3,
    prompt_step_s=2e-3,
)
LARGE: Final = Coefficients(
    weights_s=2.2e-2,
    token_s=1.1e-4,
    step_s=6e-3,
    sequence_s=3e-5,
    kv_token_s=5e-8,
    attention_s=3e-9,
    arrival_s=4e-3,
    first_token_s=2e-3,
    comm_token_s=1.5e-5,
    prompt_step_s=3e-3,
)
QUICK: Final = Coefficients(
    weights_s=4.5e-3,
    token_s=1.8e-5,
    step_s=2.5e-3,
    sequence_s=1.2e-5,
    kv_token_s=3e-8,
    attention_s=6e-10,
    arrival_s=1.5e-3,
    first_token_s=5e-4,
    prompt_step_s=1e-3,
)


class Family(msgspec.Struct, frozen=True, kw_only=True):
    """What runs of a kind have in common.

    Attributes:
        cost: of the part that the model can express.
        rate: requests per second.
        burst: coefficient of variation of the gaps between arrivals.
        inputs: median prompt.
        outputs: median answer.
        spread: of the logarithm of both.
        sequences: max_num_seqs.
        kv_tokens: of the pool; None = ample.
        jitter: standard deviation of the logarithm of a step's time.
        pauses: of the host, per second of work, 40 to 200 ms each.
        drift: by how much steps are slower at the end of 60 s.
        curved: whether batches are padded to captured sizes, tokens to tiles, and attention grows beyond linear.
        shared: share of requests that have the first half of their prompt cached.
        overhead: standard deviation of the logarithm of what a request costs outside steps.
        told: whether the engine told its KV pool.
    """

    cost: Coefficients = SMALL
    rate: float = 10.0
    burst: float = 1.0
    inputs: float = 500.0
    outputs: float = 200.0
    spread: float = 0.8
    sequences: int = 128
    kv_tokens: int | None = None
    jitter: float = 0.02
    pauses: float = 0.0
    drift: float = 0.0
    curved: bool = True
    shared: float = 0.0
    overhead: float = 0.3
    told: bool = False


FAMILIES: Final = {
    "linear": Family(curved=False),
    "curved": Family(jitter=0.03),
    "queue": Family(rate=30.0, sequences=64, jitter=0.03),
    "kv-limited": Family(rate=14.0, kv_tokens=40_000),
    "kv-told": Family(rate=14.0, kv_tokens=40_000, told=True),
    "bursty": Family(rate=7.0, burst=3.0),
    "pauses": Family(rate=9.0, pauses=0.15, jitter=0.04),
    "light": Family(rate=1.5, jitter=0.05),
    "long prompts": Family(rate=2.0, inputs=5000.0, outputs=80.0, spread=0.5),
    "large": Family(cost=LARGE, rate=4.0, inputs=800.0),
    "large saturated": Family(cost=LARGE, rate=8.0, inputs=800.0, sequences=48),
    "quick": Family(cost=QUICK, rate=30.0, jitter=0.05),
    "drift": Family(drift=0.03),
    "prefixes": Family(shared=0.3),
}


class Truth:
    """The time of steps, with noise; see ``StepModel``."""

    def __init__(self, family: Family, seed: int) -> None:
        self._family = family
        self._random = np.random.default_rng(seed)
        self._worked_s = 0.0

    def step_s(self, shape: StepShape) -> float:
        """Seconds of the next step."""
        family = self._family
        seconds = family.cost.step_seconds(_padded(shape) if family.curved else shape)
        seconds *= float(np.exp(family.jitter * self._random.standard_normal()))
        seconds *= 1 + family.drift * self._worked_s / 60
        if self._random.random() < family.pauses * seconds:
            seconds += float(self._random.uniform(0.04, 0.2))
        self._worked_s += seconds
        return seconds

    def decode_line(self, decodes: int) -> tuple[float, float]:
        """A truth with noise has no line; it is stepped."""
        raise NotImplementedError


def _padded(shape: StepShape) -> StepShape:
    """Pure decode batches run at the next captured size, prompts in tiles of 128; long context costs more each."""
    mean_kv = shape.decode_kv_tokens / max(1, shape.decodes)
    kv = shape.decode_kv_tokens * (0.9 + 0.2 * min(1.0, mean_kv / 4000))
    tokens = -(-shape.tokens // (128 if shape.prefill_tokens else 8)) * (128 if shape.prefill_tokens else 8)
    return shape._replace(tokens=tokens, decode_kv_tokens=round(kv))


class TrueRun(msgspec.Struct, frozen=True):
    """A run, and the limits of its engine as far as one is told them."""

    family: str
    run: RunTimes
    limits: EngineLimits
    kv_known: bool


class Shift(msgspec.Struct, frozen=True):
    """Another load on the same engine: factors of a family's load."""

    rate: float = 1.0
    inputs: float = 1.0
    outputs: float = 1.0


SHIFTS: Final = (Shift(), Shift(rate=0.6), Shift(rate=1.3), Shift(inputs=1.6, outputs=0.6))


def true_run(name: str, seed: int, shift: int = 0) -> TrueRun:
    """A run of a family; another seed is another engine and load, another of ``SHIFTS`` another load on that engine."""
    place = list(FAMILIES).index(name)
    factors = np.exp(0.25 * np.random.default_rng([seed, place]).standard_normal(len(NAMES)))
    random = np.random.default_rng([seed, place, shift])
    family, change = FAMILIES[name], SHIFTS[shift]
    cost = {field: getattr(family.cost, field) * factor for field, factor in zip(NAMES, factors, strict=True)}
    family = msgspec.structs.replace(family, cost=Coefficients(**cost))
    inputs = _lengths(random, family.inputs * change.inputs, family.spread)
    outputs = _lengths(random, family.outputs * change.outputs, family.spread)
    gaps = random.gamma(1 / family.burst**2, family.burst**2 / (family.rate * change.rate), REQUESTS)
    arrival = np.cumsum(gaps) - gaps[0]
    ample = int(inputs.sum() + outputs.sum())
    limits = EngineLimits(
        max_num_seqs=family.sequences,
        max_model_len=16_384,
        kv_blocks=max(family.kv_tokens or ample, 16_384) // 16 + 1,
    )
    times = _served(family, limits, (inputs, outputs, arrival), random)
    jobs = tuple(
        Job(prompt_tokens=int(given), output_tokens=int(made), arrival_ns=round(at * 1e9))
        for given, made, at in zip(inputs, outputs, arrival, strict=True)
    )
    return TrueRun(name, RunTimes(Load(jobs=jobs), times), limits, family.told)


def _lengths(random: np.random.Generator, median: float, spread: float) -> Floats:
    drawn: Floats = np.clip(np.rint(median * np.exp(spread * random.standard_normal(REQUESTS))), 4, 8000)
    return drawn


def _served(
    family: Family, limits: EngineLimits, columns: tuple[Floats, Floats, Floats], random: np.random.Generator
) -> Times:
    """Times as a client would measure them."""
    inputs, outputs, arrival = columns
    lags = family.cost.arrival_s * np.exp(family.overhead * random.standard_normal(REQUESTS))
    replies = family.cost.first_token_s * np.exp(family.overhead * random.standard_normal((2, REQUESTS)))
    cached = random.random(REQUESTS) < family.shared
    engine = Instance(limits, Truth(family, int(random.integers(1 << 31))))
    rows = []
    for number in range(REQUESTS):
        # What is cached is not computed; that its blocks are held all the same hardly matters here.
        prompt = int(inputs[number] // 2 if cached[number] else inputs[number])
        job = Job(prompt_tokens=max(1, prompt), output_tokens=int(outputs[number]))
        rows.append(engine.add(job, round((arrival[number] + lags[number]) * 1e9)))
    while (at_ns := engine.next_ns()) is not None:
        engine.step(at_ns)
    first = np.array([row.first_token_ns or np.nan for row in rows]) / 1e9
    last = np.array([row.last_token_ns or np.nan for row in rows]) / 1e9
    return Times(arrival, first + replies[0], last + np.maximum(replies[0], replies[1]))
