"""Read image files as RGB arrays, and cut the square base crop of the PiCIE protocol.

Every image that Pillow decodes is converted to (H, W, 3) uint8 RGB:

- the EXIF orientation is applied; of an animated or multi-page file the first frame is used;
- transparency is composited over white, the usual background of such graphics on web pages;
- CMYK is converted without a colour profile;
- 16-bit, 32-bit and float greyscale is converted to 8 bits, depending on the largest value: up to
  255, values are kept; above, they are divided by 257 (65535 becomes 255; larger values are
  clipped). Float images with a maximum of at most 1 are multiplied by 255. Negative values and NaN
  become 0.
"""

import contextlib
import math
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError
from torch import Tensor

from picie.errors import ConfigError, DataError

__all__ = [
    "EXTENSIONS",
    "as_array",
    "check_size",
    "network_input",
    "network_size",
    "read_image",
    "read_square",
    "square_crop",
    "square_crop_mask",
    "stored_upright",
    "to_rgb",
]

EXTENSIONS: tuple[str, ...] = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
"""File name extensions of images in lower case; matching ignores case."""

# The decoders for EXTENSIONS, and GIF, whose files often have another extension. Some others, such
# as EPS, start external programs.
_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF")
_Ids = TypeVar("_Ids", bound=np.integer[Any])
_MOST_PIXELS = 10**9
_LONGEST = 16  # maximum aspect ratio of the network's input
_SPARE = 2  # a reduced JPEG keeps at least this multiple of the crop's side
_Turn = Image.Transpose
_TURNS = {
    2: _Turn.FLIP_LEFT_RIGHT,
    3: _Turn.ROTATE_180,
    4: _Turn.FLIP_TOP_BOTTOM,
    5: _Turn.TRANSPOSE,
    6: _Turn.ROTATE_270,
    7: _Turn.TRANSVERSE,
    8: _Turn.ROTATE_90,
}
"""Transposition that makes the stored image upright, by EXIF orientation."""
_pillow_limit = threading.Lock()


def read_image(path: Path) -> NDArray[np.uint8]:
    """Read an image as RGB, by the rules at the top of this module.

    Args:
        path: a file in one of the formats of `EXTENSIONS`, of at most 10^9 pixels.

    Returns:
        (H, W, 3) uint8 RGB, upright.

    Raises:
        DataError: missing, truncated, too large or not an image.
    """
    with _reading(path) as image:
        image.load()
        return to_rgb(_upright(image))


def read_square(path: Path, size: int) -> NDArray[np.uint8]:
    """Read the base crop of an image: a faster `square_crop(read_image(path), size)`.

    A JPEG is decoded at 1/2, 1/4 or 1/8 of its size if its short side stays at least twice `size`.
    Such a crop differs from that of the full image by less than one level on average; all other
    crops are identical.

    Args:
        path: as for `read_image`.
        size: side S of the square, in pixels.

    Returns:
        (S, S, 3) uint8 RGB, upright.

    Raises:
        DataError: as `read_image`.
    """
    with _reading(path) as image:
        full = image.size
        drafted = image.draft(None, (_SPARE * size, _SPARE * size))
        reduced = image.size != full
        image.load()
        if drafted and reduced:
            return _reduced_square(image, full, drafted[1][2:], size)
        return _square(_rgb(_upright(image)), size)


def stored_upright(path: Path) -> bool:
    """Whether a file is upright for programs that ignore the EXIF orientation.

    Raises:
        DataError: as `read_image`.
    """
    with _reading(path) as image:
        if image.format == "PNG":
            image.load()  # the EXIF block may follow the pixels
        return _orientation(image) == 1


def to_rgb(image: Image.Image) -> NDArray[np.uint8]:
    """Convert an opened image by the rules at the top of this module, except for its orientation.

    Returns:
        (H, W, 3) uint8 RGB, with the size and orientation of `image`.
    """
    return np.array(_rgb(image))


