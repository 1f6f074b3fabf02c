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
from picie.visualization.masks import check_pair, colour_mask, overlay, write_png
from picie.visualization.palette import FRAME, INK, PAPER, QUIET, Colours, Font, shorten

__all__ = ["write_sheet"]

_MARGIN = 24
_GUTTER = 8  # between panels
_GAP = 16  # between rows, and on both sides of the line above the legend
_TEXT = 14
_LINE = 22  # height of a line of text, with spacing
_SWATCH = 14
_LONGEST_NAME = 150  # pixels; longer cluster names are truncated
_MOST_ENTRIES = 60
_HEADINGS = ("photo", "clusters", "overlay")


@dataclass(frozen=True)
class _Row:
    name: str
    panels: tuple[Image.Image, ...]


@dataclass(frozen=True)
class _Entry:
    colour: tuple[int, ...]
    name: str
    share: str


def write_sheet(
    path: Path,
    rows: Iterable[tuple[str, NDArray[np.uint8], NDArray[Any]]],
    colours: Colours,
    *,
    names: Sequence[str] | None = None,
    height: int = 180,
) -> None:
    """Write a PNG with one row per image: photo | clusters | overlay, then a legend.

    The legend lists the clusters that occur, the most frequent first, with their share of all
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
    shrunk = []
    for name, image, mask in rows:
        shrunk.append(_Row(name, _panels(image, mask, colours, height)))
        counts += np.bincount(mask[mask != IGNORED], minlength=len(colours))
    if not shrunk:
        raise DataError(f"{path}: no image to show; give at least one row")
    write_png(_draw(shrunk, _legend(counts, names, colours)), path, signed=True)


def _panels(
    image: NDArray[np.uint8], mask: NDArray[Any], colours: Colours, height: int
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
    panels = (small, colour_mask(ids, colours), overlay(small, ids, colours))
    return tuple(Image.fromarray(panel) for panel in panels)


def _legend(
    counts: NDArray[np.int64], names: Sequence[str] | None, colours: Colours
) -> list[_Entry]:
    """The clusters that occur, the most frequent first; one entry for those beyond the limit."""
    shares = 100 * counts / max(counts.sum(), 1)
    order = [k for k in np.argsort(-shares, kind="stable").tolist() if counts[k]]
    entries = [
        _Entry(tuple(colours[k].tolist()), names[k] if names else str(k), _percent(shares[k]))
        for k in order[:_MOST_ENTRIES]
    ]
    rest = order[_MOST_ENTRIES:]
    if rest:
        entries.append(_Entry(PAPER, f"{len(rest)} more", _percent(shares[rest].sum())))
    return entries


def _percent(share: float) -> str:
    return f"{share:.1f} %" if share >= 0.05 else "< 0.1 %"


def _draw(rows: list[_Row], entries: list[_Entry]) -> Image.Image:
    font = ImageFont.load_default(size=_TEXT)
    step = max(row.panels[0].width for row in rows) + _GUTTER
    room = max(3 * step - _GUTTER, 300)  # minimum width of the legend
    legend = _draw_legend(entries, room, font)
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


def _draw_legend(entries: list[_Entry], room: int, font: Font) -> Image.Image:
    """A heading, then the entries row by row, in columns as wide as the widest entry."""
    labels = [shorten(entry.name, _LONGEST_NAME, font) for entry in entries]
    text_left = _SWATCH + 8
    share_right = text_left + round(max(map(font.getlength, labels), default=0.0)) + 70
    across = max(1, (room + 2 * _GAP) // (share_right + 2 * _GAP))
    lines = -(-len(entries) // across)
    legend = Image.new("RGB", (room, (lines + 1) * _LINE), PAPER)
    draw = ImageDraw.Draw(legend)
    draw.text((0, 0), "clusters, by share of all pixels", INK, font)
    for index, (entry, label) in enumerate(zip(entries, labels, strict=True)):
        left, top = index % across * (share_right + 2 * _GAP), (index // across + 1) * _LINE + 4
        draw.rectangle((left, top, left + _SWATCH, top + _SWATCH), fill=entry.colour)
        draw.text((left + text_left, top - 1), label, INK, font)
        draw.text((left + share_right, top - 1), entry.share, QUIET, font, anchor="ra")
    return legend
