"""A report of a run: what its clusters look like on a folder of photos, as one HTML page."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

from picie.clustering.tree import suggest_clusters, trees
from picie.data.folder import PhotoFolder, open_folder
from picie.errors import ConfigError
from picie.inference.segmenter import Segmenter, loaded
from picie.reporting.collect import Portraits, closeness, make_portraits
from picie.reporting.content import Cluster, Document, Tree
from picie.reporting.html import to_html
from picie.reporting.scores import score_of
from picie.runs import Run
from picie.runtime.files import write_atomically, writing
from picie.runtime.progress import Reporter
from picie.types import IGNORED
from picie.visualization.charts import PANELS, Line, chart, epoch_points, stroke

__all__ = ["Report", "make_report", "report"]

_NEAREST = 3
_ENDINGS = (".html", ".htm")


@dataclasses.dataclass(frozen=True)
class Report:
    """A page, and what there is to say about it.

    Attributes:
        html: the page.
        photos: number of photos that were read.
        problems: a line for each photo that could not be read.
        scored: there is a score; what could not be read was then named by the reporter already.
        note: why there is no score although there are masks, else "".
    """

    html: str
    photos: int
    problems: tuple[str, ...]
    scored: bool
    note: str


def make_report(
    model: Segmenter,
    source: str | Path,
    *,
    run: Run | None = None,
    title: str = "",
    split: str = "",
    gallery: int = 200,
    size: int | None = None,
    workers: int = -1,
    reporter: Reporter | None = None,
) -> Report:
    """Look at all photos, score the model where there are labels, and write the page as text.

    The same model and photos give the same page.

    Args:
        model: a trained model.
        source: a photo or a folder of them; masks and class names in it are used for the score.
        run: the run it comes from, for health and curves.
        title: name of the run for people.
        split: list file of the folder.
        gallery: most photos that are shown, 0..1000.
        size: short side in pixels at which the network sees a photo; as in training if None.
        workers: threads that read photos; 0 = none, -1 = chosen from the cores.
        reporter: shows how far it came.

    Raises:
        ConfigError: options that cannot be.
        DataError: no such folder or split, or no readable photo.
    """
    folder = open_folder(source, split)
    seen = make_portraits(
        model, folder, gallery=gallery, size=size, workers=workers, reporter=reporter
    )
    score, score_note = score_of(model, folder, size=size, reporter=reporter)
    every = _clusters(model, seen)
    clusters = sorted((one for one in every if one.share), key=lambda one: (-one.share, one.id))
    tree, tree_note = _tree(model)
    health_note, health = _health(model, run)
    charts = _charts(run)
    document = Document(
        title=title or (run.folder.name if run is not None else "model"),
        lede=_lede(model, folder, seen),
        facts=_facts(model, folder, run),
        clusters=tuple(clusters),
        absent=tuple(one.name for one in every if not one.share and one.id != IGNORED),
        photos=seen.photos,
        problems=seen.problems,
        gallery=seen.shots,
        gallery_note=_gallery_note(seen),
        health=health,
        health_note=health_note,
        charts=charts,
        charts_note="" if charts else _no_charts(run),
        tree=tree,
        tree_note=tree_note,
        score=score,
        score_note=score_note,
    )
    missing = score_note if folder.classes and score is None else ""
    return Report(to_html(document), seen.photos, seen.problems, score is not None, missing)


def report(
    model: Segmenter | str | Path,
    source: str | Path,
    out: str | Path,
    *,
    split: str = "",
    gallery: int = 200,
    size: int | None = None,
    workers: int = -1,
    reporter: Reporter | None = None,
) -> Report:
    """Write a page on what the clusters of a model look like on a folder of photos.

    Args:
        model: a trained model, or its run folder; health and curves come from that folder.
        source: a photo or a folder of them; masks and class names in it are used for the score.
        out: the page, a file that ends in .html; one that is there is replaced.
        split: as in `make_report`; so are the others.
        gallery: most photos that are shown, 0..1000.
        size: short side in pixels at which the network sees a photo; as in training if None.
        workers: threads that read photos; 0 = none, -1 = chosen from the cores.
        reporter: shows how far it came; None = nothing.

    Returns:
        the page, and what there is to say about it.

    Raises:
        ConfigError: another ending, or options that cannot be.
        DataError: no such folder or split, or no readable photo.
        PicieError: the page cannot be written.

    Example:
        >>> picie.report("runs/first", "photos/", "report.html").photos  # doctest: +SKIP
        120
    """
    out = Path(out)
    _check_out(out)
    model = loaded(model)
    folder = model.run
    page = make_report(
        model,
        source,
        run=Run.open(folder) if folder is not None and Run.is_run(folder) else None,
        title=folder.resolve().name if folder is not None else "",
        split=split,
        gallery=gallery,
        size=size,
        workers=workers,
        reporter=reporter,
    )
    write_atomically(out, page.html.encode())
    return page


def _check_out(out: Path) -> None:
    """A page that cannot be written is better known before all photos were looked at."""
    if out.suffix.lower() not in _ENDINGS or out.is_dir():
        raise ConfigError(f"--out {out}: give a file that ends in .html, such as report.html")
    with writing(out):
        out.parent.mkdir(parents=True, exist_ok=True)


def _lede(model: Segmenter, folder: PhotoFolder, seen: Portraits) -> str:
    what = f"{model.network.clusters} clusters"
    if model.class_names is not None:
        what += f", named as {model.clusters} classes and clusters"
    where = folder.root.resolve().name + (f" ({folder.split}.txt)" if folder.split else "")
    photos = f"{seen.photos:,} photo{'s' * (seen.photos != 1)}"
    return f"{what}, found without labels, on {photos} of {where}."


def _facts(model: Segmenter, folder: PhotoFolder, run: Run | None) -> tuple[tuple[str, str], ...]:
    config = model.config
    learnt = config.data + (f", {config.split}.txt" if config.split else "")
    facts = [
        ("photos", f"{folder.root}" + (f", {folder.split}.txt" if folder.split else "")),
        ("learnt from", learnt or "not known"),
        ("network", f"{config.backbone}, {config.feature_size} features, {config.size} px"),
        ("objective", f"{config.objective}, {config.epochs} epochs"),
        ("clusters", f"{model.network.clusters} of {model.network.groups.shape[1]} centroids"),
        ("post-processing", config.post_processing),
        ("seed", str(config.seed)),
    ]
    if run is not None:
        facts += [("run", f"{run.folder}"), ("written by", f"picie {run.version}")]
    return tuple(facts)


# --- clusters


def _clusters(model: Segmenter, seen: Portraits) -> list[Cluster]:
    """All that an output id or the ignored pixels stand for, in the order of their ids."""
    near, notes = closeness(model), _notes(model)
    found = []
    for number, (name, colour) in enumerate(zip(model.names, model.colours, strict=True)):
        others = [other for other in range(len(near)) if other != number and seen.shares[other]]
        others.sort(key=lambda other: (-near[number, other], other))
        nearest = tuple((other, float(near[number, other])) for other in others[:_NEAREST])
        found.append(
            Cluster(
                id=number,
                name=name,
                note=notes.get(name, ""),
                colour=(int(colour[0]), int(colour[1]), int(colour[2])),
                share=float(seen.shares[number]),
                photos=int(seen.occurrences[number]),
                heat=seen.heats[number],
                typical=seen.typical[number],
                atypical=seen.atypical[number],
                nearest=nearest,
            )
        )
    if seen.shares[-1]:
        share, photos = float(seen.shares[-1]), int(seen.occurrences[-1])
        note = f"{notes['']}: void in masks"
        found.append(
            Cluster(IGNORED, "ignored", note, (128, 128, 128), share, photos, seen.heats[-1])
        )
    return found


def _notes(model: Segmenter) -> dict[str, str]:
    """What each named class is made of; under "" the names of those that are ignored."""
    merged = model.class_names.merged if model.class_names is not None else ()
    found = {"": ", ".join(one.name for one in merged if one.ignore)}
    for one in merged:
        parts = {"cluster": one.clusters, "node": one.nodes}
        found[one.name] = "; ".join(
            f"{kind}{'s' * (len(numbers) > 1)} {', '.join(map(str, numbers))}"
            for kind, numbers in parts.items()
            if numbers
        )
    return found


def _gallery_note(seen: Portraits) -> str:
    if not seen.shots:
        return "No photo is shown here; all of them are counted above."
    if len(seen.shots) == seen.photos:
        return "All photos that could be read, in the order of their names."
    return (
        f"{len(seen.shots)} of {seen.photos:,} photos, chosen at even distances in the order of "
        "their names; all of them are counted above. --gallery shows more."
    )


# --- health, curves


def _health(model: Segmenter, run: Run | None) -> tuple[str, Mapping[str, float]]:
    health = run.health() if run is not None else {}
    if not health:
        return "There is no health.json beside this model: nothing was measured in training.", {}
    assert run is not None
    images = health.get("pictures", 0)
    note = (
        f"Measured without labels after training, on {images:.0f} of the photos that it was "
        f"trained on, with {run.config.clusters} clusters. None of the numbers is a score."
    )
    if model.network.clusters != run.config.clusters:
        note += f" This report shows {model.network.clusters} clusters."
    return note, health


def _charts(run: Run | None) -> tuple[str, ...]:
    records = run.metrics() if run is not None else []
    drawn = []
    for key, name in PANELS.items():
        points = tuple(sorted(epoch_points(records, key).items()))
        drawn.append(chart(name, [Line("this run", stroke(0), points)]))
    return tuple(one for one in drawn if one)


def _no_charts(run: Run | None) -> str:
    if run is not None and not run.config.epochs:
        return "This model was clustered once and not trained (0 epochs): there is nothing to draw."
    return "There is no metrics.jsonl beside this model: there is nothing to draw."


# --- the tree


def _cut(model: Segmenter) -> int:
    """The number of clusters that names refer to, or that there are."""
    return model.network.clusters if model.class_names is None else model.class_names.clusters


def _tree(model: Segmenter) -> tuple[Tree | None, str]:
    try:
        rows = trees(model.network)[0]
    except ConfigError as error:
        return None, f"There is no tree: {error}"
    if not len(rows):
        return None, "There is no tree: the model has one centroid."
    ids = model.centroid_ids
    owners = [IGNORED if one == model.clusters else one for one in ids.tolist()]
    suggested, cut = suggest_clusters(rows), _cut(model)
    merges = tuple((int(left), int(right), distance) for left, right, distance in rows.tolist())
    note = (
        f"How the {len(owners)} centroids join, the most alike first. This page shows the cut at "
        f"{cut} clusters"
    )
    note += (
        ", where the tree has its widest gap too. "
        if suggested == cut
        else f"; the tree has its widest gap at {suggested}, which --clusters {suggested} shows. "
    )
    note += f"Any number from 2 to {len(owners)} can be had without training."
    return Tree(merges, tuple(owners), cut, suggested), note
