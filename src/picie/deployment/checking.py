"""What an exported file does, beside what the model itself does: differences and speed."""

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from picie.data.synthetic import draw_scene
from picie.deployment.files import Runner
from picie.errors import ModelError
from picie.inference import Segmenter

__all__ = ["Check", "check_file", "check_graph", "check_sizes"]

_TOLERANCE = 1e-3  # of the largest logit; rounding in another order moves about 1e-5
_MOST_PIXELS = 2e-3  # that may be another id: those where two logits are as good as equal
_REPEATS = 5


@dataclass(frozen=True)
class Check:
    """A file against torch.

    Attributes:
        sizes: (B, H, W) of what was given to both.
        difference: the largest between logits, as a share of the largest logit.
        pixels: share of pixels that differ in their id, 0..1.
        seconds: median time for a picture of the last size: of the file, and of torch.
    """

    sizes: tuple[tuple[int, int, int], ...]
    difference: float
    pixels: float
    seconds: tuple[float, float]

    @property
    def good(self) -> bool:
        """Whether nothing but rounding tells them apart."""
        return self.difference <= _TOLERANCE and self.pixels <= _MOST_PIXELS


def check_sizes(size: int) -> tuple[tuple[int, int, int], ...]:
    """(B, H, W) that files are checked at.

    The smallest picture; sides that no cell divides, one of them long; several pictures; last that
    of a photo of 3 to 4, as the network sees it.

    Args:
        size: short side in pixels at which the network sees a picture.
    """
    return (1, 64, 64), (1, size + 13, 2 * size - 7), (3, 96, 161), (1, size, 32 * (size // 24))


def check_file(found: Runner, wanted: Runner, sizes: Sequence[tuple[int, int, int]]) -> Check:
    """Run both on drawn scenes.

    Args:
        found: the file.
        wanted: the model in torch.
        sizes: (B, H, W) of the scenes.

    Raises:
        ModelError: the file cannot be run, or answers with other shapes.
    """
    difference, wrong, total = 0.0, 0, 0
    for number, (batch, height, width) in enumerate(sizes):
        images = _scenes(batch, height, width, number)
        ids, logits = wanted(images)
        try:
            own_ids, own_logits = found(images)
        except Exception as error:  # of a runtime; there is no common base
            raise ModelError(
                f"the exported file cannot be run on a picture of {height} x {width} pixels "
                f"({str(error).splitlines()[0] if str(error) else type(error).__name__})"
            ) from error
        if own_ids.shape != ids.shape or own_logits.shape != logits.shape:
            raise ModelError(
                f"the exported file makes ids {own_ids.shape} and logits {own_logits.shape} of "
                f"pictures {images.shape}, the model {ids.shape} and {logits.shape}"
            )
        largest = max(float(np.abs(logits).max()), 1e-12)
        difference = max(difference, float(np.abs(own_logits - logits).max()) / largest)
        wrong, total = wrong + int((own_ids != ids).sum()), total + ids.size
    return Check(tuple(sizes), difference, wrong / total, _seconds(found, wanted, images[:1]))


def check_graph(model: Segmenter, graph: Runner, size: int) -> float:
    """The largest difference between the graph's logits and those of the model's own prediction.

    As a share of the largest logit, at a size that the network takes as it is; infinite where they
    have other shapes. Border refinement, which the graph lacks, is left out.

    Args:
        model: trained.
        graph: made from it.
        size: a multiple of 32, 64 or more.
    """
    images = _scenes(1, size, size + 32, 0)
    plain = Segmenter(
        model.network,
        model.config.model_copy(update={"device": "cpu", "refine": 0}),
        precision="fp32",
        class_names=model.class_names,
    )
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
    wanted = plain.logits(pixels).numpy()
    found = graph(images)[1]
    if found.shape != wanted.shape:
        return float("inf")
    return float(np.abs(found - wanted).max() / max(np.abs(wanted).max(), 1e-12))


def _scenes(batch: int, height: int, width: int, number: int) -> NDArray[np.uint8]:
    scenes = [draw_scene(number, index, (height, width))[0] for index in range(batch)]
    return np.stack(scenes)


def _seconds(found: Runner, wanted: Runner, images: NDArray[Any]) -> tuple[float, float]:
    """Medians, taken in turns, so that a busy machine slows both down."""
    taken: tuple[list[float], list[float]] = ([], [])
    for _ in range(_REPEATS):
        for run, times in zip((found, wanted), taken, strict=True):
            start = time.perf_counter()
            run(images)
            times.append(time.perf_counter() - start)
    return statistics.median(taken[0]), statistics.median(taken[1])
