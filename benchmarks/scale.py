"""Predict many photos: engines, memory, kills, and a plan past this machine.

    picie train PHOTOS --epochs 0 --clusters 11 --out runs/speed
    python benchmarks/scale.py engines PHOTOS --run runs/speed
    python benchmarks/scale.py counts PHOTOS --run runs/speed --counts 1000 10000 100000
    python benchmarks/scale.py kills PHOTOS --run runs/speed

Each prints one JSON line.

engines   photos per second and start-up of the local engine and of Ray with 1 and 2 workers. Each
          runs with two numbers of links to the photos, alternating; speed is the slope between the
          two, start-up what is left. Medians over the rounds.
counts    time, peak memory and bytes written, by number of photos, in a process for each number.
          The photos are links to tiny images, so that the number counts and not the pixels. A line
          is fitted to the first two numbers; what it predicts for the others is shown beside what
          was measured, and what it predicts for a million and a billion photos of PHOTOS.
kills     a run that is killed at random moments and started again until it ends; its masks and its
          list must be those of an unbroken run.
"""

import argparse
import json
import os
import platform
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections import Counter
from collections.abc import Sequence
from importlib.metadata import version
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import picie
from picie.data.folder import open_folder

_KB = 1 if sys.platform == "darwin" else 1024  # unit of ru_maxrss
_CONFIGS = {
    "local": ["--engine=local"],
    "ray, 1 worker": ["--engine=ray", "--workers=1"],
    "ray, 2 workers": ["--engine=ray", "--workers=2"],
}
_TINY = ["--size=32", "--batch-size=32"]


def link(images: Sequence[Path], folder: Path, count: int) -> Path:
    """A new folder with `count` links, a thousand in each subfolder."""
    for number, image in enumerate(islice(cycle(images), count)):
        place = folder / f"{number // 1000:06d}" / f"{number:09d}{image.suffix}"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(image)
    return folder


def predict(run: Path, photos: Path, out: Path, flags: Sequence[str]) -> tuple[float, float]:
    """Seconds and peak MB of `picie predict` in a process of its own."""
    command = [sys.executable, "-m", "picie", "predict", str(run), str(photos), f"--out={out}"]
    began = time.monotonic()
    process = subprocess.Popen([*command, "--quiet", *flags])
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"picie predict ended with status {os.waitstatus_to_exitcode(status)}")
    return time.monotonic() - began, usage.ru_maxrss * _KB / 1e6


def rows_of(out: Path) -> list[dict[str, Any]]:
    """The lines of the list of masks that name a mask."""
    lines = (out / "masks.jsonl").read_text().splitlines()
    return [row for row in map(json.loads, lines) if "mask" in row]


def engines(args: argparse.Namespace, images: list[Path], place: Path) -> dict[str, Any]:
    """Speed and start-up of each engine."""
    folders = [link(images, place / f"links{count}", count) for count in args.photos_each]
    seconds: dict[str, list[list[float]]] = {name: [] for name in _CONFIGS}
    for turn in range(args.rounds):
        for name, flags in _CONFIGS.items():
            outs = [place / f"out {name} {turn} {folder.name}" for folder in folders]
            seconds[name].append(
                [
                    predict(args.run, folder, out, flags)[0]
                    for folder, out in zip(folders, outs, strict=True)
                ]
            )
    low, high = args.photos_each
    found: dict[str, Any] = {"photos": args.photos_each, "rounds": args.rounds}
    slopes = {name: [(b - a) / (high - low) for a, b in seconds[name]] for name in _CONFIGS}
    for name in _CONFIGS:
        rate = statistics.median(1 / slope for slope in slopes[name])
        starts = [a - low * s for (a, _), s in zip(seconds[name], slopes[name], strict=True)]
        start = statistics.median(starts)
        found[name] = {"photos/s": round(rate, 2), "start, s": round(start, 1)}
    pairs = zip(slopes["ray, 1 worker"], slopes["local"], strict=True)
    found["ray overhead, ms/photo"] = round(statistics.median(1000 * (r - o) for r, o in pairs), 2)
    same = {
        name: all(_same(place / f"out {name} 0 {folder.name}", place, folder) for folder in folders)
        for name in _CONFIGS
    }
    return found | {"masks as those of local": same}


def _same(out: Path, place: Path, folder: Path) -> bool:
    return masks(out) == masks(place / f"out local 0 {folder.name}")


