"""The suite itself: it accepts a good data set and names what is wrong with a bad one."""

from itertools import count

import pytest

from inferometer.testing.datasets import check_dataset
from inferometer.workload import DatasetInfo, Request

CALLS = count()


class Generated:
    """A data set whose parts can be replaced to break it."""

    def __init__(self, make_request, **info):
        self._make_request = make_request
        self._info = info

    def info(self):
        return DatasetInfo(**{"name": "test", **self._info})

    def requests(self, seed, salt):
        return (self._make_request(n, salt) for n in count())


def numbered(n, salt):
    return Request(text=f"{salt} prompt {n} of a test", row=n)


def test_a_good_generated_set_passes():
    check_dataset(lambda: Generated(numbered))


def test_a_good_file_set_passes():
    check_dataset(lambda: Generated(numbered, path="f", sha256="0", rows_total=50))


@pytest.mark.parametrize(
    ("make_request", "info", "message"),
    [
        (lambda n, salt: Request(), {}, "0 payloads"),
        (lambda n, salt: Request(text="a", token_ids=[1]), {}, "2 payloads"),
        (lambda n, salt: Request(text=""), {}, "empty payload"),
        (lambda n, salt: Request(text=f"{n}{salt}", input_tokens_target=0), {}, "positive or absent"),
        (lambda n, salt: Request(text=f"{n} without salt"), {}, "came twice"),
        (lambda n, salt: Request(text=f"{next(CALLS)}"), {}, "a second pass gave other requests"),
        (numbered, {"name": ""}, "without a name"),
        (numbered, {"notes": ["point-0 prompt 3 of a test"]}, "holds prompt text"),
        (numbered, {"rows_total": 50, "sha256": "0"}, "must name its file"),
        (numbered, {"rows_total": 50, "path": "f"}, "must name its content"),
        (numbered, {"rows_total": 5, "path": "f", "sha256": "0"}, "row outside the file"),
        (
            lambda n, salt: Request(text="a", row=0),
            {"rows_total": 5, "path": "f", "sha256": "0"},
            "row came twice",
        ),
    ],
)
def test_a_broken_set_is_named(make_request, info, message):
    with pytest.raises(AssertionError, match=message):
        check_dataset(lambda: Generated(make_request, **info))


def test_an_empty_set_is_named():
    class Empty(Generated):
        def requests(self, seed, salt):
            return iter(())

    with pytest.raises(AssertionError, match="gave no request"):
        check_dataset(lambda: Empty(numbered))
