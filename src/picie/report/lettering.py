"""Ink, paper and text that the pictures of this room have in common."""

from PIL import ImageFont

__all__ = ["FRAME", "INK", "PAPER", "QUIET", "Font", "shorten"]

PAPER = (255, 255, 255)
INK = (33, 37, 41)
QUIET = (118, 124, 130)
FRAME = (222, 226, 230)

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def shorten(text: str, room: int, font: Font) -> str:
    """The text, cut to `room` pixels with dots at its end where it is longer."""
    if font.getlength(text) <= room:
        return text
    while text and font.getlength(text + "...") > room:
        text = text[:-1]
    return text + "..."
