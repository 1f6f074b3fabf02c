"""Read image files as RGB arrays, and cut the square base crop of the PiCIE protocol.

Every image that Pillow decodes is converted to (H, W, 3) uint8 RGB:

- the EXIF orientation is applied; of an animated or multi-page file, the first page is used unless
  another one is asked for;
- transparency is composited over white, the usual background of such graphics on web pages. The
  fourth band of a TIFF is transparency only if most of its pixels are either opaque or transparent:
  programs tag infrared the same way;
- CMYK is converted without a colour profile;
- deep images, which have another sample type than 8 bits, are stretched (`reading`).
"""

import contextlib
import functools
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from picie.config import MOST_SIDE
from picie.data.decoding import stored_image
from picie.data.opening import FLIPPED, open_within, orientation_of, tagged_late
from picie.data.reading import Reading
from picie.data.stored import Alpha, Stored
from picie.data.tiff import is_tiff, tiff_layout, tiff_orientation, tiff_size
from picie.errors import ConfigError, DataError
from picie.runtime.files import open_regular

if TYPE_CHECKING:  # a folder is listed, and its images read, before torch is there
    from torch import Tensor

__all__ = [
    "DEFAULT",
    "EXTENSIONS",
    "HEIF_EXTENSIONS",
    "as_array",
    "check_size",
    "network_input",
    "network_size",
    "read_image",
    "read_reduced",
    "read_square",
    "read_stored",
    "square_crop",
    "square_crop_mask",
    "stored_orientation",
    "stored_pixels",
    "to_rgb",
    "upright_size",
]

EXTENSIONS: tuple[str, ...] = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".jif", ".mpo", ".png", ".apng", ".webp", ".avif", ".gif"),
    *(".tif", ".tiff", ".bmp", ".dib", ".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx", ".tga"),
    *(".ppm", ".pgm", ".pbm", ".pnm", ".pfm"),
)
"""File name extensions of images in lower case; matching ignores case."""

DEFAULT = Reading()
"""The first page and bands; deep images by their own values."""

HEIF_EXTENSIONS = (".heic", ".heif", ".hif")
"""Extensions of images that need the extra `heif`."""

# The decoders for EXTENSIONS; each reads its images under any of these names. Some others, such as
# EPS, start external programs. TGA has no signature: only the name tells it from a broken file.
_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "AVIF", "JPEG2000", "PPM")
_UNSIGNED = {".tga": ("TGA",)}
_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_Ids = TypeVar("_Ids", bound=np.integer[Any])
_MOST_PIXELS = 2 * 10**9  # of files of which only the header is read
_LONGEST = 16  # maximum aspect ratio of the network's input
_STRIP = 2**18  # pixels
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


def read_image(path: Path, reading: Reading = DEFAULT, page: int = 0) -> NDArray[np.uint8]:
    """Read an image as RGB, by the rules at the top of this module.

    Args:
        path: a file in one of the formats of `EXTENSIONS`.
        reading: stretch, bands and limit of pixels; without a stretch, a deep image is read by its
            own values.
        page: of a file with several, from 0.

    Returns:
        (H, W, 3) uint8 RGB, upright.

    Raises:
        DataError: missing, truncated, too large, not an image, or without a page or band.
    """
    with _errors(path):
        stored = stored_image(path, reading, page)
        if stored is not None:
            return stored.picture(str(path), reading)
        with _reading(path, reading.max_pixels) as image:
            _load(image, path, page)
            return _array(_rgb(_upright(image), reading, str(path)))


def read_stored(path: Path, reading: Reading = DEFAULT, page: int = 0) -> Stored:
    """Read the values of an image, as they are stored.

    Args:
        path: as for `read_image`.
        reading: bands and limit of pixels.
        page: as for `read_image`.

    Raises:
        DataError: as `read_image`.
    """
    with _errors(path):
        stored = stored_image(path, reading, page)
        if stored is not None:
            return stored
        with _reading(path, reading.max_pixels) as image:
            _load(image, path, page)
            return _stored(_upright(image))


def read_square(
    path: Path, size: int, reading: Reading = DEFAULT, page: int = 0
) -> NDArray[np.uint8]:
    """Read the base crop of an image: a faster `square_crop(read_image(path), size)`.

    A JPEG is decoded at 1/2, 1/4 or 1/8 of its size if its short side stays at least twice `size`.
    Such a crop differs from that of the full image by less than one level on average; all other
    crops are identical.

    Args:
        path: as for `read_image`.
        size: side S of the square, in pixels.
        reading: as for `read_image`.
        page: as there.

    Returns:
        (S, S, 3) uint8 RGB, upright.

    Raises:
        DataError: as `read_image`.
    """
    with _errors(path):
        stored = stored_image(path, reading, page)
        if stored is not None:
            return square_crop(stored.picture(str(path), reading), size)
        with _reading(path, reading.max_pixels) as image:
            full = image.size
            drafted = image.draft(None, (_SPARE * size, _SPARE * size))
            reduced = image.size != full
            _load(image, path, page)
            rgb = _rgb(_upright(image), reading, str(path))
            if drafted and reduced:
                return _reduced_square(rgb, orientation_of(image), full, drafted[1][2:], size)
            return _square(rgb, size)


