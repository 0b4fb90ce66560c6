"""An engine that is started by a command line of flags; adapters say which."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import msgspec

from inferometer.engines.devices import visible
from inferometer.engines.engine import CommandLine, Facts, Readiness, Said, Settings, Trouble
from inferometer.engines.findings import Finding, gathered
from inferometer.engines.flags import Flag, Typed, read, started, write
from inferometer.engines.troubles import COMMON, Pattern, explain
from inferometer.errors import UsageError

_PLACE = {"model": "MODEL", "host": "--host", "port": "--port"}
_COUNTS = (
    "tensor_parallel",
    "pipeline_parallel",
    "data_parallel",
    "max_model_len",
    "max_num_seqs",
    "max_num_batched_tokens",
)


class Flagged:
    """What engines of flags have in common; keeps no state.

    Attributes:
        usual: the words that start it.
        programs: all words that do; ``python`` stands for any Python.
        flags: its table.
        model_flag: names of the flag of the model.
        model_word: whether the model is a word of its own after ``usual``.
        default_port: the engine's, for a command line that names none.
        underscores: whether it reads ``--max_model_len``, too.
        lacks: settings that it does not have, with what comes nearest.
        patterns: troubles of its own.
    """

    name: str = ""
    readiness = Readiness()
    pages: tuple[str, ...] = ("/v1/models",)
    dialect: str = "openai-chat"
    usual: ClassVar[tuple[str, ...]] = ()
    programs: ClassVar[tuple[tuple[str, ...], ...]] = ()
    flags: ClassVar[tuple[Flag, ...]] = ()
    model_flag: ClassVar[tuple[str, ...]] = ("--model",)
    model_word: ClassVar[bool] = True
    default_port: ClassVar[int] = 8000
    underscores: ClassVar[bool] = False
    lacks: ClassVar[dict[str, str]] = {}
    patterns: ClassVar[tuple[Pattern, ...]] = ()

    def command(self, settings: Settings) -> CommandLine:
        """The command line of ``settings``; typed flags first, then the raw ones.

        A raw flag that a field stands for is taken as that field, as the engine itself would take the last one.

        Raises:
            UsageError: a setting that this engine does not have, or values that it refuses.
        """
        settings = self._absorbed(settings)
        check(settings, self.name, self.lacks)
        program = settings.program or self.usual
        model = [settings.model] if self._takes_word(program) else [self.model_flag[0], settings.model]
        argv = (*program, *model, *write(settings, self.flags), *self.more_flags(settings), *settings.extra)
        devices = {} if settings.devices is None else visible(settings.devices)
        return CommandLine(argv=argv, env={**self.environment(settings), **devices, **settings.env})

    def settings(self, argv: tuple[str, ...]) -> Settings | None:
        """The settings of a command line that starts this engine; None if it does not."""
        found = started(argv, self.programs)
        if found is None:
            return None
        typed = self._read(found.rest, model_word=self._takes_word(found.program))
        fields: dict[str, Any] = {"port": self.default_port, **typed.fields}
        words = typed.words
        if "model" not in fields:
            fields["model"], words = (words[0], words[1:]) if words else ("", words)
        plain = Settings(**fields, env=found.env, extra=(*typed.extra, *words))
        return msgspec.structs.replace(
            self.read_more(plain), program=() if found.program == self.usual else found.program
        )

    def facts(self, said: Said) -> Facts:
        """What log and pages tell."""
        return gathered(self.name, self.findings(said))

    def trouble(self, log: str) -> Trouble | None:
        """Why it failed."""
        return explain(log, (*self.patterns, *COMMON))

    def findings(self, said: Said) -> Iterator[Finding]:
        """What each source says, the most trustworthy first."""
        raise NotImplementedError

    def more_flags(self, settings: Settings) -> tuple[str, ...]:
        """Flags that follow from several settings."""
        return ()

    def read_more(self, settings: Settings) -> Settings:
        """The settings with what ``more_flags`` wrote taken out of ``extra`` again."""
        return settings

    def environment(self, settings: Settings) -> dict[str, str]:
        """Variables that the settings, or this build of the engine, need."""
        return {}

    def _takes_word(self, program: tuple[str, ...]) -> bool:
        return self.model_word

    def _read(self, argv: tuple[str, ...], *, model_word: bool) -> Typed:
        table = (Flag(field="model", names=self.model_flag), *self.flags)
        return read(argv, table, underscores=self.underscores, model_word=model_word)

    def _absorbed(self, settings: Settings) -> Settings:
        typed = self._read(settings.extra, model_word=False)
        for field, written in _PLACE.items():
            if field in typed.fields:
                raise UsageError(
                    f"{field} {typed.fields[field]!r} of {self.name} is among the raw flags",
                    f"write it as {written} before the --, so that what is asked is what is started",
                )
        if not typed.fields or typed.words:
            return settings
        return msgspec.structs.replace(settings, **typed.fields, extra=typed.extra)


class SizedExperts(Flagged):
    """An engine whose flag for expert parallelism says over how many ranks experts are spread."""

    expert_flag: ClassVar[tuple[str, ...]] = ()

    def expert_ranks(self, settings: Settings) -> int:
        """All ranks that this engine can spread experts over."""
        raise NotImplementedError

    def more_flags(self, settings: Settings) -> tuple[str, ...]:
        """The flag with all ranks."""
        return (self.expert_flag[0], str(self.expert_ranks(settings))) if settings.expert_parallel else ()

    def read_more(self, settings: Settings) -> Settings:
        """All ranks, or one, become the field; any other number stays a raw flag."""
        typed = read(settings.extra, [Flag(field="ranks", names=self.expert_flag, kind="count")])
        known = {1: False, self.expert_ranks(settings): True}
        if typed.words or typed.fields.get("ranks") not in known:
            return settings
        return msgspec.structs.replace(
            settings, expert_parallel=known[typed.fields["ranks"]], extra=typed.extra
        )


def check(settings: Settings, name: str, lacks: dict[str, str]) -> None:
    """Refuse what no engine can do, and what the engine ``name`` does not have.

    Raises:
        UsageError: names the setting, its value, the rule and what to say instead.
    """
    if not settings.model or settings.model.startswith("-"):
        raise UsageError(f"{name} has no model", "name a directory, or a model of a hub")
    if not 0 <= settings.port <= 65535:
        raise UsageError(f"port {settings.port} does not exist", "take one from 1024 to 65535")
    for field in _COUNTS:
        value = getattr(settings, field)
        if value is not None and value < 1:
            raise UsageError(f"{field} {value} of {name} is below 1", "give 1 or more, or leave it out")
    if settings.memory_share is not None and not 0 < settings.memory_share <= 1:
        raise UsageError(
            f"memory_share {settings.memory_share} of {name} is not a share",
            "give more than 0 and up to 1, as 0.9",
        )
    for field, nearest in lacks.items():
        value = getattr(settings, field)
        alone = value is not True and value == 1 and field.endswith("_parallel")
        if value is not None and value is not False and not alone:
            raise UsageError(f"{name} has no setting {field} (asked: {value})", nearest)
