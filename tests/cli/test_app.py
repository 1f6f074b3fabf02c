"""The command line: exit codes, and errors of one line that say what to do."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import picie
from picie.cli.app import main
from picie.cli.arguments import Predict
from picie.cli.parsing import parse, parse_train
from picie.config import FIRST, GROUPS, PRESETS, Config, Reading, make_config
from picie.errors import ConfigError, DataError
from picie.runs import Run

Failure = Callable[..., tuple[int, str]]
Flags = Callable[[str], list[str]]
VERBS = (
    *("train", "predict", "studio", "name", "queue", "teach", "audit", "report", "evaluate"),
    *("export", "bench", "info", "demo"),
)


def python(*args: str) -> str:
    done = subprocess.run([sys.executable, *args], capture_output=True, text=True, check=True)
    return done.stdout


def test_the_module_is_the_program() -> None:
    assert python("-m", "picie", "--version") == f"picie {picie.__version__}\n"


def test_help_and_its_modules_come_without_torch() -> None:
    code = (
        "import sys, picie.cli.app\n"
        "try: picie.cli.app.main(['train', '--help'])\n"
        "except SystemExit as end: assert end.code == 0\n"
        "sys.exit('torch' in sys.modules)"
    )
    assert "--clusters" in python("-c", code)


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--version"])
    assert capsys.readouterr().out == f"picie {picie.__version__}\n"


@pytest.mark.parametrize(("args", "code"), [([], 2), (["help"], 0), (["-h"], 0), (["--help"], 0)])
def test_the_overview(args: list[str], code: int, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(args)
    assert caught.value.code == code
    text = capsys.readouterr().out
    assert all(f"picie {verb}" in text for verb in VERBS)
    assert max(map(len, text.splitlines())) < 80  # a terminal of 80 columns breaks no line


@pytest.mark.parametrize(
    ("verb", "names"),
    [
        ("train", ["PHOTOS", "--out", "--clusters", "--preset", "--resume", "--overwrite"]),
        ("train", ["--seed", "--epochs", "--config", "--size", "--help-all"]),
        ("predict", ["RUN", "PHOTOS", "--out", "--overlay", "--overwrite", "--batch-size"]),
        ("name", ["RUN", "--set", "--unset", "--clear", "--colour", "--clusters", "--from"]),
        (
            "name",
            ["--split", "--min-pixels", "--overwrite", "--list", "--init", "--undo", "--redo"],
        ),
        ("evaluate", ["RUN", "DATA", "--split", "--crop", "--match", "--fresh-clusters", "--json"]),
        ("evaluate", ["--bootstrap", "--probe", "--probe-split", "--confusion", "--seed"]),
        ("export", ["RUN", "--format", "--model", "--images", "--photos", "--polygons", "--out"]),
        ("bench", ["SUITE.toml", "--out", "--data", "--only", "--list", "--skip-missing"]),
        ("bench", ["--overwrite", "--quiet"]),
        ("info", ["RUN"]),
        ("studio", ["[RUN]", "PHOTOS", "--out", "--split", "--port", "--host", "--no-browser"]),
        ("demo", ["--out", "--seed", "--overwrite"]),
    ],
)
def test_help_of_a_verb(verb: str, names: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([verb, "-h" if verb in ("info", "predict") else "--help"])
    assert caught.value.code == 0
    text = capsys.readouterr().out
    assert f"usage: picie {verb}" in text
    assert [name for name in names if name not in text] == []


def test_the_help_of_train_shows_what_people_choose_first(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dozen flags on one screen; all of them, by group, with --help-all."""
    monkeypatch.setenv("COLUMNS", "80")
    shown = {}
    for flag in ("--help", "--help-all"):
        with pytest.raises(SystemExit) as caught:
            main(["train", flag])
        assert caught.value.code == 0
        shown[flag] = capsys.readouterr().out
    short = set(re.findall(r"^[│ ]*(--[a-z][a-z-]*)", shown["--help"], re.MULTILINE))
    assert short == {
        *("--out", "--preset", "--config", "--resume", "--overwrite", "--clusters", "--epochs"),
        *("--size", "--base-size", "--backbone", "--seed", "--device"),
    }
    assert "picie train --help-all describes all 51 settings" in shown["--help"]
    lines = shown["--help"].splitlines()
    assert len(lines) <= 24  # the smallest of screens, with the prompt
    assert max(map(len, lines)) < 80
    every = set(re.findall(r"(--[a-z][a-z-]+)", shown["--help-all"]))
    names = [*Config.model_fields, *Reading.__annotations__]  # a table, whose keys are flags
    flags = {f"--{name.replace('_', '-')}" for name in names if name not in ("data", "reading")}
    assert flags <= every
    for group in GROUPS:
        assert f"\n{group}: " in shown["--help-all"]
    assert "PHOTOS" in shown["--help-all"]


