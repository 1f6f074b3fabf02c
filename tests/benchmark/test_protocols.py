"""The papers' suites, rehearsed: from archives of the published layout to the final table.

The archives hold a few drawn images, and masks with every stored id. They are unpacked by the
commands of docs/datasets.md, and the suites of benchmarks/ run as they are, but in small.
"""

import io
import json
import re
import shlex
import shutil
import tomllib
import zipfile
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tomli_w
from numpy.typing import NDArray
from PIL import Image

from picie.benchmark.suite import read_suite
from picie.cli.app import main

ROOT = Path(__file__).parents[2]
SIDE = 32  # of every image and of the scored crop, so that each pixel of a mask counts once
TINY: dict[str, Any] = {
    "epochs": 1,
    "batch_size": 2,
    "size": SIDE,
    "base_size": SIDE,
    "pretrained": False,
    "feature_size": 8,
    "auxiliary_clusters": 30,
    "kmeans_pixels": 64,
    "workers": 0,
    "device": "cpu",
}
COCO_NAMES = {"train2017": ("009", "025", "030", "034", "036"), "val2017": ("139", "285", "632")}

Archives = dict[str, dict[str, bytes]]
"""The files in each archive, or in the authors' repository."""
Bench = Callable[..., str]


def every_id(count: int, most: int) -> NDArray[np.uint8]:
    """A mask with 1 to `most` pixels of each id in turn, so that exchanged ids show; then void."""
    mask = np.full(SIDE * SIDE, 255, np.uint8)
    ids = np.repeat(np.arange(count), 1 + np.arange(count) % most)
    mask[: len(ids)] = ids
    return mask.reshape(SIDE, SIDE)


COCO_IDS = every_id(182, 10)
CITY_IDS = every_id(34, 34)


def encoded(pixels: NDArray[Any], kind: str = "PNG", *, palette: bool = False) -> bytes:
    image = Image.fromarray(pixels)
    if palette:
        image.putpalette(bytes(range(256)) * 3)
    file = io.BytesIO()
    image.save(file, kind)
    return file.getvalue()


def photo(number: int, kind: str) -> bytes:
    """Noise; every second one is grey."""
    shape = (SIDE, SIDE, 3) if number % 2 else (SIDE, SIDE)
    return encoded(np.random.default_rng(number).integers(0, 256, shape, np.uint8), kind)


def coco() -> Archives:
    """Masks are grey or have a palette; the curated lists leave the last image of a folder out."""
    archives: Archives = {"stuffthingmaps_trainval2017.zip": {}, "PiCIE": {}}
    for folder, ends in COCO_NAMES.items():
        stems = [f"000000000{end}" for end in ends]
        archives[f"{folder}.zip"] = {
            f"{folder}/{stem}.jpg": photo(number, "JPEG") for number, stem in enumerate(stems)
        }
        archives["stuffthingmaps_trainval2017.zip"] |= {
            f"{folder}/{stem}.png": encoded(COCO_IDS, palette=number == 0)
            for number, stem in enumerate(stems)
        }
        lists = {"Coco164kFull_Stuff_Coarse_7.txt": stems[:-1], "Coco164kFew_Stuff_6.txt": stems}
        archives["PiCIE"] |= {
            f"curated/{folder}/{file}": "\n".join(names).encode() for file, names in lists.items()
        }
    return archives


def city() -> Archives:
    """Beside labelIds lie 16-bit instanceIds, colours and polygons; labels of test are empty."""
    archives: Archives = {
        f"{name}.zip": {"README": b"", "license.txt": b""}
        for name in ("leftImg8bit_trainvaltest", "leftImg8bit_trainextra", "gtFine_trainvaltest")
    }
    frames = [("train", "aachen"), ("val", "lindau"), ("test", "bonn")]
    frames += [("train_extra", town) for town in ("augsburg", "erlangen", "troisdorf")]
    for number, (split, town) in enumerate(frames):
        frame = f"{split}/{town}/{town}_000000_000019"
        kind = "trainextra" if split == "train_extra" else "trainvaltest"
        image = f"leftImg8bit/{frame}_leftImg8bit.png"
        archives[f"leftImg8bit_{kind}.zip"][image] = photo(number, "PNG")
        if kind == "trainvaltest":
            ids = CITY_IDS * (split != "test")
            archives["gtFine_trainvaltest.zip"] |= {
                f"gtFine/{frame}_gtFine_labelIds.png": encoded(ids),
                f"gtFine/{frame}_gtFine_instanceIds.png": encoded(ids.astype(np.uint16) * 1000),
                f"gtFine/{frame}_gtFine_color.png": encoded(np.stack([ids] * 4, axis=-1)),
                f"gtFine/{frame}_gtFine_polygons.json": b"{}",
            }
    return archives


