"""Result files that the tools wrote in a run of 64 requests on the truth server, cut to what is read."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from peers.results import Statistics, UnreadableError, read_result
from peers.tools import TOOLS

RECORDED = Path(__file__).parent / "recorded"
READERS = {tool.name: tool.reader for tool in TOOLS}

# name, completed, TTFT mean p50 p99, ITL mean p50 p99 in ms: read off the files by eye
EXPECTED = {
    "inferometer": (64, (51.1880, 50.1199, None), (20.0278, 20.0000, 20.6744)),
    "vllm": (64, (75.3005, 69.1213, 86.9969), (18.8069, 19.9964, 22.5404)),
    "evalscope": (64, (71.66, 67.7546, 79.9811), (20.0, 19.9968, 22.2484)),
    "aiperf": (64, (61.0075, 59.6318, 74.2847), (20.2117, 19.9939, 31.1546)),
    "guidellm": (64, (54.4081, 53.1156, 72.7398), (19.9805, 19.9880, 20.3502)),
    "genai-bench": (65, (73.2273, 72.2748, 103.2606), (20.2863, 20.2359, 20.6727)),
}


def same(found: Statistics, expected: tuple[float | None, ...]) -> bool:
    return (found.mean, found.p50, found.p99) == pytest.approx(expected, abs=1e-4)


def test_each_tool_has_a_recorded_result() -> None:
    assert EXPECTED.keys() == READERS.keys()


@pytest.mark.parametrize("name", EXPECTED)
def test_reads_what_the_tool_wrote(name: str) -> None:
    completed, ttft, itl = EXPECTED[name]
    found = read_result(READERS[name], RECORDED / name)
    assert found.completed == completed
    assert same(found.ttft, ttft), found.ttft
    assert same(found.itl, itl), found.itl


def test_our_own_verdict_is_kept() -> None:
    assert read_result(READERS["inferometer"], RECORDED / "inferometer").doubts == ("chunk times",)


@pytest.mark.parametrize("name", EXPECTED)
def test_a_tool_without_a_result_is_no_zero(name: str, tmp_path: Path) -> None:
    with pytest.raises(UnreadableError, match="it wrote no"):
        read_result(READERS[name], tmp_path)


def test_a_result_of_another_form_says_so(tmp_path: Path) -> None:
    (tmp_path / "result.json").write_text(json.dumps({"completed": 64}))
    with pytest.raises(UnreadableError, match="mean_ttft_ms"):
        read_result(READERS["vllm"], tmp_path)


def test_another_unit_is_refused(tmp_path: Path) -> None:
    shutil.copytree(RECORDED / "aiperf", tmp_path, dirs_exist_ok=True)
    path = tmp_path / "profile_export_aiperf.json"
    path.write_text(path.read_text().replace('"unit": "ms"', '"unit": "s"'))
    with pytest.raises(UnreadableError, match="not in ms"):
        read_result(READERS["aiperf"], tmp_path)
