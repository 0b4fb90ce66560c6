"""Runs the quoted command lines of docs/cookbook.md against simulated servers and quotes them anew.

A block is quoted anew when a comment ``<!-- keep: REGEX -->`` stands right above it: each of its command lines is run,
in the order of the page and in one temporary directory, and the lines of its output that match are kept. The Chinese
page gets the same blocks. Servers are those that the page itself starts with ``inferometer serve-sim``.

    python scripts/cookbook.py [TEXT]        (TEXT: only blocks that hold it)
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from importlib.resources import files
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs/cookbook.md"
PAGES = (PAGE, PAGE.parent / "zh/cookbook.md")
QUOTED = re.compile(
    r"^<!-- keep: (?P<keep>[^\n]+) -->\n```console\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL
)
CONSOLE = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"^\$ inferometer (?:.*\\\n)*.*\n", re.MULTILINE)
SYNTHETIC = {
    "Input": {"Method": "uniform", "Params": {"MinValue": 256, "MaxValue": 256}},
    "Output": {
        "Method": "gaussian",
        "Params": {"Mean": 100, "Var": 200, "MinValue": 256, "MaxValue": 256},
    },
    "RequestCount": 500,
}
# 5: what is measured on a machine that is shared with the server is often INVALID, and says so.
_FINE = (0, 5)


def commands(text: str) -> list[str]:
    """The command lines in a page or block, without ``$ inferometer`` and without line breaks."""
    blocks = CONSOLE.findall(text) or [text]
    shown = [shown for block in blocks for shown in COMMAND.findall(block)]
    return [_on_one_line(each) for each in shown]


def trimmed(output: str, keep: str) -> str:
    """The lines of an output that match, without the spaces at their ends.

    Raises:
        ValueError: none does; the page would quote nothing.
    """
    lines = [line.rstrip() + "\n" for line in output.splitlines() if re.search(keep, line)]
    if not lines:
        raise ValueError(f"no line matches {keep!r} in:\n{output}")
    return "".join(lines)


def requoted(page: str, answer: Callable[[str], str], only: str = "") -> str:
    """The page with the output of each quoted command line replaced by what ``answer`` gives for it.

    Args:
        page: its text.
        answer: from a command line to what it prints.
        only: blocks without this text stay as they are.
    """

    def block(found: re.Match[str]) -> str:
        if only not in found["body"]:
            return found[0]
        said = [
            shown + trimmed(answer(_on_one_line(shown)), found["keep"])
            for shown in COMMAND.findall(found["body"])
        ]
        return f"<!-- keep: {found['keep']} -->\n```console\n{''.join(said)}```"

    return QUOTED.sub(block, page)


def with_blocks_of(page: str, model: str) -> str:
    """The page with its quoted blocks replaced, one by one, by those of ``model``."""
    blocks = iter([found[0] for found in QUOTED.finditer(model)])
    return QUOTED.sub(lambda _: next(blocks), page)


def make_files(place: Path) -> None:
    """Small files in the form of those that the command lines name, of the texts that the package carries."""
    data = files("inferometer.workload") / "data"
    words = (data / "english.txt").read_text("utf-8").split()
    rows = (data / "questions.jsonl").read_text("utf-8").splitlines()
    questions = [json.loads(row)["question"] for row in rows]

    def text(start: int, length: int) -> str:
        at = start * 997 % (len(words) - length)
        return " ".join(words[at : at + length])

    sharegpt = [
        {
            "conversations": [
                _turn("human", text(i, 40 + i * 13 % 200)),
                _turn("gpt", text(i + 5000, 30 + i % 160)),
            ]
        }
        for i in range(200)
    ]
    alpaca = [
        {"instruction": text(i, 8 + i % 20), "input": "", "output": text(i + 7000, 20 + i * 7 % 60)}
        for i in range(200)
    ]
    code = [{"task_id": f"own/{i}", "prompt": f'def f{i}(x):\n    """{text(i, 30)}"""\n'} for i in range(100)]
    evolved = [{"question": text(i, 30), "output": text(i + 900, 30)} for i in range(50)]
    _write(place / "datasets/open_qa.jsonl", [{"question": each, "human_answers": []} for each in questions])
    _write(place / "datasets/gsm8k_test.jsonl", [{"question": each, "answer": ""} for each in questions])
    _write(place / "datasets/Codefuse-Evol-Instruct-Clean-data.jsonl", evolved)
    _write(place / "datasets/human-eval-v2-20210705.jsonl", code)
    _write(place / "datasets/ShareGPT_V3_unfiltered_cleaned_split.json", sharegpt)
    _write(place / "datasets/alpaca_data.json", alpaca)
    _write(place / "synthetic_config.json", SYNTHETIC)


def main(only: str = "") -> int:
    """Quote the page anew, or the blocks of it that hold a text, and its Chinese twin with it."""
    page = PAGE.read_text("utf-8")
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        place = Path(name)
        make_files(place)
        servers = [line for line in commands(page) if line.startswith("serve-sim")]
        urls = dict(stack.enter_context(_serving(line)) for line in servers)
        page = requoted(page, lambda line: _run(line, place, urls), only)
    PAGE.write_text(page, "utf-8")
    for other in PAGES[1:]:
        other.write_text(with_blocks_of(other.read_text("utf-8"), page), "utf-8")
    return 0


def _on_one_line(shown: str) -> str:
    return re.sub(r"\\\n\s*", "", shown).strip().removeprefix("$ inferometer ")


def _turn(speaker: str, words: str) -> dict[str, str]:
    return {"from": speaker, "value": words}


def _write(path: Path, value: object) -> None:
    path.parent.mkdir(exist_ok=True)
    rows = value if path.suffix == ".jsonl" and isinstance(value, list) else [value]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")


def _inferometer(line: str) -> list[str]:
    return [sys.executable, "-m", "inferometer", *shlex.split(line)]


@contextmanager
def _serving(line: str) -> Iterator[tuple[str, str]]:
    """The server of a ``serve-sim`` line, at a free port: the URL on the page and the one that it has here."""
    port = re.search(r"--port (\d+)", line)
    words = _inferometer(re.sub(r"--port \d+", "", line) + " --port 0")
    with subprocess.Popen(  # noqa: S603 - our own program
        words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            assert process.stdout is not None
            yield f"http://127.0.0.1:{port[1] if port else 8000}", process.stdout.readline().split()[-1]
        finally:
            process.terminate()


def _run(line: str, place: Path, urls: dict[str, str]) -> str:
    """What a command line prints, with the addresses of the page."""
    for shown, real in urls.items():
        line = line.replace(shown, real)
    done = subprocess.run(  # noqa: S603 - our own program
        _inferometer(line), cwd=place, capture_output=True, text=True, timeout=600, check=False
    )
    if done.returncode not in _FINE:
        raise SystemExit(f"inferometer {line}\nended with {done.returncode}:\n{done.stdout}{done.stderr}")
    output = done.stdout
    for shown, real in urls.items():
        output = output.replace(real, shown)
    return output


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:2]))
