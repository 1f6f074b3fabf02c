"""What a command reads, and paths of masks; the rest is tested by predicting."""

from pathlib import Path

import pytest

from picie.data.folder import Photo, PhotoFolder, open_folder
from picie.errors import ConfigError
from picie.inference.plan import check_out, check_paths, files_of, inputs_of
from picie.inference.segmenter import Segmenter, load
from picie.runtime.places import open_place


def test_inputs_are_photos_masks_lists_and_the_model(
    runs: dict[str, Path], scenes: Path, model: Segmenter
) -> None:
    found = {str(path) for path in inputs_of(load(runs["default"]), open_folder(scenes, "val"))}
    expected = [runs["default"] / name for name in ("model.safetensors", "config.json", "run.json")]
    expected += [runs["default"] / "config.toml", runs["default"] / "classes.toml"]
    expected += [scenes / "classes.txt", scenes / "val.txt"]
    expected += [scenes / "images" / f"scene_{number:04d}.jpg" for number in (6, 7, 8)]
    expected += [scenes / "masks" / f"scene_{number:04d}.png" for number in (6, 7, 8)]
    assert {str(path) for path in expected} <= found
    assert str(scenes / "images" / "scene_0000.jpg") not in found
    weights = model.config.model_copy(update={"backbone_weights": "my.pth"})
    assert list(files_of(None, weights)) == [Path("my.pth")]


def test_paths_of_overlays_count_only_with_overlays(tmp_path: Path) -> None:
    photos = tuple(Photo(f"{name}.jpg", name, None) for name in ("a", "overlays/a"))
    folder = PhotoFolder(tmp_path, "", photos, ())
    check_paths(open_place(tmp_path), folder)
    with pytest.raises(
        ConfigError, match=r"overlay of a\.jpg and the mask of overlays/a\.jpg; rena"
    ):
        check_paths(open_place(tmp_path), folder, ["overlay"])
    check_paths(open_place(tmp_path), folder, ["confidence"])


@pytest.mark.parametrize("out", ["mask.png", "masks/a.JPG", "s3://bucket/a.tif", "mask.png/"])
def test_the_name_of_an_image_is_no_folder(
    out: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError) as caught:
        check_out(out)
    assert str(caught.value) == (
        f"{out}: is the name of an image, but masks go into a folder, each under the name of its "
        "photo; give a folder, say --out masks"
    )


def test_folders_are_taken_whatever_their_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("old.png").mkdir()  # masks of an earlier call may be there
    for out in ("masks", "v1.0", Path("png"), "old.png", "s3://bucket/masks"):
        check_out(out)
