"""Fonts for names in any script, on machines with and without fonts."""

import pytest
from PIL import ImageFont

from picie.visualization import lettering
from picie.visualization.lettering import font_for


def test_plain_names_need_no_font_of_the_machine() -> None:
    font = font_for("road 12 %", 14)
    assert isinstance(font, ImageFont.FreeTypeFont)
    assert font.getname()[0] == "Aileron"  # Pillow's own


def test_a_text_that_no_font_has() -> None:
    assert font_for("road \U000f1234", 14) is None


def test_on_a_machine_without_fonts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lettering, "_OTHERS", ("no such font.ttf",))
    assert font_for("Gebäude", 14) is None
    assert font_for("building", 14) is not None


@pytest.mark.parametrize("text", ["שמים", "سماء"])
def test_scripts_from_right_to_left_need_a_layout_engine(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("PIL.features.check", lambda _: False)
    assert font_for(text, 14) is None
