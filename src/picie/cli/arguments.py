"""What each verb takes; `train` also takes every field of `Config` (parsing.py)."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro
from tyro.conf import Positional
from tyro.constructors import PrimitiveConstructorSpec

from picie.config import Config
from picie.runtime.storage import path_or_address

__all__ = [
    "Audit",
    "Bench",
    "Completion",
    "Demo",
    "Evaluate",
    "Export",
    "Info",
    "Location",
    "MaskFlags",
    "Measure",
    "Name",
    "Predict",
    "Queue",
    "ReadingFlags",
    "Report",
    "Serve",
    "Studio",
    "Teach",
    "Train",
]


def _location(args: list[str]) -> Path | str:
    """A path, or an address as it stands: as a path, s3://a would be s3:/a."""
    return path_or_address(args[0])


Location = Annotated[
    Path | str,
    PrimitiveConstructorSpec(
        nargs=1,
        metavar="PATH",
        instance_from_str=_location,
        is_instance=lambda value: isinstance(value, Path | str),
        str_from_instance=lambda value: [str(value)],
    ),
]
"""A file or folder of this machine, or its address in a storage."""


@dataclass(frozen=True)
class ReadingFlags:
    """How deep, many-band, many-page and huge images are read: as in training, where left out."""

    stretch: tuple[float, float] | None = None
    """Values that become black and white in images of any other type than 8 bits. If training has
    not chosen them, they are chosen from a sample of the images."""
    bands: tuple[int, ...] = ()
    """Bands, counted from 1, that become red, green and blue, or one for grey. Separate them by
    spaces or commas."""
    pages: Literal["first", "all"] | None = None
    """Of files with several pages or frames: the first one, or each as an image of its own."""
    max_pixels: int | None = None
    """Most pixels of an image or of a mask; larger files are refused before they are decoded."""

    def given(self) -> dict[str, Any]:
        """The arguments of `Segmenter.read_as`."""
        return {**vars(self), "bands": self.bands or None}


@dataclass(frozen=True)
class MaskFlags:
    """How the labels in masks are read."""

    void: str = "auto"
    """Value in masks that is void: a number, or none if no value is. auto = 255, unless a single
    class is left: then 255 may be a class, and an error says so."""
    mask_map: Annotated[tuple[str, ...], tyro.conf.arg(metavar="VALUE=ID ...")] = ()
    """Class ids of other values in masks, if they are not the ids: 255=1 128=void."""
    mask_orientation: Literal["auto", "stored", "shown"] = "auto"
    """What masks of photos with an EXIF orientation are drawn on: the photo as it is stored, or as
    viewers show it. auto = shown, unless the sizes or the borders in the masks speak against it."""


@dataclass(frozen=True)
class Train:
    """Learn to segment a folder of photos, without labels.

    PHOTOS is any folder of images (.jpg, .png, .tif and others). It is searched recursively; if it
    has a folder images/, only that one is. With --dataset it is the root of a known data set. The
    run folder gets the model, all settings (config.toml), curves (metrics.jsonl), checks that need
    no labels (health.json) and a log. Resume an interrupted run with --resume RUN.
    """

    data: Annotated[Positional[Location | None], tyro.conf.arg(metavar="PHOTOS")] = None
    """Folder of images, or its address: s3://bucket/photos."""
    out: Annotated[Path | None, tyro.conf.arg(metavar="RUN")] = None
    """Run folder to create."""
    preset: Literal["default", "best", "reference", "paper"] = "default"
    """Set of defaults: default (few photos, a CPU), best (best masks, slower to predict), reference
    (the authors' code) or paper (the paper's text)."""
    config: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """A config.toml to start from; flags override it."""
    resume: Annotated[Path | None, tyro.conf.arg(metavar="RUN")] = None
    """Resume the run in this folder with its own settings. Only --device, --workers, the --cache
    flags, --accept-changes, --profile and --quiet can be added."""
    accept_changes: bool = False
    """Resume although images were removed, added or changed since the run began."""
    overwrite: bool = False
    """Replace the run that is already in --out."""
    profile: bool = False
    """Measure the time of each part, and print it at the end."""
    quiet: bool = False
    """Show no progress."""


