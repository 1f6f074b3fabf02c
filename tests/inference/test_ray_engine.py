"""Photos on Ray: every one has a row, whatever is killed."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Any

import pytest
import torch

from picie.data.folder import Photo
from picie.errors import ConfigError, MissingExtraError, PicieError
from picie.inference.predict_folder import predict_folder
from picie.inference.ray_engine import Row, _Ledger, run_with_ray
from picie.inference.segmenter import Segmenter
from picie.models.class_names import ClassNames, NamedClass

ray = pytest.importorskip("ray")
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # pipes and files of Ray's processes
    pytest.mark.filterwarnings("ignore::DeprecationWarning:ray"),
    pytest.mark.filterwarnings("ignore::FutureWarning:ray"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

_STORE = 80 * 2**20


@dataclass(frozen=True)
class Fake:
    """Writes a file for each photo; what happens at some of them says `special`."""

    out: str
    seconds: float = 0.0
    special: Mapping[str, str] = ()  # type: ignore[assignment]

    @contextmanager
    def opened(
        self, files: Mapping[str, bytes], device: str
    ) -> Iterator[Callable[[Sequence[Photo]], list[Row]]]:
        assert files == {"model": b"weights"}
        assert device == "cpu"
        pid = str(os.getpid())
        Path(self.out, "actors", pid).touch()

        def do(photos: Sequence[Photo]) -> list[Row]:
            return [self.one(photo, pid) for photo in photos]

        yield do
        Path(self.out, "closed", pid).touch()

    def one(self, photo: Photo, pid: str) -> Row:
        time.sleep(self.seconds)
        what = dict(self.special).get(photo.name)
        if what == "abort":
            os.abort()
        if what == "bug":
            raise ZeroDivisionError("a bug")
        if what == "full":
            raise ConfigError("the disk is full; make room")
        if what == "unreadable":
            return {"image": photo.name, "problem": "no image"}
        with Path(self.out, "photos", photo.name).open("a") as file:
            file.write(f"{pid}\n")
        return {"image": photo.name, "problem": "", "threads": torch.get_num_threads()}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Two false machines of one core each, with a small object store."""
    from ray.cluster_utils import Cluster

    before = signal.getsignal(signal.SIGTERM)
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    machine = {"num_cpus": 1, "object_store_memory": _STORE, "include_dashboard": False}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.delenv("RAY_ADDRESS", raising=False)
        started = Cluster(initialize_head=True, head_node_args=machine)
        started.add_node(num_cpus=1, object_store_memory=_STORE)
        ray.init(address=started.address, log_to_driver=False, logging_level="ERROR")
        yield started
        ray.shutdown()
        started.shutdown()  # type: ignore[no-untyped-call]
    signal.signal(signal.SIGTERM, before)  # that of each false machine would outlive it


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Folder of the fake job."""
    for name in ("actors", "closed", "photos"):
        (tmp_path / name).mkdir()
    return tmp_path


def photos(count: int) -> list[Photo]:
    return [Photo(f"/photos/{number:05}.jpg", f"{number:05}", None) for number in range(count)]


def run(job: Any, count: int, seen: Callable[[Row], object] = id, **options: Any) -> list[Row]:
    """The rows, of which each photo has one."""
    rows: list[Row] = []

    def advance(row: Row) -> None:
        rows.append(row)
        seen(row)

    run_with_ray(job, {"model": b"weights"}, photos(count), advance=advance, **options)
    assert sorted(row["image"] for row in rows) == [photo.name for photo in photos(count)]
    return rows


def pids(out: Path) -> set[int]:
    return {int(path.name) for path in (out / "actors").iterdir()}


def alive(pid: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def wait_until(condition: Callable[[], object], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def once(act: Callable[[Row], object]) -> Callable[[Row], object]:
    """A function that acts at the first row that comes."""
    left = [act]
    return lambda row: left.pop()(row) if left else None


def test_a_photo_that_kills_every_process_is_named(cluster: Any, out: Path) -> None:
    rows = run(Fake(str(out), special={"05000": "abort", "05001": "unreadable"}), 10_000)
    assert [row for row in sorted(rows, key=itemgetter("image")) if row["problem"]] == [
        {
            "image": "05000",
            "problem": "/photos/05000.jpg: the process that read it was killed (3 attempts)",
        },
        {"image": "05001", "problem": "no image"},
    ]
    assert {row.get("threads", 1) for row in rows} == {torch.get_num_threads()}
    assert len(list((out / "photos").iterdir())) == 9_998
    assert len(pids(out)) == 2 + 3
    wait_until(lambda: not any(map(alive, pids(out))))


def test_what_the_job_raises_ends_the_call(cluster: Any, out: Path) -> None:
    job = Fake(str(out), 0.01, {"00090": "full"})
    with pytest.raises(ConfigError, match=r"^the disk is full; make room$"):
        run(job, 400)
    assert 0 < len(list((out / "photos").iterdir())) < 399
    wait_until(lambda: not any(map(alive, pids(out))))


def test_processes_and_machines_that_are_lost_lose_no_photo(cluster: Any, out: Path) -> None:
    machine = cluster.add_node(num_cpus=1, object_store_memory=_STORE)
    cluster.wait_for_nodes()

    def kill(row: Row) -> None:
        wait_until(lambda: len(pids(out)) == 3)
        os.kill(int((out / "photos" / row["image"]).read_text()), signal.SIGKILL)
        cluster.remove_node(machine, allow_graceful=False)

    rows = run(Fake(str(out), 0.01), 300, once(kill), workers=3)
    assert not any(row["problem"] for row in rows)
    assert len(list((out / "photos").iterdir())) == 300


_STOPPED = """
import signal, sys
from pathlib import Path
import ray
sys.path.insert(0, {tests!r})
import test_ray_engine as here
from picie.cli.interrupts import Stopped, stoppable
ray.cloudpickle.register_pickle_by_value(here)
out = Path({out!r})
with stoppable():
    try:
        here.run(here.Fake(str(out), 0.05), 1000, here.once(lambda row: (out / "first").touch()))
    except Stopped as stopped:
        print("stopped by", stopped, "of Ray:", ray.is_initialized())
