"""Text from file names, files and models, made safe to show on a terminal and in a log."""

import logging
import unicodedata
from typing import Any

__all__ = ["PrintableFormatter", "printable", "shown"]

_JOINERS = "\u200c\u200d"  # invisible, but part of Persian words and of many emoji
_HIDDEN = ("Cc", "Cf", "Cs", "Zl", "Zp")  # control, format, surrogate, separators
_LONGEST = 80  # characters of a value in a message


def printable(text: str) -> str:
    r"""Escape what could command a terminal, mislead a reader, or fail to be written.

    These are control characters, line breaks, marks that reorder text, invisible ones, and bytes
    of file names that are not valid UTF-8. All other characters stay.

    Example:
        >>> printable("é 日本 \x1b[31m\n")
        'é 日本 \\x1b[31m\\n'
    """
    if text.isprintable():
        return text
    return "".join(_escaped(one) if _is_hidden(one) else one for one in text)


def shown(value: Any) -> str:
    """The value as Python writes it, for a message: one short line, whatever the value is."""
    try:
        # Of a long text only the beginning, because it may have gigabytes.
        text = repr(value[: 2 * _LONGEST] if isinstance(value, str | bytes) else value)
    except (ValueError, RecursionError):  # a number of thousands of digits, or a deep nesting
        text = f"a huge {type(value).__name__}"
    if len(text) > _LONGEST:
        text = text[: _LONGEST - 3] + "..."
    return printable(text)


class PrintableFormatter(logging.Formatter):
    """Formats log records as lines: messages are escaped, tracebacks keep their line breaks."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        """The line of a record."""
        return printable(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:
        """The lines of a traceback."""
        return "\n".join(printable(line) for line in super().formatException(ei).split("\n"))


def _is_hidden(character: str) -> bool:
    return unicodedata.category(character) in _HIDDEN and character not in _JOINERS


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
