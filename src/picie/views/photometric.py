"""Photometric transforms, to which features should be invariant (PiCIE, section 3.3).

The order is fixed: brightness, contrast, saturation, hue, grayscale, blur. Each one is applied with
its own probability. Blur comes last and is separable and linear, so for a batch on a GPU it is a
matrix (`blur_matrix`) that is multiplied into the resampling of the view.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from picie.config import Config
from picie.runtime.devices import to_device
from picie.runtime.moved import forwarding

__all__ = [
    "NUM_DRAWS",
    "PhotometricParams",
    "adjust_colours",
    "blur_images",
    "blur_matrix",
    "draw_photometric",
    "luma",
]

__getattr__ = forwarding(__name__)  # for names of 0.1

NUM_DRAWS = 11
"""Number of uniform random numbers per photometric draw."""

_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as Pillow's "L"
_CHANCE = 0.8  # probability of each of the four colour jitters
_LEAST_SIGMA, _MOST_SIGMA = 0.1, 2.0  # of the blur, in pixels of the base crop


@dataclass(frozen=True)
class PhotometricParams:
    """Parameters of B images; all (B,) float32.

    Attributes:
        brightness: interpolation factor from black; 1 = unchanged.
        contrast: interpolation factor from the image's mean grey; 1 = unchanged.
        saturation: interpolation factor from its grayscale version; 1 = unchanged, 0 = grey.
        hue: shift in turns of the hue circle; 0 = unchanged.
        grayscale: 1 = converted to grayscale, 0 = unchanged.
        sigma: standard deviation of the blur in pixels; 0 = no blur.
    """

    brightness: Tensor
    contrast: Tensor
    saturation: Tensor
    hue: Tensor
    grayscale: Tensor
    sigma: Tensor


def draw_photometric(uniform: Tensor, config: Config) -> PhotometricParams:
    """Turn uniform random numbers into parameters.

    Args:
        uniform: (B, NUM_DRAWS) in [0, 1): probability and value of the four jitters and of the
            blur, then the probability of grayscale.
        config: reads `jitter`, `hue`, `grayscale`, `blur` and `view_rule`.
    """
    u = uniform.to(torch.float64)

    def jitter(column: int, strength: float, centre: float) -> Tensor:
        value = centre + strength * (2 * u[:, column + 1] - 1)
        applied = u[:, column] < _CHANCE
        return torch.where(applied, value, torch.full_like(value, centre)).float()

    if config.view_rule == "authors":
        # As in the authors' code: their linear map has the wrong sign, hence the absolute value.
        sigma = (0.1 - 1.9 * u[:, 9]).abs()
    else:
        sigma = _LEAST_SIGMA + (_MOST_SIGMA - _LEAST_SIGMA) * u[:, 9]
    return PhotometricParams(
        brightness=jitter(0, config.jitter, 1.0),
        contrast=jitter(2, config.jitter, 1.0),
        saturation=jitter(4, config.jitter, 1.0),
        hue=jitter(6, config.hue, 0.0),
        grayscale=(u[:, 10] < config.grayscale).float(),
        sigma=torch.where(u[:, 8] < config.blur, sigma, torch.zeros_like(sigma)).float(),
    )


def adjust_colours(images: Tensor, params: PhotometricParams) -> Tensor:
    """Apply all transforms except the blur, in order; each clips to [0, 1].

    On a CPU pass one image at a time: it stays in cache, and transforms that were not drawn for it
    are skipped. On a GPU pass a batch: no operation here synchronises with the device.

    Args:
        images: (B, 3, H, W) uint8, or float in [0, 1]; left unchanged.
        params: on the CPU.

    Returns:
        (B, 3, H, W) float32 in [0, 1].
    """
    factor = _on(images, params.brightness if images.is_floating_point() else _per_level(params))
    out = images.float() * factor
    if bool((params.brightness > 1).any()):
        out.clamp_max_(1)
    if bool((params.contrast != 1).any()):
        mean = luma(out).mean(dim=(2, 3), keepdim=True)
        out = torch.lerp(mean, out, _on(out, params.contrast)).clamp_(0, 1)
    if bool((params.saturation != 1).any()):
        out = torch.lerp(luma(out), out, _on(out, params.saturation)).clamp_(0, 1)
    if bool((params.hue != 0).any()):
        out = _shift_hue(out, _on(out, params.hue)[:, 0])
    if bool((params.grayscale != 0).any()):
        out = torch.lerp(out, luma(out), _on(out, params.grayscale))
    return out


def blur_matrix(sigma: Tensor, size: int) -> Tensor:
    """Gaussian blur along one axis of `size` pixels, as a matrix.

    Args:
        sigma: (B,) standard deviations in pixels; 0 gives the identity.
        size: pixels along the axis.

    Returns:
        (B, size, size) float32; each row sums to 1, so the image does not darken at its border.
    """
    position = torch.arange(size, device=sigma.device)
    kernel = _blur_kernel(sigma, size)
    weight = kernel[:, (position[:, None] - position).abs()]
    return weight / weight.sum(dim=2, keepdim=True)


def blur_images(images: Tensor, sigma: float) -> Tensor:
    """The same blur along both axes as a sum of shifted copies; fast for a single image in cache.

    Args:
        images: (B, C, H, W) float; left unchanged.
        sigma: standard deviation in pixels.

    Returns:
        (B, C, H, W).
    """
    return _blur_axis(_blur_axis(images, sigma, 3), sigma, 2)


def _blur_axis(images: Tensor, sigma: float, axis: int) -> Tensor:
    size = images.shape[axis]
    kernel = _blur_kernel(torch.tensor([sigma]), size)[0]
    weights = [weight for weight in kernel.tolist() if weight > 0]
    out: Tensor = images * weights[0]
    for shift, weight in enumerate(weights[1:], 1):
        low, high = out.narrow(axis, 0, size - shift), out.narrow(axis, shift, size - shift)
        low.add_(images.narrow(axis, shift, size - shift), alpha=weight)
        high.add_(images.narrow(axis, 0, size - shift), alpha=weight)
    # Near the border a part of the kernel lies outside of the image: normalise by the rest.
    running = kernel.cumsum(0)
    mass = running + running.flip(0) - kernel[0]
    out.div_(mass[:, None] if axis == 2 else mass)
    return out


def _blur_kernel(sigma: Tensor, size: int) -> Tensor:
    """(B, size) unnormalised weights by distance in pixels."""
    # For sigma below 0.01 the kernel is the identity in float32.
    spread = sigma.float().clamp_min(1e-2)[:, None]
    position = torch.arange(size, device=sigma.device)
    near = position <= (4 * spread).clamp_min(1)
    kernel: Tensor = torch.exp(-0.5 * (position / spread).square()) * near
    return kernel


def _per_level(params: PhotometricParams) -> Tensor:
    return params.brightness / 255


def _on(images: Tensor, values: Tensor) -> Tensor:
    return to_device(values, images.device)[:, None, None, None]


def luma(images: Tensor) -> Tensor:
    """The brightness (B, 1, H, W) of images (B, 3, H, W), as Pillow's "L"."""
    red, green, blue = images.unbind(1)
    grey = (_LUMA[0] * red).add_(green, alpha=_LUMA[1]).add_(blue, alpha=_LUMA[2])
    return grey[:, None]


