"""Scores of a model: a perfect one, a slow recomputation, and labels that cannot be used."""

import copy
import json
import re
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

import picie.evaluation.scoring
from picie.config import make_config
from picie.data.datasets.registry import open_dataset
from picie.data.folder import PhotoFolder
from picie.data.images import square_crop, square_crop_mask
from picie.data.synthetic.scenes import CLASSES
from picie.errors import ConfigError, DataError, ModelError, NotFittedError
from picie.evaluation.scoring import Evaluation, evaluate
from picie.inference.segmenter import Segmenter, load
from picie.metrics.scores import score
from picie.models.class_names import ClassNames, NamedClass, write_classes
from picie.models.picie import PiCIE
from picie.runtime.progress import Reporter

Ids = NDArray[np.uint8]
COLOURS = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]], np.uint8)


class Colours(PiCIE):
    """A network that knows the class of every colour; cluster i is class order[i]."""

    def __init__(self, order: list[int]) -> None:
        nn.Module.__init__(self)
        centroids = torch.from_numpy(COLOURS[order]).float() / 255 - 0.5
        self.register_buffer("centroids", centroids[None])
        self.register_buffer("groups", torch.arange(len(order))[None])
        self.register_buffer("offsets", torch.zeros(1, len(order)))
        self.register_buffer("trees", torch.empty(1, 0, 3))

    def forward(self, images: Tensor) -> Tensor:
        return images - 0.5


def perfect(order: list[int] | None = None) -> Segmenter:
    return Segmenter(Colours(order or [2, 0, 3, 1]), make_config(size=32, device="cpu", refine=0))


def write_labelled(root: Path, masks: dict[str, Ids], classes: int = 4) -> Path:
    """Images in the colours of their classes; void pixels are black."""
    for name, mask in masks.items():
        image = np.zeros((*mask.shape, 3), np.uint8)
        image[mask != 255] = COLOURS[mask[mask != 255]]
        for folder, pixels in (("images", image), ("masks", mask)):
            path = root / folder / f"{name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(path)
    (root / "classes.txt").write_text("".join(f"class {i}\n" for i in range(classes)))
    return root


def random_mask(height: int, width: int, seed: int = 0) -> Ids:
    rng = np.random.default_rng(seed)
    mask = rng.integers(0, 4, (height, width), dtype=np.uint8)
    return np.where(rng.random((height, width)) < 0.1, 255, mask).astype(np.uint8)


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    """Three images with a short side of 32, so that nothing is resampled."""
    masks = {"a": random_mask(32, 32), "b": random_mask(32, 48, 1), "c/d": random_mask(64, 32, 2)}
    return write_labelled(tmp_path / "labelled", masks)


def slow_scores(truths: list[Ids], masks: list[NDArray[np.int64]]) -> tuple[float, float]:
    """Accuracy and mIoU by loops, with the best of all one-to-one matchings."""
    counts: Counter[tuple[int, int]] = Counter()
    for truth, mask in zip(truths, masks, strict=True):
        for pair in zip(truth.ravel().tolist(), mask.ravel().tolist(), strict=True):
            if pair[0] != 255:
                counts[pair] += 1
    found = []
    for matching in permutations(range(len(CLASSES)), 3):
        hits = {label: counts[label, k] for k, label in enumerate(matching)}
        ious = []
        for label in {label for label, _ in counts}:
            row = sum(n for (t, _), n in counts.items() if t == label)
            column = sum(n for (_, k), n in counts.items() if matching[k] == label)
            ious.append(hits.get(label, 0) / (row + column - hits.get(label, 0)))
        found.append((100 * sum(hits.values()) / counts.total(), 100 * sum(ious) / len(ious)))
    return max(found)


def masks_of(scenes: Path) -> list[tuple[Path, Ids]]:
    names = (scenes / "val.txt").read_text().split()
    return [
        (scenes / f"images/{name}.jpg", np.asarray(Image.open(scenes / f"masks/{name}.png")))
        for name in names
    ]


