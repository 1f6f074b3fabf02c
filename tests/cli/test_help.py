"""The help of a verb, in the width of the terminal."""

import pytest

from picie.cli.arguments import Export
from picie.cli.flags import flags_of
from picie.cli.help import grouped, help_text
from picie.cli.parsing import VERBS


@pytest.mark.parametrize("columns", [40, 80, 100, 300])
def test_no_line_is_wider_than_the_terminal(
    columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    for verb in VERBS if columns > 40 else ("train",):
        with pytest.raises(SystemExit) as caught:
            VERBS[verb](["--help"])
        assert caught.value.code == 0
        lines = capsys.readouterr().out.splitlines()
        assert "  " not in lines[0], verb  # demo needs nothing between its name and the options
        told = [line for line in lines if not line.startswith(("  picie", "usage"))]
        assert max(map(len, told)) < max(columns, 80 if columns == 40 else 0), verb
        assert max(map(len, told)) <= 100


def test_flags_are_grouped_by_topic() -> None:
    groups = grouped(flags_of(Export))
    assert list(groups) == ["needed:", "options:", "images:", "masks:", "machine:"]
    assert [flag.name for flag in groups["needed:"]] == ["RUN", "--out"]
    assert {"--stretch", "--images"} <= {flag.name for flag in groups["images:"]}


def test_what_a_flag_takes_is_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    text = help_text("export", "About.\n\nMore.\n\n  picie export x", grouped(flags_of(Export)))
    assert text.startswith(
        "usage: picie export RUN --out PATH [OPTIONS]\n\nAbout.\n\nMore.\n\n  picie"
    )
    assert "--model onnx|torch" in text
    assert "--format NAME" in text
    assert "(one of png, coco, voc" in " ".join(text.split())
    assert "--stretch NUMBER NUMBER\n" in text
    assert "--bands N ..." in text
    assert "None" not in text
    assert "(default: )" not in text
