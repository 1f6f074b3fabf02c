"""`picie name`."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from picie.cli.arguments import Name
from picie.data.folder import PhotoFolder
from picie.errors import ConfigError
from picie.inference.outputs import cluster_name
from picie.inference.segmenter import Segmenter, load
from picie.metrics.confusion import Matrix
from picie.models.class_names import CLASSES_FILE, HEADER, ClassNames, parse_classes, read_classes
from picie.naming.assign import Anatomy, assign, paint, remove, take_away
from picie.naming.file import edited, replace_classes, undo_classes
from picie.naming.parts import Part, parse_assignments, parse_colours, parse_parts, parts_of
from picie.naming.votes import Vote, add_votes, count_labels, open_labelled, votes
from picie.runtime.progress import Reporter

__all__ = ["class_table", "cluster_table", "run", "template", "vote_table"]

_SWATCH = "███"
_MOST = 4  # neighbours that are listed


def cluster_table(model: Segmenter, anatomy: Anatomy) -> Table:
    """A line for each cluster: its node, colours and names, and what it joins next in the tree.

    Args:
        model: with names, or with none in a `ClassNames`.
        anatomy: at the cut that is shown.
    """
    tree = bool(anatomy.children)
    table = Table("cluster", "colour", "name")
    table.columns[0].justify = "right"
    if tree:
        for heading in ("node", "made of", "joins", "as", "distance"):
            table.add_column(heading)
        table.columns[-1].justify = "right"
    ids = model.centroid_ids.tolist()
    for cluster, members in enumerate(anatomy.clusters):
        if not members:
            continue
        own = sorted({ids[centroid] for centroid in members})
        row: list[Text | str] = [str(cluster), _swatches(model, own), _names(model, own)]
        if tree:
            row += [_node(anatomy, cluster), _children(anatomy, cluster)]
            row += _nearest(anatomy, cluster)
        table.add_row(*row)
    return table


def class_table(model: Segmenter) -> Table:
    """A line for each id in masks: its name and colour, and what it is made of.

    Args:
        model: with names.
    """
    table = Table("id", "colour", "#rrggbb", "name", "clusters and nodes")
    table.columns[0].justify = "right"
    classes = model.class_names.merged if model.class_names is not None else ()
    made_of = {one.name: ", ".join(part.short for part in parts_of(one)) for one in classes}
    for number, name in enumerate(model.names):
        colour = "#{:02x}{:02x}{:02x}".format(*model.colours[number].tolist())
        parts = made_of.get(name, name.removeprefix("cluster "))
        table.add_row(str(number), Text(_SWATCH, colour), colour, Text(name), parts)
    for one in classes:
        if one.ignore:
            table.add_row("void", "", "", Text(one.name), made_of[one.name])
    return table


def vote_table(decided: list[Vote], model: Segmenter) -> Table:
    """A line for each cluster: the class of most of its labelled pixels, and how clear that is.

    Args:
        decided: one for each cluster.
        model: with the names that they gave.
    """
    table = Table("cluster", "colour", "class", "share %", "pixels", "then")
    for column in (table.columns[0], *table.columns[3:5]):
        column.justify = "right"
    colours = dict(zip(model.names, model.colours.tolist(), strict=True))
    for vote in decided:
        own = colours.get(vote.name or cluster_name(vote.cluster), [255, 255, 255])
        then = f"{vote.second} {vote.second_share:.0%}" if vote.second else ""
        table.add_row(
            str(vote.cluster),
            Text(_SWATCH, "#{:02x}{:02x}{:02x}".format(*own)),
            Text(vote.name or "- (no name)"),
            f"{100 * vote.share:.1f}" if vote.pixels else "-",
            f"{vote.pixels:,}".replace(",", " "),
            Text(then),
        )
    return table


def template(anatomy: Anatomy) -> str:
    """A classes.toml without classes, that says how to add some and which clusters there are.

    Args:
        anatomy: at the cut that numbers refer to.
    """
    lines = [HEADER, f"clusters = {len(anatomy.clusters)}\n"]
    lines.append(
        "\n# Take the # away and put in what you see in the overlays (picie predict --overlay).\n"
        "# [[classes]]\n"
        '# name = "road"\n'
        '# colour = "#804080"\n'
        "# clusters = [0, 1]\n"
        "\n# [[classes]]\n"
        '# name = "ignore"\n'
        "# clusters = [2]\n"
        "# ignore = true\n"
    )
    if anatomy.children:
        lines.append("\n# The clusters, and which others are most like each:\n")
        for cluster, members in enumerate(anatomy.clusters):
            if members:
                others, node, distance = _nearest(anatomy, cluster)
                lines.append(
                    f"# {cluster:>4}: joins {others} as node {node[1:]} at distance {distance}\n"
                )
    return "".join(lines)


def _swatches(model: Segmenter, ids: list[int]) -> Text:
    text = Text()
    for number in ids[:_MOST]:
        if number < model.clusters:
            text.append(_SWATCH, "#{:02x}{:02x}{:02x}".format(*model.colours[number].tolist()))
        else:
            text.append("void", "dim")
    return text


def _names(model: Segmenter, ids: list[int]) -> Text:
    """The names of a cluster; several where nodes below it have one."""
    names = [model.names[number] if number < model.clusters else "ignored" for number in ids]
    if len(names) == 1 and names[0].startswith("cluster "):
        return Text("-", "dim")
    return Text(", ".join("rest" if name.startswith("cluster ") else name for name in names))


def _node(anatomy: Anatomy, cluster: int) -> str:
    node = anatomy.node_of(cluster)
    return "" if node is None else f"n{node}"


def _children(anatomy: Anatomy, cluster: int) -> str:
    """The two nodes below it, which can be named apart."""
    node = anatomy.node_of(cluster)
    if node is None or node < anatomy.count:
        return "one centroid"
    left, right, _ = anatomy.children[node - anatomy.count]
    return f"n{left} + n{right}"


def _nearest(anatomy: Anatomy, cluster: int) -> tuple[str, str, str]:
    """The clusters of the branch that it joins next, the node that they make, and how far."""
    node = anatomy.node_of(cluster)
    for row, (left, right, distance) in enumerate(anatomy.children):
        if node in (left, right):
            beside = anatomy.nodes[right if node == left else left]
            others = [str(k) for k, own in enumerate(anatomy.clusters) if own and own <= beside]
            shown = ", ".join(others[:_MOST]) + (", ..." if len(others) > _MOST else "")
            return shown, f"n{anatomy.count + row}", f"{distance:.2f}"
    return "", "", ""


def run(options: Name) -> None:
    """Show the clusters, or change their names."""
    _check(options)
    reporter = Reporter(quiet=options.quiet)
    path = options.run / CLASSES_FILE
    if options.undo:
        _undo(options.run, path, reporter)
        return
    model = load(options.run, device=options.device, named=False)
    model.check_view(0)
    exists = path.exists()
    names = read_classes(path) if exists else ClassNames(_cut(model, options), (), str(path))
    if options.init:
        _init(options.run, path, Anatomy(model.network, names.clusters), reporter)
    elif _changes(options):
        model.named(names)  # raises: what is there must be right before it is changed
        _change(options, model, names, path, reporter)
    else:
        _show(options, model, names, exists=exists)


def _cut(model: Segmenter, options: Name) -> int:
    return model.clusters if options.clusters is None else options.clusters


def _changes(options: Name) -> bool:
    given = options.set or options.unset or options.clear or options.colour
    return bool(given or options.from_ or options.overwrite)


def _check(options: Name) -> None:
    """Refuse options that do not go together."""
    alone = {"--undo": options.undo, "--init": options.init, "--list": options.list}
    flags = [flag for flag, given in alone.items() if given]
    if len(flags) > 1 or (flags and _changes(options)):
        raise ConfigError(f"{flags[0]} goes alone; leave out the other options")
    if options.from_ is None and (options.split or options.dataset or options.min_pixels != 1):
        raise ConfigError("--split, --dataset and --min-pixels belong to --from LABELLED; add it")
    _parts(options), parse_assignments(options.set), parse_colours(options.colour)  # or raise
    if options.min_pixels < 1:
        raise ConfigError(f"--min-pixels {options.min_pixels}: give 1 or more")


def _undo(folder: Path, path: Path, reporter: Reporter) -> None:
    left = undo_classes(folder)
    now = f"{path} is as before" if path.exists() else f"there are no names in {folder} any more"
    more = f"{left} more can be undone" if left else "no more to undo"
    reporter.say(f"{now} ({more}; what was undone is in classes.history/undone.toml)")


def _init(folder: Path, path: Path, anatomy: Anatomy, reporter: Reporter) -> None:
    if path.exists():
        raise ConfigError(f"{path} is already there; edit it, or change it with picie name --set")
    replace_classes(folder, template(anatomy))
    reporter.say(f"{path}: fill in the names, then see them with picie name {folder}")


def _show(options: Name, model: Segmenter, names: ClassNames, *, exists: bool) -> None:
    console = Console(highlight=False, markup=False, soft_wrap=True)
    cut = names.clusters if options.clusters is None else options.clusters
    named = model.named(names)
    if options.list:
        console.print(class_table(named))
        return
    console.print(cluster_table(named, Anatomy(model.network, cut, "--clusters")))
    path = options.run / CLASSES_FILE
    if exists:
        count = len(names.merged)
        console.print(f"{count} class{'es' * (count != 1)} in {path}")
    else:
        console.print(
            f"no names yet; give some with picie name {options.run} --set 3=road 7,9=building, or "
            f"in {path} (--init writes one to fill in)"
        )


def _change(
    options: Name, model: Segmenter, names: ClassNames, path: Path, reporter: Reporter
) -> None:
    said: list[str] = []
    if options.overwrite and names.classes:
        said.append(f"{len(names.merged)} classes are taken out")
        names = replace(names, classes=())
    names = _recut(options, names)
    anatomy = Anatomy(model.network, names.clusters, names.origin)
    decided: list[Vote] = []
    if options.from_ is not None:
        folder = open_labelled(options.from_, options.split, options.dataset)
        matrix = count_labels(model, folder, names.clusters, reporter)
        decided = votes(matrix, folder.classes, options.min_pixels)
        names = add_votes(names, anatomy, folder, decided)
        said += _summary(matrix, folder, decided)
    steps: list[Callable[[ClassNames], tuple[ClassNames, list[str]]]] = [
        lambda old: remove(old, options.clear),
        lambda old: take_away(old, anatomy, _parts(options)),
        lambda old: assign(old, anatomy, parse_assignments(options.set)),
        lambda old: paint(old, parse_colours(options.colour)),
    ]
    for step in steps:
        names, more = step(names)
        said += more
    named = model.named(replace(names, origin=str(path)))  # raises: it must fit the model
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    text = edited(before, names)
    assert parse_classes(text, path) == names
    changed = replace_classes(options.run, text)
    if decided and not options.quiet:
        console = Console(highlight=False, markup=False, soft_wrap=True)
        console.print(vote_table(decided, named))
    for line in said:
        reporter.say(line)
    state = f"masks have {named.clusters} ids now; --undo takes it back"
    reporter.say(f"{path}: {state if changed else 'nothing has changed'}")


def _recut(options: Name, names: ClassNames) -> ClassNames:
    """Names of another cut, if there are none yet that it would make wrong."""
    if options.clusters is None or options.clusters == names.clusters:
        return names
    if any(one.clusters for one in names.classes):
        raise ConfigError(
            f"--clusters {options.clusters}: the numbers in {names.origin} are those of "
            f"{names.clusters} clusters and would mean others; leave it out, name nodes, or pass "
            "--overwrite to begin anew"
        )
    return replace(names, clusters=options.clusters)


def _summary(matrix: Matrix, folder: PhotoFolder, decided: list[Vote]) -> list[str]:
    named = [vote for vote in decided if vote.name]
    right = sum(vote.share * vote.pixels for vote in named)
    total = max(int(matrix.sum()), 1)
    said = [
        f"{len(folder)} labelled pictures name {len(named)} of {len(decided)} clusters; "
        f"{right / total:.1%} of their labelled pixels have the class of their cluster"
    ]
    won = {vote.name for vote in named}
    lost = [name for name, seen in zip(folder.classes, matrix.sum(1), strict=True) if seen]
    lost = [name for name in lost if name not in won]
    if lost:
        said.append(f"most of no cluster: {', '.join(lost)}; more --clusters may tell them apart")
    weak = [f"{vote.cluster} ({vote.name} {vote.share:.0%})" for vote in named if vote.share < 0.5]
    if weak:
        said.append(
            f"less than half of the pixels in {', '.join(weak)}; look at these in overlays, and "
            "correct them with --set"
        )
    return said


def _parts(options: Name) -> list[Part]:
    return [part for text in options.unset for part in parse_parts(text, f"--unset {text!r}")]
