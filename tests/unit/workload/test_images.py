import importlib.util
from itertools import islice

import numpy as np
import pytest

from inferometer.errors import DataError, UsageError
from inferometer.spec import Images, RunSpec, Workload
from inferometer.testing.datasets import check_dataset
from inferometer.workload import RowFeed, open_dataset, picture_files, scenes
from inferometer.workload.builtin import BuiltinTokenizer
from inferometer.workload.images import IllustratedDataset
from inferometer.workload.picture_parts import carried, link_part, with_parts
from inferometer.workload.png import incompressible_png
from inferometer.workload.request import Request, Turn
from pictures import data_of, jpeg, mp4, read_png

BUILTIN = BuiltinTokenizer()


def open_it(point, workload=None, **images):
    spec = RunSpec(workload=Workload(**(workload or {})), images=Images(**images))
    return open_dataset(spec, point, BUILTIN)


def drawn(dataset, count, seed=0, salt="s"):
    return list(islice(dataset.requests(seed, salt), count))


def parts_of(request):
    (message,) = request.messages
    assert message["role"] == "user"
    text, *pictures = message["content"]
    assert text["type"] == "text"
    assert text["text"]
    return pictures


@pytest.fixture
def point(make_point):
    return make_point(input_len=5, output_len=3)


def test_a_prompt_becomes_a_text_and_pictures_of_the_asked_size(point):
    dataset = open_it(point, image_count=2, image_width=40, image_height=24)
    (request,) = drawn(dataset, 1)
    assert (request.text, request.input_tokens_target, request.output_tokens_target) == (None, 5, 3)
    pictures = [read_png(data_of(part)) for part in parts_of(request)]
    assert [picture.shape for picture in pictures] == [(24, 40, 3)] * 2
    assert (pictures[0] != pictures[1]).any()
    assert carried(request).number == 2
    assert carried(request).size == sum(len(part["image_url"]["url"]) for part in parts_of(request))


@pytest.mark.parametrize("content", ["shapes", "noise"])
def test_every_picture_of_a_run_is_another_one(point, content):
    dataset = open_it(point, image_count=2, image_width=72, image_height=24, image_content=content)
    both = drawn(dataset, 30, salt="a") + drawn(dataset, 30, salt="b")
    assert len({part["image_url"]["url"] for request in both for part in parts_of(request)}) == 120
    check_dataset(
        lambda: open_it(point, image_count=1, image_width=72, image_height=24, image_content=content)
    )


def test_blank_pictures_are_all_the_same_and_the_run_says_so(point):
    dataset = open_it(point, image_content="blank", image_width=8, image_height=6)
    urls = {part["image_url"]["url"] for request in drawn(dataset, 9) for part in parts_of(request)}
    assert len(urls) == 1
    assert (read_png(data_of({"type": "image_url", "image_url": {"url": urls.pop()}})) == 255).all()
    assert "encodes it once" in dataset.info().notes[-1]


def test_what_was_sent_is_told(point):
    info = open_it(point, image_content="noise", image_height=64).info().pictures
    assert (info.per_request, info.width, info.height, info.kind) == (1, 512, 64, "noise png")
    assert open_it(point, video_frames=4).info().pictures.per_request == 0


def test_without_picture_options_the_data_set_is_as_it_was(point):
    assert not isinstance(open_it(point), IllustratedDataset)
    assert not isinstance(open_it(point, image_count=0), IllustratedDataset)
    assert open_it(point).info().pictures is None


def test_video_frames_show_one_scene_that_moves(point):
    dataset = open_it(point, video_frames=3, image_width=64, image_height=64)
    first, second = drawn(dataset, 2)
    frames = [read_png(data_of(part)) for part in parts_of(first)]
    rows = scenes.strip_rows(64)
    assert len(frames) == 3
    assert (frames[0][:rows] == frames[1][:rows]).all(), "the number is of the whole video"
    assert (frames[0][rows:, 8:] == frames[1][rows:, :-8]).all(), "a quarter of the width in two steps"
    assert (read_png(data_of(parts_of(second)[0]))[:rows] != frames[0][:rows]).any()


