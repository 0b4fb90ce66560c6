"""Command lines copied from a web page: signs that look like ASCII and are not."""

from __future__ import annotations

import re
import shlex
import unicodedata
from dataclasses import dataclass

from inferometer.errors import UsageError
from inferometer.exchange.compat.signs import DASHES, FULL_WIDTH, INVISIBLE, QUOTES, SPACES

# Values in which such signs may be meant.
_FREE_TEXT = frozenset(
    {
        "--label",
        "--stop",
        "--header",
        "--extra-body",
        "--api-key",
        "--metadata",
        "--dataset-path",
        "--ca-file",
        "--out",
        "--tokenizer",
        "--config",
        "-c",
        "--model",
        "--served-model-name",
        "--extra-args",
        "--extra-request-body",
        "--extra-inputs",
        "--headers",
        "-H",
        "-m",
    }
)
_SECRET = frozenset({"--api-key", "--header", "--headers", "-H"})


@dataclass
class _State:
    flag: str = ""  # the flag whose values are being read
    quote: bool = False  # inside a quotation that the shell did not see


def without_invisible(argv: list[str]) -> tuple[list[str], bool]:
    """``argv`` without signs that cannot be seen and cannot matter, and whether there were any."""
    edges = re.compile(f"^[{SPACES}{INVISIBLE}]+|[{SPACES}{INVISIBLE}]+$")
    clean = [edges.sub("", word) for word in argv]
    clean = [new for new, old in zip(clean, argv, strict=True) if new or not old]
    return clean, clean != argv


def refuse_pasted(argv: list[str], prog: str = "inferometer") -> None:
    """Explain typographic dashes, quotes, spaces and full-width signs, with the command line as it was meant.

    Raises:
        UsageError: names the argument, the sign and the corrected command line (secrets left out).
    """
    state, fixed, found = _State(), list[str](), ""
    for number, word in enumerate(argv, start=1):
        flag_before, inside = state.flag, state.quote
        new = _corrected(word, state)
        if new != word and not found:
            shown = "(hidden)" if flag_before in _SECRET and state.flag == flag_before else repr(word)
            found = f"argument {number} {shown} holds {_name_of_fault(word)}"
        fixed = [*fixed[:-1], f"{fixed[-1]} {new}"] if inside and fixed else [*fixed, *new.split("\0")]
    if found:
        raise UsageError(
            f"{found}, as text copied from a web page often does", f"did you mean:\n  {_command(prog, fixed)}"
        )


def _corrected(word: str, state: _State) -> str:
    """The word as it was meant; NUL stands where one word was two."""
    if match := re.match(f"[-{DASHES}]+(?=[A-Za-zＡ-Ｚａ-ｚ])", word):
        name = re.split(f"[={SPACES}＝]", word, maxsplit=1)[0]
        body = unicodedata.normalize("NFKC", re.sub(f"[{DASHES}]", "-", name[match.end() :]))
        state.flag, state.quote = ("-" if len(body) == 1 else "--") + body, False
        rest = word[len(name) :]
        if not rest:
            return state.flag if not name.isascii() else word
        sign = "\0" if re.match(f"[{SPACES}]", rest) else "="
        fixed = state.flag + sign + _corrected_value(rest[1:], state)
        return word if word.isascii() else fixed
    return _corrected_value(word, state)


def _corrected_value(value: str, state: _State) -> str:
    opens, closes = value[:1] in QUOTES and value != "", value[-1:] in QUOTES and value != ""
    if state.quote or opens or closes:
        state.quote = (state.quote or opens) and not closes
        value = value.strip(QUOTES)
    if state.flag in _FREE_TEXT:
        return value
    value = re.sub(f"^[{DASHES}](?=[0-9.])", "-", value)
    value = re.sub(f"[{FULL_WIDTH}]", lambda sign: unicodedata.normalize("NFKC", sign[0]), value)
    return re.sub(f"[{SPACES}]+", "\0", value)


def _name_of_fault(word: str) -> str:
    for signs, name in ((DASHES, "a typographic dash"), (QUOTES, "a typographic quote")):
        if found := next((sign for sign in word if sign in signs), None):
            return f"{name} (U+{ord(found):04X})"
    if found := next((sign for sign in word if re.match(f"[{SPACES}]", sign)), None):
        return f"a space that the shell does not split at (U+{ord(found):04X})"
    found = next(sign for sign in word if not sign.isascii())
    return f"the full-width sign {found!r} (U+{ord(found):04X})"


def _command(prog: str, words: list[str]) -> str:
    shown: list[str] = []
    for before, word in zip(["", *words], words, strict=False):
        name = word.partition("=")[0]
        if before in _SECRET:
            shown.append("***")
        else:
            shown.append(f"{name}=***" if name in _SECRET and "=" in word else shlex.quote(word))
    return " ".join([prog, *shown])
