"""`picie name`: what it prints, what it writes, and what it refuses."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from picie.annotation.events import new_event
from picie.annotation.log import append_events
from picie.cli.app import main
from picie.inference.segmenter import load
from picie.models.class_names import NamedClass, read_classes

Failure = Callable[..., tuple[int, str]]
Say = Callable[..., str]
MODEL = ("model.safetensors", "config.json")


@pytest.fixture
def run(runs: dict[str, Path], tmp_path: Path) -> Path:
    """A copy of the model: 8 centroids in 3 clusters."""
    folder = tmp_path / "my run"
    folder.mkdir()
    for name in MODEL:
        shutil.copy(runs["default"] / name, folder / name)
    return folder


@pytest.fixture
def say(run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Say:
    """Runs `picie name` on the copy; gives all that it prints."""
    monkeypatch.setenv("COLUMNS", "200")

    def call(*args: object) -> str:
        main(["name", str(run), *(str(arg) for arg in args)])
        captured = capsys.readouterr()
        return captured.out + captured.err

    return call


def rows(text: str) -> list[list[str]]:
    lines = [line for line in text.splitlines() if line.startswith("│")]
    return [[cell.strip() for cell in line.strip("│").split("│")] for line in lines]


def test_without_options_it_shows_the_clusters(run: Path, say: Say) -> None:
    text = say()
    table = rows(text)
    assert [row[0] for row in table] == ["0", "1", "2"]
    assert {row[2] for row in table} == {"-"}
    assert "no names yet; give some with picie name" in text
    assert sorted(path.name for path in run.iterdir()) == sorted(MODEL)
    assert len(rows(say("--clusters", 8))) == 8


def test_names_are_given_shown_moved_and_taken_away(run: Path, say: Say) -> None:
    before = {name: (run / name).read_bytes() for name in MODEL}
    text = say("--set", "0,2=traffic light", "1=ignore", "--colour", "traffic light=#804080")
    assert "cluster 0: traffic light\ncluster 2: traffic light\ncluster 1: ignore" in text
    assert f"{run / 'classes.toml'}: masks now have 1 ids; --undo reverts this" in text
    assert read_classes(run / "classes.toml").classes == (
        NamedClass("traffic light", (0, 2), (), "#804080"),
        NamedClass("ignore", (1,), ignore=True),
    )
    assert [row[2] for row in rows(say())] == ["traffic light", "ignored", "traffic light"]
    assert "cluster 2: road (was traffic light)" in say("--set", "2=road")
    table = [row[:1] + row[2:] for row in rows(say("--list"))]
    assert table[0] == ["0", "#804080", "traffic light", "0"]
    assert [table[1][0], *table[1][2:]] == ["1", "road", "2"]
    assert table[2] == ["void", "", "ignore", "1"]
    assert "cluster 1: no name (was ignore)" in say("--unset", "1")
    assert "removed class 'road'" in say("--clear", "road")
    assert load(run).names == ("traffic light", "cluster 1", "cluster 2")
    assert {name: (run / name).read_bytes() for name in MODEL} == before


def test_a_node_splits_a_cluster(run: Path, say: Say) -> None:
    made_of = {row[0]: row[4] for row in rows(say())}
    cluster, nodes = next((k, text) for k, text in made_of.items() if "+" in text)
    left, right = nodes.split(" + ")
    say("--set", f"{cluster}=both")
    text = say("--set", f"{left}=half")
    assert f"cluster {cluster} is split: both keeps node {right[1:]}" in text
    shown = {row[0]: row[2] for row in rows(say())}
    assert shown[cluster] == "both, half"


def test_comments_survive_and_every_change_can_be_undone(run: Path, say: Say) -> None:
    path = run / "classes.toml"
    path.write_text('clusters = 3  # mine\n\n# grey\n[[classes]]\nname = "road"\nclusters = [0]')
    by_hand = path.read_text()
    say("--set", "1=sky")
    assert path.read_text().startswith(by_hand + "\n\n[[classes]]")
    say("--set", "2=road")
    said = say("--undo")
    assert f"undid: names: cluster 2: road; restored {path} (1 more can be undone; --redo" in said
    assert f"redid: names: cluster 2: road; restored {path} (--undo reverts this)" in say("--redo")
    say("--undo")
    assert "(nothing more to undo; --redo reverts this)" in say("--undo")
    assert path.read_text() == by_hand
    assert "nothing changed" in say("--set", "0=road")
    assert "2 classes" not in say()


def test_undoing_the_first_change_leaves_no_file(run: Path, say: Say, failure: Failure) -> None:
    say("--set", "1=sky")
    assert f"{run} no longer has names" in say("--undo")
    assert not (run / "classes.toml").exists()
    code, text = failure("name", run, "--undo")
    assert code == 2
    assert "nothing to undo; changes of names and annotations are recorded from the first" in text


def test_an_undo_repairs_a_file_that_cannot_be_read(run: Path, say: Say, failure: Failure) -> None:
    say("--set", "1=sky")
    say("--set", "2=road")
    (run / "classes.toml").write_text("broken")
    assert "classes.toml: is not valid TOML" in failure("name", run, "--set", "0=a")[1]
    assert "undid: names: changed by hand; restored" in say("--undo")
    assert load(run).names == ("sky", "road", "cluster 0")
    say("--undo")
    assert load(run).names == ("sky", "cluster 0", "cluster 2")


def test_one_undo_takes_back_names_and_annotations(run: Path, say: Say, failure: Failure) -> None:
    say("--set", "1=sky")
    where = {"image": "street/0001", "size": [9, 9], "points": [[1, 2]]}
    append_events(
        run / "annotations.jsonl", [new_event("test", act="stroke", title="road", **where)]
    )
    assert "undid: stroke of road in street/0001 (1 more can be undone; --redo" in say("--undo")
    assert "undid: names: cluster 1: sky; " in say("--undo")
    assert "redid: names: cluster 1: sky; " in say("--redo")
    assert "redid: stroke of road in street/0001 (--undo reverts this)" in say("--redo")
    code, text = failure("name", run, "--redo")
    assert code == 2
    assert "nothing to redo; the last change was not an undo" in text


def test_a_file_to_fill_in(run: Path, say: Say, failure: Failure) -> None:
    assert "classes.toml: fill in the names" in say("--init")
    path = run / "classes.toml"
    text = path.read_text()
    assert load(run).names == ("cluster 0", "cluster 1", "cluster 2")
    path.write_text(text.replace("# [[", "[[").replace("# name", "name"))
    path.write_text(path.read_text().replace("# clusters = [", "clusters = ["))
    path.write_text(path.read_text().replace("# ignore =", "ignore ="))
    assert load(run).names == ("road",)
    assert "classes.toml already exists; edit it, or" in failure("name", run, "--init")[1]


def test_names_from_labels_are_the_majority(
    run: Path, say: Say, scenes: Path, tmp_path: Path
) -> None:
    text = say("--clusters", 8, "--from", scenes, "--split", "train")
    classes = (scenes / "classes.txt").read_text().splitlines()
    table = rows(text)
    assert len(table) == 8
    assert {row[2] for row in table} <= {*classes, "- (no name)"}
    assert "6 labelled images named " in text
    names = read_classes(run / "classes.toml")
    assert names.clusters == 8
    assert [one.name for one in names.classes] == classes
    main(["predict", str(run), str(scenes), "--out", str(tmp_path / "masks"), "--quiet"])
    written = (tmp_path / "masks" / "classes.txt").read_text().splitlines()
    assert written[: len(classes)] == classes
    counted = {row[0]: int(row[4].replace(" ", "")) for row in table}
    assert sum(counted.values()) == 6 * 48 * 64  # scenes have no void


def test_labels_fill_in_what_has_no_name_unless_it_begins_anew(
    run: Path, say: Say, scenes: Path
) -> None:
    say("--set", "0,1=mine")
    say("--from", scenes, "--min-pixels", 1)
    first = read_classes(run / "classes.toml").classes
    assert first[0] == NamedClass("mine", (0, 1))
    assert sorted(k for one in first[1:] for k in one.clusters) == [2]
    text = say("--from", scenes, "--overwrite", "--min-pixels", 10**8)
    assert re.search(r"removed \d+ classes", text)
    again = read_classes(run / "classes.toml").classes
    assert [one.name for one in again] == (scenes / "classes.txt").read_text().splitlines()
    assert not any(one.clusters for one in again)


def test_another_cut_does_not_turn_numbers_into_others(run: Path, say: Say) -> None:
    say("--set", "n3=part")
    say("--clusters", 5, "--set", "4=five")
    before = load(run)
    text = say("--clusters", 8)
    assert f"5 clusters are now 8; every name stays where it was\n{run / 'classes.toml'}: " in text
    assert len(rows(text)) == 8
    assert load(run).names[:2] == ("part", "five")
    text = say("--clusters", 3, "--quiet")
    assert load(run).centroid_ids.tolist() != before.centroid_ids.tolist()  # what has no name
    assert [row[2] for row in rows(text)].count("-") < 3
    say("--undo")
    say("--undo")
    assert load(run).names == before.names
    assert load(run).centroid_ids.tolist() == before.centroid_ids.tolist()
    assert "nothing changed" not in say("--clusters", 5)
    say("--clusters", 3, "--set", "1=a", "--overwrite")
    names = read_classes(run / "classes.toml")
    assert (names.clusters, names.classes) == (3, (NamedClass("a", (1,)),))


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--set", "0=a", "0=b"], "--set names cluster 0 twice ('a' and 'b')"),
        (["--set", "3=a"], "--set: there is no cluster 3; clusters run from 0 to 2"),
        (["--set", "a"], "--set 'a': write clusters, = and a name"),
        (["--unset", "0"], "--unset 0: cluster 0 has no name"),
        (["--unset", "x"], "--unset 'x': 'x' is neither a cluster like 7 nor a node"),
        (["--clear", "road"], "--clear road: no such class; there are no classes yet"),
        (["--colour", "road=#12"], "--colour 'road=#12': '#12' is not a colour"),
        (["--clusters", "9", "--set", "0=a"], "clusters = 9, but the model has 8 centroids"),
        (["--clusters", "9"], "clusters = 9, but the model has 8 centroids"),
        (["--set", "0,1,2=ignore"], "every cluster is ignored, so masks would be void"),
        (["--undo", "--set", "0=a"], "--undo cannot be combined with other options; remove them"),
        (["--redo", "--undo"], "--undo cannot be combined"),
        (["--redo", "--clear", "a"], "--redo cannot be combined"),
        (["--list", "--init"], "--init cannot be combined"),
        (["--split", "val"], "--split, --dataset and --min-pixels need --from LABELLED"),
        (["--void", "0"], "--void, --mask-map and --mask-orientation need --from LABELLED; add it"),
        (["--mask-map", "255=1"], "--void, --mask-map and --mask-orientation need --from"),
        (["--from", "x", "--mask-map", "255"], "--mask-map 255: give a stored value and its"),
        (["--from", "/nowhere"], "/nowhere: does not exist"),
        (["--from", "x", "--min-pixels", "0"], "--min-pixels 0: give 1 or more"),
    ],
)
def test_what_is_refused_writes_nothing(
    run: Path, failure: Failure, args: list[str], message: str
) -> None:
    assert message in failure("name", run, *args)[1]
    assert sorted(path.name for path in run.iterdir()) == sorted(MODEL)


def test_no_model(failure: Failure, tmp_path: Path) -> None:
    assert "holds no model" in failure("name", tmp_path)[1]


def test_masks_of_a_named_model(
    run: Path,
    say: Say,
    scenes: Path,
    tmp_path: Path,
    failure: Failure,
    capsys: pytest.CaptureFixture[str],
) -> None:
    plain = load(run)
    say("--set", "2=sky", "0=ignore", "--colour", "sky=#0000ff")
    out = tmp_path / "masks"
    args = ["predict", str(run), str(scenes), "--split", "val", "--out", str(out)]
    main([*args, "--overlay", "--quiet"])
    assert (out / "classes.txt").read_text() == "sky\ncluster 1\n"
    for photo in sorted((scenes / "images").iterdir())[-3:]:
        with Image.open(out / f"{photo.stem}.png") as image:
            assert np.array_equal(np.asarray(image), np.array([255, 1, 0])[plain.predict(photo)])
            assert image.getpalette("RGB")[:3] == [0, 0, 255]  # type: ignore[index]
    main([*args, "--overwrite", "--clusters", "2"])
    text = capsys.readouterr().err
    note = (
        f"--clusters 2: ids are cluster numbers, not the classes of {run / 'classes.toml'}; leave"
    )
    assert note in text
    assert f"carry the names to that cut with picie name '{run}' --clusters 2\n" in text
    assert f"{out / 'classes.txt'} does not describe these masks: they hold cluster numbers" in text
    say("--set", "1=tree")
    shutil.copytree(out, tmp_path / "other")
    for path in (tmp_path / "other").glob("*.png"):
        path.unlink()
    code, message = failure(*args[:-1], str(tmp_path / "other"))
    assert code == 2
    assert "classes.txt already exists and has other names; choose another --out, or" in message


def test_scores_are_those_of_clusters(
    run: Path, say: Say, scenes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    args = ["evaluate", str(run), str(scenes), "--split", "val", "--quiet"]
    main(args)
    before = capsys.readouterr().out
    say("--set", "0,1,2=all")
    main(args)
    assert capsys.readouterr().out == before


def test_binary_masks_do_not_name_all_clusters_alike(
    run: Path, say: Say, scenes: Path, tmp_path: Path, failure: Failure
) -> None:
    folder = shutil.copytree(scenes, tmp_path / "binary")
    for path in (folder / "masks").iterdir():
        with Image.open(path) as mask:
            binary = mask.point(lambda value: 255 * (value > 2))
        binary.save(path)
    (folder / "classes.txt").write_text("background\nroad\n")
    message = failure("name", run, "--from", folder)[1]
    assert "the masks hold 0 and 255 alone" in message
    assert "pass --mask-map 255=1 or --void none" in message
    assert not (run / "classes.toml").exists()
    text = say("--from", str(folder), "--mask-map", "255=1")
    assert "void: 0.0 % of the pixels of the labelled images" in text
    assert 'name = "road"' in (run / "classes.toml").read_text()


def test_info_shows_the_names(
    runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = shutil.copytree(runs["default"], tmp_path / "run")
    main(["info", str(folder)])
    assert "names  " not in capsys.readouterr().out
    main(["name", str(folder), "--set", "0=sky", "1=ignore", "--quiet"])
    main(["info", str(folder)])
    path = folder / "classes.toml"
    assert f"names      sky, ignore (void) ({path})\n" in capsys.readouterr().out
    path.write_text("broken")
    main(["info", str(folder)])
    assert f"names      unusable: {path}: is not valid TOML" in capsys.readouterr().out


def test_the_next_questions_are_shown_and_answered(run: Path, say: Say, scenes: Path) -> None:
    text = say("--next", 3, "--images", scenes)
    table = rows(text)
    assert len(table) == 3
    assert [row[1] for row in table] == ["-"] * 3
    shares = [float(row[2]) for row in table]
    assert shares == sorted(shares, reverse=True)
    assert f"name a node: picie name '{run}' --set {table[0][0]}=NAME\n" in text
    say("--set", "n14=big thing")
    text = say("--next", 1)
    ((node, title, share, made_of, like),) = rows(text)
    assert (node, title, share, like) == ("n14", "big thing", "", "")
    left, right = made_of.split(" + ")
    assert f"if n14 holds two things: picie name '{run}' --set {left}=NAME {right}=NAME\n" in text
    assert f"if it holds one: picie name '{run}' --set '{left},{right}=big thing'\n" in text
    say("--set", f"{left},{right}=big thing")
    assert rows(say("--next", 1))[0][0] in (left, right)
    say("--set", f"{right}=other")
    likes = {(row[1], row[4]) for row in rows(say("--next", 9))}
    assert likes
    assert likes <= {("other", "big thing"), ("big thing", "other")}
    say("--set", *(f"n{leaf}=c{leaf}" for leaf in range(8)))
    assert "nothing is left to ask" in say("--next", 1)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--next", "0"], "--next 0: give 1 or more"),
        (["--images", "photos"], "--images needs --next N; add it"),
        (["--next", "1", "--list"], "--list cannot be combined with other options"),
        (["--next", "1", "--set", "1=a"], "--next cannot be combined with other options"),
    ],
)
def test_impossible_questions_are_refused(
    args: list[str], message: str, run: Path, failure: Failure
) -> None:
    code, text = failure("name", run, *args)
    assert code == 2
    assert message in text
