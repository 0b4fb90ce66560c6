"""The server that a run would start, for ``--dry-run``."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from inferometer.spec import Merged, RunSpec


def render_launch(spec: RunSpec) -> str:
    """What would be started and where; empty where the run starts no server.

    Raises:
        UsageError: a setting that the engine does not have, or cores that cannot be kept apart.
    """
    if spec.launch.command is None:
        return ""
    from inferometer.api.launched import outlined
    from inferometer.cli.plan import duration_text
    from inferometer.spec.launch_rules import cores_text

    found = outlined(spec)
    assert found is not None
    port = f"port {found.port}" if found.port else "a free port"
    limit = duration_text(spec.launch.ready_limit_s)
    lines = [
        "Launched server",
        f"  {found.line}",
        f"  {found.engine}, at {port} of {found.host}, has to be ready within {limit}; spoken to as {found.dialect}",
    ]
    if found.cores:
        lines.append(f"  on core {cores_text(found.cores)}; the load generator on {cores_text(found.left)}")
    return "\n".join([*lines, *(f"  note: {note}" for note in found.notes), ""])


def speaking(merged: Merged) -> Merged:
    """The values with the dialect of the server that would be started.

    Raises:
        UsageError: no engine has such a command line.
    """
    if merged.spec.launch.command is None:
        return merged
    from inferometer.api.launched import as_the_engine_speaks

    spec, dotted = as_the_engine_speaks(merged.spec), "endpoint.backend"
    changed = spec.endpoint.backend != merged.spec.endpoint.backend
    return merged._replace(
        spec=spec, origins={**merged.origins, dotted: "--launch"} if changed else merged.origins
    )


def refuse_launch(spec: RunSpec) -> None:
    """Say, once it has been shown, that it would fail.

    Raises:
        UsageError: with all reasons that the files of its model give.
    """
    if spec.launch.command is not None:
        from inferometer.api import launched

        launched.refuse_launch(spec)
