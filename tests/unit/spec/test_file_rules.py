import pytest

from inferometer.spec import Images, RunSpec, Workload
from inferometer.spec.file_rules import file_problems


def problems(images=None, **fields):
    spec = RunSpec(workload=Workload(**fields), images=images or Images())
    return [problem.message for problem in file_problems(spec)]


@pytest.mark.parametrize(
    "fields",
    [
        {"dataset": "mtbench", "category": "math"},
        {"dataset": "custom", "column": ["prompt=q", "output_tokens=n", "model=m"]},
        {"dataset": "custom", "column": "body=request=1"},
        {"dataset": "openqa", "on_bad_row": "skip", "max_model_len": 9},
        {"dataset": "of-another-package", "on_bad_row": "skip", "max_model_len": 9},
        {"dataset": "random", "on_bad_row": "skip", "images": Images(image_count=1, image_path="x")},
    ],
)
def test_options_that_are_obeyed(fields):
    assert problems(**fields) == []


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"dataset": "openqa", "category": "math"}, "--category is for --dataset mtbench and specbench"),
        ({"dataset": "openqa", "column": "prompt=q"}, "--column names the columns of --dataset custom"),
        ({"dataset": "custom", "column": ["prompt=q", "=a"]}, "'=a' is not ROLE=NAME"),
        ({"dataset": "custom", "column": ["prompt=q", "answer=a"]}, "no role 'answer'"),
        ({"dataset": "custom", "column": ["prompt=q", "prompt=a"]}, "gives prompt twice"),
        ({"dataset": "custom", "column": ["prompt=q", "messages=a"]}, "names both prompt and messages"),
        ({"dataset": "custom", "column": ["body=q", "model=a"]}, "names whole requests"),
        ({"dataset": "random", "on_bad_row": "skip"}, "--on-bad-row is for files"),
        ({"dataset": "random", "max_model_len": 9}, "--max-model-len checks the rows of files"),
    ],
)
def test_options_that_would_be_ignored(fields, words):
    (message,) = problems(**fields)
    assert words in message
