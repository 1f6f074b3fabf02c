"""Leaf maps: those of the model, at cells and at pixels, from the network, memory and disk."""

import os
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from picie.data.folder import open_folder
from picie.errors import DataError
from picie.inference.segmenter import Segmenter, load
from picie.models.picie import PiCIE
from picie.runs import FEATURES_FOLDER
from picie.studio import leaves as module
from picie.studio.leaves import Leaves, Rows, frame, model_key
from picie.studio.photos import Photos


class Seen:
    """A register that remembers what it was told."""

    def __init__(self) -> None:
        self.added: list[int] = []
        self.problems: dict[int, str] = {}

    def add(
        self, number: int, features: Tensor, winners: NDArray[np.integer[Any]] | None = None
    ) -> None:
        assert winners is not None
        assert features.shape[1:] == winners.shape
        self.added.append(number)

    def fail(self, number: int, problem: str) -> None:
        self.problems[number] = problem


@pytest.fixture
def run(runs: dict[str, Path], tmp_path: Path) -> Path:
    """A copy of a run."""
    return Path(shutil.copytree(runs["default"], tmp_path / "run"))


@pytest.fixture
def make(run: Path, scenes: Path) -> Callable[..., Leaves]:
    """Opens the maps of some photos."""

    def open_leaves(photos: Path = scenes, split: str = "train") -> Leaves:
        return Leaves(
            load(run, named=False), Photos(open_folder(photos, split), run / "studio"), run
        )

    return open_leaves


def _read(content: bytes) -> tuple[int, int, NDArray[np.integer[Any]]]:
    number, version, width, height, each, good, rest = struct.unpack_from("<IIHHBBH", content)
    assert (good, rest) == (1, 0)
    assert len(content) == 16 + width * height * each
    return number, version, np.frombuffer(content, f"<u{each}", offset=16).reshape(height, width)


def test_a_map_has_the_best_centroid_of_each_cell(make: Callable[..., Leaves]) -> None:
    leaves = make()
    number, version, cells = _read(leaves.frames([2])[0])
    features = torch.from_numpy(leaves.features(2)).float()
    scores = leaves.model.centroid_scores(features[None])[0]
    assert (number, version) == (2, leaves.rows.version)
    assert np.array_equal(cells, scores.argmax(0).numpy())
    assert np.array_equal(leaves.base(2), cells)


def test_maps_come_in_the_order_that_was_asked_for(make: Callable[..., Leaves]) -> None:
    leaves = make()
    leaves.frames([1, 3])
    assert [_read(one)[0] for one in leaves.frames([3, 0, 1, 2])] == [3, 0, 1, 2]


def test_learnt_rows_are_those_of_the_taught_model(make: Callable[..., Leaves]) -> None:
    leaves = make()
    old = leaves.rows.version
    rows = torch.randn(10, 8, generator=torch.Generator().manual_seed(1))
    offsets = torch.linspace(-1, 1, 10)
    leaves.use((rows, offsets))
    assert (leaves.rows.version, leaves.rows.count) == (old + 1, 10)
    features = torch.from_numpy(leaves.features(0)).float()
    unit = torch.nn.functional.normalize(features.flatten(1), dim=0)
    best = (rows @ unit + offsets[:, None]).argmax(0)
    cells = _read(leaves.frames([0])[0])[2]
    assert (cells.ravel() == best.numpy()).mean() > 0.99  # but for rounding
    leaves.use(None)
    assert (leaves.rows.version, leaves.rows.count) == (old + 2, 8)
    assert np.array_equal(_read(leaves.frames([0])[0])[2], leaves.base(0))


def test_maps_and_features_are_found_on_the_disk(
    make: Callable[..., Leaves], run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, leaves = Seen(), make()
    leaves.register = seen
    assert leaves.kept(1) is None
    first = leaves.frames([0, 1])
    assert seen.added == [0, 1]
    assert len(list((run / FEATURES_FOLDER).iterdir())) == 2
    again = make()

    def refuse(*args: object) -> None:
        raise AssertionError("the network is not needed")

    monkeypatch.setattr(Segmenter, "features", refuse)
    kept = again.kept(1)
    assert kept is not None
    assert np.array_equal(kept, _read(first[1])[2])
    for old, new in zip(first, again.frames([0, 1]), strict=True):
        assert np.array_equal(_read(old)[2], _read(new)[2])
    again.use((torch.eye(8), torch.zeros(8)))
    _read(again.frames([1])[0])


@pytest.mark.parametrize("damage", [b"", b"no frame", bytes(16), bytes(400)])
def test_a_damaged_map_on_the_disk_is_made_anew(make: Callable[..., Leaves], damage: bytes) -> None:
    leaves = make()
    first = leaves.frames([0])[0]
    (path,) = (leaves.folder / "maps").iterdir()
    path.write_bytes(damage)
    again = make()
    assert np.array_equal(_read(again.frames([0])[0])[2], _read(first)[2])


def test_a_photo_that_cannot_be_read_has_an_empty_map(
    make: Callable[..., Leaves], tmp_path: Path, scenes: Path
) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "a.jpg").write_text("no photo")
    shutil.copy(scenes / "images" / "scene_0000.jpg", photos / "b.jpg")
    shutil.copy(scenes / "images" / "scene_0001.jpg", photos / "c.jpg")
    leaves, seen = make(photos, ""), Seen()
    leaves.register = seen
    (photos / "c.jpg").unlink()
    broken, good, gone = leaves.frames([0, 1, 2])
    assert struct.unpack("<IIHHBBH", broken) == (0, leaves.rows.version, 0, 0, 1, 0, 0)
    assert gone == struct.pack("<IIHHBBH", 2, leaves.rows.version, 0, 0, 1, 0, 0)
    assert _read(good)[0] == 1
    assert set(seen.problems) == {0, 2}
    with pytest.raises(DataError, match=r"a\.jpg"):
        leaves.fine(0)


