"""The confusion matrix as an image: the clusters of the pixels of each class."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from picie.errors import DataError
from picie.visualization.masks import write_png
from picie.visualization.palette import FRAME, INK, PAPER, QUIET, Font, shorten

__all__ = ["Column", "columns_by_class", "draw_confusion", "shade", "write_confusion"]

_MARGIN = 24
_TEXT = 14
_LINE = 22
_GAP = 10  # between matched and unmatched clusters, and around the grid
_LONGEST_NAME = 170  # pixels
_MOST_NUMBERED = 30  # maximum number of classes for which cells show numbers
_MOST_COLUMNS = 128  # more clusters are summed by class
_SHARE = 48  # width of the column of class shares
_LEAST_WIDTH = 560  # room for the text above and below small matrices
_BAR = (180, 12)  # of the scale

_BLUE, _DARK = (0, 114, 178), (6, 42, 72)
_TURN = 55.0  # per cent of the fully saturated colour; larger values are darker
_LIGHT_INK = 46.0  # per cent above which text is white


@dataclass(frozen=True)
class Column:
    """One or more clusters.

    Attributes:
        label: text above the column.
        owner: class of the clusters, or -1.
        counts: (L,) pixels of each class.
        cluster: number of the cluster; -1 for several.
    """

    label: str
    owner: int
    counts: NDArray[np.int64]
    cluster: int = -1


@dataclass(frozen=True)
class _Grid:
    """Positions of the cells in pixels; a gap follows the first `split` columns."""

    left: int
    top: int
    cell: int
    split: int

    def box(self, row: int, column: int) -> tuple[int, int, int, int]:
        left = self.left + column * self.cell + _GAP * (column >= self.split > 0)
        top = self.top + row * self.cell
        return left, top, left + self.cell, top + self.cell


def write_confusion(
    path: Path,
    matrix: NDArray[np.int64],
    classes: Sequence[str],
    mapping: Sequence[int],
    *,
    title: str = "",
) -> None:
    """Write `draw_confusion` as a PNG.

    Args:
        path: the PNG file; an existing one is replaced.
        matrix: (L, K) counts of (true class, cluster) pairs.
        classes: L names.
        mapping: the class 0..L-1 of each of the K clusters, -1 = unmatched.
        title: line of text above the matrix.

    Raises:
        DataError: names or mapping do not match the matrix, or the matrix has no pixels.
        PicieError: the file cannot be written.
    """
    write_png(draw_confusion(matrix, classes, mapping, title=title), path, signed=True)


def draw_confusion(
    matrix: NDArray[np.int64],
    classes: Sequence[str],
    mapping: Sequence[int],
    *,
    title: str = "",
) -> Image.Image:
    """Draw the matrix: rows are true classes, columns are clusters in the order of their classes.

    A cell shows the percentage of the pixels of the row's class that lie in its cluster, as a
    colour and, with up to 30 classes, as a number. The cell of a cluster and its own class is
    framed; unmatched clusters come last. The right column shows the share of each class. More than
    128 clusters are summed by class.

    Args:
        matrix: (L, K) counts of (true class, cluster) pairs.
        classes: L names.
        mapping: the class 0..L-1 of each of the K clusters, -1 = unmatched.
        title: line of text above the matrix.

    Raises:
        DataError: names or mapping do not match the matrix, or the matrix has no pixels.
    """
    matrix = np.asarray(matrix)
    if matrix.shape != (len(classes), len(mapping)) or not matrix.any():
        raise DataError(
            f"a confusion matrix of shape {matrix.shape} with {int(matrix.sum())} pixels cannot be "
            f"drawn with {len(classes)} classes and {len(mapping)} clusters; give (L, K) counts, L "
            "names and the class of each cluster"
        )
    columns = columns_by_class(matrix, classes, mapping)
    return _draw(matrix.sum(1), columns, classes, title)


def shade(percent: float) -> tuple[int, int, int]:
    """Colour of a percentage 0..100: from white to blue, then to dark blue."""
    ends = (PAPER, _BLUE) if percent <= _TURN else (_BLUE, _DARK)
    part = percent / _TURN if percent <= _TURN else (percent - _TURN) / (100 - _TURN)
    mixed = (1 - part) * np.asarray(ends[0]) + part * np.asarray(ends[1])
    red, green, last = (round(float(value)) for value in mixed)
    return red, green, last


def columns_by_class(
    matrix: NDArray[np.int64], classes: Sequence[str], mapping: Sequence[int]
) -> list[Column]:
    """Columns sorted by class and cluster, unmatched clusters last; above 128, one per class.

    Args:
        matrix: (L, K) counts of (true class, cluster) pairs.
        classes: L names.
        mapping: the class 0..L-1 of each of the K clusters, -1 = unmatched.
    """
    owners = np.asarray(mapping, dtype=np.int64)
    by_class = [np.flatnonzero(owners == owner) for owner in [*range(len(classes)), -1]]
    named = [(int(owners[one[0]]), one) for one in by_class if len(one)]
    if len(owners) > _MOST_COLUMNS:
        return [
            Column(
                _of(classes, owner, f"{len(clusters)} clusters"), owner, matrix[:, clusters].sum(1)
            )
            for owner, clusters in named
        ]
    return [
        Column(_of(classes, owner, str(cluster)), owner, matrix[:, cluster], cluster)
        for owner, clusters in named
        for cluster in clusters.tolist()
    ]


def _of(classes: Sequence[str], owner: int, what: str) -> str:
    return f"{what}  {classes[owner] if owner >= 0 else '(unmatched)'}"


def _draw(
    pixels: NDArray[np.int64], columns: list[Column], classes: Sequence[str], title: str
) -> Image.Image:
    numbered = len(classes) <= _MOST_NUMBERED
    font = ImageFont.load_default(size=_TEXT if numbered else 11)
    names = [shorten(name, _LONGEST_NAME, font) for name in classes]
    labels = [shorten(column.label, _LONGEST_NAME, font) for column in columns]
    above = 3 * _LINE if title else 2 * _LINE
    grid = _Grid(
        left=_MARGIN + _widest(names, font) + _GAP,
        top=_MARGIN + above + _widest(labels, font) + _GAP,
        cell=34 if numbered else 15,
        split=sum(column.owner >= 0 for column in columns),
    )
    right, bottom = grid.box(len(classes) - 1, len(columns) - 1)[2:]
    width = max(right + _GAP + _SHARE + _MARGIN, _LEAST_WIDTH)
    image = Image.new("RGB", (width, bottom + _GAP + 2 * _LINE + _MARGIN), PAPER)
    _write_head(image, title)
    for column, label in enumerate(labels):
        _write_upwards(image, grid.box(0, column), label, font)
    draw = ImageDraw.Draw(image)
    for row, name in enumerate(names):
        middle = grid.top + (row + 0.5) * grid.cell
        draw.text((grid.left - _GAP, middle), name, INK, font, anchor="rm")
        share = f"{100 * pixels[row] / pixels.sum():.1f} %" if pixels[row] else "none"
        draw.text((right + _GAP + _SHARE, middle), share, QUIET, font, anchor="rm")
    _draw_cells(draw, grid, pixels, columns, numbered=numbered)
    _draw_scale(draw, (grid.left, bottom + 2 * _GAP))
    return image


def _draw_cells(
    draw: ImageDraw.ImageDraw,
    grid: _Grid,
    pixels: NDArray[np.int64],
    columns: list[Column],
    *,
    numbered: bool,
) -> None:
    font = ImageFont.load_default(size=12)
    for place, column in enumerate(columns):
        for row, total in enumerate(pixels.tolist()):
            left, top, right, bottom = grid.box(row, place)
            percent = 100 * float(column.counts[row]) / total if total else 0.0
            colour = shade(percent) if total else FRAME
            draw.rectangle((left, top, right, bottom), colour, FRAME)
            if numbered and percent >= 0.5:
                ink = PAPER if percent > _LIGHT_INK else INK
                centre = ((left + right) / 2, (top + bottom) / 2)
                draw.text(centre, f"{percent:.0f}", ink, font, anchor="mm")
    for place, column in enumerate(columns):  # afterwards, so that no cell paints over a frame
        if column.owner >= 0:
            draw.rectangle(grid.box(column.owner, place), outline=INK, width=2 if numbered else 1)


def _write_head(image: Image.Image, title: str) -> None:
    font, small = (ImageFont.load_default(size=size) for size in (_TEXT + 2, _TEXT - 2))
    draw, room = ImageDraw.Draw(image), image.width - 2 * _MARGIN
    lines = (
        "rows: true classes, at the right their share of all labelled pixels",
        "columns: clusters in the order of their class; framed: the class of the cluster",
    )
    top = _MARGIN - 6
    if title:
        draw.text((_MARGIN, top), shorten(title, room, font), INK, font)
        top += _LINE
    for line in lines:
        draw.text((_MARGIN, top), shorten(line, room, small), QUIET, small)
        top += _LINE - 4


def _write_upwards(
    image: Image.Image, below: tuple[int, int, int, int], text: str, font: Font
) -> None:
    """Draw text rotated by 90 degrees that ends just above a box."""
    left, top, right, _ = below
    ink = Image.new("L", (_widest([text], font), _LINE), 0)
    ImageDraw.Draw(ink).text((0, _LINE / 2), text, 255, font, anchor="lm")
    turned = ink.rotate(90, expand=True)
    place = ((left + right - turned.width) // 2, top - _GAP // 2 - turned.height)
    image.paste(INK, place, turned)


def _draw_scale(draw: ImageDraw.ImageDraw, corner: tuple[int, int]) -> None:
    font = ImageFont.load_default(size=_TEXT - 2)
    (left, top), (width, height) = corner, _BAR
    for step in range(width):
        colour = shade(100 * step / (width - 1))
        draw.line((left + step, top, left + step, top + height), colour)
    draw.rectangle((left - 1, top - 1, left + width, top + height + 1), outline=FRAME)
    text = "0 to 100 % of the pixels of a row"
    draw.text((left + width + _GAP, top + height / 2), text, QUIET, font, anchor="lm")


def _widest(texts: Sequence[str], font: Font) -> int:
    return round(max(font.getlength(text) for text in texts)) + 1
