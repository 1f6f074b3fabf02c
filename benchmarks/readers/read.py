"""Read the exports of make.py with the tools that open them, and compare every mask.

    ENVIRONMENT/bin/python benchmarks/readers/read.py DIR

Runs in the environment of a tool, without picie. Readers whose package is missing are skipped and
named. Prints a line for each format and reader; exits with 1 if one of them finds something else.
"""

import json
import os
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote_to_bytes, urlsplit

import numpy as np

Found = Iterator[tuple[str, Any]]
"""Names of images in the export, each with (H, W) ids of classes, -1 = none."""


def datumaro_voc(folder: Path) -> Found:
    """Pascal VOC."""
    yield from _datumaro(folder / "voc", "voc_segmentation")


def datumaro_cvat(folder: Path) -> Found:
    """The archive for CVAT, whose importer of "Segmentation mask 1.1" is Datumaro's of VOC."""
    with tempfile.TemporaryDirectory() as place:
        with zipfile.ZipFile(folder / "cvat" / "annotations.zip") as archive:
            archive.extractall(place)
        yield from _datumaro(Path(place), "voc_segmentation")


def datumaro_coco(folder: Path) -> Found:
    """COCO's run-lengths."""
    yield from _datumaro(folder / "coco", "coco_instances", first=0)


def _datumaro(folder: Path, kind: str, first: int = 1) -> Found:
    import datumaro

    dataset = datumaro.Dataset.import_from(str(folder), kind)
    labels = [label.name for label in dataset.categories()[datumaro.AnnotationType.label]]
    print("   classes:", labels[first:])
    for item in dataset:
        ids = None
        for one in item.annotations:
            if not hasattr(one, "image"):
                continue
            inside = np.asarray(one.image, bool)
            ids = np.full(inside.shape, -1) if ids is None else ids
            ids[inside] = one.label - first
        yield item.id, ids


def coco(folder: Path) -> Found:
    """COCO's run-lengths."""
    yield from _pycocotools(folder / "coco")


def coco_polygons(folder: Path) -> Found:
    """COCO's polygons."""
    yield from _pycocotools(folder / "coco-polygons")


def _pycocotools(folder: Path) -> Found:
    from pycocotools.coco import COCO

    read = COCO(folder / "annotations" / "instances_default.json")
    for number, image in read.imgs.items():
        assert (folder / "images" / image["file_name"]).is_file()
        ids = np.full((image["height"], image["width"]), -1)
        for one in read.loadAnns(read.getAnnIds(number)):
            ids[read.annToMask(one) > 0] = one["category_id"] - 1
        yield image["file_name"], ids


def label_studio(folder: Path) -> Found:
    """Brush predictions, checked against the labelling interface."""
    from label_studio_sdk.converter.brush import decode_rle
    from label_studio_sdk.label_interface import LabelInterface

    interface = LabelInterface((folder / "labelstudio" / "label_config.xml").read_text("utf-8"))
    labels = list(interface.get_control("brush").labels)
    print("   classes:", labels)
    for task in json.loads((folder / "labelstudio" / "tasks.json").read_text()):
        [place] = parse_qs(urlsplit(task["data"]["image"]).query)["d"]
        assert (folder / place).is_file(), place
        [prediction] = task["predictions"]
        assert interface.validate_prediction(prediction)
        ids = None
        for one in prediction["result"]:
            shape = one["original_height"], one["original_width"]
            ids = np.full(shape, -1) if ids is None else ids
            inside = decode_rle(one["value"]["rle"]).reshape(*shape, 4)[..., 3] > 0
            ids[inside] = labels.index(one["value"]["brushlabels"][0])
        yield place.removeprefix("labelstudio/images/"), ids


