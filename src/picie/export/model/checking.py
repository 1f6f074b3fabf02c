"""Compare an exported file with the model: differences and speed."""

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

_TOLERANCE = 1e-3  # of the largest logit; another rounding order changes about 1e-5
_MOST_PIXELS = 2e-3  # share that may differ in id, where two logits are nearly equal
_REPEATS = 5


@dataclass(frozen=True)
class Check:
    """A file compared with torch.

    Attributes:
        sizes: (B, H, W) of the test images.
        difference: largest difference of logits, as a share of the largest logit.
        pixels: share of pixels with different ids, 0..1.
        seconds: median time for an image of the last size: of the file, and of prediction in
            torch.
    """

    sizes: tuple[tuple[int, int, int], ...]
    difference: float
    pixels: float
    seconds: tuple[float, float]

    @property
    def good(self) -> bool:
        """Whether they differ by rounding only."""
        return self.difference <= _TOLERANCE and self.pixels <= _MOST_PIXELS


def check_sizes(size: int) -> tuple[tuple[int, int, int], ...]:
    """(B, H, W) at which files are checked.

    The smallest image; sides that are not multiples of 32; a batch; and last a 4:3 photo at the
    input size of the network.

    Args:
        size: short side in pixels at which the network sees an image.
    """
    return (1, 64, 64), (1, size + 13, 2 * size - 7), (3, 96, 161), (1, size, 32 * (size // 24))


class Prediction:
    """The reference for the graph: prediction on the CPU in fp32, without boundary refinement.

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
        """(H, W) ids of (H, W, 3) uint8, at its own size."""
        mask: NDArray[np.int64] = self._model.predict(image, size=min(image.shape[:2]), tile=0)
        return mask


def check_file(
    exported: Runner,
    reference: Runner,
    prediction: Prediction,
    sizes: Sequence[tuple[int, int, int]],
) -> Check:
    """Run the file and the graph on generated scenes.

    Args:
        exported: the file.
        reference: the graph in torch.
        prediction: of the model, to compare times with.
        sizes: (B, H, W) of the scenes; the sides of the last are multiples of 32.

    Raises:
        ModelError: the file cannot be run, or returns other shapes.
    """
    difference, wrong, total = 0.0, 0, 0
    for number, (batch, height, width) in enumerate(sizes):
        images = _scenes(batch, height, width, number)
        ids, logits = reference(images)
        try:
            own_ids, own_logits = exported(images)
        except Exception as error:  # runtimes have no common base error
            raise ModelError(
                f"the exported file cannot be run on an image of {height} x {width} pixels "
                f"({str(error).splitlines()[0] if str(error) else type(error).__name__})"
            ) from error
        if own_ids.shape != ids.shape or own_logits.shape != logits.shape:
            raise ModelError(
                f"for images {images.shape}, the exported file returns ids {own_ids.shape} and "
                f"logits {own_logits.shape}, the model {ids.shape} and {logits.shape}"
            )
        largest = max(float(np.abs(logits).max()), 1e-12)
        difference = max(difference, float(np.abs(own_logits - logits).max()) / largest)
        wrong, total = wrong + int((own_ids != ids).sum()), total + ids.size
    return Check(
        tuple(sizes), difference, wrong / total, _seconds(exported, prediction, images[:1])
    )


def check_graph(graph: Runner, prediction: Prediction, size: int) -> float:
    """The largest difference between the logits of the graph and of prediction.

    It is a share of the largest logit, measured at a multiple of 32; infinite if shapes differ.

    Args:
        graph: in torch.
        prediction: of the model.
        size: a multiple of 32, at least 64.
    """
    images = _scenes(1, size, size + 32, 0)
    reference = prediction.logits(images)
    logits = graph(images)[1]
    if logits.shape != reference.shape:
        return float("inf")
    return float(np.abs(logits - reference).max() / max(np.abs(reference).max(), 1e-12))


def _scenes(batch: int, height: int, width: int, number: int) -> NDArray[np.uint8]:
    scenes = [draw_scene(number, index, (height, width))[0] for index in range(batch)]
    return np.stack(scenes)


def _seconds(exported: Runner, prediction: Prediction, images: NDArray[Any]) -> tuple[float, float]:
    """Median times, measured alternately, so that a busy machine slows both down."""
    theirs, ours = [], []
    prediction.mask(images[0])  # folds the network
    for _ in range(_REPEATS):
        start = time.perf_counter()
        exported(images)
        middle = time.perf_counter()
        prediction.mask(images[0])
        theirs.append(middle - start)
        ours.append(time.perf_counter() - middle)
    return statistics.median(theirs), statistics.median(ours)
