"""Damaged and hostile files: models, settings, names, checkpoints, suites and pictures."""

import io
import json
import random
import shutil
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tests.storm.field import Command, Field, Tally, is_calm, tree

__all__ = ["storms"]

WRONG: tuple[Any, ...] = (
    *(-1, 0, 3, 10**12, -(10**30), 1.5, 1e308, float("nan"), float("inf"), True, False, None),
    *("", "3", "\x1b[31m", "a\nb", "\u202ex", "x" * 10_000, [], [[]], [1, "a"], [True], {}),
    *({"a": {"b": 1}}, [0] * 1000),
)


def storms(field: Field) -> Iterator[Tally]:
    """One tally per kind of file."""
    yield weights(field)
    yield cards(field)
    yield settings(field)
    yield checkpoints(field)
    yield pictures(field)


def weights(field: Field) -> Tally:
    """model.safetensors with other bits, ends and headers; with and without its hash."""
    tally = Tally("model.safetensors: bits, ends, headers; with and without hash")
    draws, commands, signed = field.draws("weights"), [], []
    one = _one_photo(field)
    for number in range(field.times(80)):
        model = _model(field)
        path = model / "model.safetensors"
        changes = (flipped, cut, _other_header, _other_numbers)
        path.write_bytes(changes[number % 4](path.read_bytes(), draws))
        signed.append(number % 8 < 4)
        if not signed[-1]:
            card = json.loads((model / "config.json").read_text())
            del card["sha256"]
            (model / "config.json").write_text(json.dumps(card))
        commands.append(field.predict(model, one, field.new("masks") / "out", "--quiet"))
    for outcome, known in zip(field.do_all(commands), signed, strict=True):
        problem = is_calm(outcome)
        if known and not problem and outcome.code == 0:
            problem = "a changed model predicts in silence"
        tally.note(problem, outcome)
    return tally


def cards(field: Field) -> Tally:
    """config.json with any value under any key, and broken text."""
    tally = Tally("config.json: any value under any key, broken text")
    draws, commands = field.draws("cards"), []
    one = _one_photo(field)
    for number in range(field.times(80)):
        model = _model(field)
        path = model / "config.json"
        card = json.loads(path.read_text())
        key = draws.choice([*card["settings"], "format", "sha256", "picie", "settings", "new"])
        inner = card["settings"] if key in card["settings"] else card
        inner[key] = draws.choice(WRONG)
        data = json.dumps(card).encode()
        if number % 4 == 0:
            data = draws.choice((flipped, cut, noise))(path.read_bytes(), draws)
        path.write_bytes(data)
        commands.append(field.predict(model, one, field.new("masks") / "out", "--quiet"))
    for outcome in field.do_all(commands):
        tally.note(is_calm(outcome), outcome)
    return tally


def settings(field: Field) -> Tally:
    """config.toml, run.json, metrics.jsonl, classes.toml and suites with other bits and values."""
    tally = Tally("config.toml, run.json, metrics, classes.toml, suites")
    draws, commands = field.draws("settings"), []
    names = ("config.toml", "run.json", "metrics.jsonl", "health.json", "classes.toml", "suite")
    for number in range(field.times(90)):
        model = _model(field)
        name = names[number % len(names)]
        path = model / name if name != "suite" else field.root / "suite.toml"
        data = draws.choice((flipped, cut, noise, _other_value))(path.read_bytes(), draws)
        (model / name).write_bytes(data)
        commands.append(
            Command(
                ["bench", model / name, "--list", "--out", model / "bench"]
                if name == "suite"
                else ["name", model, "--list", "--quiet"]
                if name == "classes.toml" and number % 2
                else ["info", model]
            )
        )
    for outcome in field.do_all(commands):
        tally.note(is_calm(outcome), outcome)
    return tally


def checkpoints(field: Field) -> Tally:
    """A checkpoint with other bits is used as it is or refused, and then nothing has changed."""
    tally = Tally("checkpoint: bits, ends, headers, numbers; nothing changes if refused")
    draws, commands = field.draws("checkpoints"), []
    base = field.new("base") / "run"
    shutil.copytree(field.run, base)  # as if killed after the last epoch
    for name in ("model.safetensors", "config.json"):
        (base / name).unlink()
    for number in range(field.times(32)):
        run = field.new("run") / "run"
        shutil.copytree(base, run)
        found = [path for path in (run / "checkpoint").rglob("*") if path.is_file()]
        changes = (flipped, cut, _other_header, _other_numbers)
        for path in found:
            path.write_bytes(changes[number % 4](path.read_bytes(), draws))
        commands.append(Command(["train", "--resume", run, "--quiet"]))
    before = [tree(Path(command.args[2])) for command in commands]
    for outcome, old in zip(field.do_all(commands), before, strict=True):
        problem = is_calm(outcome)
        new = tree(Path(outcome.command.args[2]))
        kept = ("metrics.jsonl", "config.toml", "run.json")
        if not problem and outcome.code and any(old.get(name) != new.get(name) for name in kept):
            problem = "refused, but files have changed"
        tally.note(problem, outcome)
    return tally


