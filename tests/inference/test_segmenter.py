"""Images in every form to masks at their own size."""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

import picie.data.photo_loader
import picie.inference.segmenter
from picie.clustering.pseudo_labels import group_scores
from picie.config import make_config
from picie.data.folder import open_folder
from picie.data.images import network_input, read_image
from picie.data.reading import Reading
from picie.data.synthetic.scenes import draw_scene
from picie.errors import ConfigError, DataError, ModelError, NotFittedError
from picie.inference.confidence import sharpness
from picie.inference.segmenter import Prediction, Segmenter, load, predict
from picie.models.class_names import IGNORED, ClassNames, NamedClass
from picie.models.picie import PiCIE
from picie.postprocessing.upsampling import mask_type, upsample
from picie.visualization.palette import palette

SIZES = [(1, 1), (1, 50), (50, 1), (7, 13), (31, 33), (33, 31), (48, 64), (100, 37), (30, 700)]


def make_image(height: int = 45, width: int = 61, seed: int = 0) -> NDArray[np.uint8]:
    scene, _ = draw_scene(0, 7 + seed, (48, 64))
    return np.array(Image.fromarray(scene).resize((width, height)))


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Five images of two sizes, in this order: three of 45 x 61 and two of 64 x 40."""
    folder = tmp_path / "photos"
    (folder / "sub folder").mkdir(parents=True)
    for index, name in enumerate(["a", "b", "sub folder/ä 1", "sub folder/ö", "z"]):
        size = (45, 61) if index < 3 else (64, 40)
        Image.fromarray(make_image(*size, seed=index)).save(folder / f"{name}.png")
    return folder


@pytest.mark.parametrize("size", SIZES)
def test_a_mask_has_the_size_of_its_image(model: Segmenter, size: tuple[int, int]) -> None:
    mask = model.predict(make_image(*size))
    assert mask.shape == size
    assert mask.dtype == np.int16
    assert mask.min() >= 0
    assert mask.max() < model.clusters == 3


def test_clusters_differ_within_images_and_between_them(model: Segmenter) -> None:
    found = [set(np.unique(model.predict(make_image(seed=seed)))) for seed in range(8)]
    assert max(len(ids) for ids in found) > 1
    assert len(set.union(*found)) > 1


def test_every_form_of_a_image_gives_the_same_mask(model: Segmenter, tmp_path: Path) -> None:
    image = make_image()
    path = tmp_path / "photo.PNG"
    Image.fromarray(image).save(path)
    whole = torch.from_numpy(image).permute(2, 0, 1)
    forms: list[Any] = [
        path,
        str(path),
        Image.fromarray(image),
        Image.fromarray(image).convert("RGBA"),
        image,
        image[::-1][::-1],
        whole,
        whole / 255,
        whole.double() / 255,
        (whole / 255).requires_grad_(),
    ]
    expected = model.predict(image)
    for form in forms:
        assert np.array_equal(model.predict(form), expected), type(form)
    batch = torch.stack([whole, whole.flip(2)])
    masks = model.predict(batch)
    assert masks.shape == (2, 45, 61)
    assert masks.dtype == np.int16
    assert np.array_equal(masks[0], expected)
    assert np.array_equal(masks[1], model.predict(whole.flip(2)))
    assert np.array_equal(model.predict(batch / 255), masks)


def test_grey_is_three_equal_channels(model: Segmenter) -> None:
    grey = make_image()[:, :, 0]
    expected = model.predict(np.stack([grey] * 3, axis=2))
    assert np.array_equal(model.predict(grey), expected)
    assert np.array_equal(model.predict(Image.fromarray(grey)), expected)


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_images_in_memory_are_turned_upright_as_files_are(
    model: Segmenter, tmp_path: Path, orientation: int
) -> None:
    exif = Image.Exif()
    exif[274] = orientation
    Image.fromarray(make_image(45, 61)).save(tmp_path / "turned.png", exif=exif)
    expected = model.predict(tmp_path / "turned.png")
    assert expected.shape == ((45, 61) if orientation == 3 else (61, 45))
    with Image.open(tmp_path / "turned.png") as image:
        assert np.array_equal(model.predict(image), expected)


def test_transparency_is_white_in_a_file_and_in_memory(model: Segmenter, tmp_path: Path) -> None:
    image = make_image()
    alpha = np.zeros((45, 61, 1), np.uint8)
    alpha[:, 30:] = 255
    graphic = Image.fromarray(np.concatenate([image, alpha], axis=2))
    graphic.save(tmp_path / "graphic.png")
    expected = model.predict(np.where(alpha > 0, image, 255).astype(np.uint8))
    assert np.array_equal(model.predict(graphic), expected)
    assert np.array_equal(model.predict(tmp_path / "graphic.png"), expected)


def test_images_are_not_changed(model: Segmenter) -> None:
    image = make_image()
    tensor = torch.from_numpy(image.copy()).permute(2, 0, 1) / 255
    kept = tensor.clone()
    model.predict(image)
    model.predict(tensor)
    assert np.array_equal(image, make_image())
    assert torch.equal(tensor, kept)


def test_prediction_does_not_depend_on_the_training_mode(model: Segmenter) -> None:
    expected = model.predict(make_image())
    model.network.train()
    assert np.array_equal(model.predict(make_image()), expected)
    assert not model.network.training


@pytest.mark.parametrize(
    ("size", "shape"),
    [
        ((48, 64), (32, 32)),  # 32 x 42.7
        ((64, 120), (32, 64)),
        ((10, 25), (32, 96)),  # 2.5 cells are 2 or 3 of them
        ((500, 100), (160, 32)),
        ((1, 3000), (32, 512)),
        ((3000, 2), (512, 32)),
        ((1, 1), (32, 32)),
    ],
)
def test_the_network_sees_whole_cells_and_never_a_boundless_strip(
    model: Segmenter,
    monkeypatch: pytest.MonkeyPatch,
    size: tuple[int, int],
    shape: tuple[int, int],
) -> None:
    seen: list[torch.Size] = []
    logits = model._logits

    def spy(images: Tensor, *others: Any) -> Tensor:
        seen.append(images.shape[-2:])
        return logits(images, *others)

    monkeypatch.setattr(model, "_logits", spy)
    assert model.predict(make_image(*size)).shape == size
    height, width = seen[0]
    assert (height, width) == shape or (size == (10, 25) and (height, width) == (32, 64))


# --- folders


def test_a_folder_gives_predictions_in_order_of_names(model: Segmenter, photos: Path) -> None:
    found = list(model.predict(photos))
    assert [one.name for one in found] == ["a", "b", "sub folder/ä 1", "sub folder/ö", "z"]
    for one in found:
        assert isinstance(one, Prediction)
        assert one.path == photos / f"{one.name}.png"
        assert np.array_equal(one.image, np.asarray(Image.open(one.path)))
        assert one.mask is not None
        assert np.array_equal(one.mask, model.predict(one.path))
        assert one.problem == ""


@pytest.mark.parametrize("size", [1, 2, 3, 8])
def test_masks_do_not_depend_on_the_batch(model: Segmenter, photos: Path, size: int) -> None:
    for one in model.predict_folder(photos, batch_size=size):
        assert one.mask is not None
        assert np.array_equal(one.mask, model.predict(one.path)), one.name


def test_an_image_in_memory_has_the_confidence_of_a_file(model: Segmenter, photos: Path) -> None:
    for wanted in model.predict_folder(photos, tile=0, confidence=True):
        found = model.predict_image(Image.open(wanted.path), tile=0)
        assert np.array_equal(found.mask, wanted.mask)  # type: ignore[arg-type]
        assert np.array_equal(found.confidence, wanted.confidence)  # type: ignore[arg-type]
        assert found.mean_confidence == wanted.mean_confidence
        assert (found.name, found.problem) == ("", "")


def test_masks_do_not_depend_on_the_workers(model: Segmenter, photos: Path) -> None:
    Image.fromarray(make_image(64, 40, seed=9)).save(photos / "aa.png")  # sizes alternate
    Image.fromarray(make_image(30, 90, seed=10)).save(photos / "bb.png")
    wanted: dict[str, Any] = {}
    for workers, batch_size in itertools.product([0, 1, 3, -1], [1, 2, 8]):
        found = list(model.predict_folder(photos, batch_size=batch_size, workers=workers))
        assert [one.name for one in found][:4] == ["a", "aa", "b", "bb"]
        wanted = wanted or {one.name: model.predict(one.path) for one in found}
        assert len(wanted) == len(found)
        for one in found:
            assert one.mask is not None
            assert np.array_equal(one.mask, wanted[one.name]), one.name


@pytest.mark.parametrize(
    ("threads", "expected"),
    [(3, [2, 1, 2]), (2, [1] * 5)],  # with as many images as threads, each one is on its own
)
def test_batches_hold_images_of_one_size_and_no_more_than_asked(
    model: Segmenter,
    photos: Path,
    monkeypatch: pytest.MonkeyPatch,
    use_threads: Callable[[int], None],
    threads: int,
    expected: list[int],
) -> None:
    use_threads(threads)
    sizes: list[int] = []
    logits = model._logits

    def spy(images: Tensor, *others: Any) -> Tensor:
        sizes.append(len(images))
        return logits(images, *others)

    monkeypatch.setattr(model, "_logits", spy)
    assert len(list(model.predict_folder(photos, batch_size=2))) == 5
    assert sizes == expected


def test_a_folder_is_read_as_its_masks_are_taken(
    model: Segmenter, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    original = read_image

    def spy(path: Path, *how: Any) -> NDArray[np.uint8]:
        read.append(path.stem)
        return original(path, *how)

    monkeypatch.setattr(picie.data.photo_loader, "read_image", spy)
    stream = model.predict_folder(photos, batch_size=1, workers=0)
    assert read == []
    assert next(stream).name == "a"
    assert read == ["a"]


def test_a_folder_that_is_open_is_not_opened_again(
    model: Segmenter, scenes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = open_folder(scenes, "val")
    monkeypatch.delattr(picie.inference.segmenter, "open_folder")
    names = (scenes / "val.txt").read_text().split()
    assert [one.name for one in model.predict_folder(folder)] == names


def test_a_split_of_a_folder(model: Segmenter, scenes: Path) -> None:
    names = (scenes / "val.txt").read_text().split()
    assert [one.name for one in model.predict_folder(scenes, split="val")] == names


@pytest.mark.parametrize("size", [1, 8])
def test_an_unreadable_image_is_named_and_does_not_end_the_folder(
    model: Segmenter, photos: Path, size: int
) -> None:
    (photos / "b.png").write_text("no image")
    found = {one.name: one for one in model.predict_folder(photos, batch_size=size)}
    assert list(found) == ["a", "b", "sub folder/ä 1", "sub folder/ö", "z"]
    broken = found.pop("b")
    assert broken.mask is None
    assert broken.image.shape == (0, 0, 3)
    assert "b.png: cannot be read as an image" in broken.problem
    for one in found.values():
        assert one.mask is not None
        assert np.array_equal(one.mask, model.predict(one.path))


def test_one_image_as_a_folder(model: Segmenter, photos: Path) -> None:
    (one,) = model.predict_folder(photos / "a.png")
    assert (one.name, one.path) == ("a", photos / "a.png")


# --- bad input


def error(model: Segmenter, source: Any) -> str:
    with pytest.raises(DataError) as caught:
        list(model.predict(source))
    return str(caught.value)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (None, "^NoneType is not an image; give a path"),
        (3, "^int is not an image"),
        (np.zeros((4, 4, 4), np.uint8), r"shape \(4, 4, 4\), uint8 is not an image"),
        (np.zeros((3, 4, 4), np.uint8), r"shape \(3, 4, 4\)"),
        (np.zeros((4, 4, 3), np.float32), "float32 is not an image"),
        (np.zeros((0, 4, 3), np.uint8), "is not an image"),
        (np.zeros(4, np.uint8), "is not an image"),
        (Image.new("RGB", (0, 4)), "is not an image"),
        (torch.zeros(4, 4), r"tensor of shape \(4, 4\) is not an image; give \(3, H, W\)"),
        (torch.zeros(4, 4, 3), r"shape \(4, 4, 3\)"),
        (torch.zeros(2, 1, 4, 4), r"shape \(1, 4, 4\)"),
        (torch.zeros(0, 3, 4, 4), r"shape \(0, 3, 4, 4\)"),
        (torch.zeros(3, 0, 4), r"shape \(3, 0, 4\)"),
        (torch.full((3, 4, 4), 1.5), r"from 1.5 to 1.5; give \[0, 1\] \(not normalised\)"),
        (torch.full((3, 4, 4), -0.1), r"from -0.1 to -0.1; give \[0, 1\]"),
        (torch.full((3, 4, 4), torch.nan), r"from nan to nan; give \[0, 1\]"),
        (torch.full((3, 4, 4), 300), r"torch.int64; give float in \[0, 1\] or uint8"),
    ],
)
def test_values_that_are_no_image(model: Segmenter, source: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        model.predict(source)


def test_paths_that_are_no_image(model: Segmenter, tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("no image")
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / "empty").mkdir()
    assert "does not exist; check the path" in error(model, tmp_path / "gone.jpg")
    assert "text.jpg: cannot be read as an image" in error(model, tmp_path / "text.jpg")
    assert "notes.txt: is not a supported image" in error(model, tmp_path / "notes.txt")
    assert "empty: no images" in error(model, str(tmp_path / "empty"))


def test_a_model_without_centroids_says_so() -> None:
    config = make_config(
        backbone="test_efficientnet", feature_size=8, size=32, device="cpu", refine=0
    )
    bare = Segmenter(PiCIE(config.backbone, 8, pretrained=False), config)
    with pytest.raises(NotFittedError, match=r"no centroids for view 1 .* train it first"):
        bare.predict(make_image())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 100}, "size 100: the side must be a multiple of 32"),
        ({"size": 0}, "size 0: the side"),
        ({"tile": 96}, "tile 96: give a multiple of 32 from 128, or 0"),
        ({"tile": -32}, "tile -32: give"),
        ({"batch_size": 0}, "batch_size 0: give 1 to 65536"),
        ({"batch_size": 10**30}, "give 1 to 65536"),
        ({"workers": 10**30}, "give a whole number from -1 to 1024"),
        ({"workers": -2}, "workers -2: give a whole number from -1 to 1024"),
    ],
)
def test_options_that_cannot_be(
    model: Segmenter, photos: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        model.predict_folder(photos, **options)
    if options.keys() <= {"size", "tile"}:
        with pytest.raises(ConfigError, match=message):
            model.predict(make_image(), **options)


# --- size, tiles, precision


def test_the_size_that_the_network_sees(model: Segmenter, photos: Path) -> None:
    config = model.config.model_copy(update={"size": 96})
    larger = Segmenter(model.network, config)
    expected = larger.predict(make_image())
    assert np.array_equal(model.predict(make_image(), size=96), expected)
    assert not np.array_equal(model.predict(make_image()), expected)
    (one, *_) = model.predict_folder(photos, size=96)
    assert one.mask is not None
    assert np.array_equal(one.mask, larger.predict(photos / "a.png"))
    (one, *_) = model.predict(photos, size=96)
    assert np.array_equal(one.mask, larger.predict(photos / "a.png"))


def test_what_fits_is_not_cut(model: Segmenter, monkeypatch: pytest.MonkeyPatch) -> None:
    image = make_image(45, 61)
    expected = model.predict(image, size=128, tile=0)
    monkeypatch.delattr(picie.inference.segmenter, "blended")
    assert np.array_equal(model.predict(image, size=128, tile=192), expected)
    with pytest.raises(NameError):
        model.predict(image, size=128, tile=128)


def test_tiles_of_a_large_image_give_nearly_the_mask_of_the_whole(model: Segmenter) -> None:
    scene, _ = draw_scene(0, 3, (480, 640))
    whole = model.predict(scene, size=480, tile=0)
    tiled = model.predict(scene, size=480, tile=256)
    assert len(np.unique(whole)) > 1
    assert (whole == tiled).mean() > 0.98
    batch = torch.from_numpy(np.stack([scene, scene[::-1]])).permute(0, 3, 1, 2)
    masks = model.predict(batch, size=480, tile=256)
    assert np.array_equal(masks[0], tiled)
    assert np.array_equal(masks[1], model.predict(scene[::-1], size=480, tile=256))


def test_no_more_than_a_tile_goes_through_the_network(
    model: Segmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[torch.Size] = []
    logits = model._logits

    def spy(images: Tensor, *others: Any) -> Tensor:
        seen.append(images.shape)
        return logits(images, *others)

    monkeypatch.setattr(model, "_logits", spy)
    assert model.predict(make_image(64, 640), size=64, tile=256).shape == (64, 640)
    assert len(seen) == 3
    assert all(shape[0] == 1 and max(shape[2:]) <= 256 for shape in seen)


def test_half_precision_gives_nearly_the_same_mask(runs: dict[str, Path], model: Segmenter) -> None:
    half = load(runs["default"], precision="bf16")
    image = make_image(60, 90)
    images = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    assert half.logits(images).dtype == torch.float32
    assert not torch.equal(half.logits(images), model.logits(images))
    torch.testing.assert_close(half.logits(images), model.logits(images), rtol=0, atol=0.05)
    assert (half.predict(image) == model.predict(image)).mean() > 0.9


def test_on_a_cpu_automatic_precision_is_full(runs: dict[str, Path], model: Segmenter) -> None:
    images = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    for precision in ("auto", "fp32"):
        found = load(runs["default"], precision=precision).logits(images)
        assert torch.equal(found, model.logits(images))
    with pytest.raises(ConfigError, match="unknown precision 'fp8'; known: auto, fp32, bf16, fp1"):
        load(runs["default"], precision="fp8")  # type: ignore[arg-type]


def test_predictions_follow_a_network_that_is_trained_further(runs: dict[str, Path]) -> None:
    first, second = load(runs["default"]), load(runs["reference"])
    images = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    before = first.logits(images)
    first.network.restore(second.network.state_dict())
    assert not torch.equal(first.logits(images), before)
    fresh = Segmenter(second.network, first.config)
    assert torch.equal(first.logits(images), fresh.logits(images))


# --- views, loading


def test_each_view_has_its_own_centroids(runs: dict[str, Path]) -> None:
    reference = load(runs["reference"])
    images = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    assert not torch.equal(reference.logits(images), reference.logits(images, view=1))
    expected = upsample(reference.logits(images, view=1)[0], (32, 32))
    found = reference.predict((images * 255).byte(), view=1)[0]
    assert (found == expected).mean() > 0.9  # the rounding to 8 bits moves few pixels
    with pytest.raises(NotFittedError, match=r"view 3 \(it has 2 sets\)"):
        reference.predict(make_image(), view=2)


def test_logits_are_similarities_to_the_best_centroid_of_a_cluster(model: Segmenter) -> None:
    images = torch.rand(2, 3, 64, 32, generator=torch.Generator().manual_seed(0))
    centroids, groups, _ = model.network.view_centroids(0)
    with torch.no_grad():
        features = F.normalize(model.network(images), dim=1)
    each = torch.einsum("bdhw,pd->bphw", features, F.normalize(centroids, dim=1))
    slow = torch.stack([each[:, groups == k].amax(1) for k in range(3)], dim=1)
    torch.testing.assert_close(model.logits(images), slow, atol=1e-5, rtol=0)


def test_predict_takes_a_model_or_its_folder(runs: dict[str, Path], model: Segmenter) -> None:
    expected = model.predict(make_image())
    assert np.array_equal(predict(model, make_image()), expected)
    assert np.array_equal(predict(runs["default"], make_image()), expected)
    assert np.array_equal(predict(str(runs["default"]), make_image()), expected)


def test_load_checks_device_and_folder(runs: dict[str, Path], tmp_path: Path) -> None:
    assert load(runs["default"], device="cpu").device == torch.device("cpu")
    with pytest.raises(ConfigError, match="device 'toaster' cannot be used"):
        load(runs["default"], device="toaster")
    with pytest.raises(ModelError, match="no such folder"):
        load(tmp_path / "gone")


def test_the_scores_of_a_group_are_those_of_its_best_member() -> None:
    values = torch.tensor([[1.0, -5.0], [3.0, -7.0], [2.0, -6.0], [0.0, -4.0]])[None, :, None]
    groups = torch.tensor([0, 1, 0, 2])
    assert group_scores(values, groups)[0, :, 0].tolist() == [[2, -5], [3, -7], [0, -4]]
    assert torch.equal(group_scores(values, torch.arange(4)), values)
    swapped = group_scores(values, torch.tensor([1, 0, 3, 2]))
    assert torch.equal(swapped, values[:, [1, 0, 3, 2]])


NAMES = ClassNames(
    3, (NamedClass("sky", (2,), (), "#0000ff"), NamedClass("ignore", (0,), ignore=True))
)


def test_names_change_ids_but_not_the_model(model: Segmenter) -> None:
    named = model.named(NAMES)
    assert (model.names, model.clusters) == (("cluster 0", "cluster 1", "cluster 2"), 3)
    assert (named.names, named.clusters) == (("sky", "cluster 1"), 2)
    assert sorted(model.colours.tolist()) == sorted(palette(3).tolist())
    assert named.colours[0].tolist() == [0, 0, 255]
    assert named.network is model.network
    seen = set[int]()
    for seed in range(6):
        before, after = model.predict(make_image(seed=seed)), named.predict(make_image(seed=seed))
        assert np.array_equal(after, np.array([IGNORED, 1, 0])[before])
        assert after.dtype == np.int16
        seen |= set(np.unique(before).tolist())
    assert len(seen) > 1
    assert named.named(None).names == model.names


def test_merged_clusters_are_one_cluster_to_the_post_processing(model: Segmenter) -> None:
    """Score of a class = best of its clusters, before logits are averaged and upsampled."""
    images = torch.from_numpy(make_image(64, 64)).permute(2, 0, 1)[None] / 255
    named = model.named(ClassNames.of(3, {"both": [2, 0], "empty": []}))
    logits, merged = model.logits(images), named.logits(images)
    torch.testing.assert_close(merged[:, 0], logits[:, [0, 2]].amax(1))
    torch.testing.assert_close(merged[:, 2], logits[:, 1])
    processed = named.post_processed(scales=(1, 1.5), refine=3)
    assert processed.names == ("both", "empty", "cluster 1")
    assert bool(processed.logits(images).isfinite().all())
    assert 1 not in processed.predict(make_image())


def test_names_may_be_those_of_another_cut(model: Segmenter) -> None:
    named = model.named(ClassNames.of(8, {"a": [0, 7]}))
    expected = np.array([0, 1, 2, 3, 4, 5, 6, 0])[model.cut(8).predict(make_image())]
    assert named.names == ("a", *(f"cluster {number}" for number in range(1, 7)))
    assert np.array_equal(named.predict(make_image()), expected)


def test_a_cut_has_no_names(model: Segmenter) -> None:
    cut = model.named(NAMES).cut(2)
    assert cut.class_names is None
    assert cut.names == ("cluster 0", "cluster 1")


def test_names_are_saved_and_loaded_beside_the_model(
    model: Segmenter, runs: dict[str, Path], tmp_path: Path
) -> None:
    model.named(NAMES).save(tmp_path / "named")
    assert load(tmp_path / "named").names == ("sky", "cluster 1")
    assert load(tmp_path / "named", named=False).names == model.names
    same = "model.safetensors"
    assert (tmp_path / "named" / same).read_bytes() == (runs["default"] / same).read_bytes()
    model.save(tmp_path / "plain")
    assert not (tmp_path / "plain" / "classes.toml").exists()


def test_names_of_another_model_are_told_with_their_file(model: Segmenter, tmp_path: Path) -> None:
    model.save(tmp_path)
    path = tmp_path / "classes.toml"
    path.write_text("clusters = 9\n")
    with pytest.raises(ConfigError, match=f"{path}: clusters = 9, but the model has 8 centroids"):
        load(tmp_path)


def test_names_belong_to_the_first_view(runs: dict[str, Path]) -> None:
    model = load(runs["reference"])
    named = model.named(ClassNames.of(3, {"a": [2]}))
    expected = np.array([1, 2, 0])[model.predict(make_image())]
    assert np.array_equal(named.predict(make_image()), expected)
    assert model.predict(make_image(), view=1).shape == expected.shape
    with pytest.raises(ConfigError, match="view 1: the names belong to view 0; remove them"):
        named.predict(make_image(), view=1)


# --- images of other types than 8 bits


def deep_copies(photos: Path, folder: Path) -> Path:
    """The same photos with 12 bits."""
    for path in photos.rglob("*.png"):
        values = np.asarray(Image.open(path)).astype(np.float64) / 255 * 4095
        copy = folder / path.relative_to(photos)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(imagecodecs.png_encode(np.rint(values).astype(np.uint16)))
    return folder


def test_copies_of_8_and_12_bits_have_the_same_masks(
    model: Segmenter, photos: Path, tmp_path: Path
) -> None:
    copies = deep_copies(photos, tmp_path / "deep")
    found = list(model.predict_folder(copies))
    for one, other in zip(model.predict_folder(photos), found, strict=True):
        assert one.mask is not None
        assert other.mask is not None
        assert np.array_equal(one.mask, other.mask)
        assert np.array_equal(one.image, other.image)
    known = model.read_as(stretch=(0, 4095))  # as if trained on such images
    for path in photos.rglob("*.png"):
        expected = model.predict(path)
        assert np.array_equal(known.predict(copies / path.relative_to(photos)), expected)
        assert np.array_equal(known.predict(path), expected)
    listed = model.predict_folder(open_folder(copies))
    first = next(listed).mask
    assert first is not None
    assert found[0].mask is not None
    assert np.array_equal(first, found[0].mask)


def test_an_opened_image_is_read_like_its_file(model: Segmenter, tmp_path: Path) -> None:
    grey = make_image()[..., 0]
    deep = Image.fromarray((grey.astype(np.uint16) << 4) + 3)
    known = model.read_as(stretch=(3, 4083))
    assert np.array_equal(known.predict(deep), model.predict(grey))
    chosen = model.read_as(bands=(3, 2, 1))
    image = make_image()
    assert np.array_equal(chosen.predict(Image.fromarray(image)), model.predict(image[..., ::-1]))


def test_how_a_model_reads_is_kept_and_can_be_changed(model: Segmenter, tmp_path: Path) -> None:
    assert model.read_as() is model
    changed = model.read_as(stretch=(0, 4095), bands=[4, 3, 2], pages="all", max_pixels=99)
    assert changed.config.reading == Reading((0, 4095), (4, 3, 2), "all", 99)
    assert changed.read_as(bands=()).config.reading.stretch == (0, 4095)
    assert changed.network is model.network
    changed.save(tmp_path)
    assert load(tmp_path).config.reading == changed.config.reading
    with pytest.raises(ConfigError, match="give three bands"):
        model.read_as(bands=(1, 2))


def test_each_page_has_a_mask(model: Segmenter, tmp_path: Path) -> None:
    pages = [Image.fromarray(make_image(seed=seed)) for seed in range(3)]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    [first] = model.predict_folder(tmp_path)
    assert first.name == "a"
    every = list(model.read_as(pages="all").predict_folder(tmp_path))
    assert [one.name for one in every] == ["a_p001", "a_p002", "a_p003"]
    for one, page in zip(every, pages, strict=True):
        assert one.mask is not None
        assert np.array_equal(one.mask, model.predict(page))


def test_many_ids_need_32_bits() -> None:
    assert mask_type(32_767) is np.int16
    assert mask_type(32_768) is np.int32


@pytest.mark.parametrize("tile", [128, 0])
@pytest.mark.parametrize("best", [False, True])
def test_confidence_is_the_softmax_of_the_logits_that_make_the_mask(
    model: Segmenter, tmp_path: Path, tile: int, best: bool
) -> None:
    changed = model.post_processed(scales=(1, 1.5), refine=2) if best else model
    Image.fromarray(make_image()).resize((300, 150)).save(tmp_path / "a.png")
    [one] = changed.predict_folder(tmp_path, size=96, tile=tile, confidence=True)
    [plain] = changed.predict_folder(tmp_path, size=96, tile=tile)
    assert plain.confidence is None
    assert one.mask is not None
    assert plain.mask is not None
    assert np.array_equal(one.mask, plain.mask)
    assert one.confidence is not None
    assert one.confidence.shape == one.mask.shape
    assert one.confidence.min() >= 255 // model.clusters
    if not tile:
        pixels = network_input(one.image, 96)[None] / 255
        logits = F.interpolate(
            changed.logits(pixels), size=one.mask.shape, mode="bilinear", align_corners=False
        )
        factor = sharpness(model.config.predict_rule, model.clusters, learnt=False)
        expected = 255 * (factor * logits[0]).softmax(0).amax(0)
        assert np.abs(one.confidence - expected.numpy()).max() <= 1


def test_ids_of_one_class_share_their_confidence(model: Segmenter) -> None:
    """One class of all clusters is certain; an ignored one counts against the others."""
    images = torch.rand(1, 3, 32, 32)
    whole = model.named(ClassNames.of(3, {"all": [0, 1, 2]}))
    assert (whole.confidence(whole.logits(images)[0], (8, 8)) == 255).all()
    ignored = model.named(ClassNames(3, (NamedClass("no", (0,), ignore=True),)))
    certain = ignored.confidence(ignored.logits(images)[0], (8, 8)).astype(int)
    expected = model.confidence(model.logits(images)[0], (8, 8))
    assert np.abs(certain - expected).max() <= 1


def test_an_unreadable_image_has_no_confidence(model: Segmenter, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("no image")
    [one] = model.predict_folder(tmp_path, confidence=True)
    assert one.mask is None
    assert one.confidence is None
