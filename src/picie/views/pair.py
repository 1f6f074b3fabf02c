"""Two views of each picture: G before the network for one, after it for the other."""

import torch
from torch import Tensor

from picie.config import Config
from picie.types import Batch, ViewPair
from picie.views import geometric, photometric
from picie.views.draws import uniform_draws
from picie.views.geometric import GeometricParams
from picie.views.photometric import PhotometricParams

__all__ = ["Views", "clean_view"]

_NUM_DRAWS = 2 * photometric.NUM_DRAWS + geometric.NUM_DRAWS


class Views:
    """The views of one epoch: view 1 = G(P1(x)), view 2 = P2(x) with G left for its features.

    Every draw is a pure function of (seed, epoch, index of the picture).

    Args:
        config: sizes, strengths and chances.
        epoch: number of the epoch, from 0.
        feature_size: (h, w) side of the feature map that a view of `config.size` gives.
    """

    def __init__(self, config: Config, epoch: int, feature_size: int) -> None:
        self.config = config
        self.epoch = epoch
        self.feature_size = feature_size

    def __call__(self, batch: Batch) -> ViewPair:
        """Make the two views of a batch of base crops, on the device where they lie."""
        first, rows, columns = self.one(batch, 0)
        second, _, _ = self.one(batch, 1)
        return ViewPair(first=first, second=second, rows=rows, columns=columns)

    def one(self, batch: Batch, view: int) -> tuple[Tensor, Tensor, Tensor]:
        """Only one view, for passes that need no other.

        Args:
            batch: base crops.
            view: 0 for G(P1(x)), 1 for P2(x).

        Returns:
            images (B, 3, H, W) float in [0, 1], and the matrices of G for their feature maps.
        """
        config, device = self.config, batch.images.device
        uniform = uniform_draws(config.seed, self.epoch, batch.indices.tolist(), _NUM_DRAWS)
        draws = torch.split(uniform, [photometric.NUM_DRAWS] * 2 + [geometric.NUM_DRAWS], dim=1)
        colours = _to(photometric.draw_photometric(draws[view], config), device)
        crop = geometric.draw_geometric(draws[2], config)
        base = batch.images.shape[-1]
        if view == 0:
            matrices = self._matrices(crop, base, config.size, antialias=config.crop_antialias)
        else:
            matrices = (_whole(len(uniform), base, config.size),) * 2
        features = self._matrices(crop, self.feature_size, self.feature_size, antialias=False)
        images = batch.images.float().div_(255)
        return (
            _view(images, colours, matrices[0].to(device), matrices[1].to(device)),
            features[0].to(device),
            features[1].to(device),
        )

    def _matrices(
        self, crop: GeometricParams, source: int, target: int, *, antialias: bool
    ) -> tuple[Tensor, Tensor]:
        rounded = self.config.crop_rule == "rounded"
        unflipped = torch.zeros_like(crop.flip)
        matrices = []
        for offset, flip in ((crop.top, unflipped), (crop.left, crop.flip)):
            start, side = (1 - crop.side) * offset, crop.side
            if rounded:
                start, side = geometric.round_to_grid(crop.side, offset, source)
            matrices.append(
                geometric.resampling_matrix(
                    start, side, flip, source=source, target=target, antialias=antialias,
                    confined=rounded,
                )
            )  # fmt: skip
        return matrices[0], matrices[1]


def clean_view(images: Tensor, size: int) -> Tensor:
    """The un-augmented view, for fresh centroids.

    Args:
        images: (B, 3, S, S) uint8 base crops.
        size: side of the view in pixels.

    Returns:
        (B, 3, size, size) float in [0, 1]; antialiased where it shrinks.
    """
    pixels = images.float().div_(255)
    if images.shape[-1] == size:
        return pixels
    matrix = _whole(len(images), images.shape[-1], size).to(images.device)
    return geometric.resample(pixels, matrix, matrix)


def _view(images: Tensor, params: PhotometricParams, rows: Tensor, columns: Tensor) -> Tensor:
    blur = photometric.blur_matrix(params.sigma, images.shape[-1])
    coloured = photometric.adjust_colours(images, params)
    return geometric.resample(coloured, torch.bmm(rows, blur), torch.bmm(columns, blur))


def _whole(count: int, source: int, target: int) -> Tensor:
    """(count, target, source): the same shrinking for every picture."""
    matrix = geometric.scaling_matrix(source, target, antialias=True)
    return matrix.repeat(count, 1, 1)


def _to(params: PhotometricParams, device: torch.device) -> PhotometricParams:
    return PhotometricParams(**{k: v.to(device) for k, v in vars(params).items()})