@dataclass(frozen=True)
class Predict:
    """Write a mask for a photo, or for every photo of a folder.

    Masks are PNG files of the photo's size; the value of a pixel is its cluster (an index into a
    palette, so viewers show colours). The same cluster has the same colour in every image. If the
    command was stopped, run it again: finished masks are kept.
    """

    run: Annotated[Positional[Path], tyro.conf.arg(metavar="RUN")]
    """Run folder of a trained model."""
    source: Annotated[Positional[Location], tyro.conf.arg(metavar="PHOTOS")]
    """A photo or a folder of them, or its address: s3://bucket/photos."""
    out: Location
    """Folder for the masks, or its address; subfolders are kept."""
    clusters: int | None = None
    """Another number of clusters than in training: merges or splits clusters along the tree, up to
    the number of centroids of the model (picie info shows it). Nothing is trained."""
    split: str = ""
    """List file inside the folder, by stem."""
    overlay: bool = False
    """Also write photo and mask blended, to OUT/overlays/, with a name or number in large regions
    and a legend below the photo."""
    plain_overlay: bool = False
    """Also write photo and mask blended at the size of the photo, without any text, to
    OUT/plain_overlays/."""
    confidence: bool = False
    """Also write how probable it is that the class of each pixel is right, to OUT/confidence/: grey
    images, 0 = 0 %, 255 = 100 %. OUT/masks.jsonl always holds the mean of each photo."""
    overwrite: bool = False
    """Compute all masks again, and replace those that picie wrote, for example with another model.
    Other files, and masks that were changed since, are never replaced."""
    shard: str = ""
    """Write only one part of the masks, say 3/16: the third of 16, by the hash of the name. Start
    one process for each part; then the command without --shard completes and merges their lists."""
    engine: Literal["local", "ray"] = "local"
    """ray: processes of Ray do the work, on this machine or on the cluster at RAY_ADDRESS."""
    batch_size: int = 8
    """Maximum number of photos in a batch; a batch holds photos of one size."""
    size: int | None = None
    """Short side in pixels at which the network sees a photo, a multiple of 32; as in training if
    left out."""
    scales: tuple[float, ...] = ()
    """Sizes at which the network sees a photo, as factors of --size, say 1 1.5; their logits are
    averaged. As in training if left out."""
    refine: int | None = None
    """Iterations of boundary refinement, which aligns masks with edges of the photo, say 10; 0 =
    none. As in training if left out."""
    fast: bool = False
    """Faster and less exact: no boundary refinement, and one scale."""
    min_region: int = 0
    """Give the pixels of smaller regions, in pixels, to the classes around them; 0 = keep all."""
    tile: int = 1024
    """Longest side processed at once, a multiple of 32 from 128. Anything larger is cut into
    overlapping tiles, which are blended. 0 = never tile."""
    workers: int = -1
    """Threads that read photos, and as many that write masks, while the network computes; 0 = none,
    -1 = chosen from the cores. With --engine ray, the maximum number of processes."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """Precision of the network; auto = bf16 on a CUDA device that has it, else fp32. On a processor
    made for bf16 (AVX512-BF16, AMX), bf16 is faster and changes a few percent of the pixels."""
    device: str = ""
    """auto, cpu, cuda or mps; as in training if empty."""
    reading: Annotated[ReadingFlags, tyro.conf.OmitArgPrefixes] = ReadingFlags()
    quiet: bool = False
    """Show no progress."""


@dataclass(frozen=True)
class Measure:
    """Write a table of what masks hold: how much of each class is in each photo.

    Each row is a class of a photo: its pixels, its share of the photo, its number of regions, and
    how sure the model is. With --regions each row is a connected region: area, box, centroid,
    perimeter, mean colour. Areas are in real units too, if the size of a pixel is known.
    docs/measure.md describes all columns. If the command was stopped, run it again: it goes on.
    """

    run: Annotated[Positional[Path], tyro.conf.arg(metavar="RUN")]
    """Run folder of a trained model, best with names."""
    source: Annotated[Positional[Location], tyro.conf.arg(metavar="PHOTOS")]
    """A photo or a folder of them, or its address."""
    out: Path
    """The table, a file that ends in .parquet or .csv."""
    regions: bool = False
    """A row for each connected region, instead of one for each class of a photo."""
    pixel_size: Annotated[str, tyro.conf.arg(metavar="0.05|0.65um")] = ""
    """Side of a pixel: a number in metres, or with one of the units nm, um, mm, cm, m, km. Left
    out, it is read from GeoTIFFs in a projected coordinate system, and unknown for other photos."""
    clusters: int | None = None
    """Another number of clusters than in training, as in picie predict."""
    split: str = ""
    """List file inside the folder, by stem."""
    overwrite: bool = False
    """Replace a table that picie wrote; other files are never replaced."""
    batch_size: int = 8
    """Maximum number of photos in a batch; a batch holds photos of one size."""
    size: int | None = None
    """Short side in pixels at which the network sees a photo, as in picie predict."""
    scales: tuple[float, ...] = ()
    """Sizes at which the network sees a photo, as factors of --size, as in picie predict."""
    refine: int | None = None
    """Iterations of boundary refinement, as in picie predict."""
    min_region: int = 0
    """Give the pixels of smaller regions, in pixels, to the classes around them; 0 = keep all."""
    tile: int = 1024
    """Longest side processed at once, as in picie predict."""
    workers: int = -1
    """Threads that read photos, and as many that measure, while the network computes; 0 = none,
    -1 = chosen from the cores."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """Precision of the network, as in picie predict."""
    device: str = ""
    """auto, cpu, cuda or mps; as in training if empty."""
    reading: Annotated[ReadingFlags, tyro.conf.OmitArgPrefixes] = ReadingFlags()
    quiet: bool = False
    """Show no progress."""


@dataclass(frozen=True)
class Evaluate:
    """Score a model against labels: pixel accuracy and dataset mIoU after one global matching.

    DATA holds images/, masks/ (same stem, .png, class ids from 0, 255 = void) and classes.txt; with
    --dataset it is the root of a known data set. If the model has names that are in classes.txt,
    its classes are scored by name instead, and the result says USES NAMES. Of each class the table
    shows IoU, recall (its accuracy), precision and share of the pixels. If a data set defines
    groups of classes, such as things and stuff, they are scored in three ways, each with its own
    name. Only scores of the same protocol are comparable; every result states its protocol.
    """

    run: Annotated[Positional[Path], tyro.conf.arg(metavar="RUN")]
    """Run folder of a trained model."""
    data: Annotated[Positional[Location], tyro.conf.arg(metavar="DATA")]
    """Labelled folder, or its address: s3://bucket/labelled."""
    split: str = ""
    """List file inside DATA, by stem: val reads val.txt; empty = all; train+val, 0001* and !0001*
    as in picie train. With --dataset one of its splits, or several joined by +."""
    dataset: Annotated[str, tyro.conf.arg(help=Config.model_fields["dataset"].description)] = ""
    clusters: int | None = None
    """Another number of clusters than in training, as in picie predict."""
    size: int | None = None
    """Short side in pixels at which the network sees an image; as in training if left out."""
    scales: tuple[float, ...] = ()
    """Sizes at which the network sees an image, as factors of --size, as in picie predict."""
    refine: int | None = None
    """Iterations of boundary refinement, as in picie predict."""
    crop: Literal["center", "none"] = "center"
    """Score the square centre crop (the paper's protocol), or whole images at their own size."""
    match: Literal["hungarian", "majority"] = "hungarian"
    """One cluster per class, or the most frequent class for each cluster. Scores of the two are not
    comparable."""
    fresh_clusters: int = 0
    """Also fit this many sets of centroids on unaugmented training images; gives mean and sd."""
    bootstrap: int = 0
    """Resample the images this often, say 1000, for 95 % intervals of accuracy and mIoU: the
    variation due to the choice of images, not to the seed of training. 0 = none."""
    bootstrap_rematch: bool = False
    """Match clusters again in each resample; otherwise they keep the classes of the whole set."""
    probe: Literal["none", "linear", "knn", "both"] = "none"
    """Also train a classifier on the frozen features, WITH the labels of --probe-split: an upper
    bound for clusters, never a result without labels."""
    probe_split: str = ""
    """List file of the images that a probe learns from, such as train; none of them may be
    scored."""
    neighbours: int = 20
    """Most similar feature pixels that vote in the knn probe."""
    seed: int = 0
    """Seed of the bootstrap and of the probe samples."""
    named: bool = False
    """Score the masks of picie predict by the names of their classes, without matching. This is the
    default if a name in classes.toml is a class of classes.txt. Pixels without such a name, and
    ignored ones, are errors."""
    clusters_only: Annotated[bool, tyro.conf.arg(aliases=["--no-named"])] = False
    """Score the clusters after matching, whether or not they have names."""
    masks: Annotated[MaskFlags, tyro.conf.OmitArgPrefixes] = MaskFlags()
    json: Path | None = None
    """Write all scores, the protocol and the confusion matrix to this file; only earlier scores are
    replaced. - is standard output; tables are then shown on standard error."""
    confusion: Path | None = None
    """Draw the confusion matrix to this .png file; only an earlier one is replaced."""
    device: str = ""
    """auto, cpu, cuda or mps; as in training if empty."""
    reading: Annotated[ReadingFlags, tyro.conf.OmitArgPrefixes] = ReadingFlags()
    quiet: bool = False
    """Show no progress."""