def test_pictures_go_before_frames(point):
    request = drawn(open_it(point, image_count=1, video_frames=2, image_width=16, image_height=16), 1)[0]
    assert len(parts_of(request)) == 3


def test_jpeg_needs_pillow_and_says_how_to_get_it(point):
    if importlib.util.find_spec("PIL") is None:
        with pytest.raises(UsageError, match=r"pip install 'inferometer\[vision\]'"):
            open_it(point, image_format="jpeg")
        return
    for content in ("shapes", "noise", "blank"):
        request = drawn(open_it(point, image_format="jpeg", image_content=content, image_width=40), 1)[0]
        url = parts_of(request)[0]["image_url"]["url"]
        assert url.startswith("data:image/jpeg;base64,/9j/")


def save(folder, **files):
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return str(folder)


def png(number, width=6):
    return incompressible_png(scenes.noise(width, 4, number))


def test_files_are_taken_in_turn_in_an_order_of_the_seed(point, tmp_path):
    path = save(tmp_path, a=png(1), b=png(2), c=png(3), **{".hidden": b"x"})
    dataset = open_it(point, image_path=path, image_count=2)
    urls = [part["image_url"]["url"] for request in drawn(dataset, 6) for part in parts_of(request)]
    assert len(set(urls[:3])) == 3
    assert urls == urls[:3] * 4
    assert drawn(dataset, 3) == drawn(open_it(point, image_path=path, image_count=2), 3)
    info = dataset.info()
    assert (info.pictures.width, info.pictures.height, info.pictures.files) == (6, 4, 3)
    assert info.pictures.kind == "files (3 png)"
    assert "3 pictures taken in turn" in info.notes[-1]


def test_pictures_of_different_size_have_no_size_in_common(point, tmp_path):
    path = save(tmp_path, a=png(1), b=png(2, width=7))
    assert open_it(point, image_path=path).info().pictures.width is None


def test_a_file_that_is_no_picture_is_named_or_counted(point, tmp_path):
    path = save(tmp_path, a=png(1), b=b"hello", c=png(2)[:40])
    with pytest.raises(DataError, match=r"picture .*b: by its first bytes it is no PNG.*--on-bad-row skip"):
        open_it(point, image_path=path)
    dataset = open_it(point, {"on_bad_row": "skip"}, image_path=path)
    assert dataset.info().skipped == {"broken_picture": 2}
    assert "b: by its first bytes" in dataset.info().notes[-2]
    assert dataset.info().pictures.files == 1


def test_a_directory_without_a_picture_is_refused(point, tmp_path):
    with pytest.raises(DataError, match="holds no picture that can be sent"):
        open_it(point, image_path=str(tmp_path))
    save(tmp_path, b=b"hello")
    with pytest.raises(DataError, match=r"holds no picture.*; the first: .*b: by its first bytes"):
        open_it(point, {"on_bad_row": "skip"}, image_path=str(tmp_path))


def test_a_video_file_is_a_video_part(point, write):
    (part,) = parts_of(drawn(open_it(point, image_path=str(write("v.mp4", mp4()))), 1)[0])
    assert data_of(part) == mp4()


def test_links_are_sent_as_they_are(point, write):
    path = str(write("urls", "# mine\nhttp://a/x.png\n\nhttps://b/y.mp4?z=1\n"))
    dataset = open_it(point, image_path=path, image_as="link", image_count=2)
    parts = sorted(parts_of(drawn(dataset, 1)[0]), key=lambda part: part["type"])
    assert parts == [link_part("http://a/x.png", video=False), link_part("https://b/y.mp4?z=1", video=True)]
    assert carried(drawn(dataset, 1)[0]) == (2, 0)
    assert "part of TTFT" in dataset.info().notes[-2]


def test_a_line_that_is_no_link_is_named_or_counted(point, write):
    path = str(write("urls", "http://a/x.png\n/home/x.png\n"))
    with pytest.raises(DataError, match=r"urls, line 2: '/home/x.png' is no URL"):
        open_it(point, image_path=path, image_as="link")
    dataset = open_it(point, {"on_bad_row": "skip"}, image_path=path, image_as="link")
    assert dataset.info().skipped == {"no_url": 1}


