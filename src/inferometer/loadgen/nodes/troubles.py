"""What a cluster says when it cannot be joined, and what to do about it. Pure."""

from __future__ import annotations

import re

from inferometer.spec.problems import Problem
from inferometer.version import __version__

INSTALL = "pip install 'inferometer[ray]'"
_SIGN_IN = (
    "give the token that the cluster was started with: RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH=FILE (Ray 2.52 and "
    "later), or ~/.ray/auth_token"
)
_VERSIONS = re.compile(r"Ray: (\S+)\s+Python: (\S+)", re.IGNORECASE)


def explain(address: str, said: str, log: str) -> Problem:
    """Why a cluster cannot be joined.

    Args:
        address: as asked for.
        said: type and text of what Ray raised.
        log: what it wrote to standard error before.
    """
    named = f"the cluster --nodes {address}"
    both = f"{said}\n{log}"
    if "no authentication token was found" in both:
        return Problem(f"{named} asks for a token (RAY_AUTH_MODE=token), and none was found here", _SIGN_IN)
    if "InvalidAuthToken" in both or "Unauthenticated" in both:
        return Problem(f"{named} does not accept our authentication token, or we have none", _SIGN_IN)
    if re.search("version mismatch|version .* is different from", both, re.IGNORECASE):
        return Problem(
            f"{named} runs other versions than this machine: {_versions_told(both)}", _same_versions()
        )
    if "ray client connection timeout" in both:  # it says no more when the token is wrong
        step = f"is that the port of its client server (usually 10001)? If it asks for a token, {_SIGN_IN}"
        return Problem(f"{named} does not let us in as a Ray client", step)
    if "ray[client]" in both:
        return Problem(
            f"{named} needs the client part of Ray, which is not installed here", "pip install 'ray[client]'"
        )
    if "Could not find any running Ray instance" in both:
        step = "start one with `ray start --head`, or give the address of another: --nodes HOST:PORT, --nodes ray://HOST:PORT"
        return Problem(
            "--nodes auto found no Ray cluster on this machine, nor an address in RAY_ADDRESS", step
        )
    last = [line for line in said.strip().splitlines() if line.strip()]
    step = "is it up, and is this its address (`ray status` on its head node shows both)?"
    return Problem(f"{named} cannot be joined: {last[0][:300] if last else 'no reason was told'}", step)


def _versions_told(text: str) -> str:
    found = _VERSIONS.findall(text)
    if len(found) < 2:
        lines = [line.strip() for line in text.splitlines() if "ersion" in line]
        return "; ".join(lines[:3])[:300]
    (theirs, their_python), (ours, our_python) = found[:2]
    return f"Ray {theirs} and Python {their_python} there, Ray {ours} and Python {our_python} here"


def _same_versions() -> str:
    return "use the same versions of Ray and of Python (3.X) here and there"


def node_problem(name: str, seen: dict[str, str | None], our_python: str) -> Problem | None:
    """Why a node cannot send load with us; None when it can.

    Args:
        name: of the node.
        seen: what ``Shell.look`` has told.
        our_python: version of this interpreter.
    """
    theirs = seen["inferometer"]
    install = f"{seen['executable']} -m pip install 'inferometer=={__version__}'"
    if theirs is None:
        return Problem(
            f"node {name}: inferometer is not installed for {seen['executable']}", f"on that node: {install}"
        )
    if theirs != __version__:
        return Problem(
            f"node {name} has inferometer {theirs}, this machine {__version__}", f"on that node: {install}"
        )
    python = str(seen["python"])
    if python.split(".")[:2] != our_python.split(".")[:2]:
        step = "use the same minor version of Python on all machines"
        return Problem(f"node {name} runs Python {python}, this machine {our_python}", step)
    return None
