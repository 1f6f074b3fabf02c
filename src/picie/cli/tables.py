"""Tables on the terminal in which names can be read, and typed, in full."""

import sys

from rich.table import Table

__all__ = ["swatch", "whole_names"]

_BLOCK = "███"
_ROOM = 32  # characters; longer names are folded


def swatch() -> str:
    """What stands for a colour: a block, or plain signs where standard output has none."""
    try:
        _BLOCK.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return "###"
    return _BLOCK


def whole_names(table: Table, column: int) -> Table:
    """The same table, in which nothing is cut off: narrow terminals fold the other columns first.

    Args:
        table: with all its rows.
        column: that of the names.
    """
    for each in table.columns:
        each.overflow = "fold"
    names = table.columns[column]
    names.no_wrap = all(len(str(cell)) <= _ROOM for cell in names.cells)
    return table
