"""Training runs: the same bytes whatever happens on the way, and what a run leaves behind."""

import json
import multiprocessing
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor

import picie.models.storage
import picie.training.checkpoint
from picie.cli.app import main
from picie.clustering.vote import Vote
from picie.config import Config, Reading, make_config, read_config
from picie.data.synthetic.scenes import draw_scene, write_scenes
from picie.errors import ConfigError, DataError, ModelError, PicieError
from picie.inference.segmenter import Segmenter, load
from picie.runtime.files import write_atomically
from picie.runtime.storage import Store
from picie.training import trainer
from picie.training.loop import resume, train
from picie.training.validation import cluster_clean_images

Settings = dict[str, dict[str, Any]]


def weights(run: Path) -> bytes:
    return (run / "model.safetensors").read_bytes()


def records(run: Path) -> list[dict[str, Any]]:
    """The lines of metrics.jsonl without wall times."""
    lines = (run / "metrics.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in lines]


def assert_same(run: Path, unbroken: Path) -> None:
    assert weights(run) == weights(unbroken)
    assert records(run) == records(unbroken)
    assert [record["epoch"] for record in records(run)] == [0, 1, 2]
    assert {path.name for path in run.iterdir()} == {path.name for path in unbroken.iterdir()}


# --- the same bytes


@pytest.mark.parametrize(
    ("preset", "machine"),
    [
        ("default", {"workers": 2}),
        ("default", {"workers": 1, "cache_mb": 0}),  # kept in a file
        ("reference", {"workers": 2, "cache_mb": 0, "cache_disk_mb": 0}),  # read again each time
    ],
)
def test_workers_and_memory_do_not_change_a_byte(
    scenes: Path,
    settings: Settings,
    runs: dict[str, Path],
    tmp_path: Path,
    preset: str,
    machine: dict[str, int],
) -> None:
    train(scenes, tmp_path / "run", **settings[preset] | machine)
    assert_same(tmp_path / "run", runs[preset])


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(
    scenes: Path, settings: Settings, tmp_path: Path
) -> None:
    short = settings["default"] | {"epochs": 1}
    for name, seed in (("one", 5), ("same", 5), ("other", 6)):
        train(scenes, tmp_path / name, **short | {"seed": seed})
    assert weights(tmp_path / "one") == weights(tmp_path / "same")
    assert weights(tmp_path / "one") != weights(tmp_path / "other")


def test_training_leaves_the_global_random_states(
    scenes: Path, settings: Settings, tmp_path: Path
) -> None:
    before = torch.get_rng_state()
    train(scenes, tmp_path / "run", **settings["reference"] | {"epochs": 1})
    assert torch.equal(torch.get_rng_state(), before)


def test_the_returned_model_is_the_saved_one(
    scenes: Path, settings: Settings, tmp_path: Path
) -> None:
    model = train(scenes, tmp_path / "run", **settings["default"] | {"epochs": 1})
    image = np.asarray(Image.open(scenes / "images/scene_0000.jpg"))
    assert isinstance(model, Segmenter)
    assert np.array_equal(model.predict(image), load(tmp_path / "run").predict(image))


# --- cut off and resumed


class _Killed(BaseException):
    """Ends a run as a kill would: nothing catches it."""


def _after(calls: int, original: Callable[..., Any]) -> Callable[..., Any]:
    """`original`, but the call after `calls` others ends the run."""
    done: list[int] = []

    def counted(*args: Any, **options: Any) -> Any:
        if len(done) == calls:
            raise _Killed
        done.append(1)
        return original(*args, **options)

    return counted


_POINTS: dict[str, tuple[Any, str, int]] = {
    # what dies, and after how many calls (two steps an epoch, one checkpoint)
    "in the first step": (torch.optim.Adam, "step", 0),
    "in the last step of epoch 1": (torch.optim.Adam, "step", 3),
    "between the record and the checkpoint of epoch 0": (
        picie.training.checkpoint,
        "write_atomically",
        0,
    ),
    "between the record and the checkpoint of epoch 2": (
        picie.training.checkpoint,
        "write_atomically",
        2,
    ),
    "before the weights are written": (picie.models.storage, "write_atomically", 0),
    "between the weights and their card": (picie.models.storage, "write_atomically", 1),
}


@pytest.mark.parametrize("preset", ["default", "reference"])
@pytest.mark.parametrize("point", _POINTS)
def test_a_run_that_was_cut_off_ends_as_an_unbroken_one(
    scenes: Path,
    settings: Settings,
    runs: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    preset: str,
    point: str,
) -> None:
    owner, name, calls = _POINTS[point]
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, _after(calls, getattr(owner, name)))
        with pytest.raises(_Killed):
            train(scenes, tmp_path / "run", **settings[preset])
    assert not (tmp_path / "run" / "config.json").exists()
    resume(tmp_path / "run", workers=2 if preset == "default" else None)
    assert_same(tmp_path / "run", runs[preset])


