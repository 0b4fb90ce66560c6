import sys
from types import SimpleNamespace

import pytest

from inferometer.errors import DataError, UsageError
from inferometer.workload.hub import HubFile, local_path, parse


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("hf://openai/gsm8k/main/test.parquet", HubFile("hf", "openai/gsm8k", None, "main/test.parquet")),
        ("hf://o/n@v1/f.json", HubFile("hf", "o/n", "v1", "f.json")),
        ("hf://datasets/o/n@refs%2Fpr%2F1/f", HubFile("hf", "o/n", "refs/pr/1", "f")),
        ("modelscope://o/n@master/f.json", HubFile("modelscope", "o/n", "master", "f.json")),
    ],
)
def test_an_address_is_taken_apart(path, wanted):
    assert parse(path) == wanted


@pytest.mark.parametrize(
    "path", ["hf://", "hf://o/n", "hf://o/n/", "hf://o//f", "hf://o/n@/f", "hf://o/n/../f"]
)
def test_an_address_that_is_not_complete(path):
    with pytest.raises(UsageError, match=r"hf://OWNER/NAME\[@REVISION\]/PATH/FILE"):
        parse(path)


def test_urls():
    assert parse("hf://o/n/a b.json").url({}) == "https://huggingface.co/datasets/o/n/resolve/main/a%20b.json"
    mirror = {"HF_ENDPOINT": "https://mirror.example/"}
    assert parse("hf://o/n@v1/f").url(mirror) == "https://mirror.example/datasets/o/n/resolve/v1/f"
    assert parse("modelscope://o/n/f").url({}) == "https://modelscope.cn/datasets/o/n/resolve/master/f"


def test_a_path_of_this_machine_is_never_fetched():
    def fetch(wanted, environ):
        raise AssertionError

    assert local_path("C:/x.json", {}, fetch) == "C:/x.json"
    assert local_path("-", {}, fetch) == "-"


def test_a_file_is_fetched_by_its_name():
    asked = []

    def fetch(wanted, environ):
        asked.append((wanted.repository, wanted.file, environ["HF_HOME"]))
        return "/cache/f.json"

    assert local_path("hf://o/n/f.json", {"HF_HOME": "/h"}, fetch) == "/cache/f.json"
    assert asked == [("o/n", "f.json", "/h")]


def test_without_network_the_message_says_what_to_fetch_by_hand():
    def fetch(wanted, environ):
        raise OSError("no route to host\nand more")

    with pytest.raises(DataError) as caught:
        local_path("hf://o/n/p/f.json", {}, fetch)
    text = str(caught.value)
    assert "(OSError: no route to host)" in text
    assert "https://huggingface.co/datasets/o/n/resolve/main/p/f.json by hand" in text
    assert "--dataset-path f.json" in text


@pytest.mark.parametrize(("hub", "library"), [("hf", "huggingface_hub"), ("modelscope", "modelscope.hub")])
def test_without_the_library_the_install_line_is_named(hub, library, monkeypatch):
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(UsageError, match=rf"pip install 'inferometer\[{hub}\]'; or fetch https://"):
        local_path(f"{hub}://o/n/f.json", {})


def test_modelscope_is_asked_for_the_file_with_its_cache(monkeypatch):
    asked = []

    def dataset_file_download(dataset_id, file_path, **more):
        asked.append((dataset_id, file_path, more))
        return "/cache/f.json"

    library = SimpleNamespace(dataset_file_download=dataset_file_download)
    monkeypatch.setitem(sys.modules, "modelscope", SimpleNamespace())
    monkeypatch.setitem(sys.modules, "modelscope.hub", SimpleNamespace())
    monkeypatch.setitem(sys.modules, "modelscope.hub.file_download", library)
    assert local_path("modelscope://o/n@v1/f.json", {"MODELSCOPE_CACHE": "/c"}) == "/cache/f.json"
    assert local_path("modelscope://o/n/f.json", {}) == "/cache/f.json"
    assert asked == [("o/n", "f.json", {"revision": "v1", "cache_dir": "/c"}), ("o/n", "f.json", {})]


@pytest.fixture
def offline(tmp_path):
    """A cache with one file, and the variables of somebody without network."""
    pytest.importorskip("huggingface_hub", reason="huggingface_hub is not installed")
    folder = tmp_path / "hub" / "datasets--o--n"
    commit = "0123456789abcdef0123456789abcdef01234567"
    (folder / "snapshots" / commit).mkdir(parents=True)
    (folder / "snapshots" / commit / "f.json").write_text("[]")
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text(commit)
    return {"HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1"}


def test_hugging_face_offline_with_a_cache(offline):
    path = local_path("hf://o/n/f.json", offline)
    assert path.startswith(offline["HF_HOME"])
    assert path.endswith("/f.json")


def test_hugging_face_offline_without_the_file(offline):
    with pytest.raises(
        DataError, match=r"cannot be had \(LocalEntryNotFoundError.*resolve/main/other\.json by hand"
    ):
        local_path("hf://o/n/other.json", offline)
