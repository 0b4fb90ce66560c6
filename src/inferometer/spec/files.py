"""A run file: YAML whose mistakes are reported with their line."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml

from inferometer.errors import UsageError
from inferometer.spec.layers import Layer, nearest
from inferometer.spec.model import RunSpec
from inferometer.spec.options import Option, options
from inferometer.spec.problems import Problem, raise_problems


def load_file(path: str | Path) -> dict[str, dict[str, Any]]:
    """The values of a run file, nested as in ``RunSpec``, ready for ``RunSpec.model_validate``.

    Raises:
        UsageError: as ``file_layer``.
    """
    nested: dict[str, dict[str, Any]] = {}
    for dotted, value in file_layer(path).values.items():
        part, _, name = dotted.partition(".")
        nested.setdefault(part, {})[name] = value
    return nested


def file_layer(path: str | Path) -> Layer:
    """The values of a run file with file and line as their origin.

    Parts may be nested (``endpoint: {url: ...}``) or their fields written flat (``url: ...``), under the name
    of the field or of the flag. An empty value counts as not given.

    Raises:
        UsageError: no such file, not UTF-8, not YAML, a key twice, or unknown keys (all of them at once).
    """
    text = _read(Path(path))
    try:
        loader = yaml.SafeLoader(text)
        root = loader.get_single_node()
        return _layer(str(path), root, lambda node: loader.construct_object(node, deep=True))
    except yaml.MarkedYAMLError as error:
        line = f" line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise UsageError(f"{path}{line}: not YAML: {error.problem}", "check quotes and indentation") from None
    except yaml.YAMLError as error:
        raise UsageError(f"{path}: not YAML: {error}", "write it as plain UTF-8 text") from None


def file_schema() -> dict[str, Any]:
    """JSON Schema of a run file: that of ``RunSpec``, and every other way in which ``file_layer`` takes a key."""
    schema = RunSpec.model_json_schema()
    top = schema["properties"]
    fields_of = {part: schema["$defs"][part.title()]["properties"] for part in RunSpec.model_fields}
    for option in options().values():
        inside = fields_of[option.part]
        field = inside[option.name]
        for name in dict.fromkeys(spelling for n in _names(option) for spelling in (n, n.replace("_", "-"))):
            inside.setdefault(name, field)
            # ``endpoint`` alone is both: the part, and the path of the API.
            top[name] = {"anyOf": [top[name], field]} if name in top else field
    return schema


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UsageError(
            f"configuration file {path}: {error.strerror}", "check the path of --config"
        ) from None
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: byte {error.start} is not UTF-8", "save the file as UTF-8") from None


def _layer(path: str, root: yaml.Node | None, construct: Callable[[yaml.Node], Any]) -> Layer:
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    problems: list[Problem] = []
    for line, key, option, node in _entries(root):
        if option is None:
            problems.append(Problem(f"{path} line {line}: unknown key {key!r}", _suggestion(key)))
        elif option.dotted in values:
            problems.append(
                Problem(f"{path} line {line}: {key!r} is given a second time", "keep one of them")
            )
        elif (value := construct(node)) is not None:
            values[option.dotted] = value
            origins[option.dotted] = f"file {path} line {line}"
    raise_problems(problems)
    return Layer(values, origins)


def _entries(root: yaml.Node | None) -> Iterator[tuple[int, str, Option | None, yaml.Node]]:
    """Line, key, option (None = unknown) and value of every field in the file."""
    parts = {option.part for option in options().values()}
    for key, node in _pairs(root):
        if key in parts and isinstance(node, yaml.MappingNode):
            for name, inner in _pairs(node):
                yield _line(inner), f"{key}.{name}", _find(name, key), inner
        else:
            yield _line(node), key, _find(key), node


def _pairs(node: yaml.Node | None) -> Iterator[tuple[str, yaml.Node]]:
    if node is None:
        return
    if not isinstance(node, yaml.MappingNode):
        raise yaml.MarkedYAMLError(
            problem="expected lines of the form 'key: value'", problem_mark=node.start_mark
        )
    for key, value in node.value:
        yield str(key.value), value


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


def _names(option: Option) -> tuple[str, str]:
    return option.name, option.flag.removeprefix("--").replace("-", "_")


def _find(key: str, part: str | None = None) -> Option | None:
    plain = key.removeprefix("--").replace("-", "_")
    return next(
        (o for o in options().values() if plain in _names(o) and part in (None, o.part)),
        None,
    )


def _suggestion(key: str) -> str:
    part, dot, _ = key.rpartition(".")
    inside = [option for option in options().values() if part in ("", option.part)]
    return nearest(key, [f"{part}{dot}{name}" for option in inside for name in _names(option)])