@pytest.mark.parametrize("flag", ["--brightness", "--no-cross-view", "--label-rule=l2"])
def test_a_flag_of_an_earlier_version_names_its_successor(failure: Failure, flag: str) -> None:
    code, text = failure("train", "photos", "--out", "run", flag)
    assert code == 2
    assert f"{flag.partition('=')[0]} is no longer a setting; use " in text


def test_every_setting_is_in_one_group() -> None:
    names = [*FIRST, *(name for group in GROUPS.values() for name in group)]
    assert sorted(names) == sorted(set(Config.model_fields) - {"data"})


@pytest.mark.parametrize(
    ("verb", "message"),
    [
        ("tran", "unknown verb 'tran'; did you mean 'train'?"),
        ("evaulate", "did you mean 'evaluate'?"),
        ("PREDICT", "unknown verb 'PREDICT'; did you mean 'predict'?"),
        (
            "xyz",
            "unknown verb 'xyz'; known: train, predict, studio, name, queue, teach, audit, report, "
            "evaluate, export, ",
        ),
    ],
)
def test_unknown_verbs(failure: Failure, verb: str, message: str) -> None:
    code, text = failure(verb, "photos")
    assert code == 2
    assert message in text


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--clusters", "1"], "--clusters 1: give a whole number from 2 to 4096"),
        (["--size", "33"], "--size 33: give a multiple of 32 from 32 to 8192"),
        (["--preset", "refrence"], "unknown preset 'refrence'; did you mean 'reference'?"),
        (["--preset=x"], "unknown preset 'x'; known: default, best, reference, paper"),
        (["--backbone", "resnet1"], "backbone 'resnet1': timm knows no such model; did you mean"),
        (["--no-unit-features"], "cosine similarity divides features by their length: set"),
        (["--config", "gone.toml"], "gone.toml: cannot be read"),
        (["--config", "gone.toml", "--preset", "paper"], "give --preset or --config, not both"),
        (["--device", "toaster"], "device 'toaster' cannot be used"),
    ],
)
def test_settings_that_cannot_be_used(
    failure: Failure, scenes: Path, tmp_path: Path, args: list[str], message: str
) -> None:
    code, text = failure("train", scenes, "--out", tmp_path / "run", "--no-pretrained", *args)
    assert code == 2
    assert message in text
    assert not (tmp_path / "run").exists()


