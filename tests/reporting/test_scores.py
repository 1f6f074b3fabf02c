"""Scores on a report: those of `evaluate`, or a sentence."""

import shutil
from pathlib import Path

import pytest
from PIL import Image

from picie.data.folder import open_folder
from picie.data.masks import mask_rule
from picie.evaluation.scoring import evaluate
from picie.inference.segmenter import Segmenter
from picie.models.class_names import ClassNames, NamedClass
from picie.reporting.scores import score_of


def test_they_are_those_of_evaluate(model: Segmenter, scenes: Path) -> None:
    score, note = score_of(model, open_folder(scenes, "val"))
    expected = evaluate(model, scenes, split="val").scores
    assert note == ""
    assert score is not None
    assert (score.accuracy, score.miou) == (expected.accuracy, expected.miou)
    assert score.confusion.tolist() == expected.confusion
    assert [name for name, _, _ in score.rows] == list(expected.classes)
    assert "3 images (val), square centre crops at 32 px, K = 3" in score.protocol
    assert [name for name, _ in score.columns] == ["cluster 0", "cluster 1", "cluster 2"]


def test_names_that_the_folder_lacks_leave_the_score_alone(model: Segmenter, scenes: Path) -> None:
    names = ClassNames(3, (NamedClass("way", (2,)), NamedClass("gone", (0,), ignore=True)))
    plain, _ = score_of(model, open_folder(scenes, "val"))
    named, _ = score_of(model.named(names), open_folder(scenes, "val"))
    assert plain is not None
    assert named is not None
    assert named.miou == plain.miou
    assert named.columns == (("cluster 0", -1), ("cluster 1", 1), ("cluster 2 (way)", 0))
    assert not named.uses_names
    assert named.notes == ()


def test_names_that_the_folder_has_are_scored(model: Segmenter, scenes: Path) -> None:
    names = ClassNames(3, (NamedClass("road", (2,)), NamedClass("gone", (0,), ignore=True)))
    score, _ = score_of(model.named(names), open_folder(scenes, "val"))
    expected = evaluate(model.named(names), scenes, split="val")
    assert score is not None
    assert score.uses_names
    assert score.miou == expected.scores.miou
    assert score.columns == (("road", 0), ("cluster 1", 1), ("ignored", -1))
    assert score.notes == expected.notes
    assert {name: owned for name, _, owned in score.rows}["road"] == "road"


def test_binary_masks(model: Segmenter, scenes: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(scenes, tmp_path / "photos")
    for path in (folder / "masks").iterdir():
        Image.open(path).point(lambda value: 255 * (value > 0)).save(path)
    (folder / "classes.txt").write_text("background\nroad\n")
    score, note = score_of(model, open_folder(folder))
    assert score is None
    assert "pass --mask-map 255=1" in note
    score, note = score_of(model, open_folder(folder), rule=mask_rule(mask_map={255: 1}))
    assert note == ""
    assert score is not None
    assert "0.0 % of the pixels void" in score.protocol


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ("no masks", "There are no labels"),
        ("one mask", "Only 8 of 9 photos have a mask"),
        ("bad mask", "The labels cannot be used: "),
    ],
)
def test_why_there_is_none(
    model: Segmenter, scenes: Path, tmp_path: Path, broken: str, message: str
) -> None:
    folder = tmp_path / "photos"
    shutil.copytree(scenes, folder)
    mask = sorted((folder / "masks").iterdir())[0]
    if broken == "no masks":
        shutil.rmtree(folder / "masks")
    elif broken == "one mask":
        mask.unlink()
    else:
        Image.new("L", (3, 3)).save(mask)
    score, note = score_of(model, open_folder(folder))
    assert score is None
    assert note.startswith(message)
    assert note.endswith(".") or broken == "bad mask"
