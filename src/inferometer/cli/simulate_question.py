"""``inferometer simulate`` with several services: which is best, how many instances, which ratio."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from inferometer.cli.parse import Asked
    from inferometer.spec import RunSpec


def ask(asked: Asked, spec: RunSpec) -> int:
    """Simulate each service, and print how they compare; with ``--json`` one line for machines after it."""
    import msgspec

    from inferometer.api.what_if import what_if
    from inferometer.cli.live import watcher
    from inferometer.cli.outcome import terminal
    from inferometer.cli.signals import stopping
    from inferometer.loadgen.stop import StopSignal
    from inferometer.report.what_if_lines import comparison_lines

    def tell(label: str) -> None:
        if not asked.quiet:
            print(f"simulating  {label}", file=sys.stderr)

    stop = StopSignal()
    with (
        watcher("none" if asked.quiet else spec.output.ui, terminal()) as observer,
        stopping(stop, spec.load.grace_s, "what was simulated is kept"),
    ):
        answers = what_if(spec, observer, stop, tell)
    print("\n".join(comparison_lines(answers.comparison)))
    if not answers.complete:
        print("stopped before all were simulated")
    if asked.json:
        print(
            msgspec.json.encode(
                {**msgspec.to_builtins(answers.comparison), "exit_code": answers.exit_code}
            ).decode()
        )
    return answers.exit_code