@pytest.mark.parametrize("crop", ["center", "none"])
@pytest.mark.parametrize("match", ["hungarian", "majority"])
def test_a_perfect_model_scores_100(
    labelled: Path, crop: Literal["center", "none"], match: Literal["hungarian", "majority"]
) -> None:
    scores = evaluate(perfect(), labelled, crop=crop, match=match).scores
    assert (scores.accuracy, scores.miou) == (100, 100)
    assert scores.iou == {f"class {i}": 100 for i in range(4)}
    assert scores.mapping == {0: "class 2", 1: "class 0", 2: "class 3", 3: "class 1"}
    assert (scores.protocol["crop"], scores.protocol["size"]) == (crop, 32)


def test_scores_do_not_depend_on_the_numbers_of_clusters(scenes: Path, model: Segmenter) -> None:
    before = evaluate(model, scenes, split="val").scores
    network = copy.deepcopy(model.network)  # the model is shared by all tests
    centroids, groups, _ = network.view_centroids(0)
    network.set_centroids([centroids], [(groups + 1) % 3])
    after = evaluate(Segmenter(network, model.config), scenes, split="val").scores
    assert (after.accuracy, after.miou) == (before.accuracy, before.miou)
    assert after.mapping == {(k + 1) % 3: name for k, name in before.mapping.items()}


def test_whole_images_against_a_slow_recomputation(scenes: Path, model: Segmenter) -> None:
    pairs = masks_of(scenes)
    accuracy, miou = slow_scores([m for _, m in pairs], [model.predict(p) for p, _ in pairs])
    scores = evaluate(model, scenes, split="val", crop="none").scores
    assert scores.accuracy == pytest.approx(accuracy, abs=1e-9)
    assert scores.miou == pytest.approx(miou, abs=1e-9)
    assert sum(map(sum, scores.confusion)) == 3 * 48 * 64


def test_centre_crops_against_a_slow_recomputation(scenes: Path, model: Segmenter) -> None:
    truths, masks = [], []
    for path, truth in masks_of(scenes):
        image = torch.from_numpy(square_crop(np.asarray(Image.open(path)), 64))
        logits = model.logits(image.permute(2, 0, 1)[None].float() / 255)
        wide = F.interpolate(logits, size=(64, 64), mode="bilinear", align_corners=False)
        masks.append(wide[0].argmax(0).numpy())
        truths.append(square_crop_mask(truth, 64))
    accuracy, miou = slow_scores(truths, masks)
    scores = evaluate(model, scenes, split="val", size=64).scores
    # Batches of another size may move a score in the last place, and with it a pixel at a border.
    assert scores.accuracy == pytest.approx(accuracy, abs=0.05)
    assert scores.miou == pytest.approx(miou, abs=0.05)
    assert scores.protocol["size"] == 64


def test_majority_counts_the_largest_class_of_each_cluster(scenes: Path, model: Segmenter) -> None:
    many = evaluate(model, scenes, split="val", match="majority").scores
    one = evaluate(model, scenes, split="val").scores
    counts = np.array(many.confusion)
    assert many.accuracy == pytest.approx(100 * counts.max(0).sum() / counts.sum())
    assert many.confusion == one.confusion
    assert many.accuracy >= one.accuracy
    assert "not comparable" in many.protocol["matching"]


def test_what_json_holds(scenes: Path, runs: dict[str, Path]) -> None:
    found = evaluate(str(runs["reference"]), str(scenes), split="val")
    values = json.loads(json.dumps(found.to_json()))
    assert set(values) == {
        *("accuracy", "miou", "iou", "share", "recall", "precision"),
        *("classes", "mapping", "protocol", "confusion", "void_share", "other_views"),
    }
    assert values["classes"] == list(CLASSES) == list(values["iou"])
    assert set(values["mapping"]) == {"0", "1", "2"}
    assert len(values["other_views"]) == len(found.other_views) == 1
    protocol = values["protocol"]
    assert (protocol["data"], protocol["split"]) == (str(scenes), "val")
    assert (protocol["images"], protocol["unreadable"], protocol["clusters"]) == (3, 0, 3)
    assert (protocol["uses_names"], protocol["mask_orientation"]) == (False, "shown")
    assert values["void_share"] == 0
    assert protocol["centroids"] == "trained model, view 1 of the last epoch"
    other = found.other_views[0].protocol["centroids"]
    assert other == "trained model, view 2 of the last epoch"


