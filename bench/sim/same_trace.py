"""The same load in virtual time and through the simulated server and a real run: are the latencies the same?

    cd bench && python -m sim.same_trace [--requests 500]

One seed gives both the same prompts, lengths and arrivals. The server has core 0 and the client the others, where
there are several. What HTTP costs on this machine is measured first, with an idle server, and counted in virtual time
as time before a step can take the request, as a calibrated profile has it. What is left is the jitter of its scheduler.
Lengths of prompts are spread: latencies that are all alike would be told apart by a microsecond.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from inferometer.interpreter import own_module
from inferometer.record.store import read_run
from inferometer.record.tables import PointTable
from inferometer.simulator.instance.limits import EngineLimits
from inferometer.simulator.latency.model import Coefficients
from inferometer.simulator.latency.profile import Profile, Provenance, write_profile
from sim.distributions import KS, Floats, kolmogorov_smirnov
from sim.row import Row

# By order of magnitude an 8B model on a data-centre device. Requests cost a few ms beside steps, as of any real
# service: without them a closed loop in virtual time always catches the very next step, which no client over HTTP does.
PROFILE = Profile(
    coefficients=Coefficients(
        weights_s=8e-3,
        token_s=4e-5,
        step_s=2e-3,
        sequence_s=1e-5,
        kv_token_s=2e-8,
        attention_s=2e-9,
        arrival_s=3e-3,
        first_token_s=1e-3,
    ),
    limits=EngineLimits(max_num_seqs=128, max_num_batched_tokens=2048),
    kv_blocks_known=True,
    engine="vllm",
    provenance=Provenance(method="priors", notes=("made for a self test",)),
)
SHAPE = ("--dataset", "random", "--warmup", "0", "--seed", "7")
LENGTHS = ("--lengths", "N(1024,300)/(64,0)")
ALONE = ("--input-len", "64", "--output-len", "1", "--max-concurrency", "1")
_ALONE_REQUESTS = 40
LOADS = {
    "open, 5 requests/s": ("--request-rate", "5"),
    "closed, 16 in flight": ("--max-concurrency", "16"),
}
_MEANS_WITHIN = 0.01
_REJECTED_BELOW = 0.05


class Compared(NamedTuple):
    """One metric of both ways: mean of the run over that in virtual time minus 1, and the test."""

    load: str
    metric: str
    off: float
    test: KS

    @property
    def same(self) -> bool:
        """Whether the means agree and the test does not reject."""
        return abs(self.off) <= _MEANS_WITHIN and self.test.p >= _REJECTED_BELOW


def compare(requests: int, http_s: float, loads: dict[str, tuple[str, ...]] | None = None) -> list[Compared]:
    """Both ways for each load, with what HTTP costs counted in virtual time."""
    cost = msgspec.structs.replace(PROFILE.coefficients, arrival_s=PROFILE.coefficients.arrival_s + http_s)
    reckoned = msgspec.structs.replace(PROFILE, coefficients=cost)
    found = []
    for name, load in (loads or LOADS).items():
        virtual, real = both_ways((*LENGTHS, *load), requests, reckoned)
        for metric, values in real.items():
            off = float(np.mean(values) / np.mean(virtual[metric]) - 1)
            found.append(Compared(name, metric, off, kolmogorov_smirnov(values, virtual[metric])))
    return found


def http_cost_s() -> float:
    """What HTTP on this machine adds to the TTFT of a request to an idle server, at the median."""
    virtual, real = both_ways(ALONE, _ALONE_REQUESTS, PROFILE)
    return float(np.median(real["TTFT"] - virtual["TTFT"]))


def both_ways(
    load: tuple[str, ...], requests: int, reckoned: Profile
) -> tuple[dict[str, Floats], dict[str, Floats]]:
    """Latencies in virtual time by the profile ``reckoned``, and of a run against the server of ``PROFILE``."""
    with tempfile.TemporaryDirectory(prefix="same-trace-") as made:
        here, there = Path(made) / "reckoned.json", Path(made) / "served.json"
        write_profile(reckoned, here)
        write_profile(PROFILE, there)
        asked = (*SHAPE, *load, "--num-prompts", str(requests), "--out", made, "--quiet", "--json")
        virtual = latencies(_run("simulate", "--profile", str(here), "--no-intervals", *asked))
        with served(there) as url:
            return virtual, latencies(_run("run", "--url", url, *asked))


def latencies(table: PointTable) -> dict[str, Floats]:
    """TTFT and TPOT of the requests that succeeded, s."""
    ok = table.text("status") == "ok"
    sent, first, last = (
        table.number(f"{name}_ns")[ok] / 1e9 for name in ("sent", "first_token", "last_token")
    )
    tokens = table.number("output_tokens_server")[ok]
    several = tokens > 1
    return {"TTFT": first - sent, "TPOT": (last - first)[several] / (tokens[several] - 1)}


def _run(verb: str, *flags: str) -> PointTable:
    """The only load point of a run of ours; a verdict other than VALID is no error here, the numbers are compared."""
    done = subprocess.run(
        own_module("inferometer", verb, *flags), stdout=subprocess.PIPE, text=True, timeout=900, check=False
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if not lines:
        raise SystemExit(f"inferometer {verb} gave no result (exit code {done.returncode})")
    tables = read_run(Path(json.loads(lines[-1])["run"])).tables
    return tables[-1]


@contextlib.contextmanager
def served(profile: Path) -> Iterator[str]:
    """The simulated server of a profile, on core 0 where there is more than one."""
    cores = sorted(os.sched_getaffinity(0))
    process = subprocess.Popen(
        own_module("inferometer", "serve-sim", "--profile", str(profile), "--port", "0"),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    if len(cores) > 1:
        os.sched_setaffinity(process.pid, {cores[0]})
    try:
        assert process.stdout is not None
        words = process.stdout.readline().split()
        if not words:
            raise SystemExit("the simulated server did not start")
        yield words[-1]
    finally:
        process.terminate()
        process.wait(20)


def row(requests: int = 500) -> Row:
    """For the table of checks."""
    http_s = http_cost_s()
    found = compare(requests, http_s)
    figures = "; ".join(
        f"{one.load}: {one.metric} mean {one.off:+.2%}, K-S p {one.test.p:.2f}" for one in found
    )
    return Row(
        "the same trace in virtual time and through serve-sim + run",
        "TTFT and TPOT: K-S not rejected (p >= 0.05), means within 1 %",
        figures,
        all(one.same for one in found),
        f"{requests} requests each; HTTP on this machine, {http_s * 1e3:.2f} ms of TTFT as measured with an idle "
        "server, is counted in virtual time too",
    )


def main(argv: list[str]) -> int:
    """Print a line per load and metric."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=500)
    requests, http_s = parser.parse_args(argv).requests, http_cost_s()
    print(f"HTTP on this machine adds {http_s * 1e3:.2f} ms to the TTFT of a request to an idle server")
    found = compare(requests, http_s)
    for one in found:
        verdict = "same" if one.same else "NOT the same"
        print(
            f"{one.load:<22} {one.metric}  mean {one.off:+.2%}  K-S {one.test.distance:.3f}, "
            f"p {one.test.p:.3f}  {verdict}"
        )
    return 0 if all(one.same for one in found) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