def read_reduced(
    path: Path, side: int, reading: Reading = DEFAULT, page: int = 0
) -> tuple[NDArray[np.uint8], tuple[int, int]]:
    """Read an image at a fraction of its size, where that is faster.

    A JPEG is decoded at 1/2, 1/4 or 1/8 of its size, rounded up, if its long side stays at least
    `side`; all other images at their own size.

    Args:
        path: as for `read_image`.
        side: least long side in pixels.
        reading: as for `read_image`.
        page: as there.

    Returns:
        (h, w, 3) uint8 RGB, upright, and (W, H) of the whole image.

    Raises:
        DataError: as `read_image`.
    """
    with _errors(path):
        stored = stored_image(path, reading, page)
        if stored is not None:
            picture = stored.picture(str(path), reading)
            return picture, (picture.shape[1], picture.shape[0])
        with _reading(path, reading.max_pixels) as image:
            full, scale = image.size, min(1.0, side / max(image.size))
            if not page:
                image.draft(None, (math.ceil(full[0] * scale), math.ceil(full[1] * scale)))
            _load(image, path, page)
            full = image.size if page else full
            turned = orientation_of(image) >= 5
            rgb = _array(_rgb(_upright(image), reading, str(path)))
            return rgb, full[::-1] if turned else full


def upright_size(path: Path, page: int = 0) -> tuple[int, int]:
    """(W, H) of an image as it is shown, from its header; for later pages, from the page.

    Args:
        path: as for `read_image`.
        page: as there.

    Raises:
        DataError: as `read_image`.
    """
    if page:
        height, width = read_image(path, page=page).shape[:2]
        return width, height
    turned = stored_orientation(path) >= 5
    with _errors(path):
        with open_regular(path) as file:
            tiff = is_tiff(file.read(8))
        if tiff:
            size = tiff_size(path)
        else:
            with _reading(path) as image:
                size = image.size
    return size[::-1] if turned else size


def stored_pixels(path: Path) -> int:
    """Number of pixels of a file, from its header; 0 if it cannot be read."""
    try:
        with open_regular(path) as file:
            if is_tiff(file.read(8)):
                return math.prod(tiff_size(path))
        with open_within(path, _formats(path), _MOST_PIXELS) as image:
            return math.prod(image.size)
    except Exception:  # reported when the image is read
        return 0


def stored_orientation(path: Path) -> int:
    """EXIF orientation 1..8 of a file; 1 (upright) if it has none.

    Raises:
        DataError: as `read_image`.
    """
    with _errors(path):
        with open_regular(path) as file:
            if is_tiff(file.read(8)):
                return tiff_orientation(path)
        with _reading(path) as image:
            late = image.format != "PNG" or tagged_late(path)
            return orientation_of(image, head_only=not late)


