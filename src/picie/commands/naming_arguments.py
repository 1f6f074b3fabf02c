"""What `picie name` takes."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from tyro.conf import Positional

from picie.config import Config

__all__ = ["Name"]


@dataclass(frozen=True)
class Name:
    """Show the clusters of a model, and give them names.

    Without options it prints the clusters, their colours and names, and which clusters are most
    like them in the tree. Names are kept in RUN/classes.toml, which may be edited by hand as well:
    comments stay. picie predict then writes masks of classes; clusters of one name are one class.
    The model itself is not changed, and every change can be undone.

    A number is a cluster. An n and a number is a node of the tree, with everything below it: use
    nodes to join clusters of one branch, or to take a cluster apart.
    """

    run: Annotated[Positional[Path], tyro.conf.arg(metavar="RUN")]
    """Run folder of a trained model."""
    set: Annotated[tuple[str, ...], tyro.conf.arg(metavar="ID,...=NAME ...")] = ()
    """Name clusters and nodes: 3=road 7,9=building n70=vegetation. The name ignore makes their
    pixels void. Quote names with spaces: "3=traffic light". What had another name moves."""
    unset: Annotated[tuple[str, ...], tyro.conf.arg(metavar="ID ...")] = ()
    """Take the name from these clusters and nodes."""
    clear: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME ...")] = ()
    """Take out these classes; their clusters have no name then."""
    colour: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME=#RRGGBB ...")] = ()
    """Colours of classes in masks: road=#804080. road=auto is one of the palette again."""
    clusters: int | None = None
    """The cut that cluster numbers refer to, as in picie predict --clusters; as in training if
    there are no names yet. More clusters are more names to give, and finer classes."""
    from_: Annotated[Path | None, tyro.conf.arg(name="from", metavar="LABELLED")] = None
    """A few labelled pictures (a folder with images/, masks/ and classes.txt, where not every
    picture needs a mask) that name the clusters: each gets the class that most of its labelled
    pixels have. Names that are there already stay."""
    split: str = ""
    """List file inside LABELLED, by stem; empty = all. With --dataset one of its splits."""
    dataset: Annotated[str, tyro.conf.arg(help=Config.model_fields["dataset"].description)] = ""
    min_pixels: int = 1
    """Labelled pixels that a cluster needs to get a name by --from."""
    overwrite: bool = False
    """Begin anew: take out all names before the others are given."""
    list: bool = False
    """Show the ids in masks: their names and colours, and the clusters that they are made of."""
    init: bool = False
    """Write a RUN/classes.toml to fill in by hand."""
    undo: bool = False
    """Take back the last change; again for the one before."""
    device: str = ""
    """auto, cpu, cuda or mps, for --from; as in training if empty."""
    quiet: bool = False
    """Show no progress and no list of changes."""
