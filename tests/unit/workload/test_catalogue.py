from pathlib import Path

import msgspec
import pytest

from inferometer.spec import RunSpec, Workload
from inferometer.spec.data import TRACES
from inferometer.workload import DATASETS, open_dataset
from inferometer.workload.builtin import BuiltinTokenizer
from inferometer.workload.catalogue import datasets_markdown, where_to_get
from inferometer.workload.catalogue_entries import ENTRIES

DOCS = Path(__file__).parents[3] / "docs"
FILES = [entry for entry in ENTRIES if entry.name not in ("random", *TRACES)]


def test_every_registered_name_has_an_entry():
    assert sorted(entry.name for entry in ENTRIES) == list(DATASETS.names())


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_documents_are_up_to_date(language):
    path = DOCS / language / "datasets.md"
    assert path.read_text("utf-8") == datasets_markdown(language), "run: python scripts/datasets_docs.py"


@pytest.mark.parametrize("entry", FILES, ids=lambda entry: entry.name)
def test_the_example_row_is_read(write, make_point, entry):
    path = write("rows.jsonl", entry.example + "\n")
    off = {"sharegpt_min_input": 0, "sharegpt_min_output": 0} if entry.name == "sharegpt" else {}
    spec = RunSpec(workload=Workload(dataset=entry.name, dataset_path=str(path), **off))
    (request,) = open_dataset(spec, make_point(), BuiltinTokenizer()).requests(0, "")
    assert msgspec.json.encode(request)


def test_where_to_get_a_file():
    assert "ShareGPT_V3_unfiltered_cleaned_split.json" in where_to_get("sharegpt")
    assert where_to_get("random") == where_to_get("of-another-package") == ""
