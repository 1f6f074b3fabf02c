"""The legend of a picture: the clusters that occur, with colour, name and share."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from picie.runtime.printable import printable
from picie.visualization.lettering import font_for
from picie.visualization.palette import FRAME, INK, PAPER, QUIET, Colours, Font, shorten

__all__ = ["LegendEntry", "draw_legend", "legend_entries", "line_height", "own_names"]

_MOST_ENTRIES = 60
_MOST_LETTERS = 120  # of a name


@dataclass(frozen=True)
class LegendEntry:
    """A line of a legend.

    Attributes:
        colour: red, green, blue, 0..255.
        text: number and name.
        share: of all pixels, as text.
        instead: shown if no font here has the characters of the text.
    """

    colour: tuple[int, ...]
    text: str
    share: str
    instead: str


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
        LegendEntry(
            tuple(colours[k].tolist()), f"{k}  {names[k]}".strip(), _percent(shares[k]), str(k)
        )
        for k in order[:_MOST_ENTRIES]
    ]
    rest = order[_MOST_ENTRIES:]
    if rest:
        entries.append(LegendEntry(PAPER, f"{len(rest)} more", _percent(shares[rest].sum()), ""))
    return entries


def _percent(share: float) -> str:
    return f"{share:.1f} %" if share >= 0.05 else "< 0.1 %"


def line_height(size: int) -> int:
    """Height of a line of text in pixels, with spacing."""
    return round(1.6 * size)


def draw_legend(
    entries: Sequence[LegendEntry], room: int, size: int, heading: str = ""
) -> Image.Image:
    """Entries row by row, in as many columns as their names have room for.

    Only a name that is too long for a single column is truncated.

    Args:
        entries: what to show.
        room: width in pixels.
        size: of the text, in pixels.
        heading: a line above; "" = none.
    """
    plain, line, gap = _font("0", size), line_height(size), round(1.15 * size)
    text_left, share_width = size + gap // 2, 5 * size
    labels = [_label(entry, size, room - text_left - share_width) for entry in entries]
    widths = [text_left + round(font.getlength(text) + share_width) for text, font in labels]
    columns = _columns(widths, room, 2 * gap)
    across, first = len(columns), bool(heading)
    lines = -(-len(entries) // across) + first
    legend = Image.new("RGB", (room, max(1, lines * line)), PAPER)
    draw = ImageDraw.Draw(legend)
    draw.text((0, 0), heading, INK, plain)
    for index, (entry, (text, font)) in enumerate(zip(entries, labels, strict=True)):
        left, right = columns[index % across]
        top = (index // across + first) * line + (line - size) // 2
        edge = FRAME if entry.colour == PAPER else None
        draw.rectangle((left, top, left + size, top + size), fill=entry.colour, outline=edge)
        middle = top + size / 2
        draw.text((left + text_left, middle), text, INK, font, anchor="lm")
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


def _label(entry: LegendEntry, size: int, room: int) -> tuple[str, Font]:
    """What is drawn of an entry in a number of pixels, and its font."""
    text = printable(entry.text[:_MOST_LETTERS]) + "..." * (len(entry.text) > _MOST_LETTERS)
    font = font_for(text, size)
    if font is None:
        text, font = entry.instead, _font(entry.instead, size)
    return shorten(text, room, font), font


def _font(text: str, size: int) -> Font:
    font: Any = font_for(text, size)
    assert font is not None  # digits are in every font
    found: Font = font
    return found
