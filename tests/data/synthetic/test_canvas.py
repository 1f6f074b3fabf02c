import numpy as np
import pytest

from picie.data.synthetic.canvas import BUILDING, FAR, Floats, Scene, blend, look, paint_solid


@pytest.fixture
def scene() -> Scene:
    return Scene(np.random.default_rng(0), (30, 40))


def test_noise_has_mean_zero_and_deviation_one(scene: Scene) -> None:
    for tile in (scene.rough, scene.soft):
        assert abs(tile[0].mean()) < 1e-3
        assert abs(tile[0].std() - 1) < 1e-3


def test_look_is_bilinear_and_periodic(scene: Scene) -> None:
    tile = scene.rough[0].reshape(256, 256)
    rng = np.random.default_rng(1)
    u, v = rng.uniform(-600, 600, (2, 50)).astype(np.float32)
    for found, x, y in zip(look(scene.rough, u, v), u.tolist(), v.tolist(), strict=True):
        c, r = int(np.floor(x)), int(np.floor(y))
        a, b = x - c, y - r
        corners = [tile[(r + i) % 256, (c + j) % 256] for i in (0, 1) for j in (0, 1)]
        weights = [(1 - a) * (1 - b), a * (1 - b), (1 - a) * b, a * b]
        assert abs(found - np.dot(corners, weights)) < 1e-3


def test_blend_clips_its_share() -> None:
    a, b = np.zeros(3), np.ones(3)
    shares = np.array([-1, 0.25, 2])
    np.testing.assert_allclose(blend(a, b, shares)[:, 0], [0, 0.25, 1])


def march(
    scene: Scene, bounds: list[tuple[float, float]], cuts: list[tuple[float, ...]]
) -> tuple[Floats, Floats]:
    """Oracle: walk along every ray in small steps until a point lies inside the solid."""
    steps = np.arange(0.02, 30, 0.01)
    hit, depth = np.zeros(scene.ids.shape, bool), np.full(scene.ids.shape, FAR)
    for row, up in enumerate(scene.up[:, 0]):
        for column, right in enumerate(scene.right[0]):
            point = np.stack([right * steps, scene.eye + up * steps, steps])
            inside = np.ones(len(steps), bool)
            for axis, (low, high) in zip(point, bounds, strict=True):
                inside &= (axis >= low) & (axis <= high)
            for *normal, limit in cuts:
                inside &= np.array(normal) @ point <= limit
            if inside.any():
                hit[row, column], depth[row, column] = True, steps[inside.argmax()]
    return hit, depth


@pytest.mark.parametrize(
    ("bounds", "cuts"),
    [
        ([(-2, 1), (0, 2), (6, 9)], []),
        ([(2, 5), (0, 6), (4, 20)], []),
        ([(-7, -2), (3, 6), (5, 12)], [(1, 1, 0, 1.5), (-1, 1, 0, 10.5)]),
        ([(-1, 2), (0, 1), (5, 9)], [(0, 0.8, -1, -5.2)]),
    ],
)
def test_a_solid_is_what_a_walk_along_the_rays_finds(
    scene: Scene, bounds: list[tuple[float, float]], cuts: list[tuple[float, float, float, float]]
) -> None:
    seen: list[Floats] = []

    def texture(x: Floats, v: Floats, z: Floats, normal: Floats) -> Floats:
        seen.append(np.linalg.norm(normal, axis=2))
        return np.stack([x, v, z], axis=2)

    paint_solid(scene, bounds, BUILDING, texture, cuts)
    hit, depth = march(scene, bounds, list(cuts))
    assert hit.sum() > 10
    assert np.mean((scene.ids == BUILDING) != hit) < 0.02
    both = hit & (scene.ids == BUILDING)
    assert np.median(np.abs(scene.depth[both] - depth[both])) < 0.02
    np.testing.assert_allclose(seen[0], 1, rtol=1e-5)


def test_a_solid_outside_the_image_or_behind_the_camera_paints_nothing(scene: Scene) -> None:
    def texture(x: Floats, *_: Floats) -> Floats:
        return np.ones((*x.shape, 3))

    for bounds in ([(90, 95), (0, 1), (5, 6)], [(-1, 1), (0, 2), (-9, -5)]):
        paint_solid(scene, bounds, BUILDING, texture)
    assert not scene.ids.any()


def test_paint_covers_the_chosen_pixels_only(scene: Scene) -> None:
    inside = np.zeros((5, 6), bool)
    inside[2, 3] = True
    scene.paint((slice(10, 15), slice(20, 26)), inside, np.ones(3), 7, 12.5)
    assert np.argwhere(scene.ids == 7).tolist() == [[12, 23]]
    assert scene.depth[12, 23] == 12.5
    assert scene.rgb.sum() == 3


def test_the_window_of_a_box_holds_its_corners(scene: Scene) -> None:
    x, v, z = (-1.0, 2.0), (0.0, 1.5), (5.0, 9.0)
    rows, columns = scene.window(x, v, z)
    for cx in x:
        for cv in v:
            for cz in z:
                column = scene.centre + scene.focal * cx / cz
                row = scene.horizon - scene.focal * (cv - scene.eye) / cz
                assert columns.start <= np.clip(column, 0, 39) < columns.stop
                assert rows.start <= np.clip(row, 0, 29) < rows.stop
