"""Pictures that go with the requests of any data set."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import msgspec

from inferometer.spec import RunSpec
from inferometer.workload.picture_parts import Parts, with_parts
from inferometer.workload.request import Dataset, DatasetInfo, PicturesInfo, Request


class Pictures(Protocol):
    """Where pictures come from."""

    def info(self) -> PicturesInfo:
        """What is sent."""
        ...

    def notes(self) -> list[str]:
        """What a reader of the run should know of them."""
        ...

    def skipped(self) -> dict[str, int]:
        """What could not be used, by reason."""
        ...

    def parts(self, seed: int, salt: str, start: int) -> Iterator[Parts]:
        """The content parts of one request after another, without end.

        Args:
            seed: decides pictures and order.
            salt: differs from load point to load point, so that pictures which are made never come twice.
            start: requests of this run before the first, so that files are taken on from there.
        """
        ...


class IllustratedDataset:
    """A data set whose requests have pictures.

    Attributes:
        plain: the data set without them. Whoever keeps requests keeps those of ``plain`` and has them illustrated as
            they are sent: the pictures of a whole run may fill the memory.
    """

    def __init__(self, plain: Dataset, pictures: Pictures) -> None:
        self.plain = plain
        self._pictures = pictures

    def info(self) -> DatasetInfo:
        """That of the plain data set, and what the pictures are."""
        return self.describe(self.plain.info())

    def describe(self, info: DatasetInfo) -> DatasetInfo:
        """``info`` of the plain data set, and what the pictures are."""
        return msgspec.structs.replace(
            info,
            skipped={**info.skipped, **self._pictures.skipped()},
            notes=[*info.notes, *self._pictures.notes()],
            pictures=self._pictures.info(),
        )

    def requests(self, seed: int, salt: str) -> Iterator[Request]:
        """The requests of the plain data set, each with its pictures, made as it is drawn."""
        return self.illustrate(self.plain.requests(seed, salt), seed, salt)

    def illustrate(
        self, requests: Iterator[Request], seed: int, salt: str, start: int = 0
    ) -> Iterator[Request]:
        """``requests``, each with its pictures, made as it is drawn; ``start`` of this run came before them.

        Raises:
            DataError: a request that cannot have pictures, or a file that is gone.
        """
        for request, parts in zip(requests, self._pictures.parts(seed, salt, start), strict=False):
            yield with_parts(request, parts)


def illustrated(spec: RunSpec, dataset: Dataset) -> Dataset:
    """The data set, with pictures if ``spec.images`` asks for any.

    Raises:
        UsageError: an optional library is missing.
        DataError: a file or link that cannot be sent, see FilePictures and LinkedPictures.
    """
    if not spec.images.wanted:
        return dataset
    return IllustratedDataset(dataset, _pictures(spec))


def _pictures(spec: RunSpec) -> Pictures:
    # They need numpy, which a worker process, that reads this module too, would only carry along.
    from inferometer.workload.found_pictures import FilePictures, LinkedPictures
    from inferometer.workload.made_pictures import MadePictures

    images, skip = spec.images, spec.workload.on_bad_row == "skip"
    if images.image_path is None:
        return MadePictures(images)
    if images.image_as == "link":
        return LinkedPictures(images, images.image_path, skip=skip)
    return FilePictures(images, Path(images.image_path), skip=skip)