@dataclass(frozen=True)
class Audit:
    """Check pixels by eye, and learn how good the masks of a folder are, without labels.

    The command predicts a random sample of at most 100 of the photos, draws pixels from each
    predicted class, and asks for each of them whether its class is right. It shows the path of an
    image to look at: the photo around the pixel, and the same with everything dark that is not of
    the class. The result is the accuracy of the masks of all photos and the precision of each
    class, with 95 % intervals. Answers are kept in RUN/annotations.jsonl, so that the same command
    goes on where it was stopped. docs/audit.md says how it works.

    Answers: right, wrong, the name of the true class, skip, undo, quit; or the first letter of a
    word. An = before a name makes anything a name: =sky, =q.
    """

    run: Annotated[Positional[Path], tyro.conf.arg(metavar="RUN")]
    """Folder of a model whose clusters have names."""
    source: Annotated[Positional[Path], tyro.conf.arg(metavar="PHOTOS")]
    """A folder of photos."""
    checks: int = 100
    """Pixels to check, those of earlier calls included."""
    answers: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Take the answers from this file, one a line, for the next checks in their order; lines that
    begin with # are comments. Without a terminal, answers are read from standard input."""
    summary: bool = False
    """Ask nothing; show the result so far."""
    seed: int = 0
    """Seed of the sample; another one gives other checks."""
    split: str = ""
    """List file inside the folder, by stem."""
    size: int | None = None
    """Short side in pixels at which the network sees a photo, as in picie predict: check the masks
    that you use."""
    scales: tuple[float, ...] = ()
    """Sizes at which the network sees a photo, as factors of --size, as in picie predict."""
    refine: int | None = None
    """Iterations of boundary refinement, as in picie predict."""
    json: Path | None = None
    """Write the result to this file; only an earlier one is replaced. - is standard output;
    everything else is then shown on standard error."""
    device: str = ""
    """auto, cpu, cuda or mps; as in training if empty."""
    reading: Annotated[ReadingFlags, tyro.conf.OmitArgPrefixes] = ReadingFlags()
    quiet: bool = False
    """Show no progress."""


