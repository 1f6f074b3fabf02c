"""What notebooks show of values: small HTML without files, for light and dark themes."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any, Protocol, cast

from picie.runtime.printable import printable

__all__ = ["Line", "card", "in_notebook", "legend", "paragraph", "picture", "say", "show", "table"]

_LINE = "rgba(128,128,128,.35)"  # visible on white and on black
_CELL = f"padding:2px 10px 2px 0;border-bottom:1px solid {_LINE};text-align:left"
_CARD = "line-height:1.5;max-width:max(60em,880px)"  # photo and overlay side by side
_ENTRY = "display:inline-block;margin-right:1.2em"
_SWATCH = (
    "display:inline-block;width:.9em;height:.9em;margin-right:.5em;vertical-align:-.1em;"
    f"border:1px solid {_LINE};border-radius:2px;background:"
)


def card(title: str, *parts: str) -> str:
    """A title above parts.

    Args:
        title: plain text.
        parts: HTML, as the other functions make it.
    """
    head = f'<div style="font-weight:600;margin-bottom:4px">{_text(title)}</div>'
    return f'<div style="{_CARD}">{head}{"".join(parts)}</div>'


def paragraph(text: str, *, quiet: bool = False) -> str:
    """A line of plain text.

    Args:
        text: plain.
        quiet: dimmed, for what is said beside the matter.
    """
    faint = ' style="opacity:.7"' * quiet
    return f"<div{faint}>{_text(text)}</div>" if text else ""


def table(rows: Iterable[Sequence[str]], head: Sequence[str]) -> str:
    """A table of plain text.

    Args:
        rows: the cells of each row.
        head: a word or two above each column.
    """
    lines = ["".join(f'<th scope="col" style="{_CELL}">{_text(cell)}</th>' for cell in head)]
    lines += ["".join(f'<td style="{_CELL}">{_text(cell)}</td>' for cell in row) for row in rows]
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    return f'<table style="border-collapse:collapse;background:none;margin:4px 0">{body}</table>'


def legend(entries: Iterable[Sequence[str]]) -> str:
    """What colours mean, one after another in lines.

    Args:
        entries: a colour such as #e69f00, or "" for none, and plain texts. They keep their order,
            also beside one that is read from right to left.
    """
    parts = []
    for colour, *texts in entries:
        swatch = f'<span style="{_SWATCH}{escape(colour)}"></span>' if colour else ""
        said = " ".join(f"<bdi>{_text(one)}</bdi>" for one in texts)
        parts.append(f'<span style="{_ENTRY}">{swatch}{said}</span>')
    return f"<div>{' '.join(parts)}</div>"


def picture(address: str, about: str) -> str:
    """An image.

    Args:
        address: its data URI.
        about: what it shows, in words.
    """
    style = "max-width:100%;margin:0 8px 4px 0;vertical-align:top"
    return f'<img src="{escape(address)}" alt="{_text(about)}" style="{style}">'


def in_notebook() -> bool:
    """Whether this process computes the cells of a notebook, which shows HTML."""
    program = sys.modules.get("IPython")
    shell = None if program is None else program.get_ipython()
    return getattr(shell, "kernel", None) is not None


def show(value: Any) -> None:
    """Show a value below the cell of a notebook."""
    _display()(value)


def say(text: str) -> None:
    """Show a line of plain text below the cell of a notebook; a long one is broken."""
    html = f'<div style="font-family:monospace;white-space:pre-wrap">{_text(text)}</div>'
    _display()({"text/plain": printable(text), "text/html": html}, raw=True)


class _Handle(Protocol):
    def update(self, content: Mapping[str, str], *, raw: bool) -> None: ...


class Line:
    """One line below the cell of a notebook, whose text is replaced as often as wanted.

    It needs no widgets, and a notebook that is saved keeps its last text.
    """

    def __init__(self) -> None:
        self._handle: _Handle | None = None

    def write(self, text: str, share: float) -> None:
        """Replace the text.

        Args:
            text: plain.
            share: 0..1, shown as a bar before it.
        """
        style = "vertical-align:middle;margin-right:.6em;width:12em"
        bar = f'<progress value="{share:.3f}" max="1" style="{style}"></progress>'
        content = {"text/plain": printable(text), "text/html": f"<div>{bar}{_text(text)}</div>"}
        if self._handle is None:
            self._handle = cast(_Handle, _display()(content, raw=True, display_id=True))
        else:
            self._handle.update(content, raw=True)


def _display() -> Any:
    from IPython.display import display  # a notebook has it

    return display


def _text(value: str) -> str:
    return escape(printable(value))
