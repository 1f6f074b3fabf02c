"""What people see of a model and of the mask of a photo."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import ImageShow

from picie.errors import DataError, PicieError
from picie.inference.display import area_shares
from picie.inference.segmenter import Prediction, Segmenter, load
from picie.models.class_names import ClassNames, NamedClass
from picie.models.picie import PiCIE
from picie.types import IGNORED

HOSTILE = "<script>alert(1)</script>"


@pytest.fixture
def photo() -> Prediction:
    mask = np.zeros((300, 1000), np.int16)
    mask[:, 900:] = 1
    mask[:15] = IGNORED
    noise = np.random.default_rng(0).integers(0, 256, (300, 1000, 3), np.uint8)
    colours = np.array([[1, 2, 3], [250, 0, 0]], np.uint8)
    return Prediction(
        "beach", Path("beach.jpg"), noise, mask, names=("sea", HOSTILE), colours=colours
    )


# --- models


def test_a_model_in_one_line(model: Segmenter, runs: dict[str, Path]) -> None:
    network = f"test_efficientnet at 32 px on cpu; from {runs['default']}"
    assert repr(model) == f"<Segmenter: 3 clusters without names; {network}>"
    named = model.named(ClassNames.of(3, {"sky": [0], HOSTILE: [1]}))
    assert repr(named).startswith(
        f"<Segmenter: 2 classes (sky, {HOSTILE}) and 1 cluster without a name; "
    )
    assert repr(model.cut(2)).endswith("; not on disk>")
    one = model.named(ClassNames.of(3, {"all": [0, 1, 2]}))
    assert "<Segmenter: 1 class (all); " in repr(one)


def test_a_model_that_learnt_nothing_is_shown_too(model: Segmenter) -> None:
    empty = Segmenter(PiCIE("test_efficientnet", 8, pretrained=False), model.config)
    assert "<Segmenter: no clusters learnt yet; " in repr(empty)
    assert "no clusters learnt yet" in empty._repr_html_()


def test_the_card_of_a_model(model: Segmenter) -> None:
    entries = NamedClass("sky", (0,), colour="#12ab34"), NamedClass(HOSTILE, (1,))
    html = model.named(ClassNames(3, entries))._repr_html_()
    assert "background:#12ab34" in html
    for text in (
        "<bdi>0</bdi> <bdi>sky</bdi>",
        "<bdi>1</bdi> <bdi>&lt;script&gt;",
        "cluster 2",
        "test_efficientnet at 32 px",
        "Health: ",
    ):
        assert text in html, text
    assert "<script" not in html
    assert len(html) < 4000


def test_health_comes_from_the_run(runs: dict[str, Path], tmp_path: Path) -> None:
    model = load(runs["default"])
    assert model.health["pictures"] == 6
    assert model.cut(2).health == {}
    model.save(tmp_path)
    assert load(tmp_path).health == {}
    assert "Health" not in load(tmp_path)._repr_html_()
    (tmp_path / "health.json").write_text('{"largest_cluster": 0.95, "pictures": 6}')
    assert "Health: one cluster holds 95% of the pixels" in load(tmp_path)._repr_html_()


# --- photos


def test_shares_are_sorted_and_what_is_ignored_comes_last(photo: Prediction) -> None:
    assert photo.mask is not None
    assert area_shares(photo.mask) == pytest.approx({0: 0.855, 1: 0.095, IGNORED: 0.05})
    assert list(area_shares(photo.mask)) == [0, 1, IGNORED]


def test_a_photo_in_one_line(photo: Prediction) -> None:
    assert repr(photo) == f"<Prediction of beach, 1000 x 300: sea 86%, {HOSTILE} 10%, ignored 5%>"
    assert "cluster 0 86%" in repr(replace(photo, names=(), colours=None))


def test_a_photo_as_a_page_is_small_and_whole(photo: Prediction) -> None:
    html = photo._repr_html_()
    assert len(html) < 170_000  # even of noise
    assert html.count('src="data:image/webp;base64,') == 2
    assert not re.search(r"https?:|src=\"[^d]", html)
    shares = "<bdi>sea</bdi> <bdi>85.5%</bdi>", "<bdi>ignored</bdi> <bdi>5.0%</bdi>"
    for text in ("beach, 1000 x 300 pixels", *shares, "#fa0000", "&lt;script"):
        assert text in html
    assert "<script" not in html
    assert "<bdi>cluster 0</bdi> <bdi>85.5%" in replace(photo, names=(), colours=None)._repr_html_()


def test_a_photo_without_a_mask(photo: Prediction) -> None:
    broken = replace(photo, mask=None, problem="is no <image>")
    assert repr(broken) == "<Prediction of beach: is no <image>>"
    assert "is no &lt;image&gt;" in broken._repr_html_()
    with pytest.raises(DataError, match="beach: has no mask to show"):
        broken.overlay()


def test_predictions_know_their_names_and_colours(model: Segmenter, scenes: Path) -> None:
    named = model.named(ClassNames.of(3, {"sky": [0]}))
    for one in (
        next(named.predict_folder(scenes)),
        named.predict_image(np.zeros((9, 9, 3), np.uint8)),
    ):
        assert one.names == named.names
        assert one.colours is not None
        assert (one.colours == named.colours).all()
        width, height = one.overlay().size
        assert (width >= one.image.shape[1], height > one.image.shape[0]) == (True, True)


def test_outside_a_notebook_a_viewer_opens(
    photo: Prediction, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[Any] = []

    def view(*shown: Any) -> bool:
        opened.append(shown)
        return True

    monkeypatch.setattr(ImageShow, "show", view)
    assert photo.show() is None  # type: ignore[func-returns-value]
    assert (opened[0][0].size, opened[0][1]) == ((1000, opened[0][0].height), "beach")
    monkeypatch.setattr(ImageShow, "show", lambda *args: False)
    with pytest.raises(PicieError, match=r'overlay\(\)\.save\("overlay\.png"\)'):
        photo.show()
