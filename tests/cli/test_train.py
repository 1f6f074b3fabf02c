"""`picie train`: what reaches the run folder."""

import io
import json
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from picie.cli.app import main
from picie.cli.parsing import VERBS
from picie.cli.train import ask_clusters, next_lines, size_hint
from picie.config import make_config, read_config
from picie.data.datasets.registry import DATASETS
from picie.inference.segmenter import load


def test_flags_and_preset_reach_the_run(scenes: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    sizes = "--size 64 --base-size 64 --epochs 0 --clusters 3 --batch-size 4 --feature-size 8"
    machine = "--backbone test_efficientnet --no-pretrained --device cpu --workers 0 --quiet"
    named = ["--out", str(out), "--preset", "reference", "--split", "val"]
    main(["train", str(scenes), *named, *sizes.split(), *machine.split()])
    config = read_config(out / "config.toml")
    assert (config.balance, config.size, config.clusters) == ("frequency", 64, 3)
    assert (config.data, config.split) == (str(scenes), "val")
    assert (out / "model.safetensors").exists()


def test_the_command_line_and_the_function_train_the_same(
    scenes: Path,
    flags: Callable[[str], list[str]],
    runs: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(scenes.parent)  # a path may be relative; the run keeps it whole
    main(["train", scenes.name, "--out", str(tmp_path / "run"), *flags("default")])
    weights = (tmp_path / "run" / "model.safetensors").read_bytes()
    assert weights == (runs["default"] / "model.safetensors").read_bytes()
    assert Path(read_config(tmp_path / "run" / "config.toml").data) == scenes


def test_a_run_is_replaced_only_if_asked(
    scenes: Path,
    flags: Callable[[str], list[str]],
    failure: Callable[..., tuple[int, str]],
    tmp_path: Path,
) -> None:
    args = ["train", str(scenes), "--out", str(tmp_path / "run"), *flags("default"), "--epochs=0"]
    main(args)
    code, text = failure(*args)
    assert code == 2
    assert "already holds a run; choose another --out" in text
    main([*args, "--overwrite"])


def test_no_input_is_replaced(
    failure: Callable[..., tuple[int, str]], runs: dict[str, Path], scenes: Path, tmp_path: Path
) -> None:
    run, photos = tmp_path / "run", tmp_path / "run" / "tensorboard" / "photos"
    shutil.copytree(runs["default"], run)
    photos.mkdir(parents=True)
    Image.new("RGB", (80, 64)).save(photos / "a.jpg")
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    (tmp_path / "link.toml").symlink_to(run / "config.toml")
    weights = run / "model.safetensors"
    for given in (
        [photos],
        [scenes, "--config", run / "config.toml"],
        [scenes, "--config", tmp_path / "link.toml"],
        [scenes, "--backbone-weights", weights, "--no-pretrained"],
    ):
        code, text = failure("train", *given, "--out", run, "--overwrite", "--quiet")
        assert code == 2
        assert "this command reads" in text
        assert {path: path.read_bytes() for path in before} == before


def test_progress_is_said_unless_quiet(
    scenes: Path,
    flags: Callable[[str], list[str]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    args = ["train", str(scenes), *flags("default"), "--epochs=1"]
    main([*args, "--out", str(tmp_path / "quiet")])
    captured = capsys.readouterr()
    assert captured.out + captured.err == ""
    loud = [arg for arg in args if arg != "--quiet"]
    main([*loud, "--out", str(tmp_path / "loud")])
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "6 images, 3 clusters, test_efficientnet on cpu" in captured.err
    assert "epoch 1/1: loss" in captured.err
    said = ["clustering for the last time", "comparing with the network before training"]
    places = [captured.err.index(line) for line in (*said, "checking the result")]
    assert places == sorted(places)
    main(["train", "--resume", str(tmp_path / "loud"), "--workers", "0"])
    assert "loud: is finished (1 epochs); nothing to resume" in capsys.readouterr().err
    (tmp_path / "loud" / "config.json").unlink()
    main(["train", "--resume", str(tmp_path / "loud"), "--workers", "0"])
    assert "resuming" in capsys.readouterr().err


@pytest.fixture
def camvid(scenes: Path, tmp_path: Path) -> Path:
    """The scenes in the tree of a known data set; their three ids are three of its classes."""
    for split in ("train", "val"):
        for name in (scenes / f"{split}.txt").read_text().split():
            for folder, kind, ending in (("", "images", "jpg"), ("annot", "masks", "png")):
                path = tmp_path / "camvid" / f"{split}{folder}" / f"{name}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                with Image.open(scenes / kind / f"{name}.{ending}") as image:
                    image.save(path)
    return tmp_path / "camvid"


def test_a_known_data_set_is_trained_on_and_scored(
    camvid: Path, flags: Callable[[str], list[str]], tmp_path: Path
) -> None:
    out, named = str(tmp_path / "run"), ["--dataset", "camvid11"]
    args = [*flags("default"), "--epochs=1", "--eval-split=val"]
    main(["train", str(camvid), "--out", out, *args, *named])
    config = read_config(tmp_path / "run" / "config.toml")
    assert (config.dataset, config.split) == ("camvid11", "train")
    [record] = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    score = json.loads(record)["miou"]
    file = tmp_path / "scores.json"
    for extra in ([], ["--fresh-clusters=1"]):
        also = ["--split=val", "--size=32", f"--json={file}", "--quiet", *extra]
        main(["evaluate", out, str(camvid), *named, *also])
        found = json.loads(file.read_text())
        assert found["miou"] == pytest.approx(score, abs=1e-6)
        assert len(found["classes"]) == 11
        assert (found["protocol"]["dataset"], found["protocol"]["images"]) == ("camvid11", 3)
    main(["train", "--resume", out, "--quiet"])


def test_a_known_data_set_is_checked_before_the_run_begins(
    camvid: Path,
    flags: Callable[[str], list[str]],
    failure: Callable[..., tuple[int, str]],
    tmp_path: Path,
) -> None:
    args = ["train", str(camvid), "--out", str(tmp_path / "run"), *flags("default")]
    code, text = failure(*args, "--dataset=camvid")
    assert code == 2
    assert "unknown data set 'camvid'; did you mean 'camvid11'?" in text
    code, text = failure(*args, "--dataset=camvid11", "--split=trainn")
    assert code == 2
    assert "camvid11: unknown split 'trainn'; did you mean 'train'?" in text
    code, text = failure(*args, "--dataset=camvid11", "--eval-split=vall")
    assert "camvid11: unknown split 'vall'" in text
    assert not (tmp_path / "run").exists()


def test_help_lists_the_known_data_sets(capsys: pytest.CaptureFixture[str]) -> None:
    for verb, flag in (("train", "--help-all"), ("evaluate", "--help")):
        with pytest.raises(SystemExit):
            main([verb, flag])
        text = capsys.readouterr().out
        assert [name for name in DATASETS if name not in text] == []


# --- how many clusters, and what to do next


class Terminal(io.StringIO):
    """What a person types, or sees."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def bare(scenes: Path, flags: Callable[[str], list[str]], tmp_path: Path) -> list[str]:
    """A quick training without --clusters."""
    given = [flag for flag in flags("default") if not flag.startswith(("--quiet", "--clusters"))]
    photos = tmp_path / "my photos"
    photos.symlink_to(scenes)
    return ["train", str(photos), "--out", str(tmp_path / "my run"), *given, "--epochs=0"]


def told(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().err


def test_the_end_of_training_says_what_to_do_next(
    bare: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main([*bare, "--clusters=3"])
    before, _, after = told(capsys).partition("done in")
    assert before.splitlines()[-2:] == ["clustering", "checking the result, without labels"]
    end = [line for line in after.splitlines()[1:] if not line.startswith("  w")]
    run, photos = f"'{tmp_path / 'my run'}'", f"'{tmp_path / 'my photos'}'"
    assert end[0].endswith("to look at:") or end[0].startswith("No warnings: two views of a photo ")
    assert end[1:] == [
        f"3 clusters; any number from 2 to 8 without training: picie name {run} --clusters K",
        f"model: {tmp_path / 'my run' / 'model.safetensors'}; numbers: picie info {run}",
        f"next:  picie studio {run} {photos} --split train",
        f"or:    picie report {run} {photos} --split train --out '{tmp_path}/my run/report.html'",
    ]
    log = (tmp_path / "my run" / "train.log").read_text()
    assert "health (no labels used)" in log
    assert "tree of the centroids" in log
    assert "tree of the centroids" not in before + after
    for line in end[3:]:  # what is said can be run
        verb, *args = shlex.split(line.partition("picie ")[2])
        if verb == "report":
            main([verb, *args, "--quiet"])
        else:
            VERBS[verb](args)
    main(["name", str(tmp_path / "my run"), "--clusters", "5", "--quiet"])
    assert load(tmp_path / "my run").clusters == 5


def test_without_a_terminal_the_default_is_taken_and_told(
    bare: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    main(bare)
    assert "27 clusters, the default, as --clusters was not given; any number from" in told(capsys)


def test_a_person_is_asked(
    bare: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", Terminal("many\n1\n4\n"))
    monkeypatch.setattr("sys.stdout", screen := Terminal())
    main(bare)
    assert read_config(tmp_path / "my run" / "config.toml").clusters == 4
    shown = screen.getvalue()
    assert shown.count("You can change this later, without training. [24] ") == 3
    assert shown.count("give a whole number from 2 to 4096\n") == 2


@pytest.mark.parametrize(("typed", "clusters"), [("\n", 24), ("", None)])
def test_no_number_is_the_suggested_one_and_no_answer_none(
    typed: str, clusters: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", Terminal(typed))
    monkeypatch.setattr("sys.stdout", Terminal())
    assert ask_clusters() == clusters
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setattr("sys.stdin", Terminal("5\n"))
    assert ask_clusters() is None


@pytest.mark.parametrize(
    ("more", "chosen"),
    [
        ([], False),
        (["--preset", "best"], False),
        (["--clusters", "27"], True),
        (["--clusters=27"], True),
        (["--preset=paper"], True),
        (["--preset", "reference"], True),
        (["--config", "own.toml"], True),
    ],
)
def test_nobody_is_asked_where_the_number_is_fixed(
    more: list[str], chosen: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("own.toml").touch()
    assert VERBS["train"](["photos", "--out", "run", *more])[2] is chosen


def test_nobody_is_asked_before_a_mistake(
    bare: list[str], failure: Callable[..., tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", Terminal("5\n"))
    monkeypatch.setattr("sys.stdout", screen := Terminal())
    assert "does not exist" in failure("train", "gone", *bare[2:])[1]
    assert screen.getvalue() == ""


def test_photos_larger_than_the_view_are_told(tmp_path: Path) -> None:
    for number, size in enumerate([(640, 480), (480, 700), (100, 90), (20, 600)]):
        Image.new("RGB", size).save(tmp_path / f"{number}.png")
    (tmp_path / "broken.png").write_bytes(b"no image")
    one = tmp_path / "0.png"
    assert size_hint(make_config(data=str(one))) == (
        "photos have 480 px on the short side, the network saw 320: if small things matter, train "
        "with --size 480 --base-size 480 (about 2 times the time)"
    )
    assert size_hint(make_config(data=str(tmp_path))) == ""  # most are small
    for settings in ({"size": 352}, {"base_size": 480}, {"dataset": "camvid11"}):
        assert size_hint(make_config(data=str(one), **settings)) == ""
    assert size_hint(make_config(data="s3://b/photos")) == ""
    assert size_hint(make_config(data=str(tmp_path / "gone"))) == ""
    Image.new("RGB", (3000, 450)).save(one)
    assert "--size 448 --base-size 448" in size_hint(make_config(data=str(one)))


def test_what_is_next_depends_on_the_images(runs: dict[str, Path]) -> None:
    model, run = load(runs["default"], named=False), Path("run")
    lines = next_lines(model, run, make_config(data="s3://b/photos"))
    assert lines[-1] == "next:  picie predict run s3://b/photos --out masks/ --overlay"
    lines = next_lines(model, run, make_config(data="c", dataset="camvid11"))
    assert lines[-1] == "next:  picie evaluate run c --dataset camvid11"