def test_keys_of_a_config_file_that_are_not_known(
    failure: Failure, scenes: Path, tmp_path: Path
) -> None:
    file = tmp_path / "mine.toml"
    args = ("train", scenes, "--out", tmp_path / "run", "--config", file)
    for content, message in (
        ("clustrs = 3", "mine.toml: unknown setting 'clustrs'; did you mean 'clusters'?"),
        ("clusters = 1", "mine.toml: clusters = 1"),
        ("clusters =", "mine.toml: is not valid TOML"),
        ('preset = "papre"', "mine.toml: unknown preset 'papre'; did you mean 'paper'?"),
    ):
        file.write_text(content)
        code, text = failure(*args)
        assert code == 2
        assert message in text


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ("train p --clustrs 3", "unknown option --clustrs; did you mean --clusters? picie train"),
        ("train p --cluster=3", "unknown option --cluster; did you mean --clusters?"),
        ("train p --clusters many", "--clusters many: give a whole number from 2 to 4096"),
        ("train p --clusters", "--clusters needs a whole number from 2 to 4096"),
        ("train p --objective picee", "--objective picee: did you mean 'picie'? Known: picie, "),
        ("train p --stretch 5", "--stretch needs two finite numbers, the smaller one first, not 1"),
        ("train p --bands 1,2", "--bands 1 2: give three bands (red, green, blue) or one, counted"),
        ("train p q", "unexpected 'q': picie train takes PHOTOS; put a path with spaces in quotes"),
        ("train --resume", "--resume needs a path (RUN)"),
        (
            "predict run",
            "picie predict needs PHOTOS and --out PATH; picie predict --help describes them",
        ),
        ("studio --port 8000", "picie studio needs PHOTOS; picie studio --help describes it"),
        ("predict r p --out m --batch_sise 3", "did you mean --batch-size?"),
        ("predict r p --out m --quiet=yes", "--quiet takes no value; remove 'yes'"),
        ("predict r p --out m --scales a", "--scales a: give one to 16 numbers from 0.25 to 4"),
        ("predict r p -x m", "unknown option -x; picie predict --help shows all options"),
        ("predict r p -o m", "unknown option -o; did you mean --out? picie predict --help"),
        ("predict r p --OUT m", "unknown option --OUT; did you mean --out?"),
        ("predict r p —out m", "unknown option —out; did you mean --out?"),
        ("predict r p -1 --out m", "unexpected '-1': picie predict takes RUN and PHOTOS"),
        ("train —out r p", "unknown option —out; did you mean --out?"),
        ("predict r p --out=", "--out '': give a path (PATH)"),
        ("predict r p --out m --batch-size 0", "--batch-size 0: give 1 to 65536"),
        ("predict r p --out m --workers 9999", "--workers 9999: give a whole number from -1 to"),
        ("train p --out r --clusters None", "--clusters None: give a whole number from 2 to 4096"),
        ("train p --out r --pages None", "--pages None: known: first, all"),
        ("completion ZSH", "SHELL ZSH: did you mean 'zsh'? Known: bash, zsh, fish"),
        ("export r --out y --format coc", "--format coc: did you mean 'coco'? Known: png, coco, "),
        ("evaluate run data --crop centre", "--crop centre: did you mean 'center'? Known: center"),
        ("info", "picie info --help"),
        ("demo --seed x", "--seed x: give a whole number from 0 to"),
        ("predict r p --out m --scales 9", "--scales 9: give one to 16 numbers from 0.25 to 4"),
        ("predict r p --out m --refine -1", "--refine -1: give a whole number from 0 to 1000"),
        ("predict r p --out m --max-pixels 0", "--max-pixels 0: give a whole number from 1 to"),
        ("completion tcsh", "SHELL tcsh: known: bash, zsh, fish"),
    ],
)
def test_wrong_usage(failure: Failure, args: str, message: str) -> None:
    code, text = failure(*args.split())
    assert code == 2
    assert message in text
    assert text.count("\n") == 1


def test_images_and_run_are_asked_for(failure: Failure, scenes: Path) -> None:
    assert failure("train") == (2, failure("train", "--out", "run")[1])
    assert "which images? Give a folder: picie train PHOTOS --out" in failure("train")[1]
    assert "which run folder? Give one: picie train PHOTOS --out" in failure("train", scenes)[1]


def test_folders_that_cannot_be_used(failure: Failure, tmp_path: Path, flags: Flags) -> None:
    out = tmp_path / "run"
    values = [flag for flag in flags("default") if not flag.startswith("--split")]
    for name, content in (("empty", None), ("text", "a.txt"), ("broken", "a.jpg")):
        (tmp_path / name).mkdir()
        if content:
            (tmp_path / name / content).write_text("no image")
    for name, message in (
        ("gone", "gone: does not exist; check the path"),
        ("empty", "empty: no images (0 files); supported: .jpg"),
        ("text", "text: no images (1 file, first: a.txt); supported: .jpg"),
    ):
        code, text = failure("train", tmp_path / name, "--out", out, *values)
        assert (code, out.exists()) == (1, False)
        assert message in text
    code, text = failure("train", tmp_path / "broken", "--out", out, *values)
    assert (code, out.exists()) == (1, False)
    assert "none of the 1 images can be read" in text


