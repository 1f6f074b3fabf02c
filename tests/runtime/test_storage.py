import http.client
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from fsspec.implementations.local import LocalFileSystem
from s3fs import S3FileSystem

from picie.errors import ConfigError, DataError, MissingExtraError, PicieError
from picie.runtime import storage
from picie.runtime.storage import (
    Entry,
    Store,
    check_local,
    is_address,
    is_outage,
    joined,
    local_copy,
    local_path,
)

OLD, NEW = b"old" * 1000, b"new!" * 5000


class Proxy(ThreadingHTTPServer):
    """Stands between a client and a server, and does to each request what it is told next."""

    daemon_threads = True

    def __init__(self, server: str) -> None:
        super().__init__(("127.0.0.1", 0), _Hostile)
        self.upstream = urlsplit(server).netloc
        self.acts: list[str] = []
        self.forever = ""
        self.requests: list[str] = []
        self.turn = threading.Lock()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def put(self, address: str, data: bytes) -> None:
        """Put an object, on another way."""
        self._ask("PUT", address, data)

    def content(self, address: str) -> bytes:
        """What is there."""
        return self._ask("GET", address)

    def _ask(self, method: str, address: str, data: bytes = b"") -> bytes:
        credential = "AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/s3/aws4_request"
        headers = {"Authorization": credential, "Content-Type": "image/jpeg"}
        connection = http.client.HTTPConnection(self.upstream, timeout=30)
        connection.request(method, quote(address.removeprefix("s3:/")), data, headers)
        answer = connection.getresponse().read()
        connection.close()
        return answer

    def act(self, request: str) -> str:
        with self.turn:
            self.requests.append(request)
            return self.acts.pop(0) if self.acts else self.forever

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that give up are no news."""


class _Hostile(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Proxy

    def handle_one_request(self) -> None:
        self.raw_requestline = self.rfile.readline(65537)
        if not self.raw_requestline or not self.parse_request():
            self.close_connection = True
            return
        self.answer(self.server.act(f"{self.command} {self.path}"))

    def answer(self, act: str) -> None:
        self.close_connection = True
        length = int(self.headers.get("Content-Length") or 0)
        if act == "cut the request":
            self.rfile.read(length // 2)
            return
        body = self.rfile.read(length)
        if act == "drop":
            return
        if act == "wait":
            time.sleep(1)
            return
        if act in ("500", "503", "403"):
            self.send_error(int(act))
            return
        connection = http.client.HTTPConnection(self.server.upstream, timeout=30)
        path = self.path + "&max-keys=10" * ("list-type=2" in self.path)
        connection.request(self.command, path, body, dict(self.headers.items()))
        answer = connection.getresponse()
        data = answer.read()
        connection.close()
        if act == "do it and drop":
            return
        self.send_response_only(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("connection", "transfer-encoding", "content-length"):
                self.send_header(name, value)
        self.send_header("Content-Length", answer.getheader("Content-Length") or str(len(data)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(data[: len(data) // 2] if act == "cut" else data)

    def log_message(self, *args: Any) -> None:
        """Nothing."""


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses between attempts, which are not waited for."""
    found: list[float] = []
    monkeypatch.setattr("picie.runtime.storage.sleep", found.append)
    return found


@pytest.fixture(scope="module")
def started(s3_server: str) -> Iterator[Proxy]:
    server = Proxy(s3_server)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def proxy(
    bucket: str,
    started: Proxy,
    s3_server: str,
    use_s3: Callable[[str], None],
    pauses: list[float],
) -> Proxy:
    """Before the server of the bucket, in which a.jpg is."""
    use_s3(started.address)
    started.acts, started.forever, started.requests = [], "", []
    started.put(f"{bucket}/a.jpg", OLD)
    return started