@pytest.mark.parametrize("crop", ["center", "none"])
def test_an_unreadable_image_is_named_counted_and_left_out(
    labelled: Path, crop: Literal["center", "none"], capsys: pytest.CaptureFixture[str]
) -> None:
    mask = random_mask(32, 32, 5)
    write_labelled(labelled, {"b2": mask})
    (labelled / "images/b2.png").write_text("no image")
    evaluation = evaluate(perfect(), labelled, crop=crop, reporter=Reporter())
    scores = evaluation.scores
    assert (scores.accuracy, scores.miou) == (100, 100)
    assert (scores.protocol["images"], scores.protocol["unreadable"]) == (4, 1)
    [problem] = evaluation.to_json()["unreadable"]
    assert "b2.png: cannot be read as an image" in problem
    assert capsys.readouterr().err.count("b2.png: cannot be read as an image") == 1


def test_nothing_readable_is_an_error(labelled: Path) -> None:
    for path in (labelled / "images").rglob("*.png"):
        path.write_text("no image")
    with pytest.raises(DataError, match=r"none of the 3 images .* first: .*a.png: cannot be"):
        evaluate(perfect(), labelled)


def test_a_mask_of_another_size_is_an_error(labelled: Path) -> None:
    Image.fromarray(random_mask(32, 33)).save(labelled / "masks/a.png")
    with pytest.raises(DataError, match=r"a.png: is 33 x 32 pixels, but its image 32 x 32"):
        evaluate(perfect(), labelled)


def test_ids_without_a_class_are_an_error(labelled: Path) -> None:
    (labelled / "classes.txt").write_text("one\ntwo\nthree\n")
    with pytest.raises(DataError, match=r"a.png: holds the ids 3, but classes.txt lists 3"):
        evaluate(perfect(), labelled)


@pytest.mark.parametrize(
    ("gone", "message"),
    [
        ("masks", "there is no masks/"),
        ("classes.txt", "there is no classes.txt"),
        ("masks/a.png", r"1 of 3 images have no mask \(a\)"),
    ],
)
def test_missing_labels_are_an_error(labelled: Path, gone: str, message: str) -> None:
    path = labelled / gone
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(DataError, match=f"labelled: labels are needed; .*{message}"):
        evaluate(perfect(), labelled)


def test_masks_that_are_all_void_are_an_error(tmp_path: Path) -> None:
    void = write_labelled(tmp_path, {"a": np.full((32, 32), 255, np.uint8)})
    with pytest.raises(DataError, match="no labelled pixel to score"):
        evaluate(perfect(), void)


def test_the_share_of_void_pixels(labelled: Path) -> None:
    masks = [np.asarray(Image.open(path)) for path in (labelled / "masks").rglob("*.png")]
    void = sum(int((mask == 255).sum()) for mask in masks)
    found = evaluate(perfect(), labelled, crop="none")
    assert found.scores.void_share == pytest.approx(100 * void / sum(mask.size for mask in masks))
    assert found.to_json()["void_share"] == found.scores.void_share
    square = evaluate(perfect(), labelled).scores.void_share
    assert square not in (None, found.scores.void_share)
    assert found.notes == ()


