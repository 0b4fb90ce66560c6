import gzip
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferometer.errors import DataError
from inferometer.workload.files import TextFile, excerpt, json_array, read_text

TEXT = '{"question": "今天天气好吗？"}\n'


@pytest.mark.parametrize(
    ("data", "notes"),
    [
        (TEXT.encode(), ()),
        (TEXT.encode("utf-8-sig"), ()),
        (TEXT.encode("utf-16"), ("read as utf-16",)),
        (b"\xfe\xff" + TEXT.encode("utf-16-be"), ("read as utf-16",)),
        (TEXT.encode("gb18030"), ("not valid UTF-8; read as GB18030",)),
        (gzip.compress(TEXT.encode(), mtime=0), ()),
        (gzip.compress(TEXT.encode("gb18030"), mtime=0), ("not valid UTF-8; read as GB18030",)),
    ],
    ids=["utf-8", "utf-8 bom", "utf-16 le", "utf-16 be", "gb18030", "gzip", "gzip gb18030"],
)
def test_encodings(write, data, notes):
    path = write("rows.jsonl", data)
    file = read_text(str(path))
    assert file.data.decode() == TEXT
    assert file.notes == notes
    assert file.sha256 == hashlib.sha256(data).hexdigest()
    assert file.path == str(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"\xef\xbb\xbf \n", "is empty"),
        (b"abc\xff", "byte 3 is neither UTF-8 nor gb18030"),
        (b"\xff\xfeabc", "byte 4 is neither UTF-8 nor utf-16"),
        (gzip.compress(b"abc" * 99, mtime=0)[:-9], "broken gzip"),
        (b"\x1f\x8bnot gzip at all", "broken gzip"),
    ],
)
def test_files_that_are_no_text(write, content, message):
    with pytest.raises(DataError, match=message):
        read_text(str(write("rows.jsonl", content)))


def test_paths_that_are_no_file(tmp_path):
    with pytest.raises(DataError, match=r"does not exist.*--dataset-path"):
        read_text(str(tmp_path / "rows.jsonl"))
    with pytest.raises(DataError, match="is a directory"):
        read_text(str(tmp_path))


def file_of(text):
    return TextFile("rows.json", text.encode(), "")


def test_broken_array_names_line_and_column():
    with pytest.raises(DataError) as caught:
        json_array(file_of('[\n {"a": 1},\n {"a": "气" x}\n]'))
    assert caught.value.message.startswith("rows.json, line 3, column 12: ")
    assert '{"a": "气" x}' in caught.value.message


def test_a_cut_off_array_points_at_its_end():
    with pytest.raises(DataError, match=r"line 2, column 7: Input data was truncated.*may be cut off"):
        json_array(file_of('[{"a": 1},\n{"b": '))


@given(st.binary(max_size=400), st.integers(0, 400))
def test_an_excerpt_is_short_and_on_one_line(data, around):
    text = excerpt(data, min(around, len(data)))
    assert len(text) <= 80
    assert "\n" not in text
