"""`picie queue`: the images it lists, and their order."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from picie.annotation.events import new_event
from picie.annotation.log import append_events
from picie.annotation.queue import next_images, summaries
from picie.cli.arguments import Queue
from picie.cli.queue import run as run_queue
from picie.errors import ConfigError
from picie.inference.segmenter import load
from picie.runs import ANNOTATIONS_FILE

Listed = Callable[..., list[list[str]]]


@pytest.fixture
def run(runs: dict[str, Path], tmp_path: Path) -> Path:
    """A copy of the model."""
    folder = tmp_path / "run"
    folder.mkdir()
    for name in ("model.safetensors", "config.json"):
        shutil.copy(runs["default"] / name, folder / name)
    return folder


@pytest.fixture
def listed(run: Path, scenes: Path, capsys: pytest.CaptureFixture[str]) -> Listed:
    """The rows that `picie queue` prints."""

    def call(folder: Path = run, **options: Any) -> list[list[str]]:
        run_queue(Queue(folder, scenes, quiet=True, **options))
        lines = capsys.readouterr().out.splitlines()
        cells = [line.strip("│").split("│") for line in lines if line.startswith("│")]
        return [[cell.strip() for cell in row] for row in cells]

    return call


def test_images_are_listed_in_the_order_of_the_queue(
    run: Path, scenes: Path, listed: Listed
) -> None:
    model = load(run)
    rows = listed()
    assert [row[0] for row in rows] == next_images(model, list(summaries(model, scenes)))
    assert {row[2] for row in rows} <= set(model.names)
    assert max(int(row[1]) for row in rows) == 100
    assert len(listed(count=2)) == 2
    assert len(listed(count=0)) == len(rows)


def test_annotated_images_come_last_also_for_the_taught_model(run: Path, listed: Listed) -> None:
    first, second, *_ = [row[0] for row in listed()]
    image = {"size": [9, 9], "digest": ""}
    stroke = {"act": "stroke", "points": [[1, 1]], "class": "x"}
    append_events(run / ANNOTATIONS_FILE, [new_event("test", image=first, **stroke, **image)])
    append_events(run / ANNOTATIONS_FILE, [new_event("test", image=second, act="accept", **image)])
    assert [[row[0], row[3]] for row in listed()][-2:] == [[first, "1"], [second, "accepted"]]
    taught = run / "taught"
    taught.mkdir()
    for name in ("model.safetensors", "config.json"):
        shutil.copy(run / name, taught / name)
    assert [row[0] for row in listed(taught)][-2:] == [first, second]


def test_an_impossible_count_is_refused(run: Path, scenes: Path) -> None:
    with pytest.raises(ConfigError, match="--count -1: give 1 or more, or 0 for all images"):
        run_queue(Queue(run, scenes, count=-1))
