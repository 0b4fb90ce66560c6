"""``inferometer launch plan``: an engine over several nodes, rendered, written, or carried out on this host."""

from __future__ import annotations

import argparse
import io
import json
import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inferometer.cli.parse import Parser
from inferometer.errors import EndpointError, EngineError, UsageError

if TYPE_CHECKING:
    from inferometer.api.planning import Service
    from inferometer.engines.nodes.plan import NodePlan
    from inferometer.engines.nodes.scripts import Rendered

_TEXT = """Renders what starts an engine over several nodes: a Ray cluster for tensor parallelism over nodes, or ranks
of data and expert parallelism with a proxy, and the container of each node. Nothing is started without --execute."""
_MORE = """Without --out the files are shown. FILE holds the same values as the flags, as YAML; flags win. With
--execute the scripts of the nodes that are this host are run, all ranks are awaited and woken, and it serves until
Ctrl-C, or until the verb of --then has ended."""
_THEN = ("run", "search")
_INVALID = 5  # exit code of such a run


def main(argv: list[str]) -> int:
    """Show the files of a plan, write them, or carry it out."""
    asked = vars(_parser().parse(argv))
    own = {
        name: asked.pop(name, None)
        for name in ("file", "out", "dry_run", "execute", "then", "json", "schema", "quiet")
    }
    if own["schema"]:
        from inferometer.engines.nodes.plan import NodePlan

        print(json.dumps(NodePlan.model_json_schema(), indent=2))
        return 0
    if own["then"] is not None and not own["execute"]:
        raise UsageError("--then is for --execute", "add --execute, or start the nodes and give --url to run")
    from inferometer.api import planning
    from inferometer.engines.nodes.scripts import shown

    plan, files = planning.plan_nodes(asked, Path(own["file"]) if own["file"] else None)
    if own["execute"] and not own["dry_run"]:
        return _execute(plan, files, own)
    out = None if own["dry_run"] else own["out"]
    if out is None:
        print("\n".join(f"--- {file.name}  ({file.use})\n{file.text}" for file in shown(plan)))
    else:
        planning.write_plan(files, Path(out))
    print(_steps_text(plan, out))
    if own["json"]:
        print(json.dumps(_plain(plan, shown(plan), out), ensure_ascii=False))
    return 0


def _parser() -> Parser:
    from inferometer.engines.nodes.plan import NodePlan
    from inferometer.engines.nodes.reading import flag_of

    parser = Parser("launch plan", _TEXT, epilog=_MORE, argument_default=argparse.SUPPRESS)
    parser.add_argument("file", nargs="?", metavar="FILE", help="a plan as YAML; --out writes one")
    for name, field in NodePlan.model_fields.items():
        extra = field.json_schema_extra
        metavar = extra.get("metavar") if isinstance(extra, dict) else None
        about: dict[str, Any] = {
            "dest": name,
            "metavar": metavar,
            "help": (field.description or "").replace("%", "%%"),
        }
        if "tuple" in str(field.annotation).lower():
            # --extra takes one word, as what it takes begins with dashes: --extra "--max-batch-size 1024"
            several: dict[str, Any] = (
                {"action": "append"} if name == "extra" else {"action": "extend", "nargs": "+"}
            )
            parser.add_argument(flag_of(name), **several, **about)
        else:
            parser.add_argument(flag_of(name), **about)
    parser.add_argument("--out", metavar="DIR", help="write the files there, to be copied to each node")
    parser.add_argument(
        "--dry-run", action="store_true", help="show the files and start nothing, whatever else is given"
    )
    parser.add_argument("--execute", action="store_true", help="start what of it runs on this host")
    parser.add_argument(
        "--then",
        metavar="VERB",
        help='with --execute: measure it, and stop it: --then "run --max-concurrency 64"',
    )
    parser.add_argument("--schema", action="store_true", help="print the JSON Schema of FILE")
    parser.add_argument("--json", action="store_true", help="the last line of stdout is a JSON object")
    parser.add_argument("-q", "--quiet", action="store_true", help="with --execute: no word on how far it is")
    return parser


def _steps_text(plan: NodePlan, out: str | None) -> str:
    """What a person does with the files, in order."""
    from inferometer.api.planning import service_urls
    from inferometer.engines.nodes.scripts import node_script, one_line

    folder = "DIR" if out is None else shlex.quote(out)
    sizes = [("TP", plan.tp), ("PP", plan.pp if plan.pp > 1 else None), ("DP", plan.dp), ("EP", plan.ep)]
    kind = " ".join(f"{name}{size}" for name, size in sizes if size is not None)
    count = f"{len(plan.nodes)} node{'s' if len(plan.nodes) > 1 else ''}"
    devices = f"{count} x {plan.devices_per_node} devices"
    title = one_line(f"plan  {plan.engine} {plan.model}  {devices}, {kind}, form {plan.chosen_form}")
    steps = [] if out else [f"write the files: --out {folder}"]
    if len(plan.nodes) > 1:
        steps.append(f"copy {folder} to the same place on each node")
    if plan.container is not None:
        steps.append(f"on each node: {folder}/container.sh; what follows, in the containers")
    steps += [f"on {node}: {folder}/{node_script(number)}" for number, node in enumerate(plan.nodes)]
    steps.append(f"inferometer launch warmup {folder}/plan.yaml")
    flags, urls = _load_flags(plan), service_urls(plan)
    if len(urls) > 4:
        flags[4 : flags.index(urls[-1])] = ["..."]
    steps.append(f"inferometer run {' '.join(flags)}")
    return "\n".join([title, *(f"  {number}. {step}" for number, step in enumerate(steps, 1))])