def test_more_clusters_than_pixels(
    failure: Failure, scenes: Path, tmp_path: Path, flags: Flags
) -> None:
    args = ["train", scenes, "--out", tmp_path / "run", *flags("default")]
    code, text = failure(*args, "--kmeans-pixels", 1)
    assert code == 1
    assert "6 sampled pixels are too few for 8 centroids; use fewer --clusters, more" in text


@pytest.mark.parametrize("verb", ["predict", "evaluate", "info", "train --resume"])
def test_runs_that_cannot_be_used(
    failure: Failure, runs: dict[str, Path], scenes: Path, tmp_path: Path, verb: str
) -> None:
    extras: dict[str, list[object]] = {
        "predict": [scenes, "--out", tmp_path / "masks"],
        "evaluate": [scenes],
    }
    extra = extras.get(verb, [])
    code, text = failure(*verb.split(), tmp_path / "gone", *extra)
    assert code == 1
    assert "gone: no such folder; give" in text
    newer = tmp_path / "newer"
    shutil.copytree(runs["default"], newer)
    for name in ("config.json", "run.json"):
        values = json.loads((newer / name).read_text())
        (newer / name).write_text(json.dumps(values | {"format": 99}))
    code, text = failure(*verb.split(), newer, *extra)
    assert code == 1
    assert "was written by a newer picie (format 99" in text
    assert "upgrade picie" in text
    code, text = failure(*verb.split(), scenes, *extra)
    assert code == 1
    assert "train" in text


def test_labels_that_cannot_be_used(
    failure: Failure, runs: dict[str, Path], scenes: Path, tmp_path: Path
) -> None:
    args = ["evaluate", runs["default"], tmp_path / "data", "--quiet"]
    shutil.copytree(scenes, tmp_path / "data")
    (tmp_path / "data" / "classes.txt").write_text("sky\n")
    code, text = failure(*args)
    assert code == 1
    assert "but classes.txt lists 1 classes (ids from 0; 255 = void); correct the mask or" in text
    mask = tmp_path / "data" / "masks" / "scene_0000.png"
    Image.fromarray(np.zeros((9, 9), np.uint8)).save(mask)
    code, text = failure(*args)
    assert code == 1
    assert "scene_0000.png: is 9 x 9 pixels, but its image 64 x 48; make the sizes equal" in text
    shutil.rmtree(tmp_path / "data" / "masks")
    assert "labels are needed; expected images/<name>.jpg" in failure(*args)[1]


def test_verbose_shows_the_traceback(tmp_path: Path, scenes: Path) -> None:
    for flag in ("-v", "--verbose"):
        with pytest.raises(DataError):
            main(["train", str(tmp_path / "gone"), "--out", str(tmp_path / "run"), flag])
        with pytest.raises(ConfigError):
            main([flag, "tran"])


def test_what_nobody_thought_of_is_one_line_too(
    failure: Failure, runs: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr("picie.runs.Run.open", broken)
    code, text = failure("info", runs["default"])
    assert code == 1
    assert "unexpected ZeroDivisionError: division by zero" in text
    assert "--verbose" in text
    with pytest.raises(ZeroDivisionError):
        main(["info", str(runs["default"]), "--verbose"])


def test_a_path_that_no_file_system_takes_is_no_surprise(failure: Failure, tmp_path: Path) -> None:
    code, text = failure("train", tmp_path / ("x" * 300), "--out", tmp_path / "run")
    assert code in (1, 2)
    assert "unexpected" not in text
    assert "give a" in text


def test_a_full_disk_behind_standard_output_is_no_surprise() -> None:
    code = "from picie.cli.app import main; main(['completion', 'bash'])"
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-u", "-c", code], stdout=full, stderr=subprocess.PIPE, check=False
        )
    assert (done.returncode, done.stderr.count(b"\n")) == (1, 1)
    assert b"the disk is full" in done.stderr


