"""LoadedPhoto files to RGB arrays, and the square base crop of the PiCIE protocol.

Every image that Pillow decodes becomes (H, W, 3) uint8 RGB, whatever its file holds:

- the EXIF orientation is applied, and of an animated or multi-page file the first frame is used;
- transparency is composited over white, the paper of the web that such graphics were drawn for;
- CMYK is converted without a colour profile;
- 16-bit, 32-bit and float grey is brought to 8 bits by the largest value in the image:
  up to 255 it is taken as it is, above that it is divided by 257 (65535 becomes 255; larger values
  are clipped). Float images up to 1 are fractions of 255. Negative values and NaN become 0.
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
"""File name endings of images, in lower case; upper case counts too."""

# The decoders that EXTENSIONS needs, and GIF, which is often misnamed. Others, such as EPS, start
# foreign programs.
_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF")
_Ids = TypeVar("_Ids", bound=np.integer[Any])
_MOST_PIXELS = 10**9
_LONGEST = 16  # largest ratio of the sides that the network sees
_SPARE = 2  # a reduced image keeps so many times the side of its crop
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
"""By EXIF orientation: what makes the stored image upright."""
_pillow_limit = threading.Lock()


def read_image(path: Path) -> NDArray[np.uint8]:
    """Read an image as RGB, by the rules at the top of this module.

    Args:
        path: a file in one of the formats of `EXTENSIONS`, of at most 10^9 pixels.

    Returns:
        (H, W, 3) uint8 RGB, upright.

    Raises:
        DataError: missing, truncated, too large or not an image; names the path and the reason.
    """
    with _reading(path) as image:
        image.load()
        return to_rgb(_upright(image))


def read_square(path: Path, size: int) -> NDArray[np.uint8]:
    """Read the base crop of an image: `square_crop(read_image(path), size)`, sooner.

    A JPEG is decoded at 1/2, 1/4 or 1/8 of its size as long as its short side stays at least twice
    `size`. Such a crop differs from the one of the full image by less than a level on average;
    all others are the same bytes.

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
    """Whether a file shows its image upright to programs that do not know EXIF orientations.

    Raises:
        DataError: as `read_image`.
    """
    with _reading(path) as image:
        if image.format == "PNG":
            image.load()  # its EXIF block may stand behind the pixels
        return _orientation(image) == 1


def to_rgb(image: Image.Image) -> NDArray[np.uint8]:
    """Convert an opened image by the rules at the top of this module, but for its orientation.

    Returns:
        (H, W, 3) uint8 RGB, of the size and orientation of `image`.
    """
    return np.array(_rgb(image))


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
    return _square(Image.fromarray(image), size)


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


def _square(image: Image.Image, size: int) -> NDArray[np.uint8]:
    width, height = image.size
    (top, tall), (left, wide) = _geometry(height, width, size)
    if max(tall, wide) <= _LONGEST * size:
        resized = np.asarray(image.resize((wide, tall), Image.Resampling.BILINEAR))
        return resized[top : top + size, left : left + size].copy()
    # A long, thin image would grow without bound: resample its middle only. Pillow keeps such a
    # window in single precision, which moves some values by one level.
    return _window(image, (0, 0), (width / wide, height / tall), (left, top), size)


def _reduced_square(
    image: Image.Image, full: tuple[int, int], exact: tuple[float, float], size: int
) -> NDArray[np.uint8]:
    """The square of an image of `full` size (W, H), decoded to the `exact` size, rounded up."""
    orientation = _orientation(image)
    if orientation >= 5:
        full, exact = full[::-1], exact[::-1]
    rgb = _rgb(_upright(image))
    # What was rounded up is on the right and at the bottom of the file; turning moves it.
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
    """Resample a square only; all pairs are (x, y).

    Args:
        image: RGB.
        corner: where the image proper begins, in its pixels.
        step: its pixels per pixel of the square.
        offset: start of the square in pixels of the square, from the corner.
        size: side S of the square.
    """
    left, top = (c + s * o for c, s, o in zip(corner, step, offset, strict=True))
    box = (left, top, left + step[0] * size, top + step[1] * size)
    return np.array(image.resize((size, size), Image.Resampling.BILINEAR, box=box))


