"""Probes: a perfect network, a slow recomputation, and splits that must not meet."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from torch import Tensor, nn
from torch.nn import functional as F

import picie.evaluation.probes
from picie.config import make_config
from picie.data.folder import open_folder
from picie.errors import ConfigError, DataError
from picie.evaluation.labelled import Crop, LabelledImages
from picie.evaluation.probes import (
    PENALTY,
    Probe,
    ProbeSettings,
    check_disjoint,
    fit_linear,
    neighbour_votes,
    run_probes,
)
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
        self.register_buffer("trees", torch.empty(1, 0, 3))

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
    with pytest.raises(DataError, match="needs 1 labelled feature pixels and has 0"):
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
        (ProbeSettings("linear", ""), r"name the images to learn from \(--probe-split train"),
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
    with pytest.raises(DataError, match=r"2 images are both in the probe split 'train' and in the"):
        evaluate(colours(), labelled, probe="linear", probe_split="train")  # all images
    (labelled / "train.txt").write_text("b\nc\n")
    learnt, scored = (open_folder(labelled, split, labelled=True) for split in ("train", "val"))
    with pytest.raises(
        DataError, match=r"1 images are both in .* scored split val \(first: .*c.png\)"
    ):
        check_disjoint(learnt, scored)


def test_more_neighbours_than_samples_are_named(labelled: Path) -> None:
    learnt, scored = (
        LabelledImages(open_folder(labelled, split, labelled=True), 32, "center")
        for split in ("train", "val")
    )
    settings = ProbeSettings("knn", "train", neighbours=1000)
    with pytest.raises(DataError, match="needs 1000 labelled feature pixels and has 512"):
        run_probes(colours(), learnt, scored, settings, protocol={}, reporter=QUIET)


# --- classifiers on features against scikit-learn and plain loops


def samples(count: int, classes: int, size: int = 8, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Unit vectors around one direction for each class, so wide that they overlap."""
    generator = torch.Generator().manual_seed(seed)
    centres = torch.randn(classes, size, generator=generator)
    labels = torch.randint(0, classes, (count,), generator=generator)
    points = centres[labels] + 1.5 * torch.randn(count, size, generator=generator)
    return F.normalize(points, dim=1), labels


def objective(features: Tensor, labels: Tensor, weight: Tensor, bias: Tensor) -> float:
    loss = F.cross_entropy(features @ weight.T + bias, labels)
    return float(loss + PENALTY / 2 * weight.square().sum())


def test_linear_equals_scikit_learn() -> None:
    features, labels = samples(600, 4)
    weight, bias = fit_linear(features, labels, 4)
    oracle = LogisticRegression(C=1 / (PENALTY * len(features)), tol=1e-10, max_iter=10_000)
    oracle.fit(features.double().numpy(), labels.numpy())
    found = F.softmax(features @ weight.T + bias, dim=1).numpy()
    expected = oracle.predict_proba(features.double().numpy())
    np.testing.assert_allclose(found, expected, atol=5e-3)
    best = torch.from_numpy(oracle.coef_).float(), torch.from_numpy(oracle.intercept_).float()
    assert objective(features, labels, weight, bias) <= objective(features, labels, *best) + 1e-5


def test_linear_does_not_depend_on_the_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    features, labels = samples(200, 3)
    whole = fit_linear(features, labels, 3)
    monkeypatch.setattr(picie.evaluation.probes, "_ROWS", 37)
    parts = fit_linear(features, labels, 3)
    one, other = (F.softmax(features @ w.T + b, dim=1) for w, b in (whole, parts))
    torch.testing.assert_close(one, other, atol=5e-3, rtol=0)


def test_linear_is_the_same_each_time_and_draws_nothing() -> None:
    features, labels = samples(100, 3)
    before = torch.get_rng_state()
    first, second = (fit_linear(features, labels, 3) for _ in range(2))
    assert torch.equal(first[0], second[0])
    assert torch.equal(first[1], second[1])
    assert torch.equal(torch.get_rng_state(), before)
    assert not first[0].requires_grad


def test_linear_fits_within_no_grad() -> None:
    features, labels = samples(50, 2)
    with torch.no_grad():
        weight, _ = fit_linear(features, labels, 2)
    assert weight.abs().sum() > 0


def test_a_class_without_a_sample_is_never_found() -> None:
    features, labels = samples(100, 2)
    weight, bias = fit_linear(features, labels * 2, 4)  # classes 0 and 2 of 0..3
    assert (weight.shape, bias.shape) == ((4, 8), (4,))
    logits = samples(500, 3, seed=1)[0] @ weight.T + bias
    assert logits.isfinite().all()
    assert set(logits.argmax(1).tolist()) <= {0, 2}
    alone = fit_linear(features, labels, 2)
    torch.testing.assert_close(weight[[0, 2]], alone[0])


def test_separable_classes_are_told_apart() -> None:
    features = F.normalize(torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9]]), dim=1)
    labels = torch.tensor([0, 0, 1, 1])
    weight, bias = fit_linear(features, labels, 2)
    assert (features @ weight.T + bias).argmax(1).tolist() == labels.tolist()


@pytest.mark.parametrize("neighbours", [1, 5, 20])
def test_votes_equal_scikit_learn(neighbours: int) -> None:
    bank, labels = samples(150, 4)
    queries = torch.randn(60, 8, generator=torch.Generator().manual_seed(1))
    found = neighbour_votes(queries, bank, labels, 4, neighbours)
    oracle = KNeighborsClassifier(neighbours, metric="cosine").fit(bank.numpy(), labels.numpy())
    np.testing.assert_allclose(found.numpy(), oracle.predict_proba(queries.numpy()), atol=1e-6)


def test_votes_do_not_depend_on_the_blocks_nor_on_lengths(monkeypatch: pytest.MonkeyPatch) -> None:
    bank, labels = samples(90, 3)
    queries = samples(40, 3, seed=2)[0]
    whole = neighbour_votes(queries, bank, labels, 5, 7)
    assert whole.shape == (40, 5)
    torch.testing.assert_close(whole.sum(1), torch.ones(40))
    monkeypatch.setattr(picie.evaluation.probes, "_SCORES", 1)
    lengths = torch.arange(1.0, 91)[:, None]
    assert torch.equal(neighbour_votes(3 * queries, lengths * bank, labels, 5, 7), whole)


@pytest.mark.parametrize("neighbours", [0, -3])
def test_no_neighbours_are_named(neighbours: int) -> None:
    bank, labels = samples(5, 2)
    with pytest.raises(ConfigError, match=f"{neighbours} neighbours cannot vote; give 1 or more"):
        neighbour_votes(bank, bank, labels, 2, neighbours)


def test_too_few_samples_are_named() -> None:
    bank, labels = samples(5, 2)
    with pytest.raises(DataError, match="needs 6 labelled feature pixels and has 5; give it more"):
        neighbour_votes(bank, bank, labels, 2, 6)
    none = torch.zeros(0, dtype=torch.int64)
    with pytest.raises(DataError, match="needs 1 labelled feature pixels and has 0"):
        fit_linear(torch.zeros(0, 4), none, 2)
