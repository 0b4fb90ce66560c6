import gzip
import io
import json
import os
import sys
import threading
from types import SimpleNamespace

import duckdb
import msgspec
import pytest
import zstandard

from inferometer.errors import DataError, UsageError
from inferometer.workload import files
from inferometer.workload.rows import BadRowError, open_lines, open_rows

THREE = [{"q": "a", "n": 1}, {"q": "b", "n": 2}, {"q": "c", "n": 3}]
LINES = "".join(json.dumps(row) + "\n" for row in THREE)


def values(path):
    return [row.value() for row in open_rows(str(path)).rows]


def places(path):
    return [row.place.removeprefix(str(path)) for row in open_rows(str(path)).rows]


def parquet(path, select):
    duckdb.connect().execute(f"COPY ({select}) TO '{path}' (FORMAT parquet)")
    return path


def test_json_lines_skip_blank_ones_and_know_their_line(write):
    path = write("rows.jsonl", '{"q":1}\r\n\r\n  \n{"q":2}')
    assert values(path) == [{"q": 1}, {"q": 2}]
    assert places(path) == [", line 1", ", line 4"]


def test_an_array_is_told_by_its_content(write):
    path = write("rows.jsonl", '[\n {"q": "a"},\n\n {"q": "b"}\n]')
    assert values(path) == [{"q": "a"}, {"q": "b"}]
    assert places(path) == [", line 2", ", line 4"]


def test_lists_of_messages_are_rows_one_a_line(write):
    talk = json.dumps([{"role": "user", "content": "a"}])
    assert values(write("rows.jsonl", f"{talk}\n{talk}\n")) == [json.loads(talk)] * 2
    assert values(write("rows.jsonl", talk)) == [json.loads(talk)]


def test_csv_with_quotes_and_line_breaks(write):
    path = write("rows.csv", 'q,n\n"a, ""b""\nc",1\nd,2\n')
    assert values(path) == [{"q": 'a, "b"\nc', "n": "1"}, {"q": "d", "n": "2"}]
    assert places(path) == [", line 2", ", line 4"]


def test_a_field_longer_than_pythons_own_limit(write):
    text = "long " * 50_000
    assert values(write("rows.tsv", f"q\tn\n{text}\t1\n")) == [{"q": text, "n": "1"}]


def test_parquet_with_lists_and_a_name_full_of_signs(tmp_path):
    path = parquet(tmp_path / "a[1]*b?.parquet", "SELECT 'a' AS q, ['x', 'y'] AS turns, {'k': 1} AS s")
    assert values(path) == [{"q": "a", "turns": ["x", "y"], "s": {"k": 1}}]
    assert places(path) == [", row 1"]


@pytest.mark.parametrize(
    ("name", "pack"),
    [
        ("rows.jsonl.gz", gzip.compress),
        ("rows.jsonl.zst", zstandard.compress),
        ("no-ending", zstandard.compress),
    ],
)
def test_packed_files_are_told_by_their_content(write, name, pack):
    both = pack(LINES.encode()) + pack(b'{"q": "d"}\n')
    assert values(write(name, both)) == [*THREE, {"q": "d"}]


def test_a_packed_table_keeps_its_ending(write):
    assert values(write("rows.csv.gz", gzip.compress(b"q\na\n", mtime=0))) == [{"q": "a"}]


def test_zstandard_that_is_cut_off_or_broken(write):
    packed = zstandard.compress(LINES.encode())
    for data in (packed[:-3], packed[:9] + b"x" * 9):
        with pytest.raises(DataError, match="broken zstandard"):
            open_rows(str(write("rows.jsonl.zst", data)))


def test_zstandard_without_its_library_names_the_install_line(write, monkeypatch):
    monkeypatch.setitem(sys.modules, "zstandard", None)
    monkeypatch.setattr(files.sys, "version_info", (3, 11))
    with pytest.raises(UsageError, match=r"pip install 'inferometer\[zstd\]'"):
        open_rows(str(write("rows.jsonl.zst", zstandard.compress(b"{}"))))


def test_zstandard_is_part_of_newer_pythons(write, monkeypatch):
    library = SimpleNamespace(decompress=zstandard.decompress, ZstdError=zstandard.ZstdError)
    monkeypatch.setitem(sys.modules, "compression", SimpleNamespace(zstd=library))
    monkeypatch.setitem(sys.modules, "compression.zstd", library)
    monkeypatch.setattr(files.sys, "version_info", (3, 14))
    assert values(write("rows.jsonl.zst", zstandard.compress(LINES.encode()))) == THREE
    with pytest.raises(DataError, match="broken zstandard"):
        open_rows(str(write("rows.jsonl.zst", b"\x28\xb5\x2f\xfdbroken")))


