"""From the flags of other tools to ours, before anything is parsed."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field

from inferometer.errors import UsageError
from inferometer.exchange.compat.aliases import (
    ALIASES,
    LENGTH_OF,
    OF_MANY_SIZES,
    PICTURED,
    RESOLUTIONS,
    SPEED,
    UNSPOKEN,
    Fixed,
    Needless,
    Refused,
    Rename,
    Resolution,
)
from inferometer.exchange.compat.combined import combine
from inferometer.spec.fields import as_json_object

# Flags of ours that may be named in several ways at once, because their values add up.
_ADDITIVE = frozenset({"--label", "--header", "--slo"})
_DEFAULT_PORTS = "vLLM 8000, SGLang 30000, LMDeploy 23333"


@dataclass
class Group:
    """A flag with the values that follow it; the name is empty for words before the first flag."""

    name: str
    values: list[str] = field(default_factory=list)


@dataclass
class Translation:
    """A command line in our own words.

    Attributes:
        groups: flags and values, aliases replaced.
        hints: what to call things here, one line each.
        spelled: for each of our flags that came by another name, that name.
    """

    groups: list[Group] = field(default_factory=list)
    hints: list[str] = field(default_factory=list)
    spelled: dict[str, str] = field(default_factory=dict)

    def argv(self) -> list[str]:
        """The command line again."""
        words: list[str] = []
        for group in self.groups:
            if group.name and len(group.values) == 1 and group.values[0].startswith("-"):
                words.append(f"{group.name}={group.values[0]}")
            else:
                words += [*([group.name] if group.name else []), *group.values]
        return words


def translate(argv: Iterable[str], ours: Collection[str] = ()) -> Translation:
    """Replace the names that other tools use.

    Args:
        argv: the command line.
        ours: names that are flags of the verb, whatever other tools mean by them.

    Raises:
        UsageError: a name that is refused, or two names of one flag with different values.
    """
    done = Translation()
    host_port: dict[str, Group] = {}
    first: dict[str, tuple[str, list[str]]] = {}
    for group in _sized(_joined(split(argv)), done.hints):
        if group.name in ("--host", "--port"):
            host_port[group.name] = group
            continue
        replaced = group if group.name in ours else _replace(group, done.hints)
        if replaced is None:
            continue
        _refuse_two_names(group, replaced, first)
        if replaced.name != group.name:
            done.spelled[replaced.name] = group.name
        done.groups.append(replaced)
    if host_port:
        if any(group.name == "--url" for group in done.groups):
            raise UsageError("--url and --host/--port both name the server", "keep --url")
        servers = _urls(host_port)
        done.groups += servers
        done.spelled.update((group.name, "--host/--port") for group in servers)
        here = " ".join(f"{group.name} {' '.join(group.values)}" for group in servers)
        done.hints.append(f"--host and --port are {here} here")
    _add_pictures(done)
    _refuse_foreign_length(done)
    combine(done)
    return done


def split(argv: Iterable[str]) -> list[Group]:
    """Flags with their values; ``--flag=value`` is taken apart, and a negative number is a value."""
    groups = [Group("")]
    for word in argv:
        if re.match(r"--?[A-Za-z]", word) and not re.fullmatch(r"-inf(inity)?", word, re.IGNORECASE):
            name, equals, value = word.partition("=")
            groups.append(Group(name, [value] if equals else []))
        else:
            groups[-1].values.append(word)
    return groups if groups[0].values else groups[1:]


def _joined(groups: list[Group]) -> list[Group]:
    """Groups whose ``key:value`` words add up, although the flag they become takes one value, put into one."""
    first: dict[str, Group] = {}
    for group in groups:
        alias = ALIASES.get(group.name)
        if (
            isinstance(alias, Rename)
            and alias.reads == "{}"
            and first.setdefault(group.name, group) is not group
        ):
            first[group.name].values += group.values
    return [group for group in groups if first.get(group.name, group) is group]


def _sized(groups: list[Group], hints: list[str]) -> Iterator[Group]:
    """Groups in which height and width of pictures stand apart."""
    for group in groups:
        if not isinstance(ALIASES.get(group.name), Resolution):
            yield group
            continue
        text = (group.values or [""])[-1].lower()
        written = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)", text)
        size = RESOLUTIONS.get(text) or (written and written.groups())
        if not size:
            raise UsageError(
                f"{group.name} {text!r} is neither HEIGHTxWIDTH nor one of {', '.join(RESOLUTIONS)}",
                "write --image-height N --image-width N",
            )
        height, width = map(str, size)
        hints.append(f"{group.name} {text} is --image-height {height} --image-width {width} here")
        yield Group("--image-height", [height])
        yield Group("--image-width", [width])


def _add_pictures(done: Translation) -> None:
    """Data sets of peers that are random text with pictures of a size that they decide."""
    for group in [group for group in done.groups if group.name == "--dataset"]:
        name = (group.values or [""])[-1]
        if name in SPEED:
            raise UsageError(
                f"--dataset {name} is a test of EvalScope's, with lengths of its own",
                "use --preset speed; its longest prompts are those of speed_benchmark_long",
            )
        if name == OF_MANY_SIZES:
            raise UsageError(
                f"--dataset {name} draws the size of each picture from several, and here all have the same",
                "--dataset random --image-count N --image-width W --image-height H --image-content noise",
            )
        pictures = PICTURED.get(name)
        if pictures is None:
            continue
        given = {other.name for other in done.groups}
        added = [Group(flag, [value]) for flag, value in pictures.items() if flag not in given]
        words = " ".join(f"{other.name} {other.values[0]}" for other in added)
        done.hints.append(f"--dataset {name} is --dataset random {words}".rstrip() + " here")
        group.values = ["random"]
        done.groups += added


def _replace(group: Group, hints: list[str]) -> Group | None:
    """The group in our words; None when it is not needed here."""
    alias = ALIASES.get(group.name)
    if alias is None:
        return group
    if isinstance(alias, Refused):
        raise UsageError(f"{group.name}: {alias.why}", alias.instead)
    if isinstance(alias, Needless):
        strange = [value for value in group.values if alias.only and value not in alias.only]
        if strange:
            raise UsageError(
                f"{group.name} {' '.join(strange)}: {alias.why} in this version", f"leave {group.name} out"
            )
        hints.append(f"{group.name} is not needed here: {alias.why}")
        return None
    if isinstance(alias, Fixed):
        hints.append(f"{group.name} is {' '.join(alias.argv)} here")
        return Group(alias.argv[0], [*alias.argv[1:], *group.values])
    assert isinstance(alias, Rename)
    return _rename(group, alias, hints)


def _rename(group: Group, alias: Rename, hints: list[str]) -> Group | None:
    values: list[str] = []
    for value in group.values:
        if alias.flag == "--backend" and value in UNSPOKEN:
            raise UsageError(
                f"{group.name} {value}: this dialect is not in this version",
                f"inferometer speed MODEL {group.name} {value}; or serve the model and give --url"
                if value.startswith("local")
                else "if the server also speaks OpenAI's API, use --backend openai-chat or openai-completions",
            )
        word = alias.values.get(value, value)
        if word is None:
            why = "that is so without it"
            if alias.flag == "--backend":
                why = "the path in --url decides, and chat is the default"
            hints.append(f"{group.name} {value} is not needed here: {why}")
            return None
        if word != value:
            hints.append(f"{group.name} {value} is {alias.flag} {word} here")
        values.append(word)
    if alias.reads == "{}":
        values = [_json_of_pairs(group.name, values)]
    elif alias.reads:
        values = [alias.reads + value for value in values]
    if alias.flag != group.name and values == group.values:
        hints.append(f"{group.name} is {alias.flag} here")
    return Group(alias.flag, values)


def _json_of_pairs(name: str, words: list[str]) -> str:
    """``ignore_eos:true top_k:20``, or JSON objects, as one JSON object; a value that is not JSON is a text."""
    body: dict[str, object] = {}
    for word in words:
        if word.lstrip().startswith("{"):
            body |= _json_object(name, word)
            continue
        key, colon, value = word.partition(":")
        if not colon or not key:
            raise UsageError(
                f"{name} {word!r} is neither key:value nor a JSON object", "write --extra-body JSON"
            )
        try:
            body[key] = json.loads(value)
        except json.JSONDecodeError:
            body[key] = value
    return json.dumps(body)


def _json_object(name: str, word: str) -> dict[str, object]:
    """A word that begins like a JSON object, read."""
    try:
        return dict(as_json_object(word))
    except ValueError as error:
        raise UsageError(f"{name} {word!r}: {error}", "write --extra-body JSON") from None


def _refuse_two_names(group: Group, ours: Group, first: dict[str, tuple[str, list[str]]]) -> None:
    name, values = first.setdefault(ours.name, (group.name, ours.values))
    if name == group.name or values == ours.values or ours.name in _ADDITIVE:
        return
    note = (
        " (AIPerf's --num-prompts counts rows of the data set instead)"
        if ours.name == "--num-prompts"
        else ""
    )
    raise UsageError(
        f"{name} and {group.name} both mean {ours.name} here, with different values{note}", "keep one"
    )


def _refuse_foreign_length(done: Translation) -> None:
    """``--random-output-len`` beside ``--dataset sharegpt`` would set a length here, and sets none there."""
    name = done.spelled.get("--output-len", "")
    owner = LENGTH_OF.get(name)
    asked = [value for group in done.groups if group.name == "--dataset" for value in group.values]
    if owner is not None and asked and asked[-1] != owner:
        raise UsageError(
            f"{name} is for the data set {owner} in vLLM, SGLang and LMDeploy, but the data set is {asked[-1]}",
            "drop it, or write --output-len N to fix the length of every answer",
        )


def _urls(found: dict[str, Group]) -> list[Group]:
    """``--host H --port P`` as a URL; a host alone is not enough, because the tools' default ports differ.

    Lists (``--host A,B --port 8000,8001``) are servers that take turns; one port is for all hosts, one host for all
    ports.
    """
    hosts = _listed(found, "--host") or ["127.0.0.1"]
    ports = _listed(found, "--port")
    if not ports:
        raise UsageError(f"--host without --port ({_DEFAULT_PORTS})", f"write --url http://{hosts[0]}:PORT")
    if len(hosts) != len(ports) and 1 not in (len(hosts), len(ports)):
        raise UsageError(
            f"--host names {len(hosts)} servers and --port {len(ports)}",
            "give one port for each host, or one for all of them",
        )
    count = max(len(hosts), len(ports))
    pairs = zip(hosts * (count // len(hosts)), ports * (count // len(ports)), strict=True)
    first, *more = [_url(host, port) for host, port in pairs]
    return [Group("--url", [first]), *([Group("--more-url", more)] if more else [])]


def _listed(found: dict[str, Group], name: str) -> list[str]:
    """The values of a flag, commas between them or not."""
    values = found[name].values if name in found else []
    return [part for value in values for part in value.split(",") if part]


def _url(host: str, port: str) -> str:
    scheme, _, bare = host.rpartition("://")
    bare = f"[{bare}]" if ":" in bare and not bare.startswith("[") else bare
    return f"{scheme or 'http'}://{bare}:{port}"
