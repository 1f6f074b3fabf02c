"""`picie.name`: what `picie name` does, as a function."""

import shutil
from pathlib import Path

import pytest

import picie
from picie.errors import ConfigError
from picie.models.class_names import read_classes


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
    assert picie.name(run, undo=True).model.names == ("land", "cluster 2")
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
    assert voted <= set(done.model.names)


def test_what_cannot_be_leaves_the_file_as_it_was(run: Path) -> None:
    picie.name(run, {"0": "land"})
    before = (run / "classes.toml").read_bytes()
    with pytest.raises(ConfigError, match="clusters run from 0 to 2"):
        picie.name(run, {"7": "sea"})
    with pytest.raises(ConfigError):
        picie.name(run, {"0": "a"}, clear=["nothing of this name"])
    assert (run / "classes.toml").read_bytes() == before
