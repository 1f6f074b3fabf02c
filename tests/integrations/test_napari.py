"""The plugin for napari: layers in and out, its manifest, and the package where it is installed."""

import shutil
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

import picie
from picie.annotation.log import read_annotations
from picie.errors import ConfigError, DataError
from picie.integrations import napari as plugin
from picie.integrations.napari import predict, save_scribbles, scribble
from picie.models.class_names import ClassNames, write_classes

pytest.importorskip("skimage")

Layer = Any
_PARTS = ("", ".utils", ".utils.notifications")


@pytest.fixture(autouse=True)
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The notices that napari would show."""
    found: list[str] = []
    modules = {f"napari{end}": ModuleType(f"napari{end}") for end in _PARTS}
    vars(modules["napari.utils.notifications"])["show_info"] = found.append
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    return found


@pytest.fixture
def run(runs: dict[str, Path], tmp_path: Path) -> Path:
    """A run with names, which may be changed."""
    folder = tmp_path / "run"
    shutil.copytree(runs["default"], folder)
    write_classes(folder / "classes.toml", ClassNames.of(3, {"road": [0], "sky": [2]}))
    return folder


def shown(path: Path | None, data: Any = None, **values: Any) -> Layer:
    """A layer with an image, as napari opens a file."""
    data = np.asarray(Image.open(path)) if data is None and path else data
    common = {"name": "an image", "ndim": 2, "multiscale": False, "scale": [1, 1]}
    place = {"translate": [0, 0], "source": SimpleNamespace(path=path and str(path))}
    return SimpleNamespace(data=data, **(common | place | values))


def made(layer: Any) -> Layer:
    """The layer that napari makes of what a function returns."""
    data, options, kind = layer
    assert kind == "labels"
    return SimpleNamespace(data=data, **options)


def strokes(run: Path) -> list[tuple[str, str, tuple[int, int]]]:
    events = read_annotations(run / "annotations.jsonl").valid
    return [(e.title, e.image, e.size) for e in events if e.act == "stroke"]


def test_a_layer_has_the_mask_with_names_and_colours(run: Path, scenes: Path) -> None:
    path = scenes / "images" / "scene_0000.jpg"
    model = picie.load(run)
    layer = made(predict(shown(path, scale=[2, 2]), run))
    assert np.array_equal(layer.data, model.predict(path).astype(int) + 1)
    assert layer.features["class"] == ["", "road", "sky", "cluster 1"]
    assert layer.features["index"] == [0, 1, 2, 3]
    assert np.allclose(layer.colormap[2][:3], model.colours[1] / 255)
    assert layer.colormap[0] == layer.colormap[None] == "transparent"
    assert layer.scale == [2, 2]


def test_deep_values_are_read_from_the_file(run: Path, tmp_path: Path) -> None:
    deep = np.random.default_rng(0).integers(0, 4000, (40, 56), dtype=np.uint16)
    path = tmp_path / "deep.png"
    Image.fromarray(deep).save(path)
    layer = made(predict(shown(path), run))
    assert np.array_equal(layer.data, picie.load(run).predict(path).astype(int) + 1)
    with pytest.raises(DataError, match="values of type uint16 and is not from a file"):
        predict(shown(None, deep), run)
    with pytest.raises(DataError, match="an image: has 3 dimensions; choose a layer with one flat"):
        predict(shown(path, ndim=3), run)
    with pytest.raises(DataError, match=r"shows \(20, 56\), but its file has \(40, 56\)"):
        predict(shown(path, deep[:20]), run)


def test_scribbles_become_strokes_of_the_run(run: Path, scenes: Path, said: list[str]) -> None:
    masks = made(predict(shown(scenes / "images" / "scene_0001.jpg"), run))
    layer = made(scribble(masks, "kerb, road ,"))
    assert layer.features["class"] == ["", "road", "sky", "kerb"]
    assert said == ["paint: 1 = road, 2 = sky, 3 = kerb"]
    assert not layer.data.any()
    layer.data[10:14, 5:40] = 3
    layer.data[30:34, 50:60] = 1
    layer.data[30:34, 5:20] = 1
    save_scribbles(layer)
    one = ("scene_0001", (64, 48))
    assert strokes(run) == [("road", *one), ("road", *one), ("kerb", *one)]
    assert said[1] == "scene_0001: 3 strokes added, 0 taken back; next: picie teach"
    save_scribbles(layer)
    assert said[2] == "scene_0001: 0 strokes added, 0 taken back; next: picie teach"
    layer.data[10:14, 5:40] = 0
    layer.data[2:4, 5:40] = 2
    save_scribbles(layer)
    assert said[3] == "scene_0001: 1 strokes added, 1 taken back; next: picie teach"
    assert [title for title, *_ in strokes(run)] == ["road", "road", "sky"]
    other = made(scribble(masks))
    save_scribbles(other)  # an empty layer takes nothing back
    assert len(strokes(run)) == 3


def test_a_model_learns_from_scribbles(run: Path, scenes: Path) -> None:
    layer = made(scribble(made(predict(shown(scenes / "images" / "scene_0002.jpg"), run)), "kerb"))
    layer.data[4:20, 4:30] = 3
    save_scribbles(layer)
    taught = picie.teach(run)
    assert "kerb" in taught.names
    again = made(predict(shown(scenes / "images" / "scene_0002.jpg"), run / "taught"))
    assert again.features["class"] == ["", *taught.names]
    layer = made(scribble(again))
    layer.data[40:44, 4:30] = 1
    save_scribbles(layer)  # in the history of the run
    assert len(strokes(run)) == 2


def test_what_cannot_be_saved_is_said(run: Path, scenes: Path, tmp_path: Path) -> None:
    path = scenes / "images" / "scene_0003.jpg"
    masks = made(predict(shown(path), run))
    layer = made(scribble(masks))
    layer.data[:4] = 7
    with pytest.raises(ConfigError, match="value 7 is no class; the classes are 1 = road, 2 = sky"):
        save_scribbles(layer)
    with pytest.raises(ConfigError, match="an image: is not a layer from picie"):
        save_scribbles(shown(path, metadata={}))
    with pytest.raises(ConfigError, match="picie: holds the masks of a model; make a new layer"):
        save_scribbles(masks)
    with pytest.raises(ConfigError, match="classes: 'cluster 4' is reserved"):
        scribble(masks, "kerb, cluster 4")
    (tmp_path / "photos").mkdir()
    turned = Image.Exif()
    turned[0x112] = 3
    Image.open(path).save(tmp_path / "photos" / "a.jpg", exif=turned)
    with pytest.raises(DataError, match=r"scene_0003\.jpg: is not in .*photos; give the folder"):
        save_scribbles(layer, tmp_path / "photos")
    layer = made(scribble(made(predict(shown(tmp_path / "photos" / "a.jpg"), run))))
    with pytest.raises(DataError, match=r"a\.jpg: napari does not show it upright"):
        save_scribbles(layer, tmp_path / "photos")
    layer = made(scribble(made(predict(shown(None, np.zeros((40, 40), np.uint8)), run))))
    with pytest.raises(DataError, match="the image was not opened from a file"):
        save_scribbles(layer)
    (run / "classes.toml").unlink()
    with pytest.raises(ConfigError, match="no cluster has a name yet; type names of classes"):
        scribble(masks)
    assert strokes(run) == []


def test_a_stroke_is_the_middle_of_what_was_painted() -> None:
    noise = np.random.default_rng(2).normal(size=(40, 60))
    painted = ndimage.gaussian_filter(noise, 1.5) > 0.05
    regions, count = ndimage.label(painted, np.ones((3, 3)))
    assert count > 3
    for number in range(1, count + 1):
        region = regions == number
        line, radius = plugin._middle(region)
        points = np.array(line) - 0.5
        assert all(region[int(y), int(x)] for x, y in points)
        assert (abs(np.diff(points, axis=0)).max(axis=1, initial=0) <= 1).all()
        outside = np.argwhere(~region)[:, ::-1]  # (N, 2), x and y
        apart = np.hypot(*(points[:, None] - outside).transpose(2, 0, 1)).min()
        assert 0.4 <= radius <= apart
    brush = np.hypot(*(np.mgrid[:21, :21] - 10)) <= 5
    assert plugin._middle(brush) == ([(10.5, 10.5)], 4.6)


def test_very_long_scribbles_become_several_strokes(
    run: Path, scenes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plugin, "_MOST_STEPS", 20)
    layer = made(scribble(made(predict(shown(scenes / "images" / "scene_0001.jpg"), run))))
    layer.data[10:13, 2:62] = 1
    save_scribbles(layer)
    assert len(strokes(run)) == 3


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # npe2 has one of pydantic
def test_the_manifest_names_functions_that_exist() -> None:
    path = Path(plugin.__file__).with_name("napari.yaml")
    manifest = import_module("npe2").PluginManifest.from_file(path)
    manifest.validate_imports()
    named = {command.python_name for command in manifest.contributions.commands or []}
    assert named == {f"{plugin.__name__}:{name}" for name in plugin.__all__}
    widgets = manifest.contributions.widgets or []
    assert {one.command for one in widgets} == {f"picie.{name}" for name in plugin.__all__}
    assert all(one.autogenerate for one in widgets)


@pytest.mark.filterwarnings("ignore")  # of what napari imports
def test_napari_takes_the_layers(run: Path, scenes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for end in _PARTS:
        monkeypatch.delitem(sys.modules, f"napari{end}")
    pytest.importorskip("napari", exc_type=ImportError)
    layers = import_module("napari.layers")
    image = layers.Image(np.asarray(Image.open(scenes / "images" / "scene_0000.jpg")))
    masks = layers.Layer.create(*predict(image, run))
    scribbles = layers.Layer.create(*scribble(masks, "kerb"))
    assert list(scribbles.features["class"]) == ["", "road", "sky", "kerb"]
    assert np.allclose(masks.get_color(1)[:3], picie.load(run).colours[0] / 255, atol=0.01)
