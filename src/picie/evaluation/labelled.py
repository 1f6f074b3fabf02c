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
from picie.data.images import (
    network_input,
    read_image,
    square_crop,
    square_crop_mask,
    stored_orientation,
)
from picie.data.masks import PLAIN, MaskRule, MaskTally, read_mask
from picie.errors import DataError
from picie.evaluation.orientation import Agreement
from picie.inference.segmenter import Segmenter
from picie.metrics.confusion import Confusion
from picie.postprocessing.upsampling import upsample
from picie.runtime.progress import Reporter
from picie.runtime.storage import local_copy
from picie.types import IGNORED

__all__ = ["Crop", "LabelledImage", "LabelledImages", "check_masks", "count_pixels"]

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
        rule: what the user says about the masks.
        problems: by path or address, why an image could not be read in an earlier pass.
        tally: what the masks hold that were read so far.
        agreement: of masks that fit their images as stored and as shown.
    """

    folder: PhotoFolder
    side: int
    crop: Crop
    rule: MaskRule = PLAIN
    problems: dict[Path | str, str] = field(default_factory=dict)
    tally: MaskTally = field(default_factory=MaskTally)
    agreement: Agreement = field(default_factory=Agreement)

    def batches(self, label: str, reporter: Reporter) -> Iterator[list[LabelledImage]]:
        """Batches of the readable images, in the order of the folder; each batch has one size.

        Args:
            label: name of the task on the progress bar.
            reporter: shows progress.

        Raises:
            ConfigError: a rule for masks that cannot apply to these.
            DataError: an unusable mask, masks that were probably misread (after the last batch),
                or no readable image.
        """
        self.rule.check(len(self.folder.classes), self.folder.code)
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
        self._check_masks()

    @property
    def mask_orientation(self) -> str:
        """What masks of turned images were read as, and whether the user said so."""
        if self.rule.orientation != "auto":
            return self.rule.orientation
        return "shown (assumed)" if self.tally.doubtful else "shown"

    @property
    def notes(self) -> list[str]:
        """What a reader of the scores must know about the masks that were read."""
        if not self.tally.doubtful:
            return []
        count = len(self.tally.doubtful)
        one, their = ("image is", "its mask") if count == 1 else ("images are", "their masks")
        note = (
            f"{count} {one} turned by EXIF orientation, and the size does not tell how {their} "
            "should be turned: read as drawn on the upright image"
        )
        if self.agreement.better == "shown":
            return [f"{note}, where the borders follow the edges"]
        return [
            f"{note}; if masks were drawn on the images as they are stored, pass "
            "--mask-orientation stored"
        ]

    def _check_masks(self) -> None:
        if self.folder.code is None:
            self.tally.check(str(self.folder.root), self.folder.classes, self.rule)
        if self.agreement.better == "stored":
            raise DataError(
                f"{self.folder.root}: {len(self.tally.doubtful)} images are turned by EXIF "
                "orientation, and the borders of their masks follow the edges of the images as "
                "they are stored, not as they are shown; pass --mask-orientation stored, or shown "
                "if masks are drawn on upright images"
            )

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
            with local_copy(photo.file) as file:
                image = read_image(file, self.folder.reading, photo.page)
                orientation = stored_orientation(file)
        except DataError as error:
            self.problems[photo.source] = str(error)
            return None
        path = photo.mask or Path()
        truth = self.folder.truth(
            photo,
            image_size=(image.shape[1], image.shape[0]),
            rule=self.rule,
            orientation=orientation,
            tally=self.tally,
        )
        if path in self.tally.doubtful:
            self.agreement.add(path, image, truth, orientation)
        if self.crop == "center":
            image, truth = square_crop(image, self.side), square_crop_mask(truth, self.side)
        return LabelledImage(index, image, truth)


def check_masks(folder: PhotoFolder) -> None:
    """Refuse masks that cannot be scored before long work; sizes are not checked.

    Args:
        folder: opened with `labelled`.

    Raises:
        DataError: a mask that cannot be used, or masks that would probably be misread.
    """
    tally, classes = MaskTally(), folder.classes
    for photo in folder.labelled:
        if photo.mask is not None:
            read_mask(
                photo.mask,
                image_size=None,
                num_classes=len(classes),
                code=folder.code,
                tally=tally,
                most=folder.reading.max_pixels,
            )
    if folder.code is None:
        tally.check(str(folder.root), classes, PLAIN)


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
    Ignored pixels of a model with names are counted in one more column.

    Args:
        model: with the size of the images; with names, its classes are counted.
        images: to be scored.
        view: which set of centroids, from 0.
        keep_images: also keep the counts of each image.
        reporter: shows progress.

    Raises:
        DataError: an unusable mask, or no readable image.
    """
    classes = len(images.folder.classes)
    ignores = model.class_names is not None and bool((model.centroid_ids == model.clusters).any())
    confusion = Confusion(classes, model.clusters + ignores, keep_images=keep_images)
    for batch in images.batches("scoring", reporter):
        if images.crop == "none":
            masks = [model.predict(Image.fromarray(item.image), view=view) for item in batch]
        else:
            logits = model.logits(images.for_network(batch), view=view)
            masks = [
                upsample(maps, item.truth.shape) for maps, item in zip(logits, batch, strict=True)
            ]
        for item, mask in zip(batch, masks, strict=True):
            if ignores:
                mask = np.where(mask == IGNORED, model.clusters, mask)
            confusion.update(item.truth, mask)
    return confusion
