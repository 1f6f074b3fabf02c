"""Reports: one HTML page that shows the clusters of a model on a folder of photos."""

import dataclasses
import shlex
from collections.abc import Mapping
from pathlib import Path

from picie.clustering.tree import cluster_groups, suggest_clusters, tree_of
from picie.data.folder import PhotoFolder, open_folder
from picie.data.masks import MaskMap, MaskOrientation, Void, mask_rule
from picie.errors import ConfigError
from picie.inference.plan import inputs_of
from picie.inference.segmenter import Segmenter, loaded
from picie.reporting.collect import Portraits, closeness, make_portraits, merges_of
from picie.reporting.content import Cluster, Document, Tree
from picie.reporting.html import is_report, to_html
from picie.reporting.scores import score_of
from picie.runs import CLASSES_FILE, Run
from picie.runtime.files import write_atomically, writing
from picie.runtime.outputs import Inputs, check_output
from picie.runtime.progress import Reporter
from picie.runtime.storage import check_local
from picie.types import IGNORED
from picie.visualization.charts import PANELS, Line, chart, epoch_points, stroke

__all__ = ["Report", "make_report", "report"]

_NEAREST = 3
_CURVE = 3  # epochs; two make a straight line
_DOUBT = "Doubt is the mean probability that the class of a pixel is wrong, as the model sees it."
_ENDINGS = (".html", ".htm")


