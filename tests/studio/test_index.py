"""What is known of all photos, and that it survives kills and changes of the folder."""

import errno
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from picie.annotation.features import feature_maps
from picie.annotation.queue import spread, summaries
from picie.data.folder import open_folder
from picie.data.reading import Reading
from picie.errors import PicieError
from picie.inference.segmenter import Segmenter
from picie.reporting.collect import HEAT_SIDE
from picie.reporting.leaves import inner_cells
from picie.studio import index as module
from picie.studio.index import UNKNOWN, WHOLE, Index
from picie.studio.photos import Photos


@pytest.fixture
def folder(scenes: Path, tmp_path: Path) -> Path:
    """Nine photos that may be changed."""
    return Path(shutil.copytree(scenes / "images", tmp_path / "photos"))


def listed(folder: Path) -> Photos:
    return Photos(open_folder(folder, reading=Reading()), folder.parent / "cache")


class Opened:
    """An index, and the number of photos that went through the network for it."""

    def __init__(self, model: Segmenter, photos: Photos, path: Path) -> None:
        self.model, self.photos = model, photos
        self.index = Index(photos, model, path)
        self.looks = 0

    def fill(self, most: int = 1000) -> None:
        for number in list(self.index.missing())[:most]:
            photo = self.photos.folder.photos[number]
            one = replace(self.photos.folder, photos=(photo,))
            ((_, features),) = feature_maps(self.model, one)
            assert features is not None
            self.index.add(number, features)
            self.looks += 1


@pytest.fixture
def full(model: Segmenter, folder: Path, tmp_path: Path) -> Iterator[Opened]:
    opened = Opened(model, listed(folder), tmp_path / "index")
    opened.fill()
    yield opened
    opened.index.close()


def test_counts_are_those_of_the_cells(full: Opened) -> None:
    counts = full.index.counts()
    assert counts.shape == (9, full.index.leaves)
    assert counts.dtype == np.uint16
    whole = full.model.cut(full.index.leaves)
    for number, (_, features) in enumerate(feature_maps(full.model, full.photos.folder)):
        assert features is not None
        leaves = whole.classify(features[None])[0].argmax(0)
        wanted = torch.bincount(leaves.flatten(), minlength=full.index.leaves) / leaves.numel()
        np.testing.assert_allclose(counts[number] / WHOLE, wanted.numpy(), atol=1e-5)
        shares = full.index.shares([0, 2, 3])
        assert shares[number] == pytest.approx(float(wanted[[0, 2, 3]].sum()), abs=1e-4)


def test_photos_that_were_not_looked_at_are_marked(
    model: Segmenter, folder: Path, tmp_path: Path
) -> None:
    opened = Opened(model, listed(folder), tmp_path / "index")
    opened.fill(2)
    counts = opened.index.counts()
    assert [number for number in range(9) if (counts[number] != UNKNOWN).any()] == [0, 4]
    assert opened.index.seen == 2
    opened.index.close()


def test_the_order_is_spread_over_the_folder(
    model: Segmenter, folder: Path, tmp_path: Path
) -> None:
    opened = Opened(model, listed(folder), tmp_path / "index")
    assert list(opened.index.missing()) == spread(9).tolist()
    opened.index.fail(4, "broken")
    assert 4 not in list(opened.index.missing())
    assert opened.index.seen == 1
    assert opened.index.take_added() == [4]
    assert opened.index.take_added() == []
    opened.index.close()


def test_summaries_are_those_of_the_queue(full: Opened) -> None:
    wanted = list(summaries(full.model, full.photos.folder))
    found = full.index.summaries([3, 1])
    for one, number in zip(found, [3, 1], strict=True):
        assert one.name == wanted[number].name
        np.testing.assert_allclose(one.cells, wanted[number].cells, atol=2e-3)


def test_the_heat_is_where_a_leaf_is(full: Opened) -> None:
    every = full.index.heat(range(full.index.leaves))
    np.testing.assert_array_equal(every, np.ones((HEAT_SIDE, HEAT_SIDE)))
    parts = [full.index.heat([leaf]) for leaf in range(full.index.leaves)]
    np.testing.assert_allclose(np.sum(parts, axis=0), every)
    places = np.stack([full.index.places(number) for number in range(9)])
    np.testing.assert_allclose(parts[1], (places == 1).mean(0))


