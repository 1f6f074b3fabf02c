"""Scores on a report: those of `evaluate`, or a sentence."""

import shutil
from pathlib import Path

import pytest
from PIL import Image

from picie.data.folder import open_folder
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


def test_clusters_are_scored_whether_or_not_they_have_names(model: Segmenter, scenes: Path) -> None:
    names = ClassNames(3, (NamedClass("road", (2,)), NamedClass("gone", (0,), ignore=True)))
    plain, _ = score_of(model, open_folder(scenes, "val"))
    named, _ = score_of(model.named(names), open_folder(scenes, "val"))
    assert plain is not None
    assert named is not None
    assert named.miou == plain.miou
    assert named.columns == (("cluster 0", -1), ("cluster 1", 1), ("cluster 2 (road)", 0))


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
