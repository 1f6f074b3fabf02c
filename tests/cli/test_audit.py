"""`picie audit`: questions on a terminal, in a pipe and from a file, and what is kept of them."""

import io
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image

from picie.annotation.log import read_annotations
from picie.cli import audit as verb
from picie.cli.arguments import Audit
from picie.cli.audit import Answer, parse_answer, run
from picie.errors import ConfigError, PicieError
from picie.models.class_names import ClassNames, write_classes
from picie.runs import ANNOTATIONS_FILE

Ask = Callable[..., str]


@pytest.fixture
def folder(runs: dict[str, Path], tmp_path: Path) -> Path:
    """A run with names."""
    shutil.copytree(runs["default"], tmp_path / "run")
    names = ClassNames.of(3, {"sky": [0], "road": [1], "Traffic light": [2]})
    write_classes(tmp_path / "run" / "classes.toml", names)
    return tmp_path / "run"


@pytest.fixture
def ask(
    folder: Path, scenes: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Ask:
    """Runs the verb with answers on standard input; gives what it prints."""

    def asked(typed: str = "", *, terminal: bool = False, **options: Any) -> str:
        source = io.StringIO(typed)
        monkeypatch.setattr(source, "isatty", lambda: terminal)
        monkeypatch.setattr("sys.stdin", source)
        capsys.readouterr()
        run(Audit(options.pop("run", folder), scenes, quiet=True, **{"checks": 12} | options))
        return capsys.readouterr().out

    return asked


def lines(folder: Path) -> list[dict[str, Any]]:
    text = (folder / ANNOTATIONS_FILE).read_text()
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.parametrize(
    ("text", "word", "title"),
    [
        ("right", "right", ""), ("R", "right", ""), (" yes\n", "right", ""), ("n", "wrong", ""),
        ("s", "skip", ""), ("undo", "undo", ""), ("Quit", "quit", ""), ("sky", "class", "sky"),
        ("SKY", "class", "sky"), ("traffic light", "class", "Traffic light"),
        ("=new thing", "class", "new thing"), ("=r", "class", "r"), ("= q ", "class", "q"),
        ("=ignore", "class", "ignore"),
    ],
)  # fmt: skip
def test_answers(text: str, word: str, title: str) -> None:
    assert parse_answer(text, ("sky", "Traffic light")) == Answer(word, title)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "skyy",
            r"^here: 'skyy' is neither a word nor a class of the model; did you mean 'sky'\?;",
        ),
        ("blue", r"known: right, wrong, skip, undo, quit, sky; for a new class write =blue$"),
        ("\x1b[31m", r"'\\x1b\[31m' is neither"),
        ("=", r"^here: answer: the name is empty"),
        ("=cluster 3", r"'cluster 3' is reserved"),
    ],
)
def test_what_is_no_answer(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_answer(text, ("sky",), "here: ")


def test_a_pipe_answers_and_the_same_command_goes_on(folder: Path, ask: Ask) -> None:
    out = ask("right\nwrong\nroad\n")
    assert "classes: sky, road, Traffic light" in out
    assert re.search(r"^1/12  \S+, column \d+, row \d+: ", out) is None
    assert len(re.findall(r"/12  scene_\d+, column \d+, row \d+: ", out)) == 4
    assert "(3 of 12 checks, in 9 of 9 images)" in out
    kept = lines(folder)
    assert [one["act"] for one in kept] == ["audit"] * 3
    assert {one["by"] for one in kept} == {"picie audit"}
    assert "4/12" in ask("r\n" * 9)
    assert len(lines(folder)) == 12
    done = ask("")
    assert "(12 of 12 checks" in done
    assert "/12  " not in done
    assert not (folder / "audit").exists()


def test_the_crop_is_there_while_the_question_is(
    folder: Path, scenes: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[list[str]] = []

    typed = iter(["r\n", "hm\n", "r\n", ""])

    def readline() -> str:
        files = sorted((folder / "audit").iterdir())
        seen.append([path.name for path in files])
        with Image.open(files[0]) as image:
            assert image.size[0] > 480
        assert str(files[0].resolve()) in capsys.readouterr().out
        return next(typed)

    terminal = SimpleNamespace(readline=readline, isatty=lambda: True)
    monkeypatch.setattr("sys.stdin", terminal)
    run(Audit(folder, scenes, checks=5, quiet=True))
    assert seen == [["001.png"], ["002.png"], ["002.png"], ["003.png"]]
    assert not (folder / "audit").exists()


def test_a_file_of_someone_else_is_not_replaced(folder: Path, ask: Ask) -> None:
    (folder / "audit").mkdir()
    (folder / "audit" / "001.png").write_bytes(b"mine")
    with pytest.raises(ConfigError, match=r"001\.png: was not written by picie"):
        ask("r\n")
    assert (folder / "audit" / "001.png").read_bytes() == b"mine"


def test_a_terminal_asks_again(folder: Path, ask: Ask) -> None:
    out = ask("what\nright\n", terminal=True)
    assert "'what' is neither a word nor a class" in out
    assert len(lines(folder)) == 1


def test_undo_takes_back_answers_and_skips(folder: Path, ask: Ask) -> None:
    ask("right\nwrong\n")
    ask("skip\nundo\nundo\n=fence\nquit\nright\n")
    acts = [one["act"] for one in lines(folder)]
    assert acts == ["audit", "audit", "undo", "audit"]
    valid = read_annotations(folder / ANNOTATIONS_FILE).valid
    assert [event.right or event.title for event in valid] == [True, "fence"]
    assert "nothing to undo" in ask("undo\nundo\nundo\n")
    assert read_annotations(folder / ANNOTATIONS_FILE).valid == ()


def test_the_predicted_class_as_an_answer_is_right(folder: Path, ask: Ask) -> None:
    predicted = re.findall(r"1/12  .*: (.*)$", ask("", terminal=True), re.MULTILINE)[0]
    ask(f"{predicted}\n")
    (kept,) = lines(folder)
    assert (kept["right"], kept["class"], kept["predicted"]) == (True, "", predicted)


def test_skipped_checks_come_again(folder: Path, ask: Ask) -> None:
    out = ask("skip\n" * 12)
    assert "skipped checks: 12; the same command asks for them again" in out
    assert "no answer yet (0 of 12 checks" in out
    assert "1/12" in ask("right\n")


def test_answers_in_a_file(folder: Path, ask: Ask, tmp_path: Path) -> None:
    file = tmp_path / "answers.txt"
    file.write_text("# from the field\nright\n\n=fence\nundo\nwrong\n")
    out = ask(answers=file)
    assert "column" not in out
    assert "(2 of 12 checks" in out
    assert [one["act"] for one in lines(folder)] == ["audit", "audit", "undo", "audit"]
    before = lines(folder)
    file.write_text("right\n# c\nbleu\n")
    with pytest.raises(ConfigError, match=rf"^{file}: line 3: 'bleu' is neither"):
        ask(answers=file)
    assert lines(folder) == before
    with pytest.raises(ConfigError, match=r"none\.txt: cannot be read"):
        ask(answers=tmp_path / "none.txt")


def test_a_wrong_word_in_a_pipe_keeps_the_answers_before_it(folder: Path, ask: Ask) -> None:
    with pytest.raises(ConfigError, match=r"^standard input: line 2: 'x' is .*before it are kept$"):
        ask("right\nx\nright\n")
    assert len(lines(folder)) == 1


def test_without_a_terminal_and_answers(
    ask: Ask, folder: Path, scenes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match="there is no terminal to answer in, and no answer"):
        ask("")
    monkeypatch.setattr("sys.stdin", None)
    with pytest.raises(ConfigError, match="there is no terminal to answer in"):
        run(Audit(folder, scenes, quiet=True))
    assert "no answer yet" in ask("", summary=True)
    assert "no answer yet" in ask("", terminal=True)  # Ctrl-D
    assert not (folder / ANNOTATIONS_FILE).exists()


def test_a_summary_asks_nothing(folder: Path, ask: Ask, tmp_path: Path) -> None:
    ask("right\n" * 5)
    before = lines(folder)
    out = ask("right\n", summary=True, json=tmp_path / "new" / "audit.json")
    assert "accuracy 100.0 %, 95 % interval" in out
    values = json.loads((tmp_path / "new" / "audit.json").read_text())
    assert (values["answered"], values["accuracy"]["value"]) == (5, 100)
    assert lines(folder) == before
    ask(summary=True, json=tmp_path / "new" / "audit.json")  # replaces its own
    piped = ask(summary=True, json=Path("-"))
    assert json.loads(piped) == values
    (tmp_path / "other.json").write_text('{"a": 1}')
    with pytest.raises(ConfigError, match=r"other\.json: already exists and was not written by"):
        ask(json=tmp_path / "other.json")
    with pytest.raises(ConfigError, match=r"^--summary asks nothing; remove --answers$"):
        ask(summary=True, answers=tmp_path / "a.txt")


def test_another_model_starts_a_new_audit_and_says_so(folder: Path, ask: Ask) -> None:
    ask("right\nright\n")
    write_classes(folder / "classes.toml", ClassNames.of(3, {"sky": [0, 1], "road": [2]}))
    out = ask("right\n")
    assert "1/12" in out
    assert "answers to another model, or to other names or settings: 2; they do not" in out
    other = ask("", summary=True, seed=5)
    assert "answers outside this sample: 1 (another --seed, more --checks, or photos" in other


def test_lines_that_are_no_events_are_named_and_kept(
    folder: Path, scenes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / ANNOTATIONS_FILE).write_text('{"act": "aud')
    run(Audit(folder, scenes, checks=3, summary=True))
    assert (
        f"note: {folder / ANNOTATIONS_FILE}: line 1: is not a complete" in capsys.readouterr().err
    )


def test_answers_to_a_taught_model_are_in_its_run(folder: Path, ask: Ask) -> None:
    taught = folder / "taught"
    taught.mkdir()
    for name in ("model.safetensors", "config.json", "classes.toml"):
        shutil.copy(folder / name, taught)
    ask("right\n", run=taught)
    assert len(lines(folder)) == 1
    assert not (taught / ANNOTATIONS_FILE).exists()


def test_a_model_without_names_is_refused_before_anything_is_predicted(
    runs: dict[str, Path], ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verb, "plan_audit", None)
    with pytest.raises(ConfigError, match="have no names"):
        ask("right\n", run=runs["default"])


def test_ctrl_c_keeps_the_answers(
    folder: Path, scenes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    typed = iter(["right\n", "right\n"])

    def readline() -> str:
        for line in typed:
            return line
        raise KeyboardInterrupt

    terminal = SimpleNamespace(readline=readline, isatty=lambda: True)
    monkeypatch.setattr("sys.stdin", terminal)
    with pytest.raises(KeyboardInterrupt):
        run(Audit(folder, scenes, checks=5, quiet=True))
    assert len(lines(folder)) == 2
    assert not (folder / "audit").exists()


def test_an_answer_that_cannot_be_written_is_an_error(
    ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: object) -> None:
        raise PicieError("annotations.jsonl: cannot be written (the disk is full)")

    monkeypatch.setattr(verb, "append_events", full)
    with pytest.raises(PicieError, match="the disk is full"):
        ask("right\n")
