"""Photos and masks in two parts, as programs that train segmentation networks read them."""

import json
from pathlib import Path

import numpy as np
from PIL import Image

from picie.errors import ConfigError
from picie.export.formats.layout import (
    ClassTable,
    Labelled,
    Options,
    in_folder,
    indexed,
    put_photo,
)

__all__ = ["SegmentationWriter"]

_VOID = 255
_LIGHTLY_TRAIN = """\
# LightlyTrain: data="lightly_train.yaml" of train_semantic_segmentation
train:
  images: images/train
  masks: masks/train
val:
  images: images/val
  masks: masks/val
classes: classes.json
"""
_MMSEG = """\
# MMSegmentation 1.x: a data set for _base_ of a config; its model sets num_classes={count}
metainfo = dict(
    classes={classes},
    palette={palette},
)
crop_size = (512, 512)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', reduce_zero_label=False),
    dict(type='RandomResize', scale=(2048, 512), ratio_range=(0.5, 2.0), keep_ratio=True),
    dict(type='RandomCrop', crop_size=crop_size, cat_max_ratio=0.75),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PhotoMetricDistortion'),
    dict(type='PackSegInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(2048, 512), keep_ratio=True),
    dict(type='LoadAnnotations', reduce_zero_label=False),
    dict(type='PackSegInputs'),
]
train_dataloader = dict(
    batch_size=4,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict({train}),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict({val}),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU'])
test_evaluator = val_evaluator
"""
_DATASET = """
        type='BaseSegDataset',
        data_root='{{{{ fileDirname }}}}',
        data_prefix=dict(img_path='images/{part}', seg_map_path='masks/{part}'),
        metainfo=metainfo,
        pipeline={pipeline}_pipeline,
    """


class SegmentationWriter:
    """images/{train,val}/<name>.jpg, masks/{train,val}/<name>.png, and what programs ask for.

    Masks are 8-bit grey, the value of a pixel its id, 255 = ignored. classes.json has the names by
    id, lightly_train.yaml and mmseg_dataset.py lead LightlyTrain and MMSegmentation to the files.
    Photos in other formats are re-encoded as JPEG: MMSegmentation wants one extension.

    Args:
        out: the folder.
        classes: ids.
        options: photos; not "none".

    Raises:
        ConfigError: too many classes, or an export without photos.
    """

    def __init__(self, out: Path, classes: ClassTable, options: Options) -> None:
        classes.at_most(_VOID, "segmentation")
        if options.photos == "none":
            raise ConfigError(
                "--photos none: --format segmentation contains its photos; choose copy or link"
            )
        self._out, self._classes, self._options = out, classes, options

    def add(self, labelled: Labelled) -> None:
        """Write one photo and its mask."""
        part = "val" if labelled.name in self._options.validation else "train"
        photo = self._out / "images" / part / f"{labelled.name}.jpg"
        put_photo(labelled, photo, self._options.photos)
        mask = Image.fromarray(indexed(labelled.mask, first=0, void=_VOID))
        mask.save(in_folder(self._out / "masks" / part / f"{labelled.name}.png"), format="PNG")

    def close(self) -> None:
        """Write the names and the configurations."""
        names = dict(enumerate(self._classes.names))
        text = json.dumps(names, indent=1) + "\n"
        (self._out / "classes.json").write_text(text, encoding="ascii")
        (self._out / "lightly_train.yaml").write_text(_LIGHTLY_TRAIN, encoding="ascii")
        text = _MMSEG.format(
            count=len(names),
            classes=ascii(self._classes.names),
            palette=np.asarray(self._classes.colours).tolist(),
            train=_DATASET.format(part="train", pipeline="train"),
            val=_DATASET.format(part="val", pipeline="test"),
        )
        (self._out / "mmseg_dataset.py").write_text(text, encoding="ascii")
