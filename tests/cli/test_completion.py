"""The scripts of `picie completion`; that of bash completes in a bash."""

import shutil
import subprocess
from pathlib import Path

import pytest

from picie.cli.app import main
from picie.cli.completion import completion
from picie.cli.parsing import VERBS

ASK = """
source "$1"
while read -r -a COMP_WORDS; do
  [[ ${COMP_WORDS[-1]} == "''" ]] && COMP_WORDS[-1]=""
  COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
  $(complete -p picie | sed 's/.*-F \\([^ ]*\\) .*/\\1/')
  echo "${COMPREPLY[*]}"
done
"""
LINES = {
    "picie tr": "train",
    "picie mea": "measure",
    "picie train --clus": "--clusters",
    "picie train p --out r --no-pre": "--no-pretrained",
    "picie train --preset ''": "default best reference paper",
    "picie export run --format co": "coco",
    "picie export run --format = co": "coco",
    "picie export run --format coco --pho": "--photos",
    "picie completion ''": "bash zsh fish",
    "picie predict pho": "photos.txt",
    "picie predict run --out pho": "photos.txt",
    "picie predict run --quiet pho": "photos.txt",
    "picie predict run --size pho": "",
    "picie predict run --size 32 pho": "photos.txt",
    "picie predict run --scales 1 pho": "",
    "picie evaluate run data --no-n": "--no-named",
}


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
def test_bash_completes_verbs_flags_values_and_files(tmp_path: Path) -> None:
    (tmp_path / "photos.txt").touch()
    (tmp_path / "picie").write_text(completion("bash"))
    done = subprocess.run(
        ["bash", "-c", ASK, "bash", "picie"],
        cwd=tmp_path, input="".join(f"{line}\n" for line in LINES), text=True,
        capture_output=True, check=True,
    )  # fmt: skip
    assert dict(zip(LINES, done.stdout.split("\n"), strict=False)) == LINES
    assert "integer" not in done.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_can_read_its_script(
    shell: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["completion", shell])
    script = capsys.readouterr().out
    assert all(verb in script for verb in VERBS)
    assert "overclusters" in script
    if shutil.which(shell):
        (tmp_path / "script").write_text(script)
        subprocess.run([shell, "-n", str(tmp_path / "script")], check=True)
