"""`picie bench`: exit codes, the plan, and the table on standard output."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from picie.cli.app import main
from picie.data.synthetic.scenes import write_scenes

Failure = Callable[..., tuple[int, str]]

SUITE = """\
title = "Tiny"
[defaults]
clusters = 3
epochs = 0
size = 32
base_size = 40
batch_size = 3
pretrained = false
feature_size = 8
workers = 0
device = "cpu"
[[data]]
name = "photos"
[[systems]]
name = "good"
overclusters = 8
[[systems]]
name = "bad"
overclusters = 7000
[grid]
backbones = ["test_efficientnet"]
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_scenes(tmp_path / "root" / "photos", train=3, val=2, size=(48, 64))
    (tmp_path / "suite.toml").write_text(SUITE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


ARGS = ("bench", "suite.toml", "--out", "out", "--data", "root")


def test_the_plan_changes_nothing(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main([*ARGS, "--list"])
    text = capsys.readouterr().out
    assert text.splitlines() == [
        "waiting              photos--good--test_efficientnet--seed0",
        "waiting              photos--bad--test_efficientnet--seed0",
        "2 runs: 2 waiting",
    ]
    assert not (place / "out").exists()
    shutil.rmtree(place / "root" / "photos")
    main([*ARGS, "--list", "--only", "good"])
    assert "1 runs: 1 no data" in capsys.readouterr().out


def test_a_run_that_fails_gives_exit_code_1_and_the_others_a_table(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main([*ARGS, "--quiet"])
    assert caught.value.code == 1
    shown = capsys.readouterr()
    assert shown.out == (place / "out" / "table.md").read_text()
    assert shown.err.count("\n") == 1
    assert "1 of 2 runs failed: photos--bad--test_efficientnet--seed0: " in shown.err
    assert "sampled pixels are too few" in shown.err
    assert "details in out/failures.json. Run the same command again to retry them" in shown.err
    main([*ARGS, "--list"])
    assert "2 runs: 1 done, 1 waiting" in capsys.readouterr().out
    main([*ARGS, "--only", "good"])
    shown = capsys.readouterr()
    assert "1 runs, 1 of them done: out" in shown.err
    assert "tables in out/table.md and out/table.html" in shown.err


def test_changes_are_shown_in_the_plan(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main([*ARGS, "--only", "good", "--quiet"])
    (place / "suite.toml").write_text(SUITE.replace("overclusters = 8", "overclusters = 9"))
    capsys.readouterr()
    main([*ARGS, "--list"])
    text = capsys.readouterr().out
    assert "photos--good--test_efficientnet--seed0  (overclusters = 8, now 9)" in text
    assert "2 runs: 1 waiting, 1 changed" in text


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (("bench", "gone.toml", "--out", "out"), 2, "gone.toml: cannot be read"),
        ((*ARGS, "--only", "nothing"), 2, "--only 'nothing': no run has such a name"),
        (ARGS[:-2], 1, "photos, which does not exist; give the folder that the suite's paths"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    failure: Failure, args: tuple[str, ...], code: int, message: str
) -> None:
    found, text = failure(*args)
    assert found == code
    assert message in text


@pytest.mark.usefixtures("place")
def test_an_interrupt_says_that_the_same_command_goes_on(
    failure: Failure, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("picie.benchmark.run.train", stopped)
    code, text = failure(*ARGS, "--quiet")
    assert code == 130
    assert "stopped; finished runs are kept; run the same command again to go on" in text
