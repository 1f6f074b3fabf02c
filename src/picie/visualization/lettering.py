"""Fonts for texts from outside: class names in any script, as far as this machine can draw them."""

import unicodedata
from functools import lru_cache

from PIL import ImageFont, features

from picie.visualization.palette import Font

__all__ = ["font_for"]

# Pillow's own font has little more than ASCII. These have more, and are on most machines.
_OTHERS = (
    "DejaVuSans.ttf",
    "Arial.ttf",
    "arial.ttf",
    "NotoSansCJK-Regular.ttc",
    "NotoSans-Regular.ttf",
    "Arial Unicode.ttf",
    "msyh.ttc",
)
_MISSING = "\uffff"  # no character, so every font draws its mark for missing ones


def font_for(text: str, size: int) -> Font | None:
    """The first font that has all characters of a text; None if no font here has them.

    Args:
        text: one line.
        size: in pixels.
    """
    from_right = any(unicodedata.bidirectional(one) in ("R", "AL") for one in text)
    if from_right and not features.check("raqm"):  # the order would be wrong
        return None
    names = ("", *_OTHERS) if not text.isascii() else ("",)
    fonts = (font for name in names if (font := _opened(name, size)) is not None)
    return next((font for font in fonts if all(_has(font, one) for one in set(text))), None)


@lru_cache(maxsize=256)
def _opened(name: str, size: int) -> Font | None:
    """A font by its file name; "" = Pillow's own."""
    try:
        return ImageFont.truetype(name, size) if name else ImageFont.load_default(size)
    except OSError:
        return None


@lru_cache(maxsize=4096)
def _has(font: Font, character: str) -> bool:
    return character.isspace() or bytes(font.getmask(character)) != bytes(font.getmask(_MISSING))
