import pytest

from inferometer.errors import UsageError
from inferometer.spec import Endpoint, Load, Measure, RunSpec, Sampling, Workload, check_spec, load_points
from inferometer.spec.url import credentials_in, without_credentials

HTTP = {"url": "http://h:8000"}


def problem_of(endpoint=None, **parts):
    with pytest.raises(UsageError) as error:
        check_spec(RunSpec(endpoint=Endpoint(**(endpoint or HTTP)), **parts))
    return str(error.value)


@pytest.mark.parametrize(
    ("endpoint", "words"),
    [
        ({}, "--url is missing"),
        ({"url": "127.0.0.1:8000"}, "did you mean --url http://127.0.0.1:8000"),
        ({"url": "ftp://h"}, "does not begin with http"),
        ({"url": "http://"}, "no usable host"),
        ({"url": "http://h:99999"}, "no usable host"),
        ({"url": "http://h", "endpoint": "generate"}, "write --endpoint /generate"),
        ({"url": "http://h", "insecure": True}, "--insecure is for https"),
        ({"url": "https://h", "insecure": True, "ca_file": __file__}, "exclude each other"),
        ({"url": "https://h", "ca_file": "/none.pem"}, "is not a file"),
    ],
)
def test_targets(endpoint, words):
    assert words in problem_of(endpoint or {"url": ""})


def test_credentials_in_a_url_are_refused_and_not_shown():
    assert "hunter2" not in problem_of({"url": "http://me:hunter2@h"})


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({"load": Load(burstiness=0.5)}, "no finite --request-rate"),
        ({"load": Load(burstiness=0.5, request_rate="inf")}, "no finite --request-rate"),
        ({"load": Load(workers=65)}, "--workers 65 is above 64"),
        ({"workload": Workload(dataset_path=__file__)}, "--dataset random reads no file"),
        ({"workload": Workload(oversample=True)}, "--oversample uses the rows of a file again"),
        ({"workload": Workload(dataset="sharegpt")}, "needs a file"),
        ({"workload": Workload(dataset="openqa", dataset_path="/none")}, "does not exist"),
        ({"workload": Workload(dataset="openqa", dataset_path=__file__, input_len=9)}, "--input-len is for"),
        ({"workload": Workload(max_prompt_length=9)}, "use --input-len N"),
        (
            {"workload": Workload(dataset="openqa", dataset_path=__file__, sharegpt_max_total=9)},
            "filters --dataset sharegpt",
        ),
        ({"workload": Workload(output_len=9), "sampling": Sampling(max_tokens=8)}, "keep one"),
        ({"sampling": Sampling(max_tokens=8, min_tokens=9)}, "above the longest answer"),
        ({"sampling": Sampling(stream=False), "measure": Measure(slo="tpot:50")}, "--no-stream"),
        ({"sampling": Sampling(extra_body={"stream": False})}, "use --stream/--no-stream"),
        ({"sampling": Sampling(extra_body={"ignore_eos": True}, ignore_eos=False)}, "disagree"),
    ],
)
def test_contradictions(parts, words):
    assert words in problem_of(**parts)


def test_what_does_not_contradict_itself_passes():
    check_spec(
        RunSpec(
            endpoint=Endpoint(**HTTP),
            load=Load(burstiness=0.5, request_rate=["inf", 4]),
            sampling=Sampling(stream=False, max_tokens=8),
            workload=Workload(output_len=8),
            measure=Measure(slo=("p99_e2el<=2s",)),
        )
    )


def test_everything_wrong_is_told_at_once():
    with pytest.raises(UsageError) as error:
        load_points(RunSpec(load=Load(burstiness=2), workload=Workload(dataset="openqa")))
    assert str(error.value).count("\n  - ") == 3


def test_credentials_in_a_path_are_found_and_hidden():
    path = "/v1/chat/completions?api-version=2024&key=abc123&access_token=x.y"
    assert without_credentials(path) == "/v1/chat/completions?api-version=2024&key=***&access_token=***"
    assert credentials_in(path) == ["abc123", "x.y"]
