"""Measure a server from Python, as in a notebook. First start one: ``inferometer serve-sim``."""

from __future__ import annotations

import sys

from inferometer import Endpoint, Load, Output, RunSpec, Workload, run


def measure(url: str, out: str = "runs") -> list[str]:
    """Measure ``url`` at concurrency 1 and 4; the verdict and one line per load point."""
    result = run(
        RunSpec(
            endpoint=Endpoint(url=url),
            load=Load(max_concurrency=(1, 4), num_prompts=(10, 40)),
            workload=Workload(input_len=(64,), output_len=(16,)),
            output=Output(out=out, label=("notebook",)),
        )
    )
    lines = [f"{result.summary.verdict.word}  {result.path}"]
    for point in result.summary.points:
        throughput = point.values["output_throughput_per_s"]
        ttft_ms = point.stats["ttft_ms"].mean
        lines.append(
            f"concurrency {point.load['max_concurrency']}: {throughput:.0f} tok/s, TTFT {ttft_ms:.1f} ms"
        )
    return lines


if __name__ == "__main__":
    address = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8000"
    sys.stdout.write("\n".join(measure(address)) + "\n")
