"""The run folder: refusals, kills in the middle of a write, and what comes back."""

import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from picie.config import make_config
from picie.errors import ConfigError, ModelError, PicieError
from picie.runs import ANNOTATIONS_FILE, CLASSES_FILE, FORMAT, HISTORY_FOLDER, Run
from picie.runtime.files import remove_parts, write_atomically


def new_run(folder: Path, **settings: Any) -> Run:
    return Run.create(folder, make_config(**settings), version="0.1.0")


def fill(run: Run) -> None:
    run.append_metrics({"epoch": 0, "loss": 1.0})
    run.log_path.write_text("log")
    run.model_path.write_bytes(b"weights")
    run.model_config_path.write_text("{}")
    (run.checkpoint_path / "inner").mkdir(parents=True)
    (run.checkpoint_path / "inner" / "state.bin").write_bytes(b"state")


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_created_run_opens_again(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "first"
    run = new_run(folder, clusters=11, data="photos")
    assert names(folder) == {"run.json", "config.toml"}
    assert json.loads((folder / "run.json").read_text()) == {"format": FORMAT, "picie": "0.1.0"}
    assert Run.open(folder) == run
    assert Run.open(folder).config == make_config(clusters=11, data="photos")
    assert Run.open(folder).version == "0.1.0"


def test_names_of_the_files(tmp_path: Path) -> None:
    run = new_run(tmp_path / "run")
    assert run.model_path == tmp_path / "run" / "model.safetensors"
    assert run.model_config_path == tmp_path / "run" / "config.json"
    assert run.checkpoint_path == tmp_path / "run" / "checkpoint"
    assert run.metrics_path == tmp_path / "run" / "metrics.jsonl"
    assert run.annotations_path == tmp_path / "run" / "annotations.jsonl"
    assert run.annotations_path in run.files
    assert run.log_path == tmp_path / "run" / "train.log"


def test_names_and_annotations_are_set_aside_when_a_run_is_replaced(tmp_path: Path) -> None:
    run = new_run(tmp_path / "run")
    fill(run)
    assert run.names_path.name == CLASSES_FILE
    run.names_path.write_text("mine")
    (run.folder / HISTORY_FOLDER).mkdir()
    (run.folder / HISTORY_FOLDER / "0001.toml").write_text("older")
    run.annotations_path.write_text("strokes")
    Run.create(run.folder, make_config(), version="0.2.0", overwrite=True)
    aside = {"classes.old.toml", "annotations.old.jsonl"}
    assert names(run.folder) == {"run.json", "config.toml", *aside}
    assert (run.folder / "classes.old.toml").read_text() == "mine"
    assert (run.folder / "annotations.old.jsonl").read_text() == "strokes"
    run.annotations_path.write_text("more")
    Run.create(run.folder, make_config(), version="0.2.0", overwrite=True)
    assert (run.folder / "annotations.old.2.jsonl").read_text() == "more"


def test_a_run_is_never_overwritten_unasked(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    fill(new_run(folder))
    before = names(folder)
    with pytest.raises(
        ConfigError,
        match=r"run already holds a run; choose another --out, continue it with --resume .*run, "
        r"or pass --overwrite",
    ):
        new_run(folder)
    assert names(folder) == before


def test_overwrite_removes_what_a_run_wrote_and_nothing_else(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    fill(new_run(folder, clusters=3))
    (folder / "notes.txt").write_text("mine")
    (folder / "masks").mkdir()
    run = Run.create(folder, make_config(clusters=5), version="0.2.0", overwrite=True)
    assert names(folder) == {"run.json", "config.toml", "notes.txt", "masks"}
    assert (Run.open(folder).config.clusters, Run.open(folder).version) == (5, "0.2.0")
    assert run.metrics() == []


def work_of(run: Run) -> dict[str, Path]:
    """Each of these files alone makes a run one that holds work."""
    return {
        "metrics": run.metrics_path,
        "weights": run.model_path,
        "card": run.model_config_path,
        "checkpoint": run.checkpoint_path / "state.safetensors",
        "names": run.names_path,
        "earlier names": run.folder / HISTORY_FOLDER / "0001.toml",
        "annotations": run.annotations_path,
    }


@pytest.mark.parametrize("kind", work_of(Run(Path(), make_config(), "")))
def test_any_work_keeps_a_run_from_being_replaced(tmp_path: Path, kind: str) -> None:
    run = new_run(tmp_path / "run")
    path = work_of(run)[kind]
    path.parent.mkdir(exist_ok=True)
    path.write_text("work")
    with pytest.raises(ConfigError, match="already holds a run"):
        new_run(run.folder)
    assert path.read_text() == "work"


def test_a_run_without_work_is_replaced_unasked(tmp_path: Path) -> None:
    folder = new_run(tmp_path / "run", clusters=3).folder
    (folder / "train.log").write_text("it failed")
    (folder / "notes.txt").write_text("mine")
    assert Run.open(new_run(folder, clusters=5).folder).config.clusters == 5
    assert names(folder) == {"run.json", "config.toml", "notes.txt"}


def test_names_that_were_set_aside_are_never_lost(tmp_path: Path) -> None:
    run = new_run(tmp_path / "run")
    for number in range(3):
        run.names_path.write_text(f"{number}")
        Run.create(run.folder, run.config, version="0", overwrite=True)
    aside = sorted(run.folder.glob("classes.old*"))
    assert [path.name for path in aside] == [
        "classes.old.2.toml",
        "classes.old.3.toml",
        "classes.old.toml",
    ]
    assert [path.read_text() for path in aside] == ["1", "2", "0"]


@pytest.mark.parametrize("again", [False, True])
def test_a_creation_that_is_killed_anywhere_can_be_repeated(
    tmp_path: Path, kill_at: Callable[[int], Any], again: bool
) -> None:
    for step in range(100):
        folder = tmp_path / f"run{step}"
        if again:
            fill(new_run(folder, clusters=3))
            (folder / CLASSES_FILE).write_text("names")
            (folder / ANNOTATIONS_FILE).write_text("strokes")
            (folder / "notes.txt").write_text("mine")
        config = make_config(clusters=7)
        with kill_at(step) as kill:
            Run.create(folder, config, version="1", overwrite=again, images=["line\n"])
        if (folder / "config.toml").exists():
            assert Run.open(folder).config.clusters in (3, 7)
        elif (folder / "run.json").exists():
            with pytest.raises(ModelError, match="run the same command again"):
                Run.open(folder)
        Run.create(folder, config, version="1", overwrite=again, images=["line\n"])
        assert Run.open(folder).config.clusters == 7
        visible = {name for name in names(folder) if not name.startswith(".")}
        kept = {"notes.txt", "classes.old.toml", "annotations.old.jsonl"} if again else set()
        assert visible == {"run.json", "config.toml", "images.jsonl"} | kept
        assert [name for name in names(folder) if name.startswith(".part-")] == []
        if not kill.came:
            break
    assert step > 8


def test_overwrite_does_not_follow_a_linked_checkpoint(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "state.bin").write_bytes(b"state")
    run = new_run(tmp_path / "run")
    run.checkpoint_path.symlink_to(elsewhere, target_is_directory=True)
    Run.create(run.folder, run.config, version="0.1.0", overwrite=True)
    assert names(elsewhere) == {"state.bin"}
    assert not run.checkpoint_path.exists()


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("photo.jpg", ""),
        ("config.toml", "clusters = 3"),
        ("run.json", "{}"),
        ("run.json", '{"format": 1}'),
        ("run.json", "[1, 2]"),
        ("run.json", "not JSON"),
    ],
)
def test_other_files_are_never_taken_for_a_run(
    tmp_path: Path, overwrite: bool, name: str, text: str
) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(ConfigError, match="is not empty and holds no run; choose another --out"):
        Run.create(tmp_path, make_config(), version="0.1.0", overwrite=overwrite)
    assert names(tmp_path) == {name}


def test_an_empty_folder_is_taken(tmp_path: Path) -> None:
    (tmp_path / ".part-run.json").write_text("left behind by a killed process")
    assert new_run(tmp_path).folder == tmp_path
    assert names(tmp_path) == {"run.json", "config.toml"}


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    path = tmp_path / "run"
    path.write_text("")
    with pytest.raises(ConfigError, match="run is a file; choose another --out"):
        new_run(path)


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(PicieError, match=r"file/run: cannot be written \(Not a directory\)"):
        new_run(tmp_path / "file" / "run")


def test_open_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"gone: no such folder; give one that `picie train"):
        Run.open(tmp_path / "gone")
    with pytest.raises(ModelError, match=r"is not a run folder .*; give one that `picie train"):
        Run.open(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(
        ModelError, match=r"a model without its run, .* `picie name .* --list` shows"
    ):
        Run.open(tmp_path)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("run.json", "is not a run folder"),
        ("config.toml", "has no config.toml; if picie train was interrupted before it began, run"),
    ],
)
def test_open_needs_both_files(tmp_path: Path, name: str, message: str) -> None:
    new_run(tmp_path / "run")
    (tmp_path / "run" / name).unlink()
    with pytest.raises(ModelError, match=message):
        Run.open(tmp_path / "run")


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("", r"run.json: is not valid JSON"),
        ("[1]", r"run.json: holds a list instead of a JSON object"),
        ("{}", r"run.json: format = None is not a whole number from 1; restore the file, or"),
        ('{"format": true, "picie": "1"}', r"run.json: format = True is not"),
        ('{"format": 1.5, "picie": "1"}', r"run.json: format = 1.5 is not"),
        ('{"format": -5, "picie": "1"}', r"run.json: format = -5 is not"),
        ('{"format": 1, "picie": 7}', r"run.json: picie = 7 is not text"),
        ('{"format": 1' + "0" * 999 + ', "picie": "1"}', r"written by a newer picie"),
        ("[" * 100_000, r"run.json: is nested too deeply"),
    ],
)
def test_a_damaged_header_is_named_with_its_key(tmp_path: Path, header: str, message: str) -> None:
    folder = new_run(tmp_path / "run").folder
    (folder / "run.json").write_text(header)
    with pytest.raises(ModelError, match=message):
        Run.open(folder)


