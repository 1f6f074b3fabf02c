"""Labelled images under a protocol, and the confusion matrix of a model on them."""

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
    """One image as scored.

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
    """The images of a labelled folder under one protocol; every pass reads them again.

    Attributes:
        folder: opened with `labelled`.
        side: short side in pixels at which the network sees them.
        crop: `center` for square centre crops of that side, `none` for whole images.
        problems: by path, why an image could not be read in an earlier pass.
    """

    folder: PhotoFolder
    side: int
    crop: Crop
    problems: dict[Path, str] = field(default_factory=dict)

    def batches(self, label: str, reporter: Reporter) -> Iterator[list[LabelledImage]]:
        """Batches of the readable images, in the order of the folder; each batch has one size.

        Args:
            label: name of the task on the progress bar.
            reporter: shows progress.

        Raises:
            DataError: an unusable mask, or no readable image.
        """
        step = _BATCH if self.crop == "center" else 1
        with reporter.task(label, len(self.folder)) as advance:
            for start in range(0, len(self.folder), step):
                photos = self.folder.photos[start : start + step]
                images = [self._read(start + place, photo) for place, photo in enumerate(photos)]
                batch = [image for image in images if image is not None]
                if batch:
                    yield batch
                advance(len(photos))
        if len(self.problems) == len(self.folder):
            raise self.folder.none_read(next(iter(self.problems.values())))

    def for_network(self, batch: list[LabelledImage]) -> Tensor:
        """(B, 3, h, w) float in [0, 1]: a batch at the size at which the network sees it."""
        if self.crop == "none":
            pixels = torch.stack([network_input(item.image, self.side) for item in batch])
        else:
            stacked = np.stack([item.image for item in batch])
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
    """Count the masks of all images against their labels, in one pass.

    Logits are upsampled bilinearly to the size of the scored image; the mask is their argmax.

    Args:
        model: with the size of the images.
        images: to be scored.
        view: which set of centroids, from 0.
        keep_images: also keep the counts of each image.
        reporter: shows progress.

    Raises:
        DataError: an unusable mask, or no readable image.
    """
    classes = len(images.folder.classes)
    confusion = Confusion(classes, model.clusters, keep_images=keep_images)
    for batch in images.batches("scoring", reporter):
        if images.crop == "none":
            masks = [model.predict(Image.fromarray(item.image), view=view) for item in batch]
        else:
            logits = model.logits(images.for_network(batch), view=view)
            masks = [
                upsample(maps, item.truth.shape) for maps, item in zip(logits, batch, strict=True)
            ]
        for item, mask in zip(batch, masks, strict=True):
            confusion.update(item.truth, mask)
    return confusion
