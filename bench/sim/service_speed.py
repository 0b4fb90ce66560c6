"""How fast load points against simulated services are: schedule, router, instances and the time of every token.

    cd bench && python -m sim.service_speed [--requests 20000]

The loads are those of ``sim.speed``, per instance. Processor seconds on one core.
"""

from __future__ import annotations

import argparse
import time

import msgspec

from inferometer.schedule import OpenLoop
from inferometer.simulator.cluster.service import Ask, Service
from inferometer.simulator.cluster.serving import serve_point
from sim.speed import LOADS, MODEL, Load, jobs_of


def measure(load: Load, requests: int, instances: int, cached: bool) -> str:
    """One load point, in words."""
    jobs = jobs_of(requests, load.request_rate * instances)
    asks = (Ask(prompt_tokens=job.prompt_tokens, output_tokens=job.output_tokens) for job in jobs)
    limits = msgspec.structs.replace(load.limits, prefix_cache=cached)
    service = Service(limits=limits, model=MODEL, instances=instances, router="least-loaded")
    schedule = OpenLoop(iter([job.arrival_ns for job in jobs]))
    begin_s = time.process_time()
    served = serve_point(service, asks, schedule)
    took_s = time.process_time() - begin_s
    iterations = sum(len(answer.tokens_ns) for answer in served.answers)
    assert len(served.answers) == requests
    return (
        f"{load.name:24} {instances} instances, prefix cache {'on ' if cached else 'off'}: {took_s:.2f} s, "
        f"{iterations / took_s / 1e6:.1f} M iterations/s, {served.end_ns / 1e9 / took_s:,.0f} x real time"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=20_000)
    given = parser.parse_args()
    for load in LOADS:
        for instances in (1, 8):
            for cached in (False, True) if load.limits.scheduler == "chunked" else (False,):
                print(measure(load, given.requests, instances, cached))


if __name__ == "__main__":
    main()