def pictures(field: Field) -> Tally:
    """Broken pictures of every format: a mask, or a line that names them; the others get masks."""
    tally = Tally("pictures of 10 kinds: bits, ends, noise; all others get masks")
    draws = field.draws("pictures")
    for _ in range(field.times(4)):
        folder = field.new("photos")
        whole = _good_pictures(draws)
        for name, data in whole.items():
            (folder / name).write_bytes(data)
            for number, change in enumerate((flipped, flipped, cut, cut, noise, _other_header)):
                path = folder / f"broken{number} {name}"
                path.write_bytes(change(data, draws))
        out = field.new("masks") / "out"
        outcome = field.do(field.predict(field.named, folder, out))
        problem = is_calm(outcome, (0,))
        listed = outcome.text + "".join(
            path.read_text(errors="replace")
            for path in out.glob("*")
            if path.suffix in (".txt", ".jsonl")
        )
        for path in folder.iterdir():
            masks = [out / f"{path.stem}.png", out / f"{path.name}.png"]
            missing = not any(mask.exists() for mask in masks) and path.name not in listed
            bad = path.name in whole and not any(mask.exists() for mask in masks)
            tally.note(
                problem or ("is neither a mask nor named" if missing or bad else ""),
                f"{path.name!a} {outcome}",
            )
    return tally


Change = Callable[[bytes, random.Random], bytes]


def flipped(data: bytes, draws: random.Random) -> bytes:
    """One to eight other bits."""
    changed = bytearray(data)
    for _ in range(draws.choice((1, 1, 2, 8)) if data else 0):
        changed[draws.randrange(len(changed))] ^= 1 << draws.randrange(8)
    return bytes(changed)


def cut(data: bytes, draws: random.Random) -> bytes:
    """Only the beginning, or with a longer end."""
    return data[: draws.randrange(len(data) + 1)] if draws.random() < 0.9 else data + b"\0" * 99


def noise(data: bytes, draws: random.Random) -> bytes:
    """Other bytes, of the same length or another kind."""
    odd = (
        b"",
        b"\xff\xfe\0\0",
        b"\0" * 100,
        b"\xef\xbb\xbf",
        b"[" * 50_000,
        b"a." * 50_000 + b"a=1",
    )
    return draws.choice((draws.randbytes(len(data)), *odd))


def _other_header(data: bytes, draws: random.Random) -> bytes:
    """The first bytes changed, as a header of safetensors where it is one."""
    try:
        size = struct.unpack("<Q", data[:8])[0]
        header = json.loads(data[8 : 8 + size])
    except (ValueError, struct.error, UnicodeDecodeError):
        return flipped(data[:100], draws) + data[100:]
    name = draws.choice(sorted(header))
    entry = header[name]
    match draws.randrange(6):
        case 0:
            entry["shape"] = draws.choice(([10**12], [0], [], [-1], [2**63, 2], "x", None))
        case 1:
            entry["dtype"] = draws.choice(("F64", "I64", "BOOL", "F8_E4M3", "x", 3))
        case 2:
            entry["data_offsets"] = draws.choice(([0, 10**15], [5, 1], [0], "x"))
        case 3:
            header[name + "x"] = header.pop(name)
        case 4:
            del header[name]
        case _:
            header = draws.choice(([], {}, {"a": 1}, {name: {}}))
    text = json.dumps(header).encode()
    return struct.pack("<Q", draws.choice((len(text), len(text), 2**40))) + text + data[8 + size :]


def _other_numbers(data: bytes, draws: random.Random) -> bytes:
    """NaN, infinite and huge values in place of some tensor values."""
    start = 8 + struct.unpack("<Q", data[:8])[0]
    values = bytearray(data)
    for _ in range(draws.choice((1, 3, 100))):
        place = start + 4 * draws.randrange(max((len(data) - start) // 4, 1))
        number = draws.choice((float("nan"), float("inf"), -3e38, 1e30))
        values[place : place + 4] = struct.pack("<f", number)
    return bytes(values[: len(data)])


def _other_value(data: bytes, draws: random.Random) -> bytes:
    """One value of a line of TOML or JSON replaced."""
    lines = data.decode().split("\n")
    places = [number for number, line in enumerate(lines) if "=" in line or ":" in line]
    if not places:
        return data
    place = draws.choice(places)
    sign = "=" if "=" in lines[place] else ":"
    key = lines[place].split(sign)[0]
    value = draws.choice(("[]", "{}", "-1", "1e999", "true", '"\\u0000"', "0x" + "f" * 9000,
                          "[[[]]]", "1979-05-27", '"\x1b"', "nan", "99999999999"))  # fmt: skip
    lines[place] = f"{key}{sign} {value}"
    return "\n".join(lines).encode()


def _good_pictures(draws: random.Random) -> dict[str, bytes]:
    """A picture of each kind that is read everywhere."""
    pixels = np.random.default_rng(draws.randrange(2**32)).integers(0, 255, (40, 52, 3), np.uint8)
    plain = Image.fromarray(pixels)
    deep = Image.fromarray(pixels[..., 0].astype(np.uint16) * 257)
    kinds: dict[str, tuple[Image.Image, str, dict[str, Any]]] = {
        "a.jpg": (plain, "JPEG", {}),
        "progressive.jpg": (plain, "JPEG", {"progressive": True}),
        "b.png": (plain, "PNG", {}),
        "palette.png": (plain.convert("P"), "PNG", {}),
        "deep.png": (deep, "PNG", {}),
        "c.webp": (plain, "WEBP", {}),
        "d.bmp": (plain, "BMP", {}),
        "e.tif": (plain, "TIFF", {}),
        "packed.tif": (plain, "TIFF", {"compression": "tiff_lzw"}),
        "deep.tif": (deep, "TIFF", {}),
    }
    return {name: _saved(image, kind, options) for name, (image, kind, options) in kinds.items()}


def _saved(image: Image.Image, kind: str, options: dict[str, Any]) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def _model(field: Field) -> Path:
    model = field.new("model") / "model"
    shutil.copytree(field.named, model)
    return model


def _one_photo(field: Field) -> Path:
    folder = field.new("photo")
    first = min(field.photos.iterdir())
    shutil.copy(first, folder)
    return folder
