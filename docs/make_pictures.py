"""Make the README's picture from the demo: four scenes that the model was not trained on.

    make demo
    python docs/make_pictures.py

Reads runs/demo, writes docs/images/scenes.png. Curves of benchmarks are in the table.html that
`picie bench` writes.
"""

from pathlib import Path

import picie
from picie.commands.demo import draw_sheet

ROOT = Path(__file__).parents[1]


def main() -> None:
    """Draw the sheet of the demo anew, with fewer scenes."""
    demo = ROOT / "runs" / "demo"
    model = picie.load(demo / "model")
    draw_sheet(model, demo / "scenes", ROOT / "docs" / "images" / "scenes.png", rows=4)


if __name__ == "__main__":
    main()