@pytest.mark.parametrize(
    ("text", "address", "path"),
    [
        ("s3://bucket/a", True, None),
        ("S3://bucket/a", True, None),
        ("memory://a", True, None),
        ("hf://datasets/user/name", True, None),
        ("file:///a/b.jpg", True, Path("/a/b.jpg")),
        ("/a/b.jpg", False, Path("/a/b.jpg")),
        ("a", False, Path("a")),
        ("C://a", False, Path("C:/a")),
        ("s3:/bucket", False, Path("s3:/bucket")),
        (Path("a"), False, Path("a")),
    ],
)
def test_addresses_and_paths(text: str | Path, address: bool, path: Path | None) -> None:
    assert is_address(text) == address
    assert local_path(text) == path


def test_a_scheme_that_nobody_knows() -> None:
    assert not is_address("s4://bucket")
    with pytest.raises(ConfigError, match=r"^s4://bucket: there is no storage s4://; known are s3"):
        local_path("s4://bucket")


def test_files_in_folders_and_what_must_be_local(tmp_path: Path) -> None:
    assert joined("s3://bucket/a/", "b/c.png") == "s3://bucket/a/b/c.png"
    assert joined(tmp_path, "b/c.png") == str(tmp_path / "b" / "c.png")
    assert check_local("picie studio reads", tmp_path) == tmp_path
    with pytest.raises(ConfigError, match=r"^s3://b: picie studio reads local .* sync s3://b pho"):
        check_local("picie studio reads", "s3://b")


def test_a_storage_holds_whole_files(tmp_path: Path) -> None:
    root = f"memory://{tmp_path.name}"
    store = Store(root)
    assert list(store.walk(root)) == []
    assert store.entry(f"{root}/a/b.jpg") is None
    store.write(f"{root}/a/b.jpg", OLD)
    (tmp_path / "c").write_bytes(NEW)
    store.write(f"{root}/.hidden", tmp_path / "c")
    assert store.read(f"{root}/a/b.jpg") == OLD
    assert store.head(f"{root}/a/b.jpg", 5) == OLD[:5]
    assert store.entry(f"{root}/a") is None
    found = {entry.path: entry for entry in store.walk(root)}
    assert sorted(found) == [f"{root}/.hidden", f"{root}/a/b.jpg"]
    assert found[f"{root}/.hidden"].bytes == len(NEW)
    assert found[f"{root}/a/b.jpg"] == store.entry(f"{root}/a/b.jpg")
    store.write(f"{root}/a/b.jpg", OLD)  # again: the content is another one
    assert found[f"{root}/a/b.jpg"].stamp != next(store.walk(f"{root}/a")).stamp
    for _ in range(2):
        store.remove(f"{root}/a/b.jpg")
    assert [entry.path for entry in store.walk(root)] == [f"{root}/.hidden"]


def test_a_copy_has_the_extension_and_does_not_stay(tmp_path: Path) -> None:
    address = f"memory://{tmp_path.name}/a b#c.JPG"
    Store(address).write(address, OLD)
    with local_copy(address) as copy:
        assert (copy.suffix, copy.read_bytes()) == (".JPG", OLD)
    assert not copy.exists()
    with local_copy(tmp_path / "x") as same:
        assert same == tmp_path / "x"
    with pytest.raises(DataError, match=r"^memory://.*/gone: cannot be read \(there is no such"):
        local_copy(f"memory://{tmp_path.name}/gone").__enter__()


def test_errors_name_the_address_and_not_the_copy(tmp_path: Path) -> None:
    address = f"memory://{tmp_path.name}/a.jpg"
    Store(address).write(address, OLD)
    with pytest.raises(DataError, match=rf"^{address}: broken$"), local_copy(address) as copy:
        raise DataError(f"{copy}: broken")
    with pytest.raises(IsADirectoryError) as caught, local_copy(address) as copy:
        raise IsADirectoryError(21, "is a folder", str(copy))
    assert caught.value.filename == address
    assert not copy.exists()


def test_no_space_for_a_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    address = f"memory://{tmp_path.name}/a.jpg"
    Store(address).write(address, OLD)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "gone"))
    with pytest.raises(PicieError, match=r"gone: no temporary file .*TMPDIR"):
        local_copy(address).__enter__()


