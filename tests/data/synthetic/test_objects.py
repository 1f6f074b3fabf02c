import numpy as np
import pytest

from picie.data.synthetic.backdrop import paint_ground
from picie.data.synthetic.canvas import BUILDING, CAR, VEGETATION, WATER, Scene
from picie.data.synthetic.objects import paint_furniture


def painted(seed: int) -> tuple[Scene, Scene]:
    bare, full = (Scene(np.random.default_rng(seed), (48, 64)) for _ in range(2))
    paint_ground(bare)
    paint_ground(full)
    paint_furniture(full)
    return bare, full


@pytest.mark.parametrize("seed", range(8))
def test_furniture_has_its_classes_and_stands_before_the_ground(seed: int) -> None:
    bare, full = painted(seed)
    changed = full.ids != bare.ids
    assert np.isin(full.ids[changed], (BUILDING, VEGETATION, CAR)).all()
    assert (full.depth[changed] <= bare.depth[changed] + 3).all()
    assert np.isfinite(full.rgb).all()


def test_every_kind_of_furniture_occurs() -> None:
    found = {int(label) for seed in range(12) for label in np.unique(painted(seed)[1].ids)}
    assert {BUILDING, VEGETATION, CAR, WATER} <= found


@pytest.mark.parametrize("seed", range(8))
def test_what_stands_nearer_hides_what_stands_farther(seed: int) -> None:
    """Down a column of the image the ground comes nearer, so feet of things do too."""
    _, full = painted(seed)
    cars = np.argwhere(full.ids == CAR)
    for row, column in cars[:: max(len(cars) // 20, 1)]:
        ground = full.eye / max(-full.up[row, 0], 1e-6)
        assert full.depth[row, column] <= ground + 1e-3 or full.up[row, 0] > 0
