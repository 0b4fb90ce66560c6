"""How fast the simulated engine is: jumps over decode stretches against the stepped loop, on one core.

    cd bench && python -m sim.speed [--requests 20000]

An iteration is one request's part in one step: 20,000 answers of 528 tokens on average are 10.5 million. The loads
differ in what interrupts the stretches: a steady load, an overload (all seats taken), prompts before decodes, and a
pool of blocks so small that requests lose theirs. Both ways must give equal times. Processor seconds, the best of
``--repeats`` for the jumps; memory is what Python allocates beyond the jobs, with answers as they are and four times
as long.
"""

from __future__ import annotations

import argparse
import random
import time
import tracemalloc
from collections.abc import Callable
from typing import NamedTuple

import msgspec
import numpy as np

from inferometer.simulator.instance.fast import FastInstance
from inferometer.simulator.instance.instance import Instance
from inferometer.simulator.instance.limits import EngineLimits, Job
from inferometer.simulator.instance.simulate import Outcome, simulate
from inferometer.simulator.latency.model import Coefficients, LinearModel
from sim.row import Row

# An 8B model on a fast device, by order of magnitude: what is measured here is the simulator. No cost is a whole number
# of nanoseconds, so that the two ways of adding up differ by their rounding.
MODEL = LinearModel(
    Coefficients(
        weights_s=1 / 123,
        token_s=2e-5 / 1.1,
        step_s=1 / 503,
        sequence_s=1e-5 / 0.9,
        kv_token_s=2e-8 / 1.1,
        attention_s=1e-9 / 1.3,
    )
)
_PROMPT, _OUTPUT = (10, 2000), (10, 1046)


class Load(NamedTuple):
    """A case: its name, requests per second and limits."""

    name: str
    request_rate: float
    limits: EngineLimits


LOADS = (
    Load("steady, chunked", 4.5, EngineLimits()),
    Load("overload, chunked", 20.0, EngineLimits()),
    Load(
        "overload, prefill-first", 20.0, EngineLimits(scheduler="prefill-first", max_num_batched_tokens=8192)
    ),
    Load("overload, KV pressure", 20.0, EngineLimits(kv_blocks=8000, max_model_len=8192)),
)


class Speed(NamedTuple):
    """What one load gave."""

    load: Load
    requests: int
    iterations: int
    steps: int
    preemptions: int
    simulated_s: float
    jumped_s: float
    stepped_s: float
    difference_s: float

    @property
    def iterations_per_s(self) -> float:
        """Of the jumps."""
        return self.iterations / self.jumped_s

    @property
    def gain(self) -> float:
        """How much faster jumping is."""
        return self.stepped_s / self.jumped_s

    @property
    def to_real_time(self) -> float:
        """Simulated seconds in one second."""
        return self.simulated_s / self.jumped_s


def jobs_of(requests: int, request_rate: float, longer: int = 1) -> list[Job]:
    """Poisson arrivals with uniform lengths; answers ``longer`` times as long."""
    draw = random.Random("simulator speed")
    at_s = 0.0
    jobs = []
    for _ in range(requests):
        at_s += draw.expovariate(request_rate)
        prompt, output = draw.randint(*_PROMPT), draw.randint(*_OUTPUT)
        jobs.append(Job(prompt_tokens=prompt, output_tokens=longer * output, arrival_ns=round(at_s * 1e9)))
    return jobs


def _processor_s(work: Callable[[], Outcome]) -> tuple[float, Outcome]:
    begin_s = time.process_time()
    outcome = work()
    return time.process_time() - begin_s, outcome


def _stepped(jobs: list[Job], limits: EngineLimits) -> tuple[float, list[float]]:
    """Processor seconds of the stepped loop, and when each job ended."""
    begin_s = time.process_time()
    instance = Instance(limits, MODEL, exact=True)
    rows = [instance.add(job) for job in jobs]
    while (at_ns := instance.next_ns()) is not None:
        instance.step(at_ns)
    took_s = time.process_time() - begin_s
    return took_s, [(row.last_token_ns or 0.0) / 1e9 for row in rows]


def measure(load: Load, requests: int, repeats: int) -> Speed:
    """One load both ways."""
    jobs = jobs_of(requests, load.request_rate)
    best_s, outcome = min(
        (_processor_s(lambda: simulate(jobs, load.limits, MODEL)) for _ in range(repeats)),
        key=lambda run: run[0],
    )
    stepped_s, ends_s = _stepped(jobs, load.limits)
    return Speed(
        load=load,
        requests=requests,
        iterations=int(outcome.output_tokens.sum()),
        steps=outcome.steps,
        preemptions=outcome.preemptions,
        simulated_s=float(outcome.last_token_s.max()),
        jumped_s=best_s,
        stepped_s=stepped_s,
        difference_s=float(np.abs(outcome.last_token_s - ends_s).max()),
    )


def peak_mib(load: Load, requests: int, longer: int) -> float:
    """Most memory beyond the jobs, with what the time of every token is made up from."""
    jobs = jobs_of(requests, load.request_rate, longer)
    limits = msgspec.structs.replace(load.limits, max_model_len=8192)
    tracemalloc.start()
    instance = FastInstance(limits, MODEL, timeline=True)
    rows = [instance.add(job) for job in jobs]
    while instance.run_until():
        pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert all(row.finished for row in rows)
    return peak / 2**20


def row(requests: int = 20_000) -> Row:
    """The line of the table of checks: the steady load counts, of the others the ratio is noted."""
    found = [measure(load, requests, repeats=2) for load in LOADS]
    first = found[0]
    once, longer = (peak_mib(LOADS[1], requests, factor) for factor in (1, 4))
    exact = max(each.difference_s for each in found)
    others = ", ".join(f"{each.load.name} {each.gain:.0f} x" for each in found[1:])
    return Row(
        f"{requests:,} requests, {first.iterations / 1e6:.1f} million iterations, in jumps",
        ">= 1 million iterations/s, >= 50 x the stepped loop, memory flat",
        f"{first.iterations_per_s / 1e6:.0f} million/s, {first.gain:.0f} x, {first.to_real_time:,.0f} x real time; "
        f"memory {once:.1f} MiB, {longer:.1f} with answers four times as long",
        first.iterations_per_s >= 1e6 and first.gain >= 50.0 and longer < 2 * once,
        f"{others}; largest difference {exact:.0e} s",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    for load in LOADS:
        found = measure(load, given.requests, given.repeats)
        print(
            f"{load.name:24} {found.iterations / 1e6:5.1f} M iterations in {found.steps:,} steps, "
            f"{found.preemptions:,} preemptions: {found.jumped_s:.2f} s, stepped {found.stepped_s:.1f} s "
            f"({found.gain:.0f} x); {found.iterations_per_s / 1e6:.0f} M iterations/s, "
            f"{found.requests / found.jumped_s:,.0f} requests/s, {found.to_real_time:,.0f} x real time; "
            f"largest difference {found.difference_s:.1e} s"
        )
    overload = LOADS[1]
    once, longer = (peak_mib(overload, given.requests, factor) for factor in (1, 4))
    print(f"{overload.name:24} memory {once:.1f} MiB, with answers four times as long {longer:.1f} MiB")


if __name__ == "__main__":
    main()