def test_what_is_read_is_compared_with_its_length(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pauses: list[float]
) -> None:
    (tmp_path / "a").write_bytes(OLD)
    address, copy = f"file://{tmp_path}/a", tmp_path / "copy"
    reads = [OLD[:5], OLD[:9], OLD]
    monkeypatch.setattr(LocalFileSystem, "cat_file", lambda *_, **__: reads.pop(0))
    assert Store(address).read(address) == OLD
    monkeypatch.setattr(LocalFileSystem, "get_file", lambda *_, **__: copy.write_bytes(OLD[:7]))
    with pytest.raises(DataError, match=r"\(7 of 3000 bytes arrived, 5 attempts\)") as caught:
        Store(address).download(address, copy)
    assert is_outage(caught.value)


def test_other_file_systems_get_a_name_for_the_time_of_writing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = f"file://{tmp_path}/masks/a.png"
    store = Store(address)
    store.write(address, OLD)
    move = LocalFileSystem.mv
    seen = []

    def watched(files: Any, part: str, path: str) -> None:
        seen.append((Path(part).read_bytes(), Path(path).read_bytes()))
        move(files, part, path)

    monkeypatch.setattr(LocalFileSystem, "mv", watched)
    store.write(address, NEW)
    assert seen == [(NEW, OLD)]

    def broken(files: Any, part: str, path: str) -> None:
        raise PermissionError("read-only")

    monkeypatch.setattr(LocalFileSystem, "mv", broken)
    with pytest.raises(DataError, match=r"cannot be written \(read-only\); check the credentials"):
        store.write(address, OLD)
    assert [path.name for path in (tmp_path / "masks").iterdir()] == ["a.png"]
    assert (tmp_path / "masks/a.png").read_bytes() == NEW


