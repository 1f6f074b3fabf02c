"""The command that writes a folder to share, as jobs call it."""

from pathlib import Path

import pytest

from picie.inference.segmenter import load
from picie.studio.publish import main


def test_a_folder_to_share(runs: dict[str, Path], scenes: Path, tmp_path: Path) -> None:
    out = tmp_path / "model"
    assert main([str(runs["default"]), str(out), "--photos", str(scenes), "--license", "mit"]) == 0
    assert load(out).clusters == 3
    assert (out / "sheet.png").is_file()


@pytest.mark.parametrize(
    ("flags", "code", "problem"),
    [
        (["--license", "not an identifier"], 2, "licen"),
        (["--hub", "no name"], 2, "give the name of a repository on the hub as user/name"),
    ],
)
def test_errors_are_one_line(
    runs: dict[str, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    flags: list[str],
    code: int,
    problem: str,
) -> None:
    assert main([str(runs["default"]), str(tmp_path / "model"), *flags]) == code
    err = capsys.readouterr().err
    assert err.startswith("picie: error: ")
    assert problem in err
    assert len(err.splitlines()) == 1


def test_no_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "nothing"), str(tmp_path / "out")]) == 1
    assert "nothing" in capsys.readouterr().err
