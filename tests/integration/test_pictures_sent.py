"""Pictures on the wire: what a server gets, and what the run says of it."""

from __future__ import annotations

import json
import struct
import zlib
from base64 import b64decode
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import check_message, check_succeeded, folders, here, stored

from inferometer import api
from inferometer.simulator import SimSettings, start_simulated_server
from inferometer.testing.fault_server import FaultServer
from inferometer.testing.streams import answering, delta, sse, stream, usage

FEW = (
    "--max-concurrency",
    "4",
    "--num-prompts",
    "20",
    "--input-len",
    "8",
    "--output-len",
    "2",
    "--warmup",
    "0",
)
ANSWER = stream(
    [
        (0.0, sse(delta("a"))),
        (0.0, sse(delta(" b", finish="length"))),
        (0.0, sse(usage(108, 2))),
        (0.0, sse("[DONE]")),
    ]
)


def run(url: str, out: Path, *flags: str) -> str:
    done = here("run", "--url", url, "--out", str(out), "--quiet", *FEW, *flags)
    check_succeeded(done, out)
    return done.out


def bodies(server: FaultServer) -> list[dict[str, Any]]:
    return [json.loads(served.request.body) for served in server.served if served.request.method == "POST"]


def pictures(body: dict[str, Any]) -> list[str]:
    """URLs of the pictures of the only message, whose first part is the prompt."""
    (message,) = body["messages"]
    text, *parts = message["content"]
    assert (text["type"], len(text["text"].split())) == ("text", 8)
    assert {part["type"] for part in parts} <= {"image_url"}
    return [part["image_url"]["url"] for part in parts]


def png(url: str) -> tuple[int, int, np.ndarray]:
    """Width, height and filtered rows of a PNG that is whole: every checksum holds, and all pixels are there."""
    data = b64decode(url.removeprefix("data:image/png;base64,"), validate=True)
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    at, packed, head = 8, b"", b""
    while at < len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        content = data[at + 8 : at + 8 + length]
        assert struct.unpack_from(">I", data, at + 8 + length)[0] == zlib.crc32(kind + content)
        head, packed = (content, packed) if kind == b"IHDR" else (head, packed + content)
        at += 12 + length
    assert kind == b"IEND"
    width, height = struct.unpack_from(">II", head)
    return width, height, np.frombuffer(zlib.decompress(packed), np.uint8).reshape(height, 1 + 3 * width)


def test_a_server_gets_pictures_of_the_asked_size_and_the_report_shows_their_bytes(tmp_path: Path) -> None:
    with FaultServer(answering(ANSWER)) as server:
        flags = ("--image-count", "2", "--image-width", "96", "--image-height", "64")
        text = run(server.url, tmp_path, *flags)
        sent = bodies(server)
    urls = [url for body in sent for url in pictures(body)]
    assert len(set(urls)) == len(urls) == 40
    assert {png(url)[:2] for url in urls} == {(96, 64)}
    (table,) = stored(tmp_path).tables
    assert table.number("images").tolist() == [2] * 20
    assert table.number("image_bytes").sum() == sum(map(len, urls))
    told = table.point.dataset["pictures"]
    assert (told["per_request"], told["width"], told["height"], told["kind"]) == (2, 96, 64, "shapes png")
    assert "concurrency 4, 2 x 96x64 px" in text
    assert "  bytes sent: 0.0" in text
    assert "50.0 a picture, chat template included" in " ".join(text.split()), "108 - 8 tokens, two pictures"
    summary = json.loads((folders(tmp_path)[0] / "summary.json").read_text())
    (point,) = summary["points"]
    assert point["stats"]["picture_tokens"]["mean"] == 50
    assert (
        point["stats"]["request_bytes"]["percentiles"]["p50"]
        > point["stats"]["picture_bytes"]["percentiles"]["p50"]
    )
    assert point["pictures"]["picture_bytes"] == sum(map(len, urls))
    assert api.report(folders(tmp_path)[0]).points[0].pictures is not None


@pytest.mark.parametrize("content", ["noise", "blank"])
def test_noise_does_not_compress_and_blank_pictures_are_one(tmp_path: Path, content: str) -> None:
    with FaultServer(answering(ANSWER)) as server:
        run(server.url, tmp_path, "--image-width", "40", "--image-height", "30", "--image-content", content)
        urls = [url for body in bodies(server) for url in pictures(body)]
    assert {png(url)[:2] for url in urls} == {(40, 30)}
    assert len(set(urls)) == (20 if content == "noise" else 1)
    assert (min(map(len, urls)) > 40 * 30 * 3) == (content == "noise")


def test_files_of_the_user_and_frames_of_a_video(tmp_path: Path) -> None:
    with FaultServer(answering(ANSWER)) as server:
        run(
            server.url,
            tmp_path / "frames",
            "--video-frames",
            "3",
            "--image-width",
            "32",
            "--image-height",
            "32",
        )
        first, *_ = bodies(server)
    frames = [b64decode(url.partition(",")[2]) for url in pictures(first)]
    assert len(frames) == 3
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number, frame in enumerate(frames):
        (folder / f"{number}.png").write_bytes(frame)
    (folder / "notes.txt").write_text("not a picture")
    with FaultServer(answering(ANSWER)) as server:
        path = ("--image-path", str(folder))
        check_message(
            here("run", "--url", server.url, "--out", str(tmp_path / "no"), *path),
            2,
            "notes.txt",
            "--on-bad-row",
        )
        run(server.url, tmp_path / "files", *path, "--on-bad-row", "skip")
        sent = {url for body in bodies(server) for url in pictures(body)}
    assert {b64decode(url.partition(",")[2]) for url in sent} == set(frames)
    dataset = stored(tmp_path / "files").tables[0].point.dataset
    assert dataset["skipped"] == {"broken_picture": 1}
    assert any("notes.txt" in note for note in dataset["notes"])


def test_a_session_keeps_its_pictures_in_the_first_turn(tmp_path: Path) -> None:
    with FaultServer(answering(ANSWER)) as server:
        run(server.url, tmp_path, "--turns", "2", "--image-width", "32", "--image-height", "32")
        sent = bodies(server)
    second = [body["messages"] for body in sent if len(body["messages"]) == 3]
    assert len(second) == 20
    for first, _, last in second:
        assert [part["type"] for part in first["content"]] == ["text", "image_url"]
        assert isinstance(last["content"], str)
    (table,) = stored(tmp_path).tables
    assert table.number("images").tolist() == [1] * 40


def test_the_simulated_server_takes_pictures_for_256_tokens(tmp_path: Path) -> None:
    with start_simulated_server(SimSettings(base_s=0.001)) as server:
        text = run(server.url, tmp_path, "--image-count", "2", "--image-width", "48", "--image-height", "32")
    (table,) = stored(tmp_path).tables
    assert set(table.number("input_tokens_server").tolist()) == {8 + 2 * 256}
    assert set(table.number("cached_tokens").tolist()) <= {0}
    assert "256.0 a picture" in text
    assert "against the client's count" not in text


def test_backends_without_messages_refuse_pictures(tmp_path: Path) -> None:
    done = here("run", "--url", "http://127.0.0.1:9", "--out", str(tmp_path), "--backend", "openai-completions",
                "--image-count", "1")  # fmt: skip
    check_message(done, 2, "pictures are parts of chat messages", "--backend openai-chat")
