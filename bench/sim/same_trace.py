"""The same load in virtual time and through the simulated server and a real run: are the latencies the same?

    cd bench && python -m sim.same_trace [--requests 1000]

One seed gives both the same prompts, lengths and arrivals. The server has core 0 and the client the others, where
there are several. What is left between the two is what HTTP costs on this machine, and the jitter of its scheduler.
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

import numpy as np

from inferometer.interpreter import own_module
from inferometer.record.store import read_run
from inferometer.record.tables import PointTable
from inferometer.simulator.instance.limits import EngineLimits
from inferometer.simulator.latency.model import Coefficients
from inferometer.simulator.latency.profile import Profile, Provenance, write_profile
from sim.distributions import KS, Floats, kolmogorov_smirnov
from sim.row import Row

# By order of magnitude an 8B model on a data-centre device.
PROFILE = Profile(
    coefficients=Coefficients(
        weights_s=8e-3, token_s=4e-5, step_s=2e-3, sequence_s=1e-5, kv_token_s=2e-8, attention_s=2e-9
    ),
    limits=EngineLimits(max_num_seqs=128, max_num_batched_tokens=2048),
    kv_blocks_known=True,
    engine="vllm",
    provenance=Provenance(method="priors", notes=("made for a self test",)),
)
SHAPE = ("--dataset", "random", "--input-len", "1024", "--output-len", "64", "--warmup", "0", "--seed", "7")
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


def compare(requests: int, loads: dict[str, tuple[str, ...]] | None = None) -> list[Compared]:
    """Both ways for each load."""
    with tempfile.TemporaryDirectory(prefix="same-trace-") as made:
        profile = Path(made) / "profile.json"
        write_profile(PROFILE, profile)
        found = []
        for name, load in (loads or LOADS).items():
            asked = (*SHAPE, *load, "--num-prompts", str(requests), "--out", made, "--quiet", "--json")
            virtual = latencies(_run("simulate", "--profile", str(profile), "--no-intervals", *asked))
            with served(profile) as url:
                real = latencies(_run("run", "--url", url, *asked))
            for metric, values in real.items():
                off = float(np.mean(values) / np.mean(virtual[metric]) - 1)
                found.append(Compared(name, metric, off, kolmogorov_smirnov(values, virtual[metric])))
        return found


def latencies(table: PointTable) -> dict[str, Floats]:
    """TTFT and TPOT of the requests that succeeded, s."""
    ok = table.text("status") == "ok"
    sent, first, last = (
        table.number(f"{name}_ns")[ok] / 1e9 for name in ("sent", "first_token", "last_token")
    )
    tokens = table.number("output_tokens_server")[ok]
    return {"TTFT": first - sent, "TPOT": (last - first) / (tokens - 1)}


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


def row(requests: int = 1000) -> Row:
    """For the table of checks."""
    found = compare(requests)
    figures = "; ".join(
        f"{one.load}: {one.metric} mean {one.off:+.2%}, K-S p {one.test.p:.2f}" for one in found
    )
    return Row(
        "the same trace in virtual time and through serve-sim + run",
        "TTFT and TPOT: K-S not rejected (p >= 0.05), means within 1 %",
        figures,
        all(one.same for one in found),
        f"{requests} requests each",
    )


def main(argv: list[str]) -> int:
    """Print a line per load and metric."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=1000)
    found = compare(parser.parse_args(argv).requests)
    for one in found:
        verdict = "same" if one.same else "NOT the same"
        print(
            f"{one.load:<22} {one.metric}  mean {one.off:+.2%}  K-S {one.test.distance:.3f}, "
            f"p {one.test.p:.3f}  {verdict}"
        )
    return 0 if all(one.same for one in found) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
