"""An image sheet: photo, mask and overlay of some images, with a legend of the clusters."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from picie.errors import ConfigError, DataError
from picie.types import IGNORED
from picie.visualization.labelled import write_labels
from picie.visualization.legend import LegendEntry, draw_legend, legend_entries, own_names
from picie.visualization.masks import check_pair, colour_mask, overlay, write_png
from picie.visualization.palette import FRAME, INK, PAPER, QUIET, Colours, shorten

__all__ = ["write_sheet"]

_MARGIN = 24
_GUTTER = 8  # between panels
_GAP = 16  # between rows, and on both sides of the line above the legend
_TEXT, _LABEL = 14, 11
_LINE = 22  # height of a line of text, with spacing
_HEADINGS = ("photo", "clusters", "overlay")


@dataclass(frozen=True)
class _Row:
    name: str
    panels: tuple[Image.Image, ...]


def write_sheet(
    path: Path,
    rows: Iterable[tuple[str, NDArray[np.uint8], NDArray[Any]]],
    colours: Colours,
    *,
    names: Sequence[str] | None = None,
    height: int = 180,
) -> None:
    """Write a PNG with one row per image: photo | clusters | overlay, then a legend.

    Large regions of overlays have their name or number in the middle. The legend lists the clusters
    that occur, by number and name, the most frequent first, with their share of all
    pixels: at most 60, the others as one entry. Images are downscaled one by one, so a long
    iterator needs little memory.

    Args:
        path: the PNG file; an existing one is replaced.
        rows: per image: name, photo (H, W, 3) uint8 RGB, mask (H, W) of cluster ids or IGNORED.
        colours: (K, 3) uint8 sRGB.
        names: K names of the clusters; their ids by default.
        height: height of each panel in pixels, at least 32; lower for very wide images.

    Raises:
        ConfigError: height out of range.
        DataError: no rows, a wrong number of names, or a mask that does not match photo or colours.
        PicieError: the file cannot be written.
    """
    if height < 32:
        raise ConfigError(f"a sheet with panels of {height} pixels is too small; choose 32 or more")
    if names is not None and len(names) != len(colours):
        raise DataError(f"{len(names)} names for {len(colours)} clusters; give one per cluster")
    counts = np.zeros(len(colours), dtype=np.int64)
    labels, shrunk = own_names(names or [""] * len(colours)), []
    for name, image, mask in rows:
        shrunk.append(_Row(name, _panels(image, mask, colours, labels, height)))
        counts += np.bincount(mask[mask != IGNORED], minlength=len(colours))
    if not shrunk:
        raise DataError(f"{path}: no image to show; give at least one row")
    write_png(_draw(shrunk, legend_entries(counts, colours, labels)), path, signed=True)


def _panels(
    image: NDArray[np.uint8],
    mask: NDArray[Any],
    colours: Colours,
    labels: Sequence[str],
    height: int,
) -> tuple[Image.Image, ...]:
    check_pair(image, mask, colours)
    rows, columns = mask.shape
    scale = min(height / rows, 2 * height / columns)
    size = (max(1, round(columns * scale)), max(1, round(rows * scale)))
    small = np.asarray(Image.fromarray(image).resize(size, Image.Resampling.LANCZOS))
    # Nearest neighbour in NumPy, because Pillow has no 16-bit indexed images.
    down = ((np.arange(size[1]) + 0.5) * rows / size[1]).astype(np.int64)
    across = ((np.arange(size[0]) + 0.5) * columns / size[0]).astype(np.int64)
    ids = mask[np.ix_(down, across)]
    blended = Image.fromarray(overlay(small, ids, colours))
    write_labels(blended, ids, labels, _LABEL)
    return Image.fromarray(small), Image.fromarray(colour_mask(ids, colours)), blended


def _draw(rows: list[_Row], entries: Sequence[LegendEntry]) -> Image.Image:
    font = ImageFont.load_default(size=_TEXT)
    step = max(row.panels[0].width for row in rows) + _GUTTER
    room = max(3 * step - _GUTTER, 300)  # minimum width of the legend
    legend = draw_legend(entries, room, _TEXT, "clusters, by share of all pixels")
    body = sum(_LINE + row.panels[0].height + _GAP for row in rows)
    size = (room + 2 * _MARGIN, 2 * _MARGIN + _LINE + body + _GAP + legend.height)
    sheet = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(sheet)
    for index, heading in enumerate(_HEADINGS):
        draw.text((_MARGIN + index * step, _MARGIN - 4), heading, INK, font)
    top = _MARGIN + _LINE
    for row in rows:
        draw.text((_MARGIN, top), shorten(row.name, room, font), QUIET, font)
        for index, panel in enumerate(row.panels):
            sheet.paste(panel, (_MARGIN + index * step, top + _LINE))
        top += _LINE + row.panels[0].height + _GAP
    draw.line((_MARGIN, top, _MARGIN + room, top), FRAME)
    sheet.paste(legend, (_MARGIN, top + _GAP))
    return sheet
