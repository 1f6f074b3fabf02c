"""Known data sets by name.

To add one, write a `Dataset` in a module of datasets/ and add a line to `DATASETS`.
"""

from pathlib import Path

from picie.config import suggest
from picie.data.datasets.ade20k import ADE20K150
from picie.data.datasets.camvid import CAMVID11
from picie.data.datasets.cityscapes import CITYSCAPES19, CITYSCAPES27
from picie.data.datasets.cocostuff import COCOSTUFF15, COCOSTUFF27, COCOSTUFF171
from picie.data.datasets.dataset import Dataset, open_known
from picie.data.datasets.msrc import MSRC21, MSRC23
from picie.data.datasets.potsdam import POTSDAM3, POTSDAM6
from picie.data.datasets.voc import VOC21
from picie.data.folder import PhotoFolder, open_folder
from picie.data.reading import Reading
from picie.errors import ConfigError
from picie.runtime.storage import check_local

__all__ = ["DATASETS", "open_dataset"]

DATASETS: dict[str, Dataset] = {
    "ade20k150": ADE20K150,
    "camvid11": CAMVID11,
    "cityscapes19": CITYSCAPES19,
    "cityscapes27": CITYSCAPES27,
    "cocostuff15": COCOSTUFF15,
    "cocostuff27": COCOSTUFF27,
    "cocostuff171": COCOSTUFF171,
    "msrc21": MSRC21,
    "msrc23": MSRC23,
    "potsdam3": POTSDAM3,
    "potsdam6": POTSDAM6,
    "voc21": VOC21,
}
"""By name: the family followed by the number of classes."""


def open_dataset(
    name: str,
    root: str | Path,
    split: str = "",
    *,
    labelled: bool = False,
    reading: Reading | None = None,
) -> PhotoFolder:
    """List the images of a known data set, or of any folder.

    Args:
        name: a key of `DATASETS`; "" = any folder (`open_folder`).
        root: the folder, in a layout shown in the data set's module; an address only without a
            name.
        split: a split of the data set, or several separated by "+"; for any folder, as
            `open_folder` reads it.
        labelled: require a mask for every image. Training needs none.
        reading: how the images are read, as in `open_folder`; a known data set has no pages.

    Raises:
        ConfigError: unknown name or split.
        DataError: the layout is wrong or incomplete; the message shows the expected and the actual
            one.
    """
    if not name:
        return open_folder(root, split, labelled=labelled, reading=reading)
    if name not in DATASETS:
        raise ConfigError(f"unknown data set {name!r}; {suggest(name, list(DATASETS))}")
    folder = open_known(
        DATASETS[name], check_local("--dataset reads", root), split, labelled=labelled
    )
    return folder if reading is None else folder.read_as(reading)