def test_a_newer_format_is_refused_before_its_settings_are_read(tmp_path: Path) -> None:
    folder = new_run(tmp_path / "run").folder
    (folder / "run.json").write_text(json.dumps({"format": 2, "picie": "9.0", "more": 1}))
    (folder / "config.toml").write_text("setting_of_the_future = 1")
    with pytest.raises(
        ModelError,
        match=r"was written by a newer picie \(format 2, this one reads up to 1\); upgrade picie",
    ):
        Run.open(folder)


def test_edited_settings_are_checked(tmp_path: Path) -> None:
    folder = new_run(tmp_path / "run").folder
    (folder / "config.toml").write_text("cluster = 3")
    with pytest.raises(ConfigError, match=r"config.toml: unknown setting 'cluster'"):
        Run.open(folder)


def test_metrics_come_back_in_order(tmp_path: Path) -> None:
    run = new_run(tmp_path / "run")
    assert run.metrics() == []
    records = [{"epoch": epoch, "loss": 2.5 - epoch, "text": "Füße"} for epoch in range(3)]
    for record in records:
        run.append_metrics(record)
    assert run.metrics() == records
    assert len(run.metrics_path.read_text().splitlines()) == 3


def test_a_record_is_on_the_disk_when_it_has_been_appended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = new_run(tmp_path / "run")
    synced: list[tuple[int, bytes]] = []
    sync = os.fsync

    def fsync(number: int) -> None:
        synced.append((os.fstat(number).st_ino, run.metrics_path.read_bytes()))
        sync(number)

    monkeypatch.setattr(os, "fsync", fsync)
    for epoch in range(2):
        run.append_metrics({"epoch": epoch})
        assert len(synced) == epoch + 1
        made = run.metrics_path.stat().st_ino
        assert synced[-1] == (made, run.metrics_path.read_bytes())  # whole, line by line
    assert run.metrics() == [{"epoch": 0}, {"epoch": 1}]