@dataclass(frozen=True)
class Bench:
    """Compare systems over data sets, seeds and backbones, as described by a suite.

    Every run is trained, scored and recorded; table.md and table.html are rewritten after each.
    Repeating the command skips finished runs, resumes an interrupted one and retries failed ones.
    docs/benchmarks.md describes suites.
    """

    suite: Annotated[Positional[Path], tyro.conf.arg(metavar="SUITE.toml")]
    """The suite, a TOML file."""
    out: Path
    """Folder for the results."""
    data: Path = Path()
    """Folder that paths of data sets are relative to."""
    only: str = ""
    """Run only the runs whose name contains this; * and ? are wildcards."""
    list: bool = False
    """List the runs and their progress; run nothing."""
    skip_missing: bool = False
    """Skip missing data sets."""
    overwrite: bool = False
    """Repeat runs that no longer match the suite; keep the others."""
    quiet: bool = False
    """Show no progress."""


@dataclass(frozen=True)
class Info:
    """Show the settings and progress of a run, or list backbones."""

    run: Annotated[Positional[Path | None], tyro.conf.arg(metavar="RUN")] = None
    """Run folder."""
    backbones: str = ""
    """Instead of a run: list the networks with weights whose names contain this, for --backbone,
    and which settings the names imply; * and ? are wildcards. docs/backbones.md says which kinds
    work."""


