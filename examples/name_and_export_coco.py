"""Name the clusters of a trained model, and export its masks for annotation tools.

    python examples/name_and_export_coco.py runs/first photos/ out/ road=0,7 sky=1

Each NAME=CLUSTERS merges clusters into one class; a cluster without a name stays a separate class.
`picie name` and `picie export` do the same on the command line and store the names in the run
folder, which this example does not change. Needs the extra `export`.
"""

import argparse
import json
from pathlib import Path

import picie
from picie.export.masks import export_masks
from picie.models.class_names import ClassNames


def main() -> None:
    """Name, export, and read the export back."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("photos", type=Path)
    parser.add_argument("out", type=Path, help="folder to create")
    parser.add_argument("names", nargs="+", metavar="NAME=CLUSTERS")
    args = parser.parse_args()

    chosen = {}
    for given in args.names:
        name, _, clusters = given.partition("=")
        chosen[name] = [int(cluster) for cluster in clusters.split(",")]

    model = picie.load(args.run, named=False)
    named = model.named(ClassNames.of(model.clusters, chosen))
    written = export_masks(named, "coco", args.photos, args.out)

    print(f"{written} photos in {args.out}, with {named.clusters} classes")
    read = json.loads((args.out / "annotations" / "instances_default.json").read_text("utf-8"))
    for category in read["categories"]:
        areas = [one["area"] for one in read["annotations"] if one["category_id"] == category["id"]]
        print(f"{category['name']:<16} {sum(areas):>12,.0f} pixels in {len(areas)} photos")


if __name__ == "__main__":
    main()