@pytest.mark.parametrize("typical", [True, False])
def test_extremes_are_the_best_and_worst_cells(full: Opened, *, typical: bool) -> None:
    centroids = torch.nn.functional.normalize(full.model.network.view_centroids(0)[0], dim=1)
    whole = full.model.cut(full.index.leaves)
    leaves = [0, 3]
    numbers, cells = full.index.extremes(leaves, typical=typical)
    found = dict(zip(numbers.tolist(), cells, strict=True))
    for number, (_, features) in enumerate(feature_maps(full.model, full.photos.folder)):
        assert features is not None
        winners = whole.classify(features[None])[0].argmax(0).numpy()
        unit = torch.nn.functional.normalize(features, dim=0)
        similar = torch.einsum("pd,dhw->phw", centroids, unit).numpy()
        inner = inner_cells(*winners.shape)
        values = []
        for leaf in leaves:
            members = winners == leaf
            members = members & inner if (members & inner).any() else members
            values += similar[leaf][members].tolist()
        if not values:
            assert number not in found
            continue
        wanted = max(values) if typical else min(values)
        assert float(found[number]["value"]) == pytest.approx(wanted, abs=2e-3)
        height, width = winners.shape
        row = int(found[number]["row"]) * height // 65536
        column = int(found[number]["column"]) * width // 65536
        assert winners[row, column] in leaves
        assert similar[winners[row, column], row, column] == pytest.approx(wanted, abs=2e-3)


def test_a_second_start_finds_everything(full: Opened, tmp_path: Path) -> None:
    counts, summary = full.index.counts(), full.index.summaries([5])[0].cells.copy()
    full.index.close()
    again = Opened(full.model, full.photos, tmp_path / "index")
    again.fill()
    assert again.looks == 0
    np.testing.assert_array_equal(again.index.counts(), counts)
    np.testing.assert_array_equal(again.index.summaries([5])[0].cells, summary)
    again.index.close()


def test_unchanged_photos_keep_their_rows_wherever_they_are_in_the_list(
    full: Opened, folder: Path, tmp_path: Path
) -> None:
    before = dict(zip(full.photos.names, full.index.counts(), strict=True))
    full.index.close()
    names = full.photos.names
    (folder / f"{names[1]}.jpg").unlink()
    shutil.copy(folder / f"{names[2]}.jpg", folder / "a_new_one.jpg")
    shutil.copy(folder / f"{names[3]}.jpg", folder / f"{names[4]}.jpg")  # another photo, same name
    again = Opened(full.model, listed(folder), tmp_path / "index")
    changed = {"a_new_one", names[4]}
    known = {name for name, one in zip(again.photos.names, again.index.known, strict=True) if one}
    assert known == set(again.photos.names) - changed
    again.fill()
    assert again.looks == 2
    after = dict(zip(again.photos.names, again.index.counts(), strict=True))
    for name in set(after) - changed:
        np.testing.assert_array_equal(after[name], before[name])
    np.testing.assert_array_equal(after["a_new_one"], before[names[2]])
    np.testing.assert_array_equal(after[names[4]], before[names[3]])
    again.index.close()


def test_rows_of_photos_that_come_back_are_still_there(
    full: Opened, folder: Path, tmp_path: Path
) -> None:
    full.index.close()
    aside = tmp_path / "aside"
    aside.mkdir()
    for name in full.photos.names[:4]:
        (folder / f"{name}.jpg").rename(aside / f"{name}.jpg")
    fewer = Opened(full.model, listed(folder), tmp_path / "index")
    fewer.fill()
    assert fewer.looks == 0
    fewer.index.close()
    for file in aside.iterdir():
        file.rename(folder / file.name)
    again = Opened(full.model, listed(folder), tmp_path / "index")
    again.fill()
    assert again.looks == 0
    again.index.close()


