"""What an exported file does, beside what the model itself does: differences and speed."""

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from picie.data.synthetic.scenes import draw_scene
from picie.errors import ModelError
from picie.export.model.runtimes import Runner
from picie.inference.segmenter import Segmenter

__all__ = ["Check", "Prediction", "check_file", "check_graph", "check_sizes"]

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
        seconds: median time for an image of the last size: of the file, and of the model's own
            prediction in torch.
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

    The smallest image; sides that no cell divides, one of them long; several images; last that
    of a photo of 3 to 4, as the network sees it.

    Args:
        size: short side in pixels at which the network sees an image.
    """
    return (1, 64, 64), (1, size + 13, 2 * size - 7), (3, 96, 161), (1, size, 32 * (size // 24))


class Prediction:
    """What the graph stands for: prediction on the CPU in fp32, without boundary refinement.

    Args:
        model: trained.
    """

    def __init__(self, model: Segmenter) -> None:
        config = model.config.model_copy(update={"device": "cpu", "refine": 0})
        self._model = Segmenter(
            model.network, config, precision="fp32", class_names=model.class_names
        )

    def logits(self, images: NDArray[np.uint8]) -> NDArray[Any]:
        """(B, N, h, w) float32 of (B, H, W, 3) uint8 whose sides are multiples of 32."""
        pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
        return self._model.logits(pixels).numpy()

    def mask(self, image: NDArray[np.uint8]) -> NDArray[np.int64]:
        """(H, W) ids of (H, W, 3) uint8, seen at its own size."""
        found: NDArray[np.int64] = self._model.predict(image, size=min(image.shape[:2]), tile=0)
        return found


def check_file(
    found: Runner, wanted: Runner, own: Prediction, sizes: Sequence[tuple[int, int, int]]
) -> Check:
    """Run both on drawn scenes.

    Args:
        found: the file.
        wanted: the graph in torch.
        own: the model's own prediction, which the time is compared with.
        sizes: (B, H, W) of the scenes; the last one with sides that are multiples of 32.

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
                f"the exported file cannot be run on an image of {height} x {width} pixels "
                f"({str(error).splitlines()[0] if str(error) else type(error).__name__})"
            ) from error
        if own_ids.shape != ids.shape or own_logits.shape != logits.shape:
            raise ModelError(
                f"the exported file makes ids {own_ids.shape} and logits {own_logits.shape} of "
                f"images {images.shape}, the model {ids.shape} and {logits.shape}"
            )
        largest = max(float(np.abs(logits).max()), 1e-12)
        difference = max(difference, float(np.abs(own_logits - logits).max()) / largest)
        wrong, total = wrong + int((own_ids != ids).sum()), total + ids.size
    return Check(tuple(sizes), difference, wrong / total, _seconds(found, own, images[:1]))


def check_graph(graph: Runner, own: Prediction, size: int) -> float:
    """The largest difference between the graph's logits and those of the model's own prediction.

    As a share of the largest logit, at a size that the network takes as it is; infinite where they
    have other shapes.

    Args:
        graph: in torch.
        own: the model's own prediction.
        size: a multiple of 32, 64 or more.
    """
    images = _scenes(1, size, size + 32, 0)
    wanted = own.logits(images)
    found = graph(images)[1]
    if found.shape != wanted.shape:
        return float("inf")
    return float(np.abs(found - wanted).max() / max(np.abs(wanted).max(), 1e-12))


def _scenes(batch: int, height: int, width: int, number: int) -> NDArray[np.uint8]:
    scenes = [draw_scene(number, index, (height, width))[0] for index in range(batch)]
    return np.stack(scenes)


def _seconds(found: Runner, own: Prediction, images: NDArray[Any]) -> tuple[float, float]:
    """Medians, taken in turns, so that a busy machine slows both down."""
    theirs, ours = [], []
    own.mask(images[0])  # folds the network
    for _ in range(_REPEATS):
        start = time.perf_counter()
        found(images)
        middle = time.perf_counter()
        own.mask(images[0])
        theirs.append(middle - start)
        ours.append(time.perf_counter() - middle)
    return statistics.median(theirs), statistics.median(ours)
