import numpy as np
import pytest

from picie.data.synthetic.backdrop import (
    paint_forest,
    paint_ground,
    paint_mountains,
    paint_sky,
    reflect,
)
from picie.data.synthetic.canvas import FIELD, MOUNTAIN, ROAD, SKY, VEGETATION, WATER, Scene


@pytest.fixture(params=range(3))
def scene(request: pytest.FixtureRequest) -> Scene:
    return Scene(np.random.default_rng(request.param), (48, 64))


def test_ground_begins_at_the_horizon_and_follows_the_land(scene: Scene) -> None:
    paint_ground(scene)
    first = int(scene.horizon) + 1
    assert (scene.ids[:first] == SKY).all()
    z = scene.eye / -scene.up[first:]
    np.testing.assert_array_equal(scene.ids[first:], scene.land(scene.right * z, z))
    np.testing.assert_allclose(scene.depth[first:], np.broadcast_to(z, (48 - first, 64)), rtol=1e-5)
    assert np.isin(scene.ids[first:], (FIELD, ROAD, WATER)).all()


@pytest.mark.parametrize(
    ("paint", "label"), [(paint_mountains, MOUNTAIN), (paint_forest, VEGETATION)]
)
def test_skylines_rise_from_the_horizon_without_holes(
    scene: Scene, paint: object, label: int
) -> None:
    assert callable(paint)
    paint(scene)
    paint_ground(scene)
    inside = scene.ids == label
    assert inside.any()
    below = np.diff(inside[: int(scene.horizon) + 1].astype(int), axis=0)
    assert (below >= 0).all()  # once a column is inside, it stays inside down to the horizon


def test_sky_covers_what_is_above_the_ground(scene: Scene) -> None:
    paint_sky(scene)
    paint_ground(scene)
    assert (scene.rgb.max(axis=2) > 0).all()
    assert np.isfinite(scene.rgb).all()


def test_only_water_reflects(scene: Scene) -> None:
    paint_sky(scene)
    paint_ground(scene)
    before = scene.rgb.copy()
    reflect(scene)
    changed = (scene.rgb != before).any(axis=2)
    assert not changed[scene.ids != WATER].any()
    water = scene.ids == WATER
    assert changed[water].sum() >= 0.9 * water.sum()