def leave_two_and_a_copy(full: Opened, folder: Path) -> None:
    """Close the index, and change its folder: seven photos are gone, and one is new."""
    full.index.close()
    for name in full.photos.names[:7]:
        (folder / f"{name}.jpg").unlink()
    shutil.copy(folder / f"{full.photos.names[8]}.jpg", folder / "a.jpg")


def test_old_rows_are_used_again_once_there_are_more_of_them_than_photos(
    full: Opened, folder: Path, tmp_path: Path
) -> None:
    leave_two_and_a_copy(full, folder)
    fewer = Opened(full.model, listed(folder), tmp_path / "index")
    fewer.fill()
    assert fewer.looks == 1
    fewer.index.close()
    assert (tmp_path / "index" / "heads.bin").stat().st_size == 9 * module._HEAD.itemsize
    again = Opened(full.model, listed(folder), tmp_path / "index")
    again.fill()
    assert again.looks == 0
    np.testing.assert_array_equal(again.index.counts()[0], again.index.counts()[2])
    again.index.close()


def test_a_kill_loses_what_was_not_written_and_nothing_else(
    model: Segmenter, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_CHUNK", 4)
    killed = Opened(model, listed(folder), tmp_path / "index")
    killed.fill(6)
    killed.index._stack.close()  # only the lock goes
    again = Opened(model, killed.photos, tmp_path / "index")
    assert int(again.index.known.sum()) == 4
    again.fill()
    assert again.looks == 5
    np.testing.assert_array_equal(again.index.counts()[[0, 4]], killed.index.counts()[[0, 4]])
    again.index.close()


def test_a_row_that_is_replaced_does_not_count_meanwhile(
    full: Opened, folder: Path, tmp_path: Path
) -> None:
    leave_two_and_a_copy(full, folder)
    killed = Opened(full.model, listed(folder), tmp_path / "index")
    killed.fill()
    killed.index._stack.close()
    again = Opened(full.model, full.photos, tmp_path / "index")
    assert int(again.index.known.sum()) == 8  # one made room for the row that was lost
    again.index.close()


@pytest.mark.parametrize("content", [b"", b"{}", b'{"format": 99}', b"\xff"])
def test_files_of_another_model_or_version_begin_anew(
    full: Opened, tmp_path: Path, content: bytes
) -> None:
    full.index.close()
    (tmp_path / "index" / "index.json").write_bytes(content)
    again = Opened(full.model, full.photos, tmp_path / "index")
    assert not again.index.known.any()
    again.fill()
    assert again.looks == 9
    again.index.close()


def test_files_that_are_cut_short_begin_anew(full: Opened, tmp_path: Path) -> None:
    full.index.close()
    with (tmp_path / "index" / "cells.bin").open("r+b") as file:
        file.truncate(1000)
    again = Opened(full.model, full.photos, tmp_path / "index")
    assert not again.index.known.any()
    again.index.close()


def test_a_second_studio_of_the_same_run_keeps_nothing(full: Opened, tmp_path: Path) -> None:
    second = Opened(full.model, full.photos, tmp_path / "index")
    assert "is in use" in second.index.note
    second.fill()
    assert second.looks == 9
    assert full.index.note == ""
    second.index.close()


def test_a_known_photo_is_not_added_again(full: Opened) -> None:
    before = full.index.counts()
    full.index.add(0, torch.rand(before.shape[1], 4, 4))
    np.testing.assert_array_equal(full.index.counts(), before)


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="the system cannot set space aside")
def test_a_full_disk_is_told_before_a_map_is_written(
    full: Opened, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To write into a map that has no space on the disk would kill the process."""

    def none_left(*_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", none_left)
    with pytest.raises(PicieError, match=r"counts\.bin: .*No space left on device"):
        Index(full.index.photos, full.model, tmp_path)


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="the system cannot set space aside")
def test_a_file_system_that_cannot_set_space_aside_will_do(
    full: Opened, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def not_here(*_: int) -> None:
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    monkeypatch.setattr(os, "posix_fallocate", not_here)
    Index(full.index.photos, full.model, tmp_path)
    assert (tmp_path / "counts.bin").stat().st_size
