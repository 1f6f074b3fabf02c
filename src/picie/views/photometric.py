"""Photometric transforms: what a feature should be invariant to (PiCIE, section 3.3).

The order is fixed: brightness, contrast, saturation, hue, grayscale, blur. Each has its own chance.
Blur is the last and linear along rows and columns, so it is handed on as two matrices that the
resampling of the view takes in (`blur_matrix`); the pixels are then touched once.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from picie.config import Config

__all__ = ["NUM_DRAWS", "PhotometricParams", "adjust_colours", "blur_matrix", "draw_photometric"]

NUM_DRAWS = 11
"""Uniform numbers that one photometric draw uses up."""

_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as Pillow's "L"


@dataclass(frozen=True)
class PhotometricParams:
    """One draw for each of B pictures; all (B,) float32.

    Attributes:
        brightness: factor of the picture against black; 1 = unchanged.
        contrast: factor against the picture's mean grey; 1 = unchanged.
        saturation: factor against its grayscale version; 1 = unchanged, 0 = grey.
        hue: shift in turns of the hue circle; 0 = unchanged.
        sigma: standard deviation of the blur in pixels; 0 = no blur.
    """

    brightness: Tensor
    contrast: Tensor
    saturation: Tensor
    hue: Tensor
    grayscale: Tensor
    sigma: Tensor


def draw_photometric(uniform: Tensor, config: Config) -> PhotometricParams:
    """Turn uniform numbers into parameters.

    Args:
        uniform: (B, NUM_DRAWS) of [0, 1): five chances and values, one chance of grayscale.
        config: strengths and chances.
    """
    u = uniform.to(torch.float64)

    def jitter(column: int, strength: float, centre: float) -> Tensor:
        value = centre + strength * (2 * u[:, column + 1] - 1)
        applied = u[:, column] < config.jitter_chance
        return torch.where(applied, value, torch.full_like(value, centre)).float()

    if config.blur_rule == "authors":
        # Their line through the uniform number is read on the wrong side of its intercept.
        sigma = (0.1 - 1.9 * u[:, 9]).abs()
    else:
        sigma = config.blur_min + (config.blur_max - config.blur_min) * u[:, 9]
    return PhotometricParams(
        brightness=jitter(0, config.brightness, 1.0),
        contrast=jitter(2, config.contrast, 1.0),
        saturation=jitter(4, config.saturation, 1.0),
        hue=jitter(6, config.hue, 0.0),
        grayscale=(u[:, 10] < config.grayscale).float(),
        sigma=torch.where(u[:, 8] < config.blur, sigma, torch.zeros_like(sigma)).float(),
    )


def adjust_colours(images: Tensor, params: PhotometricParams) -> Tensor:
    """All transforms but the blur.

    Args:
        images: (B, 3, H, W) float in [0, 1]; left unchanged.
        params: on the same device as the images.

    Returns:
        (B, 3, H, W) float in [0, 1]; after each step values are clipped to that range.
    """
    if images.device.type != "cpu":
        return _adjust(images, params)
    # One picture at a time stays in the processor's cache; a batch would go through memory for
    # each of some forty operations.
    ones = [
        _adjust(
            images[i : i + 1],
            PhotometricParams(**{k: v[i : i + 1] for k, v in vars(params).items()}),
        )
        for i in range(len(images))
    ]
    return torch.cat(ones)


def blur_matrix(sigma: Tensor, size: int) -> Tensor:
    """Gaussian blur along one axis of `size` pixels, as a matrix.

    Args:
        sigma: (B,) standard deviations in pixels; 0 gives the identity.
        size: pixels along the axis.

    Returns:
        (B, size, size) float32; each row sums to 1, so that the border does not darken.
    """
    position = torch.arange(size, device=sigma.device)
    # Below a hundredth of a pixel the kernel is the identity in float32 anyway.
    spread = sigma.float().clamp_min(1e-2)[:, None]
    kernel = torch.exp(-0.5 * (position / spread).square())  # (B, size), by distance
    kernel = kernel * (position <= (4 * spread).clamp_min(1.0))
    weight = kernel[:, (position[:, None] - position).abs()]
    return weight / weight.sum(dim=2, keepdim=True)


def _adjust(images: Tensor, params: PhotometricParams) -> Tensor:
    out = images * _per_picture(params.brightness)
    out.clamp_(0, 1)
    mean = _luma(out).mean(dim=(2, 3), keepdim=True)
    out = torch.lerp(mean, out, _per_picture(params.contrast)).clamp_(0, 1)
    out = torch.lerp(_luma(out), out, _per_picture(params.saturation)).clamp_(0, 1)
    shifted = params.hue.nonzero()[:, 0]
    if len(shifted):
        out[shifted] = _shift_hue(out[shifted], params.hue[shifted, None, None])
    grey = params.grayscale.nonzero()[:, 0]
    if len(grey):
        out[grey] = _luma(out[grey]).expand(-1, 3, -1, -1)
    return out


def _per_picture(values: Tensor) -> Tensor:
    return values[:, None, None, None]


def _luma(images: Tensor) -> Tensor:
    red, green, blue = images.unbind(1)
    return (_LUMA[0] * red + _LUMA[1] * green + _LUMA[2] * blue)[:, None]


def _shift_hue(images: Tensor, shift: Tensor) -> Tensor:
    """Turn the hue by `shift` turns at the same value and chroma (hexagonal HSV)."""
    red, green, blue = images.unbind(1)
    value = torch.maximum(torch.maximum(red, green), blue)
    least = torch.minimum(torch.minimum(red, green), blue)
    chroma = value - least
    safe = chroma.clamp_min(1e-8)
    sector = torch.where(
        value == red,
        (green - blue) / safe,
        torch.where(value == green, 2 + (blue - red) / safe, 4 + (red - green) / safe),
    )
    sector = torch.remainder(sector + 6 * shift, 6)
    # Share of the chroma in each channel, linear between the six corners of the hue circle.
    shares = (
        ((sector - 3).abs_() - 1).clamp_(0, 1),
        (2 - (sector - 2).abs_()).clamp_(0, 1),
        (2 - (sector - 4).abs_()).clamp_(0, 1),
    )
    return torch.stack([torch.addcmul(least, chroma, share) for share in shares], dim=1)
