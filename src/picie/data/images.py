"""Picture files to RGB arrays, and the square base crop of the PiCIE protocol.

Every picture that Pillow decodes becomes (H, W, 3) uint8 RGB, whatever its file holds:

- the EXIF orientation is applied, and of an animated or multi-page file the first frame is used;
- transparency is composited over white, the paper of the web that such graphics were drawn for;
- CMYK is converted without a colour profile;
- 16-bit, 32-bit and float grey is brought to 8 bits by the largest value in the picture:
  up to 255 it is taken as it is, above that it is divided by 257 (65535 becomes 255; larger values
  are clipped). Float pictures up to 1 are fractions of 255. Negative values and NaN become 0.
"""

import math
import threading
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from picie.errors import DataError

__all__ = ["EXTENSIONS", "read_image", "square_crop", "square_crop_mask", "to_rgb"]

EXTENSIONS: tuple[str, ...] = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
"""File name endings of pictures, in lower case; upper case counts too."""

# The decoders that EXTENSIONS needs, and GIF, which is often misnamed. Others, such as EPS, start
# foreign programs.
_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF")
_Ids = TypeVar("_Ids", bound=np.integer[Any])
_MOST_PIXELS = 10**9
_LONGEST = 16
_pillow_limit = threading.Lock()


def read_image(path: Path) -> NDArray[np.uint8]:
    """Read a picture as RGB, by the rules at the top of this module.

    Args:
        path: a file in one of the formats of `EXTENSIONS`, of at most 10^9 pixels.

    Returns:
        (H, W, 3) uint8 RGB, upright.

    Raises:
        DataError: missing, truncated, too large or not a picture; names the path and the reason.
    """
    try:
        with _open(path) as image:
            image.load()
            return to_rgb(_upright(image))
    except DataError:
        raise
    except Exception as error:  # broken files make decoders raise nearly every kind of error
        raise DataError(
            f"{path}: cannot be read as a picture ({_reason(error)}); replace or remove it"
        ) from error


def to_rgb(image: Image.Image) -> NDArray[np.uint8]:
    """Convert an opened picture by the rules at the top of this module, but for its orientation.

    Returns:
        (H, W, 3) uint8 RGB, of the size and orientation of `image`.
    """
    if image.mode == "F" or image.mode.startswith("I"):
        grey = _eight_bits(np.asarray(image).astype(np.float64), fractions=image.mode == "F")
        return np.repeat(grey[:, :, None], 3, axis=2)
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)
    return np.array(image.convert("RGB"))


def square_crop(image: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Bring the short side to `size` and cut the square in the middle.

    Bilinear with antialiasing; the long side is int(size * long / short) and the crop starts at
    round((long - size) / 2), the conventions of torchvision's Resize and CenterCrop, which the
    PiCIE code uses.

    Args:
        image: (H, W, 3) uint8.
        size: side S of the square, in pixels.

    Returns:
        (S, S, 3) uint8.
    """
    height, width = image.shape[:2]
    (top, tall), (left, wide) = _geometry(height, width, size)
    picture = Image.fromarray(image)
    if max(tall, wide) <= _LONGEST * size:
        resized = np.asarray(picture.resize((wide, tall), Image.Resampling.BILINEAR))
        return resized[top : top + size, left : left + size].copy()
    # A long, thin picture would grow without bound: resample its middle only. Pillow keeps such a
    # window in single precision, which moves some values by one level.
    box = (
        left * width / wide,
        top * height / tall,
        (left + size) * width / wide,
        (top + size) * height / tall,
    )
    return np.array(picture.resize((size, size), Image.Resampling.BILINEAR, box=box))


def square_crop_mask(mask: NDArray[_Ids], size: int) -> NDArray[_Ids]:
    """Cut the same square as `square_crop` from a mask, by the nearest pixel centre.

    Args:
        mask: (H, W) integer ids.
        size: side S of the square, in pixels.

    Returns:
        (S, S), the type of `mask`.
    """
    height, width = mask.shape
    (top, tall), (left, wide) = _geometry(height, width, size)
    steps = 2 * np.arange(size) + 1  # twice the pixel centres: whole numbers, so ties are exact
    rows = (steps + 2 * top) * height // (2 * tall)
    columns = (steps + 2 * left) * width // (2 * wide)
    square: NDArray[_Ids] = mask[rows[:, None], columns]
    return square


def _geometry(height: int, width: int, size: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """(offset, length) of rows and of columns: where the square starts in the resized picture."""
    short = min(height, width)
    lengths = [size if side == short else int(size * side / short) for side in (height, width)]
    rows, columns = [(round((length - size) / 2), length) for length in lengths]
    return rows, columns


def _open(path: Path) -> Image.Image:
    """Open with this module's own limit of pixels in place of Pillow's warning and error."""
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
            f"{path}: has {width} x {height} pixels, more than 10^9; cut or shrink the picture"
        )
    return image


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # a broken EXIF block says nothing about the pixels
        return image


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
        return "it is none of " + ", ".join(_FORMATS)
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error).splitlines()[0] if str(error) else type(error).__name__
