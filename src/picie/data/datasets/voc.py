"""PASCAL VOC 2012 (Everingham et al., IJCV 2010), 20 object classes and the background.

VOC2012/
├── JPEGImages/<name>.jpg
├── SegmentationClass/<name>.png
├── SegmentationClassAug/<name>.png                     for trainaug only
└── ImageSets/Segmentation/{train,val,trainval,trainaug}.txt

Splits: train (1,464), val (1,449), trainval (2,913); trainaug (10,582) adds the labels of SBD
(Hariharan et al., ICCV 2011), whose masks and list are a separate download; `pictures` takes every
image, for training. Masks are palette images with the ids 0 to 20; 255, the object boundaries, is
void. There is no partition into things and stuff: all classes except the background are things.
"""

from picie.data.datasets.dataset import Dataset, Layout, Part, voc_colours
from picie.data.masks import LabelCode

__all__ = ["VOC21"]

_CLASSES = [
    "background",
    "aeroplane",
    "bicycle",
    "bird",
    "boat",
    "bottle",
    "bus",
    "car",
    "cat",
    "chair",
    "cow",
    "dining table",
    "dog",
    "horse",
    "motorbike",
    "person",
    "potted plant",
    "sheep",
    "sofa",
    "train",
    "tv monitor",
]


def _part(split: str, masks: str = "SegmentationClass") -> Part:
    return Part(images="JPEGImages", masks=masks, names=f"ImageSets/Segmentation/{split}.txt")


VOC21 = Dataset(
    classes=tuple(_CLASSES),
    code=LabelCode("voc21", tuple(range(len(_CLASSES)))),
    layouts=(
        Layout(
            tree=(
                "JPEGImages/<name>.jpg\n"
                "SegmentationClass/<name>.png\n"
                "SegmentationClassAug/<name>.png   (trainaug)\n"
                "ImageSets/Segmentation/{train,val,trainval,trainaug}.txt"
            ),
            parts={
                "train": _part("train"),
                "val": _part("val"),
                "trainval": _part("trainval"),
                "trainaug": _part("trainaug", "SegmentationClassAug"),
                "pictures": Part(images="JPEGImages", masks="SegmentationClass"),
            },
        ),
    ),
    palette=voc_colours(len(_CLASSES)),
)
"""The 20 object classes and the background."""
