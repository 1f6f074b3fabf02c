"""What each verb takes; `train` also takes every field of `Config` (parsing.py)."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro
from tyro.conf import Positional

from picie.config import Config

__all__ = ["Bench", "Demo", "Evaluate", "Info", "Predict", "Train"]


@dataclass(frozen=True)
class Train:
    """Learn to segment a folder of photos, without labels.

    PHOTOS is any folder of pictures (.jpg .png .webp .bmp .tif), searched recursively; if it has a
    folder images/, that one. With --dataset it is the root of a known data set. The run folder gets
    the model, every setting (config.toml), the curves (metrics.jsonl), how well it went as far as
    that can be said without labels (health.json) and a log. A run that was cut off goes on with
    --resume RUN.
    """

    data: Annotated[Positional[Path | None], tyro.conf.arg(metavar="PHOTOS")] = None
    """Folder of pictures."""
    out: Path | None = None
    """Run folder to make."""
    preset: Literal["default", "best", "reference", "paper"] = "default"
    """Where the defaults below come from: for few photos and a CPU, the best masks so far (slower
    to predict), the authors' code, or the paper's text."""
    config: Path | None = None
    """A config.toml to start from; flags override it."""
    resume: Path | None = None
    """Go on with the run in this folder, with its own settings; only --device, --workers,
    the --cache flags, --profile and --quiet can be given with it."""
    overwrite: bool = False
    """Replace the run that is already in --out."""
    profile: bool = False
    """Measure where the time goes, and print it at the end."""
    quiet: bool = False
    """Show no progress."""


@dataclass(frozen=True)
class Predict:
    """Write a mask for a photo, or for every photo of a folder.

    Masks are PNG files of the photo's size; the value of a pixel is its cluster (an index into a
    palette that colour-blind people can read, so viewers show colours). The same cluster has the
    same colour in every picture.
    """

    run: Annotated[Positional[Path], tyro.conf.arg(metavar="RUN")]
    """Run folder of a trained model."""
    source: Annotated[Positional[Path], tyro.conf.arg(metavar="PHOTOS")]
    """A photo or a folder of them."""
    out: Path
    """Folder for the masks; subfolders are kept."""
    clusters: int | None = None
    """Another number of clusters than in training: similar ones are joined, or joined ones taken
    apart, up to the number of centroids of the model (picie info shows it). No training."""
    split: str = ""
    """List file inside the folder, by stem."""
    overlay: bool = False
    """Also write photo and mask blended, to OUT/overlays/."""
    overwrite: bool = False
    """Replace masks that are already there."""
    batch_size: int = 8
    """Most photos of one size that go through the network together."""
    size: int | None = None
    """Short side in pixels at which the network sees a photo, a multiple of 32; as in training if
    left out."""
    scales: tuple[float, ...] = ()
    """Sizes at which the network sees a photo, as factors of --size, say 1 1.5; their logits are
    averaged. As in training if left out."""
    refine: int | None = None
    """Iterations that draw the borders of masks to edges of the photo, say 10; 0 = none. As in
    training if left out."""
    tile: int = 1024
    """Most pixels of a side that go through the network at once, a multiple of 32 from 128; what is
    larger is cut into overlapping tiles and blended. 0 = never."""
    workers: int = -1
    """Threads that read photos, and as many that write masks, while the network computes; 0 = none,
    -1 = chosen from the cores."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """Of the network's arithmetic; auto = bf16 on a CUDA device that has it, else fp32."""
    device: str = ""
    """auto, cpu, cuda or mps; as in training if empty."""
    quiet: bool = False
    """Show no progress."""


