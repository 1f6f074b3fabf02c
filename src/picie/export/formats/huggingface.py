"""A folder for Hugging Face's datasets.load_dataset."""

import json
from pathlib import Path

from PIL import Image

from picie.errors import ConfigError
from picie.export.formats.layout import (
    ClassTable,
    Labelled,
    Options,
    append,
    in_folder,
    indexed,
    put_photo,
)
from picie.inference.model_card import markdown_text
from picie.inference.predict_each import Then

__all__ = ["HuggingFaceWriter"]

_VOID = 255
_HEAD = """\
---
task_categories:
- image-segmentation
configs:
- config_name: default
  drop_labels: true
  data_files:
  - split: train
    path:
    - metadata.jsonl
    - images/**
    - masks/**
---
# Photos with predicted masks

Written by picie. `image` is the photo, `mask` an image of the same size whose values are the ids
below, 255 = ignored. The masks are predictions, not human labels.

```python
from datasets import load_dataset

photos = load_dataset("this/folder", split="train")
```

| id | name |
|---|---|
"""


class HuggingFaceWriter:
    """OUT/images, OUT/masks, metadata.jsonl, id2label.json and a card (README.md).

    `load_dataset(OUT)` gives the columns image and mask; masks are 8-bit grey PNG, 255 = ignored.

    Args:
        out: the folder.
        classes: ids.
        options: photos; not "none".

    Raises:
        ConfigError: too many classes, or an export without photos.
        OSError: the list cannot be created.
    """

    def __init__(self, out: Path, classes: ClassTable, options: Options) -> None:
        classes.at_most(_VOID, "huggingface")
        if options.photos == "none":
            raise ConfigError(
                "--photos none: a data set of --format huggingface contains its photos; choose "
                "copy or link"
            )
        self._out, self._classes, self._options = out, classes, options
        self._rows = out / "metadata.jsonl"
        append(self._rows, "")

    def add(self, labelled: Labelled) -> Then:
        """Write one photo and its mask; the follow-up adds its row to the list."""
        photo, mask = f"images/{labelled.file}", f"masks/{labelled.name}.png"
        put_photo(labelled, self._out / photo, self._options.photos)
        image = Image.fromarray(indexed(labelled.mask, first=0, void=_VOID))
        image.save(in_folder(self._out / mask), format="PNG")
        row = json.dumps({"file_name": photo, "mask_file_name": mask})
        return lambda: append(self._rows, f"{row}\n")

    def close(self) -> None:
        """Write names and card."""
        names = dict(enumerate(self._classes.names))
        text = json.dumps(names, indent=1) + "\n"
        (self._out / "id2label.json").write_text(text, encoding="ascii")
        rows = [f"| {number} | {markdown_text(name)} |\n" for number, name in names.items()]
        (self._out / "README.md").write_text(_HEAD + "".join(rows), encoding="utf-8")
