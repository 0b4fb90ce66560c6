"""Runs the real command line as a person would, and looks into what it leaves behind."""

from __future__ import annotations

import contextlib
import io
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from inferometer import api, cli
from inferometer.record.tables import RunRecord

QUESTIONS = ("--max-concurrency", "4", "--num-prompts", "20", "--output-len", "8")
SHORT = (*QUESTIONS, "--input-len", "8")
LIMIT_S = 60
PAGE_FAULT = "report.html was not written: "  # told, but no reason for a run to fail; for a test it is one
# Conditions that a machine busy with other tests may fail; no test asserts how fast this machine is.
OWN_TIMING = {
    "send lag", "receive lag", "chunk times", "clock error", "client CPU", "achieved rate", "concurrency"
}  # fmt: skip


class Done(NamedTuple):
    code: int
    out: str
    err: str


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    own = {k: v for k, v in os.environ.items() if not k.startswith("INFEROMETER_") and k != "OPENAI_API_KEY"}
    return {**own, **(extra or {})}


def here(*argv: str) -> Done:
    """The command in this process: everything is real but the interpreter's start."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = cli.main(list(argv))
    assert PAGE_FAULT not in err.getvalue(), err.getvalue()
    return Done(code, out.getvalue(), err.getvalue())


def run(url: str, out: Path, *flags: str) -> Done:
    """``inferometer run`` of 20 short requests."""
    return here("run", "--url", url, "--out", str(out), "--quiet", *SHORT, *flags)


def run_questions(url: str, out: Path, file: Path, *flags: str) -> Done:
    """``inferometer run`` with the prompts of a file."""
    data = ("--dataset", "openqa", "--dataset-path", str(file))
    return here("run", "--url", url, "--out", str(out), "--quiet", *QUESTIONS, *data, *flags)


def check_succeeded(done: Done, out: Path) -> None:
    """It went well: code 0, or a run that is INVALID only because this busy machine kept its own generator late."""
    if done.code != 0:
        assert done.code == 5, done
        check_sound(out)


def check_sound(out: Path) -> None:
    """No hard condition of the newest run failed, but for those that a busy machine may fail."""
    summary = api.report(folders(out)[-1])
    failed = {c.name for point in summary.points for c in point.verdict.failed if c.level == "hard"}
    failed |= {c.name for c in summary.verdict.failed if c.level == "hard"}
    assert failed <= OWN_TIMING


class Command:
    """The command as a process of its own; leaving the context ends it.

    Args:
        home: where its output is kept.
        argv: the command line; ``run`` says how far it is on stderr.
        variables: added to the environment.
        shell: words for bash to do in that process before, e.g. ``ulimit -f 64``.
    """

    def __init__(
        self, home: Path, argv: Sequence[str], variables: Mapping[str, str] | None = None, shell: str = "true"
    ) -> None:
        self._out, self._err = home / "stdout", home / "stderr"
        words = ["bash", "-c", f'{shell} && exec "$@"', "bash", sys.executable, "-m", "inferometer", *argv]
        with self._out.open("w") as out, self._err.open("w") as err:
            self.process = subprocess.Popen(words, stdout=out, stderr=err, env=environment(variables))

    def __enter__(self) -> Command:
        return self

    def __exit__(self, *exc: object) -> None:
        self.process.kill()
        self.process.wait()

    def wait_for(self, words: str) -> None:
        """Until it has said this on stderr."""
        limit = time.monotonic() + LIMIT_S
        while words not in self._err.read_text():
            assert self.process.poll() is None, self._err.read_text()
            assert time.monotonic() < limit, self._err.read_text()
            time.sleep(0.02)

    def interrupt(self) -> None:
        """Ctrl-C, to this process alone."""
        self.process.send_signal(signal.SIGINT)

    def finish(self) -> Done:
        """Wait until it ends."""
        code = self.process.wait(LIMIT_S)
        return Done(code, self._out.read_text(), self._err.read_text())


def successes(url: str) -> int:
    """How many requests the simulated server has finished, by its own count."""
    with urllib.request.urlopen(f"{url}/metrics", timeout=5) as reply:
        text = reply.read().decode()
    counter = r'^vllm:request_success_total\{[^}]*"(?:length|stop)"[^}]*\} (\S+)'
    return sum(int(float(count)) for count in re.findall(counter, text, re.MULTILINE))


def folders(out: Path) -> list[Path]:
    return sorted(path.parent for path in out.glob("*/run.json") if not path.parent.is_symlink())


def stored(out: Path) -> RunRecord:
    """The only run in ``out``, closed if it was not."""
    (folder,) = folders(out)
    return api.recover(folder)


def statuses(record: RunRecord, point: int = 1) -> list[str]:
    """How the requests of one load point ended."""
    (table,) = (t for t in record.tables if t.point.index == point)
    return [str(status) for status in table.text("status")]


def check_message(done: Done, code: int, *words: str) -> None:
    """One clear message: what is wrong, what to do, nothing of the inside of the program."""
    text = done.err
    assert done.code == code, text + done.out
    assert [line for line in text.splitlines() if line.startswith("error: ")] == text.splitlines()[:1], text
    assert "\nnext: " in text
    assert "Traceback" not in text
    assert "fault of Inferometer" not in text
    for word in words:
        assert word in text, text
