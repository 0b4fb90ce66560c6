"""Processes as files: shell scripts that start them, stop them and nothing else. Pure.

Every word that came from a person is quoted, so that a shell takes it as one word whatever is in it.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from pathlib import PurePosixPath

import msgspec
import yaml

from inferometer.engines.nodes.containers import HUB, docker_flags, image_of
from inferometer.engines.nodes.plan import NodePlan
from inferometer.engines.nodes.processes import (
    RAY_CHECK,
    TORCHRUN_SCRIPT,
    Process,
    extra_words,
    processes,
    rank_processes,
)
from inferometer.engines.nodes.programs import LAUNCHER, NODE_SCRIPT, RAY_PROGRAM, TORCHRUN_PROGRAM
from inferometer.spec.launch_rules import shown_variable, shown_words

PLAN_FILE = "plan.yaml"


class Rendered(msgspec.Struct, frozen=True, kw_only=True):
    """A file of the plan.

    Attributes:
        name: below the folder of the plan.
        text: what is in it.
        use: where it is run, or what it is for.
        program: it is run by its name.
    """

    name: str
    text: str
    use: str
    program: bool = False


def render(plan: NodePlan) -> tuple[Rendered, ...]:
    """The files of a plan that ``check_plan`` has passed; the same plan gives the same files."""
    started = processes(plan)
    files = [Rendered(name=PLAN_FILE, text=plan_text(plan), use="what was asked; launch warmup reads it")]
    if plan.container is not None:
        files.append(
            Rendered(name="container.sh", text=_container(plan), use="on each node, first", program=True)
        )
    if any(RAY_CHECK in process.own_files for process in started):
        files.append(Rendered(name=RAY_CHECK, text=RAY_PROGRAM, use="used by node-0.sh"))
    if any(TORCHRUN_SCRIPT in process.own_files for process in started):
        files.append(
            Rendered(name=TORCHRUN_SCRIPT, text=_torchrun(plan), use="used by torchrun on each node")
        )
    files.append(Rendered(name="launcher.sh", text=LAUNCHER, use="read by the scripts of the nodes"))
    for number, node in enumerate(plan.nodes):
        mine = [process for process in started if process.node == number]
        files.append(
            Rendered(name=node_script(number), text=_node(plan, number, mine), use=f"on {node}", program=True)
        )
    return tuple(files)


def node_script(number: int) -> str:
    """The name of the script of a node."""
    return f"node-{number}.sh"


def plan_text(plan: NodePlan) -> str:
    """A plan as the YAML that it can be read from again."""
    return yaml.safe_dump(plan.public(), sort_keys=False, allow_unicode=True)


def shown(plan: NodePlan) -> tuple[Rendered, ...]:
    """The files as they may be printed: values of secret variables and flags are ``***``."""
    words = extra_words(plan)
    seen = tuple(shown_words(words))
    hidden = {"env": tuple(map(shown_variable, plan.env))}
    if seen != words:
        hidden["extra"] = (shlex.join(seen),)
    return render(plan.model_copy(update=hidden))


def command_text(argv: Sequence[str], own_files: Sequence[str] = ()) -> str:
    """Words for a shell; ``own_files`` stand beside the script."""
    return " ".join(f'"$here"/{word}' if word in own_files else shlex.quote(word) for word in argv)


def _node(plan: NodePlan, number: int, mine: Sequence[Process]) -> str:
    lines = []
    for process in mine:
        variables = [f"{name}={shlex.quote(value)}" for name, value in process.env.items()]
        prefix = f"env {' '.join(variables)} " if variables else ""
        verb = "step" if process.kind == "step" else "start"
        lines.append(f"{verb} {process.name} {prefix}{command_text(process.argv, process.own_files)}")
    title = one_line(
        f"node {number} of {len(plan.nodes)}, {plan.nodes[number]}: {plan.engine} {plan.model}".strip()
    )
    return (
        NODE_SCRIPT.replace("@TITLE@", title)
        .replace("@NODE@", str(number))
        .replace("@START@", "\n".join(lines))
    )


def _torchrun(plan: NodePlan) -> str:
    table = [{"argv": process.argv, "env": process.env} for process in rank_processes(plan)]
    lines = ",\n".join(f"    {json.dumps(rank, ensure_ascii=True)}" for rank in table)
    return TORCHRUN_PROGRAM.replace("@RANKS@", lines)


def _container(plan: NodePlan) -> str:
    folder = plan.model if PurePosixPath(plan.model).is_absolute() else None
    flags = command_text(docker_flags(plan, folder))
    hub = shlex.quote(plan.hf_home) if plan.hf_home else '"${HF_HOME:-$HOME/.cache/huggingface}"'
    # The folder of the plan is at the same place inside, so that the scripts are found.
    return f"""#!/usr/bin/env bash
# {one_line(f"the container of {plan.engine} on {plan.container} devices; in it, run the script of this node")}
set -eu
here=$(cd "$(dirname "$0")" && pwd)
exec docker run -it {flags} -v {hub}:{HUB} -v "$here":"$here" -w "$here" \\
  --entrypoint /bin/bash {shlex.quote(image_of(plan) or "")}
"""


def one_line(text: str) -> str:
    """A comment, or a title: a line break would end it, and other signs may be orders for a terminal."""
    return "".join(sign if sign.isprintable() else "?" for sign in text)
