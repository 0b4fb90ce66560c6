"""Conformance suite for engines: what every ``Engine`` must keep, whatever it starts."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from inferometer.client.dialects import DIALECTS
from inferometer.engines.engine import CommandLine, Engine, Facts, Said, Settings, Trouble
from inferometer.errors import UsageError

_STRANGE = (
    "",
    "null",
    "[]",
    "5",
    '"x"',
    "{}",
    '{"data": 5}',
    '{"data": [null]}',
    "<html></html>",
    "a{b} c\n\xff",
)
_FOREIGN = ((), ("ls", "-l"), ("python3", "x.py"), ("nginx", "-g", "daemon off;"), ("PORT=1",))
_SAID: dict[str, tuple[Any, ...]] = {
    "served_name": ("name-of-it",),
    "tensor_parallel": (2,),
    "pipeline_parallel": (2,),
    "data_parallel": (2,),
    "expert_parallel": (True, False),
    "max_model_len": (4093,),
    "max_num_seqs": (37,),
    "max_num_batched_tokens": (4099,),
    "memory_share": (0.37,),
    "kv_cache_dtype": ("int8", "auto"),
    "dtype": ("float16",),
    "quantization": ("awq",),
    "prefix_cache": (True, False),
    "trust_remote_code": (True,),
    "devices": ("1",),
}


def check_engine(
    engine: Engine, cases: Iterable[Settings], lines: Iterable[str] = (), moot: Iterable[str] = ()
) -> None:
    """Assert the contract of ``Engine``.

    Checked: a command line is a pure function of its settings, and read back it is the same command line; host and port
    are in it; no setting is passed over in silence; command lines of other programs are not taken; nothing said is no
    facts and no trouble, and strange pages do no harm.

    Args:
        engine: to check.
        cases: settings that it can carry out.
        lines: command lines that it must recognise, as typed.
        moot: settings that hold whether they are said or not.

    Raises:
        AssertionError: what was broken, with the value.
    """
    check_names(engine)
    for settings in cases:
        check_command(engine, settings)
        check_round_trip(engine, settings)
        check_place(engine, settings)
        check_heard(engine, settings, frozenset(moot))
    for line in lines:
        found = engine.settings(tuple(shlex.split(line)))
        assert found is not None, f"{engine.name} does not recognise {line!r}"
        check_round_trip(engine, found)
    for argv in _FOREIGN:
        assert engine.settings(argv) is None, f"{engine.name} takes {argv} for its own"
    check_silence(engine)
    check_strange(engine)


def check_names(engine: Engine) -> None:
    """Name, dialect and what is asked of a started server are usable."""
    assert re.fullmatch(r"[a-z][a-z0-9_-]*", engine.name), f"name {engine.name!r}"
    assert engine.dialect in DIALECTS.names(), f"{engine.name} speaks {engine.dialect!r}, which is no dialect"
    for path in (*engine.readiness.paths, *engine.pages):
        assert path.startswith("/"), f"{engine.name}: {path!r} is no path"
    assert engine.readiness.paths or engine.readiness.log_line, f"{engine.name} is never ready"
    if engine.readiness.log_line is not None:
        re.compile(engine.readiness.log_line)


def check_command(engine: Engine, settings: Settings) -> None:
    """The same settings give the same command line, and stay as they are."""
    before = msgspec.json.encode(settings)
    first, second = engine.command(settings), engine.command(settings)
    assert first == second, f"{engine.name}: {first} is not {second}"
    assert msgspec.json.encode(settings) == before, f"{engine.name} changes its settings"
    assert first.argv, f"{engine.name} starts nothing"
    for word in (*first.argv, *first.env, *first.env.values(), *first.files, *first.files.values()):
        assert isinstance(word, str), f"{engine.name}: {word!r} is no text"


def check_round_trip(engine: Engine, settings: Settings) -> None:
    """A command line as a shell would take it, read back, is the same command line."""
    command = engine.command(settings)
    words = (*(f"{name}={value}" for name, value in command.env.items()), *command.argv)
    with _written(command):
        found = engine.settings(words)
        if found is None:  # a shell's assignments may be taken off before
            found = engine.settings(command.argv)
            assert found is not None, f"{engine.name} does not recognise its own {command.argv}"
            found = msgspec.structs.replace(found, env={**found.env, **command.env})
        again = engine.command(found)
    assert again == command, f"{engine.name}: {command}\nread back is {again}"


def check_place(engine: Engine, settings: Settings) -> None:
    """Host and port are where the server is told of them."""
    settings = msgspec.structs.replace(settings, host="127.0.0.9", port=28413)
    said = _all_of(engine.command(settings))
    for value in ("127.0.0.9", "28413"):
        assert value in said, f"{engine.name} says {value} nowhere in {said}"


def check_heard(engine: Engine, settings: Settings, moot: frozenset[str] = frozenset()) -> None:
    """Each setting changes the command line or is refused with a next step: none is passed over in silence."""
    bare = msgspec.structs.replace(
        settings, **{name: False if name == "trust_remote_code" else None for name in _SAID}
    )
    plain = _all_of(engine.command(bare))
    for name, values in _SAID.items():
        if name in moot:
            continue
        heard = [_heard(engine, msgspec.structs.replace(bare, **{name: value}), plain) for value in values]
        assert any(heard), f"{engine.name} passes over {name}"
    told = msgspec.structs.replace(bare, env={"SOME_VARIABLE": "its value"})
    assert engine.command(told).env.get("SOME_VARIABLE") == "its value", f"{engine.name} drops env"


def check_silence(engine: Engine) -> None:
    """Nothing said is no facts and no trouble."""
    assert engine.facts(Said()) == Facts(engine=engine.name), f"{engine.name} knows facts from nothing"
    for log in ("", "\n", "INFO: Uvicorn running on http://127.0.0.1:8000 (Press CTRL+C to quit)\n"):
        assert engine.trouble(log) is None, f"{engine.name} sees trouble in {log!r}"


def check_strange(engine: Engine) -> None:
    """Pages that are not what they should be do no harm, and facts are of the types they claim."""
    for body in _STRANGE:
        check_facts(engine.facts(Said(log=body, pages=dict.fromkeys(engine.pages, body))))


def check_facts(facts: Facts) -> None:
    """Facts are what their types say, above 0, and each has a source."""
    msgspec.convert(msgspec.to_builtins(facts), Facts)
    values = {
        name: getattr(facts, name) for name in facts.__struct_fields__ if name not in ("engine", "sources")
    }
    known = {name for name, value in values.items() if value not in (None, {})}
    assert known == set(facts.sources), f"{facts.engine}: facts {sorted(known)} with sources {facts.sources}"
    for name in known:
        value = values[name]
        assert not isinstance(value, int) or value > 0, f"{facts.engine}: {name} is {value}"


def check_trouble(trouble: Trouble | None, log: str) -> Trouble:
    """A trouble names a line of its log and is worded for a person; gives it back."""
    assert trouble is not None, f"no trouble is seen in {log[-400:]!r}"
    line = trouble.line.removesuffix(" ...")
    assert line, "the line is empty"
    assert line in log, f"{trouble.line!r} is not in the log"
    for text in (trouble.message, trouble.next_step):
        assert text.strip() == text, f"{text!r} has blanks around it"
        assert text, "a message or next step is empty"
        assert not re.search(r"[{}]|\bNone\b", text.replace("{8,16", "")), f"{text!r} is not filled in"
        assert not text.endswith("."), f"{text!r} ends with a full stop"
    return trouble


def _heard(engine: Engine, settings: Settings, plain: Sequence[str]) -> bool:
    try:
        return _all_of(engine.command(settings)) != plain
    except UsageError as error:
        refusal = error
    assert refusal.next_step, f"{engine.name} refuses without a next step: {refusal}"
    return True


def _all_of(command: CommandLine) -> tuple[str, ...]:
    """Everything that is handed over, as words; files taken apart at what is no letter or digit."""
    texts = [word for text in command.files.values() for word in re.split(r"[^\w.]+", text)]
    return (
        *command.argv,
        *(f"{name}={value}" for name, value in command.env.items()),
        *command.env.values(),
        *texts,
    )


@contextmanager
def _written(command: CommandLine) -> Iterator[None]:
    """The command's files, there as they would be when it is started, and gone after."""
    paths = [Path(name) for name in command.files]
    for path, text in zip(paths, command.files.values(), strict=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    try:
        yield
    finally:
        for path in paths:
            path.unlink(missing_ok=True)
