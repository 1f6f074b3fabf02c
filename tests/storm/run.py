"""Kills, full disks, crowds, fuzz and hostile names for every verb: `make storm`.

python -m tests.storm.run --seed 1 --count 3 --only kills
"""

import argparse
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.storm import crowds, disks, fuzz, kills, names
from tests.storm.field import Field, Tally

STORMS: dict[str, Callable[[Field], Iterator[Tally]]] = {
    "kills": kills.storms,
    "crowds": crowds.storms,
    "disks": disks.storms,
    "fuzz": fuzz.storms,
    "names": names.storms,
}


def main() -> int:
    """Run the storms, and print a table; 1 if anything fell."""
    options = _options()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="picie-storm-") as folder:
        field = Field(Path(folder), options.seed, options.count, options.parallel)
        field.prepare()
        tallies: list[Tally] = []
        for name in options.only:
            for tally in STORMS[name](field):
                tallies.append(tally)
                _show(name, tally)
                field.clear()
    fallen = sum(len(tally.fallen) for tally in tallies)
    tried = sum(tally.tried for tally in tallies)
    _write(
        f"\n{tried - fallen} of {tried} stood, seed {options.seed}, {time.monotonic() - began:.0f} "
        f"s, Python {platform.python_version()}"
    )
    return int(fallen > 0)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0, help="of all random draws")
    parser.add_argument("--count", type=float, default=1.0, help="how many times as many trials")
    parser.add_argument("--parallel", type=int, default=2, help="processes at once")
    parser.add_argument("--only", nargs="+", choices=STORMS, default=list(STORMS))
    return parser.parse_args()


def _show(name: str, tally: Tally) -> None:
    stood = tally.tried - len(tally.fallen)
    result = f"skipped: {tally.skipped}" if tally.skipped else f"{stood} of {tally.tried}"
    _write(f"{name:<8} {tally.kind:<66} {result}")
    for line in tally.fallen[:5]:
        _write(f"         fell: {line}")
    if len(tally.fallen) > 5:
        _write(f"         and {len(tally.fallen) - 5} more")


def _write(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