class _Gate:
    """An image that a process reads only when the test lets it.

    The process waits in the read, and can be killed at exactly this one.
    """

    def __init__(self, start: Callable[..., BaseProcess], image: Path, *args: str) -> None:
        context = multiprocessing.get_context("forkserver")
        self._wanted, self._permits = context.Semaphore(0), context.Semaphore(0)
        self.process = start("gated_command_line", [*args], str(image), self._wanted, self._permits)

    def hand_out(self, times: int) -> None:
        """Let the image be read so many times, then wait until it is wanted once more."""
        for number in range(times + 1):
            if number:
                self._permits.release()
            assert self._wanted.acquire(timeout=300), self.process.exitcode

    def kill(self) -> None:
        self.process.kill()
        self.process.join()
        assert self.process.exitcode == -9


@pytest.mark.parametrize(
    ("preset", "reads", "epochs"),
    [
        # reads: one for the PCA (default only), then two for k-means and one for the
        # steps of each epoch
        ("default", 6, 1),  # killed in the steps of epoch 1
        ("reference", 1, 0),  # killed in epoch 0, while view 2 is clustered
    ],
)
def test_kill_9_and_resume(
    start: Callable[..., BaseProcess],
    scenes: Path,
    flags: Callable[[str], list[str]],
    runs: dict[str, Path],
    tmp_path: Path,
    preset: str,
    reads: int,
    epochs: int,
) -> None:
    run, image = tmp_path / "run", scenes / "images" / "scene_0003.jpg"
    uncached = ["--cache-mb=0", "--cache-disk-mb=0"]  # read at every use
    gate = _Gate(start, image, "train", str(scenes), f"--out={run}", *uncached, *flags(preset))
    try:
        gate.hand_out(reads)
    finally:
        gate.kill()
    done = records(run) if epochs else []
    assert [record["epoch"] for record in done] == list(range(epochs))
    assert (run / "checkpoint" / "state.safetensors").exists() == (epochs > 0)
    assert not (run / "model.safetensors").exists()
    main(["train", "--resume", str(run), "--quiet"])
    assert_same(run, runs[preset])


def test_one_process_at_a_time_trains_in_a_folder(
    start: Callable[..., BaseProcess],
    scenes: Path,
    settings: Settings,
    flags: Callable[[str], list[str]],
    runs: dict[str, Path],
    tmp_path: Path,
) -> None:
    run, image = tmp_path / "run", scenes / "images" / "scene_0003.jpg"
    gate = _Gate(start, image, "train", str(scenes), f"--out={run}", *flags("default"))
    try:
        gate.hand_out(1)
        holder = rf"run: is in use by picie train \(process {gate.process.pid} on .*; wait until"
        before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
        for overwrite in (False, True):
            with pytest.raises(PicieError, match=holder):
                train(scenes, run, **settings["default"], overwrite=overwrite)
        with pytest.raises(PicieError, match=holder):
            resume(run)
        assert {path: path.read_bytes() for path in before} == before
    finally:
        gate.kill()
    (run / ".part-0123.safetensors").write_bytes(b"half")
    resume(run)
    assert_same(run, runs["default"])


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("lost", [[], ["checkpoint"], ["checkpoint", "metrics.jsonl"]])
@pytest.mark.parametrize("preset", ["default", "reference"])
def test_a_finished_run_gives_its_model_and_changes_nothing(
    runs: dict[str, Path],
    scenes: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    preset: str,
    lost: list[str],
) -> None:
    run = shutil.copytree(runs[preset], tmp_path / "run")
    for name in lost:
        shutil.rmtree(run / name) if (run / name).is_dir() else (run / name).unlink()
    before = contents(run)
    model = resume(run, quiet=False)
    assert "run: is finished (3 epochs); nothing to resume" in capsys.readouterr().err
    assert contents(run) == before
    assert (model.clusters, model.run) == (3, run)
    image = scenes / "images" / "scene_0000.jpg"
    assert np.array_equal(model.predict(image), load(runs[preset]).predict(image))