def to_rgb(image: Image.Image, reading: Reading = DEFAULT) -> NDArray[np.uint8]:
    """Convert an opened image by the rules at the top of this module, except for its orientation.

    Args:
        image: opened by Pillow.
        reading: stretch and bands.

    Returns:
        (H, W, 3) uint8 RGB, with the size and orientation of `image`.
    """
    return _array(_rgb(image, reading, "the image"))


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
    rgb: Image.Image,
    orientation: int,
    full: tuple[int, int],
    exact: tuple[float, float],
    size: int,
) -> NDArray[np.uint8]:
    """Base crop of an upright image of `full` size (W, H), decoded at `exact` size, rounded up.

    Both sizes are those of the stored image.
    """
    if orientation >= 5:
        full, exact = full[::-1], exact[::-1]
    # The padding of the rounding is at the right and the bottom of the stored image.
    down, across = (orientation in flipped for flipped in FLIPPED)
    corner = (
        rgb.size[0] - exact[0] if across else 0,
        rgb.size[1] - exact[1] if down else 0,
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
def _errors(path: Path) -> Iterator[None]:
    """Every error within the block becomes a `DataError`."""
    try:
        yield
    except DataError:
        raise
    except Exception as error:  # decoders raise many kinds of errors on broken files
        raise DataError(
            f"{path}: cannot be read as an image ({_reason(error)}); replace or remove it"
        ) from error


def _reading(path: Path, most: int = _MOST_PIXELS) -> contextlib.AbstractContextManager[Any]:
    """Open an image with Pillow."""
    return open_within(path, _formats(path), most)


def _load(image: Image.Image, path: Path, page: int) -> None:
    if str(image.info.get("Software", "")).startswith("picie "):  # a chart, or a contact sheet
        raise DataError(f"{path}: is no photo, because picie drew it; move it to another folder")
    if page:
        count = getattr(image, "n_frames", 1)
        if image.format == "TIFF":
            page = tiff_layout(path).images[page][0]
        if page >= count:
            raise DataError(
                f"{path}: has {count} page{'s' * (count != 1)}; there is no page {page + 1}"
            )
        image.seek(page)
    image.load()


def _formats(path: Path) -> tuple[str, ...]:
    """The decoders that may read a file."""
    with open_regular(path) as file:
        heif = _heif() if _is_heif(file) else ()
    return (*_FORMATS, *heif, *_UNSIGNED.get(path.suffix.lower(), ()))


def _is_heif(file: BinaryIO) -> bool:
    head = file.read(64)
    avif = b"avif" in head[8:] or b"avis" in head[8:]  # may share the first brand
    return head[4:8] == b"ftyp" and head[8:12] in _HEIF_BRANDS and not avif


@functools.cache
def _heif() -> tuple[str, ...]:
    """The decoder of HEIC files.

    Raises:
        OSError: the extra `heif` is not installed.
    """
    try:
        from pillow_heif import register_heif_opener
    except ImportError:
        raise OSError(0, 'it is a HEIC image, for which pip install "picie[heif]"') from None
    register_heif_opener(thumbnails=False)
    return ("HEIF",)


def _upright(image: Image.Image) -> Image.Image:
    turn = _TURNS.get(orientation_of(image))
    return image if turn is None else image.transpose(turn)


def _rgb(image: Image.Image, reading: Reading, name: str) -> Image.Image:
    if image.mode == "F" or image.mode.startswith("I") or reading.bands:
        return Image.fromarray(_stored(image).picture(name, reading))
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)
    return image if image.mode == "RGB" else image.convert("RGB")


def _array(image: Image.Image) -> NDArray[np.uint8]:
    """(H, W, 3) of an RGB image; a large one in strips, which stay in cache, four times as fast."""
    width, height = image.size
    if width * height <= _STRIP:
        return np.array(image)
    array = np.empty((height, width, 3), np.uint8)
    rows = max(1, _STRIP // width)
    for top in range(0, height, rows):
        strip = array[top : top + rows]
        strip[...] = np.asarray(image.crop((0, top, width, top + len(strip))))
    return array


def _stored(image: Image.Image) -> Stored:
    """The values of an image that Pillow has decoded."""
    if image.mode not in ("L", "LA", "RGB", "RGBA", "F") and not image.mode.startswith("I"):
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    values = np.asarray(image)
    alpha: Alpha = "true" if image.mode.endswith("A") else ""
    return Stored(values[..., None] if values.ndim == 2 else values, alpha)


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "its format is none of " + ", ".join(_FORMATS)
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def check_size(size: int) -> None:
    """Raise unless a short side is a positive multiple of 32, the coarsest stride.

    Raises:
        ConfigError: not a multiple of 32, below 32, or above `MOST_SIDE`.
    """
    if not 32 <= size <= MOST_SIDE or size % 32:
        raise ConfigError(
            f"size {size}: the side must be a multiple of 32, at least 32 and at most {MOST_SIDE}"
        )


def network_input(image: NDArray[np.uint8], size: int) -> "Tensor":
    """Resize an image for the network: (3, h, w) uint8, in channels_last memory format.

    The short side becomes about `size`, and both sides multiples of 32, so that feature maps of all
    strides are aligned with the image. Aspect ratios above 16 are reduced to 16.
    """
    import torch

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


def as_array(source: Any, reading: Reading = DEFAULT) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 from a PIL image (made upright), an array or a (3, H, W) tensor.

    Args:
        source: the image.
        reading: stretch and bands of a PIL image.

    Raises:
        DataError: the value is not an image.
    """
    if isinstance(source, Image.Image) and source.width and source.height:
        return to_rgb(_upright(source), reading)
    if isinstance(source, np.ndarray) and source.dtype == np.uint8 and source.size:
        if source.ndim == 2:
            return np.stack([source] * 3, axis=2)
        if source.ndim == 3 and source.shape[2] == 3:
            return np.ascontiguousarray(source)
    torch = sys.modules.get("torch")  # whoever has a tensor has imported it
    if torch is not None and isinstance(source, torch.Tensor):
        return _from_tensor(source)
    shape = f" of shape {source.shape}, {source.dtype}" if isinstance(source, np.ndarray) else ""
    raise DataError(
        f"{type(source).__name__}{shape} is not an image; give a path, a PIL image, a uint8 "
        "array (H, W, 3) RGB, or a tensor (3, H, W) with values in [0, 1]"
    )


def _from_tensor(image: "Tensor") -> NDArray[np.uint8]:
    import torch

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