def test_a_directory_is_read_by_name_and_counted_through(tmp_path, write):
    write("b.jsonl", '{"q": 2}\n')
    write("a.json", '[{"q": 0}, {"q": 1}]')
    write("c.csv.gz", gzip.compress(b"q\n3\n", mtime=0))
    write("README.md", "no data")
    write(".hidden.jsonl", "no data")
    source = open_rows(str(tmp_path))
    rows = list(source.rows)
    assert [row.value()["q"] for row in rows] == [0, 1, 2, "3"]
    assert [row.number for row in rows] == [0, 1, 2, 3]
    assert [row.place for row in rows][1:3] == [f"{tmp_path}/a.json, line 1", f"{tmp_path}/b.jsonl, line 1"]
    assert source.notes == ("3 files of the directory, by name",)
    before = source.sha256
    write("b.jsonl", '{"q": 5}\n')
    assert open_rows(str(tmp_path)).sha256 != before


def test_a_directory_without_data_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"no file that ends in \.json, \.jsonl"):
        open_rows(str(tmp_path))


@pytest.fixture
def pipe(monkeypatch):
    """Standard input that holds these bytes."""

    def put(data, terminal=False):
        files._standard_input.cache_clear()
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(data), isatty=lambda: terminal))

    yield put
    files._standard_input.cache_clear()


@pytest.mark.parametrize(
    "data", [LINES.encode(), json.dumps(THREE).encode(), gzip.compress(LINES.encode(), mtime=0)]
)
def test_standard_input_is_read_once_for_all_openings(pipe, data):
    pipe(data)
    assert values("-") == THREE
    assert values("-") == THREE


def test_a_table_on_standard_input_is_told_by_its_first_line(pipe):
    pipe(b"q\tn\na\t1\n")
    assert values("-") == [{"q": "a", "n": "1"}]
    pipe(b"q,n\na,1\n")
    assert values("-") == [{"q": "a", "n": "1"}]


def test_a_terminal_is_no_data_set(pipe):
    pipe(b"", terminal=True)
    with pytest.raises(DataError, match="nothing is piped"):
        open_rows("-")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("r.csv", 'q,n\n"a,1\n', r"line 2: unexpected end of data"),
        ("r.csv", "q,q\na,b\n", r"line 1: column 'q' is there twice"),
        ("r.parquet", b"PAR1 and nothing more", r"broken Parquet after row 0"),
        ("r.json", '[{"q": 1},', r"line 1, column 11"),
        ("r.json", b"[" * 5000, r"nested too deep"),
        ("r.jsonl.gz", gzip.compress(b"PAR1", mtime=0), r"is Parquet, which is read from a plain file"),
    ],
)
def test_files_that_cannot_be_read_at_all(write, name, content, message):
    with pytest.raises(DataError, match=message):
        values(write(name, content))


@pytest.mark.parametrize(
    ("name", "content", "reason", "message"),
    [
        ("r.jsonl", '{"q": 1}\n{"q": \n', "broken_json", r"r.jsonl, line 2, column 7: "),
        ("r.jsonl", '{"q": 1}\n' + "[" * 5000, "broken_json", r"line 2: brackets are nested too deep"),
        ("r.csv", "q,n\na,1\nb\n", "wrong_number_of_fields", r"line 3: 1 fields, but .* 2 columns: b"),
    ],
)
def test_a_row_that_is_broken_is_told_when_it_is_decoded(write, name, content, reason, message):
    good, bad = open_rows(str(write(name, content))).rows
    assert "q" in good.value()
    with pytest.raises(BadRowError) as caught:
        bad.value()
    assert caught.value.reason == reason
    with pytest.raises(DataError, match=message):
        raise bad.failure(caught.value)


def test_a_field_of_the_wrong_type_is_named(write):
    class Wanted(msgspec.Struct):
        q: int

    for name, content in (("r.jsonl", '{"q": "a"}'), ("r.csv", "q\na\n")):
        (row,) = open_rows(str(write(name, content))).rows
        with pytest.raises(BadRowError, match=r"Expected `int`, got `str`"):
            row.decode(msgspec.json.Decoder(Wanted))


def test_lines_are_not_decoded(write):
    rows = list(open_lines(str(write("p.txt", "one\n\n [two] \n")), (".txt",)).rows)
    assert [(row.raw, row.line) for row in rows] == [(b"one", 1), (b" [two] ", 3)]


def test_the_line_of_an_element_is_its_own_and_not_that_of_an_equal_text_before(write):
    path = write("rows.json", '[{"q": "1"},\n{"q": 1},\n{"q": 1},\n1]')
    assert places(path) == [", line 1", ", line 2", ", line 3", ", line 4"]


def test_the_header_of_a_table_may_stand_below_blank_lines(write):
    path = write("rows.csv", "\n\nq,n\na,1\n")
    assert values(path) == [{"q": "a", "n": "1"}]
    assert places(path) == [", line 4"]


def test_the_hash_of_a_directory_does_not_depend_on_how_its_path_is_written(tmp_path, monkeypatch):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.jsonl").write_text(LINES)
    monkeypatch.chdir(tmp_path)
    assert len({open_rows(path).sha256 for path in ("in", "in/", "./in", f"{tmp_path}//in")}) == 1


def test_a_pipe_is_read_once_for_all_who_open_it(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_text, args=(LINES,))
    writer.start()
    assert values(pipe) == THREE
    writer.join()
    assert values(pipe) == THREE