def _load_flags(plan: NodePlan) -> list[str]:
    """What ``run`` needs to know: the addresses of the service, and how many nodes and devices stand behind them."""
    from inferometer.api.planning import service_urls

    first, *others = service_urls(plan)
    flags = ["--url", first, *(["--more-url", *others] if others else [])]
    if len(plan.nodes) > 1:
        flags += ["--nodes-served", str(len(plan.nodes))]
    if plan.engine not in ("sim", "command"):
        flags += ["--devices-served", str(plan.devices)]
    return flags


def _plain(plan: NodePlan, files: Sequence[Rendered], out: str | None) -> dict[str, Any]:
    from inferometer.api.planning import service_urls
    from inferometer.engines.nodes.processes import processes, rank_urls

    started = [
        {"name": one.name, "node": plan.nodes[one.node], "url": one.url, "rank": one.rank}
        for one in processes(plan)
    ]
    return {
        "form": plan.chosen_form,
        "out": out,
        "urls": list(service_urls(plan)),
        "ranks": list(rank_urls(plan)),
        "processes": started,
        "files": {file.name: file.text for file in files},
        "exit_code": 0,
    }


def _execute(plan: NodePlan, files: Sequence[Rendered], own: dict[str, Any]) -> int:
    from inferometer.api import planning

    then = None if own["then"] is None else _then(own, plan)
    with _folder(own["out"]) as folder:
        planning.write_plan(files, folder)
        return _serve(plan, folder, then, own)


def _serve(plan: NodePlan, folder: Path, then: list[str] | None, own: dict[str, Any]) -> int:
    """Start it, wait, wake all ranks; measure it, or let it be until Ctrl-C."""
    from inferometer.api import planning
    from inferometer.cli.launch_warmup import line_of, summary_lines
    from inferometer.cli.signals import stopping
    from inferometer.engines.nodes.warmup import Asked
    from inferometer.loadgen.stop import StopSignal

    stop = StopSignal()
    tell = _silent if own["quiet"] else _tell
    with (
        stopping(stop, 0.0, "ending what was started"),
        planning.run_plan(plan, folder, stop, tell) as service,
    ):
        woken = planning.warm_up(service.ranks, Asked(), stop, lambda one: tell(line_of(one)))
        tell("\n".join(summary_lines(woken)))
        dead = [one for one in woken if one.state == "dead"]
        if dead:
            raise EndpointError(
                f"{len(dead)} of {len(woken)} ranks do not answer; rank {dead[0].rank}: {dead[0].reason}",
                f"see the logs in {folder / 'logs'}",
            )
        if then is not None:
            return _measured(then, service)
        print(f"ready  {' '.join(service.urls)}", flush=True)
        if own["json"]:
            print(json.dumps({"urls": service.urls, "ranks": service.ranks, "exit_code": 0}), flush=True)
        tell("Ctrl-C stops it")
        service.watch()
    return 0


def _measured(then: list[str], service: Service) -> int:
    """Carry the verb out; a rank that died meanwhile is why it failed."""
    from inferometer.cli.verbs import dispatch

    try:
        code = dispatch(then)
    except EndpointError:
        service.check()
        raise
    if code == _INVALID:
        service.check()
    return code


@contextmanager
def _folder(out: str | None) -> Iterator[Path]:
    """Where files and logs go; without --out a folder that goes, too, unless its logs tell why something failed."""
    if out is not None:
        yield Path(out)
        return
    folder = Path(tempfile.mkdtemp(prefix="inferometer-plan-"))
    is_needed = False
    try:
        yield folder
    except (EngineError, EndpointError):
        is_needed = True
        raise
    finally:
        if not is_needed:
            shutil.rmtree(folder)


def _then(own: dict[str, Any], plan: NodePlan) -> list[str]:
    """The verb with its flags, tried out as far as that goes without a server."""
    from inferometer.cli.verbs import dispatch

    text = own["then"]
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise UsageError(f"--then {text!r}: {error}", "close the quotes") from None
    if not words or words[0] not in _THEN:
        raise UsageError(f"--then {text!r} does not begin with run or search", 'write it as --then "run ..."')
    switches = [f"--{name}" for name in ("json", "quiet") if own[name]]
    verb = [words[0], *_load_flags(plan), *words[1:], *switches]
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        dispatch([*verb, "--dry-run"])
    return verb


def _silent(line: str) -> None:
    """Nothing is told."""


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
