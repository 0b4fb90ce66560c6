from pathlib import Path

import pytest

from inferometer.errors import UsageError
from inferometer.spec import Endpoint, Images, RunSpec, Workload, check_spec
from inferometer.spec.image_rules import OTHER_PARTS
from inferometer.spec.session_rules import WITHOUT_MESSAGES

URL = "http://h:1"


def check(backend="openai-chat", workload=None, **images):
    check_spec(
        RunSpec(
            endpoint=Endpoint(url=URL, backend=backend),
            workload=workload or Workload(),
            images=Images(**images),
        )
    )


@pytest.mark.parametrize(
    ("images", "count"),
    [
        ({}, 0),
        ({"image_count": 2}, 2),
        ({"image_width": 512}, 1),
        ({"image_content": "shapes"}, 1),
        ({"image_path": "x"}, 1),
        ({"image_as": "data"}, 0),
        ({"video_frames": 4}, 0),
        ({"video_frames": 4, "image_width": 64}, 0),
        ({"video_frames": 4, "image_count": 1}, 1),
    ],
)
def test_one_picture_goes_with_a_request_when_it_is_described_but_not_counted(images, count):
    assert Images(**images).pictures == count
    again = Images.model_validate(Images(**images).model_dump())
    assert again.pictures == count, "a stored spec names every field"


def test_pictures_can_be_sent(tmp_path: Path):
    urls = tmp_path / "urls"
    urls.write_text("http://a/x.png")
    check(image_count=2, image_width=64, image_content="noise")
    check(image_path=str(tmp_path))
    check(image_path=str(urls), image_as="link")
    check(image_count=0, video_frames=3, image_width=64)


@pytest.mark.parametrize("backend", WITHOUT_MESSAGES)
def test_dialects_without_content_parts_send_none(backend):
    with pytest.raises(UsageError, match=f"pictures are parts of chat messages.*{backend}.*openai-chat"):
        check(backend, image_count=1)


@pytest.mark.parametrize("backend", OTHER_PARTS)
def test_dialects_with_parts_of_another_form_send_none_either(backend):
    with pytest.raises(UsageError, match=f"which --backend {backend} has in another form.*openai-chat"):
        check(backend, image_count=1)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        ({"image_count": 0, "image_width": 64}, "--image-width does nothing beside --image-count 0"),
        ({"image_count": 0, "image_path": "/"}, "--image-path does nothing beside --image-count 0"),
        ({"image_path": "/", "image_height": 64}, "--image-height is for pictures that are made"),
        ({"image_as": "link"}, "--image-as link needs URLs"),
        ({"image_as": "link", "image_path": "/"}, "is a directory"),
        ({"image_path": "/", "video_frames": 2}, "--video-frames makes the frames of a video"),
        ({"image_path": "/no/such"}, "--image-path '/no/such' does not exist"),
    ],
)
def test_options_that_would_do_nothing_are_refused(images, message):
    with pytest.raises(UsageError, match=message):
        check(**images)


def test_a_prompt_of_token_ids_has_no_place_for_a_picture():
    with pytest.raises(UsageError, match="--text token-ids sends a prompt of token ids"):
        check(workload=Workload(text="token-ids"), image_count=1)


@pytest.mark.parametrize(
    "images",
    [{"image_width": 10_000, "image_height": 10_000}, {"image_count": 1000}, {"video_frames": 1000}],
)
def test_pictures_that_would_fill_the_memory_are_refused(images):
    with pytest.raises(UsageError, match="pixels a request"):
        check(**images)
