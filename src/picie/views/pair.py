"""Two views of each image: G is applied to the image of view 1 and to the features of view 2."""

from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import torch
from torch import Tensor
from torch.nn import functional as F

from picie.config import Config
from picie.runtime.devices import for_each, to_device
from picie.runtime.random import uniform_draws
from picie.types import Batch, ViewPair
from picie.views import geometric, photometric
from picie.views.geometric import GeometricParams, resample, resampling_matrix
from picie.views.photometric import PhotometricParams, blur_images, blur_matrix

__all__ = ["Views", "clean_view", "full_boxes", "stretch_crops"]


def full_boxes(count: int, size: int) -> Tensor:
    """(count, 3) boxes that cover whole images of `size` pixels."""
    return torch.tensor([0.0, 0.0, size], dtype=torch.float64).expand(count, 3)


def stretch_crops(
    images: Tensor,
    *,
    boxes: Tensor,
    flip: Tensor,
    sigma: Tensor,
    target: int,
    antialias: bool,
    confined: bool,
) -> Tensor:
    """Blur images, crop a square from each, resize it to `target` pixels, and optionally flip it.

    For a single image on a CPU these are separate steps where torch has an equivalent operation.
    Otherwise one matrix for the rows and one for the columns combine them all. The values are the
    same.

    Args:
        images: (B, 3, S, S) float.
        boxes: (B, 3) float64 on the CPU: top, left and side in pixels.
        flip: (B,) bool on the CPU, horizontal flip.
        sigma: (B,) standard deviation of the blur in pixels, on the CPU; 0 = none.
        target: side of the result in pixels.
        antialias: low-pass filter when downscaling.
        confined: read no pixel outside a square (except for the blur, which comes first).

    Returns:
        (B, 3, target, target); it may share the memory of `images`.
    """
    single = len(images) == 1 and images.device.type == "cpu"
    if single and float(sigma[0]) > 0:
        images = blur_images(images, float(sigma[0]))
    uniform = bool((boxes == boxes[:1]).all()) and bool((flip == flip[:1]).all())
    whole = bool((boxes == boxes.round()).all())
    if whole and confined and (single or (uniform and not bool(sigma.any()))):
        return _cut(images, boxes[0].long().tolist(), bool(flip[0]), target, antialias)
    shrinks = antialias and float(boxes[:, 2].max()) > target
    if single and not confined and not shrinks:
        return _interpolated(images, boxes[0], bool(flip[0]), target)
    if single:
        sigma = torch.zeros_like(sigma)  # blurred already
    size, device = images.shape[-1], images.device
    blurred = sigma.nonzero()[:, 0]
    blur = blur_matrix(to_device(sigma[blurred], device), size)
    rows, matrices = to_device(blurred, device), []
    for start, mirrored in ((boxes[:, 0], torch.zeros_like(flip)), (boxes[:, 1], flip)):
        matrix = resampling_matrix(
            start / size,
            boxes[:, 2] / size,
            mirrored,
            source=size,
            target=target,
            antialias=antialias,
            confined=confined,
            device=device,
        )
        matrix[rows] = torch.bmm(matrix[rows], blur)
        matrices.append(matrix)
    return resample(images, matrices[0], matrices[1])


def _cut(images: Tensor, box: list[int], flip: bool, target: int, antialias: bool) -> Tensor:
    top, left, side = box
    square = images[:, :, top : top + side, left : left + side]
    if side != target:
        square = F.interpolate(
            square,
            size=(target, target),
            mode="bilinear",
            align_corners=False,
            antialias=antialias and side > target,
        )
    return square.flip(3) if flip else square


def _interpolated(images: Tensor, box: Tensor, flip: bool, target: int) -> Tensor:
    """A crop at subpixel position; beyond the border the nearest pixel is repeated."""
    size = images.shape[-1]
    steps = (torch.arange(target, dtype=torch.float64) + 0.5) / target
    top, left, side = box.unbind()
    rows, columns = (2 * (start + side * steps) / size - 1 for start in (top, left))
    columns = columns.flip(0) if flip else columns
    grid = torch.stack(torch.meshgrid(columns, rows, indexing="xy"), dim=2).float()
    return F.grid_sample(
        images, grid[None], mode="bilinear", padding_mode="border", align_corners=False
    )


_Record = TypeVar("_Record", PhotometricParams, GeometricParams)
_NUM_DRAWS = 2 * photometric.NUM_DRAWS + geometric.NUM_DRAWS


