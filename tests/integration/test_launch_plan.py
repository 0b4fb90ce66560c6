"""Plans as files that really run: with a stub in the engine's place, and with simulated ranks."""

from __future__ import annotations

import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from commands import LIMIT_S, Command, check_message, check_succeeded, environment, folders, here

from inferometer.engines.nodes.processes import rank_processes
from inferometer.engines.nodes.reading import make_plan, read_plan

# A model that a shell would take apart, were it not quoted.
NASTY = "a; touch pwned $(touch pwned) `touch pwned` '\"\\ $HOME *\nx"
FOUR = ("--nodes", "n0,n1,n2,n3", "--dp", "32", "--ep", "32", "--proxy-port", "8000")
# Writes down what it was started with, and stays until it is told to end.
STUB = """#!{python} -SE
import json, os, signal, sys
name = os.path.join({seen!r}, str(os.getpid()))
with open(name + ".new", "w") as file:
    json.dump({{"argv": sys.argv, "env": dict(os.environ), "pid": os.getpid(), "group": os.getpgrp()}}, file)
os.rename(name + ".new", name + ".json")
{then}
"""


class Stubs:
    """Programs that stand in PATH before all others, and what they were started with."""

    def __init__(self, home: Path) -> None:
        self._bin, self._seen = home / "bin", home / "seen"
        self._bin.mkdir()
        self._seen.mkdir()
        self.variables = environment({"PATH": f"{self._bin}{os.pathsep}{os.environ['PATH']}"})

    def add(self, name: str, then: str = "signal.pause()") -> None:
        path = self._bin / name
        path.write_text(STUB.format(python=sys.executable, seen=str(self._seen), then=then))
        path.chmod(0o755)

    def seen(self, count: int) -> list[dict[str, Any]]:
        """What ``count`` of them were started with, once they were."""
        limit = time.monotonic() + LIMIT_S
        while len(found := sorted(self._seen.glob("*.json"))) < count:
            assert time.monotonic() < limit, found
            time.sleep(0.02)
        return [json.loads(path.read_text()) for path in found]


@pytest.fixture
def stubs(tmp_path: Path) -> Stubs:
    return Stubs(tmp_path)


def written(home: Path, *flags: str) -> Path:
    done = here("launch", "plan", "--model", NASTY, *flags, "--out", str(home / "plan"))
    assert done.code == 0, done.err
    return home / "plan"