@dataclass(frozen=True)
class Completion:
    """Print a script with which a shell completes verbs, flags and values of picie.

    docs/completion.md says where each shell looks for it. For bash:

      picie completion bash > ~/.local/share/bash-completion/completions/picie

    The script starts no Python: it holds all flags of this version.
    """

    shell: Annotated[Positional[Literal["bash", "zsh", "fish"]], tyro.conf.arg(metavar="SHELL")]
    """bash, zsh or fish."""


@dataclass(frozen=True)
class Demo:
    """Run the whole workflow on generated scenes: write, train, score, predict, show.

    Needs no images and no network; takes about a minute on two idle CPU cores.
    """

    out: Path = Path("runs/demo")
    """Folder for the scenes, the run, the masks and the image sheet."""
    seed: int = 0
    """Seed of the scenes and of the training."""
    overwrite: bool = False
    """Replace an earlier demo; other files are never replaced."""
    quiet: bool = False
    """Show no progress."""


@dataclass(frozen=True)
class Export:
    """Write masks in the format of another tool, or the model in a portable format.

    With --format the photos of --images are segmented and the folder --out is written:
    png (indexed PNG), coco (JSON, run-lengths or polygons), voc (Pascal VOC), cvat ("Segmentation
    mask 1.1" archive), labelstudio (brush predictions), yolo (polygons), cityscapes, huggingface
    (a folder for datasets.load_dataset), segmentation (images and masks of train and val, for
    LightlyTrain, MMSegmentation and SMP), fiftyone, geotiff and geopackage (rasters keep their
    coordinate system). docs/export.md says what opens each of them, and how. The export is atomic:
    the folder appears complete or not at all. With --model the network itself is written to the
    file --out instead. Pass one of the two.
    """

    run: Annotated[Positional[Path], tyro.conf.arg(metavar="RUN")]
    """Run folder of a trained model."""
    out: Location
    """Folder to create (--format), or its address, or file to write (--model)."""
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
            "segmentation",
            "fiftyone",
            "geotiff",
            "geopackage",
        ]
        | None
    ) = None
    """Format of the masks."""
    model: Literal["onnx", "torch"] | None = None
    """Format of the network."""
    images: Annotated[Location | None, tyro.conf.arg(metavar="PHOTOS")] = None
    """A photo or a folder of them, or its address, for --format."""
    split: str = ""
    """List file inside the folder, by stem."""
    photos: Literal["copy", "link", "none"] = "copy"
    """How photos enter layouts that contain them: copied, hard-linked (no extra space, but editing
    one in place edits yours), or not at all. Photos stored rotated are rewritten upright, like
    their masks. With none, lists hold the paths of your photos."""
    val: str = "0.2"
    """segmentation: which photos are kept for validation. A share takes runs of neighbours in the
    order of their names, so that nearly equal photos stay together; otherwise a list file or a
    pattern of names, as for --split."""
    polygons: bool = False
    """coco: a polygon for each connected region, instead of run-lengths for each class."""
    tolerance: float = 0.0
    """Largest distance in pixels between a polygon and the boundary of its mask, to save corners;
    0 = polygons follow the pixels exactly."""
    min_area: int | None = None
    """Smallest polygon in pixels, 20 if left out; 0 = any. coco and yolo give the pixels of smaller
    regions to the classes around them, geopackage leaves them out."""
    fast: bool = False
    """Faster and less exact masks: no boundary refinement, and one scale."""
    min_region: int = 0
    """Give the pixels of smaller regions, in pixels, to the classes around them, as in picie
    predict; 0 = keep all. Not for geotiff and geopackage."""
    clusters: int | None = None
    """Another number of clusters than in training, as in picie predict."""
    size: int | None = None
    """Short side in pixels at which the network sees a photo, a multiple of 32; as in training if
    left out, and for rasters (geotiff, geopackage) their own resolution."""
    scales: tuple[float, ...] = ()
    """Sizes at which the network sees a photo, as factors of --size, as in picie predict."""
    refine: int | None = None
    """Iterations of boundary refinement, as in picie predict."""
    tile: int = 1024
    """Longest side processed at once, as in picie predict."""
    batch_size: int = 8
    """Maximum number of photos in a batch; a batch holds photos of one size."""
    workers: int = -1
    """Threads that read photos, and as many that write masks, while the network computes; 0 = none,
    -1 = chosen from the cores."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """Precision of the network; auto = bf16 on a CUDA device that has it, else fp32."""
    device: str = ""
    """auto, cpu, cuda or mps; as in training if empty."""
    opset: int = 18
    """Version of ONNX's operators, for --model onnx."""
    overwrite: bool = False
    """Replace the export that is already there. Other files, and exports to which files were added
    or in which they were changed since, are never replaced."""
    reading: Annotated[ReadingFlags, tyro.conf.OmitArgPrefixes] = ReadingFlags()
    quiet: bool = False
    """Show no progress."""


