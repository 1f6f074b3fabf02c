"""Looking at all photos in the background."""

from pathlib import Path
from typing import Any

import pytest
import torch

from picie.data.folder import open_folder
from picie.data.reading import Reading
from picie.errors import DataError
from picie.inference.segmenter import Segmenter
from picie.studio import filling as module
from picie.studio.filling import Filling
from picie.studio.index import Index
from picie.studio.photos import Photos


@pytest.fixture
def index(model: Segmenter, scenes: Path, tmp_path: Path) -> Index:
    photos = Photos(open_folder(scenes, reading=Reading()), tmp_path / "cache")
    return Index(photos, model, tmp_path / "index")


def test_all_photos_are_looked_at_once(
    index: Index, model: Segmenter, heard: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PAUSE", 0.0)
    looked = list[int]()
    length = model.network.view_centroids(0)[0].shape[1]

    def look(number: int) -> None:
        looked.append(number)
        if number == 4:
            raise DataError("broken")
        index.add(number, torch.rand(length, 12, 16))

    index.add(7, torch.rand(length, 12, 16))  # somebody saw it first
    filling = Filling(index, look, heard)
    assert filling.progress() == {"done": 1, "total": 9, "failed": 0, "seconds_left": None}
    steps = 0
    while filling.step():
        steps += 1
        if steps == 2:
            left = filling.progress()["seconds_left"]
            assert left is not None
            assert left >= 0
    assert steps == 8
    assert sorted(looked) == [0, 1, 2, 3, 4, 5, 6, 8]
    assert index.problems == {4: "broken"}
    assert filling.progress() == {"done": 9, "total": 9, "failed": 1, "seconds_left": 0.0}
    told = [number for kind, data in heard.news if kind == "photos" for number in data["ids"]]
    assert sorted(told) == list(range(9))
    assert [data["done"] for kind, data in heard.news if kind == "progress"][-1] == 9
    index.close()


def test_it_ends_when_it_is_asked_to(index: Index, heard: Any) -> None:
    filling = Filling(index, lambda number: None, heard)
    filling.stop()
    assert not filling.step()
    assert index.seen == 0
    index.close()
