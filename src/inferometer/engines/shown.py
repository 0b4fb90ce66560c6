"""A command line as a person may read and copy it: quoted for a shell, without secrets."""

from __future__ import annotations

import shlex
from collections.abc import Mapping

from inferometer.engines.engine import CommandLine, Settings
from inferometer.spec.launch_rules import is_secret, shown_variable, shown_words

_KEY_FLAGS = ("--api-key", "--api-keys", "--api_key")
# Variables that servers take their key from; SGLang and LMDeploy take it from flags only.
_KEY_VARIABLES = {"vllm": "VLLM_API_KEY", "llamacpp": "LLAMA_API_KEY", "tgi": "API_KEY"}


def shown_env(env: Mapping[str, str]) -> dict[str, str]:
    """The variables, those that hold a credential hidden."""
    return {name: shown_variable(f"{name}={value}").partition("=")[2] for name, value in env.items()}


def shell_line(command: CommandLine) -> str:
    """The command as one line of a shell, with its environment before it; ready to copy but for hidden secrets."""
    words = [f"{name}={shlex.quote(value)}" for name, value in shown_env(command.env).items()]
    words += [shlex.quote(word) for word in shown_words(command.argv)]
    line = " ".join(words)
    return line if command.cwd is None else f"cd {shlex.quote(command.cwd)} && {line}"


def api_key_of(settings: Settings) -> str | None:
    """The key that requests have to give to a server of these settings; None when it asks for none."""
    words = settings.extra
    for place, word in enumerate(words):
        flag, equals, value = word.partition("=")
        if flag in _KEY_FLAGS:
            found = value if equals else words[place + 1] if place + 1 < len(words) else ""
            return found.partition(",")[0] or None  # llama-server takes several: a,b
    return next((settings.env[name] for name in _KEY_VARIABLES.values() if settings.env.get(name)), None)


def inherited_key(engine: str, environ: Mapping[str, str]) -> dict[str, str]:
    """The variable of ``environ`` that a server of ``engine`` takes the key of its requests from, if it is set."""
    name = _KEY_VARIABLES.get(engine, "")
    return {name: environ[name]} if environ.get(name) else {}


def secrets_of(settings: Settings) -> list[str]:
    """Values in these settings that no output may hold."""
    hidden = [value for name, value in settings.env.items() if is_secret(name)]
    masked = shown_words(settings.extra)
    for word, shown in zip(settings.extra, masked, strict=True):
        if shown != word:
            hidden.append(word.partition("=")[2] if "=" in shown else word)
    return [value for value in hidden if len(value) >= 4]
