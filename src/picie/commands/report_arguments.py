"""What `picie report` takes."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro
from tyro.conf import Positional

__all__ = ["Report"]


@dataclass(frozen=True)
class Report:
    """Show what a model found, as one HTML page that needs nothing beside it.

    The page holds the health and the curves of the run, a portrait of every cluster (its most and
    least typical pieces of photos, where in the picture it is, what is most like it), photos with
    their masks, and the tree of clusters. Where PHOTOS has masks/ and classes.txt, the scores of
    picie evaluate are on it too. docs/report.md says how to read it.
    """

    run: Annotated[Positional[Path], tyro.conf.arg(metavar="RUN")]
    """Run folder of a trained model."""
    source: Annotated[Positional[Path], tyro.conf.arg(metavar="PHOTOS")]
    """A photo or a folder of them; every one is looked at and counted."""
    out: Path
    """The page, a file that ends in .html; an existing one is replaced."""
    split: str = ""
    """List file inside the folder, by stem."""
    clusters: int | None = None
    """Another number of clusters than in training, as in picie predict."""
    gallery: int = 200
    """Most photos that are shown with their masks, 0 to 1000, chosen at even distances in the order
    of their names. The page stays below 15 MB."""
    size: int | None = None
    """Short side in pixels at which the network sees a photo; as in training if left out."""
    scales: tuple[float, ...] = ()
    """Sizes at which the network sees a photo, as factors of --size, as in picie predict."""
    refine: int | None = None
    """Iterations that draw borders to edges of the photo, as in picie predict."""
    workers: int = -1
    """Threads that read photos while the network computes; 0 = none, -1 = chosen from the cores."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """Of the network's arithmetic, as in picie predict."""
    device: str = ""
    """auto, cpu, cuda or mps; as in training if empty."""
    quiet: bool = False
    """Show no progress."""
