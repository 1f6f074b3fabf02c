"""A taught model: learnt from events of real files, saved, loaded and used like any other."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import picie
from picie.annotation.events import digest_of_image, new_event
from picie.annotation.log import append_events
from picie.annotation.teach import annotated, teach
from picie.clustering.tree import cut_tree
from picie.data.folder import open_folder
from picie.errors import ConfigError, DataError
from picie.inference.segmenter import load
from picie.runs import FEATURES_FOLDER, TAUGHT_FOLDER
from picie.types import LabelsUsed


@pytest.fixture
def run(runs: dict[str, Path], tmp_path: Path) -> Path:
    """A copy of a run with two names."""
    folder = tmp_path / "run"
    shutil.copytree(runs["default"], folder)
    picie.name(folder, {"0": "ground", "1": "thing"})
    return folder


def _stroke(scenes: Path, title: str, place: int = 0, **changes: Any) -> Any:
    photo = open_folder(scenes, "train").photos[place]
    values = {
        "act": "stroke",
        "image": photo.name,
        "size": [64, 48],
        "digest": digest_of_image(photo.path),
        "class": title,
        "points": [[8, 8], [30, 20]],
        "radius": 6,
    }
    return new_event("test", **values | changes)


def _say(run: Path, *events: Any) -> None:
    append_events(run / "annotations.jsonl", events)


def test_a_taught_model_is_saved_and_loaded_and_says_what_it_used(run: Path, scenes: Path) -> None:
    before = {path.name: path.read_bytes() for path in run.iterdir() if path.is_file()}
    _say(run, _stroke(scenes, "thing"), _stroke(scenes, "ground", 1), _stroke(scenes, "thing", 2))
    taught = teach(run, scenes)
    assert taught.labels == LabelsUsed(marks=3, images=3, names=2)
    again = load(run / TAUGHT_FOLDER)
    assert again.labels == taught.labels
    assert again.names == taught.names == load(run).names
    photo = open_folder(scenes, "val").photos[0].path
    assert np.array_equal(again.predict(photo), taught.predict(photo))
    kept = {name: (run / name).read_bytes() for name in before if name != "annotations.jsonl"}
    assert kept == {name: b for name, b in before.items() if name != "annotations.jsonl"}


def test_strokes_change_what_they_cover(run: Path, scenes: Path) -> None:
    model = load(run)
    photo = open_folder(scenes, "train").photos[0]
    inside = np.s_[4:24, 4:34]
    other = "thing" if model.names[int(model.predict(photo.path)[14, 18])] != "thing" else "ground"
    corners = [(x, y) for x in range(4, 34, 5) for y in range(4, 24, 5)]
    boxes = [{"act": "box", "box": [x, y, x + 5, y + 5]} for x, y in corners]
    _say(run, *(_stroke(scenes, other, place, **box) for box in boxes for place in range(6)))
    mask = teach(run, scenes).predict(photo.path)
    assert (mask[inside] == model.names.index(other)).mean() > 0.8


def test_a_new_class_gets_an_id_after_the_named_ones(run: Path, scenes: Path) -> None:
    old = load(run)
    _say(run, _stroke(scenes, "bird"))
    taught = teach(run, scenes)
    named = [name for name in old.names if not name.startswith("cluster ")]
    rest = [name for name in old.names if name.startswith("cluster ")]
    assert taught.names == (*named, "bird", *rest)
    assert taught.network.clusters == old.network.clusters + 1


def test_the_tree_holds_the_new_classes_and_cuts_as_before(run: Path, scenes: Path) -> None:
    old = load(run)
    _say(run, _stroke(scenes, "bird"), _stroke(scenes, "fish", 1))
    taught = teach(run, scenes)
    before, after = old.network.trees[0], taught.network.trees[0]
    for k in range(2, len(before) + 2):
        groups = cut_tree(after, k + 2)
        assert torch.equal(groups[:-2], cut_tree(before, k))
        assert groups[-2:].tolist() == [k, k + 1]


def test_nodes_keep_their_names_beside_new_classes(run: Path, scenes: Path) -> None:
    model = load(run, named=False)
    node = model.network.groups.shape[1]  # the first merge
    picie.name(run, {f"n{node}": "pair"}, overwrite=True)
    old = load(run)
    _say(run, _stroke(scenes, "bird"))
    taught = teach(run, scenes)
    pair = old.centroid_ids == old.names.index("pair")
    assert torch.equal(taught.centroid_ids[: len(pair)] == taught.names.index("pair"), pair)


def test_ignored_strokes_make_void(run: Path, scenes: Path) -> None:
    _say(run, *(_stroke(scenes, "ignore", place) for place in range(6)))
    taught = teach(run, scenes)
    assert "ignore" not in taught.names
    assert int(taught.centroid_ids.max()) == taught.clusters


def test_undone_and_erased_strokes_do_not_count(run: Path, scenes: Path) -> None:
    from picie.annotation.log import undo

    _say(run, _stroke(scenes, "thing"), _stroke(scenes, "ground", 1))
    undo(run, by="test")
    assert teach(run, scenes).labels == LabelsUsed(marks=1, images=1, names=2)
    _say(run, _stroke(scenes, "x", act="erase", radius=60))
    with pytest.raises(DataError, match="no stroke or area to learn from"):
        teach(run, scenes)


def test_images_that_are_gone_or_changed_are_named_and_left_out(
    run: Path, scenes: Path, tmp_path: Path
) -> None:
    photos = tmp_path / "photos"
    shutil.copytree(scenes / "images", photos)
    names = [photo.name for photo in open_folder(photos).photos]
    events = [_stroke(scenes, "thing", place, image=names[place]) for place in range(3)]
    events[1] = _stroke(scenes, "thing", 1, image="never/there")
    events[2] = _stroke(scenes, "thing", 2, image=names[2], digest="0" * 16)
    _say(run, *events)
    lessons = annotated(run, photos)
    taught = load(run).taught(lessons)
    assert taught.labels is not None
    assert taught.labels.marks <= 1
    text = "\n".join(lessons.notes)
    assert "never/there" in text
    assert "has changed since it was annotated" in text


def test_contradictions_and_broken_lines_are_said(run: Path, scenes: Path) -> None:
    _say(run, _stroke(scenes, "thing"), _stroke(scenes, "ground"))
    with (run / "annotations.jsonl").open("a") as file:
        file.write('{"act": "stroke", "half')
    lessons = annotated(run, scenes)
    load(run).taught(lessons)
    text = "\n".join(lessons.notes)
    assert "the later one counts" in text
    assert "line 4" in text or "line 5" in text


def test_labelled_images_teach_too(run: Path, scenes: Path) -> None:
    taught = teach(run, scenes, labelled=scenes)
    assert taught.labels is not None
    assert taught.labels.masks > 0
    assert set(open_folder(scenes, labelled=True).classes) & set(taught.names)


def test_features_are_kept_and_a_damaged_file_is_computed_anew(run: Path, scenes: Path) -> None:
    _say(run, _stroke(scenes, "thing"))
    first = teach(run, scenes)
    files = sorted((run / FEATURES_FOLDER).iterdir())
    assert len(files) == 2  # the image, and the sample
    for file in files:
        file.write_bytes(b"\x93NUMPY damaged")
    second = teach(run, scenes)
    assert torch.equal(first.network.centroids, second.network.centroids)


def test_a_taught_model_is_not_taught_again(run: Path, scenes: Path) -> None:
    _say(run, _stroke(scenes, "thing"))
    taught = teach(run, scenes)
    with pytest.raises(ConfigError, match="taught already"):
        taught.taught(annotated(run, scenes))


def test_other_files_are_never_replaced(run: Path, scenes: Path, tmp_path: Path) -> None:
    _say(run, _stroke(scenes, "thing"))
    other = tmp_path / "other"
    other.mkdir()
    (other / "config.json").write_text(json.dumps({"mine": 1}))
    with pytest.raises(ConfigError, match="holds no taught model"):
        teach(run, scenes, out=other)
    with pytest.raises(ConfigError, match="names were changed"):
        teach(run, scenes, out=run)
    teach(run, scenes)
    picie.name(run / TAUGHT_FOLDER, {"0": "mine"})
    with pytest.raises(ConfigError, match="names were changed"):
        teach(run, scenes)


def test_the_reference_preset_can_be_taught(
    runs: dict[str, Path], scenes: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "reference"
    shutil.copytree(runs["reference"], folder)
    _say(folder, _stroke(scenes, "thing"))
    taught = teach(folder, scenes)
    mask = taught.predict(open_folder(scenes, "val").photos[0].path)
    assert mask.max() < taught.clusters


def test_scores_and_card_say_that_labels_were_used(run: Path, scenes: Path, tmp_path: Path) -> None:
    _say(run, _stroke(scenes, "thing"))
    taught = teach(run, scenes)
    values = picie.evaluate(taught, scenes, split="val", named=False).to_json()
    assert values["protocol"]["labels_used"] == "2 names, 1 stroke or area in 1 image"
    assert any("taught with labels" in note for note in values["notes"])
    taught.save_pretrained(tmp_path / "card")
    card = (tmp_path / "card" / "README.md").read_text("utf-8")
    assert "Labels were used" in card
    assert "- unsupervised" not in card


def test_a_new_run_in_the_folder_sets_the_taught_model_aside(
    run: Path, scenes: Path, settings: dict[str, dict[str, Any]]
) -> None:
    _say(run, _stroke(scenes, "thing"))
    taught = teach(run, scenes)
    picie.train(scenes, run, overwrite=True, **settings["default"] | {"epochs": 0})
    assert not (run / TAUGHT_FOLDER).exists()
    assert not (run / FEATURES_FOLDER).exists()
    kept = load(run / "taught.old")
    assert torch.equal(kept.network.centroids, taught.network.centroids)