@dataclasses.dataclass(frozen=True)
class Report:
    """A page, and what the command reports about it.

    Attributes:
        html: the page.
        photos: number of photos that were read.
        problems: a line for each photo that could not be read.
        scored: whether there is a score; the reporter has then already listed the problems.
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
    void: Void = "auto",
    mask_map: MaskMap = (),
    mask_orientation: MaskOrientation = "auto",
    reporter: Reporter | None = None,
) -> Report:
    """Predict all photos, score the model if there are labels, and return the page as text.

    The same model and photos give the same page.

    Args:
        model: a trained model.
        source: a photo or a folder of them; masks and class names in it are used for the score.
        run: the run that the model comes from, for health and curves.
        title: heading of the page; the name of the run if empty.
        split: list file of the folder.
        gallery: most photos that are shown, 0..1000.
        size: short side in pixels at which the network sees a photo; as in training if None.
        workers: threads that read photos; 0 = none, -1 = chosen from the cores.
        void: how masks are read, as in `evaluate`; so are the next two.
        mask_map: class id, or "void", of stored values.
        mask_orientation: what masks of photos with an EXIF orientation are drawn on.
        reporter: shows progress.

    Raises:
        ConfigError: impossible options.
        DataError: no such folder or split, or no readable photo.
    """
    rule = mask_rule(void, mask_map, mask_orientation)
    folder = open_folder(source, split, reading=model.config.reading)
    reporter = reporter or Reporter(quiet=True)
    reporter.tell(folder.notes)
    if folder.classes:
        rule.check(len(folder.classes), folder.code)
    portraits = make_portraits(
        model, folder, gallery=gallery, size=size, workers=workers, reporter=reporter
    )
    score, score_note = score_of(model, folder, size=size, rule=rule, reporter=reporter)
    tree, tree_note = _tree(model, run, portraits)
    every = _clusters(model, portraits, _parts(model, tree))
    clusters = sorted(
        (cluster for cluster in every if cluster.share),
        key=lambda cluster: (-cluster.share, cluster.id),
    )
    health_note, health = _health(model, run)
    charts = _charts(run)
    document = Document(
        title=title or (run.folder.name if run is not None else "model"),
        lede=_lede(model, folder, portraits),
        facts=_facts(model, folder, run),
        clusters=tuple(clusters),
        absent=tuple(
            cluster.name for cluster in every if not cluster.share and cluster.id != IGNORED
        ),
        photos=portraits.photos,
        problems=portraits.problems,
        gallery=portraits.shots,
        gallery_note=_gallery_note(portraits),
        health=health,
        health_note=health_note,
        charts=charts,
        charts_note="" if charts else _no_charts(run),
        tree=tree,
        tree_note=tree_note,
        score=score,
        score_note=score_note,
        notes=folder.notes,
        constant=portraits.constant,
    )
    missing = score_note if folder.classes and score is None else ""
    return Report(
        to_html(document), portraits.photos, portraits.problems, score is not None, missing
    )


def report(
    model: Segmenter | str | Path,
    source: str | Path,
    out: str | Path,
    *,
    split: str = "",
    gallery: int = 200,
    size: int | None = None,
    workers: int = -1,
    void: Void = "auto",
    mask_map: MaskMap = (),
    mask_orientation: MaskOrientation = "auto",
    reporter: Reporter | None = None,
) -> Report:
    """Write an HTML page that shows the clusters of a model on a folder of photos.

    Args:
        model: a trained model, or its run folder; health and curves come from that folder.
        source: a photo or a folder of them; masks and class names in it are used for the score.
        out: the page, a file that ends in .html; only an earlier report is replaced.
        split: as in `make_report`; so are the others.
        gallery: most photos that are shown, 0..1000.
        size: short side in pixels at which the network sees a photo; as in training if None.
        workers: threads that read photos; 0 = none, -1 = chosen from the cores.
        void: how masks are read, as in `evaluate`; so are the next two.
        mask_map: class id, or "void", of stored values.
        mask_orientation: what masks of photos with an EXIF orientation are drawn on.
        reporter: shows progress; None = silent.

    Returns:
        the page, and what to report about it.

    Raises:
        ConfigError: another file extension, a file that is not a report, or impossible options.
        DataError: no such folder or split, or no readable photo.
        PicieError: the page cannot be written.

    Example:
        >>> picie.report("runs/first", "photos/", "report.html").photos  # doctest: +SKIP
        120
    """
    out, model = Path(out), loaded(model)
    _check_out(out, lambda: inputs_of(model, open_folder(source, split)))
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
        void=void,
        mask_map=mask_map,
        mask_orientation=mask_orientation,
        reporter=reporter,
    )
    write_atomically(out, page.html.encode())
    return page


def _check_out(out: Path, inputs: Inputs) -> None:
    """Fail before the photos are processed if the page must not or cannot be written."""
    if out.suffix.lower() not in _ENDINGS or out.is_dir():
        raise ConfigError(f"--out {out}: give a file that ends in .html, such as report.html")
    check_output(out, is_report, inputs=inputs)
    with writing(out):
        out.parent.mkdir(parents=True, exist_ok=True)


def _lede(model: Segmenter, folder: PhotoFolder, portraits: Portraits) -> str:
    what = f"{model.network.clusters} clusters"
    if model.class_names is not None:
        what += f" with names, {model.clusters} ids in masks"
    root = check_local("picie report reads", folder.root)
    where = f"folder {root.resolve().name}" + (f", split {folder.split}" if folder.split else "")
    photos = f"{portraits.photos:,} photo{'s' * (portraits.photos != 1)}"
    labels = model.network.labels
    found = "found without labels" if labels is None else f"taught with labels ({labels})"
    return f"{what}, {found}, on {photos} ({where})."


def _facts(model: Segmenter, folder: PhotoFolder, run: Run | None) -> tuple[tuple[str, str], ...]:
    config = model.config
    learnt = config.data + (f", split {config.split}" if config.split else "")
    facts = [
        ("photos", f"{folder.root}" + (f", split {folder.split}" if folder.split else "")),
        ("trained on", learnt or "unknown"),
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


def _clusters(
    model: Segmenter, portraits: Portraits, parts: Mapping[int, tuple[int, ...]]
) -> list[Cluster]:
    """Card data of every output id, in order, then of the ignored pixels if there are any."""
    near, notes = closeness(model), _notes(model)
    clusters = []
    for number, (name, colour) in enumerate(zip(model.names, model.colours, strict=True)):
        others = [
            other for other in range(len(near)) if other != number and portraits.shares[other]
        ]
        others.sort(key=lambda other: (-near[number, other], other))
        nearest = tuple((other, float(near[number, other])) for other in others[:_NEAREST])
        clusters.append(
            Cluster(
                id=number,
                name=name,
                note=notes.get(name, ""),
                colour=(int(colour[0]), int(colour[1]), int(colour[2])),
                share=float(portraits.shares[number]),
                photos=int(portraits.occurrences[number]),
                heat=portraits.heats[number],
                typical=portraits.typical[number],
                atypical=portraits.atypical[number],
                nearest=nearest,
                parts=parts.get(number, ()),
            )
        )
    if portraits.shares[-1]:
        share, photos = float(portraits.shares[-1]), int(portraits.occurrences[-1])
        note = f"{notes['']}: void in masks"
        clusters.append(
            Cluster(
                IGNORED,
                "ignored",
                note,
                (128, 128, 128),
                share,
                photos,
                portraits.heats[-1],
                parts=parts.get(IGNORED, ()),
            )
        )
    return clusters


def _notes(model: Segmenter) -> dict[str, str]:
    """The parts of each named class; under "" the names of the ignored classes."""
    merged = model.class_names.merged if model.class_names is not None else ()
    notes = {"": ", ".join(named_class.name for named_class in merged if named_class.ignore)}
    for named_class in merged:
        parts = {"cluster": named_class.clusters, "node": named_class.nodes}
        notes[named_class.name] = "; ".join(
            f"{kind}{'s' * (len(numbers) > 1)} {', '.join(map(str, numbers))}"
            for kind, numbers in parts.items()
            if numbers
        )
    return notes


def _parts(model: Segmenter, tree: Tree | None) -> dict[int, tuple[int, ...]]:
    """The nodes that each id is made of: those of its clusters, and those that were named."""
    if tree is None:
        return {}
    count = len(tree.owners)
    merged = model.class_names.merged if model.class_names is not None else ()
    chosen = {node for named_class in merged for node in named_class.nodes}
    parts: dict[int, list[int]] = {owner: [] for owner in tree.owners}

    def is_part(node: int) -> bool:
        """Whether a node is of one id, and a cluster, a named node, or what is left of one."""
        own = tree.members[node]
        return len({tree.owners[leaf] for leaf in own}) == 1 and (
            len({tree.groups[leaf] for leaf in own}) == 1 or node in chosen
        )

    waiting = [2 * count - 2]
    while waiting:
        node = waiting.pop()
        if is_part(node):
            parts[tree.owners[tree.members[node][0]]].append(node)
        else:
            waiting += tree.merges[node - count][:2]
    return {owner: tuple(sorted(nodes)) for owner, nodes in parts.items()}


def _gallery_note(portraits: Portraits) -> str:
    if not portraits.shots:
        return "No photo is shown here, but all are counted above."
    if len(portraits.shots) == portraits.photos:
        return f"All readable photos. {_DOUBT}"
    return (
        f"{len(portraits.shots)} of {portraits.photos:,} photos, evenly spaced by name; all are "
        f"counted above. --gallery shows more. {_DOUBT}"
    )


# --- health, curves


def _health(model: Segmenter, run: Run | None) -> tuple[str, Mapping[str, float]]:
    health = run.health() if run is not None else {}
    if not health:
        return "This model has no health.json: training measured nothing.", {}
    assert run is not None
    images = health.get("pictures", 0)
    note = (
        f"Measured without labels after training, on square crops of {images:.0f} of the "
        f"training photos, with {run.config.clusters} clusters; shares of whole photos differ. "
        "These are not scores."
    )
    if model.network.clusters != run.config.clusters:
        note += f" This report shows {model.network.clusters} clusters."
    return note, health


def _charts(run: Run | None) -> tuple[str, ...]:
    if run is not None and 0 < run.config.epochs < _CURVE:
        return ()
    records = run.metrics() if run is not None else []
    drawn = []
    for key, name in PANELS.items():
        points = tuple(sorted(epoch_points(records, key).items()))
        drawn.append(chart(name, [Line("this run", stroke(0), points)]))
    return tuple(svg for svg in drawn if svg)


def _no_charts(run: Run | None) -> str:
    if run is not None and not run.config.epochs:
        return "No curves: this model was clustered once and not trained (0 epochs)."
    if run is not None and run.config.epochs < _CURVE:
        return (
            f"No curves: {run.config.epochs} epochs make no curve; metrics.jsonl has the numbers."
        )
    return "No curves: this model has no metrics.jsonl."


# --- the tree


def _cut(model: Segmenter) -> int:
    """The number of clusters that names refer to, or that of the network."""
    return model.network.clusters if model.class_names is None else model.class_names.clusters


def _tree(model: Segmenter, run: Run | None, portraits: Portraits) -> tuple[Tree | None, str]:
    centroids = model.network.centroid_set()
    try:
        rows = tree_of(centroids)
    except ConfigError as error:
        return None, f"No tree: {error}"
    if not len(rows):
        return None, "No tree: the model has one centroid."
    ids = model.centroid_ids
    owners = [IGNORED if number == model.clusters else number for number in ids.tolist()]
    suggested, cut = suggest_clusters(rows), _cut(model)
    note = (
        f"The order in which the {len(owners)} centroids merge. This page shows the cut at {cut} "
        "clusters"
    )
    note += (
        ", which is also at the widest gap in the tree. "
        if suggested == cut
        else f"; the widest gap in the tree is at {suggested}, a weak hint. "
    )
    note += f"Any number from 2 to {len(owners)} is available without training."
    tree = Tree(
        merges_of(model),
        tuple(owners),
        cut,
        suggested,
        tuple(cluster_groups(centroids, cut).tolist()),
        portraits.nodes,
        portraits.crops,
        _command(model, run),
    )
    return tree, note


def _command(model: Segmenter, run: Run | None) -> str:
    """How `picie name` is called for this model, at the cut that the page shows."""
    folder = run.folder if run is not None else model.run
    if folder is None:
        return "picie name RUN"
    command = f"picie name {shlex.quote(str(folder))}"
    recut = run is not None and model.network.clusters != run.config.clusters
    if recut and model.class_names is None and not (folder / CLASSES_FILE).exists():
        command += f" --clusters {model.network.clusters}"
    return command