def test_closed_output_is_no_surprise() -> None:
    code = "from picie.cli.app import main; main(['--version'])"
    command = f"{shlex.quote(sys.executable)} -c {shlex.quote(code)} >&-"
    done = subprocess.run(["sh", "-c", command], stderr=subprocess.PIPE, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


def test_help_of_a_verb_in_the_way_of_other_programs(capsys: pytest.CaptureFixture[str]) -> None:
    for args in (["help", "info"], ["info", "--help"]):
        with pytest.raises(SystemExit) as caught:
            main(args)
        assert caught.value.code == 0
        assert capsys.readouterr().out.startswith("usage: picie info ")


# --- flags of `train`: where their defaults come from, and which of them win


BASE = ["photos", "--out", "run"]


def settings(*flags: str) -> Config:
    return parse_train([*BASE, *flags])[1]


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_sets_the_defaults(preset: str) -> None:
    assert settings("--preset", preset) == make_config(preset, data="photos")
    assert settings(f"--preset={preset}") == make_config(preset, data="photos")


def test_no_flag_is_the_default_preset() -> None:
    options, config = parse_train(BASE)
    assert config == make_config(data="photos")
    assert (options.data, options.out) == (Path("photos"), Path("run"))
    assert (options.overwrite, options.quiet) == (False, False)


def test_flags_override_the_preset_wherever_they_stand() -> None:
    expected = make_config("reference", data="photos", size=64, unit_features=False)
    flags = ["--size", "64", "--no-unit-features"]
    assert settings(*flags, "--preset", "reference") == expected
    assert settings("--preset=reference", *flags) == expected


def test_every_setting_is_a_flag() -> None:
    changes: dict[str, Any] = {
        "clusters": 5,
        "seed": 3,
        "epochs": 0,
        "backbone": "resnet18",
        "temperature": 0.5,
        "balance": "inverse",
        "split": "val",
        "kmeans_init": "pca",
    }
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in changes.items()]
    assert settings(*flags) == make_config(data="photos", **changes)
    assert settings("--no-pretrained", "--no-unit-features", "--similarity=l2", "--compile") == (
        make_config(
            data="photos", pretrained=False, unit_features=False, similarity="l2", compile=True
        )
    )
    assert settings("--objective=iic", "--unit-features").unit_features


def test_flags_override_the_config_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('preset = "reference"\nclusters = 5\nsize = 96\ndata = "there"\n')
    made = make_config("reference", clusters=5, size=64, data="photos")
    assert settings("--config", str(file), "--size", "64") == made
    _, config = parse_train(["--out", "run", f"--config={file}"])
    assert (config.data, config.size, config.balance) == ("there", 96, "frequency")


def test_a_value_is_no_flag() -> None:
    assert parse_train(["photos", "--out", "preset"])[1] == make_config(data="photos")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    config = make_config("reference", data="/photos", clusters=5, device="cpu", workers=3)
    return Run.create(tmp_path / "run", config, version="0").folder