def _geometry(height: int, width: int, size: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """(offset, length) of rows and of columns: where the square starts in the resized image."""
    short = min(height, width)
    lengths = [size if side == short else int(size * side / short) for side in (height, width)]
    rows, columns = [(round((length - size) / 2), length) for length in lengths]
    return rows, columns


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[Image.Image]:
    """An opened image; whatever goes wrong with it is a `DataError`."""
    try:
        with _open(path) as image:
            yield image
    except DataError:
        raise
    except Exception as error:  # broken files make decoders raise nearly every kind of error
        raise DataError(
            f"{path}: cannot be read as an image ({_reason(error)}); replace or remove it"
        ) from error


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
            f"{path}: has {width} x {height} pixels, more than 10^9; cut or shrink the image"
        )
    return image


def _upright(image: Image.Image) -> Image.Image:
    turn = _TURNS.get(_orientation(image))
    return image if turn is None else image.transpose(turn)


def _orientation(image: Image.Image) -> int:
    """Number 1..8 from the EXIF block of a loaded image; 1, upright, where there is none."""
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # a broken EXIF block says nothing about the pixels
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
        return "it is none of " + ", ".join(_FORMATS)
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def check_size(size: int) -> None:
    """Refuse a short side that holds no whole cells of the coarsest grid.

    Raises:
        ConfigError: no multiple of 32, or below 32.
    """
    if size < 32 or size % 32:
        raise ConfigError(f"size {size}: the side must be a multiple of 32, 32 or more")


def network_input(image: NDArray[np.uint8], size: int) -> Tensor:
    """(3, h, w) uint8 in channels_last: short side `size`, both sides multiples of 32.

    Whole cells at the coarsest stride keep the feature map aligned with the image. Images
    more than 16 times as long as wide are squeezed to 16 times.
    """
    height, width = network_size(image.shape[0], image.shape[1], size)
    resized = Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR)
    return torch.from_numpy(np.array(resized)).permute(2, 0, 1)


def network_size(height: int, width: int, size: int) -> tuple[int, int]:
    """(h, w) at which the network sees an image, as `network_input` has it."""
    scale = size / min(height, width)
    # An image of one row of pixels would grow without bound.
    wanted = (min(side * scale, _LONGEST * size) for side in (height, width))
    h, w = (max(32, 32 * round(side / 32)) for side in wanted)
    return h, w


def as_array(source: Any) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 from a PIL image (turned upright), an array or a (3, H, W) tensor.

    Raises:
        DataError: a value that is no image.
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
        f"a {type(source).__name__}{shape} is no image; give a path, a PIL image, a uint8 array "
        "(H, W, 3) RGB, or a tensor (3, H, W) with values in [0, 1]"
    )


def _from_tensor(image: Tensor) -> NDArray[np.uint8]:
    if image.ndim != 3 or image.shape[0] != 3 or not image.numel():
        raise DataError(
            f"a tensor of shape {tuple(image.shape)} is no image; give (3, H, W) or "
            "(B, 3, H, W), RGB"
        )
    if image.is_floating_point():
        if not (image.min() >= 0 and image.max() <= 1):  # NaN is in no range
            raise DataError(
                f"the tensor has values from {image.min():.3g} to {image.max():.3g}; give "
                "[0, 1] (not normalised) or uint8"
            )
        image = (image * 255).round().to(torch.uint8)
    if image.dtype != torch.uint8:
        raise DataError(f"the tensor is of {image.dtype}; give float in [0, 1] or uint8")
    return image.permute(1, 2, 0).cpu().numpy()
