"""The figure of the results shows the numbers of the tables."""

import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def make_figure(load_script: Callable[[str], ModuleType]) -> ModuleType:
    return load_script("docs/make_figure.py")


def test_the_figure_is_that_of_the_tables(make_figure: ModuleType) -> None:
    for name, svg in make_figure.halves().items():
        there = (ROOT / "docs" / "images" / name).read_text(encoding="utf-8")
        assert there == svg, "python docs/make_figure.py"


def test_a_point_is_a_share_of_the_probe(make_figure: ModuleType) -> None:
    svg = make_figure.halves()["results_clusters.svg"]
    told = dict(re.findall(r"<title>(.*?): (\d+)% of the probe</title>", svg))
    assert len(told) == 21
    assert told["CamVid, default"] == str(round(100 * 34.3 / 54.5))


def test_a_table_is_read_by_its_rows(make_figure: ModuleType, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# T\n\n## A\n\ntext\n\n| x | y |\n|---|--:|\n| `b` | 1 |\n", encoding="utf-8")
    assert make_figure.rows_below(page, "A")["`b`"] == ["1"]
    with pytest.raises(SystemExit, match="no table below 'B'"):
        make_figure.rows_below(page, "B")
