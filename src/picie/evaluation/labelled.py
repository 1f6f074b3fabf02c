"""Labelled images as the protocol shows them, and the masks of a model counted against them."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from picie.data.folder import Photo, PhotoFolder
from picie.data.images import network_input, read_image, square_crop, square_crop_mask
from picie.errors import DataError
from picie.inference.segmenter import Segmenter
from picie.metrics.confusion import Confusion
from picie.postprocessing.upsampling import upsample
from picie.runtime.progress import Reporter

__all__ = ["Crop", "LabelledImage", "LabelledImages", "count_pixels"]

Crop = Literal["center", "none"]

_BATCH = 16


@dataclass(frozen=True, eq=False)
class LabelledImage:
    """One image as it is scored.

    Attributes:
        index: position in the folder.
        image: (H, W, 3) uint8 RGB, the square centre crop or the whole image.
        truth: (H, W) uint8 class ids, 255 = void.
    """

    index: int
    image: NDArray[np.uint8]
    truth: NDArray[np.uint8]


@dataclass(frozen=True)
class LabelledImages:
    """The images of a labelled folder under one protocol; read anew in every pass.

    Attributes:
        folder: opened with `labelled`.
        side: short side in pixels at which the network sees them.
        crop: `center` for square centre crops of that side, `none` for whole images.
        problems: reason by path, of the images that no pass could read so far.
    """

    folder: PhotoFolder
    side: int
    crop: Crop
    problems: dict[Path, str] = field(default_factory=dict)

    def batches(self, label: str, reporter: Reporter) -> Iterator[list[LabelledImage]]:
        """Those that can be read, in the folder's order; several at once only if of one size.

        Args:
            label: what is being done, for people.
            reporter: shows how far it came.

        Raises:
            DataError: a mask that cannot be used, or no readable image.
        """
        step = _BATCH if self.crop == "center" else 1
        with reporter.task(label, len(self.folder)) as advance:
            for start in range(0, len(self.folder), step):
                photos = self.folder.photos[start : start + step]
                found = [self._read(start + place, photo) for place, photo in enumerate(photos)]
                batch = [one for one in found if one is not None]
                if batch:
                    yield batch
                advance(len(photos))
        if len(self.problems) == len(self.folder):
            raise self.folder.none_read(next(iter(self.problems.values())))

    def for_network(self, batch: list[LabelledImage]) -> Tensor:
        """(B, 3, h, w) float in [0, 1]: a batch at the size at which the network sees it."""
        if self.crop == "none":
            pixels = torch.stack([network_input(one.image, self.side) for one in batch])
        else:
            stacked = np.stack([one.image for one in batch])
            pixels = torch.from_numpy(stacked).permute(0, 3, 1, 2)
        return pixels.float() / 255

    def _read(self, index: int, photo: Photo) -> LabelledImage | None:
        try:
            image = read_image(photo.path)
        except DataError as error:
            self.problems[photo.path] = str(error)
            return None
        truth = self.folder.truth(photo, image_size=(image.shape[1], image.shape[0]))
        if self.crop == "center":
            image, truth = square_crop(image, self.side), square_crop_mask(truth, self.side)
        return LabelledImage(index, image, truth)


def count_pixels(
    model: Segmenter,
    images: LabelledImages,
    *,
    view: int = 0,
    keep_images: bool = False,
    reporter: Reporter,
) -> Confusion:
    """One pass: masks of all images against their labels.

    Logits are upsampled bilinearly to the size of the image as it is scored; the largest wins.

    Args:
        model: set to the side of the images.
        images: what is scored.
        view: which set of centroids, from 0.
        keep_images: also keep the counts of each image.
        reporter: shows how far it came.

    Raises:
        DataError: a mask that cannot be used, or no readable image.
    """
    classes = len(images.folder.classes)
    confusion = Confusion(classes, model.clusters, keep_images=keep_images)
    for batch in images.batches("scoring", reporter):
        if images.crop == "none":
            masks = [model.predict(Image.fromarray(one.image), view=view) for one in batch]
        else:
            logits = model.logits(images.for_network(batch), view=view)
            masks = [
                upsample(of_one, one.truth.shape) for of_one, one in zip(logits, batch, strict=True)
            ]
        for one, mask in zip(batch, masks, strict=True):
            confusion.update(one.truth, mask)
    return confusion
