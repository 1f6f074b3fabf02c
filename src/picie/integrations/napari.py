"""What napari's menu of plugins calls: masks of a model as a layer, and scribbles as strokes.

`napari.yaml` lists the functions; napari makes forms from their parameters. A layer of labels hides
0, so id i has value i + 1, and 0 = ignored. What a layer belongs to is in its metadata.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from picie.annotation.events import Event, Point, digest_of_image, new_event
from picie.annotation.log import append_events, read_annotations
from picie.data.folder import Photo, open_folder
from picie.data.images import stored_orientation, upright_size
from picie.errors import ConfigError, DataError
from picie.inference.segmenter import Segmenter, load
from picie.models.class_names import check_name
from picie.runs import ANNOTATIONS_FILE, annotated_folder
from picie.visualization.palette import palette

if TYPE_CHECKING:
    import napari

__all__ = ["predict", "save_scribbles", "scribble"]

_KEY = "picie"  # of the metadata of layers
_STROKES = "strokes"  # the ids of what was saved, by content; only a layer of scribbles has it
_BY = "napari"
_MOST_STEPS = 10_000  # points of a stroke
_AROUND = [(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1) if i or j]

_Folder = Annotated[Path, {"mode": "d"}]  # a dialog asks for it


def predict(image: "napari.layers.Image", run: _Folder) -> "napari.types.LayerDataTuple":
    """The masks of an image as a layer of labels, with the names and colours of the classes.

    Args:
        image: 8 bits: what napari shows; other values: its file, which picie reads.
        run: a run folder, or RUN/taught.

    Returns:
        a layer as napari takes it.

    Raises:
        DataError: not one two-dimensional image, or another type than 8 bits without a file.
        PicieError: the folder has no model that can be used.
    """
    model = load(run)
    mask = model.predict(_source(image)).astype(np.int32) + 1
    shape = _pixels(image).shape[:2]
    if mask.shape != shape:
        raise DataError(f"{image.name}: shows {shape}, but its file has {mask.shape}; open it anew")
    about = {"run": str(run), "photo": str(image.source.path or "")}
    return _layer(f"{image.name} picie", mask, model.names, model.colours.tolist(), about, image)


def scribble(masks: "napari.layers.Labels", classes: str = "") -> "napari.types.LayerDataTuple":
    """An empty layer of labels to paint on: each value is a class, and a notice lists them.

    Args:
        masks: a layer from `predict`.
        classes: further names, separated by commas; "ignore" for pixels that are nothing.

    Returns:
        a layer as napari takes it.

    Raises:
        ConfigError: no classes, or names that classes cannot have.
    """
    about = _about(masks)
    model = load(about["run"])
    given = [name for one in classes.split(",") if (name := one.strip())]
    for name in given:
        check_name(name, "classes", ignore=name == "ignore")
    titles = list(dict.fromkeys([*_named(model), *given]))
    if not titles:
        raise ConfigError("no cluster has a name yet; type names of classes, such as: road, sky")
    more = palette(model.clusters + len(titles))[model.clusters :]
    known = dict(zip(model.names, model.colours.tolist(), strict=True))
    colours = [known.get(title, row) for title, row in zip(titles, more.tolist(), strict=True)]
    _say("paint: " + _listed(dict(enumerate(titles, 1))))
    empty = np.zeros(masks.data.shape, np.uint16)
    fresh = {**about, _STROKES: {}}
    return _layer(f"{masks.name} scribbles", empty, titles, colours, fresh, masks)


def save_scribbles(
    scribbles: "napari.layers.Labels", photos: Annotated[Path | None, {"mode": "d"}] = None
) -> None:
    """Add what is painted to annotations.jsonl of the run, from which `picie teach` learns.

    Each painted region becomes a stroke along its middle. Painting on and saving again adds what is
    new, and takes back what is gone. Strokes of other layers and programs stay.

    Args:
        scribbles: a layer from `scribble`.
        photos: the folder that the image is from; None = that of the training.

    Raises:
        ConfigError: another layer, or a value without a class.
        DataError: the image is not a file in the folder, or not as it is stored there.
        PicieError: the file cannot be written.
    """
    about = _about(scribbles)
    if _STROKES not in about:
        raise ConfigError(
            f"{scribbles.name}: holds the masks of a model; make a new layer for scribbles, and "
            "save that"
        )
    painted = np.asarray(scribbles.data)
    photo = _photo(about, photos)
    _check_shape(photo, painted.shape)
    values, names = (list(scribbles.features[key]) for key in ("index", "class"))
    titles = {value: name for value, name in zip(values, names, strict=True) if value}
    unknown = sorted(set(np.unique(painted).tolist()) - set(titles) - {0})
    if unknown:
        raise ConfigError(
            f"{scribbles.name}: the painted value {unknown[0]} is no class; the classes are "
            + _listed(titles)
        )
    path = annotated_folder(Path(about["run"])) / ANNOTATIONS_FILE
    counting = {event.id for event in read_annotations(path).valid}
    before = {k: i for k, i in about[_STROKES].items() if i in counting}
    now = {_content(event): event for event in _strokes(painted, titles, photo)}
    gone = [number for content, number in before.items() if content not in now]
    added = [event for content, event in now.items() if content not in before]
    append_events(path, [*(new_event(_BY, act="undo", of=number) for number in gone), *added])
    about[_STROKES] = {content: before.get(content, event.id) for content, event in now.items()}
    _say(f"{photo.name}: {len(added)} strokes added, {len(gone)} taken back; next: picie teach")


# --- layers


def _source(image: Any) -> Image.Image | Path:
    """The image to segment: pixels of 8 bits as they are, or the file."""
    pixels, path = _pixels(image), image.source.path
    if pixels.dtype == np.uint8:
        return Image.fromarray(pixels)
    if path and Path(path).is_file():
        return Path(path)
    raise DataError(
        f"{image.name}: has values of type {pixels.dtype} and is not from a file; save it as TIFF "
        "and open that, or convert it to uint8"
    )


def _pixels(image: Any) -> NDArray[Any]:
    """(H, W) or (H, W, 3 or 4) of a layer."""
    if image.ndim != 2:
        raise DataError(
            f"{image.name}: has {image.ndim} dimensions; choose a layer with one flat image (split "
            "a stack with its right-click menu, or open one of its files)"
        )
    return np.asarray(image.data[0] if image.multiscale else image.data)


def _layer(
    name: str,
    data: NDArray[Any],
    titles: Any,
    colours: list[list[int]],
    about: dict[str, Any],
    below: Any,
) -> Any:
    """A layer of labels over another one; title n has value n + 1."""
    table = {"index": list(range(len(titles) + 1)), "class": ["", *titles]}
    colormap: dict[int | None, Any] = {None: "transparent", 0: "transparent"}
    for value, row in enumerate(colours, 1):
        colormap[value] = [part / 255 for part in (*row, 255)]
    place = {"scale": below.scale, "translate": below.translate}
    options = {"name": name, "features": table, "colormap": colormap, "metadata": {_KEY: about}}
    return data, options | place, "labels"


def _about(layer: Any) -> Any:
    """What a layer belongs to."""
    if _KEY not in layer.metadata:
        raise ConfigError(f"{layer.name}: is not a layer from picie; make one with predict")
    return layer.metadata[_KEY]


def _named(model: Segmenter) -> list[str]:
    """The classes of a model that have names."""
    known = () if model.class_names is None else model.class_names.merged
    return [one.name for one in known if not one.ignore]


def _listed(titles: dict[int, str]) -> str:
    return ", ".join(f"{value} = {title}" for value, title in titles.items())


def _say(text: str) -> None:
    from napari.utils.notifications import show_info

    show_info(text)


# --- scribbles


def _photo(about: dict[str, Any], photos: Path | None) -> Photo:
    """The photo that a layer was opened from."""
    folder = photos or load(about["run"]).config.data
    if not (about["photo"] and folder):
        raise DataError(
            "the image was not opened from a file, or its folder is not known; open the photo in "
            "napari, predict anew, and give the folder of the photos"
        )
    path = Path(about["photo"]).resolve()
    for photo in open_folder(folder).photos:
        if Path(photo.file).resolve() == path:
            return photo
    raise DataError(f"{path}: is not in {folder}; give the folder of the photos that it is from")


def _check_shape(photo: Photo, shape: tuple[int, ...]) -> None:
    """Refuse an image that napari does not show upright and at its own size."""
    if stored_orientation(photo.path) != 1 or upright_size(photo.path) != shape[::-1]:
        raise DataError(
            f"{photo.path}: napari does not show it upright and at its own size; save an upright "
            "copy of the photo and annotate that, or use picie studio"
        )


def _strokes(painted: NDArray[Any], titles: dict[int, str], photo: Photo) -> Iterator[Event]:
    """A stroke for each painted region, and more for a very long one."""
    digest = digest_of_image(photo.path)
    for value in np.unique(painted[painted > 0]).tolist():
        regions, _ = ndimage.label(painted == value, np.ones((3, 3)))
        for number, (rows, columns) in enumerate(ndimage.find_objects(regions), 1):
            line, radius = _middle(regions[rows, columns] == number)
            points = [[columns.start + x, rows.start + y] for x, y in line]
            for first in range(0, len(points), _MOST_STEPS):
                yield new_event(
                    _BY, act="stroke", image=photo.name, size=painted.shape[::-1], digest=digest,
                    title=titles[value], points=points[first : first + _MOST_STEPS], radius=radius,
                )  # fmt: skip


def _middle(region: NDArray[np.bool_]) -> tuple[list[Point], float]:
    """A line along the middle of a region, and a radius at which it stays inside.

    Args:
        region: (H, W), connected.

    Returns:
        points (x, y) at centres of pixels, and pixels.
    """
    import skimage.morphology

    skeletonize: Any = skimage.morphology.skeletonize  # it has no annotations
    thin = skeletonize(region)
    inside = ndimage.distance_transform_edt(np.pad(region, 1))[1:-1, 1:-1]
    pixels = set(zip(*(axis.tolist() for axis in np.nonzero(thin)), strict=True))
    radius = min(inside[pixel] for pixel in pixels) - 0.5
    return [(column + 0.5, row + 0.5) for row, column in _walk(pixels)], round(float(radius), 1)


def _walk(pixels: set[tuple[int, int]]) -> list[tuple[int, int]]:
    """A way over all pixels of a thin line, from neighbour to neighbour; back after dead ends."""

    def around(pixel: tuple[int, int]) -> list[tuple[int, int]]:
        return [near for i, j in _AROUND if (near := (pixel[0] + i, pixel[1] + j)) in pixels]

    start = min(pixels, key=lambda pixel: (len(around(pixel)), pixel))
    left, trail, way = pixels - {start}, [start], [start]
    while left:
        near = next((pixel for pixel in around(trail[-1]) if pixel in left), None)
        if near is None:
            trail.pop()
        else:
            left.remove(near)
            trail.append(near)
        way.append(trail[-1])
    return way


def _content(event: Event) -> str:
    return repr((event.title, event.points, event.radius))