def ultralytics(folder: Path) -> Found:
    """YOLO's polygons, as they are loaded for training."""
    from pycocotools import mask as coding
    from ultralytics.data.dataset import YOLODataset
    from ultralytics.data.utils import check_det_dataset

    data = check_det_dataset(str(folder / "yolo" / "data.yaml"), autodownload=False)
    print("   classes:", list(data["names"].values()))
    dataset = YOLODataset(img_path=data["train"], data=data, task="segment", cache=False)
    for label in dataset.labels:
        height, width = label["shape"]
        ids = np.full((height, width), -1)
        for number, ring in zip(label["cls"][:, 0], label["segments"], strict=True):
            flat = (ring * (width, height)).round(3).ravel().tolist()
            ids[coding.decode(coding.frPyObjects([flat], height, width))[..., 0] > 0] = number
        yield Path(label["im_file"]).stem, ids


def hugging_face(folder: Path) -> Found:
    """A folder for datasets.load_dataset."""
    import datasets

    with tempfile.TemporaryDirectory() as cache:
        read = datasets.load_dataset(str(folder / "huggingface"), split="train", cache_dir=cache)
        read = read.cast_column("image", datasets.Image(decode=False))
        start = str(folder / "huggingface" / "images") + "/"
        for row in read:
            path = row["image"]["path"]
            yield path.removeprefix(start), _without_void(np.asarray(row["mask"]))


def torchvision_cityscapes(folder: Path) -> Found:
    """The tree of Cityscapes."""
    from torchvision.datasets import Cityscapes

    root = folder / "cityscapes"
    read = Cityscapes(str(root), split="train", mode="fine", target_type="semantic")
    start = str(root / "leftImg8bit" / "train") + "/"
    for number, path in enumerate(read.images):
        name = path.removeprefix(start).removesuffix("_leftImg8bit.png")
        yield name, _without_void(np.asarray(read[number][1]))


def fiftyone(folder: Path) -> Found:
    """FiftyOne's segmentation directory, through its importer, which needs no database."""
    from fiftyone.utils.data.importers import ImageSegmentationDirectoryImporter

    root = folder / "fiftyone"
    importer = ImageSegmentationDirectoryImporter(str(root), load_masks=True, compute_metadata=True)
    with importer:
        for path, metadata, label in importer:
            ids = np.asarray(label.mask).astype(int) - 1
            assert ids.shape == (metadata.height, metadata.width)
            yield os.path.splitext(os.path.relpath(path, root / "data"))[0], ids


def fiftyone_coco(folder: Path) -> Found:
    """COCO's polygons, through FiftyOne's importer."""
    from fiftyone.utils.coco import COCODetectionDatasetImporter

    root = folder / "coco-polygons"
    importer = COCODetectionDatasetImporter(
        data_path=str(root / "images"),
        labels_path=str(root / "annotations" / "instances_default.json"),
        label_types="segmentations",
    )
    with importer:
        print("   classes:", importer.get_dataset_info()["classes"])
        for path, metadata, _ in importer:
            assert metadata.width
            yield os.path.relpath(path, root / "images"), None  # counts the images only


def lightly_train(folder: Path) -> Found:
    """Both parts of `segmentation`, as LightlyTrain pairs and reads them for training."""
    import yaml
    from lightly_train._data import file_helpers
    from lightly_train._data.mask_semantic_segmentation_dataset import (
        MaskSemanticSegmentationDataArgs,
    )

    root = folder / "segmentation"
    data = yaml.safe_load((root / "lightly_train.yaml").read_text("utf-8"))
    args = MaskSemanticSegmentationDataArgs(**data)
    args.resolve_data_paths(root)
    print("   classes:", list(args.included_classes.values()))
    for part in (args.get_train_args(), args.get_val_args()):
        for one in part.list_image_info():
            name = Path(one["image_filepaths"]).relative_to(part.image_dir)
            mask = file_helpers.open_mask_numpy(Path(one["mask_filepaths"]))
            yield str(name).removesuffix(".jpg"), _without_void(mask)


