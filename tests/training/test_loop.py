"""Training runs: the same bytes whatever happens on the way, and what a run leaves behind."""

import json
import os
import re
import shutil
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

import picie.models.storage
import picie.training.checkpoint
from picie.cli.app import main
from picie.config import make_config
from picie.data.synthetic.scenes import write_scenes
from picie.errors import ConfigError, DataError, ModelError
from picie.inference.segmenter import Segmenter, load
from picie.training.loop import resume, train

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
    """An image that can be read only when the test hands it out.

    The image is a link to a named pipe, so that whoever reads it waits in the kernel; the reader
    can then be killed at exactly this read.
    """

    def __init__(self, image: Path, folder: Path) -> None:
        self.image, self.folder, self.data = image, folder, image.read_bytes()
        self.number = -1
        self._next_pipe()

    def hand_out(self, times: int, process: BaseProcess) -> None:
        """Let the image be read so many times, then wait until it is wanted once more."""
        for _ in range(times):
            pipe = self._reader(process)
            self._next_pipe()
            with os.fdopen(pipe, "wb") as file:
                os.set_blocking(pipe, True)
                file.write(self.data)
        os.close(self._reader(process))

    def open(self) -> None:
        """Make it a common file again."""
        self.image.unlink()
        self.image.write_bytes(self.data)

    def _next_pipe(self) -> None:
        self.number += 1
        os.mkfifo(self._pipe)
        link = self.folder / "link"
        link.symlink_to(self._pipe)
        os.replace(link, self.image)

    @property
    def _pipe(self) -> Path:
        return self.folder / f"pipe{self.number}"

    def _reader(self, process: BaseProcess) -> int:
        """The pipe, open for writing, as soon as somebody reads it."""
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            try:
                return os.open(self._pipe, os.O_WRONLY | os.O_NONBLOCK)
            except OSError:  # no reader yet
                assert process.is_alive(), process.exitcode
                time.sleep(0.01)
        raise TimeoutError("the image was not read")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
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
    photos, run = tmp_path / "photos", tmp_path / "run"
    shutil.copytree(scenes, photos)
    gate = _Gate(photos / "images" / "scene_0003.jpg", tmp_path)
    uncached = ["--cache-mb=0", "--cache-disk-mb=0"]  # read at every use
    process = start(
        "command_line", ["train", str(photos), f"--out={run}", *uncached, *flags(preset)]
    )
    try:
        gate.hand_out(reads, process)
    finally:
        process.kill()
        process.join()
    gate.open()
    assert process.exitcode == -9
    done = records(run) if epochs else []
    assert [record["epoch"] for record in done] == list(range(epochs))
    assert (run / "checkpoint" / "state.safetensors").exists() == (epochs > 0)
    assert not (run / "model.safetensors").exists()
    main(["train", "--resume", str(run), "--quiet"])
    assert_same(run, runs[preset])


@pytest.mark.parametrize("preset", ["default", "reference"])
def test_resuming_a_finished_run_changes_nothing(
    runs: dict[str, Path], tmp_path: Path, preset: str
) -> None:
    shutil.copytree(runs[preset], tmp_path / "run")
    model = resume(tmp_path / "run")
    assert_same(tmp_path / "run", runs[preset])
    assert model.clusters == 3


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
    train(scenes, tmp_path / "run", **values | {"kmeans_pixels": 4}, overwrite=True)


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
    with pytest.raises(DataError, match=r"none of the .*images (can|could) be read"):
        train(photos, tmp_path / "run", **values)
    log = (tmp_path / "run" / "train.log").read_text()
    assert log.count("cannot be read as an image") == 6
    with pytest.raises(ConfigError, match="or pass --overwrite"):
        train(photos, tmp_path / "run", **values)


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
