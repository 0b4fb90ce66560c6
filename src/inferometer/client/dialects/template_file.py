"""The YAML file of ``--backend template``: read, checked key by key, every error with its line."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, get_args

import yaml

from inferometer.client.framing import Framing
from inferometer.errors import UsageError
from inferometer.spec.endpoint_rules import FRAMING_HEADERS
from inferometer.spec.fields import as_header

_TEXT_IS = ("delta", "cumulative")
_COUNTS = ("input", "output", "reasoning", "cached", "accepted_draft")
_TEXTS = ("path", "body", "framing", "text", "text_is", "reasoning", "finish_reason", "error", "done", "id")
_KEYS = (*_TEXTS, "headers", "usage")
_STEP = re.compile(r"([^.\[\]]+)|\[(-?\d+)\]")
_WHOLE_PATH = re.compile(r"(?:[^.\[\]]+|\[-?\d{1,9}\])(?:\.[^.\[\]]+|\[-?\d{1,9}\])*")
_URL_PATH = re.compile(r"/(?:[!-z|~]|\{model\})*")  # printable ASCII without blanks, and no other braces

Chain = tuple[str | int, ...]


class Done(NamedTuple):
    """What marks the end of a stream: the whole data of an event, or a field (with its value, if one is given)."""

    data: str = ""
    field: Chain = ()
    value: str | None = None


class TemplateFile(NamedTuple):
    """A template as it was read; chains lead to fields of an event, an empty one to nothing."""

    name: str
    lines: Mapping[str, int]
    path: str
    body: str
    framing: Framing
    text: Chain
    cumulative: bool
    reasoning: Chain
    finish_reason: Chain
    error: Chain
    done: Done
    id: Chain
    usage: Mapping[str, Chain]
    headers: Mapping[str, str]

    def wrong(self, key: str, what: str, step: str, offset: int = 0) -> UsageError:
        """An error that names file, line and key."""
        return _wrong(self.name, self.lines.get(key, 1) + offset, f"{key}: {what}", step)


def read_template(path: str) -> TemplateFile:
    """Read and check the file of a template.

    Raises:
        UsageError: it cannot be read, is no YAML, or a key of it is wrong; names the line.
    """
    try:
        text = Path(path).expanduser().read_text("utf-8")
    except OSError as error:
        raise UsageError(f"--template {path!r} cannot be read: {error.strerror}", "check the path") from None
    except UnicodeDecodeError:
        raise UsageError(f"--template {path!r} is not UTF-8 text", "save it as UTF-8") from None
    try:
        node, values = yaml.compose(text, yaml.SafeLoader), yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: a date or number that is none
        mark = getattr(error, "problem_mark", None)
        what = getattr(error, "problem", None) or f"not YAML: {str(error).splitlines()[0]}"
        raise _wrong(path, mark.line + 1 if mark else 1, str(what), "write one 'key: value' a line") from None
    if not isinstance(values, dict) or not isinstance(node, yaml.MappingNode):
        raise _wrong(path, 1, "the file holds no keys", f"give {', '.join(_KEYS[:4])}")
    return _checked(path, values, _lines(path, node))


def _lines(path: str, node: yaml.MappingNode) -> dict[str, int]:
    """The lines of the keys.

    Raises:
        UsageError: a key is given twice, of which YAML would silently take the last.
    """
    found: dict[str, int] = {}
    for key, value in node.value:
        line = key.start_mark.line + 1
        if str(key.value) in found:
            raise _wrong(
                path,
                line,
                f"{key.value}: it stands in line {found[str(key.value)]} already",
                "keep one of them",
            )
        found[str(key.value)] = line
        if isinstance(value, yaml.MappingNode):
            found |= {f"{key.value}.{inner}": line for inner, line in _lines(path, value).items()}
        elif getattr(value, "style", None) in ("|", ">"):
            found[f"{key.value} text"] = key.start_mark.line + 2
    return found


class _Checks:
    """The keys of one file, checked one after the other."""

    def __init__(self, path: str, values: dict[str, Any], lines: dict[str, int]) -> None:
        self._path, self._values, self._lines = path, values, lines

    def wrong(self, key: str, what: str, step: str) -> UsageError:
        return _wrong(self._path, self._lines.get(key, 1), f"{key}: {what}", step)

    def keys(self) -> None:
        """No key is unknown, none is missing, and those of texts hold texts."""
        for key in self._values:
            if key not in _KEYS:
                near = difflib.get_close_matches(str(key), _KEYS, n=1)
                step = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(_KEYS)}"
                raise self.wrong(str(key), "no such key", step)
        for key in ("path", "body", "text"):
            if not self._values.get(key):
                raise self.wrong(key, "it is missing", _MEANING[key])
        for key in _TEXTS:
            value = self._values.get(key)
            if value is not None and not isinstance(value, str):
                raise self.wrong(
                    key, f"{value!r} is no text", _MEANING.get(key, "put it into quotation marks")
                )
        path = self._values["path"]
        if not path.startswith("/"):
            raise self.wrong("path", f"{path!r} does not begin with /", _MEANING["path"])
        if not _URL_PATH.fullmatch(path):
            raise self.wrong(
                "path",
                f"{path!r} holds blanks, braces other than {{model}}, or signs that are not ASCII",
                "percent-encode them (%20)",
            )

    def word(self, key: str, known: tuple[str, ...]) -> Any:
        """One of some words, the first where none is given."""
        value = self._values.get(key, known[0])
        if value not in known:
            raise self.wrong(key, f"{value!r} is not known", f"write {', '.join(known[:-1])} or {known[-1]}")
        return value

    def mapping(self, key: str) -> dict[str, str]:
        """Names and values below a key. No message repeats a value: that of a header may be a key."""
        found = self._values.get(key) or {}
        if not isinstance(found, dict):
            raise self.wrong(key, "it holds no keys", "write one 'name: value' a line below it")
        for name, value in found.items():
            if not isinstance(value, (str, int, float)) or isinstance(value, bool) or "\n" in str(value):
                raise self.wrong(f"{key}.{name}", "it is no text of one line", "put it into quotation marks")
        return {str(name): str(value) for name, value in found.items()}

    def headers(self) -> dict[str, str]:
        """Headers that HTTP allows, but those that say how long a body is."""
        found = self.mapping("headers")
        for name, value in found.items():
            if name.lower() in FRAMING_HEADERS:
                raise self.wrong(f"headers.{name}", "it follows from the body", "leave it out")
            try:
                whole = as_header(f"{name}: {value}")
            except ValueError as error:
                raise self.wrong(f"headers.{name}", str(error), "percent-encode other signs") from None
            if whole != f"{name}: {value}".strip():
                raise self.wrong(f"headers.{name}", "it is no name of a header", "write 'name: value'")
        return found

    def chain(self, key: str, field: str | None = None) -> Chain:
        """A path of fields, by default that of the key."""
        field = self._values.get(key) if field is None else field
        if not field:
            return ()
        if _WHOLE_PATH.fullmatch(field) is None:
            raise self.wrong(
                key, f"{field!r} is no path of fields", "write names and positions: choices[0].text"
            )
        return tuple(name or int(place) for name, place in _STEP.findall(field))

    def usage(self) -> dict[str, Chain]:
        """The fields of the counts."""
        found = self.mapping("usage")
        for name in found:
            if name not in _COUNTS:
                raise self.wrong(f"usage.{name}", "no such count", f"known: {', '.join(_COUNTS)}")
        return {name: self.chain(f"usage.{name}", field) for name, field in found.items()}

    def done(self) -> Done:
        """``field=value``; else the data of an event (``[DONE]``), or a field that is true there."""
        text = self._values.get("done") or ""
        field, equals, value = text.partition("=")
        if equals:
            return Done(field=self.chain("done", field.strip()), value=value.strip())
        return Done(data=text, field=self.chain("done") if _WHOLE_PATH.fullmatch(text) else ())


def _checked(path: str, values: dict[str, Any], lines: dict[str, int]) -> TemplateFile:
    checks = _Checks(path, values, lines)
    checks.keys()
    return TemplateFile(
        name=path,
        lines=lines,
        path=values["path"],
        body=values["body"],
        framing=checks.word("framing", get_args(Framing)),
        text=checks.chain("text"),
        cumulative=checks.word("text_is", _TEXT_IS) == "cumulative",
        reasoning=checks.chain("reasoning"),
        finish_reason=checks.chain("finish_reason"),
        error=checks.chain("error"),
        done=checks.done(),
        id=checks.chain("id"),
        usage=checks.usage(),
        headers=checks.headers(),
    )


_MEANING = {
    "path": "give the path of the API, such as /v1/generate; {model} stands for the model's name",
    "body": "give the request as a Jinja template of JSON, such as '{\"prompt\": {{ prompt | tojson }}}'",
    "text": "give the field of an event that holds the text, such as choices[0].text",
}


def _wrong(path: str, line: int, what: str, step: str) -> UsageError:
    return UsageError(f"{path} line {line}: {what}", step)