def test_a_damaged_model_is_made_again_from_the_checkpoint(
    runs: dict[str, Path], tmp_path: Path
) -> None:
    run = shutil.copytree(runs["default"], tmp_path / "run")
    (run / "model.safetensors").write_bytes(b"half")
    resume(run)
    assert_same(run, runs["default"])
    (run / "model.safetensors").write_bytes(b"half")
    shutil.rmtree(run / "checkpoint")
    before = contents(run)
    with pytest.raises(ModelError, match=r"model.safetensors: "):
        resume(run)
    assert contents(run) == before


def test_a_lost_checkpoint_is_not_replaced_by_training_again(
    runs: dict[str, Path], tmp_path: Path
) -> None:
    run = shutil.copytree(runs["default"], tmp_path / "my run")
    shutil.rmtree(run / "checkpoint")
    (run / "config.json").unlink()
    before = contents(run)
    with pytest.raises(
        ModelError,
        match=r"state.safetensors: is missing, although 3 epochs were finished; restore it, or .*"
        r"train --config '.*my run/config.toml' --out '.*my run' --overwrite",
    ):
        resume(run)
    assert contents(run) == before


def test_lost_curves_are_said(
    runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = shutil.copytree(runs["default"], tmp_path / "run")
    (run / "config.json").unlink()
    (run / "metrics.jsonl").unlink()
    resume(run, quiet=False)
    assert "metrics.jsonl: lacks 3 of 3 epochs; curves will too" in capsys.readouterr().err
    assert weights(run) == weights(runs["default"])


@pytest.mark.parametrize("epoch", [-5, 10**9, 1.0])
def test_a_hostile_checkpoint_does_not_cost_the_curves(
    runs: dict[str, Path], tmp_path: Path, epoch: object
) -> None:
    run = shutil.copytree(runs["default"], tmp_path / "run")
    (run / "config.json").unlink()
    path = run / "checkpoint" / "state.safetensors"
    save_file(load_file(path), path, {"state": json.dumps({"next_epoch": epoch})})
    before = contents(run)
    with pytest.raises(ModelError, match=r"next_epoch = .* is not a whole number from 1 to 3"):
        resume(run)
    assert {path: contents(run)[path] for path in before if path.name != "train.log"} == {
        path: data for path, data in before.items() if path.name != "train.log"
    }


# --- resumed with other images


@pytest.fixture
def cut_off(
    scenes: Path, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A run that was killed after its first epoch; its images are in photos/."""
    photos = shutil.copytree(scenes / "images", tmp_path / "photos")
    with monkeypatch.context() as patch:
        patch.setattr(picie.training.checkpoint, "write_atomically", _after(1, write_atomically))
        with pytest.raises(_Killed):
            train(photos, tmp_path / "run", **settings["reference"] | {"split": ""})
    return tmp_path / "run"


def test_other_images_are_refused_unless_accepted(
    cut_off: Path, tmp_path: Path, failure: Callable[..., tuple[int, str]]
) -> None:
    photos = tmp_path / "photos"
    (photos / "scene_0001.jpg").unlink()
    shutil.copy(photos / "scene_0002.jpg", photos / "new.jpg")
    shutil.copy(photos / "scene_0004.jpg", photos / "scene_0003.jpg")
    before = contents(cut_off)
    message = (
        f"{cut_off}: the images in {photos} differ from those that the run began with: 1 removed "
        "(scene_0001), 1 added (new), 1 changed (scene_0003). Restore them, or go on with these: "
        f"picie train --resume {cut_off} --accept-changes"
    )
    assert message in failure("train", "--resume", cut_off, "--quiet")[1]
    with pytest.raises(DataError, match="differ from those that the run began with"):
        resume(cut_off)
    assert contents(cut_off) == before
    main(["train", "--resume", str(cut_off), "--accept-changes", "--quiet"])
    assert [record["epoch"] for record in records(cut_off)] == [0, 1, 2]
    (cut_off / "config.json").unlink()
    resume(cut_off)  # these are its images now


def test_touched_images_are_the_same(cut_off: Path, tmp_path: Path) -> None:
    for path in (tmp_path / "photos").iterdir():
        path.touch()
    resume(cut_off)
    assert [record["epoch"] for record in records(cut_off)] == [0, 1, 2]


def test_a_run_of_an_earlier_version_is_resumed_without_a_check(
    cut_off: Path, tmp_path: Path
) -> None:
    (cut_off / "images.jsonl").unlink()
    (tmp_path / "photos" / "scene_0001.jpg").unlink()
    resume(cut_off)
    assert records(cut_off)[-1]["images"] == 8


def test_a_run_that_failed_does_not_block_the_corrected_command(
    scenes: Path, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr("picie.training.trainer.compute_losses", full)
        with pytest.raises(MemoryError):
            train(scenes, tmp_path / "run", **settings["reference"] | {"epochs": 1})
    assert (tmp_path / "run" / "train.log").exists()
    train(scenes, tmp_path / "run", **settings["reference"] | {"epochs": 1})
    with pytest.raises(ConfigError, match="already holds a run"):
        train(scenes, tmp_path / "run", **settings["reference"] | {"epochs": 1})


def test_a_run_goes_on_for_more_epochs_as_if_they_had_been_wanted_at_first(
    scenes: Path, settings: Settings, runs: dict[str, Path], tmp_path: Path
) -> None:
    run = tmp_path / "run"
    train(scenes, run, **settings["default"] | {"epochs": 1})
    config = run / "config.toml"
    config.write_text(config.read_text().replace("epochs = 1\n", "epochs = 3\n"))
    resume(run)
    assert_same(run, runs["default"])


def test_what_cannot_be_resumed(runs: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such folder"):
        resume(tmp_path / "gone")
    with pytest.raises(ModelError, match="is not a run folder"):
        resume(tmp_path)
    with pytest.raises(ConfigError, match=r"keeps its settings; remove clusters \(only device"):
        resume(runs["default"], clusters=4)  # type: ignore[call-arg]
    with pytest.raises(ConfigError, match="workers = -2"):
        resume(runs["default"], workers=-2)
    shutil.copytree(runs["default"], tmp_path / "run")
    (tmp_path / "run" / "config.json").unlink()  # not finished
    (tmp_path / "run" / "checkpoint" / "state.safetensors").write_bytes(b"half a file")
    with pytest.raises(ModelError, match=r"checkpoint cannot be used .* --overwrite"):
        resume(tmp_path / "run")


# --- what is learnt


def network_of(run: Path, part: str) -> dict[str, Tensor]:
    tensors = load_file(run / "model.safetensors")
    return {name: tensor for name, tensor in tensors.items() if name.startswith(part)}


@pytest.fixture(scope="module")
def untrained(scenes: Path, settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The preset `default` with 0 epochs."""
    run = tmp_path_factory.mktemp("untrained") / "run"
    train(scenes, run, **settings["default"] | {"epochs": 0})
    return run


def test_no_epochs_give_a_model_too(untrained: Path, scenes: Path) -> None:
    masks = [one.mask for one in load(untrained).predict_folder(scenes)]
    assert len(masks) == 9
    assert not (untrained / "metrics.jsonl").exists()
    before = weights(untrained)
    resume(untrained)
    assert weights(untrained) == before


@pytest.mark.parametrize(("touching", "undone"), [(0.04, True), (0.06, False)])
def test_training_that_learns_images_is_undone(
    scenes: Path,
    settings: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    touching: float,
    undone: bool,
) -> None:
    """A trained model whose clusters touch less than half as often as without training."""
    found = iter([touching, 0.1])  # trained, then without training
    cluster = cluster_clean_images

    def clustered(*args: Any, **options: Any) -> Vote:
        return replace(cluster(*args, **options), touching=next(found))

    values = settings["default"] | {"epochs": 1}
    with monkeypatch.context() as patch:
        patch.setattr(trainer, "cluster_clean_images", clustered)
        model = train(scenes, tmp_path / "run", **values)
    log = (tmp_path / "run" / "train.log").read_text()
    health = json.loads((tmp_path / "run" / "health.json").read_text())
    message = (
        "training is undone: its clusters hold whole images (4.0% of neighbouring cells are in two "
        "clusters, without training 10.0%)"
    )
    assert (message in log) == undone
    assert health.get("training_undone", 0) == undone
    untrained = train(scenes, tmp_path / "untrained", **values | {"epochs": 0})
    same = {
        name: torch.equal(tensor, untrained.network.state_dict()[name])
        for name, tensor in model.network.state_dict().items()
    }
    assert all(same.values()) == undone
    assert same["decoder.laterals.0.weight"] == undone


def test_a_frozen_backbone_keeps_weights_and_statistics(
    untrained: Path, runs: dict[str, Path]
) -> None:
    before, after = network_of(untrained, "backbone"), network_of(runs["default"], "backbone")
    assert any("running_mean" in name for name in before)
    assert all(torch.equal(before[name], after[name]) for name in before)
    before, after = network_of(untrained, "decoder"), network_of(runs["default"], "decoder")
    assert not any(torch.equal(before[name], after[name]) for name in before)


def test_the_reference_trains_the_backbone(untrained: Path, runs: dict[str, Path]) -> None:
    before, after = network_of(untrained, "backbone"), network_of(runs["reference"], "backbone")
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == set(before)


def test_the_presets_keep_their_centroids(runs: dict[str, Path]) -> None:
    clean = network_of(runs["default"], "centroids")["centroids"]
    assert clean.shape == (1, 8, 8)  # one set of over-clusters
    assert load(runs["default"]).clusters == 3
    trained = network_of(runs["reference"], "centroids")["centroids"]
    assert trained.shape == (2, 3, 8)  # one set a view


def test_clusters_of_the_last_epoch_can_be_kept(
    scenes: Path, settings: Settings, tmp_path: Path
) -> None:
    values = settings["default"] | {"epochs": 1, "final_centroids": "trained"}
    assert len(train(scenes, tmp_path / "run", **values).network.centroids) == 2


def test_records_of_an_epoch(runs: dict[str, Path]) -> None:
    for run in runs.values():
        for record in records(run):
            assert record["images"] == 6
            assert record["loss"] == pytest.approx((record["within"] + record["cross"]) / 2)
            assert all(1 <= value <= 3.001 for value in record["effective_clusters"])
            assert [sum(view) for view in record["cluster_shares"]] == pytest.approx(
                [1, 1], abs=1e-3
            )
            assert all(value >= 0 for value in record["kmeans_objective"])


def test_scoring_on_the_way_does_not_change_the_weights(
    scenes: Path, settings: Settings, runs: dict[str, Path], tmp_path: Path
) -> None:
    for preset, keys in (
        ("default", {"accuracy", "miou"}),
        ("reference", {"accuracy", "miou", "accuracy_view2", "miou_view2"}),
    ):
        run = tmp_path / preset
        train(scenes, run, **settings[preset] | {"eval_split": "val"})
        assert weights(run) == weights(runs[preset])
        for record, other in zip(records(run), records(runs[preset]), strict=True):
            assert record.keys() - other.keys() == keys
            assert all(0 <= record[key] <= 100 for key in keys)


# --- what is refused, and what is left behind


def test_a_run_is_replaced_only_if_asked(
    scenes: Path, settings: Settings, runs: dict[str, Path], tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(runs["reference"], run)
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    with pytest.raises(ConfigError, match=r"already holds a run; choose another --out"):
        train(scenes, run, **settings["default"])
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before
    train(scenes, run, **settings["default"], overwrite=True)
    assert_same(run, runs["default"])


def test_settings_come_as_a_config_or_one_by_one(
    scenes: Path, settings: Settings, runs: dict[str, Path], tmp_path: Path
) -> None:
    config = make_config(**settings["default"])
    with pytest.raises(ConfigError, match="give either a config or clusters, not both"):
        train(scenes, tmp_path / "run", config=config, clusters=3)
    with pytest.raises(ConfigError, match="give either a config or preset 'best', not both"):
        train(scenes, tmp_path / "run", config=config, preset="best")
    with pytest.raises(ConfigError, match=r"config 'a.toml': give what picie.make_config returns"):
        train(scenes, tmp_path / "run", config=cast(Config, "a.toml"))
    train(scenes, tmp_path / "run", config=config, split="train")
    assert_same(tmp_path / "run", runs["default"])


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"clusters": 1}, ConfigError, "clusters = 1"),
        ({"clustrs": 3}, ConfigError, "did you mean 'clusters'"),
        ({"preset": "refrence"}, ConfigError, "did you mean 'reference'"),
        ({"backbone": "resnet1"}, ConfigError, "timm knows no such model; did you mean"),
        ({"split": "trian"}, DataError, "trian.txt: does not exist; lists here: train.txt"),
        ({"device": "toaster"}, ConfigError, "device 'toaster' cannot be used"),
    ],
)
def test_wrong_settings_leave_no_run(
    scenes: Path,
    settings: Settings,
    tmp_path: Path,
    change: dict[str, Any],
    error: type[Exception],
    message: str,
) -> None:
    with pytest.raises(error, match=message):
        train(scenes, tmp_path / "run", **settings["default"] | change)
    assert not (tmp_path / "run").exists()


