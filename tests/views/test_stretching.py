import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from picie.views.pair import full_boxes, stretch_crops

BOXES = torch.tensor([[0, 0, 40], [3, 9, 29], [20, 1, 20], [11, 7, 33]]).double()
FLIP = torch.tensor([False, True, False, True])
SIGMA = torch.tensor([0.0, 1.3, 0.4, 0.0])


def make_images() -> Tensor:
    return torch.rand(4, 3, 44, 44, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("target", [16, 29, 44, 60])
@pytest.mark.parametrize("antialias", [True, False])
@pytest.mark.parametrize(("confined", "shift"), [(True, 0.0), (False, 0.0), (False, 0.37)])
def test_one_image_at_a_time_equals_the_batch(
    target: int, antialias: bool, confined: bool, shift: float
) -> None:
    images, boxes = make_images(), BOXES + shift
    before = images.clone()
    whole = stretch_crops(
        images,
        boxes=boxes,
        flip=FLIP,
        sigma=SIGMA,
        target=target,
        antialias=antialias,
        confined=confined,
    )
    assert whole.shape == (4, 3, target, target)
    for i in range(4):
        part = slice(i, i + 1)
        alone = stretch_crops(
            images[part],
            boxes=boxes[part],
            flip=FLIP[part],
            sigma=SIGMA[part],
            target=target,
            antialias=antialias,
            confined=confined,
        )
        torch.testing.assert_close(alone, whole[part], rtol=0, atol=1e-5)
    assert torch.equal(images, before)


def test_a_batch_of_whole_images_equals_the_matrices() -> None:
    images, boxes, still = make_images(), full_boxes(4, 44), torch.zeros(4)
    quick = stretch_crops(
        images,
        boxes=boxes,
        flip=still.bool(),
        sigma=still,
        target=20,
        antialias=True,
        confined=True,
    )
    faint = still + 1e-3  # a blur of nothing, which goes through the matrices
    slow = stretch_crops(
        images,
        boxes=boxes,
        flip=still.bool(),
        sigma=faint,
        target=20,
        antialias=True,
        confined=True,
    )
    torch.testing.assert_close(quick, slow, rtol=0, atol=1e-5)


def test_a_square_is_cut_out_before_it_is_stretched() -> None:
    images = make_images()[:1]
    square = images[:, :, 3:32, 9:38]
    expected = F.interpolate(square, (50, 50), mode="bilinear", align_corners=False).flip(3)
    found = stretch_crops(
        images,
        boxes=BOXES[1:2],
        flip=FLIP[1:2],
        sigma=torch.zeros(1),
        target=50,
        antialias=True,
        confined=True,
    )
    torch.testing.assert_close(found, expected)
