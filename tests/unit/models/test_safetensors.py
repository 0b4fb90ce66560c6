"""Safetensors files: what is written is read back, and a file that is not whole is named with what to do."""

import struct

import numpy as np
import pytest

from inferometer.errors import DataError
from inferometer.models import safetensors

NUMBERS = np.array([[1.0, -2.5, 3.14159], [0.0, 1e-3, 65504.0]], np.float32)


@pytest.mark.parametrize(("dtype", "error"), [("F32", 0.0), ("F16", 2.0**-11), ("BF16", 2.0**-8)])
def test_numbers_come_back_as_exact_as_the_type_is(tmp_path, dtype, error):
    path = tmp_path / "model.safetensors"
    safetensors.write(path, {"a": NUMBERS, "b": NUMBERS[0]}, dtype)

    header = safetensors.read_header(path)

    assert list(header.tensors) == ["a", "b"]
    assert header.tensors["a"].shape == (2, 3)
    assert header.missing_bytes == 0
    assert header.data_bytes == 9 * safetensors.ELEMENT_BITS[dtype] // 8
    np.testing.assert_allclose(header.array("a"), NUMBERS, rtol=error, atol=0)
    np.testing.assert_allclose(header.array("b"), NUMBERS[0], rtol=error, atol=0)


def test_bfloat16_is_rounded_to_the_nearest_and_ties_to_even():
    # The 16 bits below the cut are: half of the last place above even, above odd, just over half.
    halves = np.array([0x3F808000, 0x3F818000, 0x3F808001], np.uint32).view(np.float32)

    bits = np.frombuffer(safetensors.encoded(halves, "BF16"), np.uint16)

    assert [hex(value) for value in bits] == ["0x3f80", "0x3f82", "0x3f81"]


def test_the_header_is_readable_by_hand(tmp_path):
    path = tmp_path / "model.safetensors"
    safetensors.write(path, {"w": NUMBERS}, "F32")

    raw = path.read_bytes()
    (length,) = struct.unpack("<Q", raw[:8])

    assert length % 8 == 0
    assert raw[8 : 8 + length].rstrip() == (
        b'{"__metadata__":{"format":"pt"},"w":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]}}'
    )
    assert raw[8 + length :] == NUMBERS.tobytes()


def test_a_file_that_is_cut_off_says_how_much_is_missing(tmp_path):
    path = tmp_path / "model.safetensors"
    safetensors.write(path, {"w": NUMBERS}, "F32")
    path.write_bytes(path.read_bytes()[:-5])

    header = safetensors.read_header(path)

    assert header.missing_bytes == 5
    with pytest.raises(DataError, match="ends within tensor 'w'"):
        header.array("w")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 15\n", "is a pointer of Git LFS"),
        (b"<!DOCTYPE html><html>not found</html>", "is no safetensors file: it begins with"),
        (b"\x40\x00", "too few"),
        (struct.pack("<Q", 400) + b'{"w":', "ends within its header"),
        (struct.pack("<Q", 8) + b'{"w": 1}', "cannot be read"),
        (struct.pack("<Q", 12) + b'{"w":{"a":1}', "cannot be read"),
    ],
)
def test_what_is_no_such_file_is_named(tmp_path, content, message):
    path = tmp_path / "model-00001-of-00002.safetensors"
    path.write_bytes(content)

    with pytest.raises(DataError, match=message) as caught:
        safetensors.read_header(path)

    assert path.name in caught.value.message
    assert caught.value.next_step


def test_a_type_without_a_word_in_numpy_is_refused():
    with pytest.raises(DataError, match="F8_E4M3"):
        safetensors.decoded(b"\x00", "F8_E4M3")