def test_a_missing_or_empty_folder_leaves_no_run(settings: Settings, tmp_path: Path) -> None:
    values = settings["default"] | {"split": ""}
    with pytest.raises(DataError, match="gone: does not exist"):
        train(tmp_path / "gone", tmp_path / "run", **values)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"empty: no images \(0 files\)"):
        train(tmp_path / "empty", tmp_path / "run", **values)
    assert not (tmp_path / "run").exists()


def test_more_clusters_than_pixels_can_be_corrected(
    scenes: Path, settings: Settings, tmp_path: Path
) -> None:
    values = settings["default"] | {"epochs": 0, "kmeans_pixels": 1}
    with pytest.raises(DataError, match=r"6 sampled pixels are too few for 8 centroids; use fewer"):
        train(scenes, tmp_path / "run", **values)
    assert not (tmp_path / "run").exists()
    train(scenes, tmp_path / "run", **values | {"kmeans_pixels": 4})
    before = weights(tmp_path / "run")
    with pytest.raises(DataError, match="are too few"):
        train(scenes, tmp_path / "run", **values, overwrite=True)
    assert weights(tmp_path / "run") == before


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Four images without labels, and two files that are none."""
    folder = write_scenes(tmp_path / "made", train=4, val=0, size=(48, 64)) / "images"
    (folder / "bad 1.jpg").write_text("no image")
    (folder / "scene_0002b.png").write_bytes(b"\x89PNG\r\n\x1a\n, cut off")
    return folder


@pytest.mark.parametrize("preset", ["default", "reference"])
def test_unreadable_images_are_named_and_left_out(
    photos: Path,
    settings: Settings,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    preset: str,
) -> None:
    changes = {"split": "", "epochs": 1, "workers": 1, "batch_size": 4, "size": 64}
    values = settings[preset] | changes
    train(photos, tmp_path / "run", **values, quiet=False)
    for text in ((tmp_path / "run" / "train.log").read_text(), capsys.readouterr().err):
        assert "skipped 2 of 6 images that could not be read:" in text
        assert text.count("bad 1.jpg: cannot be read as an image") == 1
        assert text.count("scene_0002b.png: cannot be read as an image") == 1
    assert records(tmp_path / "run")[0]["images"] == 4


@pytest.mark.parametrize("preset", ["default", "reference"])
@pytest.mark.parametrize("epochs", [0, 1])
def test_a_folder_without_a_readable_image(
    photos: Path, settings: Settings, tmp_path: Path, preset: str, epochs: int
) -> None:
    for path in photos.glob("scene*"):
        path.write_text("no image")
    values = settings[preset] | {"split": "", "epochs": epochs, "kmeans_images": 6}
    with pytest.raises(
        DataError, match=r"none of the 6 images can be read; first: .*be read as an"
    ):
        train(photos, tmp_path / "run", **values)
    assert not (tmp_path / "run").exists()


def test_train_log_has_all_that_the_terminal_cuts(
    photos: Path, settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(25):
        (photos / f"broken {number:02d}.jpg").write_text("no image")
    (photos / "raw.NEF").write_text("")
    values = settings["default"] | {"split": "", "epochs": 0}
    train(photos, tmp_path / "run", **values, quiet=False)
    log, shown = (tmp_path / "run" / "train.log").read_text(), capsys.readouterr().err
    assert log.count("cannot be read as an image") == 27
    assert shown.count("cannot be read as an image") == 20
    assert f"... and 7 more; {tmp_path / 'run' / 'train.log'} lists all" in shown
    for text in (log, shown):
        assert text.count("left out 1 .nef: picie does not read them") == 1


def test_images_of_one_colour_are_counted_and_named(
    photos: Path, settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(4):
        Image.new("RGB", (64, 48)).save(photos / f"black {number}.png")
    train(photos, tmp_path / "run", **settings["default"] | {"split": "", "epochs": 1}, quiet=False)
    for text in ((tmp_path / "run" / "train.log").read_text(), capsys.readouterr().err):
        assert "4 of 8 images are of (nearly) one colour and show nothing:" in text
        assert text.count("black 3") == 1
        assert "warning: 50% of the images are of (nearly) one colour" in text
        assert "good" not in text
    assert json.loads((tmp_path / "run" / "health.json").read_text())["constant_images"] == 0.5


@pytest.mark.parametrize("epochs", [0, 1])
def test_nothing_but_images_of_one_colour_is_an_error_before_training(
    settings: Settings, tmp_path: Path, epochs: int
) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "broken.png").write_bytes(b"")
    for number in range(4):
        Image.new("RGB", (64, 48), (number, 9, 9)).save(tmp_path / "photos" / f"{number}.png")
    values = settings["default"] | {"split": "", "epochs": epochs}
    with pytest.raises(
        DataError, match=r"all 4 images that can be read are of \(nearly\) one colour"
    ):
        train(tmp_path / "photos", tmp_path / "run", **values)
    assert not (tmp_path / "run").exists()


# --- the machine


def test_a_profile_says_where_the_time_went(
    scenes: Path, settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    values = settings["reference"] | {"epochs": 1}
    train(scenes, tmp_path / "run", **values, quiet=False, profile=True)
    text = capsys.readouterr().err
    assert "where the time went:" in text
    for part in ("forward", "backward", "label forward", "views", "loss", "k-means", "optimiser"):
        assert re.search(rf"^  {part} +\d+\.\d\d s +\d+\.\d %", text, re.MULTILINE), part
    share = re.search(r"network: (\d+\.\d) % of \d+\.\d s", text)
    assert share is not None
    assert 5 < float(share[1]) < 100
    assert "where the time went:" in (tmp_path / "run" / "train.log").read_text()


@pytest.mark.parametrize("preset", ["default", "reference"])
def test_half_precision_learns_about_the_same(
    scenes: Path, settings: Settings, tmp_path: Path, preset: str
) -> None:
    values = settings[preset] | {"epochs": 1, "learning_rate": 1e-4}
    for precision in ("fp32", "bf16"):
        train(scenes, tmp_path / precision, **values | {"precision": precision})
    (full,), (half,) = (records(tmp_path / precision) for precision in ("fp32", "bf16"))
    assert half["loss"] != full["loss"]
    assert half["loss"] == pytest.approx(full["loss"], rel=0.1)
    weights_half = load_file(tmp_path / "bf16" / "model.safetensors")
    whole = (torch.float32, torch.int64, torch.float64)  # the last: heights in the tree
    assert all(t.dtype in whole for t in weights_half.values())


def test_a_failed_compilation_is_explained(
    scenes: Path, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What torch raises without a compiler; to compile for real takes a minute.
    class NoCompiler(RuntimeError):
        __module__ = "torch._inductor.exc"

    compiled: list[str] = []
    monkeypatch.setattr(
        torch.nn.Module, "compile", lambda self: compiled.append(type(self).__name__)
    )
    train(scenes, tmp_path / "good", **settings["default"] | {"epochs": 1, "compile": True})
    assert compiled == ["Backbone", "FeaturePyramid"]

    def fail(*_: object, **__: object) -> None:
        raise NoCompiler("no working C++ compiler found\nmore")

    monkeypatch.setattr("picie.training.trainer.compute_losses", fail)
    message = r"torch.compile failed \(no working C\+\+ compiler found\); install a C\+\+ compiler"
    with pytest.raises(ConfigError, match=message):
        train(scenes, tmp_path / "bad", **settings["default"] | {"compile": True})


def test_masks_of_the_eval_split_are_checked_before_training(
    scenes: Path, settings: Settings, tmp_path: Path
) -> None:
    folder = shutil.copytree(scenes, tmp_path / "scenes")
    for path in (folder / "masks").iterdir():
        Image.fromarray(np.eye(48, 64, dtype=np.uint8) * 255).save(path)
    with pytest.raises(DataError, match=r"eval_split 'val': .* 0 and 255 alone.*leave --eval"):
        train(folder, tmp_path / "run", **settings["default"] | {"eval_split": "val"})
    assert not (tmp_path / "run").exists()


# --- images of other types than 8 bits


def test_a_run_on_deep_images_is_that_on_plain_ones(settings: Settings, tmp_path: Path) -> None:
    for number in range(4):
        image = draw_scene(3, number, (48, 64))[0]
        for folder, values in (("8", image), ("12", np.rint(image / 255 * 4095).astype(np.uint16))):
            path = tmp_path / folder / f"{number}.tif"
            path.parent.mkdir(exist_ok=True)
            separate = number % 2 == 1
            data = np.moveaxis(values, 2, 0) if separate else values
            plane = "separate" if separate else "contig"
            tifffile.imwrite(path, data, photometric="rgb", planarconfig=plane, compression="lzw")
    given = settings["default"] | {"split": "", "epochs": 1}
    for folder in ("8", "12"):
        train(tmp_path / folder, tmp_path / f"run {folder}", **given)
    assert weights(tmp_path / "run 8") == weights(tmp_path / "run 12")
    plain, deep = (load(tmp_path / f"run {folder}").config for folder in ("8", "12"))
    assert plain.reading == Reading()
    assert deep.reading == Reading(stretch=(0, 4095))
    assert read_config(tmp_path / "run 12" / "config.toml").reading == deep.reading
    log = (tmp_path / "run 12" / "train.log").read_text()
    assert "12-bit images: values 0 to 4095 become 0 to 255 (--stretch LOW HIGH changes" in log
    os.unlink(tmp_path / "run 12" / "config.json")
    again = resume(tmp_path / "run 12")
    assert again.config.reading == deep.reading
    assert weights(tmp_path / "run 8") == weights(tmp_path / "run 12")
    with pytest.raises(SystemExit):
        main(["train", "--resume", str(tmp_path / "run 12"), "--stretch", "0", "99"])


def test_photos_in_a_storage_give_the_same_run(
    untrained: Path,
    scenes: Path,
    settings: Settings,
    stored: Callable[..., str],
    bucket: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    address, fetched = stored(scenes, f"{bucket}/scenes"), list[str]()
    download = Store.download

    def counted(store: Store, file: str, to: Path) -> None:
        fetched.append(file)
        download(store, file, to)

    monkeypatch.setattr(Store, "download", counted)
    given = settings["default"] | {"epochs": 0, "workers": 2}
    train(address, tmp_path / "run", **given)
    assert weights(tmp_path / "run") == weights(untrained)
    photos = [file for file in fetched if file.endswith(".jpg")]
    assert len(photos) <= len(set(photos)) + 1 == 7  # the first also shows that one can be read
    assert read_config(tmp_path / "run" / "config.toml").data == address
