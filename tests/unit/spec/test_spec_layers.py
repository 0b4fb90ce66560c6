import pytest

from inferometer.errors import UsageError
from inferometer.spec import Layer, RunSpec, environment_layer, file_layer, load_file, merge
from inferometer.spec.layers import unknown_variables


def layer(place, **values):
    dotted = {name.replace("__", "."): value for name, value in values.items()}
    return Layer(dotted, dict.fromkeys(dotted, place))


def test_flag_over_environment_over_file_over_default():
    flags = layer("flag --url", endpoint__url="http://flag")
    environ = environment_layer({"INFEROMETER_URL": "http://env", "INFEROMETER_SEED": "7"})
    file = layer("file run.yaml", endpoint__url="http://file", load__seed=1, endpoint__model="m")
    spec, origins = merge([flags, environ, file])
    assert (spec.endpoint.url, spec.load.seed, spec.endpoint.model) == ("http://flag", 7, "m")
    assert origins["endpoint.url"] == "flag --url"
    assert origins["load.seed"] == "environment INFEROMETER_SEED"
    assert origins["endpoint.model"] == "file run.yaml"
    assert origins["load.warmup"] == "default"


def test_what_a_url_decides_says_so():
    _, origins = merge([layer("flag --url", endpoint__url="http://h/v1/completions")])
    assert origins["endpoint.backend"] == "the path in the URL"


def test_only_values_that_were_given_count_as_given():
    spec, _ = merge([layer("flag", load__seed=1)])
    assert spec.workload.model_fields_set == set()


def test_keys_from_the_environment():
    key = {"OPENAI_API_KEY": "a"}
    assert environment_layer(key).origins == {"endpoint.api_key": "environment OPENAI_API_KEY"}
    both = environment_layer({**key, "INFEROMETER_API_KEY": "b"})
    assert both.values == {"endpoint.api_key": "b"}
    assert environment_layer({"INFEROMETER_URL": ""}).values == {}


def test_a_misspelt_variable_is_seen():
    found = unknown_variables({"INFEROMETER_MODLE": "x", "INFEROMETER_DEBUG": "1", "HOME": "/"})
    assert [problem.next_step for problem in found] == ["did you mean INFEROMETER_MODEL?"]


def test_every_value_that_is_not_allowed_is_named_with_flag_origin_and_rule():
    with pytest.raises(UsageError) as error:
        merge(
            [
                layer("flag --number", load__num_prompts=["0"]),
                layer("environment INFEROMETER_PAIR", load__pair="zap"),
            ]
        )
    text = str(error.value)
    assert "2 things" in text
    assert "--num-prompts '0' (from flag --number): input should be greater than or equal to 1" in text
    assert (
        "--pair 'zap' (from environment INFEROMETER_PAIR): input should be 'zip', 'grid' or 'matrix'" in text
    )


def test_no_secret_in_a_message():
    with pytest.raises(UsageError) as error:
        merge([layer("flag", endpoint__header=["planted secret"], endpoint__api_key=["planted"])])
    assert "planted" not in str(error.value)
    assert "--header ***" in str(error.value)


def write(tmp_path, text):
    path = tmp_path / "run.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_file_may_be_nested_flat_or_named_as_the_flags_are(tmp_path):
    path = write(
        tmp_path, "endpoint:\n  url: http://h\nmax-concurrency: [1, 4]\nduration: 5m\nmodel:\nslo: ttft:200\n"
    )
    found = file_layer(path)
    assert found.origins["load.max_concurrency"] == f"file {path} line 3"
    assert found.origins["endpoint.url"] == f"file {path} line 2"
    assert "endpoint.model" not in found.values
    spec = RunSpec.model_validate(load_file(path))
    assert (spec.endpoint.url, spec.load.max_concurrency, spec.load.duration_s) == ("http://h", (1, 4), 300)
    assert spec.measure.slo == ("ttft:200",)


def test_the_path_of_the_api_and_the_part_endpoint_are_told_apart(tmp_path):
    assert file_layer(write(tmp_path, "endpoint: /v1/completions\n")).values == {
        "endpoint.endpoint": "/v1/completions"
    }


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "load:\n  seed: 1\n  max_concurency: 3\n",
            "line 3: unknown key 'load.max_concurency' (did you mean load.max_concurrency?)",
        ),
        ("modle: x\n", "line 1: unknown key 'modle' (did you mean model?)"),
        ("seed: 1\nload:\n  seed: 2\n", "line 3: 'load.seed' is given a second time"),
        ("a: [1\n", "line 2: not YAML"),
        ("- 1\n", "line 1: not YAML: expected lines of the form 'key: value'"),
        ("seed: 1\n---\nseed: 2\n", "not YAML"),
        ("seed: \x07\n", "not YAML"),
    ],
)
def test_mistakes_in_a_file_are_told_with_their_line(tmp_path, text, words):
    with pytest.raises(UsageError) as error:
        file_layer(write(tmp_path, text))
    assert words in str(error.value)


def test_an_empty_file_says_nothing_and_a_missing_one_is_an_error(tmp_path):
    assert file_layer(write(tmp_path, "# nothing\n")).values == {}
    with pytest.raises(UsageError, match="No such file"):
        file_layer(tmp_path / "none.yaml")
    (tmp_path / "gbk.yaml").write_bytes("label: 中".encode("gbk"))
    with pytest.raises(UsageError, match="not UTF-8"):
        file_layer(tmp_path / "gbk.yaml")