@dataclass(frozen=True)
class Evaluate:
    """Score a model against labels: pixel accuracy and dataset mIoU after one global matching.

    DATA holds images/, masks/ (same stem, .png, class ids from 0, 255 = void) and classes.txt; with
    --dataset it is the root of a known data set. Of each class the table shows IoU, recall (its
    accuracy), precision and share of the pixels. Groups of classes that a data set brings along, as
    things and stuff, are scored in three readings, each by its name. Only scores of one protocol
    can be compared; every result states its own.
    """

    run: Annotated[Positional[Path], tyro.conf.arg(metavar="RUN")]
    """Run folder of a trained model."""
    data: Annotated[Positional[Path], tyro.conf.arg(metavar="DATA")]
    """Labelled folder."""
    split: str = ""
    """List file inside DATA, by stem: val reads val.txt; empty = all. With --dataset one of its
    splits, or several joined by +."""
    dataset: Annotated[str, tyro.conf.arg(help=Config.model_fields["dataset"].description)] = ""
    clusters: int | None = None
    """Another number of clusters than in training, as in picie predict."""
    size: int | None = None
    """Short side in pixels at which the network sees a picture; as in training if left out."""
    scales: tuple[float, ...] = ()
    """Sizes at which the network sees a picture, as factors of --size, as in picie predict."""
    refine: int | None = None
    """Iterations that draw borders to edges of the picture, as in picie predict."""
    crop: Literal["center", "none"] = "center"
    """Score the square centre crop (the paper's protocol), or whole pictures at their own size."""
    match: Literal["hungarian", "majority"] = "hungarian"
    """One cluster per class, or each cluster its most frequent class. Not comparable."""
    fresh_clusters: int = 0
    """Also fit this many new sets of centroids on clean training pictures; gives mean and sd."""
    bootstrap: int = 0
    """Draw this many sets of pictures with replacement, say 1000, for 95 % intervals of accuracy
    and mIoU: what they owe to the choice of pictures, not to the seed of training. 0 = none."""
    bootstrap_rematch: bool = False
    """Match clusters again in each drawn set; else they keep the classes of the whole set."""
    probe: Literal["none", "linear", "knn", "both"] = "none"
    """Also train a classifier on the frozen features, WITH the labels of --probe-split: an upper
    mark for what clusters could find, never a result without labels."""
    probe_split: str = ""
    """List file of the pictures that a probe learns from, as train; none of them may be scored."""
    neighbours: int = 20
    """Most similar feature pixels that vote in the knn probe."""
    seed: int = 0
    """Of the bootstrap, and of the feature pixels that a probe learns from."""
    json: Path | None = None
    """Write all scores, the protocol and the confusion matrix to this file."""
    confusion: Path | None = None
    """Draw the confusion matrix to this .png file."""
    device: str = ""
    """auto, cpu, cuda or mps; as in training if empty."""
    quiet: bool = False
    """Show no progress."""


@dataclass(frozen=True)
class Bench:
    """Compare systems over data sets, seeds and backbones, as a suite says (docs/benchmarks.md).

    Every run is trained, scored and recorded; table.md and table.html are rewritten after each.
    Started again, the same command leaves alone what is done, goes on with a run that was cut off,
    and tries again what failed.
    """

    suite: Annotated[Positional[Path], tyro.conf.arg(metavar="SUITE.toml")]
    """What is compared."""
    out: Path
    """Folder for the results."""
    data: Path = Path()
    """Folder that the paths of data sets start from."""
    only: str = ""
    """Do only the runs whose name holds this; * and ? stand for anything."""
    list: bool = False
    """Show the runs and how far each is; do nothing."""
    skip_missing: bool = False
    """Leave out data sets that are not there."""
    overwrite: bool = False
    """Do those runs again that are not what the suite says now; the others are kept."""
    quiet: bool = False
    """Show no progress."""


@dataclass(frozen=True)
class Info:
    """Show what a run is, its settings, and how far it came; or which backbones there are."""

    run: Annotated[Positional[Path | None], tyro.conf.arg(metavar="RUN")] = None
    """Run folder."""
    backbones: str = ""
    """In place of a run: list the networks with weights whose names hold this, for --backbone;
    * and ? stand for anything. docs/backbones.md says which kinds work."""


@dataclass(frozen=True)
class Demo:
    """Do the main job on generated scenes: write, train, score, predict, show.

    Needs no pictures and no network; takes about a minute on two idle CPU cores.
    """

    out: Path = Path("runs/demo")
    """Folder for the scenes, the run, the masks and the picture sheet."""
    seed: int = 0
    """Seed of the scenes and of the training."""
    overwrite: bool = False
    """Replace an earlier demo."""
    quiet: bool = False
    """Show no progress."""
