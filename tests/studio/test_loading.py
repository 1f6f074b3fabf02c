"""What stands on a model: everything knows everything, and a preview leaves the rest alone."""

import shutil
import time
from pathlib import Path

import pytest

from picie.data.folder import open_folder
from picie.errors import ConfigError
from picie.studio.broadcast import Broadcast
from picie.studio.loading import load_parts
from picie.studio.photos import Photos


@pytest.fixture
def run(runs: dict[str, Path], tmp_path: Path) -> Path:
    """A copy of a run."""
    folder = tmp_path / "run"
    shutil.copytree(runs["default"], folder)
    return folder


def photos_of(scenes: Path, run: Path) -> Photos:
    return Photos(open_folder(scenes, split="train"), run / "studio")


def test_all_photos_are_looked_at_by_themselves(run: Path, scenes: Path) -> None:
    parts = load_parts(run, photos_of(scenes, run), Broadcast(), device="cpu")
    until = time.monotonic() + 60
    while parts.index.seen < 6 and time.monotonic() < until:
        time.sleep(0.05)
    assert parts.index.seen == 6
    assert parts.cards.card(0)["ready"] == 1
    with pytest.raises(ConfigError, match="name clusters first"):
        parts.workspace.act({"act": "accept", "photo": 2})
    parts.workspace.act({"act": "name", "node": 0, "title": "sky"})
    parts.workspace.act({"act": "accept", "photo": 2})
    assert [*parts.touched()] == [parts.workspace.photos.names[2]]
    assert len(list((run / "accepted").iterdir())) == 1
    parts.close()
    again = load_parts(run, photos_of(scenes, run), Broadcast(), device="cpu")
    assert again.index.seen == 6  # from the disk
    again.close()


def test_a_preview_looks_only_at_what_is_asked_for(run: Path, scenes: Path) -> None:
    parts = load_parts(run, photos_of(scenes, run), Broadcast(), device="cpu", preview=True)
    time.sleep(0.3)
    assert parts.index.seen == 0
    worker = parts.worker
    assert len(worker.run(0, lambda: parts.workspace.leaves.frames([1])).result(60)[0]) > 16
    assert parts.index.seen == 1
    parts.close()
