"""Predictions handed to threads, and masks of a folder beside what exists already."""

import copy
import hashlib
import json
import logging
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import fsspec
import numpy as np
import pytest
import torch
from PIL import Image

from picie.data.folder import open_folder
from picie.errors import ConfigError, DataError, PicieError
from picie.inference.manifest import Manifest
from picie.inference.predict_folder import FolderMasks, predict_folder
from picie.inference.segmenter import Segmenter
from picie.models.class_names import ClassNames, NamedClass
from picie.runtime.locks import locked
from picie.runtime.progress import Reporter
from picie.runtime.storage import Store
from picie.version import __version__

QUIET = Reporter(quiet=True)


def test_a_folder_is_written_by_one_call(
    runs: dict[str, Path], scenes: Path, tmp_path: Path
) -> None:
    done = predict_folder(runs["default"], scenes, tmp_path / "masks", split="val", overlays=True)
    assert done == FolderMasks(tmp_path / "masks", 3, ())
    names = [photo.name for photo in open_folder(scenes, "val").photos]
    assert sorted(p.stem for p in (tmp_path / "masks").glob("*.png")) == names
    assert sorted(p.stem for p in (tmp_path / "masks/overlays").glob("*.png")) == names


# --- what exists already


@pytest.fixture
def photos(scenes: Path, tmp_path: Path) -> Path:
    """Three photos: a.jpg, b.png and sub/c.jpg."""
    folder = tmp_path / "photos"
    (folder / "sub").mkdir(parents=True)
    names = ("a.jpg", "b.png", "sub/c.jpg")
    for source, name in zip(sorted((scenes / "images").iterdir()), names, strict=False):
        with Image.open(source) as image:
            image.save(folder / name)
    return folder


@pytest.fixture
def named(model: Segmenter) -> Segmenter:
    return model.named(ClassNames(3, (NamedClass("sky", (0,)), NamedClass("rest", (1, 2)))))


def contents(folder: Path) -> dict[str, bytes]:
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def masks(folder: Path) -> dict[str, bytes]:
    return {name: data for name, data in contents(folder).items() if name.endswith(".png")}


def killed(model: Segmenter, photos: Path, out: Path, before: str, **options: Any) -> None:
    """Predict, but stop when the file whose name ends so would be moved into place."""
    replace_file = os.replace

    def stop(source: Path, target: Path) -> None:
        if str(target).endswith(before):
            raise KeyboardInterrupt
        replace_file(source, target)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.replace", stop)
        with pytest.raises(KeyboardInterrupt):
            predict_folder(model, photos, out, workers=0, **options)


@pytest.mark.parametrize("overlays", [False, True])
@pytest.mark.parametrize("before", ["a.png", "b.png", "c.png", "masks.jsonl", "classes.txt"])
def test_a_killed_call_goes_on_to_the_same_files(
    named: Segmenter, photos: Path, tmp_path: Path, before: str, overlays: bool
) -> None:
    whole, out = tmp_path / "whole", tmp_path / "out"
    predict_folder(named, photos, whole, overlays=overlays, batch_size=1)
    killed(named, photos, out, before, overlays=overlays, batch_size=1)
    there = len([name for name in masks(out) if not name.startswith("overlays/")])
    made = predict_folder(named, photos, out, overlays=overlays, batch_size=1)
    assert made.kept + made.written == 3
    assert there - 1 <= made.kept <= there  # an overlay may have been missing
    assert masks(out) == masks(whole)
    assert (out / "classes.txt").read_bytes() == (whole / "classes.txt").read_bytes()
    again = predict_folder(named, photos, out, overlays=overlays)
    assert (again.kept, again.written) == (3, 0)


def test_a_call_that_replaces_masks_and_is_killed_leaves_none_that_looks_foreign(
    model: Segmenter, named: Segmenter, photos: Path, tmp_path: Path
) -> None:
    out, whole = tmp_path / "out", tmp_path / "whole"
    predict_folder(named, photos, whole)
    for before in ("a.png", "b.png", "c.png"):
        predict_folder(model, photos, out, overwrite=True)
        killed(named, photos, out, before, overwrite=True, batch_size=1)
        with pytest.raises(ConfigError, match="was made by another model or with other settings"):
            predict_folder(named, photos, out)
        predict_folder(named, photos, out, overwrite=True)
        assert masks(out) == masks(whole)


