import sys
from types import SimpleNamespace
from typing import Any

import pytest

from picie.runtime import notebook

HOSTILE = "<script>\x1b[31m\u202e&\"'"
ESCAPED = r"&lt;script&gt;\x1b[31m\u202e&amp;&quot;&#x27;"


class Shell:
    """What IPython is to a notebook: the kernel's shell, and what was displayed."""

    def __init__(self) -> None:
        self.kernel = object()
        self.shown: list[Any] = []

    def display(self, value: Any, **options: Any) -> "Shell":
        self.shown.append((value, options))
        return self

    def update(self, value: Any, **options: Any) -> None:
        self.shown.append((value, options))


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch) -> Shell:
    made = Shell()
    program = SimpleNamespace(get_ipython=lambda: made)
    monkeypatch.setitem(sys.modules, "IPython", program)
    place = SimpleNamespace(display=made.display)
    monkeypatch.setitem(sys.modules, "IPython.display", place)
    return made


def test_text_from_outside_is_escaped_everywhere() -> None:
    parts = [
        notebook.card(HOSTILE),
        notebook.paragraph(HOSTILE),
        notebook.table([(HOSTILE,)], (HOSTILE,)),
        notebook.legend([(HOSTILE, HOSTILE)]),
        notebook.picture(HOSTILE, HOSTILE),
    ]
    for part in parts:
        assert "<script>" not in part
    assert "".join(parts).count(ESCAPED) == 6


def test_a_share_stays_behind_a_name_that_is_read_from_right_to_left() -> None:
    shown = notebook.legend([("#fff", "5", "طريق", "4.8%")])
    assert "<bdi>5</bdi> <bdi>طريق</bdi> <bdi>4.8%</bdi>" in shown


def test_nothing_is_said_with_nothing() -> None:
    assert notebook.paragraph("") == ""


def test_a_notebook_is_a_kernel_not_a_terminal(
    monkeypatch: pytest.MonkeyPatch, shell: Shell
) -> None:
    assert notebook.in_notebook()
    del shell.kernel  # IPython on a terminal
    assert not notebook.in_notebook()
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: None))
    assert not notebook.in_notebook()
    monkeypatch.delitem(sys.modules, "IPython")
    assert not notebook.in_notebook()


def test_a_line_is_shown_once_and_then_changed(shell: Shell) -> None:
    line = notebook.Line()
    line.write("a: 1/2", 0.5)
    line.write(HOSTILE, 1.0)
    (first, options), (second, again) = shell.shown
    assert first["text/plain"] == "a: 1/2"
    assert 'value="0.500"' in first["text/html"]
    assert (options, again) == ({"raw": True, "display_id": True}, {"raw": True})
    assert ESCAPED in second["text/html"]


def test_a_value_and_a_line_are_shown(shell: Shell) -> None:
    notebook.show(3)
    notebook.say(HOSTILE)
    assert shell.shown[0] == (3, {})
    assert ESCAPED in shell.shown[1][0]["text/html"]