def test_numbers_that_json_does_not_know_become_null(tmp_path: Path) -> None:
    run = new_run(tmp_path / "run")
    run.append_metrics({"loss": float("nan"), "iou": {"sky": float("inf"), "sea": 1.5}})

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    text = run.metrics_path.read_text()
    assert json.loads(text, parse_constant=refuse) == {
        "loss": None,
        "iou": {"sky": None, "sea": 1.5},
    }


def test_a_line_cut_off_anywhere_costs_at_most_itself(tmp_path: Path) -> None:
    for cut in range(1, 26):
        run = new_run(tmp_path / f"run{cut}")
        first, second, third = ({"epoch": epoch, "loss": 0.25} for epoch in range(3))
        run.append_metrics(first)
        run.append_metrics(second)
        content = run.metrics_path.read_bytes()
        run.metrics_path.write_bytes(content[:-cut])
        expected = [first, second] if cut == 1 else [first]  # 1: only the newline is missing
        assert run.metrics() == expected
        run.append_metrics(third)
        assert run.metrics() == [*expected, third]


def test_a_cut_first_line_leaves_nothing(tmp_path: Path) -> None:
    run = new_run(tmp_path / "run")
    run.metrics_path.write_bytes(b'{"epo')
    assert run.metrics() == []
    run.append_metrics({"epoch": 0})
    assert run.metrics() == [{"epoch": 0}]


