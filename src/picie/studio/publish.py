"""Write the folder of a model to share, or publish it on the hub: a command for jobs.

python -m picie.studio.publish MODEL OUT --photos PHOTOS [--license ID] [--hub USER/NAME]
"""

import argparse
import sys
from pathlib import Path

from picie.errors import PicieError
from picie.runtime.printable import printable

__all__ = ["main"]


def main(argv: list[str]) -> int:
    """Do it; returns the exit code.

    Args:
        argv: arguments.
    """
    parser = argparse.ArgumentParser(prog="picie.studio.publish")
    parser.add_argument("model", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--license", default="")
    parser.add_argument("--hub", default="")
    parser.add_argument("--public", action="store_true")
    options = parser.parse_args(argv)
    try:
        _publish(options)
    except PicieError as error:
        sys.stderr.write(f"picie: error: {printable(str(error))}\n")
        return error.exit_code
    return 0


def _publish(options: argparse.Namespace) -> None:
    from picie.inference.segmenter import load

    model = load(options.model)
    if not options.hub:
        model.save_pretrained(options.out, photos=options.photos, license=options.license)
        return
    address = model.push_to_hub(
        options.hub, private=not options.public, photos=options.photos, license=options.license
    )
    sys.stdout.write(f"{address}\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
