"""What is found, what is left out, and that both are said."""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from picie.data.folder import open_folder
from picie.data.own_outputs import EXPORT_MARK, MASKS_MANIFEST
from picie.errors import DataError


def touch(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    return root


def opened(root: Path) -> tuple[list[str], tuple[str, ...]]:
    folder = open_folder(root)
    return [photo.name for photo in folder.photos], folder.notes


def write_list(folder: Path, *masks: str) -> None:
    lines = [{"picie": "0.2", "kind": "masks"}, *({"mask": mask} for mask in masks)]
    touch(folder, *masks)
    (folder / MASKS_MANIFEST).write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_an_ordinary_folder_needs_no_note(tmp_path: Path) -> None:
    touch(tmp_path, "images/a.jpg", "masks/a.png", "masks_fine/a.png", "info.json")
    (tmp_path / "classes.txt").write_text("sky\n")
    (tmp_path / "train.txt").write_text("a\n")
    assert opened(tmp_path) == (["a"], ())


# --- outputs of picie


def test_masks_beside_and_below_photos_are_no_photos(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "b.jpg", "out/mine.png")
    write_list(tmp_path, "a.png", "b.png", "overlays/a.png")
    write_list(tmp_path / "out", "a.png", "x/b.png")
    names, notes = opened(tmp_path)
    assert names == ["a", "b", "out/mine"]
    assert notes == (
        "left out 3 files that picie predict wrote",
        "left out out/: written by picie predict (2 files)",
    )


def test_a_list_beside_images_counts_in_them(tmp_path: Path) -> None:
    touch(tmp_path, "images/a.jpg")
    write_list(tmp_path, "images/b.png")
    assert opened(tmp_path)[0] == ["a"]


def test_exports_runs_and_benches_are_left_out_as_a_whole(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "coco/images/b.jpg", "voc/c.jpg", "run/wandb/d.png", "bench/e.png")
    for export in ("coco", "voc"):
        touch(tmp_path, f"{export}/{EXPORT_MARK}")
    (tmp_path / "run/run.json").write_text('{"format": 1, "picie": "0.2"}')
    touch(tmp_path, "bench/records/r.json", "bench/runs/r.json", "bench/table.html")
    names, notes = opened(tmp_path)
    assert names == ["a"]
    assert set(notes) == {
        "left out coco/, voc/: written by picie export",
        "left out run/: written by picie train",
        "left out bench/: written by picie bench",
    }


def test_the_folder_that_is_asked_for_is_searched_whatever_it_is(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", EXPORT_MARK)
    assert opened(tmp_path) == (["a"], ())


def test_masks_of_picie_in_the_place_of_labels_are_said(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg")
    write_list(tmp_path / "masks", "a.png", "overlays/a.png")
    assert opened(tmp_path) == (["a"], ("left out masks/: written by picie predict (2 files)",))


# --- other kinds, other places


def test_other_kinds_are_counted(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "a.NEF", "b.psd", "c.psd", "x/d.jfif", "x/e.avif", "notes.txt")
    names, [note] = opened(tmp_path)
    assert names == ["a", "x/d", "x/e"]
    assert note.startswith("left out 2 .psd, 1 .nef: picie does not read them; convert")


def test_images_beside_images_are_said(tmp_path: Path) -> None:
    touch(tmp_path, "images/a.jpg", "b.jpg", "x/c.jpg", "masks/a.png", "masks_fine/a.png")
    touch(tmp_path, "coco/d.jpg", f"coco/{EXPORT_MARK}")
    names, notes = opened(tmp_path)
    assert names == ["a"]
    assert notes == ("only images/ is read; 2 images beside it are not: b.jpg, x/c.jpg",)
    (tmp_path / "b.jpg").unlink()
    assert opened(tmp_path)[1] == ("only images/ is read; 1 image beside it is not: x/c.jpg",)


def test_an_empty_images_folder_says_where_images_are(tmp_path: Path) -> None:
    touch(tmp_path, "images/.keep", "b.jpg")
    with pytest.raises(DataError, match=r"no images \(0 files\).*1 image beside it is not: b\.jpg"):
        open_folder(tmp_path)


def test_images_in_masks_that_are_no_masks_are_said(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "masks/a.png", "masks/venice.jpg", "masks/b.png")
    names, [note] = opened(tmp_path)
    assert names == ["a"]
    assert note == (
        "masks/ holds masks of images, as <name>.png; 2 images in it are no mask: b.png, venice.jpg"
    )


# --- what cannot be searched or opened


def test_links_to_nothing_and_to_themselves(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg")
    (tmp_path / "album").symlink_to(tmp_path / "unmounted")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "b.jpg").symlink_to(tmp_path / "b.jpg")
    (tmp_path / "one").symlink_to(tmp_path / "two")
    (tmp_path / "two").symlink_to(tmp_path / "one")
    names, notes = opened(tmp_path)
    assert names == ["a", "b"]  # an image that cannot be read is named when it is read
    assert notes[0] == ("left out, because they are links that lead nowhere: album, loop, one, two")


def test_pipes_sockets_and_devices_are_not_opened(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg")
    os.mkfifo(tmp_path / "b.jpg")
    os.mkfifo(tmp_path / "pipe")
    os.mkfifo(tmp_path / "masks.jsonl")
    os.mkfifo(tmp_path / "run.json")
    (tmp_path / "c.jpg").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as there:
        there.bind(os.path.relpath(tmp_path / "d.jpg"))
        assert opened(tmp_path)[0] == ["a", "b", "c", "d"]


def test_a_folder_that_cannot_be_searched_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch(tmp_path, "a.jpg", "lost+found/b.jpg", "x/c.jpg")
    real = os.scandir

    def scandir(path: Any) -> Any:
        if os.fspath(path).endswith("lost+found"):
            raise PermissionError(13, "Permission denied", path)
        return real(path)

    monkeypatch.setattr("picie.data.listing.os.scandir", scandir)
    names, [note] = opened(tmp_path)
    assert names == ["a", "x/c"]
    assert note == "left out, because they cannot be searched: lost+found/ (Permission denied)"
    (tmp_path / "a.jpg").unlink()
    (tmp_path / "x/c.jpg").unlink()
    with pytest.raises(DataError, match=r"no images .*lost\+found/ \(Permission denied\)"):
        open_folder(tmp_path)


AS_NOBODY = """
import os, sys
from picie.data.folder import open_folder
os.setgroups([]), os.setgid(65534), os.setuid(65534)
folder = open_folder(sys.argv[1])
print([photo.name for photo in folder.photos], *folder.notes, sep="\\n")
"""


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can become another user"
)
def test_an_ordinary_user_beside_a_closed_folder() -> None:
    root = Path(tempfile.mkdtemp())  # pytest's own folders are closed to others
    try:
        root.chmod(0o755)
        touch(root, "a.jpg", "closed/b.jpg", "far/c.jpg")
        (root / "link").symlink_to(root / "closed" / "inner")
        (root / "closed").chmod(0)
        command = [sys.executable, "-B", "-c", AS_NOBODY, str(root)]
        run = subprocess.run(command, capture_output=True, text=True, check=True)
        assert run.stdout.splitlines() == [
            "['a', 'far/c']",
            "left out, because they cannot be searched: closed/ (Permission denied)",
            "left out, because they are links that lead nowhere: link",
        ]
    finally:
        shutil.rmtree(root)


def test_a_root_that_is_no_file_and_no_folder(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(DataError, match=r"pipe\.jpg: is neither a file nor a folder"):
        open_folder(tmp_path / "pipe.jpg")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(DataError, match="loop: cannot be opened"):
        open_folder(tmp_path / "loop")
    with pytest.raises(DataError, match="cannot be opened"):
        open_folder("a\0b")
