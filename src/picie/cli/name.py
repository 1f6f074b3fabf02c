"""`picie name`."""

from collections.abc import Sequence
from pathlib import Path
from shlex import quote

from rich.table import Table
from rich.text import Text

from picie.annotation.log import change_names, read_annotations, redo, undo
from picie.cli.arguments import MaskFlags, Name
from picie.cli.tables import swatch, whole_names
from picie.errors import ConfigError
from picie.inference.outputs import Outputs, cluster_name, outputs_of
from picie.models.centroids import CentroidSet
from picie.models.class_names import HEADER, ClassNames
from picie.naming.assign import ClusterTree
from picie.naming.name import centroids_of, name, names_at, names_of
from picie.naming.parts import Part, parse_assignments, parse_colours, parse_parts, parts_of
from picie.naming.questions import Question, next_questions
from picie.naming.votes import Vote
from picie.runs import ANNOTATIONS_FILE, CLASSES_FILE, changing_names
from picie.runtime.printable import printable
from picie.runtime.progress import PlainConsole, Reporter

__all__ = [
    "answers",
    "class_table",
    "cluster_table",
    "question_table",
    "run",
    "template",
    "vote_table",
]

_MOST = 4  # neighbours listed


def cluster_table(outputs: Outputs, cluster_tree: ClusterTree) -> Table:
    """A line for each cluster: its node, colours, names, and its next merge in the tree.

    Args:
        outputs: the ids in masks.
        cluster_tree: at the cut that is shown.
    """
    tree = bool(cluster_tree.children)
    table = Table("cluster", "colour", "name")
    table.columns[0].justify = "right"
    if tree:
        for heading in ("node", "made of", "merges with", "into", "distance"):
            table.add_column(heading)
        table.columns[-1].justify = "right"
    ids = outputs.ids.tolist()
    for cluster, members in enumerate(cluster_tree.clusters):
        if not members:
            continue
        member_ids = sorted({ids[centroid] for centroid in members})
        row: list[Text | str] = [
            str(cluster),
            _swatches(outputs, member_ids),
            _names(outputs, member_ids),
        ]
        if tree:
            row += [_node(cluster_tree, cluster), _children(cluster_tree, cluster)]
            row += _nearest(cluster_tree, cluster)
        table.add_row(*row)
    return whole_names(table, 2)


def class_table(outputs: Outputs, names: ClassNames) -> Table:
    """A line for each id in masks: its name, colour, clusters and nodes.

    Args:
        outputs: the ids in masks.
        names: of the clusters.
    """
    table = Table("id", "colour", "#rrggbb", "name", "clusters and nodes")
    table.columns[0].justify = "right"
    classes = names.merged
    made_of = {
        named_class.name: ", ".join(part.short for part in parts_of(named_class))
        for named_class in classes
    }
    for number, title in enumerate(outputs.names):
        colour = "#{:02x}{:02x}{:02x}".format(*outputs.colours[number].tolist())
        parts = made_of.get(title, title.removeprefix("cluster "))
        table.add_row(str(number), Text(swatch(), colour), colour, Text(title), parts)
    for named_class in classes:
        if named_class.ignore:
            table.add_row("void", "", "", Text(named_class.name), made_of[named_class.name])
    return whole_names(table, 3)


def vote_table(decided: list[Vote], outputs: Outputs) -> Table:
    """A line for each cluster: the majority class of its labelled pixels, and its share.

    Args:
        decided: one vote for each cluster.
        outputs: with the names that the votes gave.
    """
    table = Table("cluster", "colour", "class", "majority %", "pixels", "then")
    for column in (table.columns[0], *table.columns[3:5]):
        column.justify = "right"
    colours = dict(zip(outputs.names, outputs.colours.tolist(), strict=True))
    for vote in decided:
        colour = colours.get(vote.name or cluster_name(vote.cluster), [255, 255, 255])
        then = f"{vote.second} {vote.second_share:.0%}" if vote.second else ""
        table.add_row(
            str(vote.cluster),
            Text(swatch(), "#{:02x}{:02x}{:02x}".format(*colour)),
            Text(printable(vote.name) or "- (no name)"),
            f"{100 * vote.share:.1f}" if vote.pixels else "-",
            f"{vote.pixels:,}".replace(",", " "),
            Text(printable(then)),
        )
    return whole_names(table, 2)


def question_table(asked: Sequence[Question]) -> Table:
    """A line for each question: the node, its name, share and children, and what it is like.

    Args:
        asked: from `next_questions`.
    """
    table = Table("node", "name", "pixels %", "made of", "most like")
    table.columns[2].justify = "right"
    for one in asked:
        made_of = "1 centroid" if one.children is None else " + ".join(map(_part, one.children))
        if one.child_shares is not None:
            made_of += " ({:.1f} + {:.1f} %)".format(*(100 * share for share in one.child_shares))
        share = "" if one.share is None else f"{100 * one.share:.1f}"
        table.add_row(_part(one.node), one.name or "-", share, made_of, ", ".join(one.alike))
    return whole_names(table, 1)


