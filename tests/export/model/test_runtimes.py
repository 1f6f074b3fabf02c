"""Exported files, run without picie."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

import picie
from picie.data.synthetic.scenes import draw_scene
from picie.export.model.runtimes import is_exported, onnx_runner, torch_runner, write_torch
from picie.inference.segmenter import Segmenter, load
from picie.types import IGNORED

ROOT = Path(__file__).parents[3]


def scenes(count: int, height: int, width: int) -> NDArray[np.uint8]:
    return np.stack([draw_scene(0, index, (height, width))[0] for index in range(count)])


def wanted(model: Segmenter, images: NDArray[np.uint8]) -> NDArray[np.int64]:
    masks = np.stack([model.predict(one, size=min(one.shape[:2])) for one in images])
    return np.where(masks == IGNORED, 255, masks)


@pytest.fixture(scope="session")
def named(named_run: Path) -> Segmenter:
    return load(named_run)


@pytest.mark.parametrize("size", [(1, 64, 64), (3, 96, 64), (2, 64, 160)])
def test_onnx_runtime_gives_the_masks_of_prediction(
    onnx_file: Path, named: Segmenter, size: tuple[int, int, int]
) -> None:
    images = scenes(*size)
    ids, logits = onnx_runner(onnx_file)(images)
    assert (ids == wanted(named, images)).mean() > 0.999
    assert logits.shape[:2] == (size[0], named.clusters + 1)


def test_onnx_runtime_takes_any_size_from_64(onnx_file: Path) -> None:
    run = onnx_runner(onnx_file)
    for size in ((1, 65, 100), (2, 177, 64), (1, 64, 300)):
        ids, _ = run(scenes(*size))
        assert ids.shape == size
        assert ids.dtype == np.int64


def test_the_loaded_program_gives_the_masks_of_prediction(
    torch_file: Path, named: Segmenter
) -> None:
    run = torch_runner(torch_file)
    images = scenes(2, 64, 96)
    assert (run(images)[0] == wanted(named, images)).mean() > 0.999
    assert run(scenes(1, 70, 131))[0].shape == (1, 70, 131)


def test_the_onnx_file_says_what_it_is(onnx_file: Path, named: Segmenter) -> None:
    onnx = pytest.importorskip("onnx")
    model = onnx.load(onnx_file)
    onnx.checker.check_model(model, full_check=True)
    notes = {one.key: one.value for one in model.metadata_props}
    assert json.loads(notes["class_names"]) == list(named.names) == ["sky", "cluster 1"]
    assert json.loads(notes["class_colours"]) == named.colours.tolist()
    assert notes["class_colours"].startswith("[[16, 32, 48]")
    assert (notes["short_side"], notes["multiple_of"], notes["ignored_id"]) == ("64", "32", "255")
    assert notes["picie_version"] == picie.__version__
    assert notes["refine_left_out"] == "0"
    assert [one.version for one in model.opset_import if one.domain == ""] == [18]
    [images] = model.graph.input
    axes = [one.dim_param or one.dim_value for one in images.type.tensor_type.shape.dim]
    assert axes == ["batch", "height", "width", 3]
    assert [one.name for one in model.graph.output] == ["ids", "logits"]


def test_the_torch_file_says_what_it_is(torch_file: Path) -> None:
    notes = {"class_names": "", "short_side": ""}
    torch.export.load(torch_file, extra_files=notes)
    assert json.loads(notes["class_names"]) == ["sky", "cluster 1"]
    assert notes["short_side"] == "64"


def test_files_are_recognised(onnx_file: Path, torch_file: Path, tmp_path: Path) -> None:
    assert is_exported(onnx_file)
    assert is_exported(torch_file)
    for name, data in (
        ("a.onnx", torch_file.read_bytes()),
        ("b.onnx", b"\x08\x0a\x12\x07pytorch\x1a\x032.1"),
        ("c.pt2", onnx_file.read_bytes()),
        ("d.pt2", b""),
    ):
        (tmp_path / name).write_bytes(data)
        assert not is_exported(tmp_path / name)
    with zipfile.ZipFile(tmp_path / "e.pt2", "w") as archive:
        archive.writestr("archive/extra/picie", "")
    assert not is_exported(tmp_path / "e.pt2")


@pytest.mark.skipif(sys.platform == "win32", reason="needs limits of processes")
def test_a_disk_that_is_full_is_an_error_of_python(torch_file: Path, tmp_path: Path) -> None:
    import resource

    program = torch.export.load(torch_file)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, limits[1]))
    try:  # torch's own writing would end the process
        with pytest.raises(OSError, match="too large"):
            write_torch(program, tmp_path / "m.pt2", {"picie_version": "1"})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_files_name_no_place_of_this_machine(
    onnx_file: Path, torch_file: Path, scenes: Path
) -> None:
    places = [str(ROOT), str(scenes), "site-packages", str(Path.home()) + "/"]
    with zipfile.ZipFile(torch_file) as archive:
        held = [archive.read(name) for name in archive.namelist()]
    for data in (onnx_file.read_bytes(), *held):
        assert [place for place in places if place.encode() in data] == []


def test_the_example_runs_where_picie_is_not(onnx_file: Path, named: Segmenter) -> None:
    folder = onnx_file.parent
    image = draw_scene(0, 0, (90, 130))[0]
    Image.fromarray(image).save(folder / "photo.png")
    program = (
        "import runpy, sys\n"
        "sys.modules['picie'] = sys.modules['torch'] = None\n"  # importing them fails
        f"sys.argv = ['run_onnx.py', {str(onnx_file)!r}, 'photo.png', 'mask.png']\n"
        f"runpy.run_path({str(ROOT / 'examples' / 'run_onnx.py')!r}, run_name='__main__')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert [line.split("%  ")[1] for line in done.stdout.splitlines()] == ["sky", "cluster 1"]
    with Image.open(folder / "mask.png") as mask:
        found = np.asarray(mask)
    ids = named.predict(image, size=64)
    colours = np.concatenate([named.colours, np.zeros((1, 3), np.uint8)])
    assert found.shape == (90, 130, 3)
    assert (found == colours[ids]).all(-1).mean() > 0.99


def test_the_example_names_a_missing_file(tmp_path: Path) -> None:
    example = str(ROOT / "examples" / "run_onnx.py")
    for args, words in (["no.onnx", "a.jpg", "b.png"], "no.onnx: no such file"), ([], "python run"):
        done = subprocess.run(
            [sys.executable, example, *args], cwd=tmp_path, capture_output=True, text=True
        )
        assert done.returncode == 1
        assert words in done.stderr
        assert "Traceback" not in done.stderr