def masks(out: Path) -> dict[str, bytes]:
    """The masks of a folder."""
    return {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*.png")}


def counts(args: argparse.Namespace, images: list[Path], place: Path) -> dict[str, Any]:
    """Cost by number of photos, and what a line through the first two says of the others."""
    tiny = _tiny(images, place / "tiny")
    measured = []
    for count in args.counts:
        photos, out = link(tiny, place / f"links{count}", count), place / f"out{count}"
        seconds, peak = predict(args.run, photos, out, _TINY)
        again, _ = predict(args.run, photos, out, _TINY)
        listed = (out / "masks.jsonl").stat().st_size
        measured.append(
            {
                "photos": count,
                "s": round(seconds, 1),
                "MB": round(peak),
                "list, bytes/photo": round(listed / count),
                "again, s": round(again, 1),
            }
        )
    fits = {key: _line(measured, key) for key in ("s", "again, s")}
    largest = place / f"links{args.counts[-1]}"
    for row in measured[2:]:
        row["predicted"] = {key: round(_at(fit, row["photos"]), 1) for key, fit in fits.items()}
    names = _bytes_of_names(largest) / args.counts[-1]
    return {"measured": measured, "plan": plan(args, images, place, names)}


def _bytes_of_names(photos: Path) -> int:
    """Memory that the list of photos takes at most, which the network hides in the peaks."""
    tracemalloc.start()
    open_folder(photos)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def _tiny(images: Sequence[Path], folder: Path) -> list[Path]:
    folder.mkdir()
    made = []
    for number, image in enumerate(images[:50]):
        with Image.open(image) as opened:
            made.append(folder / f"{number:03}.jpg")
            opened.convert("RGB").resize((48, 32)).save(made[-1])
    return made


def _line(rows: Sequence[dict[str, Any]], key: str) -> tuple[float, float]:
    first, second = rows[:2]
    slope = (second[key] - first[key]) / (second["photos"] - first["photos"])
    return first[key] - slope * first["photos"], slope


def _at(fit: tuple[float, float], count: int) -> float:
    return fit[0] + fit[1] * count


def plan(
    args: argparse.Namespace,
    images: list[Path],
    place: Path,
    bytes_of_name: float,
) -> dict[str, Any]:
    """Cost of photos like those of PHOTOS, from one run over some of them."""
    some = images[: args.sample]
    out = place / "out real"
    seconds, _ = predict(args.run, link(some, place / "links real", len(some)), out, [])
    rows = rows_of(out)
    one = {
        "s": seconds / len(some),
        "read, kB": np.mean([path.stat().st_size for path in some]) / 1e3,
        "written, kB": np.mean([row["bytes"] for row in rows]) / 1e3,
        "list, kB": (out / "masks.jsonl").stat().st_size / len(rows) / 1e3,
        "name in memory, kB": bytes_of_name / 1e3,
    }
    table: dict[str, Any] = {"one photo": {key: round(float(x), 3) for key, x in one.items()}}
    for count in (10**4, 10**6, 10**9):
        table[f"{count:.0e} photos"] = {
            "days of one such machine": round(one["s"] * count / 86400, 3),
            "read, GB": round(float(one["read, kB"]) * count / 1e6, 1),
            "written, GB": round(float(one["written, kB"]) * count / 1e6, 1),
            "list, GB": round(one["list, kB"] * count / 1e6, 2),
            "names in memory, GB": round(bytes_of_name * count / 1e9, 2),
        }
    return table


def kills(args: argparse.Namespace, images: list[Path], place: Path) -> dict[str, Any]:
    """Kill a run at random moments, and compare it with an unbroken one."""
    photos = link(images, place / "links", args.photos_killed)
    whole, out = place / "whole", place / "out"
    predict(args.run, photos, whole, args.flags)
    draws = random.Random(args.seed)
    command = [sys.executable, "-m", "picie", "predict", str(args.run), str(photos)]
    command += [f"--out={out}", "--quiet", *args.flags]
    done, lives = 0, []
    while done < args.kills:
        process = subprocess.Popen(command)
        before = len(masks(out)) if out.exists() else 0
        while process.poll() is None and (len(masks(out)) if out.exists() else 0) <= before:
            time.sleep(0.02)
        time.sleep(draws.uniform(0, args.longest))
        if process.poll() is not None:
            break
        process.send_signal(signal.SIGKILL)
        process.wait()
        lives.append(len(masks(out)) - before)
        done += 1
    predict(args.run, photos, out, args.flags)
    rows = rows_of(out)
    last = {row["image"]: row for row in rows}
    expected = {row["image"]: row for row in rows_of(whole)}
    differing = [name for name in expected if _plain(last.get(name, {})) != _plain(expected[name])]
    repeated = sum(count - 1 for count in Counter(row["image"] for row in rows).values())
    return {
        "photos": args.photos_killed,
        "kills": done,
        "masks written before each kill": lives,
        "same masks": masks(out) == masks(whole),
        "rows that differ, but for seconds": len(differing),
        "rows written twice, because their mask was not there": repeated,
        "left over": sorted(path.name for path in out.rglob(".*")),
    }


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key != "seconds"}


def main() -> None:
    """Run one of the measurements."""
    args = _arguments()
    images = [photo.path for photo in open_folder(args.photos).photos]
    with tempfile.TemporaryDirectory(dir=args.scratch) as folder:
        found = args.measure(args, images, Path(folder))
    machine = f"{platform.machine()}, {os.cpu_count()} cores"
    versions = {name: version(name) for name in ("torch", "ray")} | {"picie": picie.__version__}
    print(json.dumps(found | {"machine": machine} | versions))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    verbs = parser.add_subparsers(required=True)
    for measure in (engines, counts, kills):
        verb = verbs.add_parser(measure.__name__, help=measure.__doc__)
        verb.set_defaults(measure=measure)
        verb.add_argument("photos", type=Path, help="folder of images")
        verb.add_argument("--run", type=Path, required=True, help="run folder of a trained model")
        verb.add_argument("--scratch", type=Path, help="where links and masks are written")
        if measure is engines:
            verb.add_argument("--photos-each", type=int, nargs=2, default=[60, 360])
            verb.add_argument("--rounds", type=int, default=5)
        if measure is counts:
            verb.add_argument("--counts", type=int, nargs="+", default=[1000, 10_000, 100_000])
            verb.add_argument("--sample", type=int, default=300, help="photos for the plan")
        if measure is kills:
            verb.add_argument("--kills", type=int, default=20)
            verb.add_argument("--photos-killed", type=int, default=600)
            verb.add_argument("--longest", type=float, default=2.0, help="seconds until a kill")
            verb.add_argument("--seed", type=int, default=0)
            verb.add_argument("--flags", nargs="*", default=[], help="of picie predict")
    return parser.parse_args()


if __name__ == "__main__":
    main()
