"""The same image in other light: what an exposure, a haze or a lamp does to its pixels.

Unlike the photometric views of training, these lights are strong and the same for all runs, so that
numbers measured in them can be compared.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from picie.views.photometric import luma

__all__ = ["LIGHTS", "Light", "relit"]


@dataclass(frozen=True)
class Light:
    """How one light changes an image; each part follows the one before and clips to [0, 1].

    Attributes:
        gamma: exponent of every value; below 1 = brighter, above 1 = darker, 1 = unchanged.
        contrast: factor of the distance from the image's mean grey; 1 = unchanged.
        gains: factors of red, green and blue; 1 = unchanged.
    """

    gamma: float = 1.0
    contrast: float = 1.0
    gains: tuple[float, float, float] = (1.0, 1.0, 1.0)

    def __call__(self, images: Tensor) -> Tensor:
        """The images in this light.

        Args:
            images: (B, 3, H, W) float in [0, 1]; left unchanged.

        Returns:
            (B, 3, H, W) in [0, 1].
        """
        out = images**self.gamma
        if self.contrast != 1:
            mean = luma(out).mean((2, 3), keepdim=True)
            out = torch.lerp(mean, out, self.contrast).clamp_(0, 1)
        return out.mul_(out.new_tensor(self.gains)[:, None, None]).clamp_(0, 1)


LIGHTS = {
    "bright": Light(gamma=0.5),
    "dark": Light(gamma=2.0),
    "flat": Light(contrast=0.5),
    "harsh": Light(contrast=2.0),
    "warm": Light(gains=(1.2, 1.0, 0.8)),
    "cold": Light(gains=(0.8, 1.0, 1.2)),
}
"""The lights in which the health of a model is measured, by name."""


def relit(images: Tensor, numbers: Tensor) -> Tensor:
    """Each image in one of `LIGHTS`: as many passes tell more of them than all six of a few would.

    Args:
        images: (B, 3, H, W) float in [0, 1]; left unchanged.
        numbers: (B,) int64, at least 0; image n gets light n modulo 6.

    Returns:
        (B, 3, H, W) in [0, 1].
    """
    lights = tuple(LIGHTS.values())
    out = torch.empty_like(images)
    for row, number in enumerate(numbers.tolist()):
        out[row] = lights[number % len(lights)](images[row : row + 1])[0]
    return out