def unpack(archives: Archives, folder: str, place: Path) -> None:
    """Follow the commands of the docs that fill a folder; downloads are there already."""
    text = (ROOT / "docs" / "datasets.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```text\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    [block] = [block for block in blocks if f"mkdir -p {folder}" in block]
    for line in block.splitlines():
        match shlex.split(line):
            case ["mkdir", "-p", *folders]:
                for one in folders:
                    (place / one).mkdir(parents=True)
            case ["unzip", "-qn", archive, "-d", to]:
                assert (place / to).parent.is_dir(), "unzip makes one folder"
                write(archives.pop(archive), place / archive)
                zipfile.ZipFile(place / archive).extractall(place / to)
            case ["git", "clone", address]:
                name = address.rpartition("/")[2]
                for file, content in archives.pop(name).items():
                    (place / name / file).parent.mkdir(parents=True, exist_ok=True)
                    (place / name / file).write_bytes(content)
            case ["cp", "-r", source, to]:
                shutil.copytree(place / source, place / to / Path(source).name)
            case other:
                raise AssertionError(other)
    assert not archives


def write(files: dict[str, bytes], path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)


def in_small(name: str, place: Path) -> Path:
    """The real suite with one seed, a tiny network and tiny crops."""
    values = tomllib.loads((ROOT / "benchmarks" / name).read_text(encoding="utf-8"))
    values["defaults"] |= TINY
    values["grid"] = {"seeds": [0], "backbones": ["test_efficientnet"]}
    values["evaluate"]["size"] = SIDE
    path = place / name
    path.write_text(tomli_w.dumps(values), encoding="utf-8")
    return path


def labels(table: str) -> list[str]:
    """The rows of the table with the scores."""
    lines = [line for line in table.partition("## Systems")[0].splitlines() if line[:1] == "|"]
    return [line.split("|")[1].strip() for line in lines[2:]]


@pytest.fixture
def bench(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Bench:
    """Runs a suite where a reader of the docs would; gives what is shown."""
    monkeypatch.chdir(tmp_path)

    def run(name: str, *, fails: bool = False) -> str:
        args = ["bench", str(in_small(name, tmp_path)), "--data", "data", "--out", "out"]
        with pytest.raises(SystemExit, check=lambda end: end.code == 1) if fails else nullcontext():
            main(args)
        return "".join(capsys.readouterr())

    return run


def check_advice(bench: Bench, name: str, sources: dict[str, str]) -> None:
    """Without each of these folders or files, the error says where it comes from."""
    for part, source in sources.items():
        path = Path("data", part)
        hidden = path.rename(path.with_name("hidden"))
        assert source in bench(name, fails=True).splitlines()[0]
        hidden.rename(path)
    assert not Path("out").exists()


def scored_pixels() -> dict[str, int]:
    """Scored pixels of each class: the same in all four records."""
    found = []
    for path in Path("out", "records").glob("*.json"):
        scores = json.loads(path.read_bytes())["scores"]
        found.append(dict(zip(scores["classes"], map(sum, scores["confusion"]), strict=True)))
    assert len(found) == 4
    assert found == found[:1] * 4
    return found[0]


def check_again(bench: Bench, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is done is not done again, and the tables stay as they are."""
    tables = [Path("out", file).read_bytes() for file in ("table.md", "table.html")]
    with monkeypatch.context() as patch:
        patch.setattr("picie.benchmark.run.train", None)
        assert "4 runs, 4 of them done" in bench(name)
    assert [Path("out", file).read_bytes() for file in ("table.md", "table.html")] == tables


def test_coco_stuff(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "cocostuff27.toml"
    first = bench(name, fails=True)
    unpack(coco(), "data/cocostuff", tmp_path)
    sources = {
        "images/train2017": "unzip train2017.zip (http://images.cocodataset.org/zips/",
        "images/val2017/000000000139.jpg": "unzip val2017.zip (http://images.cocodataset.org/zips/",
        "annotations/val2017": "unzip stuffthingmaps_trainval2017.zip (http://calvin.inf.ed.ac.uk/",
        "curated/train2017": "put the folder curated/ of https://github.com/janghyuncho/PiCIE",
    }
    assert [source for source in sources.values() if source not in first] == []
    check_advice(bench, name, {f"cocostuff/{part}": one for part, one in sources.items()})
    assert "4 runs, 0 of them done" in bench(name)

    table = Path("out", "table.md").read_text(encoding="utf-8")
    assert "Trained on train (4 images) without labels, scored on val (2 images); K = 27" in table
    assert labels(table) == [
        *("IIC", "*IIC, published [1], unverified*"),
        *("MDC", "*MDC, published [2], unverified*", "*MDC, published [4]*"),
        "*MDC, published [5]*",
        *("PiCIE", "— the same, view 2", "*PiCIE, published [3], unverified*"),
        *("*PiCIE, published [6]*", "*PiCIE, published [7]*"),
        *("PiCIE+H", "— the same, view 2", "*PiCIE+H, published [3], unverified*"),
        "*PiCIE, re-implemented by DenseSiam, published [8]*",
    ]
    pixels = scored_pixels()
    assert sum(pixels.values()) == 2 * int((COCO_IDS < 255).sum())
    for coarse, fine in {  # as the table of IIC and PiCIE has them
        "person": [0],
        "vehicle": range(1, 9),
        "electronic": range(71, 77),
        "floor": [100, *range(113, 118)],
        "food-stuff": [120, 121, 152, 169],
        "wall": range(170, 177),
        "sky": [105, 156],
        "water": [119, 147, 154, 177, 178],
    }.items():
        assert pixels[coarse] == 2 * int(np.isin(COCO_IDS, list(fine)).sum()), coarse
    check_again(bench, name, monkeypatch)


def test_cityscapes(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "cityscapes.toml"
    first = bench(name, fails=True)
    unpack(city(), "data/cityscapes", tmp_path)
    site = "(https://www.cityscapes-dataset.com/downloads/"
    sources = {
        "leftImg8bit/test": f"unzip leftImg8bit_trainvaltest.zip {site}",
        "leftImg8bit/train_extra": f"unzip leftImg8bit_trainextra.zip {site}",
        "gtFine/val": f"unzip gtFine_trainvaltest.zip {site}",
    }
    assert [source for source in sources.values() if source not in first] == []
    check_advice(bench, name, {f"cityscapes/{part}": one for part, one in sources.items()})
    assert "4 runs, 0 of them done" in bench(name)

    table = Path("out", "table.md").read_text(encoding="utf-8")
    assert "Trained on test+train_extra (4 images) without labels" in table
    assert "scored on train+val (2 images); K = 27" in table
    assert labels(table) == [
        *("IIC", "*IIC, published [1], unverified*"),
        *("MDC", "*MDC, published [2], unverified*", "*MDC, published [4]*"),
        *("PiCIE", "— the same, view 2", "*PiCIE, published [3], unverified*"),
        *("*PiCIE, published [5]*", "PiCIE+H", "— the same, view 2"),
    ]
    counts = np.bincount(CITY_IDS.ravel())
    assert list(scored_pixels().values()) == (2 * counts[7:34]).tolist()
    check_again(bench, name, monkeypatch)


@pytest.mark.parametrize(("name", "images"), [("cocostuff27", 49_629), ("cityscapes", 21_523)])
def test_the_cache_has_room_for_every_crop(name: str, images: int) -> None:
    suite = read_suite(ROOT / "benchmarks" / f"{name}.toml")
    config = suite.config(suite.systems[0], suite.data[0], seed=0, backbone="resnet18.tv_in1k")
    spare = config.cache_disk_mb * 10**6 - images * 3 * config.base_size**2
    assert 0 <= spare < 10**8
