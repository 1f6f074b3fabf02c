"""A folder for Hugging Face datasets, read back with that library."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from picie.errors import ConfigError
from picie.export.formats.layout import ClassTable, Labelled
from picie.visualization.palette import palette

Export = Callable[..., Path]


def test_photos_and_masks_are_columns(
    export: Export,
    gallery: list[Labelled],
    table: ClassTable,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    datasets = pytest.importorskip("datasets")
    datasets.disable_progress_bars()
    out = export("huggingface")
    (out / ".picie-export.json").write_text("{}")  # is there in a whole export
    read = datasets.load_dataset(str(out), split="train", cache_dir=str(tmp_path / "cache"))
    assert sorted(read.features) == ["image", "mask"]
    assert len(read) == len(gallery)
    for row, one in zip(read, gallery, strict=True):
        assert row["mask"].mode == "L"
        assert np.array_equal(np.asarray(row["mask"]), np.where(one.mask < 0, 255, one.mask))
        assert np.array_equal(np.asarray(row["image"]), one.image)
    names = json.loads((out / "id2label.json").read_text())
    assert names == {str(number): name for number, name in enumerate(table.names)}
    card = (out / "README.md").read_text(encoding="utf-8")
    assert all(f"| {number} | {name} |" in card for number, name in enumerate(table.names))


def test_it_needs_photos(export: Export) -> None:
    with pytest.raises(ConfigError, match="--photos none: a data set of --format huggingface"):
        export("huggingface", photos="none")


def test_the_card_shows_names_as_they_are(export: Export) -> None:
    names = ("<img src=x onerror=alert(1)>", "a | `b` _c_", "# d\\")
    card = (export("huggingface", classes=ClassTable(names, palette(3))) / "README.md").read_text()
    assert r"| 0 | \<img src=x onerror=alert(1)\> |" in card
    assert r"| 1 | a \| \`b\` \_c\_ |" in card
    assert r"| 2 | # d\\ |" in card
