"""Train with several objectives on one labelled folder, and score them with the same protocol.

    python examples/compare_objectives.py labelled/ out/ --clusters 8

The folder has images/, masks/, classes.txt, train.txt and val.txt. Labels are used only for
scoring. `picie bench` does the same with several seeds, and resumes after an interruption.
"""

import argparse
from pathlib import Path

import picie

OBJECTIVES = ("frozen", "picie", "picie-h", "mdc", "iic")


def main() -> None:
    """Run training once per objective."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("labelled", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--clusters", type=int, default=8)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--size", type=int, default=160, help="in pixels, a multiple of 32")
    parser.add_argument("--objectives", nargs="+", default=OBJECTIVES, choices=OBJECTIVES)
    args = parser.parse_args()

    print("objective   accuracy   mIoU   (per cent)")
    for objective in args.objectives:
        settings = {} if objective == "frozen" else {"epochs": args.epochs}
        model = picie.train(
            args.labelled,
            args.out / objective,
            split="train",
            objective=objective,
            clusters=args.clusters,
            size=args.size,
            base_size=args.size,
            **settings,
        )
        scores = picie.evaluate(model, args.labelled, split="val").scores
        print(f"{objective:<10} {scores.accuracy:>9.1f} {scores.miou:>6.1f}")


if __name__ == "__main__":
    main()
