"""The envelope is kept for the machine and version that it was measured with, and can never stop a run."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from inferometer.checks.envelope import FILE, Envelope, Machine, cache_dir, load_envelope, save_envelope
from inferometer.checks.limits import SystemLimits
from inferometer.checks.machine import cpu_model, findings
from inferometer.errors import UsageError

HERE = Machine(cpu="Slow 1", cores=2, kernel="Linux 6.1", python="CPython 3.11.7", inferometer="1.2.3")
ENVELOPE = Envelope(
    workers=1,
    events_per_s=85_000.0,
    streams=12_000.0,
    measured_at_utc="2026-11-21T10:00:00+00:00",
    machine=HERE,
)


def test_what_is_stored_is_found_again(tmp_path: Path) -> None:
    path = save_envelope(tmp_path / "new" / "folder", ENVELOPE)
    assert load_envelope(path.parent, HERE) == (ENVELOPE, "")
    assert [file.name for file in path.parent.iterdir()] == [FILE]


def test_none_is_stored_yet(tmp_path: Path) -> None:
    envelope, hint = load_envelope(tmp_path, HERE)
    assert envelope is None
    assert "inferometer check --calibrate" in hint


@pytest.mark.parametrize("field", Machine.__struct_fields__)
def test_one_of_another_machine_or_version_does_not_count(tmp_path: Path, field: str) -> None:
    save_envelope(tmp_path, ENVELOPE)
    other = msgspec.structs.replace(HERE, **{field: 3 if field == "cores" else "other"})
    envelope, hint = load_envelope(tmp_path, other)
    assert envelope is None
    assert f"{field} {getattr(HERE, field)}, now {getattr(other, field)}" in hint
    assert "inferometer check --calibrate" in hint


@pytest.mark.parametrize("data", [b"", b"\xff\xfe", b"[]", b'{"workers": "many"}', b"{"])
def test_a_broken_file_is_a_hint_and_no_crash(tmp_path: Path, data: bytes) -> None:
    (tmp_path / FILE).write_bytes(data)
    envelope, hint = load_envelope(tmp_path, HERE)
    assert envelope is None
    assert "holds no envelope" in hint


def test_a_directory_in_its_place_is_a_hint(tmp_path: Path) -> None:
    (tmp_path / FILE).mkdir()
    envelope, hint = load_envelope(tmp_path, HERE)
    assert envelope is None
    assert "cannot be read" in hint


def test_one_of_a_later_format_is_left_alone(tmp_path: Path) -> None:
    save_envelope(tmp_path, msgspec.structs.replace(ENVELOPE, schema="inferometer.envelope/9"))
    envelope, hint = load_envelope(tmp_path, HERE)
    assert envelope is None
    assert "inferometer.envelope/9" in hint


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match=r"cannot be stored as .*file") as caught:
        save_envelope(tmp_path / "file" / "below", ENVELOPE)
    assert "INFEROMETER_CACHE_DIR" in caught.value.next_step


def test_without_a_home_there_is_no_place() -> None:
    assert cache_dir({}) is None
    assert load_envelope(None, HERE).envelope is None
    with pytest.raises(UsageError, match="no directory"):
        save_envelope(None, ENVELOPE)


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"HOME": "/home/x"}, "/home/x/.cache/inferometer"),
        ({"HOME": "/home/x", "XDG_CACHE_HOME": "/c"}, "/c/inferometer"),
        ({"HOME": "/home/x", "XDG_CACHE_HOME": "relative"}, "/home/x/.cache/inferometer"),
        ({"HOME": "/home/x", "XDG_CACHE_HOME": "/c", "INFEROMETER_CACHE_DIR": "/own"}, "/own"),
    ],
)
def test_where_it_is_kept(environ: dict[str, str], expected: str) -> None:
    assert cache_dir(environ) == Path(expected)


def test_the_processor_has_a_name_where_the_system_tells_it() -> None:
    assert cpu_model("processor : 0\nmodel name\t: AMD EPYC 7\nflags : x\n") == "AMD EPYC 7"
    assert cpu_model("processor : 0\nCPU part : 0xd0c\n") is None


def test_a_good_machine_has_nothing_to_do() -> None:
    found = findings(8, SystemLimits(1024, 1 << 20, (32768, 60999)), stamps=True, timer=True)
    assert all(finding.ok and not finding.next_step for finding in found)
    assert [finding.name for finding in found] == [
        "receive clock",
        "timer",
        "cores",
        "descriptors",
        "source ports",
    ]


def test_each_weakness_has_a_next_step() -> None:
    found = findings(1, SystemLimits(256, 256, (50_000, 50_999)), stamps=False, timer=False)
    assert not any(finding.ok for finding in found)
    assert all(finding.next_step for finding in found)
    assert "192 streams" in found[3].text
    assert "1,000 (50000 to 50999)" in found[4].text


def test_what_is_not_known_is_no_weakness() -> None:
    found = findings(2, SystemLimits(None, None, None), stamps=True, timer=True)
    assert all(finding.ok for finding in found)
