"""The list of masks: what it remembers, and broken ones."""

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest
from torch import nn

from picie.data.photo_state import PhotoState
from picie.errors import ConfigError, PicieError
from picie.inference.manifest import Manifest, Written, model_digest
from picie.inference.segmenter import Segmenter
from picie.runtime.places import Stamp, open_place

PHOTO: dict[str, Any] = {"bytes": 5, "mtime": 7, "digest": "d"}


def record(mask: str, digest: str, **more: Any) -> dict[str, Any]:
    return {"image": mask[:-4], "mask": mask, "digest": digest, "model": "m", **more}


def written(out: Path, *records: dict[str, Any]) -> Manifest:
    manifest = Manifest(open_place(out))
    for one in records:
        manifest.append(one)
    manifest.close()
    return Manifest(open_place(out))


def test_it_remembers_every_version_of_a_file(tmp_path: Path) -> None:
    first, second = record("a.png", "1", photo=PHOTO), record("a.png", "2", model="n")
    overlay = record("b.png", "3", overlay="overlays/b.png", overlay_digest="4")
    found = written(tmp_path, first, second, overlay, {"classes": "classes.txt", "digest": "5"})
    assert found.find("a.png", Stamp("1")) == Written(
        "a", "mask", "1", -1, "m", PhotoState(**PHOTO)
    )
    assert found.find("a.png", Stamp("2")) == Written("a", "mask", "2", -1, "n")
    assert found.find("overlays/b.png", Stamp("4")) == Written("b", "overlay", "4", -1, "m")
    assert found.find("classes.txt", Stamp("5")) == Written("", "classes", "5")
    for path, digest in (("a.png", "3"), ("c.png", "1"), ("a.png", ""), ("overlays/b.png", "3")):
        assert found.find(path, Stamp(digest)) is None
    assert [path for path, _ in found.masks()] == ["a.png", "a.png", "b.png"]
    again = written(tmp_path, record("a.png", "1", model="x"))
    assert [entry.model for path, entry in again.masks() if path == "a.png"] == ["n", "x"]


def test_nothing_is_written_before_the_first_line(tmp_path: Path) -> None:
    Manifest(open_place(tmp_path / "missing")).close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("end", [1, 2, 30, 60])
def test_a_line_that_was_cut_off_is_removed(tmp_path: Path, end: int) -> None:
    written(tmp_path, record("a.png", "1"), record("b.png", "2"))
    path = tmp_path / "masks.jsonl"
    path.write_bytes(path.read_bytes()[:-end])
    found = written(tmp_path, record("c.png", "3"))
    assert [mask for mask, _ in found.masks()] == ["a.png", "c.png"]
    assert all(json.loads(line) for line in path.read_text().splitlines())


def test_a_full_disk_leaves_whole_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = Manifest(open_place(tmp_path))
    manifest.append(record("a.png", "1"))
    write = os.write

    def half(descriptor: int, data: bytes) -> int:
        return write(descriptor, data[:9])

    def full(descriptor: int, data: bytes) -> int:
        write(descriptor, data[:9])
        raise OSError(errno.ENOSPC, "No space left on device")

    for broken in (half, full):
        monkeypatch.setattr(os, "write", broken)
        with pytest.raises(PicieError, match=r"masks\.jsonl: cannot be written \("):
            manifest.append(record("b.png", "2"))
        monkeypatch.setattr(os, "write", write)
    manifest.append(record("c.png", "3"))
    manifest.close()
    assert [mask for mask, _ in Manifest(open_place(tmp_path)).masks()] == ["a.png", "c.png"]
    assert len((tmp_path / "masks.jsonl").read_bytes().splitlines()) == 3


def test_lines_of_later_versions_and_damaged_ones_are_skipped(tmp_path: Path) -> None:
    written(tmp_path, record("a.png", "1"))
    odd = [[], 3, {"mask": 5, "digest": "1"}, {"mask": "b.png", "digest": None}, {"problem": "x"}]
    odd.append(record("c.png", "4", photo={"bytes": "5"}, seconds=1.5))
    with (tmp_path / "masks.jsonl").open("a") as file:
        file.write("".join(f"{json.dumps(value)}\n" for value in odd) + "no json\n\xff\n")
    found = written(tmp_path, record("d.png", "5"))
    assert [mask for mask, _ in found.masks()] == ["a.png", "c.png", "d.png"]
    assert found.find("c.png", Stamp("4")) == Written("c", "mask", "4", -1, "m")


def test_lists_of_others_and_links_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "masks.jsonl"
    for text in ("mine", "mine\n", '{"kind": "masks"}\n', "[]\n"):
        path.write_text(text)
        with pytest.raises(ConfigError, match=r"masks\.jsonl: already exists and is not a list"):
            Manifest(open_place(tmp_path))
    path.write_text("")
    assert list(Manifest(open_place(tmp_path)).masks()) == []
    path.rename(tmp_path / "other")
    path.symlink_to("other")
    with pytest.raises(ConfigError, match=r"masks\.jsonl: is a link, and is not changed"):
        Manifest(open_place(tmp_path))


def test_the_digest_is_that_of_the_model_not_of_its_place(model: Segmenter) -> None:
    first = model_digest(model, None, 1024)
    assert first == model_digest(model, model.config.size, 1024)
    elsewhere = model.config.model_copy(update={"data": "moved", "workers": 7})
    assert model_digest(Segmenter(model.network, elsewhere), None, 1024) == first
    fast = Segmenter(model.network, model.config, precision="bf16")
    automatic = Segmenter(model.network, model.config, precision="auto")
    assert model_digest(fast, None, 1024) != first
    assert model_digest(automatic, None, 1024) == first  # on a CPU
    assert isinstance(model.network, nn.Module)
    assert len({model_digest(model, size, 1024) for size in (None, 64, 96)}) == 3