def test_pictures_go_with_the_last_user_message_and_the_first_turn_alone():
    user, system = {"role": "user", "content": "hi"}, {"role": "system", "content": "be"}
    said = {"role": "assistant", "content": "ho"}
    request = Request(messages=[system, user, said, user], later=[Turn(content="more")])
    picture = link_part("http://a/x.png", video=False)
    done = with_parts(request, [picture])
    assert done.messages[:3] == [system, user, said]
    assert done.messages[3]["content"] == [{"type": "text", "text": "hi"}, picture]
    assert done.later == request.later
    assert request.messages[3] == user, "the data set's own request is left as it was"
    assert with_parts(done, [picture]).messages[3]["content"][1:] == [picture, picture]


def test_a_whole_body_gets_them_too_and_what_has_no_user_message_is_refused():
    body = {"messages": [{"role": "user", "content": "hi"}], "top_k": 1}
    done = with_parts(Request(body=body), [link_part("http://a/x.png", video=False)])
    assert carried(done).number == 1
    assert done.body["top_k"] == 1
    for request in (
        Request(row=3, body={"prompt": "x"}),
        Request(row=3, token_ids=[1]),
        Request(row=3, messages=[]),
    ):
        with pytest.raises(DataError, match="row 3 of the data set has no user message"):
            with_parts(request, [])


def test_pictures_of_the_data_set_itself_are_counted():
    content = [
        {"type": "text", "text": "a"},
        {"type": "image_url", "image_url": "data:,x"},
        {"type": "text", "text": "b"},
    ]
    assert carried(Request(messages=[{"role": "user", "content": content}])) == (1, 7)
    assert carried(Request(text="a")) == (0, 0)


def test_rows_are_kept_without_their_pictures_and_files_go_on_from_point_to_point(
    make_point, write, tmp_path
):
    rows = str(write("q.jsonl", '{"question": "one"}\n{"question": "two"}\n'))
    (tmp_path / "p").mkdir()
    files = save(tmp_path / "p", a=png(1), b=png(2), c=png(3))
    spec = RunSpec(
        workload=Workload(dataset="openqa", dataset_path=rows, oversample=True),
        images=Images(image_path=files),
    )
    feed = RowFeed(lambda point: open_dataset(spec, point, BUILTIN), oversample=True)
    point = make_point(num_prompts=3)
    first, second = (list(feed.take(point, salt)) for salt in ("1", "2"))
    assert len({parts_of(request)[0]["image_url"]["url"] for request in first}) == 3
    assert [parts_of(request) for request in first] == [parts_of(request) for request in second]
    assert feed.info().pictures.files == 3
    assert feed.dataset.info().pictures is None
    third = list(feed.take(make_point(num_prompts=1), "3"))
    fourth = list(feed.take(make_point(num_prompts=1), "4"))
    assert parts_of(third[0]) != parts_of(fourth[0])


def test_a_picture_file_that_vanishes_is_named(point, tmp_path):
    path = save(tmp_path, a=png(1))
    requests = open_it(point, image_path=path).requests(0, "")
    (tmp_path / "a").unlink()
    with pytest.raises(DataError, match="a cannot be read: No such file"):
        next(requests)


def test_a_jpeg_file_is_sent_as_it_is(point, write, monkeypatch):
    monkeypatch.setattr(picture_files, "_decode", lambda data: None)
    dataset = open_it(point, image_path=str(write("x", jpeg(30, 20))))
    assert parts_of(drawn(dataset, 1)[0])[0]["image_url"]["url"].startswith("data:image/jpeg;base64,")
    assert np.array_equal([dataset.info().pictures.width, dataset.info().pictures.height], [30, 20])


@pytest.mark.parametrize(("width", "height"), [(1, 1), (3, 3), (32, 32), (28, 4), (64, 64)])
def test_pictures_too_small_for_their_number_still_differ(point, width, height):
    dataset = open_it(point, image_width=width, image_height=height)
    assert len({str(parts_of(request)) for request in drawn(dataset, 100)}) == 100
