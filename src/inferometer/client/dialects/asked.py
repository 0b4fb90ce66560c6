"""What a spec asks of a dialect: what it cannot express is refused, what follows from it is settled."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from inferometer.client.dialects import TEMPLATE, Dialect, open_dialect
from inferometer.client.dialects.capability import OPTIONS, Capability
from inferometer.client.dialects.reading import part
from inferometer.client.target import Target
from inferometer.spec import Endpoint, RunSpec, resolve_ignore_eos
from inferometer.spec.problems import Problem, raise_problems
from inferometer.spec.url import shown_url

_KEY = "authorization"
_LENGTHS = ("output_len", "output_dist")  # of answers, which max_tokens asks for
_CHECKED = ("model", "stream", "messages", "prompt")  # by the rules of the spec, for every dialect


class Settled(NamedTuple):
    """A spec that its dialect can carry out, and what a person should know of how it does."""

    spec: RunSpec
    dialect: Dialect
    notes: tuple[str, ...]


def settle(spec: RunSpec) -> Settled:
    """Hold a spec against its dialect.

    Raises:
        UsageError: no such dialect, its template is wrong, or an option is asked for that it has no name for.
    """
    dialect = open_dialect(spec.endpoint.backend, spec.endpoint.template)
    found = dialect.capability
    raise_problems(_refused(spec, found))
    notes = []
    if resolve_ignore_eos(spec) and "ignore_eos" not in found.asks and found.streams:
        notes.append(
            f"--backend {found.name} cannot ask for answers of full length (ignore_eos): they may be shorter than asked"
        )
    if not found.streams and spec.sampling.stream:
        spec = spec.model_copy(update={"sampling": spec.sampling.model_copy(update={"stream": False})})
    return Settled(spec, dialect, tuple(notes))


def speaking(target: Target, endpoint: Endpoint, found: Capability, stream: bool) -> Target:
    """The target with the headers of its dialect, and the key in the header where the dialect wants it.

    A header that the user gave is left as it is.
    """
    headers = list(target.headers)
    if endpoint.api_key is not None or endpoint.api_key_file is not None:
        place = max(at for at, (name, _) in enumerate(headers) if name.lower() == _KEY)
        name, scheme = found.key
        headers[place] = (name, scheme + headers[place][1].removeprefix("Bearer "))
    given = {name.lower() for name, _ in headers}
    spoken = {**found.headers, **(found.stream_headers if stream else {})}
    more = [(name, value) for name, value in spoken.items() if name.lower() not in given]
    others = [speaking(other, endpoint, found, stream) for other in target.others]
    if found.name == TEMPLATE:  # which may hold a key
        return msgspec.structs.replace(target, headers=headers + more, others=others)
    return msgspec.structs.replace(target, headers=headers, spoken=more, others=others)


def _refused(spec: RunSpec, found: Capability) -> Iterator[Problem]:
    sampling = spec.sampling
    given: dict[str, Any] = {name: getattr(sampling, name) for name in OPTIONS}
    given |= {name: getattr(spec.workload, name) for name in _LENGTHS}
    for name, value in given.items():
        asked_by = "max_tokens" if name in _LENGTHS else name
        if asked_by in found.asks or value is None or value is False or value == ():
            continue
        known = ", ".join(_flag(each) for each in OPTIONS if each in found.asks) or "no such options"
        yield Problem(
            f"{_flag(name)} cannot be asked of --backend {found.name}, which takes {known}",
            f"drop {_flag(name)}, or send the server's own field with --extra-body JSON",
        )
    for field in {*found.prompt.values(), *found.streamed} - {*_CHECKED, "stream_options"}:
        if part(sampling.extra_body, *field.split(".")) is not None:
            yield Problem(f"--extra-body sets {field!r}, which the measurement depends on", "leave it out")
    if found.name == TEMPLATE:
        yield from _repeated_path(spec.endpoint, found)
    if spec.workload.text == "token-ids" and "token_ids" not in found.prompt and found.name != "openai-chat":
        yield Problem(
            f"--text token-ids cannot be sent by --backend {found.name}", "use --backend openai-completions"
        )
    if not found.streams and sampling.stream and "stream" in sampling.model_fields_set:
        yield Problem(
            f"--stream cannot be asked of --backend {found.name}, which answers as a whole", "drop --stream"
        )
    if spec.sessions.wanted and "messages" not in found.prompt:
        yield Problem(
            f"sessions of several turns need chat messages, which --backend {found.name} does not send",
            "use --backend openai-chat, or drop --turns and --multi-turn",
        )
    if spec.workload.model_mix and not found.names_model:
        yield Problem(
            f"--model-mix names models, and --backend {found.name} does not tell the server of any",
            "use --backend openai-chat, or drop --model-mix",
        )


def _repeated_path(endpoint: Endpoint, found: Capability) -> Iterator[Problem]:
    """The path of a template in the address, which it would follow once more."""
    for url in (endpoint.url, *endpoint.more_url):
        base = url.rstrip("/").removesuffix(found.path)
        if base != url.rstrip("/"):
            yield Problem(
                f"--url {shown_url(url)} ends with {found.path}, which {found.source} adds to it",
                f"write --url {shown_url(base)}",
            )


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")
