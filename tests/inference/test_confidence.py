"""Confidence against a softmax of logits upsampled as a whole."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from picie.inference.confidence import (
    CERTAIN,
    confidence_map,
    limited,
    mean_confidence,
    sharpness,
)
from picie.postprocessing import upsampling


@pytest.mark.parametrize("values", [2**22, 100])
@pytest.mark.parametrize("size", [(40, 56), (7, 9), (1, 1)])
def test_it_is_the_largest_softmax_of_upsampled_logits(
    size: tuple[int, int], values: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upsampling, "_VALUES", values)
    logits = torch.randn(5, 10, 14, generator=torch.Generator().manual_seed(0))
    before = logits.clone()
    found = confidence_map(logits, size, 3.0)
    whole = F.interpolate(logits[None], size=size, mode="bilinear", align_corners=False)[0]
    expected = (3.0 * whole).softmax(0).amax(0) * CERTAIN
    assert found.dtype == np.uint8
    assert found.shape == size
    assert np.abs(found - expected.numpy()).max() < 0.51
    assert torch.equal(logits, before)


def test_one_id_is_certain_and_equal_ids_share() -> None:
    assert (confidence_map(torch.randn(1, 3, 3), (6, 6), 9.0) == CERTAIN).all()
    assert (confidence_map(torch.zeros(4, 3, 3), (6, 6), 9.0) == round(CERTAIN / 4)).all()


def test_large_logits_do_not_overflow() -> None:
    logits = torch.tensor([1e30, -1e30])[:, None, None].expand(2, 2, 2)
    assert (confidence_map(logits, (4, 4), 30.0) == CERTAIN).all()


def test_cosines_are_sharpened_more_for_more_ids() -> None:
    assert sharpness("cosine", 2, learnt=False) == pytest.approx(3.4 * (1 + math.log(2)))
    assert sharpness("dot", 27, learnt=False) > sharpness("dot", 3, learnt=False)
    for rule in ("cosine", "dot", "l2"):
        assert sharpness(rule, 27, learnt=True) == 1


def test_distances_of_unit_vectors_give_the_confidence_of_cosines() -> None:
    draws = torch.Generator().manual_seed(0)
    f, c = (F.normalize(torch.randn(6, 8, generator=draws), dim=1) for _ in range(2))
    cosines, distances = f @ c.T, -torch.cdist(f, c).square()
    sharp, blunt = (sharpness(rule, 6, learnt=False) for rule in ("cosine", "l2"))
    assert torch.allclose((sharp * cosines).softmax(1), (blunt * distances).softmax(1), atol=1e-5)


def test_a_pixel_that_changed_its_class_has_at_most_the_rest() -> None:
    confidence = np.array([[200, 200, 90, 90]], np.uint8)
    before, after = np.array([[0, 0, 1, 1]]), np.array([[0, 1, 1, 0]])
    assert limited(confidence, before, after).tolist() == [[200, 55, 90, 90]]


def test_the_mean_leaves_out_ignored_cells() -> None:
    logits = torch.tensor([[[0.0, 2.0, 0.0]], [[0.0, 0.0, 0.0]], [[-9.0, -9.0, 5.0]]])
    two = [1 / (2 + math.exp(-9)), 1 / (1 + math.exp(-2) + math.exp(-11))]
    assert mean_confidence(logits, 1.0, 2) == pytest.approx(sum(two) / 2)
    assert mean_confidence(logits[..., 2:], 1.0, 2) == 0
    maps = confidence_map(logits[:2], (1, 3), 1.0)
    assert mean_confidence(logits[:2], 1.0, 2) == pytest.approx(maps.mean() / 255, abs=2e-3)
