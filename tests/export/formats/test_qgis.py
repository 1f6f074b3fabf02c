"""Styles of QGIS, by the letter of its elements."""

from collections.abc import Callable
from xml.etree import ElementTree as ET

import pytest

from picie.export.formats.layout import ClassTable
from picie.export.formats.qgis import polygon_style, raster_style
from picie.visualization.palette import palette

TABLE = ClassTable(('<b>"road" & co', "日本", "cluster 2"), palette(3))
COLOURS = [f"#{bytes(row).hex()}" for row in palette(3).tolist()]


def test_each_value_of_a_raster_has_its_name_and_colour() -> None:
    root = ET.fromstring(raster_style(TABLE))
    assert root.tag == "qgis"
    [renderer] = root.findall("pipe/rasterrenderer")
    assert (renderer.get("type"), renderer.get("band")) == ("paletted", "1")
    entries = renderer.findall("colorPalette/paletteEntry")
    found = [(one.get("value"), one.get("label"), one.get("color")) for one in entries]
    assert found == list(zip("012", TABLE.names, COLOURS, strict=True))


def test_each_class_of_polygons_has_its_symbol() -> None:
    root = ET.fromstring(polygon_style(TABLE, "name"))
    [renderer] = root.findall("renderer-v2")
    assert (renderer.get("type"), renderer.get("attr")) == ("categorizedSymbol", "name")
    colours = {
        symbol.get("name"): options["color"]
        for symbol in renderer.findall("symbols/symbol")
        if (options := {one.get("name"): one.get("value") for one in symbol.iter("Option")})
    }
    for category, name, row in zip(
        renderer.findall("categories/category"), TABLE.names, palette(3).tolist(), strict=True
    ):
        assert (category.get("value"), category.get("label")) == (name, name)
        assert colours[category.get("symbol")] == ",".join(map(str, (*row, 255)))


@pytest.mark.parametrize("style", [raster_style, lambda classes: polygon_style(classes, "name")])
def test_qgis_knows_it_by_its_first_line(style: Callable[[ClassTable], str]) -> None:
    assert style(TABLE).startswith('<!DOCTYPE qgis>\n<qgis version="3.22.0">')
