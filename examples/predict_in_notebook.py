"""Segment one photo in a notebook: paste these cells, or run the file.

    python examples/predict_in_notebook.py runs/first photo.jpg cuts.png

Shows the photo beside its masks with half, the usual and twice the number of clusters. The model is
loaded once; all cuts share its weights. In a notebook the last line displays the image.
"""

# %% inputs
import sys

import numpy as np
from PIL import Image

import picie
from picie.visualization.masks import colour_mask

run, photo, out = sys.argv[1:] if len(sys.argv) == 4 else ("runs/first", "photo.jpg", "cuts.png")

# %% load the model and the photo
model = picie.load(run, named=False)
image = Image.open(photo).convert("RGB")
most = model.network.groups.shape[1]

# %% the same model, cut at several numbers of clusters
panels = [np.asarray(image)]
for clusters in sorted(
    {max(2, model.clusters // 2), model.clusters, min(most, 2 * model.clusters)}
):
    cut = model.cut(clusters)
    mask = cut.predict(image)
    ids, pixels = np.unique(mask, return_counts=True)
    shares = ", ".join(f"{i}: {n / mask.size:.0%}" for i, n in zip(ids, pixels, strict=True))
    print(f"{clusters} clusters; here {shares}")
    panels.append(colour_mask(mask, cut.colours))

# %% side by side
row = Image.fromarray(np.concatenate(panels, axis=1))
row.save(out)
row  # noqa: B018
