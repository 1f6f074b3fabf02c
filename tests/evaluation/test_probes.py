"""Probes: a perfect network, a slow recomputation, and splits that must not meet."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from sklearn.neighbors import KNeighborsClassifier
from torch import Tensor, nn
from torch.nn import functional as F

import picie.evaluation.probes
from picie.config import make_config
from picie.data.folder import open_folder
from picie.errors import ConfigError, DataError
from picie.evaluation.labelled import Crop, LabelledImages
from picie.evaluation.probes import Probe, ProbeSettings, check_disjoint, run_probes
from picie.evaluation.scoring import evaluate
from picie.inference.segmenter import Segmenter
from picie.metrics.scores import Scores
from picie.models.picie import PiCIE
from picie.runtime.progress import Reporter

QUIET = Reporter(quiet=True)
COLOURS = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]], np.uint8)


class Colours(PiCIE):
    """A network whose features are colours; its centroids are good for nothing."""

    def __init__(self) -> None:
        nn.Module.__init__(self)
        self.register_buffer("centroids", torch.ones(1, 2, 3))
        self.register_buffer("groups", torch.arange(2)[None])
        self.register_buffer("offsets", torch.zeros(1, 2))

    def forward(self, images: Tensor) -> Tensor:
        return images - 0.5


def colours() -> Segmenter:
    return Segmenter(Colours(), make_config(size=32, device="cpu"))


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    """Four images in the colours of their classes, void black; two in each split."""
    rng = np.random.default_rng(0)
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    for name in "abcd":
        mask = rng.choice(np.array([0, 1, 2, 3, 255], np.uint8), (32, 32))
        image = np.zeros((32, 32, 3), np.uint8)
        image[mask != 255] = COLOURS[mask[mask != 255]]
        Image.fromarray(image).save(tmp_path / "images" / f"{name}.png")
        Image.fromarray(mask).save(tmp_path / "masks" / f"{name}.png")
    (tmp_path / "classes.txt").write_text("red\ngreen\nblue\nwhite\n")
    (tmp_path / "train.txt").write_text("a\nb\n")
    (tmp_path / "val.txt").write_text("c\nd\n")
    return tmp_path


def probed(
    model: Segmenter, data: Path, kind: Probe = "both", crop: Crop = "center", **options: Any
) -> dict[str, Scores]:
    found = evaluate(
        model, data, split="val", crop=crop, probe=kind, probe_split="train", **options
    )
    return found.probes


@pytest.mark.parametrize("crop", ["center", "none"])
def test_features_that_hold_the_classes_score_100(labelled: Path, crop: Crop) -> None:
    found = evaluate(colours(), labelled, split="val", crop=crop, probe="both", probe_split="train")
    assert {kind: scores.accuracy for kind, scores in found.probes.items()} == {
        "linear": 100,
        "knn": 100,
    }
    assert found.scores.accuracy < 50  # the clusters do not


def test_results_say_that_they_use_labels(labelled: Path) -> None:
    found = evaluate(colours(), labelled, split="val", probe="both", probe_split="train")
    values = found.to_json()
    assert set(values["probes"]) == {"linear", "knn"}
    for kind, one in values["probes"].items():
        assert one["uses_labels"] is True
        assert one["protocol"]["uses_labels"] is True
        assert one["protocol"]["probe_split"] == "train"
        assert one["protocol"]["probe"].startswith(f"{kind}: ")
        assert one["protocol"]["matching"] == "none (classes were predicted)"
        assert one["protocol"]["images"] == 2
        assert "centroids" not in one["protocol"]
        assert set(one["mapping"].values()) == {"red", "green", "blue", "white"}
    assert "uses_labels" not in values
    assert "uses_labels" not in values["protocol"]


def test_only_the_probes_asked_for(labelled: Path) -> None:
    assert list(probed(colours(), labelled, "linear")) == ["linear"]
    assert list(probed(colours(), labelled, "knn")) == ["knn"]
    assert evaluate(colours(), labelled, split="val").probes == {}
    assert "probes" not in evaluate(colours(), labelled, split="val").to_json()


def test_knn_equals_scikit_learn_on_all_cells(scenes: Path, model: Segmenter) -> None:
    """Six images of 8 x 8 cells are fewer than a probe takes: nothing is drawn."""
    found = probed(model, scenes, "knn", neighbours=5)["knn"]
    sized = Segmenter(model.network, model.config)
    size = model.config.size

    def cells(split: str) -> list[tuple[NDArray[np.float32], NDArray[np.uint8], Any]]:
        images = LabelledImages(open_folder(scenes, split, labelled=True), size, "center")
        [batch] = images.batches("reading", QUIET)
        features = F.normalize(sized.features(images.for_network(batch)), dim=1).numpy()
        step = size // features.shape[2]
        return [
            (maps.reshape(len(maps), -1).T, one.truth[step // 2 :: step, step // 2 :: step], one)
            for maps, one in zip(features, batch, strict=True)
        ]

    train = cells("train")
    bank = np.concatenate([features for features, _, _ in train])
    labels = np.concatenate([truth.ravel() for _, truth, _ in train])
    oracle = KNeighborsClassifier(5, metric="cosine").fit(bank, labels)
    matrix = np.zeros((8, 8), dtype=np.int64)
    for features, truth, one in cells("val"):
        share = np.zeros((len(features), 8), dtype=np.float32)
        share[:, oracle.classes_] = oracle.predict_proba(features)
        votes = torch.from_numpy(share.T.reshape(1, 8, *truth.shape))
        wide = F.interpolate(votes, size=(size, size), mode="bilinear", align_corners=False)
        np.add.at(matrix, (one.truth.ravel(), wide[0].argmax(0).numpy().ravel()), 1)
    difference = np.abs(matrix - np.array(found.confusion)).sum()
    assert difference <= 0.02 * matrix.sum()  # ties of votes, and of mixtures of them


def test_probes_change_nothing_and_are_a_function_of_the_seed(
    scenes: Path, model: Segmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(picie.evaluation.probes, "_PIXELS", 9)
    monkeypatch.setattr(picie.evaluation.probes, "_BANK", 40)
    before = {name: tensor.clone() for name, tensor in model.network.state_dict().items()}
    first, again, other = (probed(model, scenes, seed=seed) for seed in (0, 0, 1))
    after = model.network.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert first == again
    assert first["linear"].confusion != other["linear"].confusion
    assert "on 54 feature pixels" in first["linear"].protocol["probe"]  # 9 of each of six images
    assert "of 40 feature pixels" in first["knn"].protocol["probe"]
    plain = evaluate(model, scenes, split="val").scores
    assert evaluate(model, scenes, split="val", probe="both", probe_split="train").scores == plain


def test_every_image_gives_a_share_of_the_most(
    labelled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(picie.evaluation.probes, "_MOST", 10)
    found = probed(colours(), labelled, "linear")["linear"]
    assert "on 10 feature pixels" in found.protocol["probe"]


def test_void_is_not_learnt(labelled: Path) -> None:
    void = np.full((32, 32), 255, np.uint8)
    Image.fromarray(void).save(labelled / "masks/a.png")
    found = probed(colours(), labelled, "linear")["linear"]
    assert found.accuracy == 100
    assert "on 256 feature pixels" in found.protocol["probe"]  # all from b
    Image.fromarray(void).save(labelled / "masks/b.png")
    with pytest.raises(DataError, match="0 labelled feature pixels for a probe that needs 1"):
        probed(colours(), labelled, "linear")


def test_an_unreadable_image_of_the_probe_split_is_named(
    labelled: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (labelled / "images/a.png").write_text("no image")
    found = probed(colours(), labelled, "linear", reporter=Reporter())
    assert found["linear"].accuracy == 100
    assert capsys.readouterr().err.count("a.png: cannot be read as an image") == 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (ProbeSettings("linear", ""), r"name the images it may learn from \(--probe-split train"),
        (ProbeSettings("linear", "val"), "would learn from split 'val', which is scored; give ano"),
        (ProbeSettings("knn", "train", neighbours=0), "0 neighbours cannot vote; give 1 or more"),
    ],
)
def test_settings_that_cannot_be_are_named(settings: ProbeSettings, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        settings.check("val")


def test_an_unknown_probe_is_named(labelled: Path) -> None:
    wrong: Any = "svm"
    with pytest.raises(ConfigError, match="unknown probe 'svm'; known: linear, knn, both"):
        probed(colours(), labelled, wrong)


def test_images_in_both_splits_are_refused(labelled: Path) -> None:
    with pytest.raises(DataError, match=r"2 images are in the probe split 'train' and in what is"):
        evaluate(colours(), labelled, probe="linear", probe_split="train")  # all images
    (labelled / "train.txt").write_text("b\nc\n")
    learnt, scored = (open_folder(labelled, split, labelled=True) for split in ("train", "val"))
    with pytest.raises(DataError, match=r"1 images are in .* scored, val \(first: .*c.png\)"):
        check_disjoint(learnt, scored)


def test_more_neighbours_than_samples_are_named(labelled: Path) -> None:
    learnt, scored = (
        LabelledImages(open_folder(labelled, split, labelled=True), 32, "center")
        for split in ("train", "val")
    )
    settings = ProbeSettings("knn", "train", neighbours=1000)
    with pytest.raises(DataError, match="512 labelled feature pixels for a probe that needs 1000"):
        run_probes(colours(), learnt, scored, settings, protocol={}, reporter=QUIET)
