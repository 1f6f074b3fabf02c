"""The model for FiftyOne: with its package where that is installed, else by the letter of it."""

import sys
from collections.abc import Iterator
from importlib import import_module
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from picie.errors import MissingExtraError
from picie.inference.segmenter import Segmenter
from picie.integrations import fiftyone as integration
from picie.integrations.fiftyone import PicieModel
from picie.models.class_names import ClassNames, NamedClass


@pytest.fixture(params=["stand-in", "installed"])
def package(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """FiftyOne, or what the model uses of it."""
    integration._for_fiftyone.cache_clear()
    if request.param == "installed":
        pytest.importorskip("fiftyone", exc_type=ImportError)
        yield import_module("fiftyone")
    else:
        whole, models = ModuleType("fiftyone"), ModuleType("fiftyone.core.models")
        vars(models)["Model"] = type("Model", (), {})
        vars(whole).update(
            Segmentation=SimpleNamespace,
            ColorScheme=lambda color_by: SimpleNamespace(color_by=color_by, fields=None),
            core=SimpleNamespace(models=models),
        )
        monkeypatch.setitem(sys.modules, "fiftyone", whole)
        monkeypatch.setitem(sys.modules, "fiftyone.core", ModuleType("fiftyone.core"))
        monkeypatch.setitem(sys.modules, "fiftyone.core.models", models)
        yield whole
    integration._for_fiftyone.cache_clear()


@pytest.fixture
def image() -> Any:
    return np.random.default_rng(1).integers(0, 255, (40, 56, 3), dtype=np.uint8)


def test_a_mask_has_ids_from_one(model: Segmenter, package: Any, image: Any) -> None:
    wrapped = PicieModel(model)
    assert isinstance(wrapped, package.core.models.Model)
    assert (wrapped.media_type, wrapped.ragged_batches) == ("image", False)
    label = wrapped.predict(image)
    assert isinstance(label, package.Segmentation)
    assert label.mask.dtype == np.uint8
    assert np.array_equal(label.mask, model.predict(image) + 1)
    assert wrapped.mask_targets == {1: "cluster 0", 2: "cluster 1", 3: "cluster 2"}


def test_what_is_ignored_is_background(model: Segmenter, package: Any, image: Any) -> None:
    cluster = int(model.predict(image)[0, 0])
    names = ClassNames(3, (NamedClass("ignore", (cluster,), ignore=True),))
    mask = PicieModel(model.named(names)).predict(image).mask
    assert mask[0, 0] == 0


def test_a_field_gets_names_and_colours(model: Segmenter, package: Any) -> None:
    other = {"path": "truth", "maskTargetsColors": []}
    saved: list[bool] = []
    dataset = SimpleNamespace(
        mask_targets={"truth": {1: "x"}},
        app_config=SimpleNamespace(color_scheme=None),
        save=lambda: saved.append(True),
    )
    wrapped = PicieModel(model)
    wrapped.describe(dataset, "picie")
    scheme = dataset.app_config.color_scheme
    scheme.fields = [other, *scheme.fields]
    wrapped.describe(dataset, "picie")  # again: no second entry, and none of others is lost
    assert dataset.mask_targets == {"truth": {1: "x"}, "picie": wrapped.mask_targets}
    assert scheme.color_by == "value"
    assert [field["path"] for field in scheme.fields] == ["truth", "picie"]
    first = {"intTarget": 1, "color": f"#{bytes(model.colours[0].tolist()).hex()}"}
    assert scheme.fields[1]["maskTargetsColors"][0] == first
    assert saved == [True, True]


def test_fiftyone_is_asked_for(model: Segmenter, monkeypatch: pytest.MonkeyPatch) -> None:
    integration._for_fiftyone.cache_clear()
    monkeypatch.setitem(sys.modules, "fiftyone", None)
    monkeypatch.setitem(sys.modules, "fiftyone.core.models", None)
    with pytest.raises(MissingExtraError, match=r'pip install "picie\[fiftyone\]"'):
        PicieModel(model)
