"""Trackers see the run, and change nothing of it."""

import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from picie.config import make_config
from picie.errors import ConfigError, MissingExtraError, PicieError
from picie.runs import Run
from picie.training.loop import resume, train

Settings = dict[str, dict[str, Any]]
event = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")


@pytest.fixture(scope="module")
def tracked(scenes: Path, settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run like that of `runs`, with TensorBoard and scores."""
    folder = tmp_path_factory.mktemp("tracked") / "run"
    own = settings["default"] | {"track": "tensorboard", "track_images": 2, "eval_split": "val"}
    train(scenes, folder, **own)
    return folder


def events(folder: Path) -> Any:
    found = event.EventAccumulator(str(folder / "tensorboard"), {"images": 0, "scalars": 0})
    found.Reload()
    return found


def test_scalars_are_those_of_the_metrics(tracked: Path) -> None:
    found, metrics = events(tracked), Run.open(tracked).metrics()
    assert len(metrics) == 3
    for name in ("loss", "within", "accuracy", "miou"):
        seen = found.Scalars(name)
        assert [one.step for one in seen] == [1, 2, 3]
        assert [one.value for one in seen] == pytest.approx([m[name] for m in metrics], rel=1e-5)
    tags = set(found.Tags()["scalars"])
    assert {"effective_clusters/1", "effective_clusters/2", "seconds/train"} <= tags
    assert "health/silhouette" in tags
    assert not any(tag.startswith("cluster_shares") for tag in tags)


def test_images_come_every_second_epoch_and_at_the_end(tracked: Path) -> None:
    found = events(tracked)
    tags = found.Tags()["images"]
    steps = {tag: [one.step for one in found.Images(tag)] for tag in tags}
    assert steps == {"masks": [2], "finished/masks": [3]}
    [four] = found.Images("masks")  # TensorBoard lays them out as one
    assert four.width * four.height == 4 * 32 * 32


def test_settings_are_kept_without_paths(tracked: Path, scenes: Path) -> None:
    [path] = (tracked / "tensorboard").glob("*/hparams.yml")
    text = path.read_text()
    assert "clusters: 3" in text
    files = [one for one in (tracked / "tensorboard").rglob("*") if one.is_file()]
    assert not any(str(scenes).encode() in one.read_bytes() for one in files)


def test_the_model_is_that_of_a_run_without_trackers(tracked: Path, runs: dict[str, Path]) -> None:
    name = "model.safetensors"
    assert (tracked / name).read_bytes() == (runs["default"] / name).read_bytes()


def test_a_run_that_goes_on_may_be_tracked_from_then_on(
    scenes: Path, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("picie.training.trainer.Trainer.result", _killed)
        with pytest.raises(KeyboardInterrupt):
            train(scenes, folder, **settings["default"] | {"epochs": 1})
    assert not (folder / "tensorboard").exists()
    resume(folder, track="tensorboard", track_images=0)
    found = events(folder)
    assert found.Tags()["images"] == []
    assert [one.step for one in found.Scalars("health/silhouette")] == [1]


def _killed(trainer: Any) -> None:
    raise KeyboardInterrupt


def test_overwriting_a_run_removes_what_trackers_wrote(tmp_path: Path) -> None:
    Run.create(tmp_path / "run", make_config(), version="1")
    (tmp_path / "run/tensorboard/x").mkdir(parents=True)
    (tmp_path / "run/tensorboard/x/events").write_text("")
    Run.create(tmp_path / "run", make_config(), version="1", overwrite=True)
    assert not (tmp_path / "run/tensorboard").exists()


def test_a_run_without_training_is_shown_at_its_end(
    scenes: Path, settings: Settings, tmp_path: Path
) -> None:
    train(scenes, tmp_path / "run", **settings["default"] | {"epochs": 0, "track": "tensorboard"})
    found = events(tmp_path / "run")
    assert [one.step for one in found.Scalars("health/silhouette")] == [0]
    assert found.Tags()["images"] == ["finished/masks"]


class FakeWandb(ModuleType):
    """Stands for wandb: keeps what it is given."""

    def __init__(self) -> None:
        super().__init__("wandb")
        self.started: list[dict[str, Any]] = []
        self.settings: dict[str, Any] = {}
        self.logged: list[tuple[int, dict[str, Any]]] = []
        self.finished = 0
        self.config = self
        self.fails = self.breaks = False

    def init(self, **options: Any) -> "FakeWandb":
        if self.fails:
            raise RuntimeError("no login\nmore")
        self.started.append(options)
        return self

    def update(self, values: dict[str, Any], **options: Any) -> None:
        self.settings |= values

    def log(self, values: dict[str, Any], step: int) -> None:
        if self.breaks:
            raise OSError("connection lost\nmore")
        self.logged.append((step, values))

    def Image(self, image: Any) -> Any:
        return np.asarray(image)

    def finish(self) -> None:
        self.finished += 1


@pytest.fixture
def wandb(monkeypatch: pytest.MonkeyPatch) -> FakeWandb:
    fake = FakeWandb()
    monkeypatch.setitem(sys.modules, "wandb", fake)
    monkeypatch.setattr("picie.training.tracking.find_spec", lambda name: object())
    return fake


def test_weights_and_biases(
    scenes: Path, settings: Settings, tmp_path: Path, wandb: FakeWandb
) -> None:
    own = settings["default"] | {"epochs": 1, "track": "wandb, tensorboard,wandb"}
    train(scenes, tmp_path / "my run", **own)
    [started] = wandb.started
    assert (started["project"], started["name"]) == ("picie", "my run")
    assert wandb.settings["clusters"] == 3
    assert not {"data", "cache_dir"} & set(wandb.settings)
    assert str(scenes) not in json.dumps(wandb.settings)
    names = {name for _, values in wandb.logged for name in values}
    assert {"loss", "masks", "finished/masks", "health/silhouette"} <= names
    [masks] = [values["masks"] for _, values in wandb.logged if "masks" in values]
    assert [one.shape for one in masks] == [(32, 32, 3)] * 4
    assert wandb.finished == 1
    assert (tmp_path / "my run/tensorboard").is_dir()


def test_a_tracker_that_cannot_be_started(
    scenes: Path, settings: Settings, tmp_path: Path, wandb: FakeWandb
) -> None:
    wandb.fails = True
    with pytest.raises(PicieError, match=r"the tracker wandb cannot be started \(no login\)"):
        train(scenes, tmp_path / "run", **settings["default"] | {"track": "wandb"})


def test_a_tracker_that_fails_later_does_not_end_the_run(
    scenes: Path, settings: Settings, tmp_path: Path, wandb: FakeWandb, runs: dict[str, Path]
) -> None:
    wandb.breaks = True
    train(scenes, tmp_path / "run", **settings["default"] | {"track": "wandb,tensorboard"})
    log = (tmp_path / "run/train.log").read_text()
    assert log.count("the tracker wandb failed (connection lost); the run continues") == 1
    assert len(events(tmp_path / "run").Scalars("loss")) == 3
    name = "model.safetensors"
    assert (tmp_path / "run" / name).read_bytes() == (runs["default"] / name).read_bytes()


@pytest.mark.parametrize(
    ("name", "command"), [("tensorboard", r'"picie\[track\]"'), ("wandb", "wandb")]
)
def test_a_missing_package_is_named_before_there_is_a_run(
    scenes: Path,
    settings: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    command: str,
) -> None:
    monkeypatch.setattr("picie.training.tracking.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=f"needs {name}: pip install {command}"):
        train(scenes, tmp_path / "run", **settings["default"] | {"track": name})
    assert not (tmp_path / "run").exists()


def test_an_unknown_tracker() -> None:
    with pytest.raises(ConfigError, match="track 'tensorbord': known: tensorboard, wandb"):
        make_config(track="wandb,tensorbord")
