"""Brush predictions for Label Studio.

A brush mask is an RGBA image whose channels are all 0 or 255, row by row, run-length encoded as a
stream of bits, high bits first:

    32 bits   number of values (4 for each pixel)
     5 bits   bits per value, minus 1: 7
    4 x 4 bits   bit widths of the four kinds of length, minus 1
    then, until all values are encoded:
     1 bit    1 = one value that repeats, 0 = a list of values
     2 bits   kind of the length
     n bits   length, minus 1
     8 bits   the value (or as many values as the length says)

The stream is padded with zeros to whole bytes, which JSON stores as numbers.
"""

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote
from xml.sax.saxutils import quoteattr

import numpy as np
from numpy.typing import NDArray

from picie.export.formats.layout import ClassTable, Labelled, Options, append, put_photo
from picie.inference.predict_each import Then
from picie.postprocessing.upsampling import Mask

__all__ = ["LabelStudioWriter", "brush", "brush_result", "label_config", "painted"]

_WIDTHS = (3, 6, 11, 16)  # the last holds 65536 values, 16384 pixels
_VALUE = 8
_FROM, _TO = "brush", "image"


class LabelStudioWriter:
    """OUT/tasks.json to import, OUT/label_config.xml, and the photos in OUT/images/.

    One task per photo, with one brush mask for each of its classes as a prediction. Photos have
    local paths: Label Studio serves them if LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT is the parent
    folder of OUT. Ignored pixels are in no mask. The list is kept in its file, not in memory.

    Args:
        out: the folder.
        classes: ids.
        options: photos, title.

    Raises:
        OSError: the list cannot be created.
    """

    def __init__(self, out: Path, classes: ClassTable, options: Options) -> None:
        self._out, self._classes, self._options = out, classes, options
        self._tasks = out / "tasks.json"
        append(self._tasks, "[\n")
        self._number = 0

    def add(self, labelled: Labelled) -> Then:
        """Write one photo; the follow-up adds its task to the list."""
        name = labelled.file
        put_photo(labelled, self._out / "images" / name, self._options.photos)
        place = quote(f"{self._options.title}/images/{name}", errors="surrogateescape")
        results = [
            brush_result(labelled.mask, number, self._classes.names[number], _FROM, _TO)
            for number in np.unique(labelled.mask).tolist()
            if number >= 0
        ]
        task = {
            "data": {_TO: f"/data/local-files/?d={place}", "name": labelled.name},
            "predictions": [{"model_version": "picie", "result": results}],
        }
        text = json.dumps(task, separators=(",", ":"))
        return lambda: self._list(text)

    def close(self) -> None:
        """Finish the list, and write the labelling interface."""
        append(self._tasks, "\n]\n")
        text = label_config(self._classes)
        (self._out / "label_config.xml").write_text(text, encoding="utf-8")

    def _list(self, task: str) -> None:
        append(self._tasks, ",\n" * (self._number > 0) + task)
        self._number += 1


def label_config(classes: ClassTable) -> str:
    """The labelling interface of a project: an image, and a brush for each class.

    Args:
        classes: ids.
    """
    labels = "".join(
        f'    <Label value={quoteattr(name)} background="#{bytes(colour).hex()}"/>\n'
        for name, colour in zip(classes.names, classes.colours.tolist(), strict=True)
    )
    return (
        f'<View>\n  <Image name="{_TO}" value="${_TO}" zoom="true"/>\n'
        f'  <BrushLabels name="{_FROM}" toName="{_TO}">\n{labels}  </BrushLabels>\n</View>\n'
    )


def brush_result(
    mask: Mask, number: int, label: str, from_name: str, to_name: str
) -> dict[str, Any]:
    """The pixels of one class as a region of a prediction.

    Args:
        mask: (H, W) ids.
        number: the id of the class.
        label: its name in the labelling interface.
        from_name: name of the brush there.
        to_name: name of the image there.
    """
    height, width = mask.shape
    return {
        "id": f"class{number}",
        "type": "brushlabels",
        "from_name": from_name,
        "to_name": to_name,
        "original_width": width,
        "original_height": height,
        "image_rotation": 0,
        "value": {
            "format": "rle",
            "rle": list(brush(mask == number)),
            "brushlabels": [label],
        },
    }


def brush(inside: NDArray[np.bool_]) -> bytes:
    """Encode the pixels of one class as described at the top of this module.

    Args:
        inside: (H, W).
    """
    flat = inside.ravel()
    starts = np.concatenate([[0], np.flatnonzero(flat[1:] != flat[:-1]) + 1])
    lengths = 4 * np.diff(starts, append=flat.size)
    bits = [f"{4 * flat.size:032b}{_VALUE - 1:05b}", *(f"{width - 1:04b}" for width in _WIDTHS)]
    for start, length in zip(starts.tolist(), lengths.tolist(), strict=True):
        value = f"{255 * int(flat[start]):0{_VALUE}b}"
        for part in _parts(length):
            kind = next(n for n, width in enumerate(_WIDTHS) if part <= 2**width)
            bits.append(f"1{kind:02b}{part - 1:0{_WIDTHS[kind]}b}{value}")
    text = "".join(bits)
    count = -(-len(text) // 8)
    return int(text.ljust(8 * count, "0"), 2).to_bytes(count, "big")


def _parts(length: int) -> list[int]:
    most = 2 ** _WIDTHS[-1]
    return [most] * (length // most) + [length % most] * bool(length % most)


def painted(data: bytes, height: int, width: int) -> NDArray[np.bool_]:
    """Decode a mask that `brush`, or a person in Label Studio, has painted.

    A pixel belongs to it if its last channel, the opacity, is at least half.

    Args:
        data: stream of bits as described at the top of this module.
        height: H.
        width: W.

    Returns:
        (H, W).

    Raises:
        ValueError: it is no such stream, or has another number of pixels.
    """
    bits, values = _Bits(data), np.zeros(4 * height * width, np.uint8)
    if bits.take(32) != len(values) or bits.take(5) + 1 != _VALUE:
        raise ValueError("a mask of another size")
    widths = [bits.take(4) + 1 for _ in range(4)]
    place = 0
    while place < len(values):
        repeats = bits.take(1)
        end = place + bits.take(widths[bits.take(2)]) + 1
        if end > len(values):
            raise ValueError("more values than pixels")
        values[place:end] = bits.take(_VALUE) if repeats else bits.take_bytes(end - place)
        place = end
    return values[3::4].reshape(height, width) >= 128


class _Bits:
    """Reads numbers from a stream, high bits first."""

    def __init__(self, data: bytes) -> None:
        self._data, self._place = data, 0

    def take(self, count: int) -> int:
        """A number of so many bits."""
        end = self._moved(count)
        last = -(-end // 8)
        part = self._data[(end - count) // 8 : last]
        return int.from_bytes(part, "big") >> (8 * last - end) & ((1 << count) - 1)

    def take_bytes(self, count: int) -> NDArray[np.uint8]:
        """(count,) bytes, which need not begin where those of the stream do."""
        start, shift = divmod(self._moved(8 * count) - 8 * count, 8)
        part = np.frombuffer(self._data[start : start + count + 1] + b"\0", np.uint8)
        pairs = part[:count].astype(np.uint16) << 8 | part[1 : count + 1]
        return (pairs >> (8 - shift) & 255).astype(np.uint8)

    def _moved(self, count: int) -> int:
        self._place += count
        if self._place > 8 * len(self._data):
            raise ValueError("the end is missing")
        return self._place
