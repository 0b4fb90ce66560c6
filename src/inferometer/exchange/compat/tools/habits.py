"""What several tools do alike when nothing is said."""

from __future__ import annotations

import json

from inferometer.exchange.compat.tool import Call
from inferometer.exchange.compat.translate import Group

SAMPLING = {
    "--frequency-penalty": "frequency_penalty",
    "--presence-penalty": "presence_penalty",
    "--repetition-penalty": "repetition_penalty",
    "--min-p": "min_p",
}
_FRESH = (
    "prompts are drawn anew for each run here, so no prefix cache answers for them; it sends the same ones each time "
    "with the same seed"
)
SHAREGPT = "ShareGPT_V3_unfiltered_cleaned_split.json (it fetches the file itself)"


def server(call: Call, port: int, host: str = "127.0.0.1") -> None:
    """The address, from ``--base-url``, ``--url`` or ``--host`` and ``--port``, whose missing half is the tool's."""
    if "--base-url" in call or "--url" in call:
        call.drop("the URL names the server", "--host", "--port")
    elif "--host" in call and "--port" not in call:
        call.theirs.append(Group("--port", [str(port)]))
        call.differs(f"its default is {port}", "--port")
    elif "--port" in call and "--host" not in call:
        call.theirs.append(Group("--host", [host]))
    elif "--host" not in call:
        call.default("--url", f"http://{host}:{port}")


def headers(call: Call, *names: str) -> None:
    """``NAME=VALUE`` and ``NAME:VALUE`` as ``Name: value``."""
    given = call.take(*names)
    if given:
        call.put("--header", *(header(word) for word in given))


def header(word: str) -> str:
    """One header as it is written here."""
    equals, colon = word.find("="), word.find(":")
    at = min((place for place in (equals, colon) if place > 0), default=-1)
    return word if at < 0 else f"{word[:at].strip()}: {word[at + 1 :].strip()}"


def as_json(text: str | None) -> dict[str, object]:
    """A JSON object; an empty one where it is none, which the spec will say."""
    try:
        found = json.loads(text) if text else {}
    except json.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def unlimited(call: Call, rate: str = "--request-rate", limit: str = "--max-concurrency") -> None:
    """All at once where neither a rate nor a limit is given; a shape of gaps without gaps is left out."""
    if limit not in call:
        call.default("--request-rate", "inf", unless=(rate,))
    if call.value(rate) in (None, "inf", "Infinity"):
        call.drop("there are no gaps between requests that all come at once", "--burstiness")


def adapters(call: Call, name: str) -> None:
    """LoRA names, drawn alike."""
    names = call.take(name)
    if names:
        call.replace(name, "--model-mix", *(f"{each}=1" for each in names))


def made_by_us(call: Call, tool: str) -> None:
    """Random prompts: new ones for each run, and of estimated lengths where no tokenizer is named."""
    if not {"--tokenizer", "--tokenizer-path", "--model-tokenizer"} & {
        each.name for each in (*call.theirs, *call.ours)
    }:
        call.differs(
            f"{tool} makes prompts with the tokenizer of the model; here name its directory or tokenizer.json "
            "(or server, for vLLM's /tokenize), or lengths are estimates",
            "--tokenizer",
        )
    call.differs(_FRESH)


def float_of(text: str) -> float:
    """The number; 0 where it is none, or a variable."""
    try:
        return float(text)
    except ValueError:
        return 0.0