@pytest.mark.parametrize("act", ["500", "503", "drop", "cut"])
def test_a_read_that_fails_is_tried_again(
    act: str, bucket: str, proxy: Proxy, tmp_path: Path
) -> None:
    store = Store(bucket)
    proxy.acts = [act, act]
    assert store.read(f"{bucket}/a.jpg") == OLD
    proxy.acts = [act, act]
    store.download(f"{bucket}/a.jpg", tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == OLD
    assert len(proxy.requests) == 6


@pytest.mark.parametrize(
    ("act", "reason"), [("503", "Unavailable"), ("cut", "payload"), ("drop", "closed")]
)
def test_a_storage_that_fails_for_good_is_named(
    act: str, reason: str, bucket: str, proxy: Proxy, pauses: list[float]
) -> None:
    proxy.forever = act
    address = f"{bucket}/a.jpg"
    expected = rf"^{address}: cannot be read \(.*{reason}.*, 5 attempts\)"
    with pytest.raises(DataError, match=expected) as caught:
        Store(bucket).read(address)
    assert is_outage(caught.value)
    assert "; check the network and the storage, and run the command again" in str(caught.value)
    # The clients below do not multiply them; a dead connection that was open is opened again.
    assert len(proxy.requests) <= (5 if act != "drop" else 10)
    assert len(pauses) == 4
    assert all(0.5 <= pause / 2**place < 1.5 for place, pause in enumerate(pauses))


def test_a_server_that_hangs_is_noticed(
    bucket: str,
    proxy: Proxy,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(storage, "_READ", 0.2)
    proxy.acts = ["wait"]
    start = time.monotonic()
    assert Store(bucket).read(f"{bucket}/a.jpg") == OLD
    assert time.monotonic() - start < 1


@pytest.mark.parametrize("act", ["500", "503", "drop", "cut the request", "do it and drop"])
def test_a_file_is_old_or_new_and_nothing_between(act: str, bucket: str, proxy: Proxy) -> None:
    address = f"{bucket}/a.jpg"
    proxy.acts = [act, act]
    Store(bucket).write(address, NEW)
    assert proxy.content(address) == NEW
    proxy.forever = act
    with pytest.raises(DataError, match=rf"^{address}: cannot be written \(.*, 5 attempts\)"):
        Store(bucket).write(address, OLD)
    assert proxy.content(address) == (OLD if act == "do it and drop" else NEW)
    assert proxy.content(bucket).count(b"<Key>") == 1


def test_what_does_not_pass_is_said_at_once(bucket: str, proxy: Proxy, pauses: list[float]) -> None:
    store = Store(bucket)
    with pytest.raises(DataError, match=r"/gone: cannot be read \(there is no such file\); check"):
        store.read(f"{bucket}/gone")
    with pytest.raises(DataError, match=r"^s3://nobody/a: cannot be written \(no such bucket\)"):
        store.write("s3://nobody/a", OLD)
    with pytest.raises(DataError, match=r"^s3://nobody/a: cannot be listed \(no such bucket\)"):
        list(store.walk("s3://nobody/a"))
    proxy.acts = ["403"]
    with pytest.raises(DataError, match=r"; check the credentials in the environment") as caught:
        store.read(f"{bucket}/a.jpg")
    assert not is_outage(caught.value)
    assert len(proxy.requests) == 4
    assert pauses == []


def test_a_listing_comes_page_by_page(bucket: str, proxy: Proxy) -> None:
    names = [f"{bucket}/photos/{number:02}.jpg" for number in range(25)]
    for name in names:
        proxy.put(name, b"x")
    entries = Store(bucket).walk(f"{bucket}/photos")
    assert next(entries).path == names[0]
    assert len(proxy.requests) == 1
    proxy.acts = ["drop", "cut", "503"]
    assert [entry.path for entry in entries] == names[1:]
    assert len(proxy.requests) == 6
    proxy.put(f"{bucket}/photos/z.jpg", OLD)  # listings are not remembered
    assert [entry.path for entry in Store(bucket).walk(f"{bucket}/photos")][25:] == [
        f"{bucket}/photos/z.jpg"
    ]
    proxy.put(f"{bucket}/photos/z.jpg", NEW)
    changed = Store(bucket).entry(f"{bucket}/photos/z.jpg")
    assert changed is not None
    assert changed.bytes == len(NEW)


def test_a_file_and_its_listing_have_one_state(bucket: str, proxy: Proxy) -> None:
    store, address = Store(bucket), f"{bucket}/a b/ü?#%20.jpg"
    store.write(address, OLD)
    proxy.put(f"{bucket}/folder/", b"")  # as consoles do
    store.remove(f"{bucket}/a.jpg")
    [entry] = store.walk(bucket)
    assert entry == store.entry(address) == Entry(address, len(OLD), entry.state)
    assert entry.stamp == f"{len(OLD)} {entry.state}"
    assert entry.state
    assert store.read(address) == OLD
    assert store.entry(f"{bucket}/a b") is None


def test_many_threads(bucket: str) -> None:
    addresses = [f"{bucket}/{number}" for number in range(40)]
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda one: Store(one).write(one, one.encode()), addresses))
        found = list(pool.map(lambda one: Store(one).read(one), addresses))
    assert found == [one.encode() for one in addresses]


def test_no_package_no_credentials_no_writing(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MissingExtraError, match=r"^gs://a: needs a package .*; pip install gcsfs$"):
        Store("gs://a")
    with pytest.raises(ConfigError, match=r"^hf://datasets/a/b: each file .* hf upload$"):
        Store("hf://datasets/a/b").write("hf://datasets/a/b/c.png", OLD)
    with pytest.raises(ConfigError, match="can only be read; choose another --out"):
        Store("https://a/b").check_writable()
    with pytest.raises(ConfigError, match=r"^zip://a: cannot be opened \("):
        Store("zip://a")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    S3FileSystem.clear_instance_cache()
    with pytest.raises(DataError, match=r"\(no credentials were found in the environment\); check"):
        Store("s3://a").read("s3://a/b")
    S3FileSystem.clear_instance_cache()
