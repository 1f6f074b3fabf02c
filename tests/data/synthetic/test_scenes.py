from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from picie.data.folder import PhotoFolder, open_folder
from picie.data.images import read_image
from picie.data.masks import read_mask
from picie.data.synthetic.scenes import CLASSES, draw_scene, is_marked, other_file, write_scenes

SIZE = (72, 96)
Images = list[tuple[NDArray[np.uint8], NDArray[np.uint8]]]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scenes(tmp_path_factory.mktemp("scenes") / "set", size=SIZE)


def make_images(folder: PhotoFolder) -> Images:
    found = []
    for photo in folder.photos:
        assert photo.mask is not None
        mask = read_mask(photo.mask, image_size=SIZE[::-1], num_classes=len(folder.classes))
        found.append((read_image(photo.path), mask))
    return found


def test_it_is_a_labelled_folder_with_two_splits_apart(root: Path) -> None:
    train, val = (open_folder(root, split, labelled=True) for split in ("train", "val"))
    assert (len(train), len(val)) == (48, 16)
    assert not set(train.photos) & set(val.photos)
    assert train.classes == CLASSES


def test_every_pixel_has_a_class_and_sizes_agree(root: Path) -> None:
    for image, mask in make_images(open_folder(root, labelled=True)):
        assert image.shape == (*SIZE, 3)
        assert mask.shape == SIZE
        assert mask.max() < len(CLASSES)


@pytest.mark.parametrize("split", ["train", "val"])
def test_every_class_has_a_fair_share_of_the_images(root: Path, split: str) -> None:
    masks = [mask for _, mask in make_images(open_folder(root, split, labelled=True))]
    for label, name in enumerate(CLASSES):
        share = np.mean([np.mean(mask == label) > 0.003 for mask in masks])
        assert share > 0.2, f"{name}: in {share:.0%} of the images"


def test_colour_alone_does_not_give_the_class(root: Path) -> None:
    found = make_images(open_folder(root, labelled=True))
    for label, name in enumerate(CLASSES):
        means = [im[mask == label].mean(axis=0) for im, mask in found if (mask == label).sum() > 50]
        spread = np.std(means, axis=0).min()
        assert spread > 15, f"{name}: mean colours differ by {spread:.1f} levels only"
    pixels = np.concatenate([im.reshape(-1, 3)[::7] for im, _ in found]).astype(float)
    labels = np.concatenate([mask.reshape(-1)[::7] for _, mask in found])
    centres = np.stack([pixels[labels == label].mean(axis=0) for label in range(len(CLASSES))])
    nearest = ((pixels[:, None] - centres) ** 2).sum(axis=2).argmin(axis=1)
    assert np.mean(nearest == labels) < 0.45


def test_surfaces_are_textured_not_flat(root: Path) -> None:
    for image, mask in make_images(open_folder(root, "val", labelled=True)):
        for label in np.unique(mask):
            region = image[mask == label]
            assert len(region) < 100 or len(np.unique(region, axis=0)) > 50


def test_same_seed_same_bytes(tmp_path: Path) -> None:
    first, second = (
        write_scenes(tmp_path / name, train=2, val=1, size=(40, 56), seed=3) for name in "ab"
    )
    files = sorted(path.relative_to(first) for path in first.rglob("*") if path.is_file())
    assert len(files) == 3 + 2 * 3 + 1  # and the hidden list of them
    for file in files:
        assert (first / file).read_bytes() == (second / file).read_bytes()


def test_a_scene_depends_on_seed_and_index_only(tmp_path: Path) -> None:
    write_scenes(tmp_path, train=1, val=2, size=(40, 56), seed=5)
    image, mask = draw_scene(5, 2, (40, 56))
    written = np.array(Image.open(tmp_path / "masks" / "scene_0002.png"))
    np.testing.assert_array_equal(written, mask)
    for other in (draw_scene(6, 2, (40, 56)), draw_scene(5, 1, (40, 56))):
        assert not np.array_equal(other[0], image)


def test_the_global_random_state_is_left_alone() -> None:
    np.random.seed(0)
    expected = np.random.random()
    np.random.seed(0)
    draw_scene(0, 0, (32, 32))
    assert np.random.random() == expected


@pytest.mark.parametrize("size", [(33, 90), (90, 33), (16, 16)])
def test_any_size(size: tuple[int, int]) -> None:
    for index in range(4):
        image, mask = draw_scene(1, index, size)
        assert image.shape == (*size, 3)
        assert mask.shape == size
        assert {image.dtype.name, mask.dtype.name} == {"uint8"}


def test_larger_images_show_the_same_scene() -> None:
    _, small = draw_scene(0, 1, (60, 80))
    _, large = draw_scene(0, 1, (120, 160))
    assert np.mean(large[::2, ::2] == small) > 0.9


def test_other_files_among_the_scenes_are_found(tmp_path: Path) -> None:
    folder = tmp_path / "scenes"
    assert other_file(folder) == ""
    write_scenes(folder, train=1, val=1, size=(40, 56))
    assert is_marked(folder)
    assert other_file(folder) == ""
    (folder / "more.json").write_text("")
    assert other_file(folder) == "more.json"
    assert other_file(folder, but=("more.json",)) == ""
    (folder / "more.json").unlink()
    mask = folder / "masks" / "scene_0001.png"
    before = mask.read_bytes()
    mask.write_bytes(before + b"corrected")
    assert other_file(folder) == "masks/scene_0001.png"
    (folder / ".picie-scenes.json").write_text('{"files": []}')
    assert other_file(folder) == "classes.txt"


def test_scenes_of_early_versions_and_incomplete_ones_are_recognised(tmp_path: Path) -> None:
    folder = tmp_path / "scenes"
    write_scenes(folder, train=1, val=1, size=(40, 56))
    (folder / ".picie-scenes.json").unlink()
    (folder / "masks" / "scene_0001.png").unlink()
    assert not is_marked(folder)
    assert other_file(folder) == ""
    (folder / "images" / "mine.jpg").write_text("")
    assert other_file(folder) == "images/mine.jpg"
    (folder / "images" / "mine.jpg").unlink()
    (folder / "classes.txt").write_text("road\n")
    assert other_file(folder) == "classes.txt"
    assert other_file(folder / "classes.txt") == "classes.txt"