"""


def test_a_signal_ends_everything_that_the_call_began(out: Path) -> None:
    program = _STOPPED.format(tests=str(Path(__file__).parent), out=str(out))
    with subprocess.Popen(
        [sys.executable, "-c", program], text=True, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, env=os.environ | {"RAY_ADDRESS": "local"},
    ) as process:  # fmt: skip
        wait_until((out / "first").exists, 60)
        process.terminate()
        said, complaints = process.communicate(timeout=30)
    assert (said, complaints) == ("stopped by SIGTERM of Ray: False\n", "")
    wait_until(lambda: not any(map(alive, pids(out))))
    assert 0 < len(list((out / "photos").iterdir())) < 1000


def test_only_photos_of_a_block_that_was_lost_are_counted() -> None:
    ledger = _Ledger()
    assert ledger.begin(0) is None
    ledger.end(0)
    assert ledger.begin(0) is None
    ledger.note(0, "a", 1)
    ledger.note(0, "b", {"image": "b"})
    assert ledger.begin(0) == {"a": 1, "b": {"image": "b"}}


def test_a_job_that_kills_every_process_is_given_up() -> None:
    ledger = _Ledger()
    for _ in range(1 + 32):
        ledger.begin(7)
    with pytest.raises(PicieError, match="33 processes were killed, and 0 blocks of photos done"):
        ledger.begin(7)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"workers": 0},
            "^workers 0: give 1 or more, or -1 for as many as the cluster has room for",
        ),
        ({"workers": -2}, "^workers -2: give 1 or more, or -1"),
        ({"cores": 0}, "^cores 0: give 1 or more for each worker$"),
    ],
)
def test_an_impossible_number_is_refused(
    cluster: Any, out: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        run(Fake(str(out)), 3, id, **options)


def test_a_cluster_cannot_be_used_from_outside(monkeypatch: pytest.MonkeyPatch, out: Path) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "ray://head:10001")
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    with pytest.raises(ConfigError, match="run picie on one of them"):
        run(Fake(str(out)), 3)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch, out: Path) -> None:
    monkeypatch.setitem(sys.modules, "ray.data", None)
    with pytest.raises(MissingExtraError, match=r'pip install "picie\[ray\]"'):
        run(Fake(str(out)), 3)


def test_masks_are_those_of_the_local_engine(
    cluster: Any, model: Segmenter, scenes: Path, tmp_path: Path
) -> None:
    classes = (NamedClass("meadow", (2,)), NamedClass("none", (0,), ignore=True))
    named = model.named(ClassNames(3, classes)).post_processed(scales=(1.0, 1.5), refine=2)
    shutil.copytree(scenes / "images", tmp_path / "in")
    (tmp_path / "in" / "broken.jpg").write_text("no image")
    local, spread = tmp_path / "local", tmp_path / "ray"
    options: dict[str, Any] = {"confidence": True, "min_region": 20}
    expected = predict_folder(named, tmp_path / "in", local, **options)
    made = predict_folder(named, tmp_path / "in", spread, engine="ray", workers=2, **options)
    assert (made.written, made.problems) == (expected.written, expected.problems)
    files = [path.relative_to(local) for path in local.rglob("*.*") if path.suffix != ".jsonl"]
    assert len(files) == 2 * made.written + 1
    assert [
        file for file in files if (local / file).read_bytes() != (spread / file).read_bytes()
    ] == []
    assert [path.name for path in spread.glob("*.jsonl")] == ["masks.jsonl"]
    rows = {folder: rows_of(folder) for folder in (local, spread)}
    assert rows[local] == rows[spread]
    again = predict_folder(named, tmp_path / "in", spread, engine="ray", **options)
    assert (again.kept, again.written) == (made.written, 0)


def rows_of(out: Path) -> dict[str, dict[str, Any]]:
    """What the list says of each image, but for the time that it took."""
    rows = map(json.loads, (out / "masks.jsonl").read_text().splitlines())
    return {row["image"]: row | {"seconds": 0} for row in rows if "image" in row}
