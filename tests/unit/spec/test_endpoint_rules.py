"""What contradicts itself in the endpoint, and what no output may show."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from inferometer.errors import UsageError
from inferometer.spec import Endpoint, Layer, RunSpec, check_spec, merge, public_dict
from inferometer.spec.layers import build

HTTP, HTTPS = "http://h:8000", "https://h"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"api_key": "abcd", "api_key_file": __file__}, "--api-key and --api-key-file both give the key"),
        ({"api_key": "abcd", "header": "Authorization: Basic x"}, "--api-key and --header 'Authorization"),
        ({"app_code": "abcd", "header": "x-apig-appcode: y"}, "both give the APP code"),
        ({"proxy": "h:1", "header": "Proxy-Authorization: y"}, "would go to the server, too"),
        ({"api_key_file": "/no/such"}, "--api-key-file '/no/such' is not a file"),
        ({"client_cert": __file__}, "--client-cert is for https, but --url is http"),
        ({"url": HTTPS, "client_cert": "/no/such"}, "--client-cert '/no/such' is not a file"),
        ({"url": HTTPS, "client_key": __file__}, "--client-key is given without its certificate"),
        (
            {"url": HTTPS, "ca_file": __file__, "insecure": True},
            "--ca-file and --insecure exclude each other",
        ),
        ({"insecure": True}, "--insecure is for https"),
        ({"more_url": [HTTP + "/v1"]}, "http://h:8000 is given 2 times"),
        ({"more_url": ["h2:8000"]}, "--more-url 'h2:8000' does not begin with http"),
        ({"more_url": ["http://me:pw@h2"]}, "--more-url holds a user name or password"),
        ({"metrics_url": ["http://me:abcd@h2"]}, "--metrics-url holds a user name or password"),
        ({"metrics_url": ["http://h2/m?key=abcd"]}, "--metrics-url 'http://h2/m?key=***' has a query"),
        ({"metrics_url": ["off", "http://h2"]}, "--metrics-url has off beside addresses"),
        ({"metrics_url": ["h2:9090"]}, "--metrics-url 'h2:9090' does not begin with http"),
        ({"header": "content-length: 5"}, "--header 'content-length: ...' follows from each body"),
    ],
)
def test_contradictions_are_refused(given: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError) as caught:
        check_spec(build({"endpoint": {"url": HTTP, **given}}))
    assert words in str(caught.value)
    assert "abcd" not in str(caught.value)


def test_one_https_server_is_enough_for_its_options() -> None:
    check_spec(RunSpec(endpoint=Endpoint(url=HTTP, more_url=(HTTPS,), insecure=True)))


def test_pasted_paths_of_further_servers_are_taken_apart() -> None:
    pasted = Endpoint(url="http://a:1/v1/completions", more_url=("http://b:2/v1/completions", "http://c:3/"))
    assert pasted.more_url == ("http://b:2", "http://c:3")
    assert pasted.backend == "openai-completions"


def test_another_path_is_refused_without_repeating_a_key() -> None:
    with pytest.raises(UsageError, match="the path of --more-url b is not that of --url") as caught:
        build({"endpoint": {"url": HTTP, "more_url": ["http://b:2/api/x/chat/completions?key=hidden"]}})
    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize("proxy", ["socks5://me:hidden@h:1", "me:hidden@h:x", "http://me:hidden@h/path"])
def test_a_bad_proxy_is_refused_without_its_password(proxy: str) -> None:
    with pytest.raises(UsageError, match=r"--proxy \*\*\*: ") as caught:
        build({"endpoint": {"url": HTTP, "proxy": proxy}})
    assert "hidden" not in str(caught.value)


def test_what_is_stored_names_the_proxy_and_none_of_the_secrets() -> None:
    spec = build({"endpoint": {"url": HTTP, "proxy": "http://me:hidden@h:3128", "app_code": "hidden"}})
    stored = public_dict(spec)["endpoint"]
    assert (stored["proxy"], stored["app_code"]) == ("http://***@h:3128", "***")
    assert "hidden" not in json.dumps(public_dict(spec)) + repr(spec) + str(spec)
    assert build({"endpoint": stored}).endpoint.url == HTTP  # a run is reported again from what it stored


ENVIRONMENT = Layer(
    {"endpoint.api_key": "from-environment"}, {"endpoint.api_key": "environment OPENAI_API_KEY"}
)


@pytest.mark.parametrize(
    "flags", [{"endpoint.api_key_file": __file__}, {"endpoint.header": ["Authorization: Basic eA=="]}]
)
def test_a_key_given_in_another_way_overrules_that_of_the_environment(flags: dict[str, Any]) -> None:
    merged = merge([Layer(flags), ENVIRONMENT, Layer({"endpoint.url": HTTP})])
    assert merged.spec.endpoint.api_key is None
    check_spec(merged.spec)


def test_a_key_overrules_the_file_of_a_weaker_place(tmp_path: Path) -> None:
    file = Layer({"endpoint.url": HTTP, "endpoint.api_key_file": str(tmp_path)})
    merged = merge([Layer({"endpoint.api_key": "mine"}), file])
    assert merged.spec.endpoint.api_key_file is None


def test_prompts_that_the_server_counts_are_numbered() -> None:
    given = {"endpoint": {"url": HTTP}, "workload": {"tokenizer": "server"}}
    with pytest.raises(UsageError, match="--tokenizer server counts all prompts before the load"):
        check_spec(build({**given, "load": {"duration_s": "5s"}}))
    check_spec(build({**given, "load": {"duration_s": "5s", "num_prompts": 10}}))


@pytest.mark.parametrize(
    "url",
    [
        "http://me:planted@[h",
        "me:planted@h:80",
        "http:/me:planted@h",
        "http://h:0/x?api_key=planted",
        "h?key=planted",
    ],
)
def test_an_address_that_is_none_is_repeated_without_credentials(url: str) -> None:
    for given in ({"url": url}, {"url": HTTP, "more_url": [url]}):
        with pytest.raises(UsageError) as caught:
            check_spec(build({"endpoint": given}))
        assert "planted" not in str(caught.value)


def test_a_key_may_come_out_of_another_program(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "key")
    check_spec(RunSpec(endpoint=Endpoint(url=HTTP, api_key_file=str(tmp_path / "key"))))


def test_a_template_alone_is_told_the_backend() -> None:
    with pytest.raises(UsageError, match="give --backend template, too"):
        check_spec(RunSpec(endpoint=Endpoint(url=HTTP, template=__file__)))
