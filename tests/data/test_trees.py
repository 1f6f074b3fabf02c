"""What is in a storage is listed by the rules for folders of this machine."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from picie.data.folder import PhotoFolder, open_folder
from picie.data.own_outputs import EXPORT_MARK, EXPORT_PART
from picie.data.reading import Reading
from picie.data.trees import LocalTree, RemoteTree, open_tree
from picie.errors import ConfigError, DataError
from picie.runtime.storage import Entry, Store

Stored = Callable[..., str]

HEADER = json.dumps({"picie": "1", "kind": "masks"}) + "\n"


def touch(root: Path, *names: str, text: str = "x") -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def check_alike(root: Path, address: str, split: str = "") -> tuple[PhotoFolder, PhotoFolder]:
    """The folder here and in the storage, which are the same but for where they are."""
    here, there = open_folder(root, split), open_folder(address, split)
    assert here.photos
    for one, other in zip(here.photos, there.photos, strict=True):
        for mine, its in ((one.file, other.file), (one.mask_file or "", other.mask_file or "")):
            assert its == mine.replace(str(root), address)
        assert (one.name, one.page, one.stamp) == (other.name, other.page, "")
        assert other.stamp.partition(" ")[0] == str(Path(one.file).stat().st_size)
    assert sorted(there.notes) == sorted(here.notes)
    assert (there.root, there.classes) == (address, here.classes)
    return here, there


def test_a_plain_folder(tmp_path: Path, stored: Stored) -> None:
    touch(
        tmp_path, "b.jpg", "a/x.PNG", "a/x.jpg", "a b#?%.jpg", ".hidden.jpg", ".git/a.jpg", "e.nef"
    )
    touch(tmp_path, "masks/b.png", "masks/alone.png", "readme.txt", "film.zzz")
    touch(tmp_path, "val.txt", text="b\na/x\n")
    address = stored(tmp_path)
    here, there = check_alike(tmp_path, address)
    assert len(here.notes) == 3
    assert [one.mask_file for one in there.labelled] == [f"{address}/masks/b.png"]
    assert len(check_alike(tmp_path, address, "val")[0]) == 2
    assert open_folder(f"{address}/").photos == there.photos
    [single] = open_folder(f"{address}/a/x.jpg").photos
    assert (single.name, single.mask_file) == ("x", None)
    assert single.stamp == there.photos[2].stamp
    with pytest.raises(DataError, match=r"val\.txt|lists here: readme\.txt, val\.txt"):
        open_folder(address, "none")


def test_a_folder_with_images_masks_and_classes(tmp_path: Path, stored: Stored) -> None:
    touch(tmp_path, "images/b.jpg", "images/a/x.png", "masks/b.png", "masks_fine/b.png")
    touch(tmp_path, "beside.jpg", "more/beside.png")
    touch(tmp_path, "classes.txt", text="sky\nroad\n")
    address = stored(tmp_path)
    assert len(check_alike(tmp_path, address)[0].notes) == 1
    problems = []
    for root in (tmp_path, address):
        with pytest.raises(DataError) as caught:
            open_folder(root, labelled=True)
        problems.append(str(caught.value).replace(str(tmp_path), address))
    assert problems[0] == problems[1]


def test_outputs_of_picie_are_no_photos(tmp_path: Path, stored: Stored) -> None:
    touch(
        tmp_path,
        "a.jpg",
        "a.png",
        "coco/images/a.jpg",
        f"coco/{EXPORT_MARK}",
        "half/a.jpg",
        f"half/{EXPORT_PART}",
        "masks/deep/b.png",
    )
    touch(tmp_path, "run/sheet.png", "out/a.png", "out/sub/b.png", "out/mine.png", "bench/x.png")
    touch(tmp_path, "bench/table.html", "bench/runs/a.png", "bench/records/a.json")
    touch(tmp_path, "run/run.json", text='{"picie": "1", "format": 1}')
    touch(tmp_path, "out/masks.3-of-16.jsonl", text=HEADER + '{"mask": "a.png"}\n')
    touch(tmp_path, "out/masks.jsonl", text=HEADER + '{"mask": "sub/b.png"}\n')
    touch(tmp_path, "masks.jsonl", text=HEADER + '{"mask": "a.png"}\n')
    here, _ = check_alike(tmp_path, stored(tmp_path))
    assert [photo.name for photo in here.photos] == ["a", "out/mine"]
    assert len(here.notes) == 6


def test_names_that_no_folder_can_have(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["images//b.jpg", "images/../c.jpg", "images/a.jpg", "images/./d.jpg"]
    entries = [Entry(f"memory://a/{name}", 1, "") for name in names]
    monkeypatch.setattr(Store, "walk", lambda *_: iter(entries))
    monkeypatch.setattr(Store, "entry", lambda *_: None)
    folder = open_folder("memory://a")
    assert [photo.name for photo in folder.photos] == ["a"]
    [note] = folder.notes
    assert note.endswith("searched: / (an empty name in its address)")


def test_nothing_there(tmp_path: Path, stored: Stored) -> None:
    with pytest.raises(DataError, match=r"^memory://gone: does not exist, or is empty; check the"):
        open_folder("memory://gone")
    touch(tmp_path, "a.txt")
    with pytest.raises(DataError, match=r"^memory://.*: no images \(1 file, first: a\.txt\)"):
        open_folder(stored(tmp_path))
    with pytest.raises(DataError, match=r"a\.txt: is not a supported image"):
        open_folder(f"{stored(tmp_path)}/a.txt")
    with pytest.raises(ConfigError, match=r"^s4://a: there is no storage s4://"):
        open_folder("s4://a")


def test_a_photo_in_a_storage_has_no_path(tmp_path: Path, stored: Stored) -> None:
    touch(tmp_path, "a.jpg")
    [photo] = open_folder(stored(tmp_path)).photos
    assert photo.source == photo.file
    with pytest.raises(ConfigError, match="this command reads local folders; copy the files"):
        _ = photo.path
    assert isinstance(open_tree(f"file://{tmp_path}"), LocalTree)
    assert isinstance(open_tree(photo.file.removesuffix("/a.jpg")), RemoteTree)
    assert open_folder(f"file://{tmp_path}").photos[0].path == tmp_path / "a.jpg"


def test_deep_images_and_pages_are_found(
    tmp_path: Path, stored: Stored, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        deep = np.arange(2400, dtype=np.uint16).reshape(40, 60) + number
        Image.fromarray(deep).save(tmp_path / f"{number}.png")
    frames = [Image.new("L", (9, 9), shade) for shade in (0, 99)]
    frames[0].save(tmp_path / "s.tif", save_all=True, append_images=frames[1:])
    address, fetched = stored(tmp_path), []
    download = Store.download

    def counted(store: Store, file: str, to: Path) -> None:
        fetched.append(file)
        download(store, file, to)

    monkeypatch.setattr(Store, "download", counted)
    for reading in (Reading(), Reading(pages="all")):
        here, there = open_folder(tmp_path, reading=reading), open_folder(address, reading=reading)
        assert here.reading == there.reading
        assert here.reading.stretch is not None
        assert [photo.name for photo in here.photos] == [photo.name for photo in there.photos]
        assert [note.replace(address, str(tmp_path)) for note in there.notes] == list(here.notes)
    assert fetched.count(f"{address}/s.tif") == 3  # its header, twice, and its pages
