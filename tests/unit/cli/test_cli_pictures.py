"""Pictures in the words of other tools."""

import shlex

import pytest

from inferometer.cli.parse import parse_run
from inferometer.errors import UsageError
from inferometer.exchange.compat.translate import translate
from inferometer.spec import merge


def spec_of(line):
    return merge([parse_run(shlex.split(line)).flags]).spec


@pytest.mark.parametrize(
    ("line", "count", "height", "width", "content"),
    [
        ("--height 720 --width 1280", 1, 720, 1280, None),
        ("--image-num 3 --image-width 224 --image-height 112", 3, 112, 224, None),
        ("--dataset random_vl", 1, 224, 224, None),
        ("--dataset random_vl --image-width 448 --image-num 2", 2, 224, 448, None),
        (
            "--image-batch-size 2 --image-width-mean 64 --image-height-mean 32 --image-width-stddev 0",
            2,
            32,
            64,
            None,
        ),
        (
            "--random-mm-base-items-per-request 2 --random-mm-num-mm-items-range-ratio 0.0",
            2,
            None,
            None,
            None,
        ),
        ("--image-count 2 --image-resolution 1080p --image-content random", 2, 1080, 1920, "noise"),
        ("--image-resolution 100x200", 1, 100, 200, None),
        ("--dataset-name image --random-output-len 8", 1, 1080, 1920, "noise"),
        ("--dataset-name image --image-resolution 4k --image-content blank", 1, 2160, 3840, "blank"),
    ],
)
def test_a_line_of_another_tool(line, count, height, width, content):
    spec = spec_of(line)
    images = spec.images
    assert (images.pictures, images.image_height, images.image_width) == (count, height, width)
    assert (images.image_content, spec.workload.dataset) == (content, "random")


def test_a_data_set_with_pictures_is_told_in_our_words():
    assert translate(["--dataset", "random_vl"]).hints == [
        "--dataset random_vl is --dataset random --image-count 1 --image-height 224 --image-width 224 here"
    ]
    assert "--image-resolution 360p is --image-height 360 --image-width 640 here" in (
        translate(["--image-resolution", "360p"]).hints
    )


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("--dataset-name random-mm", "--dataset random-mm draws the size of each picture from several"),
        ("--random-mm-bucket-config {}", "of a number that varies"),
        ("--random-mm-num-mm-items-range-ratio 0.5", "the same number of pictures"),
        ("--image-resolution random:1x1", "neither HEIGHTxWIDTH nor one of 4k, 1080p"),
        ("--image-resolution", "neither HEIGHTxWIDTH"),
        ("--height 10 --image-resolution 20x20", "both mean --image-height here, with different values"),
    ],
)
def test_what_means_something_else_is_refused(line, message):
    with pytest.raises(UsageError, match=message):
        translate(shlex.split(line))
