"""Photos with masks that are known, and an export of them in any format."""

from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from picie.data.synthetic.scenes import draw_scene
from picie.export.formats.layout import ClassTable, Labelled, Options, Writer
from picie.export.formats.names import Naming, class_names
from picie.types import IGNORED
from picie.visualization.palette import palette

Export = Callable[..., Path]

NAMES = ("a b", "sub é/a b", "sub é/deeper/x", "plain")


@pytest.fixture(scope="session")
def table() -> ClassTable:
    """Four classes; the third one has no pixel, and the first is black."""
    names = ("road & co", "sky", "nothing", "日本")
    return ClassTable(names, np.concatenate([np.zeros((1, 3), np.uint8), palette(3)]))


@pytest.fixture(scope="session")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> list[Labelled]:
    """Blobs with holes and single pixels, of sizes that differ in width and height."""
    folder = tmp_path_factory.mktemp("gallery")
    random = np.random.default_rng(5)
    found = []
    for number, name in enumerate(NAMES):
        shape = (40 + number, 56 + 2 * number)
        noise = ndimage.gaussian_filter(random.normal(size=shape), 2.5)
        mask = np.digitize(noise, [-0.08, 0.0, 0.08])
        mask = np.array([0, 1, 3, IGNORED])[mask]
        mask[5:15, 5:15] = 1
        mask[8:11, 8:11] = 3  # a hole, and in it
        mask[9, 9] = 1
        mask[20, 20], mask[21, 21] = 3, 3  # these touch at a corner only
        image = random.integers(0, 255, (*shape, 3), dtype=np.uint8)
        path = folder / f"{name}{'.png' if number % 2 else '.jpg'}"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
        file = path.relative_to(folder).as_posix()
        found.append(Labelled(name, file, path, np.asarray(Image.open(path)), mask, True))
    return found


@pytest.fixture
def export(gallery: list[Labelled], table: ClassTable, tmp_path: Path) -> Export:
    """Writes the gallery, or other images, in a format; gives the folder."""

    def write(
        format: str,
        images: list[Labelled] | None = None,
        classes: ClassTable | None = None,
        **options: Any,
    ) -> Path:
        out = tmp_path / "out"
        out.mkdir()
        shown = gallery if images is None else images
        module = import_module(f"picie.export.formats.{format}")
        [maker] = [
            value
            for key, value in vars(module).items()
            if key in module.__all__ and key.endswith("Writer")
        ]
        chosen = Options(**{"min_area": 0} | options)
        naming = Naming.of(format, {one.name: one.path for one in shown}, chosen.photos)
        names = class_names(format, (classes or table).names)
        writer: Writer = maker(out, ClassTable(names, (classes or table).colours), chosen)
        placed = [
            replace(one, name=naming.stems[one.name], file=naming.files[one.name]) for one in shown
        ]
        left = [writer.add(one) for one in reversed(placed)]  # threads come in any order
        for then in reversed(left):
            if then is not None:
                then()
        writer.close()
        return out

    return write


@pytest.fixture
def turned(tmp_path: Path) -> Labelled:
    """A photo that its file stores lying on its side."""
    image = np.zeros((40, 20, 3), np.uint8)
    image[:10] = 255
    tags = Image.Exif()
    tags[0x112] = 6
    path = tmp_path / "turned.jpg"
    Image.fromarray(image).rotate(90, expand=True).save(path, exif=tags, quality=95)
    return Labelled("turned", path.name, path, image, (image[..., 0] > 0).astype(np.int64), False)


@pytest.fixture
def write_raster() -> Callable[..., None]:
    """Writes bands (B, H, W) uint8 as a TIFF, with any further part of rasterio's profile."""
    rasterio = pytest.importorskip("rasterio")

    def write(path: Path, bands: NDArray[np.uint8], **profile: Any) -> None:
        shape = {"count": len(bands), "height": bands.shape[1], "width": bands.shape[2]}
        path.parent.mkdir(parents=True, exist_ok=True)
        with rasterio.open(path, "w", driver="GTiff", dtype="uint8", **shape, **profile) as file:
            file.write(bands)

    return write


@pytest.fixture
def field(tmp_path: Path, write_raster: Callable[..., None]) -> Path:
    """A folder with a raster, half a metre a pixel, of which a corner has no data."""
    rasterio = pytest.importorskip("rasterio")
    bands = np.ascontiguousarray(draw_scene(3, 1, (96, 140))[0].transpose(2, 0, 1)).clip(1)
    bands[:, :20, :30] = 0
    place = rasterio.Affine(0.5, 0, 412000, 0, -0.5, 5310000)
    path = tmp_path / "a field" / "ü" / "north.tif"
    write_raster(path, bands, crs="EPSG:25832", transform=place, nodata=0)
    return tmp_path / "a field"
