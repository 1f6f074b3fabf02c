"""Every block of README.md does what it says, on a few tiny scenes."""

import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from picie.cli.app import main
from picie.config import PRESETS
from picie.data.synthetic.scenes import write_scenes

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
_TINY: dict[str, Any] = {
    "size": 64,
    "base_size": 64,
    "backbone": "test_efficientnet",
    "pretrained": False,
    "feature_size": 8,
    "workers": 0,
}
KNOWN = ("sh", "python", "text", "bibtex")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the names that README uses: photos/, photo.jpg and labelled/."""
    scenes = write_scenes(tmp_path / "labelled", train=4, val=2, size=(64, 64))
    shutil.copytree(scenes / "images", tmp_path / "photos")
    shutil.copy(scenes / "images" / "scene_0000.jpg", tmp_path / "photo.jpg")
    for name, values in list(PRESETS.items()):
        monkeypatch.setitem(PRESETS, name, values | _TINY)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_shell_lines_run_one_after_another(place: Path) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for line in "".join(blocks("sh")).splitlines():
        program, *args = shlex.split(line)
        if program == "make":
            assert re.search(rf"^{args[0]}:", makefile, re.MULTILINE), line
        elif program == "picie":
            main(args)
        else:
            assert line in ("pip install picie", "pip install .")
    with Image.open("masks/photo.png") as mask:
        assert mask.size == (64, 64)
    assert len(list(Path("masks/all/overlays").glob("*.png"))) == 6
    assert Path("scores.json").is_file()
    written = {path.name for path in Path("runs/first").iterdir()}
    [tree] = [block for block in blocks("text") if block.startswith("runs/first/")]
    assert written == set(re.findall(r"── ([\w.]+)", tree))


def test_the_python_lines_run_one_after_another(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names: dict[str, object] = {}
    for block in blocks("python"):
        exec(block, names)
    mask = names["mask"]
    assert isinstance(mask, np.ndarray)
    assert mask.shape == (64, 64)
    assert capsys.readouterr().out.count("(64, 64)") == 6


def test_no_block_is_left_out() -> None:
    fences = re.findall(r"^```(.*)$", README, re.MULTILINE)
    assert set(fences[::2]) <= set(KNOWN)
    assert set(fences[1::2]) == {""}


def test_the_first_screen_is_short() -> None:
    assert README.startswith("# picie\n\n```sh\npip install picie\n```\n")
    assert [line.split()[1] for line in blocks("sh")[1].splitlines()] == [
        "train",
        "report",
        "name",
        "predict",
        "export",
    ]
    assert len(blocks("python")[0].splitlines()) == 2 + 3  # import, blank, three calls
    assert README.index("```sh") < README.index("```python") < README.index("## ")


def test_files_that_readme_links_to_exist() -> None:
    links = re.findall(r"\]\(([^)]+)\)", README)
    files = [link for link in links if "://" not in link]
    assert [link for link in files if not (ROOT / link).exists()] == []