def answers(run: Path, asked: Sequence[Question]) -> list[str]:
    """How to answer the first question of each kind, with a command each.

    Args:
        run: the run folder.
        asked: from `next_questions`.
    """
    command, lines = f"picie name {quote(str(run))} --set", list[str]()
    unnamed = next((one for one in asked if not one.name), None)
    if unnamed is not None:
        lines.append(f"name a node: {command} {_part(unnamed.node)}=NAME")
    named = next((one for one in asked if one.name), None)
    if named is not None and named.children is not None:
        left, right = map(_part, named.children)
        same = quote(f"{left},{right}={named.name}")
        lines.append(f"if {_part(named.node)} holds two things: {command} {left}=NAME {right}=NAME")
        lines.append(f"if it holds one: {command} {same}")
    return lines


def template(cluster_tree: ClusterTree) -> str:
    """A classes.toml without classes; comments explain how to add them, and list the clusters.

    Args:
        cluster_tree: at the cut that numbers refer to.
    """
    lines = [HEADER, f"clusters = {len(cluster_tree.clusters)}\n"]
    lines.append(
        "\n# Remove the # and enter what you see in the overlays (picie predict --overlay).\n"
        "# [[classes]]\n"
        '# name = "road"\n'
        '# colour = "#804080"\n'
        "# clusters = [0, 1]\n"
        "\n# [[classes]]\n"
        '# name = "ignore"\n'
        "# clusters = [2]\n"
        "# ignore = true\n"
    )
    if cluster_tree.children:
        lines.append("\n# The clusters, and the next merge of each in the tree:\n")
        for cluster, members in enumerate(cluster_tree.clusters):
            if members:
                others, node, distance = _nearest(cluster_tree, cluster)
                lines.append(
                    f"# {cluster:>4}: merges with {others} into node {node[1:]} at distance "
                    f"{distance}\n"
                )
    return "".join(lines)


def _swatches(outputs: Outputs, ids: list[int]) -> Text:
    text = Text()
    for number in ids[:_MOST]:
        if number < len(outputs.names):
            text.append(swatch(), "#{:02x}{:02x}{:02x}".format(*outputs.colours[number].tolist()))
        else:
            text.append("void", "dim")
    return text


def _names(outputs: Outputs, ids: list[int]) -> Text:
    """The names of a cluster; several if nodes below it have names of their own."""
    names = [*outputs.names, "ignored"]
    names = [names[number] for number in ids]
    if len(names) == 1 and names[0].startswith("cluster "):
        return Text("-", "dim")
    return Text(", ".join("rest" if name.startswith("cluster ") else name for name in names))


def _part(node: int) -> str:
    return Part(node, True).short


def _node(cluster_tree: ClusterTree, cluster: int) -> str:
    node = cluster_tree.node_of(cluster)
    return "" if node is None else f"n{node}"


def _children(cluster_tree: ClusterTree, cluster: int) -> str:
    """The two nodes below it, which can be named separately."""
    node = cluster_tree.node_of(cluster)
    if node is None or node < cluster_tree.count:
        return "1 centroid"
    left, right, _ = cluster_tree.children[node - cluster_tree.count]
    return f"n{left} + n{right}"


def _nearest(cluster_tree: ClusterTree, cluster: int) -> tuple[str, str, str]:
    """The clusters of the branch that it merges with, the resulting node, and the distance."""
    node = cluster_tree.node_of(cluster)
    for row, (left, right, distance) in enumerate(cluster_tree.children):
        if node in (left, right):
            beside = cluster_tree.nodes[right if node == left else left]
            others = [
                str(k)
                for k, members in enumerate(cluster_tree.clusters)
                if members and members <= beside
            ]
            shown = ", ".join(others[:_MOST]) + (", ..." if len(others) > _MOST else "")
            return shown, f"n{cluster_tree.count + row}", f"{distance:.2f}"
    return "", "", ""


def run(options: Name) -> None:
    """Show the clusters, or change their names."""
    _check(options)
    reporter = Reporter(quiet=options.quiet)
    path = options.run / CLASSES_FILE
    if options.undo or options.redo:
        _undo(options, path, reporter)
        return
    if _changes(options):
        _change(options, path, reporter)
        return
    if _recuts(options):
        _change(options, path, reporter)
    centroids = centroids_of(options.run)
    names = names_of(options.run, centroids.clusters)
    if options.clusters is not None:
        names = names_at(names, centroids, options.clusters)
    if options.next is not None:
        _ask(options, centroids, names, reporter)
    elif options.init:
        _init(options.run, path, ClusterTree(centroids, names.clusters), reporter)
    else:
        _show(options, centroids, names, exists=path.exists())


def _changes(options: Name) -> bool:
    given = options.set or options.unset or options.clear or options.colour
    return bool(given or options.from_ or options.overwrite)


def _recuts(options: Name) -> bool:
    """Whether --clusters stands alone, and is to stay: then it carries the names to that cut."""
    shows = options.list or options.init or options.next is not None
    on_hub = options.run.as_posix().startswith("hf:")
    if options.clusters is None or shows or on_hub:
        return False
    now = names_of(options.run, centroids_of(options.run).clusters)
    return options.clusters != now.clusters