def square_crop(image: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Resize the short side to `size` and take the centre crop.

    Bilinear with antialiasing. The long side becomes int(size * long / short) and the crop starts
    at round((long - size) / 2), as in torchvision's Resize and CenterCrop, which the PiCIE code
    uses.

    Args:
        image: (H, W, 3) uint8.
        size: side S of the square, in pixels.

    Returns:
        (S, S, 3) uint8.
    """
    return _square(Image.fromarray(image), size)


def square_crop_mask(mask: NDArray[_Ids], size: int) -> NDArray[_Ids]:
    """The same crop of a mask as `square_crop`, with nearest-neighbour sampling.

    Args:
        mask: (H, W) integer ids.
        size: side S of the square, in pixels.

    Returns:
        (S, S), with the dtype of `mask`.
    """
    height, width = mask.shape
    (top, tall), (left, wide) = _geometry(height, width, size)
    steps = 2 * np.arange(size) + 1  # twice the pixel centres, in integers so that ties are exact
    rows = (steps + 2 * top) * height // (2 * tall)
    columns = (steps + 2 * left) * width // (2 * wide)
    square: NDArray[_Ids] = mask[rows[:, None], columns]
    return square


def _square(image: Image.Image, size: int) -> NDArray[np.uint8]:
    width, height = image.size
    (top, tall), (left, wide) = _geometry(height, width, size)
    if max(tall, wide) <= _LONGEST * size:
        resized = np.asarray(image.resize((wide, tall), Image.Resampling.BILINEAR))
        return resized[top : top + size, left : left + size].copy()
    # A very elongated image would become huge: resample its middle only. Pillow stores the box in
    # single precision, which changes some values by one level.
    return _window(image, (0, 0), (width / wide, height / tall), (left, top), size)


def _reduced_square(
    image: Image.Image, full: tuple[int, int], exact: tuple[float, float], size: int
) -> NDArray[np.uint8]:
    """Base crop of an image of `full` size (W, H) that was decoded at `exact` size, rounded up."""
    orientation = _orientation(image)
    if orientation >= 5:
        full, exact = full[::-1], exact[::-1]
    rgb = _rgb(_upright(image))
    # The padding of the rounding is at the right and the bottom of the stored image.
    corner = (
        rgb.size[0] - exact[0] if orientation in (2, 3, 6, 7) else 0,
        rgb.size[1] - exact[1] if orientation in (3, 4, 7, 8) else 0,
    )
    (top, tall), (left, wide) = _geometry(full[1], full[0], size)
    return _window(rgb, corner, (exact[0] / wide, exact[1] / tall), (left, top), size)


def _window(
    image: Image.Image,
    corner: tuple[float, float],
    step: tuple[float, float],
    offset: tuple[int, int],
    size: int,
) -> NDArray[np.uint8]:
    """Resample only a square of the image; all pairs are (x, y).

    Args:
        image: RGB.
        corner: start of the image without padding, in its pixels.
        step: pixels of the image per pixel of the square.
        offset: start of the square relative to the corner, in pixels of the square.
        size: side S of the square.
    """
    left, top = (c + s * o for c, s, o in zip(corner, step, offset, strict=True))
    box = (left, top, left + step[0] * size, top + step[1] * size)
    return np.array(image.resize((size, size), Image.Resampling.BILINEAR, box=box))


def _geometry(height: int, width: int, size: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """(offset, length) of rows and of columns: start of the square, side of the resized image."""
    short = min(height, width)
    lengths = [size if side == short else int(size * side / short) for side in (height, width)]
    rows, columns = [(round((length - size) / 2), length) for length in lengths]
    return rows, columns


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[Image.Image]:
    """Open an image; every error, also within the block, becomes a `DataError`."""
    try:
        with _open(path) as image:
            yield image
    except DataError:
        raise
    except Exception as error:  # decoders raise many kinds of errors on broken files
        raise DataError(
            f"{path}: cannot be read as an image ({_reason(error)}); replace or remove it"
        ) from error


def _open(path: Path) -> Image.Image:
    """Open with this module's pixel limit instead of Pillow's warning and error."""
    with _pillow_limit:
        limit = Image.MAX_IMAGE_PIXELS
        Image.MAX_IMAGE_PIXELS = None
        try:
            image = Image.open(path, formats=_FORMATS)
        finally:
            Image.MAX_IMAGE_PIXELS = limit
    if math.prod(image.size) > _MOST_PIXELS:
        width, height = image.size
        image.close()
        raise DataError(
            f"{path}: has {width} x {height} pixels, more than 10^9; crop or downscale it"
        )
    return image


def _upright(image: Image.Image) -> Image.Image:
    turn = _TURNS.get(_orientation(image))
    return image if turn is None else image.transpose(turn)


def _orientation(image: Image.Image) -> int:
    """EXIF orientation 1..8 of a loaded image; 1 (upright) if there is none."""
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # the pixels may be fine although the EXIF block is broken
        return 1
    return orientation if orientation in _TURNS else 1


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode == "F" or image.mode.startswith("I"):
        grey = _eight_bits(np.asarray(image).astype(np.float64), fractions=image.mode == "F")
        return Image.merge("RGB", [Image.fromarray(grey)] * 3)
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)
    return image if image.mode == "RGB" else image.convert("RGB")


def _eight_bits(values: NDArray[np.float64], *, fractions: bool) -> NDArray[np.uint8]:
    values = np.nan_to_num(values, nan=0.0)
    largest = values.max()
    if largest > 255:
        values = values / 257
    elif largest <= 1 and fractions:
        values = values * 255
    levels: NDArray[np.uint8] = np.rint(values.clip(0, 255)).astype(np.uint8)
    return levels


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "its format is none of " + ", ".join(_FORMATS)
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def check_size(size: int) -> None:
    """Raise unless a short side is a positive multiple of 32, the coarsest stride.

    Raises:
        ConfigError: not a multiple of 32, or below 32.
    """
    if size < 32 or size % 32:
        raise ConfigError(f"size {size}: the side must be a multiple of 32, at least 32")


def network_input(image: NDArray[np.uint8], size: int) -> Tensor:
    """Resize an image for the network: (3, h, w) uint8, in channels_last memory format.

    The short side becomes about `size`, and both sides multiples of 32, so that feature maps of all
    strides are aligned with the image. Aspect ratios above 16 are reduced to 16.
    """
    height, width = network_size(image.shape[0], image.shape[1], size)
    resized = Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR)
    return torch.from_numpy(np.array(resized)).permute(2, 0, 1)


def network_size(height: int, width: int, size: int) -> tuple[int, int]:
    """(h, w) of the network's input for an image, as in `network_input`."""
    scale = size / min(height, width)
    # Limits the long side for very elongated images.
    wanted = (min(side * scale, _LONGEST * size) for side in (height, width))
    h, w = (max(32, 32 * round(side / 32)) for side in wanted)
    return h, w


def as_array(source: Any) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 from a PIL image (made upright), an array or a (3, H, W) tensor.

    Raises:
        DataError: the value is not an image.
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
        f"a {type(source).__name__}{shape} is not an image; give a path, a PIL image, a uint8 "
        "array (H, W, 3) RGB, or a tensor (3, H, W) with values in [0, 1]"
    )


def _from_tensor(image: Tensor) -> NDArray[np.uint8]:
    if image.ndim != 3 or image.shape[0] != 3 or not image.numel():
        raise DataError(
            f"a tensor of shape {tuple(image.shape)} is not an image; give (3, H, W) or "
            "(B, 3, H, W), RGB"
        )
    if image.is_floating_point():
        if not (image.min() >= 0 and image.max() <= 1):  # also catches NaN
            raise DataError(
                f"the tensor has values from {image.min():.3g} to {image.max():.3g}; give "
                "[0, 1] (not normalised) or uint8"
            )
        image = (image * 255).round().to(torch.uint8)
    if image.dtype != torch.uint8:
        raise DataError(f"the tensor has dtype {image.dtype}; give float in [0, 1] or uint8")
    return image.permute(1, 2, 0).cpu().numpy()
