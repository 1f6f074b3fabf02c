"""From logits to masks of another size."""

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

import picie.postprocessing.upsampling
from picie.postprocessing.upsampling import Span, upsample, upsample_part, upsampled_strips


def logits_of(count: int, height: int, width: int) -> Tensor:
    return torch.randn(count, height, width, generator=torch.Generator().manual_seed(0))


def oracle(logits: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(logits[None], size=size, mode="bilinear", align_corners=False)[0]


@pytest.mark.parametrize(
    ("shape", "size"),
    [
        ((3, 8, 8), (32, 32)),
        ((5, 8, 11), (45, 61)),
        ((2, 8, 8), (5, 3)),
        ((4, 1, 128), (1, 1000)),
        ((4, 9, 9), (1, 1)),
        ((1, 4, 4), (7, 7)),
    ],
)
def test_upsampling_is_bilinear_interpolation(
    shape: tuple[int, int, int], size: tuple[int, int]
) -> None:
    logits = logits_of(*shape)
    mask = upsample(logits, size)
    assert mask.shape == size
    assert mask.dtype == np.int16
    values = oracle(logits, size)
    chosen = values.gather(0, torch.from_numpy(mask).long()[None])[0]
    assert float((values.amax(0) - chosen).max()) < 1e-5  # the largest, up to rounding
    assert (mask == values.argmax(0).numpy()).mean() > 0.999


@pytest.mark.parametrize("values", [1, 3 * 61, 10 * 3 * 61, 45 * 8 * 61, 10**9])
def test_upsampling_does_not_depend_on_the_strips(
    monkeypatch: pytest.MonkeyPatch, values: int
) -> None:
    logits = logits_of(3, 8, 11)
    expected = upsample(logits, (45, 61))
    monkeypatch.setattr(picie.postprocessing.upsampling, "_PIXELS", values)
    monkeypatch.setattr(picie.postprocessing.upsampling, "_STRIP_PIXELS", values)
    assert np.array_equal(upsample(logits, (45, 61)), expected)


@pytest.mark.parametrize("size", [(40, 44), (57, 91), (3, 5), (9, 12)])
def test_large_even_regions_are_as_interpolated(size: tuple[int, int]) -> None:
    coarse = logits_of(4, 3, 4)
    logits = F.interpolate(coarse[None], (9, 12), mode="nearest")[0]
    logits = logits + 0.1 * logits_of(4, 9, 12)
    assert np.array_equal(upsample(logits, size), oracle(logits, size).argmax(0).numpy())


def test_a_cluster_that_is_largest_in_no_cell_can_win_between_two() -> None:
    logits = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.9, 0.9]])[:, None]
    assert upsample(logits, (1, 8)).tolist() == [[0, 0, 2, 2, 2, 2, 1, 1]]


def test_ties_go_to_the_lowest_cluster() -> None:
    assert upsample(torch.zeros(3, 2, 2), (5, 5)).max() == 0
    logits = torch.zeros(3, 2, 2)
    logits[1:] = 1
    assert set(upsample(logits, (5, 5)).ravel()) == {1}


def test_there_may_be_more_clusters_than_fit_a_byte() -> None:
    logits = torch.eye(300).reshape(300, 15, 20)
    assert np.array_equal(upsample(logits, (15, 20)), np.arange(300).reshape(15, 20))


def test_the_number_of_a_cluster_is_only_a_name() -> None:
    logits = logits_of(5, 6, 7)
    order = torch.tensor([3, 0, 4, 1, 2])
    assert np.array_equal(
        order.numpy()[upsample(logits[order], (30, 31))], upsample(logits, (30, 31))
    )


@pytest.mark.parametrize("size", [(45, 61), (8, 11), (3, 5)])
def test_a_part_is_cut_from_the_whole(size: tuple[int, int]) -> None:
    logits = logits_of(4, 8, 11)
    whole = upsample(logits, size)
    cells = ((2, 6), (3, 11))
    spans, kept, window = [], [], []
    for (first, stop), count, pixels in zip(cells, (8, 11), size, strict=True):
        centres = (np.arange(pixels) + 0.5) * count / pixels
        inside = np.flatnonzero((centres >= first) & (centres < stop))
        begin, end = int(inside[0]), int(inside[-1]) + 1
        around = slice(first - 1, min(stop + 1, count))
        spans.append(Span(count, first - 1, pixels, begin, end))
        kept.append(around)
        window.append(slice(begin, end))
    part = upsample_part(logits[:, kept[0], kept[1]], *spans)
    assert np.array_equal(part, whole[window[0], window[1]])


@pytest.mark.parametrize("values", [1, 500, 2**22])
@pytest.mark.parametrize("size", [(1, 1), (5, 7), (33, 20)])
def test_strips_are_the_logits_that_the_mask_is_the_argmax_of(
    size: tuple[int, int], values: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("picie.postprocessing.upsampling._VALUES", values)
    logits = torch.randn(4, 6, 5, generator=torch.Generator().manual_seed(1))
    strips = list(upsampled_strips(logits, size))
    whole = torch.cat(strips, 1)
    expected = F.interpolate(logits[None], size=size, mode="bilinear", align_corners=False)[0]
    assert torch.allclose(whole, expected, atol=1e-5)
    assert np.array_equal(whole.argmax(0).numpy(), upsample(logits, size))
    assert len(strips) == (size[0] if values == 1 else len(strips))
