"""The values of an image as they are stored, and how they become an RGB picture."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from picie.data.reading import Reading, Sample, choose, to_bytes
from picie.errors import DataError

__all__ = ["Alpha", "Stored", "is_alpha"]

_SAMPLED = 2**16  # pixels of an image that a sample has

Alpha = Literal["", "true", "tagged"]
"""Whether the last band is opacity: no, yes, or perhaps, because GDAL tags any fourth band so."""


@dataclass(frozen=True, eq=False)
class Stored:
    """The values of an image as they are stored, upright.

    Attributes:
        values: (H, W, B), of any real type.
        alpha: what is known of the last band.
        premultiplied: whether the other bands were multiplied by it.
        bits: declared depth, such as 12; 0 = that of the type.
        nodata: declared value of pixels without data.
        absolute: colours of a palette or of inks, which no stretch changes.
        inks: the bands are cyan, magenta, yellow and black.
        channels: the bands are channels of a microscope, of which two are red and green.
    """

    values: NDArray[Any]
    alpha: Alpha = ""
    premultiplied: bool = False
    bits: int = 0
    nodata: float | None = None
    absolute: bool = False
    inks: bool = False
    channels: bool = False

    @property
    def is_deep(self) -> bool:
        """Whether a stretch decides how it looks."""
        return self.values.dtype != np.uint8 and not self.absolute

    @property
    def band_is_colour(self) -> bool:
        """Whether the last band is tagged as opacity, but holds something else."""
        last = self.values[..., -1]
        return self.alpha == "tagged" and not is_alpha(last, self.values[..., :-1])

    def sample(self, name: str, reading: Reading) -> Sample:
        """Some of the values that a reading shows.

        Args:
            name: of the image, for messages.
            reading: its bands.

        Raises:
            DataError: it lacks a band.
        """
        height, width = self.values.shape[:2]
        step = max(1, round(math.sqrt(height * width / _SAMPLED)))
        rows, columns = (slice(min(step // 2, side - 1), None, step) for side in (height, width))
        values = self.values[rows, columns][..., self._shown(name, reading)]
        kept = np.isfinite(values)
        if self.nodata is not None:
            kept &= values != self.nodata
        kind = self.values.dtype.name
        return Sample(name, kind, values[kept].astype(np.float64), self.bits)

    def picture(self, name: str, reading: Reading) -> NDArray[np.uint8]:
        """The image as a reading shows it; without a stretch, by its own values.

        Args:
            name: of the image, for messages.
            reading: bands and stretch.

        Returns:
            (H, W, 3) uint8 RGB.

        Raises:
            DataError: it lacks a band.
        """
        bands = self._shown(name, reading)
        stretch = reading.stretch
        if self.absolute:
            stretch = (0.0, float(np.iinfo(self.values.dtype).max))
        elif self.is_deep and stretch is None:
            stretch = choose([self.sample(name, reading)]).stretch
        picture = np.zeros((*self.values.shape[:2], 4 if self.inks else 3), np.uint8)
        for place, band in enumerate(bands):
            values = self.values[..., band]
            if self.is_deep or self.absolute:
                assert stretch is not None  # chosen above
                values = to_bytes(values, stretch, self.nodata)
            # One band is grey; of two channels, blue stays black.
            picture[..., place if len(bands) > 1 else slice(None)] = (
                values if len(bands) > 1 else values[..., None]
            )
        if self.inks:
            inks = Image.frombytes("CMYK", picture.shape[1::-1], picture.tobytes())
            return np.array(inks.convert("RGB"))
        opacity = self._opacity(bands)
        if opacity is None:
            return picture
        return _over_white(_divided(picture, opacity) if self.premultiplied else picture, opacity)

    def _shown(self, name: str, reading: Reading) -> list[int]:
        """Indices of the bands that are shown."""
        count = self.values.shape[2]
        if reading.bands:
            if max(reading.bands) > count:
                raise DataError(
                    f"{name}: has {count} band{'s' * (count > 1)}, but --bands asks for "
                    f"{max(reading.bands)}; choose others"
                )
            return [band - 1 for band in reading.bands]
        if self.inks:
            return [0, 1, 2, 3]
        colours = max(1, count - bool(self.alpha))
        return list(range(3 if colours >= 3 else 2 if self.channels and colours == 2 else 1))

    def _opacity(self, bands: Sequence[int]) -> NDArray[np.uint8] | None:
        """(H, W) uint8 of the last band, if it is opacity."""
        last = self.values.shape[2] - 1
        if not self.alpha or last in bands or self.band_is_colour:
            return None
        band = self.values[..., last]
        return band if band.dtype == np.uint8 else to_bytes(band, (0.0, _opaque(band)))


def is_alpha(band: NDArray[Any], colours: NDArray[Any]) -> bool:
    """Whether a band that is tagged alpha holds opacity, and not another colour, such as infrared.

    Opacity is complete in most pixels that are not transparent. A band of zeros is opacity only if
    the pixels below it hold nothing.

    Args:
        band: (...) values.
        colours: (..., B) values of the other bands.
    """
    shown = np.count_nonzero(band)
    if not shown:
        return bool((colours == colours[:1, :1]).all())
    return 2 * int(np.count_nonzero(band == _opaque(band))) >= int(shown)


def _opaque(band: NDArray[Any]) -> float:
    """The value of an opaque pixel."""
    if band.dtype.kind in "iu":
        return float(np.iinfo(band.dtype).max)
    return 255.0 if np.nanmax(band) > 1 else 1.0


def _divided(picture: NDArray[np.uint8], opacity: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Colours that were multiplied by their opacity, as they were before."""
    parts = picture.astype(np.uint16) * 255 // np.maximum(opacity, 1)[..., None]
    parts[opacity == 0] = 0
    return parts.clip(0, 255).astype(np.uint8)


def _over_white(picture: NDArray[np.uint8], opacity: NDArray[np.uint8]) -> NDArray[np.uint8]:
    rgba = Image.fromarray(np.dstack([picture, opacity]))
    return np.array(Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba))[..., :3]
