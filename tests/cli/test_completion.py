"""The scripts of `picie completion`; that of bash completes in a bash."""

import os
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
    "picie train --help": "--help --help-all",
}
ZSH = """
zmodload zsh/zpty
zpty shell zsh -f -i
zpty -w shell 'fpath=('${(q)1}' $fpath); autoload -Uz compinit; compinit -u -D; print READY:'
zpty -r -m shell seen '*READY:?*READY:*'
zpty -w -n shell $'picie tra\t'
zpty -r -m shell seen '*picie train*' && print done
"""
FISH = """
source $argv[1]
for line in "picie tra" "picie info train --b" "picie train --preset be"
  complete -C $line | cut -f1
end
"""


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


@pytest.mark.skipif(shutil.which("zsh") is None, reason="no zsh")
def test_zsh_completes_from_the_first_press_of_the_key_on(tmp_path: Path) -> None:
    (tmp_path / "_picie").write_text(completion("zsh"))
    done = subprocess.run(
        ["zsh", "-f", "-c", ZSH, "zsh", str(tmp_path)],
        env={**os.environ, "HOME": str(tmp_path)}, text=True, capture_output=True, check=False,
        timeout=60,
    )  # fmt: skip
    assert done.stdout == "done\n"


@pytest.mark.skipif(shutil.which("fish") is None, reason="no fish")
def test_fish_takes_a_run_that_is_called_like_a_verb_for_a_run(tmp_path: Path) -> None:
    (tmp_path / "picie").write_text(completion("fish"))
    done = subprocess.run(
        ["fish", "--no-config", "-c", FISH, str(tmp_path / "picie")],
        env={**os.environ, "HOME": str(tmp_path)}, text=True, capture_output=True, check=True,
    )  # fmt: skip
    assert done.stdout.split() == ["train", "--backbones", "best"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_can_read_its_script(
    shell: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["completion", shell])
    script = capsys.readouterr().out
    assert all(verb in script for verb in VERBS)
    assert "overclusters" in script
    assert "Turn --pretrained off." in script or shell == "bash"
    assert "help-all" in script
    if shutil.which(shell):
        (tmp_path / "script").write_text(script)
        subprocess.run([shell, "-n", str(tmp_path / "script")], check=True)