@contextmanager
def script(path: Path, stubs: Stubs) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        ["bash", str(path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=stubs.variables, text=True,
        start_new_session=True, cwd=path.parent.parent,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def is_alive(pid: object) -> bool:
    try:
        os.kill(int(str(pid)), 0)
    except ProcessLookupError:
        return False
    return True


def test_a_nodes_script_starts_its_ranks_word_by_word_and_stops_them(tmp_path: Path, stubs: Stubs) -> None:
    stubs.add("lmdeploy")
    folder = written(tmp_path, *FOUR)
    with script(folder / "node-1.sh", stubs) as process:
        seen = stubs.seen(8)
        assert all(is_alive(one["pid"]) for one in seen)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=LIMIT_S)
        assert process.returncode == 143
    assert not [one for one in seen if is_alive(one["pid"])]
    assert len({one["group"] for one in seen}) == 8
    plan = make_plan(read_plan(folder / "plan.yaml"))
    wanted = {one.argv[1:]: one.env for one in rank_processes(plan) if one.node == 1}
    assert {tuple(one["argv"][1:]): one["env"] for one in seen}.keys() == wanted.keys()
    for one in seen:
        env = wanted[tuple(one["argv"][1:])]
        assert {name: one["env"][name] for name in env} == env
    assert not (tmp_path / "pwned").exists()
    assert sorted(path.name for path in (folder / "logs" / "node-1").iterdir()) == sorted(
        f"rank-{rank}.log" for rank in range(8, 16)
    )


def test_a_rank_that_ends_takes_its_node_along(tmp_path: Path, stubs: Stubs) -> None:
    stubs.add("lmdeploy", 'sys.exit(3) if "--dp-rank 10" in " ".join(sys.argv) else signal.pause()')
    with script(written(tmp_path, *FOUR) / "node-1.sh", stubs) as process:
        _, err = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 3
    assert "rank-10 ended with status 3; see " in err
    assert not [one for one in stubs.seen(1) if is_alive(one["pid"])]


def test_a_step_comes_before_the_server_and_its_failure_ends_all(tmp_path: Path, stubs: Stubs) -> None:
    for name in ("ray", "lmdeploy"):
        stubs.add(name)
    stubs.add("python3", "sys.exit(1)")
    folder = written(tmp_path, "--nodes", "n0,n1", "--tp", "16")
    with script(folder / "node-0.sh", stubs) as process:
        _, err = process.communicate(timeout=LIMIT_S)
    assert "ray-nodes ended with status 1" in err
    seen = stubs.seen(2)
    assert {Path(str(one["argv"][0])).name for one in seen} == {"ray", "python3"}
    assert not [one for one in seen if is_alive(one["pid"])]


def test_torchrun_turns_each_of_its_processes_into_a_rank(tmp_path: Path, stubs: Stubs) -> None:
    stubs.add("lmdeploy", "")
    folder = written(tmp_path, *FOUR, "--form", "torchrun")
    variables = stubs.variables | {"RANK": "9", "LOCAL_RANK": "1", "WORLD_SIZE": "32"}
    other = ["--proxy_url", "http://other:8000"]
    subprocess.run(
        [sys.executable, folder / "dpep_torchrun_serve.py", *other],
        env=variables,
        check=True,
        timeout=LIMIT_S,
    )
    (seen,) = stubs.seen(1)
    wanted = rank_processes(make_plan(read_plan(folder / "plan.yaml")))[9]
    assert seen["argv"][1:] == [
        "http://other:8000" if word == "http://n0:8000" else word for word in wanted.argv[1:]
    ]
    assert seen["env"]["CUDA_VISIBLE_DEVICES"] == "1"
    variables["WORLD_SIZE"] = "8"
    refused = subprocess.run(
        [sys.executable, folder / "dpep_torchrun_serve.py"],
        env=variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "torchrun starts 8 ranks, and the plan has 32" in refused.stderr


def test_the_container_gets_the_plan_and_the_hub(tmp_path: Path, stubs: Stubs) -> None:
    stubs.add("docker", "")
    folder = written(tmp_path, *FOUR, "--container", "nvidia", "--hf-home", "/my files/hub")
    subprocess.run(["bash", folder / "container.sh"], env=stubs.variables, check=True, timeout=LIMIT_S)
    (seen,) = stubs.seen(1)
    words = seen["argv"][1:]
    assert words[:2] == ["run", "-it"]
    mounts = [after for word, after in itertools.pairwise(words) if word == "-v"]
    assert mounts == ["/my files/hub:/root/.cache/huggingface", f"{folder}:{folder}"]
    assert words[-1] == "openmmlab/lmdeploy:latest-cu12"


def free_ports(count: int, step: int) -> int:
    """The first of ``count`` ports, ``step`` apart, at which nobody listens on the hosts of the tests."""
    for base in range(20000 + os.getpid() % 500 * 20, 60000, count * step):
        with ExitStack() as held:
            try:
                for number in range(count):
                    for host in ("127.0.0.1", "127.0.0.2"):
                        held.enter_context(socket.create_server((host, base + number * step)))
            except OSError:
                continue
            return base
    raise AssertionError("no free ports")


PLAN = ("launch", "plan", "--engine", "sim", "--model", "tiny")


def test_ranks_of_two_nodes_are_started_woken_measured_by_node_and_stopped(tmp_path: Path) -> None:
    base = free_ports(2, 10)
    verb = f"run --max-concurrency 4 --num-prompts 40 --input-len 8 --output-len 8 --ui none --out {tmp_path}/runs"
    two = ("--nodes", "127.0.0.1", "127.0.0.2", "--dp", "2")
    done = here(*PLAN, *two, "--port", str(base), "--execute", "--json", "--then", verb)
    assert "ready  2 of 2 ranks" in done.err, done.err
    assert "awake  2 of 2 ranks" in done.err
    check_succeeded(done, tmp_path / "runs")
    (folder,) = folders(tmp_path / "runs")
    assert json.loads(done.out.splitlines()[-1])["run"] == str(folder)
    (point,) = json.loads((folder / "summary.json").read_text())["points"]
    nodes = point["nodes"]["nodes"]
    assert [(node["node"], node["servers"], node["requests"]) for node in nodes] == [
        ("127.0.0.1", 1, 20),
        ("127.0.0.2", 1, 20),
    ]
    assert point["values"]["output_throughput_per_node_per_s"] == pytest.approx(
        point["values"]["output_throughput_per_s"] / 2
    )
    assert "imbalance (largest / mean over the nodes): output tok/s 1.00" in done.out
    assert not is_open("127.0.0.1", base)
    assert not is_open("127.0.0.2", base + 10)


def is_open(host: str, port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((host, port)) == 0


def test_ctrl_c_stops_what_serves(tmp_path: Path) -> None:
    base = free_ports(1, 10)
    flags = (*PLAN, "--dp", "1", "--port", str(base), "--execute")
    with Command(tmp_path, flags, {"TMPDIR": str(tmp_path)}) as command:
        command.wait_for("Ctrl-C stops it")
        assert is_open("127.0.0.1", base)
        assert len(list(tmp_path.glob("inferometer-plan-*"))) == 1
        command.interrupt()
        done = command.finish()
    assert done.code == 0, done.err
    assert f"ready  http://127.0.0.1:{base}\n" in done.out
    assert not is_open("127.0.0.1", base)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["stderr", "stdout"]


def test_ctrl_c_while_ranks_are_awaited_leaves_nothing(tmp_path: Path) -> None:
    flags = (
        "launch",
        "plan",
        "--engine",
        "command",
        "--dp",
        "1",
        "--port",
        str(free_ports(1, 10)),
        "--execute",
    )
    with Command(tmp_path, (*flags, "--extra", "sleep 600"), {"TMPDIR": str(tmp_path)}) as command:
        command.wait_for("ready  0 of 1 ranks")
        command.interrupt()
        done = command.finish()
    assert (done.code, done.err.splitlines()[-1]) == (
        130,
        "error: interrupted while 1 of 1 ranks were awaited",
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["stderr", "stdout"]


def test_what_is_to_come_then_is_checked_before_anything_is_started() -> None:
    for then, words in (
        ("run --bogus 3", "unknown flag --bogus"),
        ("bench", "does not begin with run or search"),
    ):
        check_message(here(*PLAN, "--dp", "1", "--execute", "--then", then), 2, words)


def test_a_rank_that_dies_is_quoted(tmp_path: Path) -> None:
    flags = ("launch", "plan", "--engine", "command", "--nodes", "127.0.0.1", "--dp", "2", "--execute", "-q")
    port = str(free_ports(2, 10))
    done = here(
        *flags, "--port", port, "--extra", "sh -c 'echo out of memory; exit 3'", "--out", str(tmp_path / "p")
    )
    check_message(done, 2, "the script of node 0 ended (exit code 3)", "out of memory")


# Answers what it is asked to wake, and dies of the first question of a load.
MORTAL = """
import http.server, json, os, sys
class Rank(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.say({"data": [{"id": "m"}]})
    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if asked.get("stream"):
            print("out of memory", flush=True)
            os._exit(3)
        self.say({"choices": [{"message": {"content": "dog"}}]})
    def say(self, body):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Rank).serve_forever()
"""


def test_a_rank_that_dies_under_load_is_quoted_after_the_run(tmp_path: Path) -> None:
    (tmp_path / "rank.py").write_text(MORTAL)
    verb = f"run --max-concurrency 1 --num-prompts 1 --input-len 8 --output-len 8 --out {tmp_path}/runs"
    done = here(
        "launch", "plan", "--engine", "command", "--dp", "1", "--port", str(free_ports(1, 10)), "--execute", "-q",
        "--extra", f"python3 {tmp_path}/rank.py {{port}}", "--out", str(tmp_path / "plan"), "--then", verb,
    )  # fmt: skip
    check_message(done, 2, "the script of node 0 ended (exit code 3)", "out of memory")


def test_what_cannot_be_started_here(tmp_path: Path) -> None:
    done = here(
        "launch", "plan", "--engine", "sim", "--nodes", "203.0.113.7,203.0.113.8", "--dp", "2", "--execute"
    )
    check_message(done, 2, "none of 203.0.113.7, 203.0.113.8 is an address of this host")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = here("launch", "plan", "--engine", "sim", "--dp", "1", "--port", port, "--execute")
    check_message(done, 2, f"rank-0 cannot listen at http://127.0.0.1:{port}")


def test_nothing_is_started_or_written_unless_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    secret = ("--env", "HF_TOKEN=hf_very-secret", "AUTH=r", "--extra", "--api-keys sk-very-secret")
    done = here("launch", "plan", "--model", "m", *FOUR, *secret, "--json")
    assert done.code == 0
    assert list(tmp_path.iterdir()) == []
    *files, last = done.out.splitlines()
    assert sum(line.startswith("start rank-") for line in files) == 32
    assert "very-secret" not in done.out
    plain = json.loads(last)
    assert (plain["form"], plain["urls"], len(plain["ranks"])) == ("ranks", ["http://n0:8000"], 32)


def test_files_of_another_plan_are_not_overwritten(tmp_path: Path) -> None:
    written(tmp_path, *FOUR)
    written(tmp_path, *FOUR)
    done = here("launch", "plan", "--model", "other", *FOUR, "--out", str(tmp_path / "plan"))
    check_message(done, 2, "plan.yaml is there, and is not what this plan writes")
    assert oct((tmp_path / "plan" / "node-0.sh").stat().st_mode & 0o777) == "0o700"
    again = here("launch", "plan", str(tmp_path / "plan" / "plan.yaml"), "--dry-run")
    assert (again.code, again.out.count("start rank-")) == (0, 32)


def test_what_the_models_files_rule_out_is_told_beforehand(tmp_path: Path) -> None:
    """The start error of the DCU load test, before anything is started."""
    heads = {
        "num_attention_heads": 28,
        "num_key_value_heads": 4,
        "hidden_size": 3584,
        "num_hidden_layers": 28,
    }
    config = {"architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", "vocab_size": 1000, **heads}
    (tmp_path / "config.json").write_text(json.dumps(config))
    done = here("launch", "plan", "--engine", "vllm", "--model", str(tmp_path), "--tp", "8")
    assert done.code == 2
    assert "attention heads (28) must be divisible by tensor parallel size (8)" in done.err