@dataclass(frozen=True)
class Name:
    """Show the clusters of a model, and give them names.

    Without options it prints the clusters, their colours and names, and which clusters are most
    like them in the tree. Names are kept in RUN/classes.toml, which may be edited by hand as well:
    comments stay. picie predict then writes masks of classes; clusters of one name are one class.
    The model itself does not change, and every change can be undone.

    A number is a cluster. An n and a number is a node of the tree, with everything below it: use
    nodes to merge the clusters of a branch, or to split a cluster.
    """

    run: Annotated[Positional[Path], tyro.conf.arg(metavar="RUN")]
    """Run folder of a trained model."""
    set: Annotated[tuple[str, ...], tyro.conf.arg(metavar="ID,...=NAME ...")] = ()
    """Name clusters and nodes: 3=road 7,9=building n70=vegetation. The name ignore makes their
    pixels void. Quote names with spaces: "3=traffic light". Clusters that
    already have a name move to the new class."""
    unset: Annotated[tuple[str, ...], tyro.conf.arg(metavar="ID ...")] = ()
    """Take the name from these clusters and nodes."""
    clear: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME ...")] = ()
    """Remove these classes; their clusters lose their names."""
    colour: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME=#RRGGBB ...")] = ()
    """Colours of classes in masks: road=#804080. road=auto goes back to the palette."""
    clusters: int | None = None
    """The cut that cluster numbers refer to, as in picie predict --clusters; as in training if
    there are no names yet. More clusters mean more names to give, and finer classes."""
    from_: Annotated[Path | None, tyro.conf.arg(name="from", metavar="LABELLED")] = None
    """A few labelled images that name the clusters: a folder with images/, masks/ and classes.txt,
    in which not every image needs a mask. Each cluster gets the class of most of its labelled
    pixels. Existing names stay."""
    split: str = ""
    """List file inside LABELLED, by stem; empty = all. With --dataset one of its splits."""
    dataset: Annotated[str, tyro.conf.arg(help=Config.model_fields["dataset"].description)] = ""
    min_pixels: int = 1
    """Labelled pixels that a cluster needs to get a name by --from."""
    masks: Annotated[MaskFlags, tyro.conf.OmitArgPrefixes] = MaskFlags()
    overwrite: bool = False
    """Remove all names first."""
    list: bool = False
    """Show the ids in masks: their names and colours, and the clusters that they are made of."""
    init: bool = False
    """Write a RUN/classes.toml to fill in by hand."""
    next: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    """Show N nodes of the tree to look at next: first 24 that need a name, then named ones that may
    hold two things."""
    images: Annotated[Path | None, tyro.conf.arg(metavar="PHOTOS")] = None
    """With --next: show which share of these photos each node has, and ask for the name of the
    largest first."""
    undo: bool = False
    """Take back the last change of names or annotations; again for the one before."""
    redo: bool = False
    """Bring back what the last --undo took away."""
    device: str = ""
    """auto, cpu, cuda or mps, for --from; as in training if empty."""
    reading: Annotated[ReadingFlags, tyro.conf.OmitArgPrefixes] = ReadingFlags()
    quiet: bool = False
    """Show no progress and no list of changes."""


