"""All known data sets hold together, and are found by name."""

import re
from pathlib import Path

import pytest

from picie.config import Config
from picie.data.datasets.registry import DATASETS, open_dataset
from picie.data.folder import open_folder
from picie.errors import ConfigError, DataError
from picie.types import VOID

DOCS = Path(__file__).parents[3] / "docs" / "datasets.md"


def test_a_name_says_family_and_number_of_classes() -> None:
    for name in DATASETS:
        dataset = DATASETS[name]
        assert dataset.name == name
        assert int(re.findall(r"\d+$", name)[0]) == len(dataset.classes)


def test_classes_map_palette_and_groups_fit_together() -> None:
    for name in DATASETS:
        dataset = DATASETS[name]
        ids = set(range(len(dataset.classes)))
        assert len(set(dataset.classes)) == len(ids)
        assert set(dataset.code.lookup) - {VOID} == ids
        assert len(dataset.palette) == len(ids)
        assert all(0 <= level <= 255 for colour in dataset.palette for level in colour)
        if dataset.groups:
            assert sorted(i for group in dataset.groups.values() for i in group) == sorted(ids)
        if dataset.code.colours:
            assert len(set(dataset.code.colours)) == len(dataset.code.lookup)


@pytest.mark.parametrize("name", DATASETS)
def test_a_wrong_folder_is_answered_with_the_tree(name: str, tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    with pytest.raises(DataError) as caught:
        open_dataset(name, tmp_path, "val")
    text = str(caught.value)
    assert text.startswith(f"{tmp_path}: {name}: the images are not in the expected folders")
    for layout in DATASETS[name].layouts:
        for line in layout.tree.splitlines():
            assert f"\n  {line}\n" in text
    assert text.endswith("found:\n  here/")


def test_the_list_of_names_is_the_same_everywhere() -> None:
    text = Config.model_fields["dataset"].description or ""
    assert re.findall(r"[a-z0-9]+\d+", text) == list(DATASETS)
    rows = re.findall(r"^\| `(\w+)` \| (\d+) \|", DOCS.read_text(encoding="utf-8"), re.MULTILINE)
    assert {row[0]: int(row[1]) for row in rows} == {
        name: len(dataset.classes) for name, dataset in DATASETS.items()
    }


def test_splits_are_documented() -> None:
    text = DOCS.read_text(encoding="utf-8")
    splits = {split for one in DATASETS.values() for tree in one.layouts for split in tree.parts}
    assert [split for split in sorted(splits) if f"`{split}`" not in text] == []


def test_without_a_name_it_is_any_folder(scenes: Path) -> None:
    found = open_dataset("", scenes, "val", labelled=True)
    assert found == open_folder(scenes, "val", labelled=True)
    assert (found.code, found.palette, found.groups) == (None, (), {})


def test_an_unknown_name_is_answered_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"^unknown data set 'cityscapes'; did you mean 'cityscap"
    ):
        open_dataset("cityscapes", tmp_path, "val")
    with pytest.raises(ConfigError, match=r"unknown data set 'zz'; known: ade20k150, camvid11, "):
        open_dataset("zz", tmp_path)