@pytest.mark.parametrize("line", [b'{"epoch"', b"7", b"\xff"])
def test_damage_inside_is_not_passed_over(tmp_path: Path, line: bytes) -> None:
    run = new_run(tmp_path / "run")
    run.metrics_path.write_bytes(b'{"epoch": 0}\n' + line + b'\n{"epoch": 1}\n')
    with pytest.raises(ModelError, match=r"metrics.jsonl: line 2 is not a JSON object; correct or"):
        run.metrics()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"epoch": "one"}', "epoch = 'one' is not a whole number from 0"),
        ('{"epoch": 1.5}', "epoch = 1.5 is not"),
        ('{"epoch": true}', "epoch = True is not"),
        ('{"epoch": -5}', "epoch = -5 is not"),
        ('{"epoch": 1' + "0" * 99 + "}", "epoch = 10+... is not"),
        ('{"epoch": 0, "loss": 1' + "0" * 999 + "}", "loss = 10+... is not a number"),
        ('{"epoch": null}', "epoch = None is not"),
        ('{"epoch": 0, "loss": "low"}', "loss = 'low' is not a number"),
        ('{"epoch": 0, "seconds": 7}', "seconds = 7 is not a table of numbers"),
        ('{"epoch": 0, "seconds": {"train": "x"}}', "seconds = .* is not a table of numbers"),
        ('{"epoch": 0, "effective_clusters": 2}', "effective_clusters = 2 is not a list of num"),
    ],
)
def test_values_of_other_types_are_named_and_nothing_is_removed(
    tmp_path: Path, line: str, message: str
) -> None:
    run = new_run(tmp_path / "run")
    content = f'{{"epoch": 0, "loss": null}}\n{line}\n'
    run.metrics_path.write_text(content)
    for call in (run.metrics, lambda: run.truncate_metrics(0)):
        with pytest.raises(ModelError, match=f"metrics.jsonl: line 2: {message}"):
            call()
    assert run.metrics_path.read_text() == content


def test_health_consists_of_numbers(tmp_path: Path) -> None:
    run = new_run(tmp_path / "run")
    for text, found in (
        ('{"a": 1, "b": "x", "c": null, "d": true, "e": [1], "f": 0.5}', {"a": 1, "f": 0.5}),
        ("[1]", {}),
        ("[" * 100_000, {}),
        ("", {}),
    ):
        run.health_path.write_text(text)
        assert run.health() == found


def test_metrics_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    run = new_run(tmp_path / "run")
    run.metrics_path.mkdir()
    with pytest.raises(ModelError, match=r"metrics.jsonl: cannot be read \(it is a folder"):
        run.metrics()
    with pytest.raises(PicieError, match=r"metrics.jsonl: cannot be written \(Is a directory\)"):
        run.append_metrics({})


def test_no_file_of_a_run_is_waited_for(tmp_path: Path) -> None:
    run = new_run(tmp_path / "run")
    for path in (run.metrics_path, run.health_path, run.log_path):
        os.mkfifo(path)
    with pytest.raises(ModelError, match=r"metrics.jsonl: cannot be read \(it is a pipe"):
        run.metrics()
    assert run.health() == {}
    with pytest.raises(PicieError, match=r"train.log: cannot be written \(it is a pipe"):
        run.log_to_file().__enter__()


def test_truncate_removes_later_epochs_and_the_cut_line(tmp_path: Path) -> None:
    run = new_run(tmp_path / "run")
    run.truncate_metrics(0)
    assert not run.metrics_path.exists()
    for epoch in (0, 0, 1, 2):
        run.append_metrics({"epoch": epoch})
    run.append_metrics({"note": "without an epoch"})
    with run.metrics_path.open("ab") as file:
        file.write(b'{"epoch": 2, "lo')
    run.truncate_metrics(1)
    assert run.metrics() == [{"epoch": 0}, {"epoch": 0}, {"note": "without an epoch"}]
    assert run.metrics_path.read_bytes().endswith(b"}\n")
    run.truncate_metrics(0)
    assert run.metrics() == [{"note": "without an epoch"}]


@pytest.fixture
def logger() -> Any:
    logger = logging.getLogger("picie")
    before = (logger.level, list(logger.handlers))
    yield logger
    assert (logger.level, list(logger.handlers)) == before