def test_memory_holds_some_photos_and_those_in_view_only(
    make: Callable[..., Leaves], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_IN_MEMORY", 2)
    leaves = make()
    for number in range(4):
        leaves.features(number)
    assert [leaves.is_ready(number) for number in range(4)] == [False, False, True, True]
    leaves.features(0, hold=False)
    assert [leaves.is_ready(number) for number in range(4)] == [False, False, True, True]
    assert [_read(one)[0] for one in leaves.frames([2, 0, 1, 3])] == [2, 0, 1, 3]


def test_a_photo_that_changes_has_another_map_at_once(
    make: Callable[..., Leaves], tmp_path: Path, scenes: Path
) -> None:
    photos = Path(shutil.copytree(scenes / "images", tmp_path / "photos"))
    leaves = make(photos, "")
    old = _read(leaves.frames([0])[0])[2]
    path = leaves.photos.folder.photos[0].path
    shutil.copyfile(leaves.photos.folder.photos[3].path, path)
    os.utime(path, (1, 1))
    assert np.array_equal(_read(leaves.frames([0])[0])[2], leaves.base(3))
    kept = leaves.kept(0)
    assert kept is not None
    assert np.array_equal(kept, old)  # of the photo as it was listed


def test_features_are_kept_as_long_as_there_is_room(
    make: Callable[..., Leaves], run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MOST_BYTES", 1)
    leaves = make()
    leaves.features(0)
    leaves.features(1)
    assert len(list((run / FEATURES_FOLDER).iterdir())) == 1
    make().features(1)
    assert len(list((run / FEATURES_FOLDER).iterdir())) == 1


def test_fine_maps_are_the_prediction_of_all_leaves(
    make: Callable[..., Leaves], scenes: Path
) -> None:
    leaves = make()
    whole = leaves.model.cut(8)
    photo = open_folder(scenes, "train").photos[1]
    number, version, pixels = _read(leaves.fine(1))
    assert (number, version) == (1, leaves.rows.version)
    assert np.array_equal(pixels, whole.predict(photo.path))
    leaves.use((whole.network.centroids[0] * 3, torch.zeros(8)))
    assert _read(leaves.fine(1))[1] == version + 1
    leaves.model = leaves.model.post_processed(refine=2)
    leaves.use(None)
    assert np.array_equal(_read(leaves.fine(1))[2], leaves.model.cut(8).predict(photo.path))


def test_fine_maps_of_large_photos_are_smaller_than_these(
    make: Callable[..., Leaves], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    Image.effect_noise((3000, 150), 90).convert("RGB").save(photos / "wide.jpg")
    leaves = make(photos, "")
    assert _read(leaves.fine(0))[2].shape == (102, 2048)
    monkeypatch.setattr(module, "TILE", 128)  # the input of the network has more
    leaves.use(None)
    assert _read(leaves.fine(0))[2].shape == (102, 2048)


def test_more_than_256_rows_take_two_bytes_each() -> None:
    winners = np.array([[0, 1], [299, 2], [3, 4]])
    number, version, read = _read(frame(7, Rows(2**32 - 1, 300), winners))
    assert (number, version) == (7, 2**32 - 1)
    assert np.array_equal(read, winners)


def test_versions_end_where_their_four_bytes_do(make: Callable[..., Leaves]) -> None:
    leaves = make()
    leaves.rows = Rows(2**32 - 1, 8)
    leaves.use(None)
    assert leaves.rows.version == 0


def test_the_key_changes_with_what_maps_depend_on(model: Segmenter) -> None:
    other = Segmenter(PiCIE.regrouped(model.network, [model.network.groups[0] * 0]), model.config)
    assert model_key(model) == model_key(model.named(None))
    assert model_key(model) != model_key(other)
    assert model_key(model) != model_key(model.at_size(64))
