"""The module that is exported: what prediction does, at any size."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from picie.data.synthetic.scenes import draw_scene
from picie.export.model.graph import Graph, _scaled, ignored_id
from picie.inference.segmenter import Segmenter
from picie.models.class_names import ClassNames, NamedClass
from picie.types import IGNORED


def scene(height: int, width: int, index: int = 0) -> NDArray[np.uint8]:
    return draw_scene(0, index, (height, width))[0]


def telling(model: Segmenter, size: tuple[int, int] = (64, 96)) -> NDArray[np.uint8]:
    """The first scene in which the model sees more than one cluster."""
    scenes = (scene(*size, index) for index in range(50))
    return next(one for one in scenes if len(np.unique(model.predict(one, size=min(size)))) > 1)


def run(graph: Graph, *images: NDArray[np.uint8]) -> tuple[NDArray[np.int64], torch.Tensor]:
    with torch.no_grad():
        ids, logits = graph(torch.from_numpy(np.stack(images)))
    return ids.numpy(), logits


def changed(model: Segmenter, **settings: object) -> Segmenter:
    config = model.config.model_copy(update=settings)
    return Segmenter(model.network, config, precision="fp32", class_names=model.class_names)


@pytest.mark.parametrize("scales", [(1.0,), (1.0, 1.5), (0.5, 2.5)])
def test_it_does_what_prediction_does(model: Segmenter, scales: tuple[float, ...]) -> None:
    both = changed(model, predict_scales=scales)
    image = telling(both)
    ids, logits = run(Graph(both), image)
    wanted = both.logits(torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255)
    torch.testing.assert_close(logits, wanted, rtol=1e-3, atol=1e-4)
    assert (ids[0] == both.predict(image, size=64)).mean() > 0.999
    assert len(np.unique(ids)) > 1


@pytest.mark.parametrize("rule", ["cosine", "l2", "dot"])
@pytest.mark.parametrize("unit", [True, False])
def test_every_rule_of_prediction(model: Segmenter, rule: str, unit: bool) -> None:
    other = changed(model, similarity=rule, unit_features=unit)
    image = scene(64, 64)
    wanted = other.logits(torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255)
    torch.testing.assert_close(run(Graph(other), image)[1], wanted, rtol=1e-3, atol=1e-4)


def test_a_learnt_classifier_keeps_its_offsets(model: Segmenter) -> None:
    network = model.network.regrouped(list(model.network.groups))
    network.offsets = torch.linspace(-1, 1, network.offsets.numel()).view_as(network.offsets)
    other = Segmenter(network, model.config.model_copy(update={"similarity": "dot"}))
    image = scene(64, 64)
    wanted = other.logits(torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255)
    torch.testing.assert_close(run(Graph(other), image)[1], wanted, rtol=1e-3, atol=1e-4)


def test_names_void_and_a_class_without_clusters(model: Segmenter) -> None:
    image = telling(model)
    thing, void = np.unique(model.predict(image, size=64))[:2].tolist()  # two that it shows
    classes = (
        NamedClass("nothing yet"),
        NamedClass("thing", (thing,)),
        NamedClass("void", (void,), ignore=True),
    )
    named = model.named(ClassNames(3, classes))
    ids, logits = run(Graph(named), image)
    wanted = named.predict(image, size=64)
    assert {IGNORED, 1} <= set(np.unique(wanted))
    assert (np.where(ids[0] == 255, IGNORED, ids[0]) == wanted).mean() > 0.999
    plain = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
    torch.testing.assert_close(logits, named.logits(plain), rtol=1e-3, atol=1e-4)


def test_a_side_that_no_cell_divides_is_brought_to_the_nearest_that_is(model: Segmenter) -> None:
    image = scene(75, 90)
    ids, logits = run(Graph(model), image)
    pixels = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
    resized = F.interpolate(pixels, (64, 96), mode="bilinear", align_corners=False)
    torch.testing.assert_close(logits, model.logits(resized), rtol=1e-3, atol=1e-4)
    assert ids.shape == (1, 75, 90)


def test_images_of_a_batch_do_not_touch_each_other(model: Segmenter) -> None:
    first, second = scene(64, 64), scene(64, 64)[::-1].copy()
    graph = Graph(model)
    both = run(graph, first, second)[0]
    assert (both[0] == run(graph, first)[0][0]).all()
    assert (both[1] == run(graph, second)[0][0]).all()


def test_scaled_sides_are_those_of_prediction() -> None:
    for scale in [0.25, 0.3, 0.5, 0.75, 1.25, 1.5, 1.7, 2, 3.3, 4]:
        sides = range(32, 3200, 32)
        assert [_scaled(side, scale) for side in sides] == [
            max(32, 32 * round(side * scale / 32)) for side in sides
        ]


def test_void_is_an_id_that_no_class_has() -> None:
    assert (ignored_id(27), ignored_id(255), ignored_id(256)) == (255, 255, 65535)