def mmsegmentation(folder: Path) -> Found:
    """Both parts of `segmentation`, through the data sets that its configuration describes."""
    from mmengine.config import Config
    from mmseg.datasets import BaseSegDataset, LoadAnnotations

    config = Config.fromfile(folder / "segmentation" / "mmseg_dataset.py")
    for loader in (config.train_dataloader, config.val_dataloader):
        settings = {key: value for key, value in loader.dataset.items() if key != "type"}
        read = BaseSegDataset(**{**settings, "pipeline": []})
        print("   classes:", list(read.metainfo["classes"]))
        for number in range(len(read)):
            one = read[number]
            name = Path(one["img_path"]).relative_to(read.data_prefix["img_path"])
            mask = LoadAnnotations()(one)["gt_seg_map"]
            yield str(name).removesuffix(".jpg"), _without_void(mask)


def _without_void(values: Any) -> Any:
    return np.where(values == 255, -1, values.astype(int))


READERS: dict[Callable[[Path], Found], tuple[str, str]] = {
    datumaro_voc: ("voc", "datumaro"),
    datumaro_cvat: ("cvat", "datumaro"),
    datumaro_coco: ("coco", "datumaro"),
    coco: ("coco", "pycocotools"),
    coco_polygons: ("coco-polygons", "pycocotools"),
    label_studio: ("labelstudio", "label_studio_sdk"),
    ultralytics: ("yolo", "ultralytics"),
    hugging_face: ("huggingface", "datasets"),
    torchvision_cityscapes: ("cityscapes", "torchvision"),
    fiftyone: ("fiftyone", "fiftyone"),
    fiftyone_coco: ("coco-polygons", "fiftyone"),
    lightly_train: ("segmentation", "lightly_train"),
    mmsegmentation: ("segmentation", "mmseg"),
}


def compared(folder: Path, format: str, found: Found) -> tuple[int, float, list[str]]:
    """Number of images, share of pixels that agree, and what is missing or unknown."""
    listed = json.loads((folder / "expected" / "masks.json").read_text())
    masks: dict[bytes, str] = {bytes.fromhex(name): file for name, file in listed["masks"].items()}
    origins = json.loads((folder / format / "names.json").read_text())["images"]
    origins |= {os.path.splitext(name)[0]: file for name, file in origins.items()} | origins
    stems = {os.path.splitext(os.fsdecode(name))[0]: name for name in reversed(list(masks))}
    count, right, pixels, problems = 0, 0, 0, []
    left = set(masks)
    for name, ids in found:
        path = os.fsencode(origins.get(name, name))
        path = path if path in masks else stems.get(name, path)
        if path not in left:
            problems.append(f"unknown or twice: {name!r}")
            continue
        left.remove(path)
        count += 1
        if name in origins and "~" not in name and format not in ("yolo", "cityscapes"):
            back = unquote_to_bytes(name)
            assert path in (back, os.path.splitext(back)[0]) or path.startswith(back + b"."), name
        if ids is not None:
            expected = np.load(folder / "expected" / masks[path])
            right += int((ids == expected).sum()) if ids.shape == expected.shape else 0
            pixels += expected.size
    problems += [f"missing: {path!r}" for path in sorted(left)]
    return count, right / pixels if pixels else 1.0, problems


def main(folder: Path) -> int:
    """Compare with every reader that is installed."""
    failed = False
    for reader, (format, package) in READERS.items():
        try:
            __import__(package)
        except ImportError as error:
            print(f"{format}: skipped, {package} is not installed here ({error})")
            continue
        distribution = {"mmseg": "mmsegmentation"}.get(package, package.replace("_", "-"))
        print(f"{format}: {package} {version(distribution)}")
        count, share, problems = compared(folder, format, reader(folder))
        print(f"   {count} images, {share:.3%} of the pixels agree", *problems[:5], sep="\n   ")
        failed |= bool(problems) or share < 0.999
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).resolve()))
