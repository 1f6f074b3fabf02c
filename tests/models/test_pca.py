import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from torch import Tensor
from torch.nn import functional as F

from picie.models.pca import StageMoments, stage_weights

CHANNELS = (2, 3, 4, 5)
SIZES = (16, 8, 4, 2)
STRIDES = (4, 8, 16, 32)
GRID = 4


def stages(batch: int = 6, seed: int = 0) -> list[Tensor]:
    draws = torch.Generator().manual_seed(seed)
    maps = []
    for channels, size in zip(CHANNELS, SIZES, strict=True):
        noise = torch.randn(batch, channels, size, size, generator=draws)
        mixing = torch.randn(channels, channels, generator=draws)
        maps.append(torch.einsum("ij,bjhw->bihw", mixing, noise) + channels)
    return maps


def gathered(
    *batches: list[Tensor],
    channels: tuple[int, ...] = CHANNELS,
    strides: tuple[int, ...] = STRIDES,
) -> StageMoments:
    moments = StageMoments(channels, strides[-len(channels) :])
    for batch in batches:
        moments.update(batch)
    return moments


def stacked(maps: list[Tensor]) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """All stages on the grid of the second coarsest, written with pooling and interpolation."""
    same = [F.avg_pool2d(one, one.shape[-1] // GRID) for one in maps[:-1]]
    same.append(F.interpolate(maps[-1], (GRID, GRID), mode="bilinear", align_corners=False))
    rows = torch.cat(same, dim=1).permute(0, 2, 3, 1).reshape(-1, sum(CHANNELS))
    return rows.double().numpy()


def test_mean_and_covariance_equal_numpy() -> None:
    maps = stages()
    moments, rows = gathered(maps), stacked(maps)
    assert moments.count == len(rows) == 6 * GRID**2
    mean = moments.sum / moments.count
    covariance = moments.product / moments.count - torch.outer(mean, mean)
    assert moments.origin is not None
    shifted = mean.numpy() + moments.origin.numpy()
    np.testing.assert_allclose(shifted, rows.mean(0), atol=1e-5)
    np.testing.assert_allclose(covariance.numpy(), np.cov(rows.T, bias=True), atol=1e-4)
    np.testing.assert_allclose(moments.projection(3)[0].numpy(), rows.mean(0), atol=1e-5)


def test_directions_equal_a_pca_of_the_weighted_stages() -> None:
    maps = stages()
    rows = stacked(maps)
    mean, directions = gathered(maps).projection(7)
    scaled, start = rows - rows.mean(0), 0
    for weight, channels in zip((0.0, 0.5, 1.0, 1.0), CHANNELS, strict=True):
        block = scaled[:, start : start + channels]
        block *= weight / np.sqrt((block**2).sum(1).mean())
        start += channels
    expected = PCA(7).fit_transform(scaled)
    expected /= np.sqrt((scaled**2).sum(1).mean())
    actual = (rows - mean.double().numpy()) @ directions.double().numpy().T
    signs = np.sign((actual * expected).sum(0))
    np.testing.assert_allclose(actual, expected * signs, atol=1e-3)


def test_one_stage_gives_the_plain_pca() -> None:
    one = stages()[2]
    rows = one.permute(0, 2, 3, 1).reshape(-1, 4).numpy()
    _, directions = gathered([one], channels=(4,)).projection(4)
    unit = F.normalize(directions, dim=1).numpy()
    cosines = np.abs((unit * PCA(4).fit(rows).components_).sum(1))
    np.testing.assert_allclose(cosines, 1, atol=1e-4)
    lengths = directions.norm(dim=1)
    torch.testing.assert_close(lengths, lengths[:1].expand(4))  # one scale for all


def test_a_projected_vector_has_about_unit_length_and_falling_variances() -> None:
    maps = stages()
    mean, directions = gathered(maps).projection(99)
    assert directions.shape == (14, 14)
    assert directions.dtype == mean.dtype == torch.float32
    projected = (torch.from_numpy(stacked(maps)).float() - mean) @ directions.T
    assert float(projected.square().sum(1).mean()) == pytest.approx(1, abs=1e-3)
    variance = projected.var(dim=0)
    assert bool((variance.diff() < 1e-5).all())


def test_fewer_directions_are_the_first_of_many() -> None:
    moments = gathered(stages())
    torch.testing.assert_close(moments.projection(3)[1], moments.projection(9)[1][:3])


@pytest.mark.parametrize(
    ("strides", "weights"),
    [
        ((32,), (1.0,)),
        ((16, 32), (1.0, 1.0)),
        ((8, 16, 32), (0.5, 1.0, 1.0)),
        ((4, 8, 16, 32), (0.0, 0.5, 1.0, 1.0)),
        ((2, 4, 8, 16, 32), (0.0, 0.0, 0.5, 1.0, 1.0)),
        ((14, 14, 14, 14, 14), (1.0, 1.0, 1.0, 1.0, 1.0)),
        ((7, 14, 14), (1.0, 1.0, 1.0)),
    ],
)
def test_the_coarse_stages_count_most(strides: tuple[int, ...], weights: tuple[float, ...]) -> None:
    assert stage_weights(strides) == weights


def test_every_block_of_one_stride_takes_part_equally() -> None:
    draws = torch.Generator().manual_seed(0)
    maps = [scale * torch.randn(4, 3, 5, 7, generator=draws) for scale in (1, 10, 1, 5)]
    _, directions = gathered(maps, channels=(3,) * 4, strides=(16,) * 4).projection(12)
    rows = torch.cat(maps, dim=1).permute(0, 2, 3, 1).flatten(0, 2)
    rows = rows - rows.mean(0)
    shares = [
        float((rows[:, start : start + 3] @ directions[:, start : start + 3].T).square().sum())
        for start in range(0, 12, 3)
    ]
    assert shares == pytest.approx([sum(shares) / 4] * 4, rel=1e-3)


def test_the_finest_of_four_stages_takes_no_part() -> None:
    maps = stages()
    _, directions = gathered(maps).projection(6)
    assert bool((directions[:, :2] == 0).all())
    changed = [maps[0] * 50, *maps[1:]]
    torch.testing.assert_close(gathered(changed).projection(6)[1], directions)


def test_a_loud_stage_does_not_drown_a_quiet_one() -> None:
    maps = stages()
    loud = [*maps[:2], maps[2] * 100, maps[3]]
    rows, loud_rows = (torch.from_numpy(stacked(m)).float() for m in (maps, loud))
    mean, directions = gathered(maps).projection(5)
    loud_mean, loud_directions = gathered(loud).projection(5)
    torch.testing.assert_close(
        (rows - mean) @ directions.T,
        (loud_rows - loud_mean) @ loud_directions.T,
        rtol=0,
        atol=1e-3,
    )


def test_the_split_into_batches_does_not_matter() -> None:
    maps = stages()
    one = gathered(maps).projection(6)
    parts = [[x[a:b] for x in maps] for a, b in ((0, 1), (1, 4), (4, 6))]
    other = gathered(*parts).projection(6)
    torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def test_the_sign_is_fixed() -> None:
    # In the space of the scaled stages the largest entry is positive; one stage is scaled by one
    # number only, so the same holds of its directions.
    one = stages()[3]
    directions = gathered([one], channels=(5,)).projection(5)[1]
    largest = directions.gather(1, directions.abs().argmax(1, keepdim=True))
    assert bool((largest > 0).all())
    mirrored = gathered([-one], channels=(5,)).projection(5)[1]
    torch.testing.assert_close(mirrored, directions)


def test_equal_images_give_no_direction_but_finite_numbers() -> None:
    moments = StageMoments((2, 3), (8, 16))
    moments.update([torch.ones(2, 2, 8, 8), torch.ones(2, 3, 4, 4)])
    mean, directions = moments.projection(4)
    assert torch.allclose(mean, torch.ones(5))
    assert torch.isfinite(directions).all()


def test_a_large_mean_does_not_swallow_the_spread() -> None:
    generator = torch.Generator().manual_seed(0)
    maps = [
        torch.randn(4, 2, 16, 16, generator=generator),
        torch.randn(4, 3, 8, 8, generator=generator),
    ]
    near, far = StageMoments((2, 3), (8, 16)), StageMoments((2, 3), (8, 16))
    near.update(maps)
    far.update([m + 1000 for m in maps])
    assert torch.allclose(near.projection(4)[1], far.projection(4)[1], atol=1e-2)
