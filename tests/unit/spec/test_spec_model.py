import json
import math

import pytest
from pydantic import ValidationError

from inferometer.errors import UsageError
from inferometer.spec import (
    Endpoint,
    Load,
    RunSpec,
    Sampling,
    Workload,
    build,
    public_dict,
    resolve_ignore_eos,
)
from inferometer.spec.options import options
from inferometer.spec.url import split_url


@pytest.mark.parametrize(
    ("pasted", "base", "endpoint", "backend"),
    [
        ("http://h:8000", "http://h:8000", None, "openai-chat"),
        ("http://h:8000/v1/", "http://h:8000", None, "openai-chat"),
        ("http://h:8000/v1/chat/completions", "http://h:8000", None, "openai-chat"),
        ("http://h/team/v1/completions", "http://h/team", None, "openai-completions"),
        ("https://h/api/v3/chat/completions", "https://h", "/api/v3/chat/completions", "openai-chat"),
        ("https://h/d/chat/completions?v=1", "https://h", "/d/chat/completions?v=1", "openai-chat"),
        ("http://[::1]:8000/v1", "http://[::1]:8000", None, "openai-chat"),
    ],
)
def test_a_pasted_url_is_taken_apart(pasted, base, endpoint, backend):
    found = Endpoint(url=pasted)
    assert (found.url, found.endpoint, found.backend) == (base, endpoint, backend)


def test_taking_a_url_apart_twice_changes_nothing():
    once = split_url("http://h/x/v1/chat/completions").base
    assert split_url(once).base == once


def test_a_path_and_a_dialect_that_contradict_each_other_are_refused():
    with pytest.raises(UsageError, match="does not speak the path"):
        build({"endpoint": {"url": "http://h/v1/completions", "backend": "openai-chat"}})


def test_the_endpoint_path_decides_the_dialect():
    assert Endpoint(url="http://h", endpoint="/v1/completions").backend == "openai-completions"


@pytest.mark.parametrize("written", ["1,4 16", ["1", "4", "16"], ["1,4", 16], (1, 4, 16), "1, 4, 16"])
def test_every_way_to_write_a_list(written):
    assert Load(max_concurrency=written).max_concurrency == (1, 4, 16)


@pytest.mark.parametrize(
    ("written", "rate"), [("inf", math.inf), (-1, math.inf), ("-1", math.inf), ("0.5", 0.5)]
)
def test_rates(written, rate):
    assert Load(request_rate=written).request_rate == (rate,)


@pytest.mark.parametrize("written", [0, "-2", "fast", "nan", ""])
def test_rates_that_are_none(written):
    with pytest.raises(ValidationError):
        Load(request_rate=written)


@pytest.mark.parametrize(("written", "workers"), [("auto", "auto"), (" AUTO ", "auto"), ("4", 4), (4, 4)])
def test_workers(written, workers):
    assert Load(workers=written).workers == workers


@pytest.mark.parametrize("written", [0, "-1", "2.5", 2.5, True, "many", "", None])
def test_workers_that_are_none(written):
    with pytest.raises(ValidationError, match="from 1 on, or auto"):
        Load(workers=written)


@pytest.mark.parametrize(
    ("written", "seconds"), [("90", 90), ("90s", 90), ("5m", 300), ("1.5h", 5400), ("250ms", 0.25)]
)
def test_durations(written, seconds):
    assert Load(duration_s=written).duration_s == seconds


@pytest.mark.parametrize("written", ["", "5 days", "1.2.3", "-1s", "0", math.inf, math.nan])
def test_durations_that_are_none(written):
    with pytest.raises(ValidationError):
        Load(duration_s=written)


@pytest.mark.parametrize("written", ["X-A: b=c", "X-A=b=c", "X-A:b=c"])
def test_headers_are_brought_into_one_form(written):
    assert Endpoint(header=written).header == ("X-A: b=c",)


def test_extra_body_is_json_or_a_mapping():
    assert Sampling(extra_body='{"top_k": 3}').extra_body == {"top_k": 3}
    with pytest.raises(UsageError, match="has to be a JSON object"):
        build({"sampling": {"extra_body": "[1]"}})


def test_ignore_eos_follows_the_data_unless_somebody_says():
    assert resolve_ignore_eos(RunSpec())
    assert not resolve_ignore_eos(RunSpec(workload=Workload(dataset="openqa")))
    assert not resolve_ignore_eos(RunSpec(sampling=Sampling(ignore_eos=False)))
    assert not resolve_ignore_eos(RunSpec(sampling=Sampling(extra_body={"ignore_eos": False})))


def test_the_public_form_holds_no_secret_is_json_and_can_be_read_again():
    spec = RunSpec(
        endpoint=Endpoint(
            url="http://h", api_key="planted-key", header=("Authorization: Bearer planted-token",)
        ),
        load=Load(request_rate="inf", burstiness=math.inf),
    )
    text = json.dumps(public_dict(spec), allow_nan=False)
    assert "planted" not in text
    again = RunSpec.model_validate(json.loads(text))
    assert again.load == spec.load
    assert "planted" not in repr(spec.endpoint.api_key)


def test_option_names_flags_and_variables_are_unique():
    found = list(options().values())
    for of in ("name", "flag", "variable"):
        assert len({getattr(option, of) for option in found}) == len(found)
    assert all(option.text for option in found)


def test_the_schema_describes_every_field():
    schema = RunSpec.model_json_schema()
    for option in options().values():
        part = schema["$defs"][type(getattr(RunSpec(), option.part)).__name__]
        assert part["properties"][option.name]["description"] == option.text