@pytest.fixture
def binary(labelled: Path) -> Path:
    """Class 0 is 0, and all others are 255."""
    for path in (labelled / "masks").rglob("*.png"):
        mask = np.asarray(Image.open(path))
        Image.fromarray(np.where(mask == 0, 0, 255).astype(np.uint8)).save(path)
    (labelled / "classes.txt").write_text("background\nroad\n")
    return labelled


def test_binary_masks_of_0_and_255_are_an_error(binary: Path) -> None:
    with pytest.raises(DataError, match=r"labelled: the masks hold 0 and 255 alone, .* --mask-map"):
        evaluate(perfect(), binary, match="majority")
    found = evaluate(perfect(), binary, match="majority", mask_map={255: 1})
    assert found.scores.void_share == 0
    assert evaluate(perfect(), binary, match="majority", void="none") == found
    for path in (binary / "masks").rglob("*.png"):
        Image.fromarray(np.asarray(Image.open(path)) // 255).save(path)
    assert evaluate(perfect(), binary, match="majority") == found


def test_a_single_class_is_said(binary: Path) -> None:
    found = evaluate(perfect(), binary, match="majority", void=255)
    assert found.scores.miou == 100
    assert found.notes == (
        "only 'background' has labelled pixels; scores of a single class mean little",
    )
    assert found.to_json()["notes"] == list(found.notes)


def test_rules_for_masks_are_checked_before_scoring(labelled: Path) -> None:
    with pytest.raises(ConfigError, match="--mask-map 7=9: there is no class 9"):
        evaluate(perfect(), labelled, mask_map={7: 9})
    with pytest.raises(ConfigError, match="unknown mask orientation"):
        evaluate(perfect(), labelled, mask_orientation="up")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"size": 33}, "size 33: the side must be a multiple of 32"),
        ({"size": 0}, "size 0: the side must be a multiple of 32"),
        ({"size": -32}, "size -32: the side"),
        ({"crop": "centre"}, "unknown crop 'centre'; known: center, none"),
        ({"match": "best"}, "unknown matching 'best'; known: hungarian, majority"),
        ({"bootstrap": 50}, "a bootstrap of 50 resamples is too small; give 100 or more, or 0"),
        ({"bootstrap": -1}, "a bootstrap of -1 resamples is too small; give 100 or more"),
        ({"bootstrap_rematch": True}, "needs resamples; add --bootstrap 1000, or remove --boot"),
        (
            {"probe_split": "train"},
            "no probe learns from --probe-split 'train'; add --probe linear",
        ),
        ({"probe": "knn"}, r"other than those it is scored on; name the images .*--probe-split"),
        ({"seed": -1}, "seed -1: give 0 or more"),
    ],
)
def test_options_that_are_not_known(labelled: Path, option: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        evaluate(perfect(), labelled, **option)


def test_a_split_that_is_not_there(labelled: Path) -> None:
    with pytest.raises(DataError, match=r"test.txt: does not exist"):
        evaluate(perfect(), labelled, split="test")


def test_a_model_that_learnt_nothing(labelled: Path, tmp_path: Path) -> None:
    config = make_config(
        backbone="test_efficientnet", feature_size=8, size=32, device="cpu", refine=0
    )
    bare = Segmenter(PiCIE(config.backbone, 8, pretrained=False), config)
    with pytest.raises(NotFittedError, match="train it first"):
        evaluate(bare, labelled)
    with pytest.raises(ModelError, match="no such folder"):
        evaluate(tmp_path / "gone", labelled)


# --- fresh centroids


@pytest.mark.parametrize("preset", ["default", "reference"])
def test_fresh_centroids_leave_the_model_as_it_was(
    scenes: Path, runs: dict[str, Path], preset: str
) -> None:
    model = load(runs[preset])
    model.config = model.config.model_copy(update={"kmeans_pixels": 4})  # samples that differ
    before = {name: tensor.clone() for name, tensor in model.network.state_dict().items()}
    found = evaluate(model, scenes, split="val", fresh_clusters=2)
    after = model.network.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert not model.network.training
    assert found.scores == evaluate(model, scenes, split="val").scores
    again = evaluate(model, scenes, split="val", fresh_clusters=2)
    assert again.fresh == found.fresh  # a function of the seed
    assert found.fresh[0].confusion != found.fresh[1].confusion
    protocols = [scores.protocol["centroids"] for scores in found.fresh]
    assert protocols == [f"fresh k-means on unaugmented images, repeat {i}" for i in (1, 2)]


def test_fresh_scores_are_summed_up_by_mean_and_sd(scenes: Path, model: Segmenter) -> None:
    found = evaluate(model, scenes, split="val", fresh_clusters=2)
    low, high = sorted(scores.miou for scores in found.fresh)
    values = found.to_json()["fresh"]
    assert values["miou"]["mean"] == pytest.approx((low + high) / 2)
    assert values["miou"]["sd"] == pytest.approx((high - low) / 2**0.5)
    assert [run["miou"] for run in values["runs"]] == [scores.miou for scores in found.fresh]
    assert Evaluation(found.scores, fresh=found.fresh[:1]).spread("accuracy")["sd"] == 0


def test_a_failure_on_the_way_leaves_the_model_as_it_was(
    scenes: Path, model: Segmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {name: tensor.clone() for name, tensor in model.network.state_dict().items()}
    original, calls = score, []

    def fails_later(*args: Any, **options: Any) -> Any:
        calls.append(1)
        if len(calls) > 1:
            raise KeyboardInterrupt
        return original(*args, **options)

    monkeypatch.setattr(picie.evaluation.scoring, "score", fails_later)
    with pytest.raises(KeyboardInterrupt):
        evaluate(model, scenes, split="val", fresh_clusters=1)
    after = model.network.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_fresh_centroids_need_the_training_images(scenes: Path, model: Segmenter) -> None:
    homeless = Segmenter(model.network, model.config.model_copy(update={"data": ""}))
    with pytest.raises(DataError, match="needs the training images, but the model does not"):
        evaluate(homeless, scenes, split="val", fresh_clusters=1)
    moved = Segmenter(model.network, model.config.model_copy(update={"data": "/gone"}))
    with pytest.raises(DataError, match="/gone: does not exist"):
        evaluate(moved, scenes, split="val", fresh_clusters=1)


# --- groups of classes, intervals


def test_groups_are_scored_in_every_reading(labelled: Path) -> None:
    groups = {"even": (0, 2), "odd": (1, 3)}
    found = evaluate(perfect(), labelled, groups=groups)
    for name, ids in groups.items():
        for one in found.scores.groups[name].values():
            assert (one.accuracy, one.miou) == (100, 100)
            assert list(one.iou) == [f"class {label}" for label in ids]
    values = json.loads(json.dumps(found.to_json()))
    assert set(values["groups"]["odd"]) == {"block", "rows", "rematched"} == set(values["readings"])
    assert "groups" not in evaluate(perfect(), labelled).to_json()


def test_groups_come_along_with_a_data_set(labelled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def opened(*args: Any, **options: Any) -> PhotoFolder:
        return replace(open_dataset(*args, **options), groups={"first": (0,)})

    monkeypatch.setattr(picie.evaluation.scoring, "open_dataset", opened)
    assert list(evaluate(perfect(), labelled).scores.groups) == ["first"]
    assert list(evaluate(perfect(), labelled, groups={"mine": (1,)}).scores.groups) == ["mine"]
    assert evaluate(perfect(), labelled, groups={}).scores.groups == {}


def test_groups_that_cannot_be_are_named_before_scoring(
    labelled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*args: Any, **options: Any) -> None:
        raise AssertionError("scored all the same")

    monkeypatch.setattr(picie.evaluation.scoring, "count_pixels", never)
    with pytest.raises(DataError, match="group 'things' holds class id 4; known ids: 0 to 3"):
        evaluate(perfect(), labelled, groups={"things": (4,)})


@pytest.mark.parametrize("rematch", [False, True])
def test_intervals_hold_the_scores(scenes: Path, model: Segmenter, rematch: bool) -> None:
    found = evaluate(model, scenes, bootstrap=300, bootstrap_rematch=rematch)
    assert found.intervals is not None
    (low, high), (least, most) = found.intervals.accuracy, found.intervals.miou
    assert 0 <= low < high <= 100
    assert 0 <= least < most <= 100
    assert low < found.scores.accuracy < high
    assert (found.intervals.images, found.intervals.resamples) == (9, 300)
    assert found.to_json()["bootstrap"] == found.intervals.to_json()
    assert found == evaluate(model, scenes, bootstrap=300, bootstrap_rematch=rematch)
    other = evaluate(model, scenes, bootstrap=300, bootstrap_rematch=rematch, seed=1)
    assert other.intervals != found.intervals
    assert other.scores == found.scores == evaluate(model, scenes).scores


def test_intervals_are_those_of_the_first_view(scenes: Path, runs: dict[str, Path]) -> None:
    found = evaluate(runs["reference"], scenes, split="val", bootstrap=100)
    assert found.intervals is not None
    low, high = found.intervals.accuracy
    assert low <= found.scores.accuracy <= high
    assert len(found.other_views) == 1


def test_one_image_has_no_interval(tmp_path: Path) -> None:
    one = write_labelled(tmp_path, {"a": random_mask(32, 32)})
    with pytest.raises(DataError, match="1 image with labelled pixels; a bootstrap"):
        evaluate(perfect(), one, bootstrap=100)


# --- names

NAMES = {"class 2": [0], "CLASS 0": [1], "other": [2]}
"""Of the clusters of `perfect`, which are the classes 2, 0, 3 and 1."""


def called(names: dict[str, list[int]], ignored: tuple[int, ...] = ()) -> Segmenter:
    entries = tuple(NamedClass(name, tuple(clusters)) for name, clusters in names.items())
    void = (NamedClass("ignore", ignored, ignore=True),) if ignored else ()
    return perfect().named(ClassNames(4, (*entries, *void)))


@pytest.mark.parametrize("crop", ["center", "none"])
def test_names_are_scored_as_predict_writes_them(
    labelled: Path, crop: Literal["center", "none"]
) -> None:
    found = evaluate(called(NAMES), labelled, crop=crop).scores
    assert found.protocol["uses_names"] is True
    assert found.protocol["matching"] == "none (classes by name)"
    assert found.recall == {"class 0": 100, "class 1": 0, "class 2": 100, "class 3": 0}
    assert found.iou == found.recall
    assert found.mapping == {0: "class 2", 1: "class 0", 2: None, 3: None}
    assert found.protocol["columns"] == ["class 2", "CLASS 0", "other", "cluster 3"]
    assert found.protocol["without_class"].keys() == {"other", "cluster 3"}
    assert found.accuracy == pytest.approx(100 - sum(found.protocol["without_class"].values()))


def test_names_that_are_missing_are_listed(labelled: Path) -> None:
    found = evaluate(called(NAMES), labelled)
    assert found.notes == (
        "named in the model, but not in classes.txt: other",
        "in classes.txt, but not named in the model: class 1, class 3",
    )
    assert found.scores.protocol["not_in_classes_txt"] == ["other"]
    assert found.scores.protocol["not_in_model"] == ["class 1", "class 3"]


@pytest.mark.parametrize("crop", ["center", "none"])
def test_ignored_pixels_are_errors(labelled: Path, crop: Literal["center", "none"]) -> None:
    found = evaluate(called({"class 2": [0], "class 0": [1]}, (2, 3)), labelled, crop=crop).scores
    assert found.recall == {"class 0": 100, "class 1": 0, "class 2": 100, "class 3": 0}
    assert found.protocol["columns"] == ["class 2", "class 0", "ignored"]
    assert list(found.protocol["without_class"]) == ["ignored"]
    assert found.mapping == {0: "class 2", 1: "class 0", 2: None}


def test_merged_names_need_no_matching(labelled: Path) -> None:
    """Two clusters of one class: a one-to-one matching loses one, names do not."""
    for path in (labelled / "masks").rglob("*.png"):
        mask = np.asarray(Image.open(path))
        Image.fromarray(np.where(mask == 3, 0, mask)).save(path)
    (labelled / "classes.txt").write_text("weed\ncrop\nsoil\n")
    model = called({"weed": [1, 2], "crop": [3], "soil": [0]})
    assert evaluate(model, labelled).scores.miou == 100
    assert evaluate(model, labelled, named=False).scores.miou < 90
    assert evaluate(model, labelled, named=False) == evaluate(perfect(), labelled)


def test_case_counts_only_where_it_tells_classes_apart(labelled: Path) -> None:
    (labelled / "classes.txt").write_text("Road\nroad\nSky\nsea\n")
    found = evaluate(called({"ROAD": [0], "road": [1], "sky": [2]}), labelled)
    assert found.scores.mapping == {0: None, 1: "road", 2: "Sky", 3: None}


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ({"match": "majority"}, "--match majority scores clusters"),
        ({"bootstrap": 100, "bootstrap_rematch": True}, "--bootstrap-rematch scores clusters"),
    ],
)
def test_options_that_ask_for_clusters(
    labelled: Path, option: dict[str, Any], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found = evaluate(called(NAMES), labelled, **option, reporter=Reporter())
    assert found == evaluate(perfect(), labelled, **option)
    assert f"{said}, so the names of the model are not used\n" in capsys.readouterr().err
    with pytest.raises(ConfigError, match=f"{said}, not names; remove it, or remove --named"):
        evaluate(called(NAMES), labelled, named=True, **option)


def test_names_that_fit_nothing(labelled: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = called({"sky": [0], "class 1": []})
    assert evaluate(model, labelled, reporter=Reporter()) == evaluate(perfect(), labelled)
    said = capsys.readouterr().err
    assert re.search(r"no name of the model is a class of .* 3\); clusters are scored\n", said)
    with pytest.raises(ConfigError, match="--named: no name of the model is a class"):
        evaluate(model, labelled, named=True)
    with pytest.raises(ConfigError, match="--named: the model has no names; give some with picie"):
        evaluate(perfect(), labelled, named=True)


def test_intervals_and_groups_of_names(labelled: Path) -> None:
    found = evaluate(
        called({f"class {(2, 0, 3, 1)[k]}": [k] for k in range(4)}),
        labelled,
        bootstrap=100,
        groups={"even": (0, 2)},
    )
    assert found.scores.miou == 100
    assert found.intervals is not None
    assert found.intervals.matching == "none (classes by name)"
    assert set(found.intervals.miou) == {100}
    assert set(found.scores.groups["even"]) == {"block", "rows"}


def test_names_come_with_a_run_folder(scenes: Path, runs: dict[str, Path], tmp_path: Path) -> None:
    run = shutil.copytree(runs["reference"], tmp_path / "run")
    before = evaluate(run, scenes, split="val")
    write_classes(run / "classes.toml", ClassNames.of(3, {CLASSES[0]: [0, 1], CLASSES[1]: [2]}))
    found = evaluate(run, scenes, split="val")
    assert found.scores.protocol["uses_names"]
    assert found.other_views == ()  # names belong to the first view
    assert evaluate(run, scenes, split="val", named=False) == before


# --- turned images


def write_turned(root: Path, count: int, orientation: int) -> Path:
    """Images whose masks are drawn on them as they are stored."""
    rng, masks = np.random.default_rng(0), {}
    places = np.moveaxis(np.indices((96, 128)), 0, 2)[:, :, None]
    for number in range(count):  # the areas around 12 points
        points = rng.random((12, 2)) * (96, 128)
        nearest = np.square(places - points).sum(3).argmin(2)
        masks[f"{number}"] = (nearest % 4).astype(np.uint8)
    write_labelled(root, masks)
    exif = Image.Exif()
    exif[274] = orientation
    for path in (root / "images").iterdir():
        with Image.open(path) as image:
            image.load()
        image.save(path, exif=exif)
    return root


@pytest.mark.parametrize("orientation", [2, 3, 4])
def test_masks_that_fit_better_as_stored_are_an_error(tmp_path: Path, orientation: int) -> None:
    folder = write_turned(tmp_path, 4, orientation)
    with pytest.raises(
        DataError, match=r"4 images are turned by EXIF .* as they are stored, not as"
    ):
        evaluate(perfect(), folder, size=96)
    found = evaluate(perfect(), folder, size=96, mask_orientation="stored")
    assert (found.scores.miou, found.notes) == (100, ())
    assert found.scores.protocol["mask_orientation"] == "stored"
    assert evaluate(perfect(), folder, size=96, mask_orientation="shown").scores.miou < 30


def test_too_few_turned_images_are_said(tmp_path: Path) -> None:
    found = evaluate(perfect(), write_turned(tmp_path, 2, 3), size=96)
    [note] = found.notes
    assert note.startswith("2 images are turned by EXIF orientation, and the size does not tell")
    assert note.endswith("pass --mask-orientation stored")
    assert found.scores.protocol["mask_orientation"] == "shown (assumed)"


def test_turned_images_whose_masks_fit_are_said(tmp_path: Path) -> None:
    folder = write_turned(tmp_path, 5, 3)
    for path in (folder / "masks").iterdir():
        Image.fromarray(np.asarray(Image.open(path))[::-1, ::-1]).save(path)
    found = evaluate(perfect(), folder, size=96)
    assert found.scores.miou == 100
    assert found.notes[0].endswith("upright image, where the borders follow the edges")


def test_quarter_turns_name_their_cause(tmp_path: Path) -> None:
    folder = write_turned(tmp_path, 1, 6)
    with pytest.raises(DataError, match=r"is 128 x 96 pixels, but its image 96 x 128: .*EXIF"):
        evaluate(perfect(), folder, size=96)
    assert evaluate(perfect(), folder, size=96, mask_orientation="stored").scores.miou == 100


@pytest.mark.parametrize("crop", ["center", "none"])
def test_labels_in_a_storage_give_the_same_scores(
    scenes: Path, model: Segmenter, stored: Callable[..., str], crop: Literal["center", "none"]
) -> None:
    address = stored(scenes)
    found = [
        evaluate(model, data, split="val", crop=crop, probe="knn", probe_split="train").to_json()
        for data in (scenes, address)
    ]
    assert found[1]["protocol"].pop("data") == address
    assert found[0]["protocol"].pop("data") == str(scenes)
    for scores in found:
        for probe in scores["probes"].values():
            probe["protocol"].pop("data")
    assert found[0] == found[1]
    with pytest.raises(ConfigError, match="--dataset reads local folders; copy the files first"):
        evaluate(model, address, dataset="camvid11", split="val")


def test_an_evaluation_in_one_line_and_as_a_page() -> None:
    better, worse = (score(np.diag([9, wrong]), ["a", "b"], protocol={}) for wrong in (9, 3))
    assert repr(Evaluation(better)) == f"<Evaluation: {repr(better)[1:-1]}>"
    found = Evaluation(
        better, (worse,), (better, worse), probes={"knn": worse}, notes=("<i>",), unreadable=("x",)
    )
    assert repr(found).endswith(
        "; view 2 100.0, 100.0; 2 times fresh clusters 100.0 +- 0.0, 100.0 +- 0.0; "
        "knn probe (uses labels) 100.0, 100.0>"
    )
    html = found._repr_html_()
    for text in ("Scores: pixel accuracy 100.0 %", "view 2", "note: &lt;i&gt;", "1 unreadable"):
        assert text in html
