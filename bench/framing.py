"""How far measured latencies are from the injected ones in every framing of an answer: medians, in ms.

    python bench/framing.py

The server is a thread that plays a script of timed writes and logs when it made them, so its own lateness is in
these figures too. The scripts are those of tests/integration/test_framing_truth.py, which checks the order of events
and no duration.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "integration"))

from framing_cases import CASES, ENDS, GAP_S, REQUESTS, TOKENS, TTFT_S, measure

from inferometer.testing.fault_server import FaultServer
from inferometer.testing.streams import answering

LIMIT_MS = 1.0


def off_by_ms(measured_ns: np.ndarray, injected_s: float) -> float:
    return float(np.median(np.abs(measured_ns / 1e6 - injected_s * 1e3)))


def errors_ms(case: str) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as out, FaultServer(answering(CASES[case])) as server:
        table = measure(server, Path(out))
    sent, first, last = (table.number(f"{name}_ns") for name in ("sent", "first_token", "last_token"))
    arrivals = table.chunks["recv_ns"][table.chunks["kind"] <= 2].reshape(REQUESTS, TOKENS)
    return {
        "ttft": off_by_ms(first - sent, TTFT_S),
        "e2el": off_by_ms(last - sent, ENDS[-1]),
        "tpot": off_by_ms((last - first) / (TOKENS - 1), GAP_S),
        "itl": off_by_ms(np.diff(arrivals, axis=1), GAP_S),
    }


def main() -> int:
    worst = 0.0
    for case in CASES:
        errors = errors_ms(case)
        worst = max(worst, *errors.values())
        print(f"{case:<26}" + "  ".join(f"{name} {value:.3f} ms" for name, value in errors.items()))
    print(f"worst {worst:.3f} ms, goal {LIMIT_MS:g} ms")
    return int(worst > LIMIT_MS)


if __name__ == "__main__":
    sys.exit(main())
