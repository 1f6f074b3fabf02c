"""Names from a few labelled images: the majority of each cluster."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from picie.data.folder import open_folder
from picie.errors import ConfigError, DataError
from picie.inference.segmenter import Segmenter
from picie.metrics.confusion import Confusion
from picie.models.class_names import ClassNames, NamedClass
from picie.naming.assign import ClusterTree
from picie.naming.votes import Vote, add_votes, count_labels, open_labelled, votes
from picie.runtime.progress import Reporter

QUIET = Reporter(quiet=True)


def test_votes_by_hand() -> None:
    matrix = np.array([[6, 0, 5, 1], [2, 0, 5, 0], [0, 0, 0, 0]], dtype=np.int64)
    assert votes(matrix, ("a", "b", "c"), min_pixels=2) == [
        Vote(0, 8, "a", 0.75, "b", 0.25),
        Vote(1, 0, "", 0.0, "", 0.0),
        Vote(2, 10, "a", 0.5, "b", 0.5),  # a tie goes to the first class
        Vote(3, 1, "", 1.0, "", 0.0),
    ]
    assert votes(matrix[:1], ("a",))[3] == Vote(3, 1, "a", 1.0, "", 0.0)


@pytest.mark.parametrize("clusters", [3, 5])
def test_pixels_are_those_of_whole_predicted_images(
    model: Segmenter, scenes: Path, clusters: int
) -> None:
    folder = open_labelled(scenes, "val")
    named = model.named(ClassNames.of(3, {"a": [0, 1]}))
    expected = Confusion(len(folder.classes), clusters)
    cut = model if clusters == 3 else model.cut(clusters)
    for photo in folder.photos:
        truth = folder.truth(photo, image_size=(64, 48))
        expected.update(truth, cut.predict(photo.path))
    assert np.array_equal(count_labels(named, folder, clusters, QUIET).matrix, expected.matrix)


def test_images_without_a_mask_are_left_out(scenes: Path, tmp_path: Path) -> None:
    root = shutil.copytree(scenes, tmp_path / "my scenes")
    masks = sorted((root / "masks").iterdir())
    for path in masks[2:]:
        path.unlink()
    for given in (root, root / "masks"):
        folder = open_labelled(given)
        assert [photo.name for photo in folder.photos] == [path.stem for path in masks[:2]]
    (root / "classes.txt").unlink()
    with pytest.raises(DataError, match=r"labels are needed; .*; there is no classes.txt"):
        open_labelled(root)
    shutil.rmtree(root / "masks")
    with pytest.raises(DataError, match="there is no masks/"):
        open_labelled(root)


def test_a_known_data_set_is_opened_by_its_name(scenes: Path) -> None:
    with pytest.raises(ConfigError, match="unknown data set 'camvid'"):
        open_labelled(scenes, dataset="camvid")


def test_clusters_without_a_name_get_one_and_ids_are_those_of_the_folder(
    model: Segmenter, scenes: Path
) -> None:
    folder = replace(open_folder(scenes), classes=("a", "b", "c"))
    cluster_tree = ClusterTree(model.network.centroid_set(), 3)
    decided = [Vote(0, 9, "c", 1.0, "", 0.0), Vote(1, 0, "", 0, "", 0), Vote(2, 9, "a", 1, "", 0)]
    fresh = add_votes(ClassNames(3), cluster_tree, folder, decided)
    assert fresh.classes == (NamedClass("a", (2,)), NamedClass("b"), NamedClass("c", (0,)))
    assert model.named(fresh).names == ("a", "b", "c", "cluster 1")

    node = min(cluster_tree.clusters[0])  # a part of cluster 0 has a name, so its rest gets none
    old = ClassNames(3, (NamedClass("z", (), (node,)), NamedClass("a", ()), NamedClass("a")))
    found = add_votes(old, cluster_tree, folder, decided)
    expected = (old.classes[0], NamedClass("a", (2,)), NamedClass("a"))
    assert found.classes == (*expected, NamedClass("b"), NamedClass("c"))


def test_colours_of_a_data_set_come_along(model: Segmenter, scenes: Path) -> None:
    folder = replace(open_folder(scenes), classes=("a", "b"), palette=((1, 2, 255), (0, 16, 3)))
    found = add_votes(ClassNames(3), ClusterTree(model.network.centroid_set(), 3), folder, [])
    assert [one.colour for one in found.classes] == ["#0102ff", "#001003"]


def test_a_class_that_cannot_be_a_name_is_told_with_its_folder(
    model: Segmenter, scenes: Path
) -> None:
    folder = replace(open_folder(scenes), classes=("a", "cluster 1"))
    with pytest.raises(
        ConfigError, match=r"scenes.*: classes: entry 2 .*: 'cluster 1' is reserved"
    ):
        add_votes(ClassNames(3), ClusterTree(model.network.centroid_set(), 3), folder, [])


def test_void_is_counted_and_masks_of_nothing_are_refused(
    model: Segmenter, scenes: Path, tmp_path: Path
) -> None:
    root = shutil.copytree(scenes, tmp_path / "scenes")
    for share, rows in ((50, 24), (100, 48)):
        for path in (root / "masks").iterdir():
            mask = np.array(Image.open(path))
            mask[:rows] = 255
            Image.fromarray(mask).save(path)
        folder = open_labelled(root)
        if share < 100:
            assert count_labels(model, folder, 3, QUIET).void_share == share
        else:
            with pytest.raises(DataError, match="no labelled pixel: the masks are void"):
                count_labels(model, folder, 3, QUIET)
