"""The lights against Pillow, torchvision and numbers by hand."""

import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as F

from picie.views.relighting import LIGHTS, Light, relit


def images(count: int = 8) -> Tensor:
    return torch.rand(count, 3, 6, 9, generator=torch.Generator().manual_seed(0))


def test_lights_are_gamma_contrast_and_tint() -> None:
    x = images()
    red, green, blue = x.unbind(1)
    expected = {
        "bright": x.sqrt(),
        "dark": x * x,
        "flat": F.adjust_contrast(x, 0.5),
        "harsh": F.adjust_contrast(x, 2.0),
        "warm": torch.stack([(1.2 * red).clamp(max=1), green, 0.8 * blue], 1),
        "cold": torch.stack([0.8 * red, green, (1.2 * blue).clamp(max=1)], 1),
    }
    assert list(expected) == list(LIGHTS)
    for name, light in LIGHTS.items():
        torch.testing.assert_close(light(x), expected[name], atol=1e-4, rtol=0)  # luma is rounded
    assert torch.equal(x, images())  # left unchanged
    torch.testing.assert_close(Light()(x), x)


def test_each_image_gets_its_own_light() -> None:
    x, lights = images(), list(LIGHTS.values())
    numbers = torch.tensor([0, 1, 2, 3, 4, 5, 6, 11])
    found = relit(x, numbers)
    for row, number in enumerate(numbers.tolist()):
        assert torch.equal(found[row : row + 1], lights[number % 6](x[row : row + 1]))