@dataclass(frozen=True)
class Queue:
    """List the images to annotate next.

    The first ones are spread over the folder. After 40 marks, an image comes early if the model
    doubts its classes over a large part of a rare class, and if it differs from images that were
    annotated or come before it. Images with marks in RUN/annotations.jsonl come last. The images
    are read once, and nothing is written.
    """

    run: Annotated[Positional[Path], tyro.conf.arg(metavar="RUN")]
    """Folder of a model, best with names; RUN/taught for what was learnt since."""
    source: Annotated[Positional[Path], tyro.conf.arg(metavar="PHOTOS")]
    """A folder of photos."""
    count: int = 20
    """Number of images to list; 0 = all."""
    split: str = ""
    """List file inside the folder, by stem."""
    device: str = ""
    """auto, cpu, cuda or mps; as in training if empty."""
    reading: Annotated[ReadingFlags, tyro.conf.OmitArgPrefixes] = ReadingFlags()
    quiet: bool = False
    """Show no progress."""


@dataclass(frozen=True)
class Teach:
    """Learn from names, strokes and labelled images, and write a model of its own to RUN/taught.

    The clusters of the run move to where your annotations say that they are wrong; everywhere else
    they stay. The model of the run is not changed. Each call learns from all annotations anew, in
    about a second once the images were seen. The taught model is used like any other:

      picie predict RUN/taught PHOTOS --out masks/

    Annotations are lines of RUN/annotations.jsonl; docs/annotations.md describes them. Masks that
    another tool made are given with --from.
    """

    run: Annotated[Positional[Path], tyro.conf.arg(metavar="RUN")]
    """Folder of a training run, best with names for its clusters."""
    images: Annotated[Path | None, tyro.conf.arg(metavar="PHOTOS")] = None
    """The images that were annotated; those of the training if left out."""
    source: Annotated[Path | None, tyro.conf.arg(name="from", metavar="LABELLED")] = None
    """Learn from labelled images too: a folder with images/, masks/ and classes.txt."""
    annotations: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Take the annotations from this file, or from another run, instead of those of RUN."""
    out: Path | None = None
    """Folder of the taught model; RUN/taught if left out. An earlier taught model is replaced."""
    with_audit: bool = False
    """Learn from the answers of audits too. They then no longer measure this model honestly."""
    device: str = ""
    """auto, cpu, cuda or mps; as in training if empty."""
    quiet: bool = False
    """Show no progress."""


@dataclass(frozen=True)
class Report:
    """Show what a model found, as one self-contained HTML page.

    The page shows the health and the curves of the run, a card for every cluster (typical and
    untypical patches, where in the image it lies, its most similar clusters), photos with their
    masks, and the tree of clusters. Where PHOTOS has masks/ and classes.txt, it shows the scores of
    picie evaluate too. docs/report.md says how to read it.
    """

    run: Annotated[Positional[Path], tyro.conf.arg(metavar="RUN")]
    """Run folder of a trained model."""
    source: Annotated[Positional[Path], tyro.conf.arg(metavar="PHOTOS")]
    """A photo or a folder of them; all are processed."""
    out: Path
    """The page, a file that ends in .html; only an earlier report is replaced."""
    split: str = ""
    """List file inside the folder, by stem."""
    clusters: int | None = None
    """Another number of clusters than in training, as in picie predict."""
    gallery: int = 200
    """Maximum number of photos shown with their masks, 0 to 1000, evenly spaced by name. The page
    stays below 15 MB."""
    size: int | None = None
    """Short side in pixels at which the network sees a photo; as in training if left out."""
    scales: tuple[float, ...] = ()
    """Sizes at which the network sees a photo, as factors of --size, as in picie predict."""
    refine: int | None = None
    """Iterations of boundary refinement, as in picie predict."""
    masks: Annotated[MaskFlags, tyro.conf.OmitArgPrefixes] = MaskFlags()
    workers: int = -1
    """Threads that read photos while the network computes; 0 = none, -1 = chosen from the cores."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """Precision of the network, as in picie predict."""
    device: str = ""
    """auto, cpu, cuda or mps; as in training if empty."""
    reading: Annotated[ReadingFlags, tyro.conf.OmitArgPrefixes] = ReadingFlags()
    quiet: bool = False
    """Show no progress."""


@dataclass(frozen=True)
class Serve:
    """Answer another program that asks for masks while people annotate.

    With --label-studio it is a machine-learning backend of Label Studio: connect the printed
    address in Settings > Model. Label Studio then shows brush masks, and what is submitted or
    updated there becomes annotations of the run, which picie teach learns from. Images are never
    fetched: those of the tasks are looked for in PHOTOS by the end of their address. Ctrl-C ends
    it. docs/label-studio.md says how to set it up.
    """

    run: Annotated[Positional[Path], tyro.conf.arg(metavar="RUN")]
    """Run folder of a trained model, best with names; RUN/taught for what was learnt since."""
    photos: Annotated[Positional[Path], tyro.conf.arg(metavar="PHOTOS")]
    """The folder of photos that the tasks show."""
    label_studio: bool = False
    """Speak with Label Studio."""
    port: int = 9090
    """Port to answer at; 0 = a free one."""
    host: str = "127.0.0.1"
    """Address to answer at. Other than this one lets other machines reach it, over a connection
    that is not encrypted; they need the secret in the printed address."""
    device: str = ""
    """auto, cpu, cuda or mps; as in training if empty."""
    quiet: bool = False
    """Print nothing but the address."""


@dataclass(frozen=True)
class Studio:
    """Open a page in the browser to see, name, correct, check and export what a model finds.

      picie studio RUN PHOTOS        a trained model on photos
      picie studio PHOTOS            no model yet: the page trains one first

    Everything happens on this machine. What you do is saved at once, in RUN, as picie name and
    picie teach keep it; start it again and go on. Ctrl-C ends it.
    """

    run: Annotated[Positional[Path], tyro.conf.arg(metavar="[RUN]")]
    """Run folder of a trained model. Without one, the folder of photos comes first."""
    photos: Annotated[Positional[Path | None], tyro.conf.arg(metavar="PHOTOS")] = None
    """A folder of photos; those of the training if only RUN is given."""
    out: Annotated[Path | None, tyro.conf.arg(metavar="RUN")] = None
    """Run folder to create for PHOTOS; runs/ and the name of the folder if left out. If it holds a
    run of these photos already, that one is opened."""
    split: str = ""
    """List file inside PHOTOS, by stem; empty = all."""
    port: int = 0
    """Port of the page; 0 = a free one."""
    host: str = "127.0.0.1"
    """Address that the page is served at. Other than this one lets other machines reach it, over
    a connection that is not encrypted; they need the token in the printed address."""
    no_browser: bool = False
    """Print the address only; open no browser."""
    device: str = ""
    """auto, cpu, cuda or mps; as in training if empty."""
    quiet: bool = False
    """Print nothing but the address."""
