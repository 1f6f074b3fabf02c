"""Agreement of masks with edges: sure only where it is strong and clear."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from picie.data.opening import turned
from picie.evaluation.orientation import Agreement, edge_agreement

Pixels = NDArray[np.uint8]


def scene(
    seed: int, *, noise: float = 20, size: tuple[int, int] = (60, 80)
) -> tuple[Pixels, Pixels]:
    """An image of some areas with noise, and their mask."""
    rng = np.random.default_rng(seed)
    places = np.moveaxis(np.indices(size), 0, 2)[:, :, None]
    points = rng.random((7, 2)) * size
    mask = (np.square(places - points).sum(3).argmin(2) % 3).astype(np.uint8)
    grey = mask[..., None] * 80 + rng.normal(0, noise, (*size, 1))
    return np.repeat(grey.clip(0, 255), 3, 2).astype(np.uint8), mask


def test_agreement_by_hand() -> None:
    grey = np.array([[0, 0, 10, 10], [0, 0, 10, 10]], np.uint8)
    image = np.repeat(grey[..., None], 3, 2)
    mask = np.array([[0, 0, 1, 1], [0, 0, 1, 1]], np.uint8)
    mean = 2 * 10 / 10  # two of ten steps between neighbours
    assert edge_agreement(image, mask) == pytest.approx(10 / mean)
    assert edge_agreement(image, np.roll(mask, 1, 1)) == pytest.approx(0)
    void = np.where(mask == 1, 255, mask).astype(np.uint8)
    assert edge_agreement(image, void) is None
    assert edge_agreement(image * 0, mask) is None


def test_large_images_are_reduced() -> None:
    """A border that is a few pixels off still counts, which it does not at full size."""
    image, mask = scene(0, noise=2, size=(600, 1600))
    found = edge_agreement(image, np.roll(mask, 1, (0, 1)))
    assert found is not None
    assert found > 5


@pytest.mark.parametrize("orientation", [2, 3, 4])
@pytest.mark.parametrize("drawn", ["stored", "shown"])
def test_what_fits_is_found(orientation: int, drawn: str) -> None:
    agreement = Agreement()
    for seed in range(4):
        assert agreement.better == ""
        image, mask = scene(seed)
        truth = turned(mask, orientation) if drawn == "stored" else mask
        for _ in range(2):  # the second time counts nothing
            agreement.add(Path(f"{seed}.png"), image, truth, orientation)
    assert len(agreement.pairs) == 4
    assert agreement.better == drawn


def test_what_does_not_follow_edges_is_never_sure() -> None:
    agreement = Agreement()
    for seed in range(30):
        image, _ = scene(seed)
        _, mask = scene(seed + 100)
        agreement.add(Path(f"{seed}.png"), image, mask, 3)
    assert agreement.better == ""


def test_what_looks_alike_both_ways_is_never_sure() -> None:
    agreement = Agreement()
    for seed in range(10):
        image, mask = scene(seed)
        double = [np.concatenate([one, one[:, ::-1]], 1) for one in (image, mask)]
        agreement.add(Path(f"{seed}.png"), double[0], double[1], 2)
    assert agreement.better == ""
