"""The best pieces: few, from different stretches of the photos, whatever their order."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from picie.data.folder import open_folder
from picie.errors import ConfigError, DataError
from picie.inference.segmenter import Segmenter
from picie.models.class_names import ClassNames, NamedClass
from picie.reporting.collect import (
    HEAT_SIDE,
    PortraitCollector,
    Portraits,
    closeness,
    make_portraits,
)


@pytest.mark.parametrize("shown", [1, 200, 1_000])
def test_images_take_less_than_the_page_may(model: Segmenter, shown: int) -> None:
    collector = PortraitCollector(model, 10_000, shown)
    patches = 2 * 8 * model.clusters * collector.patch_bytes
    assert 4 / 3 * (shown * collector.shot_bytes + patches) < 12e6
    assert collector.shot_bytes >= 6_000
    assert collector.patch_bytes == 3_000


# --- one pass over photos: what is counted agrees with the masks of the same model


NAMES = ClassNames(3, (NamedClass("a", (2,)), NamedClass("b", (0,), ignore=True)))


@pytest.fixture(scope="module")
def seen(model: Segmenter, scenes: Path) -> Portraits:
    return make_portraits(model, open_folder(scenes), workers=0)


def test_shares_and_places_are_those_of_the_masks(
    seen: Portraits, model: Segmenter, scenes: Path
) -> None:
    masks = [one.mask for one in model.predict_folder(scenes)]
    shares = np.zeros(4)
    lower = np.zeros(4)
    for mask in masks:
        assert mask is not None
        shares[:3] += np.bincount(mask.ravel(), minlength=3) / mask.size / len(masks)
        half = mask[mask.shape[0] // 2 :]
        lower[:3] += np.bincount(half.ravel(), minlength=3) / half.size / len(masks)
    # Seen at the size of the network, not of the photo: borders fall a little differently.
    assert seen.shares == pytest.approx(shares, abs=0.02)
    assert seen.shares.sum() == pytest.approx(1)
    assert seen.heats.sum(0) == pytest.approx(np.ones((HEAT_SIDE, HEAT_SIDE)))
    assert seen.heats[:, HEAT_SIDE // 2 :].mean((1, 2)) == pytest.approx(lower, abs=0.03)
    assert seen.photos == 9
    assert all(0 < shot.doubt < 0.7 for shot in seen.shots)
    assert (seen.occurrences[:3] <= 9).all()
    assert seen.occurrences[3] == 0


def test_typical_pieces_are_nearer_than_atypical_ones_and_come_from_different_photos(
    seen: Portraits,
) -> None:
    for typical, atypical, count in zip(
        seen.typical, seen.atypical, seen.occurrences[:3].tolist(), strict=True
    ):
        assert len(typical) <= 8
        assert bool(typical) == bool(count)
        for patches, sign in ((typical, 1), (atypical, -1)):
            values = [sign * patch.similarity for patch in patches]
            assert values == sorted(values, reverse=True)
            assert len({patch.name for patch in patches}) == len(patches)
        if typical:
            assert typical[0].similarity >= atypical[0].similarity


def test_threads_change_nothing(seen: Portraits, model: Segmenter, scenes: Path) -> None:
    again = make_portraits(model, open_folder(scenes), workers=2)
    assert np.array_equal(seen.shares, again.shares)
    assert np.array_equal(seen.heats, again.heats)
    assert (seen.typical, seen.atypical, seen.shots) == (again.typical, again.atypical, again.shots)
    assert (seen.nodes, seen.crops) == (again.nodes, again.crops)


@pytest.mark.parametrize(("gallery", "shown"), [(0, []), (3, [1, 4, 7]), (9, list(range(9)))])
def test_the_gallery_is_an_even_choice_and_all_are_counted(
    model: Segmenter, scenes: Path, gallery: int, shown: list[int]
) -> None:
    folder = open_folder(scenes)
    found = make_portraits(model, folder, gallery=gallery, workers=0)
    assert [shot.name for shot in found.shots] == [folder.photos[one].name for one in shown]
    assert found.photos == 9
    for shot in found.shots:
        assert sum(share for _, share in shot.shares) == pytest.approx(1, abs=0.01)
        assert [share for _, share in shot.shares] == sorted(
            (share for _, share in shot.shares), reverse=True
        )


def test_named_and_ignored_classes(model: Segmenter, scenes: Path, seen: Portraits) -> None:
    named = model.named(NAMES)
    found = make_portraits(named, open_folder(scenes), workers=0)
    assert named.names == ("a", "cluster 1")
    order = [2, 1, 0]  # a, cluster 1, ignored
    assert found.shares == pytest.approx(seen.shares[order])
    assert np.array_equal(found.occurrences, seen.occurrences[order])
    shares = {number: node.share for number, node in found.nodes.items()}
    assert shares == pytest.approx({number: node.share for number, node in seen.nodes.items()})
    assert len(found.typical) == 2
    assert set(dict(found.shots[0].shares)) <= {0, 1, -1}
    assert set(named.centroid_ids.tolist()) == {0, 1, 2}


def test_closeness_is_the_mean_cosine_of_centroids(model: Segmenter) -> None:
    found = closeness(model)
    unit = torch.nn.functional.normalize(model.network.centroids[0].double(), dim=1)
    groups = model.network.groups[0]
    for one in range(3):
        for other in range(3):
            expected = (unit[groups == one] @ unit[groups == other].T).mean()
            assert found[one, other] == pytest.approx(float(expected))
    assert closeness(model.named(NAMES)).shape == (2, 2)


def test_images_that_cannot_be_read_are_named(
    model: Segmenter, scenes: Path, tmp_path: Path
) -> None:
    shutil.copytree(scenes / "images", tmp_path / "photos")
    (tmp_path / "photos" / "bad ü.jpg").write_text("no")
    found = make_portraits(model, open_folder(tmp_path / "photos"), workers=0)
    assert found.photos == 9
    [problem] = found.problems
    assert "bad ü.jpg" in problem
    for path in (tmp_path / "photos").glob("scene*"):
        path.write_text("no")
    with pytest.raises(DataError, match="none of the 10 images could be read"):
        make_portraits(model, open_folder(tmp_path / "photos"), workers=0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"gallery": 1001}, "a gallery of 1001 photos: give 0 to 1000"),
        ({"gallery": -1}, "a gallery of -1 photos"),
        ({"size": 33}, "multiple of 32"),
        ({"workers": -2}, "-2 workers: give 0 or more"),
    ],
)
def test_options_that_cannot_be(
    model: Segmenter, scenes: Path, options: dict[str, int], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        make_portraits(model, open_folder(scenes), **options)  # type: ignore[arg-type]
