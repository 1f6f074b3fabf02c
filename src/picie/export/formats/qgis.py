"""Styles of QGIS (QML): names and colours of classes that it applies by itself.

QGIS looks for the style of a raster in a file of the same name that ends in .qml, and for that of a
GeoPackage in its table `layer_styles`. The elements are those that QGIS 3 writes.
"""

from xml.etree import ElementTree as ET

from picie.export.formats.layout import ClassTable

__all__ = ["polygon_style", "raster_style"]

_VERSION = "3.22.0"  # whose elements these are; later versions read them, too


def raster_style(classes: ClassTable) -> str:
    """QML text: each value of band 1 has the colour and the name of its class.

    Args:
        classes: ids, which are the values.
    """
    root = ET.Element("qgis", version=_VERSION)
    renderer = ET.SubElement(
        ET.SubElement(root, "pipe"), "rasterrenderer", type="paletted", band="1", opacity="1"
    )
    entries = ET.SubElement(renderer, "colorPalette")
    for value, (name, colour) in enumerate(_rows(classes)):
        ET.SubElement(
            entries, "paletteEntry", value=str(value), label=name, alpha="255",
            color=f"#{bytes(colour).hex()}",
        )  # fmt: skip
    return _text(root)


def polygon_style(classes: ClassTable, attribute: str) -> str:
    """QML text: polygons are filled with the colour of their class, without an outline.

    Args:
        classes: whose names are the values of the attribute.
        attribute: of the polygons.
    """
    root = ET.Element("qgis", version=_VERSION)
    renderer = ET.SubElement(root, "renderer-v2", type="categorizedSymbol", attr=attribute)
    categories = ET.SubElement(renderer, "categories")
    symbols = ET.SubElement(renderer, "symbols")
    for number, (name, colour) in enumerate(_rows(classes)):
        key = str(number)
        ET.SubElement(
            categories, "category", symbol=key, value=name, label=name, type="string", render="true"
        )
        symbol = ET.SubElement(symbols, "symbol", type="fill", name=key, alpha="1")
        layer = ET.SubElement(symbol, "layer", {"class": "SimpleFill"}, enabled="1")
        options = ET.SubElement(layer, "Option", type="Map")
        for option, value in (
            ("color", ",".join(map(str, (*colour, 255)))),
            ("style", "solid"),
            ("outline_style", "no"),
        ):
            ET.SubElement(options, "Option", type="QString", name=option, value=value)
    return _text(root)


def _rows(classes: ClassTable) -> list[tuple[str, list[int]]]:
    return list(zip(classes.names, classes.colours.tolist(), strict=True))


def _text(root: ET.Element) -> str:
    ET.indent(root)
    return f"<!DOCTYPE qgis>\n{ET.tostring(root, encoding='unicode')}\n"