def _check(options: Name) -> None:
    """Refuse options that cannot be combined."""
    alone = {
        "--undo": options.undo,
        "--redo": options.redo,
        "--init": options.init,
        "--list": options.list,
        "--next": options.next is not None,
    }
    flags = [flag for flag, given in alone.items() if given]
    if len(flags) > 1 or (flags and _changes(options)):
        raise ConfigError(f"{flags[0]} cannot be combined with other options; remove them")
    if options.from_ is None and (options.split or options.dataset or options.min_pixels != 1):
        raise ConfigError("--split, --dataset and --min-pixels need --from LABELLED; add it")
    if options.from_ is None and options.masks != MaskFlags():
        raise ConfigError("--void, --mask-map and --mask-orientation need --from LABELLED; add it")
    _parts(options), parse_assignments(options.set), parse_colours(options.colour)  # or raise
    if options.next is None and options.images is not None:
        raise ConfigError("--images needs --next N; add it")
    if options.next is not None and options.next < 1:
        raise ConfigError(f"--next {options.next}: give 1 or more")
    if options.min_pixels < 1:
        raise ConfigError(f"--min-pixels {options.min_pixels}: give 1 or more")


def _undo(options: Name, path: Path, reporter: Reporter) -> None:
    """Undo or redo the last act, and say what it was."""
    act = (redo if options.redo else undo)(options.run, by="picie name")
    said = f"{'redid' if options.redo else 'undid'}: {act.description}"
    if act.act == "names":
        said += f"; restored {path}" if path.exists() else f"; {options.run} no longer has names"
    left = len(read_annotations(options.run / ANNOTATIONS_FILE).valid)
    more = f"{left} more can be undone" if left else "nothing more to undo"
    reporter.say(f"{said} ({'--undo' if options.redo else f'{more}; --redo'} reverts this)")


def _init(folder: Path, path: Path, cluster_tree: ClusterTree, reporter: Reporter) -> None:
    with changing_names(folder, "picie name"):
        if path.exists():
            raise ConfigError(f"{path} already exists; edit it, or change it with picie name --set")
        text = template(cluster_tree)
        change_names(folder, text, by="picie name", changes=["a file to fill in"])
    reporter.say(f"{path}: fill in the names, then check them with picie name {folder}")


def _show(options: Name, centroids: CentroidSet, names: ClassNames, *, exists: bool) -> None:
    console = PlainConsole()
    outputs = outputs_of(centroids, names)
    if options.list:
        console.print(class_table(outputs, names))
        return
    console.print(cluster_table(outputs, ClusterTree(centroids, names.clusters)))
    path = options.run / CLASSES_FILE
    count = len(names.merged)
    if exists and count:
        console.print(f"{count} class{'es' * (count != 1)} in {path}")
    else:
        console.print(
            f"no names yet; give some with picie name {quote(str(options.run))} --set 3=road "
            "7,9=building, or "
            f"in {path} (--init writes one to fill in)"
        )


def _ask(options: Name, centroids: CentroidSet, names: ClassNames, reporter: Reporter) -> None:
    """Show the next questions, and how to answer them."""
    shares = _shares(options, options.images, reporter) if options.images is not None else None
    asked = next_questions(centroids, names, count=options.next, shares=shares)
    if not asked:
        reporter.say("every centroid has a name of its own; nothing is left to ask")
        return
    PlainConsole().print(question_table(asked))
    for line in answers(options.run, asked):
        reporter.say(line)


def _shares(options: Name, images: Path, reporter: Reporter) -> list[float]:
    """The share of each centroid in the images."""
    from picie.annotation.queue import centroid_shares, summaries  # late: they load torch
    from picie.inference.segmenter import load

    model = load(options.run, device=options.device, named=False)
    model = model.read_as(**options.reading.given())
    return centroid_shares(model, list(summaries(model, images, reporter=reporter)))


def _change(options: Name, path: Path, reporter: Reporter) -> None:
    pairs = [text.partition("=") for text in options.set]
    painted = [text.partition("=") for text in options.colour]
    done = name(
        options.run,
        [(parts, title) for parts, _, title in pairs],
        unset=options.unset,
        clear=options.clear,
        colours=[(title, colour) for title, _, colour in painted],
        clusters=options.clusters,
        labelled=options.from_,
        split=options.split,
        dataset=options.dataset,
        min_pixels=options.min_pixels,
        overwrite=options.overwrite,
        **vars(options.masks),
        reading=options.reading.given(),
        device=options.device,
        reporter=reporter,
    )
    if done.votes and not options.quiet:
        console = PlainConsole()
        console.print(vote_table(list(done.votes), done.outputs))
    for line in done.changes:
        reporter.say(line)
    state = f"masks now have {len(done.outputs.names)} ids; --undo reverts this"
    reporter.say(f"{path}: {state if done.changed else 'nothing changed'}")


def _parts(options: Name) -> list[Part]:
    return [part for text in options.unset for part in parse_parts(text, f"--unset {text!r}")]
