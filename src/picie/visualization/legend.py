"""The legend of a picture: the clusters that occur, with colour, name and share."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from picie.runtime.printable import printable
from picie.visualization.lettering import font_for
from picie.visualization.palette import FRAME, INK, PAPER, QUIET, Colours, Font, shorten

__all__ = [
    "LegendEntry",
    "draw_legend",
    "legend_entries",
    "legend_width",
    "line_height",
    "own_names",
]

_MOST_ENTRIES = 60
_MOST_LETTERS = 120  # of a name
_SHARE = 5  # width of a share, in heights of the text


@dataclass(frozen=True)
class LegendEntry:
    """A line of a legend.

    Attributes:
        colour: red, green, blue, 0..255.
        number: the id, as text.
        name: left out if no font here has its characters.
        share: of all pixels, as text.
    """

    colour: tuple[int, ...]
    number: str
    name: str
    share: str


@dataclass(frozen=True)
class _Placed:
    """What is drawn of an entry.

    Attributes:
        name: as far as there is room.
        font: of the name.
        left: where the name begins, in pixels; the number ends before it.
        width: of the whole, in pixels.
    """

    name: str
    font: Font
    left: int
    width: int


def own_names(names: Sequence[str]) -> list[str]:
    """The names of ids; "" for "cluster 5" of id 5, which its number says already."""
    return [name * (name != f"cluster {number}") for number, name in enumerate(names)]


def legend_entries(
    counts: NDArray[np.int64], colours: Colours, names: Sequence[str], whole: int | None = None
) -> list[LegendEntry]:
    """The ids that occur, the most frequent first; one entry for those beyond 60.

    Args:
        counts: (N,) pixels of each id.
        colours: (N, 3) uint8 sRGB.
        names: N names; "" for an id that only has its number.
        whole: pixels that are 100 %; None = those of all ids.
    """
    shares = 100 * counts / max(counts.sum() if whole is None else whole, 1)
    order = [k for k in np.argsort(-shares, kind="stable").tolist() if counts[k]]
    entries = [
        LegendEntry(tuple(colours[k].tolist()), str(k), names[k], _percent(shares[k]))
        for k in order[:_MOST_ENTRIES]
    ]
    rest = order[_MOST_ENTRIES:]
    if rest:
        entries.append(LegendEntry(PAPER, "", f"{len(rest)} more", _percent(shares[rest].sum())))
    return entries


def _percent(share: float) -> str:
    return f"{share:.1f} %" if share >= 0.05 else "< 0.1 %"


def line_height(size: int) -> int:
    """Height of a line of text in pixels, with spacing."""
    return round(1.6 * size)


def legend_width(entries: Sequence[LegendEntry], size: int) -> int:
    """Pixels in which the longest name is not truncated.

    Args:
        entries: what to show.
        size: of the text, in pixels.
    """
    return max((one.width for one in _placed(entries, size)), default=0)


def draw_legend(
    entries: Sequence[LegendEntry], room: int, size: int, heading: str = ""
) -> Image.Image:
    """Entries row by row, in as many columns as their names have room for.

    Only a name that is too long for a single column is truncated. Numbers have a column of their
    own: names begin below each other, and one that is read from right to left stays beside its own.

    Args:
        entries: what to show.
        room: width in pixels.
        size: of the text, in pixels.
        heading: a line above; "" = none.
    """
    plain, line, gap = _font("0", size), line_height(size), round(1.15 * size)
    placed = _placed(entries, size, room)
    columns = _columns([one.width for one in placed], room, 2 * gap)
    across, first = len(columns), bool(heading)
    lines = -(-len(entries) // across) + first
    legend = Image.new("RGB", (room, max(1, lines * line)), PAPER)
    draw = ImageDraw.Draw(legend)
    draw.text((0, 0), heading, INK, plain)
    for index, (entry, one) in enumerate(zip(entries, placed, strict=True)):
        left, right = columns[index % across]
        top = (index // across + first) * line + (line - size) // 2
        edge = FRAME if entry.colour == PAPER else None
        draw.rectangle((left, top, left + size, top + size), fill=entry.colour, outline=edge)
        middle = top + size / 2
        draw.text((left + one.left - size // 2, middle), entry.number, INK, plain, anchor="rm")
        draw.text((left + one.left, middle), one.name, INK, one.font, anchor="lm")
        draw.text((right, middle), entry.share, QUIET, plain, anchor="rm")
    return legend


def _columns(widths: Sequence[int], room: int, gap: int) -> list[tuple[int, int]]:
    """Left and right of each column; as many as fit, one at least."""
    for across in range(len(widths), 1, -1):
        needed = [max(widths[column::across]) for column in range(across)]
        if sum(needed) + gap * (across - 1) <= room:
            break
    else:
        needed = [max(widths, default=0)]
    lefts = [sum(needed[:column]) + gap * column for column in range(len(needed))]
    return [(left, left + width) for left, width in zip(lefts, needed, strict=True)]


def _placed(entries: Sequence[LegendEntry], size: int, room: int | None = None) -> list[_Placed]:
    """How each entry is drawn in a number of pixels, or in as many as it takes."""
    plain, gap = _font("0", size), round(1.15 * size)
    begin = size + gap // 2  # after the swatch
    digits = max((math.ceil(plain.getlength(one.number)) for one in entries), default=0)
    names = [
        printable(one.name[:_MOST_LETTERS]) + "..." * (len(one.name) > _MOST_LETTERS)
        for one in entries
    ]
    shared = font_for("".join(names), size)  # one for all looks calmer
    placed = []
    for entry, name in zip(entries, names, strict=True):
        left = begin + (digits + size // 2 if entry.number else 0)
        font = shared or font_for(name, size)
        shown, font = (name, font) if font is not None else ("", plain)
        if room is not None:
            shown = shorten(shown, room - left - _SHARE * size, font)
        width = left + math.ceil(font.getlength(shown)) + _SHARE * size
        placed.append(_Placed(shown, font, left, width))
    return placed


def _font(text: str, size: int) -> Font:
    font: Any = font_for(text, size)
    assert font is not None  # digits are in every font
    found: Font = font
    return found
