"""Every notebook is stored without outputs, runs from top to bottom, and shows what it promises."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
Execute = Callable[[str], list[Any]]
read: Any = nbformat.read  # has no types


@pytest.fixture
def execute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Execute:
    """Runs a notebook in an empty folder; gives the outputs of its cells."""
    for name in ("HF_HUB_OFFLINE", "PIP_NO_INDEX"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    (tmp_path / "work").mkdir()

    def call(name: str) -> list[Any]:
        notebook = read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)
        place = {"metadata": {"path": str(tmp_path / "work")}}
        NotebookClient(notebook, timeout=300, resources=place).execute()
        assert [path.name for path in (tmp_path / "work").iterdir()] == [name]
        outputs = [one for cell in notebook.cells for one in cell.get("outputs", [])]
        assert [one.text for one in outputs if one.get("name") == "stderr"] == []
        return outputs

    return call


def printed(outputs: list[Any]) -> str:
    return "".join(one.text for one in outputs if one.output_type == "stream")


def pages(outputs: list[Any]) -> list[str]:
    return [one.data["text/html"] for one in outputs if "text/html" in one.get("data", {})]


def pictures(outputs: list[Any]) -> int:
    """The number of images that a reader sees."""
    drawn = sum("image/png" in one.get("data", {}) for one in outputs)
    return drawn + sum(page.count('src="data:image/') for page in pages(outputs))


def test_street(execute: Execute) -> None:
    outputs = execute("street")
    assert pictures(outputs) == 11
    titles = "".join(pages(outputs))
    first, second = re.findall(r"pixel accuracy ([\d.]+) %", titles)
    assert float(second) > float(first) > 70  # correcting helped
    assert "8 classes" in titles
    text = printed(outputs)
    assert len(re.findall(r"scene_\d{4} +[\d.]+% +\(in truth", text)) == 8
    assert float(re.findall(r"mean error ([\d.]+)%", text)[0]) < 6
    assert "8 photos in street/voc" in text


def test_cells(execute: Execute) -> None:
    outputs = execute("cells")
    assert pictures(outputs) == 7
    assert "0 nucleus" in re.sub("<[^>]+>", "", "".join(pages(outputs)))
    rows = re.findall(r"tissue_\d\d +(\d+) \( ?(\d+)\) +(\d+) \((\d+)\)", printed(outputs))
    found, drawn, area, true = zip(*[map(int, row) for row in rows], strict=True)
    assert len(rows) == 12
    assert sum(found) == pytest.approx(sum(drawn), rel=0.05)
    assert sum(area) == pytest.approx(sum(true), rel=0.3)


def test_aerial(execute: Execute) -> None:
    outputs = execute("aerial")
    assert pictures(outputs) == 7
    text = printed(outputs)
    rows = re.findall(r"(\w+) +([\d.]+) \(([\d.]+)\)", text)
    assert [row[0] for row in rows] == ["field", "forest", "lake", "road"]
    for name, found, drawn in rows:
        assert float(found) == pytest.approx(float(drawn), rel=0.15), name
    assert re.search(r"9 files; the first has \d+ polygons in EPSG:32633", text)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_valid_and_holds_no_outputs(path: Path) -> None:
    notebook = json.loads(path.read_text(encoding="utf-8"))
    nbformat.validate(notebook)
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    ids = [cell["id"] for cell in notebook["cells"]]
    assert len(set(ids)) == len(ids)
    for cell in notebook["cells"]:
        assert cell["metadata"] == {}
        assert cell["cell_type"] != "code" or cell["outputs"] == []
        assert cell.get("execution_count") is None
    assert set(notebook["metadata"]) == {"kernelspec", "language_info"}  # none of one machine
    assert path.stat().st_size < 20_000


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_begins_with_a_story_and_installs_only_what_is_missing(path: Path) -> None:
    story, setup, *cells = read(path, as_version=4).cells
    assert story.cell_type == "markdown"
    assert story.source.startswith("# ")
    assert 'if find_spec("picie") is None:\n    %pip install --quiet "picie[' in setup.source
    assert not any("%" in cell.source.split("\n")[0] for cell in cells if cell.cell_type == "code")


def test_the_documentation_lists_every_notebook() -> None:
    page = (ROOT / "docs" / "notebooks.md").read_text(encoding="utf-8")
    assert {path.name for path in NOTEBOOKS} == set(re.findall(r"notebooks/(\w+\.ipynb)", page))
    tests = Path(__file__).read_text(encoding="utf-8")
    assert all(f"def test_{path.stem}(" in tests for path in NOTEBOOKS)
