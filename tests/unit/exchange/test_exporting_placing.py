from pathlib import Path

import pytest

from inferometer.errors import UsageError
from inferometer.exchange.exporting.formats import FORMATS, check_settings, format_named
from inferometer.exchange.exporting.placing import place_all
from inferometer.exchange.exporting.texts import csv_bytes, json_bytes, safe


def test_files_appear_in_folders_that_were_not_there(tmp_path: Path) -> None:
    place_all({tmp_path / "a" / "b" / "x.json": b"1", tmp_path / "y.json": b"2"})
    assert (tmp_path / "a" / "b" / "x.json").read_bytes() == b"1"
    assert (tmp_path / "y.json").read_bytes() == b"2"


def test_one_file_in_the_way_and_none_is_written(tmp_path: Path) -> None:
    taken = tmp_path / "y.json"
    taken.write_bytes(b"mine")
    with pytest.raises(UsageError, match=r"exists already .*--overwrite"):
        place_all({tmp_path / "x.json": b"1", taken: b"2"})
    assert [path.name for path in tmp_path.iterdir()] == ["y.json"]
    assert taken.read_bytes() == b"mine"
    place_all({tmp_path / "x.json": b"1", taken: b"2"}, overwrite=True)
    assert taken.read_bytes() == b"2"


def test_a_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"")
    with pytest.raises(UsageError, match="is a file"):
        place_all({tmp_path / "f" / "x.json": b"1"})
    with pytest.raises(UsageError, match="is a directory"):
        place_all({tmp_path: b"1"})


def test_json_has_no_nan_and_csv_an_empty_cell_for_nothing() -> None:
    assert (
        json_bytes({"a": [float("nan"), 1.5], 2: float("inf")}, indent=None)
        == b'{"a": [null, 1.5], "2": null}\n'
    )
    assert csv_bytes([["a", None, 1]]) == b"a,,1\n"
    assert csv_bytes([["a"]], "utf-8-sig") == b"\xef\xbb\xbfa\n"


@pytest.mark.parametrize(
    ("name", "part"),
    [("../../etc/passwd", "etc-passwd"), ("Qwen/Qwen2.5-7B", "Qwen-Qwen2.5-7B"), ("..", "unnamed")],
)
def test_names_are_never_a_step_up(name: str, part: str) -> None:
    assert safe(name) == part


def test_a_format_that_there_is_not_and_a_setting_that_it_does_not_take() -> None:
    with pytest.raises(UsageError, match="did you mean 'guidellm'"):
        format_named("guidelm")
    with pytest.raises(UsageError, match=r"takes no setting 'gpu' .*hw"):
        check_settings("inferencex", FORMATS["inferencex"], {"gpu": "8"})
    with pytest.raises(UsageError, match="it takes none"):
        check_settings("vllm", FORMATS["vllm"], {"hw": "x"})
