"""Which files are images by their names, and a summary of those that are not."""

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path

from picie.data.images import EXTENSIONS, HEIF_EXTENSIONS

__all__ = ["OtherFiles", "extension", "is_image", "supported", "why_unread"]

_MOST_KINDS = 12  # named in a line
_WITH_EXTRA = 'pip install "picie[heif]"'
# Often beside images and no images; nothing is said of them.
_COMPANION_KINDS = """
    .txt .md .rst .html .htm .css .js .csv .tsv .json .jsonl .ndjson .geojson .xml .yaml .yml .toml
    .ini .cfg .conf .log .lst .db .db-shm .db-wal .sqlite .pickle .pkl .npy .npz .h5 .mat .parquet
    .py .ipynb .sh .bat .lnk .url .xmp .aae .thm .pp3 .dop .exif .gpx .kml .prj .tfw .jgw .pgw .ovr
    .md5 .sha256 .bib .tex .doc .docx .xls .xlsx .ppt .pptx .odt .ods
    .safetensors .pt .pth .onnx .lock .tmp .part .crdownload
"""
# Images, documents and videos that are not read.
_PICTURE_KINDS = """
    .nef .nrw .cr2 .cr3 .crw .arw .srf .sr2 .dng .raf .orf .ori .rw2 .rwl .pef .ptx .srw .x3f .3fr
    .fff .iiq .mos .mrw .dcr .kdc .k25 .erf .mef .mdc .raw .gpr .bay .cap .dcs .drf .eip
    .jxl .jxr .wdp .hdp .hdr .exr .psd .psb .xcf .kra .ora .svg .svgz .ai .eps .ps .pdf .indd .cdr
    .wmf .emf .ico .cur .icns .pcx .dcx .dds .sgi .rgb .rgba .bw .ras .sun .qoi .xbm .xpm .pict .pct
    .fit .fits .fts .dcm .dicom .nii .mrc .nd2 .czi .lif .lsm .vsi .svs .ndpi .scn .mrxs .oib .oif
    .img .ecw .sid .vrt .nc .grib .hgt .asc .bil .bip .bsq .flif .bpg .djvu .jbg .jbig2 .cin .dpx
    .mp4 .m4v .mov .avi .mkv .webm .wmv .flv .mpg .mpeg .mts .m2ts .3gp .insp .insv .lrv
"""
_COMPANIONS, _PICTURES = frozenset(_COMPANION_KINDS.split()), frozenset(_PICTURE_KINDS.split())


def extension(file: str) -> str:
    """The extension of a file in lower case, with its dot; "" if it has none."""
    return os.path.splitext(file)[1].lower()


def supported() -> tuple[str, ...]:
    """Extensions of the images that this installation reads."""
    return EXTENSIONS if find_spec("pillow_heif") is None else EXTENSIONS + HEIF_EXTENSIONS


def is_image(file: str) -> bool:
    """Whether a file is an image that can be read, by its name."""
    return extension(file) in supported()


def why_unread(kinds: Iterable[str]) -> str:
    """What to do about files that are not read.

    Args:
        kinds: their extensions.
    """
    kinds = set(kinds)
    heif = kinds & set(HEIF_EXTENSIONS)
    advice = [f"to read {' and '.join(sorted(heif))}: {_WITH_EXTRA}"] if heif else []
    if kinds - heif:
        advice.append(f"convert {'the others ' if heif else ''}to JPEG, PNG or TIFF")
    return "; ".join(advice)


class OtherFiles:
    """Counts the files that are not images by their names; memory does not grow with them."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._first = ""
        self._supported = frozenset(supported())

    def images(self, files: Iterable[str]) -> Iterator[str]:
        """Pass the images on, and count the others."""
        for file in files:
            kind = extension(file)
            if kind in self._supported:
                yield file
            else:
                self._counts[kind] += 1
                self._first = min(self._first or file, file)

    def found(self, folder: Path | str) -> str:
        """How many files there were, and the first one, for a message.

        Args:
            folder: paths are shown relative to it.
        """
        count = self._counts.total()
        first = f", first: {os.path.relpath(self._first, folder)}" if count else ""
        return f"{count} file{'s' * (count != 1)}{first}"

    def notes(self) -> Iterator[str]:
        """A line for the images of kinds that are not read, and one for unknown files."""
        loud = {k: n for k, n in self._counts.items() if k in _PICTURES or k in HEIF_EXTENSIONS}
        if loud:
            yield f"left out {_counted(loud)}: picie does not read them; {why_unread(loud)}"
        unknown = {k: n for k, n in self._counts.items() if k not in loud and k not in _COMPANIONS}
        if unknown:
            yield f"left out {_counted(unknown)}: not images, by their names"


def _counted(counts: dict[str, int]) -> str:
    """The kinds with their numbers, most frequent first."""
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    parts = [f"{count} {kind or 'without extension'}" for kind, count in ranked[:_MOST_KINDS]]
    rest = sum(count for _, count in ranked[_MOST_KINDS:])
    return ", ".join(parts + [f"{rest} others"] * bool(rest))