def test_a_resumed_run_has_its_own_settings(run: Path) -> None:
    options, config = parse_train(["--resume", str(run), "--quiet"])
    assert options.resume == run
    assert options.quiet
    assert config == Run.open(run).config
    machine = parse_train([f"--resume={run}", "--device", "cuda", "--workers", "0"])[1]
    assert machine == config.model_copy(update={"device": "cuda", "workers": 0})


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (["--epochs", "3"], "remove --epochs, or"),
        (["--learning-rate=1", "--seed", "1"], "remove --seed, --learning-rate, or"),
        (["other"], "remove PHOTOS, or"),
        (["--out", "there"], "remove --out, or"),
        (["--overwrite"], "remove --overwrite, or"),
        (["--preset", "paper"], "remove --preset, --config"),
        (["--config", "mine.toml"], "remove --preset, --config"),
    ],
)
def test_a_resumed_run_takes_no_other_settings(run: Path, flags: list[str], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        parse_train([*flags, "--resume", str(run)])


def test_changes_are_accepted_by_resumed_runs_only(run: Path) -> None:
    assert parse_train(["--resume", str(run), "--accept-changes"])[0].accept_changes
    with pytest.raises(ConfigError, match="--accept-changes needs --resume RUN; remove it"):
        parse_train([*BASE, "--accept-changes"])


def test_defaults_of_predict() -> None:
    options = parse(Predict, ["run", "photo.jpg", "--out", "masks"])
    assert options == Predict(Path("run"), Path("photo.jpg"), Path("masks"))
    assert (options.overlay, options.overwrite) == (False, False)


def test_an_objective_sets_defaults_as_a_preset_does(tmp_path: Path) -> None:
    assert settings("--objective", "frozen") == make_config(data="photos", objective="frozen")
    flags = ["--preset=reference", "--objective=mdc"]
    assert settings(*flags) == make_config("reference", data="photos", objective="mdc")
    own = make_config("reference", data="photos", objective="mdc", final_centroids="trained")
    assert settings(*flags, "--final-centroids=trained") == own
    file = tmp_path / "own.toml"
    file.write_text("clusters = 5\n")
    found = settings("--config", str(file), "--objective", "iic")
    assert found == make_config(data="photos", clusters=5, objective="iic")


def test_a_backbone_sets_defaults_as_a_preset_does(tmp_path: Path) -> None:
    flag, small = "--backbone", "vit_small_patch14_dinov2.lvd142m"
    assert settings(flag, small) == make_config(data="photos", backbone=small)
    assert settings(f"{flag}={small}").size == 448
    assert settings("--size=224", flag, small).size == 224
    best = make_config("best", data="photos", backbone=small)
    assert settings("--preset=best", flag, small) == best
    file = tmp_path / "own.toml"
    file.write_text("clusters = 5\nsize = 224\n")
    found = settings("--config", str(file), flag, small)
    assert found == make_config(data="photos", clusters=5, size=224, backbone=small)


# --- what is left out of a folder


@pytest.fixture
def album(scenes: Path, tmp_path: Path) -> Path:
    """Labelled images, and much else."""
    album = shutil.copytree(scenes, tmp_path / "album")
    images = album / "images"
    for name in ("a.heic.NEF", "b.jxl", "notes.txt"):
        (images / name).write_bytes(b"")
    (images / "run").mkdir()
    (images / "run" / "run.json").write_text('{"format": 1, "picie": "0.2"}')
    (images / "album").symlink_to(images / "album")
    (album / "beside.jpg").write_bytes(b"")
    return album


@pytest.mark.parametrize("verb", ["train", "predict", "evaluate", "report", "export", "name"])
def test_every_verb_says_what_it_left_out(
    verb: str,
    album: Path,
    runs: dict[str, Path],
    flags: Flags,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = shutil.copytree(runs["default"], tmp_path / "run")
    out = str(tmp_path / ("out.html" if verb == "report" else "out"))
    loud = [flag for flag in flags("default") if flag != "--quiet"]
    args = {
        "train": [album, "--out", out, *loud, "--epochs", "0"],
        "predict": [run, album, "--out", out],
        "evaluate": [run, album, "--split", "val"],
        "report": [run, album, "--out", out],
        "export": [run, "--format", "png", "--images", album, "--out", out],
        "name": [run, "--from", album, "--split", "val"],
    }
    main([verb, *map(str, args[verb])])
    said = capsys.readouterr().err
    for note in (
        "left out run/: written by picie train",
        "left out 1 .jxl, 1 .nef: picie does not read them; convert to JPEG, PNG or TIFF",
        "left out, because they are links that lead nowhere: album",
        "only images/ is read; 1 image beside it is not: beside.jpg",
    ):
        assert said.count(note) == 1, note


HOSTILE = "a\x1b[31m\u202e\nb\udcff é日"
ESCAPED = r"a\x1b[31m\u202e\nb\udcff é日"


def test_an_error_cannot_command_the_terminal(failure: Failure, tmp_path: Path) -> None:
    for args in (("info", tmp_path / HOSTILE), ("predict", tmp_path / HOSTILE, "x", "--out=y")):
        _, text = failure(*args)
        assert ESCAPED in text
        assert text.rstrip("\n").isprintable()


def test_a_tree_is_drawn_on_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / HOSTILE).mkdir()
    with pytest.raises(SystemExit):
        main(["train", str(tmp_path), "--dataset=camvid11", f"--out={tmp_path / 'out'}"])
    lines = capsys.readouterr().err.rstrip("\n").split("\n")
    assert ": camvid11: the images are not in the expected folders; " in lines[0]
    assert lines[1:3] == ["expected:", "  {train,val,test}/<frame>.png"]
    assert lines[-2:] == ["found:", f"  {ESCAPED}/"]
    assert all(line.isprintable() for line in lines)


def test_an_unexpected_error_cannot_either(
    failure: Failure, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fail(options: object) -> None:
        raise ZeroDivisionError(f"{HOSTILE.strip()}\nsecond line")

    monkeypatch.setattr("picie.cli.info.run", fail)
    _, text = failure("info", tmp_path)
    assert "unexpected ZeroDivisionError: a" in text
    assert text.rstrip("\n").isprintable()


def test_broken_photos_with_hostile_names_are_escaped_everywhere(
    scenes: Path, runs: dict[str, Path], tmp_path: Path, flags: Flags,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    photos = tmp_path / HOSTILE
    photos.mkdir()
    for number in range(3):
        shutil.copy(scenes / f"images/scene_000{number}.jpg", photos / f"{number} {HOSTILE}.jpg")
    (photos / f"{HOSTILE}.png").write_text("no image")
    main(["predict", str(runs["default"]), str(photos), "--out", str(tmp_path / "out")])
    values = [flag for flag in flags("default") if not flag.startswith(("--split", "--quiet"))]
    photos = photos.rename(tmp_path / "ph\u202eotos \x1b[31m")  # settings hold text only
    main(["train", str(photos), "--out", str(tmp_path / "run"), *values])
    main(["info", str(tmp_path / "run")])
    said = "".join(capsys.readouterr())
    for text in (said, (tmp_path / "run/train.log").read_text(encoding="utf-8")):
        assert ESCAPED in text
        assert all(line.isprintable() for line in text.split("\n"))


def test_a_folder_whose_name_is_not_text_is_refused_by_train(
    failure: Failure, tmp_path: Path
) -> None:
    folder = tmp_path / "ph\udcffotos"
    folder.mkdir()
    (tmp_path / "link").symlink_to(folder)
    for data in (folder, tmp_path / "link"):
        code, text = failure("train", data, "--out", tmp_path / "run")
        assert code == 2
        assert "is not valid UTF-8; rename it" in text
    assert not (tmp_path / "run").exists()


def test_output_never_fails_on_a_character(tmp_path: Path) -> None:
    (tmp_path / "ü日").mkdir()
    code = "import sys; from picie.cli.app import main; main(['info', sys.argv[1]])"
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "ü日")],
        capture_output=True, check=False, env={"PYTHONIOENCODING": "ascii:strict"},
    )  # fmt: skip
    assert done.returncode == 1
    assert rb"\xfc\u65e5" in done.stderr
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ("studio s3://b/x", "s3://b/x: picie studio reads local folders; copy the files first"),
        ("report run s3://b/x --out a.html", "picie report reads local folders"),
        ("name run --from gs://b/x", "gs://b/x: picie name reads local folders"),
        ("predict s3://b/run x --out y", "s3://b/run: picie predict reads local folders"),
        ("train x --out s3://b/run", "s3://b/run: picie train writes --out on this machine"),
        ("evaluate run x --json s3://b/a", "s3://b/a: picie evaluate writes --json on this mach"),
        ("info file:///run", "file:/run: give the path alone, without file://"),
        ("train s4://b/x --out y", "s4://b/x: there is no storage s4://; known are s3://"),
    ],
)
def test_addresses_are_refused_where_files_must_be_local(
    failure: Callable[..., tuple[int, str]], args: str, message: str
) -> None:
    code, text = failure(*args.split())
    assert code == 2
    assert message in text


def test_addresses_reach_the_commands(tmp_path: Path) -> None:
    options = parse(Predict, ["run", "s3://b//x y", "--out", "memory://m"])
    assert (options.source, options.out) == ("s3://b//x y", "memory://m")
    assert parse(Predict, ["run", f"file://{tmp_path}", "--out", "a"]).source == tmp_path
    assert parse_train(["s3://b/photos", "--out=run"])[1].data == "s3://b/photos"
