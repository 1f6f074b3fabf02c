"""Every block of every page does what it says, on a few tiny scenes.

Python blocks of a page run one after another in one folder, with a trained model in it. Command
lines are read by the parser that users meet; those of the pages in EXECUTED also run. A block that
needs what a reader's folder or a test's minute lacks is preceded by a comment with the reason:

    <!-- not run: downloads weights -->

Its commands are still parsed, and its Python is still compiled.
"""

import re
import shlex
import shutil
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from picie.cli.app import main
from picie.cli.parsing import VERBS
from picie.config import PRESETS
from picie.data.synthetic import scenes as synthetic
from picie.data.synthetic.scenes import write_scenes
from picie.errors import ConfigError
from picie.training.loop import train
from picie.visualization.masks import mask_image, write_png
from picie.visualization.palette import palette

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
NAMES = [path.name for path in PAGES]
EXECUTED = ("tutorial.md", "photos.md", "clusters.md")
"""Pages whose command lines run, in order, with the Python blocks between them."""

LANGUAGES = {"sh", "python", "text", "toml", "json", "bibtex", "csv", "cpp", "yaml"}
_BLOCK = re.compile(
    r"^(?:<!-- not run: (?P<reason>.+?) -->\n)?^```(?P<language>.*?)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
TINY: dict[str, Any] = {
    "size": 32,
    "base_size": 40,
    "batch_size": 3,
    "backbone": "test_efficientnet",
    "pretrained": False,
    "feature_size": 8,
    "overclusters": 20,
    "kmeans_pixels": 32,
    "workers": 0,
    "device": "cpu",
}


@dataclass(frozen=True)
class Block:
    """One fenced block."""

    language: str
    text: str
    reason: str | None

    @property
    def commands(self) -> list[list[str]]:
        lines = self.text.replace("\\\n", " ").splitlines()
        # In a shell # begins a comment only where a word begins: road=#804080 is none.
        bare = [re.sub(r"(^|\s)#.*", "", line) for line in lines]
        return [words for line in bare if (words := shlex.split(line))]


def blocks(page: Path) -> list[Block]:
    found = _BLOCK.finditer(page.read_text(encoding="utf-8"))
    return [Block(one["language"], one["text"], one["reason"]) for one in found]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the names that pages use: photos/, photo.jpg, labelled/ and runs/first."""
    folder = tmp_path_factory.mktemp("pages")
    scenes = write_scenes(folder / "labelled", train=6, val=3, size=(48, 64))
    shutil.copytree(scenes / "images", folder / "photos")
    shutil.copy(scenes / "images" / "scene_0000.jpg", folder / "photo.jpg")
    model = train(folder / "photos", folder / "runs" / "first", clusters=8, epochs=1, **TINY)
    (folder / "masks").mkdir()
    write_png(
        mask_image(model.predict(folder / "photo.jpg"), palette(8)), folder / "masks" / "photo.png"
    )
    return folder


@pytest.fixture
def place(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of that folder to work in, where defaults are tiny."""
    place = tmp_path / "place"
    shutil.copytree(prepared, place)
    for name, values in list(PRESETS.items()):
        monkeypatch.setitem(PRESETS, name, values | TINY)
    monkeypatch.setattr(synthetic, "write_scenes", _few_scenes)
    monkeypatch.chdir(place)
    return place


def _few_scenes(out: str | Path, **given: Any) -> Path:
    return write_scenes(out, **given | {"train": 6, "val": 3, "size": (48, 64)})


def test_fences_have_a_known_language_and_are_closed() -> None:
    for page in PAGES:
        fences = re.findall(r"^```(.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
        assert set(fences[::2]) <= LANGUAGES, page.name
        assert set(fences[1::2]) <= {""}, page.name
        assert len(blocks(page)) * 2 == len(fences), page.name


def test_the_parser_knows_every_command_line(place: Path) -> None:
    for block in [block for page in PAGES for block in blocks(page)]:
        if block.language == "sh":
            for words in block.commands:
                _check(words, place)
        elif block.language == "python":
            compile(block.text, "page", "exec")
        elif block.language == "toml":
            tomllib.loads(block.text)


def _check(words: list[str], place: Path) -> None:
    program, *args = words
    if program in ("torchrun", "accelerate"):
        program, args = "picie", args[args.index("picie") + 1 :]
    if program == "picie":
        _parse(args, place)
    elif program == "make":
        makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
        assert re.search(rf"^{args[0]}:", makefile, re.MULTILINE), words
    elif program == "python":
        assert args[0] in ("-m", "-c") or (ROOT / args[0]).is_file(), words
    else:
        assert program in ("pip", "cd", "tensorboard"), words


def _parse(args: list[str], place: Path) -> None:
    """Read a command line as the program does, without doing anything."""
    if args[0] == "--version" or "--help" in args:
        return
    verb, *rest = args
    if "--resume" in rest:  # the only flag whose folder is opened while flags are read
        rest[rest.index("--resume") + 1] = str(place / "runs" / "first")
    VERBS[verb](rest)


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_the_blocks_of_a_page_run_one_after_another(page: Path, place: Path) -> None:
    names: dict[str, object] = {}
    for block in blocks(page):
        if block.reason:
            continue
        if block.language == "python" and page.name != "README.md":  # it has a test of its own
            exec(block.text, names)
        elif block.language == "sh" and page.name in EXECUTED:
            for program, *args in block.commands:
                if program == "picie":
                    if args[0] == "train" and "--out" in args:
                        shutil.rmtree(args[args.index("--out") + 1], ignore_errors=True)
                    main(args)


def test_a_reason_is_given_where_a_block_does_not_run() -> None:
    comments = [
        line
        for page in PAGES
        for line in page.read_text(encoding="utf-8").splitlines()
        if line.startswith("<!--")
    ]
    reasons = [block.reason for page in PAGES for block in blocks(page) if block.reason]
    assert len(comments) == len(reasons)
    assert all(len(reason) > 8 for reason in reasons)


def test_the_drawn_run_folder_is_the_one_that_training_writes(place: Path) -> None:
    written = {path.name for path in Path("runs/first").iterdir()}
    for page in PAGES:
        for block in blocks(page):
            if block.text.startswith("runs/first/"):
                drawn = set(re.findall(r"── ([\w.]+)", block.text))
                assert written <= drawn, page.name
                said = {"classes.toml", "classes.history", "annotations.jsonl"}
                assert drawn - written <= {*said, "taught", "features", "cache"}, page.name


def test_links_lead_somewhere() -> None:
    for page in PAGES:
        links = re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8"))
        files = [link.partition("#")[0] for link in links if "://" not in link]
        dead = [file for file in files if file and not _there(page.parent / file)]
        assert dead == [], page.name
        if page.parent.name == "docs":  # the site holds docs/ only
            assert not [file for file in files if ".." in file], page.name


def _there(path: Path) -> bool:
    made = path.parent.name == "reference" and path.stem in ("command-line", "settings", "python")
    return made or path.exists()


def test_a_wrong_flag_in_a_page_would_be_seen(place: Path) -> None:
    check: Callable[[str], None] = lambda line: _check(shlex.split(line), place)  # noqa: E731
    for line in ("picie predict a b --out c --nonsense", "picie trian x", "make nothing"):
        with pytest.raises((SystemExit, KeyError, AssertionError, ConfigError)):
            check(line)


def test_the_map_for_contributors_names_every_room() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rooms = [path for path in (ROOT / "src" / "picie").iterdir() if path.suffix in ("", ".py")]
    names = [path.name + "/" * path.is_dir() for path in rooms]
    known = ("__pycache__/", "__main__.py")
    assert [name for name in sorted(names) if name not in known and name not in text] == []
