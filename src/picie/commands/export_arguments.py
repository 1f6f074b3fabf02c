"""What the verb `export` takes."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro
from tyro.conf import Positional

__all__ = ["Export"]


@dataclass(frozen=True)
class Export:
    """Write masks in the form that another tool opens, or the model in a form that others run.

    With --format the photos of --images are segmented and the folder --out is written:
    png (indexed PNG), coco (JSON, run-lengths or polygons), voc (Pascal VOC), cvat ("Segmentation
    mask 1.1" archive), labelstudio (brush predictions), yolo (polygons), cityscapes, huggingface
    (a folder for datasets.load_dataset), fiftyone, geotiff and geopackage (rasters keep their
    coordinate system). docs/export.md says for each what opens it and how. The folder appears whole
    or not at all. With --model the network itself is written to the file --out instead. Exactly one
    of the two is given.
    """

    run: Annotated[Positional[Path], tyro.conf.arg(metavar="RUN")]
    """Run folder of a trained model."""
    out: Path
    """Folder to make (--format), or file to write (--model)."""
    format: (
        Literal[
            "png",
            "coco",
            "voc",
            "cvat",
            "labelstudio",
            "yolo",
            "cityscapes",
            "huggingface",
            "fiftyone",
            "geotiff",
            "geopackage",
        ]
        | None
    ) = None
    """Form of the masks."""
    model: Literal["onnx", "torch"] | None = None
    """Form of the network."""
    images: Annotated[Path | None, tyro.conf.arg(metavar="PHOTOS")] = None
    """A photo or a folder of them, for --format."""
    split: str = ""
    """List file inside the folder, by stem."""
    photos: Literal["copy", "link", "none"] = "copy"
    """How photos come into the layouts that hold them: copied, as hard links (no further space; a
    program that changes one in place changes yours), or not at all. Photos that the camera stored
    turned are written anew, upright as their masks are."""
    polygons: bool = False
    """coco: a polygon for each connected region, in place of run-lengths for each class."""
    tolerance: float = 0.0
    """Most pixels by which polygons may leave the border of the mask to save corners; 0 = none, the
    polygons follow the pixels exactly."""
    bands: tuple[int, ...] = ()
    """geotiff, geopackage: the three bands, from 1, that are shown as red, green and blue, or one
    for grey; the first three (or the only one) if left out."""
    stretch: tuple[float, float] | None = None
    """geotiff, geopackage: the values of the bands that are shown as black and white. As stored if
    left out where bands hold bytes, else the 2nd and 98th per cent of each raster."""
    clusters: int | None = None
    """Another number of clusters than in training, as in picie predict."""
    size: int | None = None
    """Short side in pixels at which the network sees a photo, a multiple of 32; as in training if
    left out, and for rasters (geotiff, geopackage) one pixel for each of theirs."""
    scales: tuple[float, ...] = ()
    """Sizes at which the network sees a photo, as factors of --size, as in picie predict."""
    refine: int | None = None
    """Iterations that draw the borders of masks to edges, as in picie predict."""
    tile: int = 1024
    """Most pixels of a side that go through the network at once, as in picie predict."""
    batch_size: int = 8
    """Most photos of one size that go through the network together."""
    workers: int = -1
    """Threads that read photos, and as many that write masks, while the network computes; 0 = none,
    -1 = chosen from the cores."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """Of the network's arithmetic; auto = bf16 on a CUDA device that has it, else fp32."""
    device: str = ""
    """auto, cpu, cuda or mps; as in training if empty."""
    opset: int = 18
    """Version of ONNX's operators, for --model onnx."""
    overwrite: bool = False
    """Replace the export that is already there; other files are never replaced by a folder."""
    quiet: bool = False
    """Show no progress."""