def _shift_hue(images: Tensor, shift: Tensor) -> Tensor:
    """Rotate the hue by `shift` (B, 1, 1) turns, keeping value and chroma (hexagonal HSV).

    Masks are float factors, because on a CPU selection by boolean masks takes ten times as long as
    arithmetic.
    """
    red, green, blue = images.unbind(1)
    value = torch.maximum(torch.maximum(red, green), blue)
    least = torch.minimum(torch.minimum(red, green), blue)
    chroma = value - least
    inverse = chroma.clamp_min(1e-8).reciprocal_()
    mask = torch.empty_like(value)
    # Position on the hexagon (0..6) if blue is the largest, corrected where green, then red, is.
    sector = (red - green).mul_(inverse).add_(4)
    other = (blue - red).mul_(inverse).add_(2).sub_(sector)
    sector.addcmul_(other, torch.eq(value, green, out=mask))
    torch.sub(green, blue, out=other).mul_(inverse).sub_(sector)
    sector.addcmul_(other, torch.eq(value, red, out=mask))
    sector.add_(6 * shift)
    sector.sub_(torch.mul(sector, 1 / 6, out=other).floor_(), alpha=6)
    # Share of the chroma in each channel, piecewise linear between the corners.
    out = torch.empty_like(images)
    for channel, (corner, sign, offset) in enumerate(((3, 1, -1), (2, -1, 2), (4, -1, 2))):
        share = torch.sub(sector, corner, out=other).abs_().mul_(sign).add_(offset).clamp_(0, 1)
        torch.addcmul(least, chroma, share, out=out[:, channel])
    return out
