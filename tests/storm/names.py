"""Hostile names of photos, folders and classes: through every verb and every format."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from tests.storm.field import TINY, Command, Field, Tally, is_calm

__all__ = ["storms"]

STEMS = (
    *(
        "a\x1b[31mred\x1b[0m",
        "two\nlines",
        "tab\there",
        "bell\x07",
        "gpj\u202egnp",
        "zero\u200bwidth",
    ),
    *("#comment", " edge ", "-rf", "--help", "a:b", "a,b;c|d", 'it\'s "quoted"', "<b>bold<i>"),
    *(
        "&amp; %20 %s {x}",
        "$(touch x)`y`",
        "back\\slash",
        "ünï 日本 写真",
        "e\u0301 é",
        "[bold]x[red]",
    ),
    *("no\udcffutf8\udc80", "x" * 180, "..dots", "=1+1", ":cat:", "mask", "overlays", "classes"),
)
FORMATS = (
    *("png", "coco", "voc", "cvat", "labelstudio", "yolo", "cityscapes", "huggingface"),
    *("segmentation", "fiftyone"),
)


def storms(field: Field) -> Iterator[Tally]:
    """One tally for names of files, one for names of folders and classes."""
    photos = hostile_photos(field)
    yield verbs(field, photos, "photos with hostile names, whole and broken: every verb, format")
    yield classes(field)


def hostile_photos(field: Field) -> Path:
    """A folder with a photo of each name, and broken ones."""
    folder = field.new("photos \x1b[35m") / "in\nside"
    folder.mkdir()
    whole = sorted(path for path in field.photos.iterdir() if path.suffix == ".jpg")
    for number, stem in enumerate(STEMS):
        shutil.copy(whole[number % len(whole)], folder / f"{stem}.jpg")
        if number % 3 == 0:
            (folder / f"{stem} broken.png").write_bytes(b"no image")
        if number % 5 == 0:
            os.makedirs(folder / f"sub {stem}", exist_ok=True)
            shutil.copy(whole[0], folder / f"sub {stem}" / "x.jpg")
    return folder


def verbs(field: Field, photos: Path, kind: str) -> Tally:
    """Every verb that reads photos; each is one trial."""
    tally, out = Tally(kind), field.new("out")
    lean = ("--quiet", "--device=cpu")
    commands = [
        Command(["train", photos, "--out", out / "run", *TINY[:-1]]),
        Command(["train", photos, "--out", out / "run\x1b[36m\udcff", *TINY]),
        field.predict(field.named, photos, out / "masks", "--overlay"),
        field.predict(field.named, photos, out / "masks \x1b[36m\nx\udcff"),
        Command(["report", field.named, photos, "--out", out / "report.html", *lean]),
        Command(["info", out / "no\x1b[31m such\nrun\udcff"]),
        Command(["evaluate", field.named, photos, *lean]),
        Command(["predict\x1b[31m", "x"]),
    ]
    for form in FORMATS:
        for more in ("copy", "none"):
            commands.append(
                Command(["export", field.named, "--format", form, "--images", photos, "--out",
                         out / f"{form} {more}", "--photos", more, *lean])
            )  # fmt: skip
    for outcome in field.do_all(commands):
        tally.note(is_calm(outcome), outcome)
    for path in [*out.glob("run*/train.log"), *out.glob("*.html")]:
        text = path.read_bytes().decode("utf-8", "surrogateescape")
        hidden = [line for line in text.split("\n") if not _is_plain(line)]
        tally.note(f"{path.name} holds control characters" if hidden else "", hidden[:1])
    return tally


def _is_plain(line: str) -> bool:
    return line.replace("\u00a0", " ").replace("\t", " ").isprintable()


def classes(field: Field) -> Tally:
    """Class names: set by name, and read from the list of a labelled folder."""
    tally, commands = Tally("classes with hostile names: name, evaluate, every format"), []
    lean = ("--quiet", "--device=cpu")
    for stem in STEMS:
        model = field.new("model") / "model"
        shutil.copytree(field.run, model)
        commands.append(Command(["name", model, "--set", f"0={stem}", "--quiet"]))
    for outcome in field.do_all(commands):
        tally.note(is_calm(outcome), outcome)
    labelled = field.new("labelled \x1b[31m") / "data"
    shutil.copytree(field.labelled, labelled)
    for stem in STEMS:
        lines = (field.labelled / "classes.txt").read_text().splitlines()
        text = "\n".join([stem, *lines[1:]]) + "\n"
        (labelled / "classes.txt").write_bytes(text.encode("utf-8", "surrogateescape"))
        tally.note(is_calm(outcome := field.do(
            Command(["evaluate", field.run, labelled, *lean]))), outcome)  # fmt: skip
    kept = [Path(one.args[1]) for one in commands if (Path(one.args[1]) / "classes.toml").exists()]
    exports = [
        Command(["export", model, "--format", FORMATS[number % len(FORMATS)], "--images",
                 field.photos, "--out", field.new("out") / "out", *lean])
        for number, model in enumerate(kept)
    ]  # fmt: skip
    for outcome in field.do_all(exports + [Command(["name", model, "--list"]) for model in kept]):
        tally.note(is_calm(outcome), outcome)
    return tally