class Views:
    """The views of one epoch: view 1 = G(P1(x)), view 2 = P2(x), whose features G is applied to.

    Every draw depends on (seed, epoch, index of the image) only.

    Args:
        config: reads `seed`, `size`, `view_rule` and the fields that `draw_photometric` and
            `draw_geometric` read.
        epoch: number of the epoch, from 0.
        feature_size: side of the square feature map of a view of `config.size`.
    """

    def __init__(self, config: Config, epoch: int, feature_size: int) -> None:
        self.config = config
        self.epoch = epoch
        self.feature_size = feature_size

    def __call__(self, batch: Batch) -> ViewPair:
        """Make the two views of a batch of base crops, on the device of the batch."""
        draws = self._draw(batch)
        first, second = (self._images(batch.images, draws, view) for view in (0, 1))
        rows, columns = self._feature_matrices(draws.crop, batch.images.device)
        return ViewPair(first=first, second=second, rows=rows, columns=columns)

    def one(self, batch: Batch, view: int) -> tuple[Tensor, Tensor, Tensor]:
        """Make one view only.

        Args:
            batch: base crops.
            view: 0 for G(P1(x)), 1 for P2(x).

        Returns:
            images (B, 3, H, W) float in [0, 1], and the matrices of G for their feature maps.
        """
        draws = self._draw(batch)
        matrices = self._feature_matrices(draws.crop, batch.images.device)
        return self._images(batch.images, draws, view), *matrices

    @property
    def _rounded(self) -> bool:
        return self.config.view_rule == "authors"

    def _draw(self, batch: Batch) -> "_Draws":
        config = self.config
        uniform = uniform_draws(config.seed, self.epoch, batch.indices.tolist(), _NUM_DRAWS)
        *colours, crop = torch.split(
            uniform, [photometric.NUM_DRAWS] * 2 + [geometric.NUM_DRAWS], dim=1
        )
        first, second = (photometric.draw_photometric(one, config) for one in colours)
        return _Draws((first, second), geometric.draw_geometric(crop, config))

    def _images(self, images: Tensor, draws: "_Draws", view: int) -> Tensor:
        # Views are float32 even if the network computes in half precision.
        with torch.autocast(images.device.type, enabled=False):
            if images.device.type != "cpu":
                return self._view(images, draws, view)
            out = torch.empty(len(images), 3, self.config.size, self.config.size)

            def make_view(index: int) -> None:  # single images: see photometric.adjust_colours
                part = slice(index, index + 1)
                out[part] = self._view(images[part], draws.take(part), view)

            for_each(make_view, len(images))
            return out

    def _view(self, images: Tensor, draws: "_Draws", view: int) -> Tensor:
        config, colours, base = self.config, draws.colours[view], images.shape[-1]
        boxes, flip, antialias = full_boxes(len(images), base), torch.zeros(len(images)), True
        if view == 0:
            boxes = geometric.pixel_boxes(draws.crop, base, rounded=self._rounded)
            flip = draws.crop.flip
            antialias = not self._rounded
        stretch = partial(
            stretch_crops, boxes=boxes, flip=flip.bool(), sigma=colours.sigma, target=config.size,
            antialias=antialias, confined=self._rounded,
        )  # fmt: skip
        return stretch(photometric.adjust_colours(images, colours))

    def _feature_matrices(
        self, crop: GeometricParams, device: torch.device
    ) -> tuple[Tensor, Tensor]:
        rounded, cells = self._rounded, self.feature_size
        unflipped = torch.zeros_like(crop.flip)
        matrices = []
        for offset, flip in ((crop.top, unflipped), (crop.left, crop.flip)):
            start, side = (1 - crop.side) * offset, crop.side
            if rounded:
                start, side = geometric.round_to_grid(crop.side, offset, cells)
            matrices.append(
                geometric.resampling_matrix(
                    start, side, flip, source=cells, target=cells, antialias=False,
                    confined=rounded, device=device,
                )
            )  # fmt: skip
        return matrices[0], matrices[1]


@dataclass(frozen=True)
class _Draws:
    """Random parameters of B images, on the CPU."""

    colours: tuple[PhotometricParams, PhotometricParams]
    crop: GeometricParams

    def take(self, part: slice) -> "_Draws":
        first, second = (_take(one, part) for one in self.colours)
        return _Draws((first, second), _take(self.crop, part))


def _take(record: _Record, part: slice) -> _Record:
    return type(record)(**{name: value[part] for name, value in vars(record).items()})


def clean_view(images: Tensor, size: int) -> Tensor:
    """The unaugmented view.

    Args:
        images: (B, 3, S, S) uint8 base crops.
        size: side of the view in pixels.

    Returns:
        (B, 3, size, size) float in [0, 1]; downscaling is antialiased.
    """
    pixels = images.float().div_(255)
    boxes = full_boxes(len(images), images.shape[-1])
    still = torch.zeros(len(images))
    return stretch_crops(
        pixels,
        boxes=boxes,
        flip=still.bool(),
        sigma=still,
        target=size,
        antialias=True,
        confined=True,
    )