def test_log_goes_to_the_file_inside_the_block_only(tmp_path: Path, logger: Any) -> None:
    run = new_run(tmp_path / "run")
    logger.info("before")
    for word in ("one", "zwei Füße"):
        with run.log_to_file():
            logging.getLogger("picie.training.loop").info(word)
            logger.debug("too quiet")
    logger.info("after")
    lines = run.log_path.read_text(encoding="utf-8").splitlines()
    assert [line.split(" INFO ")[1] for line in lines] == ["one", "zwei Füße"]


def test_log_is_closed_after_an_error(tmp_path: Path, logger: Any) -> None:
    run = new_run(tmp_path / "run")
    with pytest.raises(KeyboardInterrupt), run.log_to_file():
        raise KeyboardInterrupt
    assert not any(isinstance(item, logging.FileHandler) for item in logger.handlers)


def test_a_log_that_cannot_be_written_is_named(tmp_path: Path, logger: Any) -> None:
    run = new_run(tmp_path / "run")
    run.log_path.mkdir()
    with pytest.raises(PicieError, match=r"train.log: cannot be written"), run.log_to_file():
        pass


def test_atomic_write_of_bytes_and_by_function(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    write_atomically(path, b"one")
    assert path.read_bytes() == b"one"
    seen = []

    def write(part: Path) -> None:
        seen.append((part.parent, part.suffix, path.read_bytes()))
        part.write_bytes(b"two")

    write_atomically(path, write)
    assert path.read_bytes() == b"two"
    assert seen == [(tmp_path, ".bin", b"one")]
    assert names(tmp_path) == {"a.bin"}


@pytest.mark.parametrize(
    ("error", "expected", "message"),
    [
        (OSError(28, "No space left on device"), PicieError, r"a.bin: .*\(No space left on device"),
        (OSError("odd"), PicieError, r"a.bin: cannot be written \(odd\); check the folder's"),
        (ValueError("a bug"), ValueError, "a bug"),
        (KeyboardInterrupt("stop"), KeyboardInterrupt, "stop"),
    ],
)
def test_a_failed_write_keeps_the_old_file(
    tmp_path: Path, error: BaseException, expected: type[BaseException], message: str
) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")

    def fail(part: Path) -> None:
        part.write_bytes(b"ne")
        raise error

    with pytest.raises(expected, match=message):
        write_atomically(path, fail)
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == {"a.bin"}


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    path = tmp_path / "gone" / "a.bin"
    with pytest.raises(PicieError, match=r"gone/a.bin: cannot be written \(No such file"):
        write_atomically(path, b"")


def test_a_killed_writer_leaves_the_old_file_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    program = (
        "import os, sys, pathlib\n"
        "from picie.runtime.files import write_atomically\n"
        "def write(part):\n"
        "    part.write_bytes(b'half')\n"
        "    os._exit(9)\n"
        "write_atomically(pathlib.Path(sys.argv[1]), write)\n"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    ended = subprocess.run([sys.executable, "-c", program, str(path)], env=environment, check=False)
    assert ended.returncode == 9
    assert path.read_bytes() == b"old"
    write_atomically(path, b"new")
    assert len(names(tmp_path)) == 2
    remove_parts(tmp_path, ".bin")
    assert names(tmp_path) == {"a.bin"}


def test_unfinished_files_of_a_run_are_removed_and_links_are_not_followed(tmp_path: Path) -> None:
    run = new_run(tmp_path / "run")
    run.checkpoint_path.mkdir()
    other = tmp_path / "other.json"
    other.write_text("mine")
    for path in (run.folder / ".part-0.json", run.checkpoint_path / ".part-1.safetensors"):
        path.write_text("half")
    (run.folder / ".part-2.json").symlink_to(other)
    kept = {".part-3.onnx", ".part-4.json"}  # of an export that is being written; a folder
    (run.folder / ".part-3.onnx").write_text("half")
    (run.folder / ".part-4.json").mkdir()
    run.remove_parts()
    assert names(run.folder) == {"run.json", "config.toml", "checkpoint", *kept}
    assert names(run.checkpoint_path) == set()
    assert other.read_text() == "mine"


def test_runs_need_no_torch() -> None:
    program = "import sys, picie.runs; sys.exit('torch' in sys.modules)"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    ended = subprocess.run([sys.executable, "-c", program], env=environment, check=False)
    assert ended.returncode == 0
