"""Names in tables of a narrow terminal."""

import io

import pytest
from rich.console import Console
from rich.table import Table

from picie.cli.tables import swatch, whole_names


def drawn(name: str) -> str:
    table = Table("cluster", "class", "majority %", "pixels", "then")
    table.add_row("3", name, "67.2", "1 234 567", f"{name} 23%")
    console = Console(file=io.StringIO(), width=80)
    console.print(whole_names(table, 1))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_name_stands_in_one_piece_and_nothing_is_cut() -> None:
    text = drawn("secondary_precipitates")
    assert " secondary_precipitates " in text
    assert "23%" in text
    assert "…" not in text
    assert max(map(len, text.splitlines())) == 80


def test_a_very_long_name_is_folded() -> None:
    text = drawn("secondary_precipitates_of_the_second_sample")
    assert "…" not in text
    assert "1 234 567" in text


@pytest.mark.parametrize(
    ("encoding", "shown"), [("utf-8", "███"), ("cp437", "███"), ("ascii", "###")]
)
def test_a_swatch_is_what_the_terminal_can_show(
    encoding: str, shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(io.BytesIO(), encoding=encoding))
    assert swatch() == shown