def test_unfinished_files_of_killed_calls_are_removed(
    model: Segmenter, photos: Path, tmp_path: Path
) -> None:
    left = tmp_path / "out" / "sub" / ".part-0123456789abcdef.png"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"half")
    predict_folder(model, photos, tmp_path / "out")
    assert not left.exists()


def test_half_a_line_is_cut(model: Segmenter, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    predict_folder(model, photos, out)
    list_file = out / "masks.jsonl"
    lines = list_file.read_bytes().splitlines(keepends=True)
    (out / "sub" / "c.png").unlink()
    list_file.write_bytes(b"".join(lines[:-1]) + lines[-1][:-20])
    made = predict_folder(model, photos, out)
    assert (made.kept, made.written) == (2, 1)
    assert [json.loads(line).get("mask") for line in list_file.read_text().splitlines()] == [
        *(None, "a.png", "b.png", "sub/c.png")
    ]


def test_the_list_names_masks_overlays_and_classes(
    named: Segmenter, photos: Path, tmp_path: Path
) -> None:
    predict_folder(named, photos, tmp_path / "out", overlays=True, workers=0)
    lines = (tmp_path / "out" / "masks.jsonl").read_text().splitlines()
    header, names, *records = [json.loads(line) for line in lines]
    assert (header["kind"], header["picie"]) == ("masks", __version__)
    files = contents(tmp_path / "out")
    assert hashlib.sha256(files[names["classes"]]).hexdigest() == names["digest"]
    assert [record["image"] for record in records] == ["a", "b", "sub/c"]
    for record in records:
        assert hashlib.sha256(files[record["mask"]]).hexdigest() == record["digest"]
        assert hashlib.sha256(files[record["overlay"]]).hexdigest() == record["overlay_digest"]
    photo = photos / "a.jpg"
    assert records[0]["photo"]["bytes"] == photo.stat().st_size
    assert records[0]["photo"]["digest"] == hashlib.sha256(photo.read_bytes()).hexdigest()
    for record in records:
        with Image.open(tmp_path / "out" / record["mask"]) as image:
            mask = np.asarray(image)
        assert record["size"] == [mask.shape[1], mask.shape[0]]
        assert record["bytes"] == len(files[record["mask"]])
        ids, counts = np.unique(mask, return_counts=True)
        shares = dict(zip(map(str, ids), counts / mask.size, strict=True))
        assert record["shares"] == pytest.approx(shares, abs=1e-6)
        assert 0 < record["mean_confidence"] < 1
        assert 0 < record["seconds"] < 60


def test_confidence_is_written_listed_and_kept(
    named: Segmenter, photos: Path, tmp_path: Path
) -> None:
    plain, out = tmp_path / "plain", tmp_path / "out"
    predict_folder(named, photos, plain)
    predict_folder(named, photos, out)
    made = predict_folder(named, photos, out, confidence=True)
    assert (made.kept, made.written) == (0, 3)  # the masks are the same, their confidence is new
    lines = (out / "masks.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines if '"confidence":' in line]
    assert [record["image"] for record in records] == ["a", "b", "sub/c"]
    expected = {one.name: one for one in named.predict_folder(photos, confidence=True)}
    for record in records:
        name, path = record["image"], out / record["confidence"]
        assert path == out / "confidence" / f"{name}.png"
        assert digest(path) == record["confidence_digest"]
        with Image.open(path) as image:
            assert image.mode == "L"
            written = np.asarray(image)
        certain = expected[name].confidence
        assert certain is not None
        assert np.array_equal(written, certain)
        assert record["mean_confidence"] == pytest.approx(certain.mean() / 255, abs=0.02)
        assert (out / f"{name}.png").read_bytes() == (plain / f"{name}.png").read_bytes()
    again = predict_folder(named, photos, out, confidence=True)
    assert (again.kept, again.written) == (3, 0)
    assert predict_folder(named, photos, out, overlays=True).written == 3
    with pytest.raises(DataError, match="left out 9 files that picie predict wrote"):
        open_folder(out)


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_changed_confidence_is_not_replaced(
    named: Segmenter, photos: Path, tmp_path: Path
) -> None:
    predict_folder(named, photos, tmp_path, confidence=True)
    (tmp_path / "confidence" / "a.png").write_bytes(b"mine")
    with pytest.raises(ConfigError, match=r"a\.png: already exists and was not written by picie"):
        predict_folder(named, photos, tmp_path, confidence=True, overwrite=True)


def test_another_model_another_setting_other_names_are_noticed(
    model: Segmenter, named: Segmenter, photos: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    predict_folder(model, photos, out)
    before = contents(out)
    other = Segmenter(copy.deepcopy(model.network), model.config)
    with torch.no_grad():
        next(other.network.parameters()).add_(1e-3)
    renamed = ClassNames(3, (NamedClass("sky", (1,)), NamedClass("rest", (0, 2))))
    calls: list[tuple[Segmenter, dict[str, Any]]] = [
        *((model, {"size": 64}), (model, {"tile": 128}), (model, {"min_region": 9})),
        *((one, {}) for one in (model.cut(2), model.post_processed(refine=1), other, named)),
        (model.post_processed(scales=(1.0, 1.5)), {}),
        (model.named(renamed), {}),
    ]
    for changed, options in calls:
        with pytest.raises(
            ConfigError, match="other model or with other settings, names or colours; choo"
        ):
            predict_folder(changed, photos, out, **options)
        assert contents(out) == before
    assert predict_folder(model, photos, out, batch_size=1, workers=0).kept == 3


def test_a_photo_that_changed_is_noticed(model: Segmenter, photos: Path, tmp_path: Path) -> None:
    out, photo = tmp_path / "out", photos / "b.png"
    predict_folder(model, photos, out)
    os.utime(photo, (1, 1))
    assert predict_folder(model, photos, out).kept == 3  # the same content
    data = photo.read_bytes()
    photo.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))  # the same size
    with pytest.raises(
        ConfigError, match=r"b\.png: is the mask of another photo, or of an .*, remove the mask to"
    ):
        predict_folder(model, photos, out)
    made = predict_folder(model, photos, out, overwrite=True)
    assert (made.kept, made.written) == (0, 3)
    photo.write_bytes(data)
    (out / "b.png").unlink()  # as the message says
    made = predict_folder(model, photos, out)
    assert (made.kept, made.written) == (2, 1)


def test_photos_of_the_same_names_are_not_mistaken(
    model: Segmenter, photos: Path, tmp_path: Path
) -> None:
    predict_folder(model, photos, tmp_path / "out")
    (photos / "a.jpg").rename(tmp_path / "a.jpg")
    (photos / "sub" / "c.jpg").rename(photos / "a.jpg")
    with pytest.raises(ConfigError, match=r"a\.png: is the mask of another photo"):
        predict_folder(model, photos, tmp_path / "out")


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_mask_that_was_changed_by_hand_is_kept(
    model: Segmenter, photos: Path, tmp_path: Path, overwrite: bool
) -> None:
    out = tmp_path / "out"
    predict_folder(model, photos, out)
    with Image.open(out / "b.png") as image:
        image.rotate(180).save(out / "b.png")
    before = contents(out)
    with pytest.raises(
        ConfigError, match=r"b\.png: already exists and was not written by picie, o"
    ):
        predict_folder(model, photos, out, overwrite=overwrite)
    assert contents(out) == before


@pytest.mark.parametrize("kind", ["link", "folder", "empty"])
def test_what_else_may_be_in_the_place_of_a_mask(
    model: Segmenter, photos: Path, tmp_path: Path, kind: str
) -> None:
    place = tmp_path / "out" / "b.png"
    place.parent.mkdir()
    if kind == "empty":
        place.touch()
        assert predict_folder(model, photos, tmp_path / "out").written == 3
        return
    (place.mkdir if kind == "folder" else partial(place.symlink_to, "nowhere"))()
    with pytest.raises(
        ConfigError, match=r"b\.png: already exists and was not written by picie, o"
    ):
        predict_folder(model, photos, tmp_path / "out", overwrite=True)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["b.png"]


def test_a_link_to_an_own_mask_is_kept_but_not_replaced(
    model: Segmenter, photos: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    predict_folder(model, photos, out)
    (out / "b.png").rename(tmp_path / "stored")
    (out / "b.png").symlink_to(tmp_path / "stored")
    assert predict_folder(model, photos, out).kept == 3
    with pytest.raises(ConfigError, match=r"b\.png: is a link, and is not replaced"):
        predict_folder(model, photos, out, overwrite=True)


def hard_link(file: Path, place: Path) -> None:
    os.link(file, place)


def soft_link(file: Path, place: Path) -> None:
    place.symlink_to(file)


@pytest.mark.parametrize("link", [hard_link, soft_link])
@pytest.mark.parametrize("place", ["a.png", "overlays/a.png", "classes.txt", "masks.jsonl"])
@pytest.mark.parametrize("victim", ["photo", "model", "list", "names"])
def test_no_input_is_written_by_any_path(
    named: Segmenter,
    photos: Path,
    tmp_path: Path,
    link: Callable[[Path, Path], None],
    place: str,
    victim: str,
) -> None:
    run = tmp_path / "run"
    named.save(run)
    (photos / "some.txt").write_text("a\nb\n")
    (photos / "classes.txt").write_text("x\ny\nz\n")
    victims = {"photo": "b.png", "list": "some.txt", "names": "classes.txt"}
    file = run / "config.json" if victim == "model" else photos / victims[victim]
    (tmp_path / "out" / place).parent.mkdir(parents=True)
    link(file, tmp_path / "out" / place)
    before = contents(photos) | contents(run)
    with pytest.raises(ConfigError, match=r"reads|is a link|not a list of masks"):
        predict_folder(run, photos, tmp_path / "out", split="some", overlays=True, overwrite=True)
    assert contents(photos) | contents(run) == before
    assert file.samefile(tmp_path / "out" / place)


def test_masks_of_the_folder_are_inputs(model: Segmenter, scenes: Path, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    shutil.copytree(scenes, folder)
    before = contents(folder)
    for out in (folder / "masks", folder / "images" / ".." / "masks"):
        with pytest.raises(
            ConfigError, match=r"scene_0000\.png: is a file that this command reads"
        ):
            predict_folder(model, folder, out, overwrite=True)
    assert contents(folder) == before


def test_an_own_mask_that_is_the_photo_is_kept(
    model: Segmenter, photos: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    predict_folder(model, photos, out)
    before = (out / "a.png").read_bytes()
    with pytest.raises(ConfigError, match="is a file that this command reads"):
        predict_folder(model, out / "a.png", out, overwrite=True)
    assert (out / "a.png").read_bytes() == before


def test_two_files_never_share_a_path(
    model: Segmenter, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    (photos / "overlays").mkdir()
    shutil.copy(photos / "a.jpg", photos / "overlays" / "a.jpg")
    with pytest.raises(ConfigError) as caught:
        predict_folder(model, photos, out, overlays=True)
    assert str(caught.value) == (
        f"{out}/overlays/a.png: would be both the overlay of {photos}/a.jpg and the mask of "
        f"{photos}/overlays/a.jpg; rename one of the photos, or leave out the overlays"
    )
    assert not out.exists()
    assert predict_folder(model, photos, out).written == 4
    shutil.copy(photos / "a.jpg", photos / "B.jpg")
    assert predict_folder(model, photos, out).written == 1
    monkeypatch.setattr("picie.runtime.outputs._folds_names", lambda _: True)
    with pytest.raises(
        ConfigError, match=r"b\.png: would be both the mask of .*B\.jpg and the mask"
    ):
        predict_folder(model, photos, tmp_path / "other")


def test_no_mask_is_a_folder_of_another(model: Segmenter, photos: Path, tmp_path: Path) -> None:
    (photos / "a.png").mkdir()
    shutil.copy(photos / "a.jpg", photos / "a.png" / "b.jpg")
    with pytest.raises(ConfigError, match=r"a\.png: would be both the mask of .* and a folder for"):
        predict_folder(model, photos, tmp_path / "out")
    (photos / "a.png").rename(photos / "classes.txt")
    (photos / "images").mkdir()
    (photos / "classes.txt").rename(photos / "images" / "classes.txt")
    with pytest.raises(ConfigError, match="would be both the list of classes and a folder for"):
        predict_folder(model, photos / "images", tmp_path / "out")


def test_a_file_in_the_place_of_a_folder(model: Segmenter, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "sub").touch()
    with pytest.raises(ConfigError, match="sub: is not a folder; choose another --out"):
        predict_folder(model, photos, tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["sub"]


def test_what_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    unknown: Any = "dask"
    with pytest.raises(ConfigError, match=r"^engine 'dask': give local or ray$"):
        predict_folder(tmp_path / "none", tmp_path, tmp_path / "out", engine=unknown)
    with pytest.raises(ConfigError, match=r"mask\.png: is the name of an image"):
        predict_folder(tmp_path / "none", tmp_path, tmp_path / "mask.png")
    assert not list(tmp_path.iterdir())


def test_one_process_at_a_time(model: Segmenter, photos: Path, tmp_path: Path) -> None:
    with (
        locked(tmp_path / "out", "picie predict", inside=True),
        pytest.raises(PicieError, match=r"out: is in use by picie predict \(process"),
    ):
        predict_folder(model, photos, tmp_path / "out")
    assert predict_folder(model, photos, tmp_path / "out").written == 3


def test_a_list_of_masks_of_someone_else(model: Segmenter, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    for text in ("mine", '{"picie": 1}\n', "[]\n", '{"kind": "masks"}\n'):
        (tmp_path / "out" / "masks.jsonl").write_text(text)
        with pytest.raises(ConfigError, match="already exists and is not a list of masks of picie"):
            predict_folder(model, photos, tmp_path / "out", overwrite=True)
        assert contents(tmp_path / "out") == {"masks.jsonl": text.encode()}


def test_new_names_need_overwrite_and_leave_a_warning(
    model: Segmenter, named: Segmenter, photos: Path, tmp_path: Path
) -> None:
    out, said = tmp_path / "out", list[str]()

    class Listener(Reporter):
        def say(self, text: str) -> None:
            said.append(text)

    predict_folder(named, photos, out)
    renamed = model.named(ClassNames(3, (NamedClass("heaven", (0,)),)))
    with pytest.raises(ConfigError, match="made by another model"):
        predict_folder(renamed, photos, out)
    with pytest.raises(ConfigError, match="already exists and has other names; choose another"):
        predict_folder(renamed, scene_of(photos), out)
    made = predict_folder(renamed, scene_of(photos), out, overwrite=True, reporter=Listener())
    assert made.written == 1
    assert (out / "classes.txt").read_text().split("\n")[0] == "heaven"
    warning = f"{out} also holds 3 masks of another model or of other settings, whose ids may"
    assert f"{warning} mean something else (first: a.png)" in "\n".join(said)
    (out / "classes.txt").write_text("by hand\n")
    with pytest.raises(
        ConfigError, match=r"classes\.txt: already exists with other names, and was"
    ):
        predict_folder(renamed, scene_of(photos), out, overwrite=True)


def scene_of(photos: Path) -> Path:
    """A fourth photo, beside the folder."""
    place = photos.parent / "fourth.jpg"
    if not place.exists():
        shutil.copy(photos / "a.jpg", place)
    return place


def test_a_file_that_appears_meanwhile_is_kept(
    model: Segmenter, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, append = tmp_path / "out", Manifest.append

    def late(self: Manifest, *records: dict[str, Any]) -> None:
        append(self, *records)
        (out / "b.png").write_text("mine")

    monkeypatch.setattr(Manifest, "append", late)
    with pytest.raises(ConfigError, match=r"b\.png: was written by another program meanwhile"):
        predict_folder(model, photos, out, workers=0)
    assert (out / "b.png").read_text() == "mine"
    (out / "b.png").unlink()
    monkeypatch.setattr(Manifest, "append", append)
    predict_folder(model, photos, out)
    monkeypatch.setattr(Manifest, "append", late)
    with pytest.raises(ConfigError, match=r"b\.png: was written by another program meanwhile"):
        predict_folder(model, photos, out, workers=0, overwrite=True)
    assert (out / "b.png").read_text() == "mine"


def test_a_failure_says_how_far_it_came(
    model: Segmenter, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    killed(model, photos, tmp_path / "out", "c.png", reporter=Reporter())
    end = f"wrote 2 of 3 masks in {tmp_path / 'out'}; the same command writes the others\n"
    assert capsys.readouterr().err.endswith(end)


def test_unreadable_images_beside_kept_masks_are_no_failure(
    model: Segmenter, photos: Path, tmp_path: Path
) -> None:
    predict_folder(model, photos, tmp_path / "out")
    (photos / "d.jpg").write_text("no image")
    made = predict_folder(model, photos, tmp_path / "out")
    assert (made.kept, made.written, len(made.problems)) == (3, 0, 1)


def test_all_unreadable_images_are_on_the_list_and_only_once(
    model: Segmenter, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(25):
        (photos / f"broken {number:02d}.jpg").write_text("no image")
    for _ in range(2):
        predict_folder(model, photos, tmp_path / "out", reporter=Reporter())
        end = f"... and 5 more; {tmp_path / 'out' / 'masks.jsonl'} lists all"
        assert end in capsys.readouterr().err
    lines = (tmp_path / "out" / "masks.jsonl").read_text().splitlines()
    listed = [json.loads(line).get("unreadable", "") for line in lines]
    assert len([line for line in listed if "cannot be read as an image" in line]) == 25


# --- shards


def listed(out: Path) -> set[str]:
    lines = (out / "masks.jsonl").read_text().splitlines()
    return {json.loads(line).get("image", "") for line in lines} - {""}


def test_shards_share_the_images_and_one_call_merges_their_lists(
    named: Segmenter, scenes: Path, tmp_path: Path
) -> None:
    whole, out = tmp_path / "whole", tmp_path / "out"
    predict_folder(named, scenes, whole, overlays=True)
    shares = [
        predict_folder(named, scenes, out, overlays=True, shard=f"{number}/3").written
        for number in (3, 1, 2)
    ]
    assert sum(shares) == len(masks(whole)) / 2
    assert max(shares) < sum(shares)
    assert masks(out) == masks(whole)
    lists = {path.name for path in out.glob("masks*.jsonl")}
    assert lists <= {f"masks.{number}-of-3.jsonl" for number in (1, 2, 3)}
    again = predict_folder(named, scenes, out, overlays=True, shard="1/3")
    assert (again.written, again.kept) == (0, shares[1])
    merged = predict_folder(named, scenes, out, overlays=True)
    assert (merged.written, merged.kept) == (0, sum(shares))
    assert {path.name for path in out.glob("masks*.jsonl")} == {"masks.jsonl"}
    assert listed(out) == listed(whole)
    with pytest.raises(DataError, match="picie predict wrote"):
        open_folder(out)


def test_masks_of_shards_are_no_photos_before_the_lists_are_merged(
    model: Segmenter, photos: Path, tmp_path: Path
) -> None:
    predict_folder(model, photos, tmp_path / "out", shard="1/2")
    predict_folder(model, photos, tmp_path / "out", shard="2/2")
    with pytest.raises(DataError, match="left out 3 files that picie predict wrote"):
        open_folder(tmp_path / "out")


def test_another_number_of_shards_goes_on(model: Segmenter, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = sum(predict_folder(model, photos, out, shard=f"{n}/2").written for n in (1, 2))
    made = [predict_folder(model, photos, out, shard=f"{n}/5") for n in range(1, 6)]
    assert first == sum(one.kept for one in made) == 3
    assert sum(one.written for one in made) == 0


def test_a_list_in_use_is_left_to_its_writer(
    model: Segmenter, photos: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    for number in (1, 2):
        predict_folder(model, photos, out, shard=f"{number}/2")
    held = next(iter(sorted(out.glob("masks.*.jsonl"))))
    part = out / "sub" / ".part-0123456789abcdef.png"
    part.parent.mkdir(exist_ok=True)
    part.write_bytes(b"half a mask of a shard at work")
    with locked(held, "picie predict"):
        assert predict_folder(model, photos, out).kept == 3
        assert held.exists()
        assert part.exists()
        with pytest.raises(PicieError, match="is in use by picie predict"):
            predict_folder(model, photos, out, shard=held.name.split(".")[1].replace("-of-", "/"))
    predict_folder(model, photos, out)
    assert not held.exists()
    assert not part.exists()


def test_a_shard_without_images_ends_well(
    model: Segmenter, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = [
        predict_folder(model, photos, tmp_path / "out", shard=f"{n}/40", reporter=Reporter())
        for n in range(1, 41)
    ]
    assert sorted(one.written for one in made)[-4:] in ([0, 1, 1, 1], [0, 0, 1, 2])
    assert "0 masks of shard 40/40 in" in capsys.readouterr().err
    assert masks(tmp_path / "out").keys() == {"a.png", "b.png", "sub/c.png"}


def test_shards_say_when_masks_are_of_another_model(
    model: Segmenter, named: Segmenter, scenes: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    predict_folder(model, scenes, out)
    full = [f"{n}/2" for n in (1, 2)]
    for shard in full:
        with pytest.raises(ConfigError, match="was made by another model"):
            predict_folder(named, scenes, out, shard=shard)
    for shard in full:
        predict_folder(named, scenes, out, shard=shard, overwrite=True)
    assert predict_folder(named, scenes, out).kept == len(open_folder(scenes))


# --- in a storage


@pytest.fixture
def storage(photos: Path) -> Iterator[str]:
    """An address in memory with the photos in photos/."""
    files = fsspec.filesystem("memory")
    files.store.clear()
    for name, data in contents(photos).items():
        files.pipe_file(f"/bucket/photos/{name}", data)
    yield "memory://bucket"
    files.store.clear()


def stored(address: str) -> dict[str, bytes]:
    files = fsspec.filesystem("memory")
    root = address.removeprefix("memory:/")
    return {path.removeprefix(f"{root}/"): files.cat_file(path) for path in files.find(root)}


def images_of(files: dict[str, bytes]) -> dict[str, bytes]:
    return {name: data for name, data in files.items() if not name.endswith(".jsonl")}


def test_masks_in_a_storage_are_those_of_a_folder(
    named: Segmenter, photos: Path, tmp_path: Path, storage: str
) -> None:
    out = f"{storage}/masks"
    made = predict_folder(named, f"{storage}/photos", out, confidence=True)
    assert made == FolderMasks(out, 3, ())
    predict_folder(named, photos, tmp_path / "local", confidence=True)
    assert images_of(stored(out)) == images_of(contents(tmp_path / "local"))
    again = predict_folder(named, f"{storage}/photos", out, confidence=True)
    assert (again.written, again.kept) == (0, 3)
    names = [name for name in stored(out) if name.endswith(".jsonl")]
    rows = [json.loads(line) for name in names for line in stored(out)[name].splitlines()]
    assert sorted(row["image"] for row in rows if "mask" in row) == ["a", "b", "sub/c"]
    local = predict_folder(named, f"{storage}/photos", tmp_path / "mixed", confidence=True)
    assert local.written == 3
    assert images_of(contents(tmp_path / "mixed")) == images_of(stored(out))


@pytest.mark.parametrize("fails", range(7))
def test_a_stopped_call_in_a_storage_goes_on(
    named: Segmenter,
    photos: Path,
    tmp_path: Path,
    storage: str,
    fails: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("picie.inference.writing._TOGETHER", 2)
    write, calls = Store.write, 0

    def stop(self: Store, address: str, data: bytes | Path) -> None:
        nonlocal calls
        calls += 1
        if calls > fails:
            raise KeyboardInterrupt
        write(self, address, data)

    out = f"{storage}/masks"
    with monkeypatch.context() as patch:
        patch.setattr(Store, "write", stop)
        with pytest.raises(KeyboardInterrupt):
            predict_folder(named, f"{storage}/photos", out, workers=0, batch_size=1)
    before = {name for name in stored(out) if name.endswith(".png")}
    made = predict_folder(named, f"{storage}/photos", out, batch_size=1)
    assert (made.kept, made.written) == (len(before), 3 - len(before))
    predict_folder(named, photos, tmp_path / "local", batch_size=1)
    assert images_of(stored(out)) == images_of(contents(tmp_path / "local"))


def test_files_of_others_in_a_storage_are_not_replaced(model: Segmenter, storage: str) -> None:
    files = fsspec.filesystem("memory")
    files.pipe_file("/bucket/masks/a.png", b"mine")
    for overwrite in (False, True):
        with pytest.raises(ConfigError, match=r"a\.png: already exists and was not written by"):
            predict_folder(model, f"{storage}/photos", f"{storage}/masks", overwrite=overwrite)
    with pytest.raises(ConfigError, match=r"is a file that this command reads"):
        predict_folder(model, f"{storage}/photos", f"{storage}/photos", overwrite=True)
    assert stored(f"{storage}/masks") == {"a.png": b"mine"}


def test_another_model_in_a_storage_needs_overwrite(
    model: Segmenter, named: Segmenter, storage: str
) -> None:
    out = f"{storage}/masks"
    predict_folder(model, f"{storage}/photos", out)
    with pytest.raises(ConfigError, match="was made by another model or with other settings"):
        predict_folder(named, f"{storage}/photos", out)
    assert predict_folder(named, f"{storage}/photos", out, overwrite=True).written == 3
    assert predict_folder(named, f"{storage}/photos", out).kept == 3
    files = fsspec.filesystem("memory")
    files.pipe_file("/bucket/photos/a.jpg", files.cat_file("/bucket/photos/sub/c.jpg"))
    with pytest.raises(ConfigError, match=r"a\.png: is the mask of another photo, or of an earlie"):
        predict_folder(named, f"{storage}/photos", out)


def test_a_storage_that_goes_away_midway(
    named: Segmenter,
    photos: Path,
    tmp_path: Path,
    use_s3: Callable[[str], None],
    stored: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    moto = pytest.importorskip("moto.server")
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    host, port = server.get_host_and_port()
    use_s3(f"http://{host}:{port}")
    bucket = f"bucket-{secrets.token_hex(6)}"
    urlopen(Request(f"http://{host}:{port}/{bucket}", method="PUT")).close()
    source, out = stored(photos, f"s3://{bucket}/photos"), f"s3://{bucket}/masks"
    monkeypatch.setattr("picie.inference.writing._TOGETHER", 1)
    monkeypatch.setattr("picie.runtime.storage.sleep", lambda _: None)
    write = Store.write

    def last(self: Store, address: str, data: bytes | Path) -> None:
        write(self, address, data)
        if address.endswith("b.png"):
            server.stop()

    with monkeypatch.context() as patch:
        patch.setattr(Store, "write", last)
        with pytest.raises(PicieError, match=r"s3://.*cannot be (written|read).*5 attempts"):
            predict_folder(named, source, out, workers=0, batch_size=1)
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=port, verbose=False)
    server.start()
    try:
        made = predict_folder(named, source, out)
        assert (made.kept, made.written) == (2, 1)
        predict_folder(named, photos, tmp_path / "local")
        for name, data in masks(tmp_path / "local").items():
            assert Store(out).read(f"{out}/{name}") == data
    finally:
        server.stop()
