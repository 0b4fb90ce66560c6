import pytest

from inferometer.errors import UsageError
from inferometer.spec import RunSpec, Workload
from inferometer.workload import DATASETS, open_dataset
from inferometer.workload.builtin import BuiltinTokenizer

BUILTIN = BuiltinTokenizer()


def open_it(point, **fields):
    return open_dataset(RunSpec(workload=Workload(**fields)), point, BUILTIN)


def test_three_data_sets_by_name():
    assert {"random", "sharegpt", "openqa"} <= set(DATASETS.names())


def test_random_takes_its_lengths_from_the_load_point(make_point):
    request = next(open_it(make_point(input_len=33, output_len=7)).requests(0, ""))
    assert (request.input_tokens_target, request.output_tokens_target) == (33, 7)


def test_sharegpt_takes_its_limits_from_the_workload(make_point, write):
    turns = [{"value": "hello world"}, {"value": "yes"}]
    path = str(write("s.json", [{"conversations": turns}]))
    point = make_point()
    assert list(open_it(point, dataset="sharegpt", dataset_path=path).requests(0, "")) == []
    off = {"sharegpt_min_input": 2, "sharegpt_min_output": 1}
    assert len(list(open_it(point, dataset="sharegpt", dataset_path=path, **off).requests(0, ""))) == 1
    fixed = list(
        open_it(
            make_point(output_len=9), dataset="sharegpt", dataset_path=path, sharegpt_min_input=0
        ).requests(0, "")
    )
    assert fixed[0].output_tokens_target == 9


def test_openqa_takes_its_limits_from_the_workload(make_point, write):
    path = str(write("q.jsonl", '{"question": "short"}\n{"question": "a longer one"}\n'))
    dataset = open_it(
        make_point(output_len=5),
        dataset="openqa",
        dataset_path=path,
        min_prompt_length=6,
        max_prompt_length=12,
    )
    assert [(r.row, r.output_tokens_target) for r in dataset.requests(0, "")] == [(1, 5)]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"dataset": "sharegtp"}, "unknown data set 'sharegtp'.*did you mean 'sharegpt'"),
        ({"dataset": "sharegpt"}, "needs a file.*ShareGPT_V3_unfiltered_cleaned_split.json"),
        ({"dataset": "openqa"}, "needs a file.*open_qa.jsonl"),
        ({"dataset": "random", "dataset_path": "x.json"}, "reads no file.*x.json.*--dataset sharegpt"),
        ({"dataset": "random"}, "neither --input-dist nor --input-len is given.*--input-len"),
    ],
)
def test_wrong_flags(make_point, fields, message):
    with pytest.raises(UsageError, match=message):
        open_it(make_point(), **fields)
