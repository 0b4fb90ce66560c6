"""Say where vLLM on CPU is, for ``make test-engines``: INFEROMETER_VLLM, or the environment that bench-peers has too.

That one is built when it is absent, with the exact versions of bench/peers/requirements-vllm.txt (2.5 GB). Of torch it
must be a CPU build: PIP_EXTRA_INDEX_URL or PIP_FIND_LINKS may have to name an index that has one.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

HOME = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(HOME / "bench"))

from peers.environments import BuildError, ensure_environment  # noqa: E402 (bench is no package of this project)


def main() -> int:
    """Print the program ``vllm``; 1 and a reason when there is none."""
    named = os.environ.get("INFEROMETER_VLLM")
    try:
        programs = Path(named) / "bin" if named else ensure_environment("vllm", HOME / "build" / "peers")
    except BuildError as error:
        sys.stderr.write(f"vLLM on CPU cannot be installed: {error}\n")
        return 1
    program = programs / "vllm"
    if not program.exists():
        sys.stderr.write(f"{program} is not there; INFEROMETER_VLLM names a virtual environment with vLLM\n")
        return 1
    sys.stdout.write(f"{program}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
