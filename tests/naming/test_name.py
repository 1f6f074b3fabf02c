"""`picie.name`: what `picie name` does, as a function."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import picie
from picie.errors import ConfigError, ModelError, PicieError
from picie.models.centroids import CentroidSet
from picie.models.class_names import read_classes
from picie.models.stored import read_centroids
from picie.naming.votes import LabelCounts, count_labels
from picie.runtime.files import write_atomically


@pytest.fixture
def run(runs: dict[str, Path], tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    shutil.copytree(runs["default"], folder)
    return folder


def test_names_are_given_in_several_forms_and_taken_back(run: Path) -> None:
    first = picie.name(run, {"0,1": "land"})
    assert first.changed
    assert first.changes
    assert first.model.names == ("land", "cluster 2")
    second = picie.name(run, [("2", "sky")], colours={"land": "#102030"})
    assert second.model.names == ("land", "sky")
    assert second.model.colours[0].tolist() == [0x10, 0x20, 0x30]
    assert picie.load(run).names == ("land", "sky")
    undone = picie.name(run, undo=True)
    assert undone.model.names == ("land", "cluster 2")
    assert undone.changes == ("undid: names: cluster 2: sky; class 'land': #102030",)
    redone = picie.name(run, redo=True)
    assert redone.model.names == ("land", "sky")
    assert redone.changes == ("redid: names: cluster 2: sky; class 'land': #102030",)
    assert redone.changed
    picie.name(run, undo=True)
    assert picie.name(run, unset=["1"]).model.names == ("land", "cluster 1", "cluster 2")
    assert picie.name(run, clear=["land"]).model.names == ("cluster 0", "cluster 1", "cluster 2")


def test_the_same_names_again_change_nothing(run: Path) -> None:
    picie.name(run, {"0": "land"})
    again = picie.name(run, {"0": "land"})
    assert not again.changed


def test_labelled_images_name_clusters_and_existing_names_stay(run: Path, scenes: Path) -> None:
    picie.name(run, {"0": "mine"})
    done = picie.name(run, labelled=scenes, split="val")
    assert [vote.cluster for vote in done.votes] == [0, 1, 2]
    names = read_classes(run / "classes.toml")
    assert "mine" in [entry.name for entry in names.classes]
    voted = {vote.name for vote in done.votes if vote.name and vote.cluster}
    assert voted
    assert done.changes[0].startswith("3 labelled images named 2 of 3 clusters"), done.changes
    assert "1 cluster had a name already, which stays; --overwrite removes the names first" in (
        done.changes
    )
    assert voted <= set(done.model.names)


def test_what_cannot_be_leaves_the_file_as_it_was(run: Path) -> None:
    picie.name(run, {"0": "land"})
    before = (run / "classes.toml").read_bytes()
    with pytest.raises(ConfigError, match="clusters run from 0 to 2"):
        picie.name(run, {"7": "sea"})
    with pytest.raises(ConfigError):
        picie.name(run, {"0": "a"}, clear=["nothing of this name"])
    assert (run / "classes.toml").read_bytes() == before


def test_names_that_many_give_at_once_are_all_kept(run: Path) -> None:
    def give(number: int) -> None:
        picie.name(run, {f"n{number}": f"class {number}"})

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(give, range(8)))
    names = read_classes(run / "classes.toml")
    assert sorted(entry.name for entry in names.classes) == [f"class {n}" for n in range(8)]
    for _ in range(8):
        picie.name(run, undo=True)
    assert not (run / "classes.toml").exists()
    assert [path.name for path in run.iterdir() if path.name.startswith(".")] == []


def test_reused_names_in_another_order(run: Path, scenes: Path) -> None:
    picie.name(run, {"0": "sky", "1": "building", "2": "road"})
    path = run / "classes.toml"
    path.write_text(path.read_text().replace('name = "sky"', 'name = "sky"  # blue'))
    done = picie.name(run, {"2": "building", "0": "sky"}, overwrite=True)
    assert done.model.names == ("building", "sky", "cluster 1")
    assert 'name = "sky"  # blue' in path.read_text()
    picie.name(run, labelled=scenes, overwrite=True)
    classes = (scenes / "classes.txt").read_text().splitlines()
    assert [entry.name for entry in read_classes(path).classes] == classes


def test_files_with_a_mark_of_their_encoding_can_be_edited(run: Path) -> None:
    path = run / "classes.toml"
    path.write_bytes(b"\xef\xbb\xbfclusters = 3\r\n# mine\r\n")
    assert picie.name(run, {"0": "sky"}).changed
    assert read_classes(path).classes[0].name == "sky"
    assert "# mine" in path.read_text()


def test_names_are_not_given_to_a_model_that_replaced_the_loaded_one(
    run: Path, runs: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def replaced(folder: Path) -> CentroidSet:
        centroids = read_centroids(folder)
        write_atomically(
            folder / "model.safetensors", (runs["default"] / "model.safetensors").read_bytes()
        )
        return centroids

    monkeypatch.setattr("picie.naming.name.read_centroids", replaced)
    with pytest.raises(ModelError, match="another process has replaced the model; name it again"):
        picie.name(run, {"0": "sky"})
    assert not (run / "classes.toml").exists()


def test_votes_of_another_cut_do_not_count(
    run: Path, scenes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def meanwhile(*args: Any) -> LabelCounts:
        picie.name(run, {"4": "mine"}, clusters=5)
        return count_labels(*args)

    monkeypatch.setattr("picie.naming.name.count_labels", meanwhile)
    with pytest.raises(ConfigError, match="has changed the cut to 5 clusters; run the same comm"):
        picie.name(run, labelled=scenes)
    assert [entry.name for entry in read_classes(run / "classes.toml").classes] == ["mine"]


def test_a_missing_folder_is_not_made(tmp_path: Path) -> None:
    for undo in (False, True):
        with pytest.raises(PicieError):
            picie.name(tmp_path / "gone", {"0": "sky"}, undo=undo)
    assert not (tmp_path / "gone").exists()


def test_names_are_carried_to_another_cut_and_back(run: Path) -> None:
    coarse = picie.name(run, {"0": "land", "1": "ignore"}, clusters=3)
    fine = picie.name(run, {"n0": "stone"}, clusters=8)
    assert fine.changes[0] == "3 clusters are now 8; every name stays where it was"
    assert read_classes(run / "classes.toml").clusters == 8
    owners = [one.model.centroid_ids.tolist() for one in (coarse, fine)]
    titles = [[*one.model.names, "ignored"] for one in (coarse, fine)]
    for before, after in list(zip(*owners, strict=True))[1:]:  # but n0, which got a name
        old, new = titles[0][before], titles[1][after]
        assert old == new or (old.startswith("cluster ") and new.startswith("cluster "))
    undone = picie.name(run, undo=True)
    assert undone.model.names == coarse.model.names
    assert read_classes(run / "classes.toml").clusters == 3


def test_a_cut_alone_is_kept_and_undone(run: Path) -> None:
    done = picie.name(run, clusters=5)
    assert done.changes == ("3 clusters are now 5",)
    assert picie.load(run).names == tuple(f"cluster {number}" for number in range(5))
    picie.name(run, {"4": "five"})
    picie.name(run, undo=True)
    picie.name(run, undo=True)
    assert picie.load(run).clusters == 3


def test_names_by_labels_at_another_cut_keep_those_that_exist(run: Path, scenes: Path) -> None:
    picie.name(run, {"0": "mine"})
    done = picie.name(run, clusters=8, labelled=scenes)
    mine = [number for number, title in enumerate(done.model.names) if title == "mine"]
    assert mine == [0]
    before = picie.load(run, named=False).centroid_ids == 0
    assert ((done.model.centroid_ids == 0) == before).all()
