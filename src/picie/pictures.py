"""A picture in any form as an array, and at the size at which the network sees it."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps
from torch import Tensor

from picie.data.images import to_rgb
from picie.errors import ConfigError, DataError

__all__ = ["as_array", "check_size", "network_input", "network_size"]

_LONGEST = 16  # largest ratio of the sides that the network sees


def check_size(size: int) -> None:
    """Refuse a short side that holds no whole cells of the coarsest grid.

    Raises:
        ConfigError: no multiple of 32, or below 32.
    """
    if size < 32 or size % 32:
        raise ConfigError(f"size {size}: the side must be a multiple of 32, 32 or more")


def network_input(image: NDArray[np.uint8], size: int) -> Tensor:
    """(3, h, w) uint8 in channels_last: short side `size`, both sides multiples of 32.

    Whole cells at the coarsest stride keep the feature map aligned with the picture. Pictures
    more than 16 times as long as wide are squeezed to 16 times.
    """
    height, width = network_size(image.shape[0], image.shape[1], size)
    resized = Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR)
    return torch.from_numpy(np.array(resized)).permute(2, 0, 1)


def network_size(height: int, width: int, size: int) -> tuple[int, int]:
    """(h, w) at which the network sees a picture, as `network_input` has it."""
    scale = size / min(height, width)
    # A picture of one row of pixels would grow without bound.
    wanted = (min(side * scale, _LONGEST * size) for side in (height, width))
    h, w = (max(32, 32 * round(side / 32)) for side in wanted)
    return h, w


def as_array(source: Any) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 from a PIL image (turned upright), an array or a (3, H, W) tensor.

    Raises:
        DataError: a value that is no picture.
    """
    if isinstance(source, Image.Image) and source.width and source.height:
        return to_rgb(_upright(source))
    if isinstance(source, Tensor):
        return _from_tensor(source)
    if isinstance(source, np.ndarray) and source.dtype == np.uint8 and source.size:
        if source.ndim == 2:
            return np.stack([source] * 3, axis=2)
        if source.ndim == 3 and source.shape[2] == 3:
            return np.ascontiguousarray(source)
    shape = f" of shape {source.shape}, {source.dtype}" if isinstance(source, np.ndarray) else ""
    raise DataError(
        f"a {type(source).__name__}{shape} is no picture; give a path, a PIL image, a uint8 array "
        "(H, W, 3) RGB, or a tensor (3, H, W) with values in [0, 1]"
    )


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # a broken EXIF block says nothing about the pixels
        return image


def _from_tensor(picture: Tensor) -> NDArray[np.uint8]:
    if picture.ndim != 3 or picture.shape[0] != 3 or not picture.numel():
        raise DataError(
            f"a tensor of shape {tuple(picture.shape)} is no picture; give (3, H, W) or "
            "(B, 3, H, W), RGB"
        )
    if picture.is_floating_point():
        if not (picture.min() >= 0 and picture.max() <= 1):  # NaN is in no range
            raise DataError(
                f"the tensor has values from {picture.min():.3g} to {picture.max():.3g}; give "
                "[0, 1] (not normalised) or uint8"
            )
        picture = (picture * 255).round().to(torch.uint8)
    if picture.dtype != torch.uint8:
        raise DataError(f"the tensor is of {picture.dtype}; give float in [0, 1] or uint8")
    return picture.permute(1, 2, 0).cpu().numpy()
