"""What is said about an exported file must be true."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from picie.errors import ModelError
from picie.export.model.checking import Check, Prediction, check_file, check_graph, check_sizes
from picie.export.model.graph import Graph
from picie.export.model.runtimes import module_runner
from picie.inference.segmenter import Segmenter

SIZES = ((1, 64, 64), (2, 64, 96))


def answer(images: NDArray[np.uint8]) -> tuple[NDArray[Any], NDArray[Any]]:
    logits = images[:, ::4, ::4].astype(np.float32).transpose(0, 3, 1, 2) - 300
    return np.zeros(images.shape[:3], np.int64), logits


def test_the_same_differs_nowhere(model: Segmenter) -> None:
    found = check_file(answer, answer, Prediction(model), SIZES)
    assert (found.difference, found.pixels, found.good) == (0, 0, True)
    assert min(found.seconds) > 0


def test_differences_are_shares(model: Segmenter) -> None:
    def other(images: NDArray[np.uint8]) -> tuple[NDArray[Any], NDArray[Any]]:
        ids, logits = answer(images)
        ids[0, :8] = 1
        return ids, logits * 1.5

    found = check_file(other, answer, Prediction(model), SIZES)
    assert found.difference == pytest.approx(0.5)
    assert found.pixels == pytest.approx((8 * 64 + 8 * 96) / (64 * 64 + 2 * 64 * 96))
    assert not found.good


@pytest.mark.parametrize(
    ("difference", "pixels", "good"), [(9e-4, 0, True), (2e-3, 0, False), (0, 0.01, False)]
)
def test_only_rounding_is_good(difference: float, pixels: float, good: bool) -> None:
    assert Check(SIZES, difference, pixels, (1, 1)).good == good


def test_a_file_that_cannot_be_run(model: Segmenter) -> None:
    def broken(images: NDArray[np.uint8]) -> Any:
        raise RuntimeError(f"no kernel for {images.ndim}\nmore")

    with pytest.raises(ModelError, match=r"on an image of 64 x 64 pixels \(no kernel for 4\)"):
        check_file(broken, answer, Prediction(model), SIZES)


def test_other_shapes_are_refused(model: Segmenter) -> None:
    def other(images: NDArray[np.uint8]) -> tuple[NDArray[Any], NDArray[Any]]:
        ids, logits = answer(images)
        return ids[:, 1:], logits

    with pytest.raises(ModelError, match=r"returns ids \(1, 63, 64\)"):
        check_file(other, answer, Prediction(model), SIZES)


def test_sizes_hold_odd_sides_several_images_and_a_photo_last() -> None:
    sizes = check_sizes(320)
    assert sizes[-1] == (1, 320, 416)
    assert any(height % 2 and width % 2 for _, height, width in sizes)
    assert max(batch for batch, *_ in sizes) > 1


def test_the_graph_against_the_model(model: Segmenter) -> None:
    refined = model.post_processed(refine=3)  # left out on both sides
    graph = module_runner(Graph(refined))
    assert check_graph(graph, Prediction(refined), 64) < 1e-4
    other = Prediction(model.post_processed(scales=(1.5,)))
    assert check_graph(graph, other, 64) > 0.1
    assert check_graph(graph, Prediction(model.cut(2)), 64) == np.inf
