"""What a person can order on the page: which command does it, and where its result goes."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from picie.errors import ConfigError
from picie.runs import EXPORTS_FOLDER, TAUGHT_FOLDER
from picie.runtime.progress import Advance, Reporter
from picie.studio.jobs import Job, settle, shown, staged

if TYPE_CHECKING:
    from picie.studio.studio import Studio

__all__ = ["FORMATS", "MODELS", "formats", "order"]

_EXTRAS = {
    "export": ("cv2", "pycocotools"),
    "geo": ("pyogrio", "rasterio", "shapely"),
    "hub": ("huggingface_hub",),
    "onnx": ("onnx", "onnxruntime", "onnxscript"),
}
FORMATS = {
    "png": "",
    "coco": "export",
    "voc": "",
    "cvat": "",
    "labelstudio": "",
    "yolo": "",
    "cityscapes": "",
    "huggingface": "",
    "segmentation": "",
    "fiftyone": "",
    "geotiff": "geo",
    "geopackage": "geo",
}
"""Formats of masks, as `picie export --format` takes them, and the extra that each needs."""

MODELS = {"onnx": "onnx", "torch": "", "folder": "", "hub": "hub"}
"""Forms of the model, and the extra that each needs."""

_RASTERS = ("geotiff", "geopackage")
_FILES = {"onnx": "model.onnx", "torch": "model.pt2"}
_TEACHING = 100  # of 1000 parts of a job that teaches first
_PARTS = 1000


def formats() -> list[dict[str, Any]]:
    """What can be exported: kind, format, and the command that installs what it lacks, or None."""
    listed = [("export", name, extra) for name, extra in FORMATS.items()]
    listed += [("model", name, extra) for name, extra in MODELS.items()]
    return [
        {
            "kind": kind,
            "format": name,
            "install": _install(extra),
            "rasters": name in _RASTERS,
        }
        for kind, name, extra in listed
    ]


def _install(extra: str) -> str | None:
    missing = extra and any(find_spec(package) is None for package in _EXTRAS[extra])
    return f'pip install "picie[{extra}]"' if missing else None


def order(studio: "Studio", wish: Mapping[str, Any]) -> Job:
    """Order what the page wishes.

    Args:
        studio: whose model and photos it is about.
        wish: its kind, and what that needs.

    Raises:
        ConfigError: an unknown kind, a value that cannot be used, or something it needs is absent.
    """
    kind = wish.get("kind")
    makers: dict[str, Callable[[Studio, Mapping[str, Any]], Job]] = {
        "export": _export,
        "labelled": _labelled,
        "model": _model,
        "report": _report,
        "teach": _teach,
        "train": _train,
    }
    if not isinstance(kind, str) or kind not in makers:
        raise ConfigError(f"there is no order {str(kind)[:40]!r}; known: {', '.join(makers)}")
    if kind != "train" and studio.phase != "ready":
        raise ConfigError("wait until the model is there; then it can be exported")
    return makers[kind](studio, wish)


def _train(studio: "Studio", wish: Mapping[str, Any]) -> Job:
    return studio.training.order(wish)


def _export(studio: "Studio", wish: Mapping[str, Any]) -> Job:
    name = _choice(wish, "format", FORMATS)
    _check_extra(FORMATS[name])
    flags = ["--images", str(studio.photos_path), *_split(studio)]
    photos = _choice(wish, "photos", ("copy", "link", "none"), "copy")
    if photos != "copy":
        flags += ["--photos", photos]
    if _flag(wish, "polygons"):
        flags.append("--polygons")
    return _command(studio, "export", f"masks as {name}", name, ["--format", name, *flags])


def _model(studio: "Studio", wish: Mapping[str, Any]) -> Job:
    name = _choice(wish, "format", MODELS)
    _check_extra(MODELS[name])
    if name in _FILES:
        return _command(studio, "model", f"model as {name}", name, ["--model", name], _FILES[name])
    licence = _text(wish, "license")
    flags = ["--license", licence] if licence else []
    if name == "hub":
        repository = _text(wish, "name")
        if not repository:
            raise ConfigError("which repository? Give user/name")
        flags += ["--hub", repository, *["--public"] * _flag(wish, "public")]
    label = "model to the hub" if name == "hub" else "model as a folder"
    work = partial(_publish, studio, flags, hub=name == "hub")
    return studio.jobs.add("model", label, work)


def _report(studio: "Studio", wish: Mapping[str, Any]) -> Job:
    flags = [str(studio.photos_path), *_split(studio)]
    return _command(studio, "report", "report", "report", flags, "report.html", verb="report")


def _teach(studio: "Studio", wish: Mapping[str, Any]) -> Job:
    def work(job: Job) -> None:
        _teach_first(studio, job, _PARTS)
        job.out, job.done, job.total, job.message = studio.run / TAUGHT_FOLDER, 1, 1, ""

    return studio.jobs.add("teach", "taught model", work, command=shown(_teaching(studio)))


def _labelled(studio: "Studio", wish: Mapping[str, Any]) -> Job:
    def work(job: Job) -> None:
        from picie.studio.accepted import labelled_set

        exports = studio.run / EXPORTS_FOLDER
        assert studio.photos is not None  # the studio is ready
        with staged(exports) as stage:
            out = stage / "labelled"
            made = labelled_set(studio.run, studio.photos.folder, out, reporter=_Follower(job))
            job.out = settle(out, exports)
        job.message = "; ".join(made.notes)

    return studio.jobs.add("labelled", "accepted photos as a labelled set", work)


def _command(
    studio: "Studio",
    kind: str,
    label: str,
    name: str,
    flags: list[str],
    file: str = "",
    *,
    verb: str = "export",
) -> Job:
    """A job that runs a verb on the model as it is named and taught.

    Args:
        studio: whose run it is.
        kind: of the job.
        label: for people.
        name: of the folder under RUN/exports.
        flags: of the verb, without RUN, --out and --device.
        file: name of the result in the folder; "" = the folder is the result.
        verb: of picie.
    """
    device = [] if kind == "model" or not studio.options.device else _device(studio)
    taught = studio.is_taught
    model = studio.run / TAUGHT_FOLDER if taught else studio.run

    def arguments(out: Path) -> list[str]:
        return [verb, str(model), *flags, *device, "--out", str(out / file)]

    def work(job: Job) -> None:
        exports = studio.run / EXPORTS_FOLDER
        with staged(exports) as stage:
            if taught:
                _teach_first(studio, job)
            if file:
                (stage / name).mkdir()
            start = _TEACHING if taught else 0
            job.call(arguments(stage / name), progress=partial(_part, start, _PARTS))
            job.out = settle(stage / name, exports)
        job.file = job.out / file if file else None
        job.done, job.total, job.message = _PARTS, _PARTS, ""

    command = shown(arguments(studio.run / EXPORTS_FOLDER / name))
    if taught:
        command = f"{shown(_teaching(studio))} && {command}"
    return studio.jobs.add(kind, label, work, command=command)


def _publish(studio: "Studio", flags: list[str], job: Job, *, hub: bool) -> None:
    """Write the folder to share, or publish it."""
    exports = studio.run / EXPORTS_FOLDER
    with staged(exports) as stage:
        if studio.is_taught:
            _teach_first(studio, job)
        model = studio.run / TAUGHT_FOLDER if studio.is_taught else studio.run
        out = stage / "model"
        arguments = [str(model), str(out), "--photos", str(studio.photos_path), *flags]
        job.call(arguments, module="picie.studio.publish")
        if hub:
            job.message = job.lines[-1] if job.lines else ""
        else:
            job.out = settle(out, exports)
            job.message = ""


class _Follower(Reporter):
    """Shows the progress of a function in a job, which may be cancelled at each step."""

    def __init__(self, job: Job) -> None:
        super().__init__(quiet=True)
        self._job = job

    @contextmanager
    def task(self, label: str, total: int, *, finished: int = 0) -> Iterator[Advance]:
        """Take the progress to the job."""

        def advance(done: int, note: Callable[[], str] | None = None) -> None:
            nonlocal finished
            finished += done
            self._job.advance(finished, total, f"{label}: {finished}/{total}")

        yield advance


def _teach_first(studio: "Studio", job: Job, parts: int = _TEACHING) -> None:
    """Write the model that has learnt from the marks, with the colours of the page."""
    if studio.workspace is not None:
        studio.workspace.pin()
    job.call(_teaching(studio), progress=partial(_part, 0, parts))


def _teaching(studio: "Studio") -> list[str]:
    return ["teach", str(studio.run), "--images", str(studio.photos_path), *_device(studio)]


def _device(studio: "Studio") -> list[str]:
    return ["--device", studio.options.device] if studio.options.device else []


def _split(studio: "Studio") -> list[str]:
    return ["--split", studio.options.split] if studio.options.split else []


def _part(start: int, end: int, label: str, done: int, total: int) -> tuple[int, int]:
    """Progress of one command of several, in parts of the whole."""
    return start + (end - start) * done // max(total, 1), _PARTS


def _check_extra(extra: str) -> None:
    install = _install(extra)
    if install is not None:
        raise ConfigError(f"this format needs further packages: {install}, then start again")


def _choice(
    wish: Mapping[str, Any], key: str, known: Mapping[str, str] | tuple[str, ...], default: str = ""
) -> str:
    value = wish.get(key, default)
    if not isinstance(value, str) or value not in known:
        raise ConfigError(f"{key} = {str(value)[:40]!r} is unknown; known: {', '.join(known)}")
    return value


def _flag(wish: Mapping[str, Any], key: str) -> bool:
    value = wish.get(key, False)
    if not isinstance(value, bool):
        raise ConfigError(f"{key}: give true or false")
    return value


def _text(wish: Mapping[str, Any], key: str) -> str:
    value = wish.get(key, "")
    if not isinstance(value, str) or len(value) > 200 or value.startswith("-"):
        raise ConfigError(f"{key}: give a short text that does not begin with a dash")
    return value.strip()
