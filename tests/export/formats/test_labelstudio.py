"""Label Studio's brush masks, read by a decoder that follows the format bit by bit."""

import json
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs, urlsplit
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from picie.export.formats.labelstudio import brush, painted
from picie.export.formats.layout import ClassTable, Labelled

Export = Callable[..., Path]


class Bits:
    """A reader of whole numbers from bytes, high bits first."""

    def __init__(self, data: list[int]) -> None:
        self.bits = np.unpackbits(np.array(data, np.uint8))
        self.place = 0

    def take(self, count: int) -> int:
        part = self.bits[self.place : self.place + count]
        assert len(part) == count
        self.place += count
        return int("".join(map(str, part)), 2)


def decoded(data: list[int], height: int, width: int) -> NDArray[np.int64]:
    """(H, W) alpha channel."""
    bits = Bits(data)
    count, value_bits = bits.take(32), bits.take(5) + 1
    widths = [bits.take(4) + 1 for _ in range(4)]
    assert count == 4 * height * width
    values: list[int] = []
    while len(values) < count:
        repeats = bits.take(1)
        length = bits.take(widths[bits.take(2)]) + 1
        if repeats:
            values += [bits.take(value_bits)] * length
        else:
            values += [bits.take(value_bits) for _ in range(length)]
    assert len(bits.bits) - bits.place < 8
    channels = np.array(values).reshape(height, width, 4)
    assert (channels == channels[..., :1]).all()
    alpha: NDArray[np.int64] = channels[..., 3]
    return alpha


def test_the_stream_of_bits() -> None:
    for shape in [(1, 1), (3, 5), (1, 16384), (5, 16385), (300, 200)]:
        for kind in ["none", "all", "some"]:
            inside = (
                np.random.default_rng(1).random(shape) < {"none": 0, "all": 2, "some": 0.3}[kind]
            )
            if inside.size > 10000 and kind == "some":  # few but long runs
                inside = np.repeat(inside.ravel()[: inside.size // 50 + 1], 50)[: inside.size]
                inside = inside.reshape(shape)
            assert np.array_equal(decoded(list(brush(inside)), *shape), 255 * inside)
            assert np.array_equal(painted(brush(inside), *shape), inside)


def test_tasks_hold_a_mask_for_each_class(
    export: Export, gallery: list[Labelled], table: ClassTable
) -> None:
    out = export("labelstudio", title="my export")
    tasks = json.loads((out / "tasks.json").read_text())
    assert [task["data"]["name"] for task in tasks] == [one.name for one in gallery]
    config = ElementTree.fromstring((out / "label_config.xml").read_text(encoding="utf-8"))
    [brushes], [image] = config.iter("BrushLabels"), config.iter("Image")
    assert [label.get("value") for label in brushes.iter("Label")] == list(table.names)
    for task, one in zip(tasks, gallery, strict=True):
        height, width = one.mask.shape
        url = urlsplit(task["data"]["image"])
        assert url.path == "/data/local-files/"
        assert parse_qs(url.query)["d"] == [f"my export/images/{one.name}{one.path.suffix}"]
        assert (out / "images" / f"{one.name}{one.path.suffix}").is_file()
        found = np.full(one.mask.shape, -1)
        [prediction] = task["predictions"]
        for result in prediction["result"]:
            assert (result["original_width"], result["original_height"]) == (width, height)
            assert (result["type"], result["value"]["format"]) == ("brushlabels", "rle")
            assert result["from_name"] == brushes.get("name")
            assert result["to_name"] == image.get("name") == brushes.get("toName")
            [label] = result["value"]["brushlabels"]
            inside = decoded(result["value"]["rle"], height, width) == 255
            found[inside] = table.names.index(label)
        assert np.array_equal(found, one.mask)


def test_no_images(export: Export) -> None:
    assert json.loads((export("labelstudio", []) / "tasks.json").read_text()) == []
