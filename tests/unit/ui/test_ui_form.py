"""The form of a new run asks what the command line asks, by the same rules, and keeps secrets to itself."""

from __future__ import annotations

from pathlib import Path

import pytest
from ui_runs import client, house, sign

from inferometer.cli.parse import parse_run
from inferometer.errors import UsageError
from inferometer.spec.options import options
from inferometer.ui.form import groups, judge, without_secrets
from inferometer.ui.labels import labels_of

URL = {"endpoint.url": "http://127.0.0.1:9"}
KEY = "sk-very-secret"


def test_every_option_is_asked_but_those_that_belong_to_the_command_line() -> None:
    asked = {option.dotted for group in groups() for option in (*group.plain, *group.advanced)}
    left = {name for name in options() if name not in asked}
    assert {name.partition(".")[0] for name in left} == {
        "launch", "search", "simulation", "cluster", "output", "endpoint"
    }  # fmt: skip
    assert {name for name in left if name.startswith("endpoint.")} == {
        "endpoint.api_key_file", "endpoint.client_cert", "endpoint.client_key", "endpoint.ca_file", "endpoint.template"
    }  # fmt: skip
    assert asked & {name for name in options() if name.startswith("output.")} == {
        "output.label",
        "output.keep_text",
    }
    assert all(option.advanced for group in groups() for option in group.advanced)


def test_a_form_becomes_the_command_line_that_means_the_same() -> None:
    form = {
        **URL,
        "load.max_concurrency": "1, 4 16",
        "sampling.stream": "no",
        "output.keep_text": "yes",
        "measure.slo": "e2el:2000\r\np99_e2el<=5000ms\r\n",
        "sampling.extra_body": '{"a":\n1}',
        "output.label": "--json",
        "launch.command": "touch /tmp/x",
    }
    command = judge(form, {}).command
    assert command is not None
    assert command.secret == {}
    flags = parse_run(list(command.argv[1:])).flags.values
    assert flags == {
        "endpoint.url": URL["endpoint.url"],
        "load.max_concurrency": ["1, 4 16"],
        "sampling.stream": False,
        "sampling.extra_body": '{"a":\n1}',
        "measure.slo": ["e2el:2000", "p99_e2el<=5000ms"],
        "output.label": ["--json"],
        "output.keep_text": True,
    }


def test_secrets_go_by_environment_and_come_back_in_no_form() -> None:
    form = {
        "endpoint.url": f"http://127.0.0.1:9/v1/chat/completions?key={KEY}",
        "endpoint.api_key": KEY,
        "endpoint.proxy": f"http://u:{KEY}@127.0.0.1:1",
    }
    command = judge(form, {}).command
    assert command is not None
    assert KEY not in " ".join(command.argv)
    assert set(command.secret) == {"INFEROMETER_URL", "INFEROMETER_API_KEY", "INFEROMETER_PROXY"}
    assert set(without_secrets(form.items())) == {"endpoint.url"}


@pytest.mark.parametrize(
    ("form", "field", "words"),
    [
        ({}, "endpoint.url", "--url is missing"),
        ({**URL, "load.max_concurrency": "0"}, "load.max_concurrency", "greater than or equal to 1"),
        ({**URL, "measure.slo": "nonsense"}, "measure.slo", "nonsense"),
        ({**URL, "sampling.extra_body": "{"}, "sampling.extra_body", "not JSON"),
        ({**URL, "endpoint.api_key": "a b"}, "endpoint.api_key", "printable"),
        ({**URL, "load.seed": "1\n2"}, "load.seed", "one line"),
        ({**URL, "endpoint.header": "A: b\nC: d"}, "endpoint.header", "takes one"),
    ],
)
def test_what_is_wrong_stands_beside_its_field(form: dict[str, str], field: str, words: str) -> None:
    judged = judge(form, {})
    assert judged.command is None
    assert words in " ".join(judged.problems[field])


def test_several_things_are_told_at_once_and_the_page_shows_them(tmp_path: Path) -> None:
    of = house(tmp_path)
    pages = client(of)
    fields = {**URL, "load.max_concurrency": "0", "load.seed": "x", "endpoint.api_key": f"{KEY} b"}
    answer = pages.post("/new", data={**fields, "sign": sign(pages, of), "start": "1"})
    assert answer.status_code == 422
    assert answer.text.count('class="entry wrong"') == 3
    assert KEY not in answer.text
    assert 'value="http://127.0.0.1:9"' in answer.text
    assert not of.started.busy


def test_a_second_run_at_a_time_is_refused_and_its_form_comes_back_filled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    of = house(tmp_path)
    pages = client(of)
    monkeypatch.setattr(type(of.started), "busy", True)
    answer = pages.post("/new", data={**URL, "sign": sign(pages, of), "start": "1"})
    assert answer.status_code == 422
    assert "a run that was started here goes on" in answer.text
    assert f'value="{URL["endpoint.url"]}"' in answer.text


def test_the_variables_of_the_server_count_as_on_its_command_line() -> None:
    assert judge({}, {"INFEROMETER_URL": URL["endpoint.url"]}).command is not None


@pytest.mark.parametrize("lines", ["word", "=x", "a=1\na=2", "note=x", "a=" + "x" * 3000])
def test_labels_that_are_none_are_refused(lines: str) -> None:
    with pytest.raises(UsageError, match="label"):
        labels_of("", lines, "")


def test_labels_are_a_word_pairs_and_a_note() -> None:
    assert labels_of(" a  b ", "k = v=w\n\nl=", " n\r\nm ") == ("a b", {"k": "v=w", "l": "", "note": "n\nm"})
