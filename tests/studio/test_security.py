"""Attacks on a running server, and on the application: each is refused, and others are served."""

import asyncio
import resource
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
from starlette.types import Message

from picie.studio import app, server
from picie.studio.security import HEADERS, MOST_BODY, Guard, Keys, is_loopback

Serving = Callable[..., Any]
Crowd = Callable[[int], list[socket.socket]]
SECRET = b"the secret of another folder"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The files of a page, with a secret beside them, and links that lead to it."""
    root = tmp_path_factory.mktemp("site")
    (root / "page").mkdir()
    (root / "page" / "index.html").write_text("<!doctype html><title>page</title>")
    (root / "page" / "main.js").write_text("export {};")
    (root / "secret.js").write_bytes(SECRET)
    (root / "page" / "link.js").symlink_to(root / "secret.js")
    (root / "page" / "folder").symlink_to(root)
    (root / "page" / ".hidden.js").write_bytes(SECRET)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(app, "PAGE", root / "page")
        yield root / "page"


@pytest.fixture(scope="module")
def served(
    serving: Serving, page: Path, twelve_photos: Path, tmp_path_factory: pytest.TempPathFactory
) -> Any:
    """A server without a model, which is impatient."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(server, "_HEADER_SECONDS", 1.0)
        patch.setattr(server, "_WRITE_SECONDS", 1.0)
        patch.setattr("picie.studio.security._BODY_SECONDS", 1.0)
        made = serving(twelve_photos, tmp_path_factory.mktemp("runs") / "run")
        made.wait_for_phase("setup")
        yield made


@pytest.fixture
def crowd(served: Any) -> Iterator[Crowd]:
    """Opens many connections, and closes them at the end."""
    with ExitStack() as stack:
        yield lambda count: [stack.enter_context(connected(served)) for _ in range(count)]


def answers_quickly(served: Any, most: float = 3.0) -> bool:
    began = time.monotonic()
    return bool(served.ask("/api/status").status == 200 and time.monotonic() - began < most)


# --- the token


def test_the_token_is_exchanged_for_a_cookie_of_this_port(served: Any) -> None:
    token = served.address.keys.token
    answer = served.ask(f"/?token={token}", headers={"Cookie": None})
    assert (answer.status, answer.headers["location"]) == (303, "/")
    name, *flags = answer.headers["set-cookie"].split("; ")
    assert name == served.cookie
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(flags)
    assert token not in name
    assert served.address.url == f"http://{served.host}/?token={token}"


def test_a_link_from_another_site_still_sets_the_cookie(served: Any) -> None:
    address = f"/?token={served.address.keys.token}"
    headers = {"Cookie": None, "Sec-Fetch-Site": "cross-site"}
    answer = served.ask(address, headers=headers)
    assert answer.status == 200  # a redirect would come without the new cookie
    assert b"url=/" in answer.body
    assert served.cookie in answer.headers["set-cookie"]


@pytest.mark.parametrize("token", ["", "wrong", "a" * 32, "%00", "é", "x&token="])
def test_a_wrong_token_is_refused(served: Any, token: str) -> None:
    path = f"/?token={token}".encode().decode("latin-1")
    answer = served.ask(path.replace("é", "%C3%A9").replace("Ã©", "%E9"), headers={"Cookie": None})
    assert answer.status == 401
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("path", ["/", "/main.js", "/api/status", "/api/events", "/nothing"])
@pytest.mark.parametrize(
    "cookie",
    [None, "", "picie-1=x", "picie-{port}=", "picie-{port}=wrong", "picie-{port}", "a=b; ;=;"],
)
def test_nothing_is_shown_without_the_cookie(served: Any, path: str, cookie: str | None) -> None:
    given = None if cookie is None else cookie.format(port=served.address.port)
    answer = served.ask(path, headers={"Cookie": given})
    assert answer.status == 401
    assert "picie studio printed" in answer.json["error"]


def test_the_cookie_is_found_among_others(served: Any) -> None:
    cookie = f"picie-1=other; {served.cookie}; theme=dark"
    assert served.ask("/", headers={"Cookie": cookie}).status == 200


def test_each_start_has_secrets_of_its_own() -> None:
    first, second = Keys.make(), Keys.make()
    assert len({*first, *second}) == 4
    assert min(map(len, (*first, *second))) >= 32


# --- the host


@pytest.mark.parametrize(
    "host",
    [
        *("evil.example", "evil.example:{port}", "127.0.0.1.evil.example:{port}", "0.0.0.0:{port}"),
        *("localhost:{port}@evil.example", "evil.example:localhost", "localhost:", "localhost:x"),
        *("192.168.0.9:{port}", "[::]:{port}", "localhost.:{port}", "LOCALHOST.evil", ""),
    ],
)
def test_a_foreign_host_is_refused(served: Any, host: str) -> None:
    answer = served.ask("/api/status", headers={"Host": host.format(port=served.address.port)})
    assert answer.status in (400, 421)
    assert b"photos" not in answer.body


@pytest.mark.parametrize(
    "host", ["localhost", "LocalHost:{port}", "127.0.0.1:{port}", "[::1]:{port}", "localhost:9000"]
)
def test_names_of_this_machine_are_taken(served: Any, host: str) -> None:
    """With any port: that of a tunnel is another one."""
    answer = served.ask("/api/status", headers={"Host": host.format(port=served.address.port)})
    assert answer.status == 200


def test_two_hosts_are_refused(served: Any) -> None:
    assert raw(
        served, b"GET /api/status HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n"
    )[:12] in (b"HTTP/1.1 400", b"HTTP/1.1 421")
    assert raw(served, b"GET /api/status HTTP/1.0\r\n\r\n")[:12] == b"HTTP/1.1 421"


# --- the origin


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": ""},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "http://localhost.evil.example:{port}"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": None},
        {"Origin": None, "Sec-Fetch-Site": "cross-site"},
    ],
)
def test_a_foreign_page_changes_nothing(served: Any, headers: dict[str, str | None]) -> None:
    sent = {k: v and v.format(port=served.address.port) for k, v in headers.items()}
    wish = {"kind": "train"}
    answer = served.ask("/api/jobs", method="POST", body=wish, headers=sent)
    assert answer.status == 403
    assert served.studio.jobs.all == []


@pytest.mark.parametrize("headers", [{}, {"Sec-Fetch-Site": "same-origin"}, {"Origin": None}])
def test_the_page_itself_may_write(served: Any, headers: dict[str, str | None]) -> None:
    sent = headers | ({"Sec-Fetch-Site": "same-origin"} if "Origin" in headers else {})
    answer = served.ask("/api/jobs", method="POST", body={"kind": "tea"}, headers=sent)
    assert answer.status == 400
    assert "there is no order 'tea'" in answer.json["error"]


@pytest.mark.parametrize("site", ["cross-site", "same-site", "evil"])
def test_a_foreign_page_reads_nothing(served: Any, site: str) -> None:
    assert served.ask("/api/status", headers={"Sec-Fetch-Site": site}).status == 403
    assert served.ask("/api/thumbs/0", headers={"Sec-Fetch-Site": site}).status == 403


@pytest.mark.parametrize("method", ["OPTIONS", "PUT", "DELETE", "PATCH", "TRACE", "CONNECT", "X"])
def test_other_methods_are_refused(served: Any, method: str) -> None:
    headers = {"Origin": "http://evil.example", "Access-Control-Request-Method": "POST"}
    answer = served.ask("/api/jobs", method=method, headers=headers)
    assert answer.status in (400, 405)
    assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize("path", ["/", "/main.js", "/api/status", "/nothing", "/?token=x"])
@pytest.mark.parametrize("method", ["GET", "PUT", "POST"])
def test_every_answer_has_the_headers(served: Any, path: str, method: str) -> None:
    answer = served.ask(path, method=method)
    for name, value in HEADERS.items():
        assert answer.headers[name.lower()] == value
    assert "cache-control" in answer.headers
    assert not {"server", "access-control-allow-origin"} & set(answer.headers)


def test_the_policy_allows_files_of_this_server_only() -> None:
    policy = HEADERS["Content-Security-Policy"]
    assert policy.startswith("default-src 'self'; img-src 'self' blob: data:;")
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy


# --- paths


@pytest.mark.parametrize(
    "path",
    [
        *("/../secret.js", "/%2e%2e/secret.js", "/%2e%2e%2fsecret.js", "/..%2fsecret.js"),
        *("/%252e%252e%252fsecret.js", "/..%5csecret.js", "/..\\secret.js", "/....//secret.js"),
        *("/link.js", "/folder/secret.js", "/.hidden.js", "/main.js%00", "/main.js%00.png"),
        *("//main.js", "/main.js/", "/./secret.js", "/%2Fetc%2Fpasswd", "//etc/passwd"),
        *("/page/../../secret.js", "/main.js%0d%0aX-Evil:1", "/MAIN.JS", "/main.py", "/app.py"),
        *(
            "/api/thumbs/../../../secret.js",
            "/api/thumbs/%2e%2e",
            "/api/thumbs/-1",
            "/api/thumbs/1e3",
        ),
        *("/api/thumbs/99", "/api/tile/0/0/99/99", "/api/tile/0/-1/0/0", "/api/tile/0/99/0/0"),
        *("/api/jobs/..%2f..%2fsecret.js/file", "/api/jobs/1/file", "/api/thumbs/" + "9" * 5000),
        "/" + "a" * 60_000,
    ],
)
def test_no_path_leads_out(served: Any, page: Path, path: str) -> None:
    sent = (
        f"GET {path} HTTP/1.1\r\nHost: {served.host}\r\nCookie: {served.cookie}\r\n"
        "Connection: close\r\n\r\n"
    )
    answer = raw(served, sent.encode())
    assert 400 <= int(answer[9:12]) < 500
    assert SECRET not in answer
    assert b"root:" not in answer
    assert b"X-Evil" not in answer.partition(b"\r\n\r\n")[0]


def test_files_of_the_page_are_served(served: Any, page: Path) -> None:
    answer = served.ask("/main.js")
    assert (answer.status, answer.body) == (200, b"export {};")
    assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
    assert served.ask("/").body.startswith(b"<!doctype html>")


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # TLS
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /\r\n\r\n",
        b"\r\n" * 2000,
        b"GET / HTTP/1.1\r\nHost: localhost\r\nA: " + b"x" * 100_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"A: b\r\n" * 20_000 + b"\r\n",
        b"POST /api/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n",
        b"POST /api/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    ],
)
def test_what_is_no_request_does_no_harm(served: Any, sent: bytes) -> None:
    answer = raw(served, sent)
    assert answer[:10] in (b"", b"HTTP/1.1 4")
    assert answers_quickly(served)


# --- too much


def post(served: Any, extra: str = "") -> bytes:
    return (
        f"POST /api/jobs HTTP/1.1\r\nHost: {served.host}\r\nCookie: {served.cookie}\r\n"
        f"Origin: http://{served.host}\r\n{extra}\r\n"
    ).encode()


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_of_100_mb_is_refused(served: Any, chunked: bool) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    extra = "Transfer-Encoding: chunked\r\n" if chunked else "Content-Length: 100000000\r\n"
    piece = b"a" * 1_000_000
    part = b"f4240\r\n" + piece + b"\r\n" if chunked else piece
    sent = 0
    with connected(served) as connection:
        connection.sendall(post(served, extra))
        with suppress(OSError):
            for _ in range(100):
                connection.sendall(part)
                sent += 1
        answer = received(connection)
    assert answer[:12] in (b"HTTP/1.1 413", b"")  # whoever goes on sending may miss the answer
    assert sent < 40  # 20 MB, and what waits on the way
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 30_000  # kB
    assert answers_quickly(served)


@pytest.mark.parametrize("size", [0, MOST_BODY - 50, MOST_BODY + 1])
def test_bodies_are_taken_up_to_the_limit(served: Any, size: int) -> None:
    text = b'{"kind": "tea", "x": "' + b"a" * max(0, size - 24) + b'"}'
    answer = served.ask("/api/jobs", method="POST", body=text if size else b"")
    assert answer.status == (413 if size > MOST_BODY else 400)


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"3", b"\xff\xfe", b"[" * 100_000, b'{"kind":1}']
)
def test_a_body_that_is_no_order_is_refused(served: Any, body: bytes) -> None:
    answer = served.ask("/api/jobs", method="POST", body=body)
    assert answer.status == 400
    assert "unexpected" not in answer.json["error"]


def test_a_thousand_requests_at_once_are_all_answered(served: Any) -> None:
    server._allow_files()

    async def ask(number: int) -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", served.address.port)
        cookie = served.cookie if number % 2 else "picie=wrong"
        path = ("/api/status", "/api/photos", f"/api/thumbs/{number % 12}")[number % 3]
        writer.write(
            f"GET {path} HTTP/1.1\r\nHost: {served.host}\r\nCookie: {cookie}\r\n"
            "Connection: close\r\n\r\n".encode()
        )
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
        return int(answer[9:12])

    async def ask_all() -> list[int]:
        return await asyncio.gather(*map(ask, range(1000)))

    states = asyncio.run(ask_all())
    assert states == [200 if number % 2 else 401 for number in range(1000)]
    assert answers_quickly(served)


def test_who_sends_slowly_is_cut_off(served: Any, crowd: Crowd) -> None:
    """Three hundred clients that send a header, or a body, a byte at a time."""
    half = f"GET / HTTP/1.1\r\nHost: {served.host}\r\nX: ".encode()
    body = post(served, "Content-Length: 1000\r\n") + b"{"
    clients = crowd(300)
    for number, client in enumerate(clients):
        client.sendall(half if number % 2 else body)
    assert answers_quickly(served)
    until, gone = time.monotonic() + 60, set[int]()
    while len(gone) < len(clients) and time.monotonic() < until:
        time.sleep(0.2)
        for number, client in enumerate(clients):
            try:
                client.sendall(b"a")
                client.setblocking(False)
                if client.recv(4096) == b"":
                    gone.add(number)
            except BlockingIOError:
                pass
            except OSError:
                gone.add(number)
            finally:
                client.setblocking(True)
    assert answers_quickly(served)
    assert len(gone) == len(clients)


def test_who_reads_slowly_is_cut_off(served: Any, crowd: Crowd) -> None:
    """Ten clients that ask for 10 MB, and read nothing of it."""
    ask = f"GET /api/photos HTTP/1.1\r\nHost: {served.host}\r\nCookie: {served.cookie}\r\n\r\n"
    names = served.studio.photos.names
    served.studio.photos.names = [name + "x" * 800_000 for name in names]
    try:
        clients = crowd(10)
        for client in clients:
            client.sendall(ask.encode())
        served.wait(lambda: len(served.server.server_state.connections) >= 10, 10)
        assert answers_quickly(served)
        served.wait(lambda: len(served.server.server_state.connections) < 10, 15)
    finally:
        served.studio.photos.names = names
    assert answers_quickly(served)


def test_who_does_not_read_the_news_is_dropped(served: Any, crowd: Crowd) -> None:
    ask = f"GET /api/events HTTP/1.1\r\nHost: {served.host}\r\nCookie: {served.cookie}\r\n\r\n"
    broadcast = served.studio.broadcast
    clients = crowd(4)
    for client in clients:
        client.sendall(ask.encode())
    served.wait(lambda: len(broadcast._pages) == 4, 10)
    for number in range(3000):
        broadcast.publish("photos", {"ids": list(range(number, number + 500))})
        if number % 100 == 0:
            time.sleep(0.01)
    assert sum(page._bytes for page in broadcast._pages) < 5_000_000
    assert answers_quickly(served)
    served.wait(lambda: not broadcast._pages, 15)


def test_too_many_pages_are_told(served: Any, crowd: Crowd) -> None:
    ask = f"GET /api/events HTTP/1.1\r\nHost: {served.host}\r\nCookie: {served.cookie}\r\n\r\n"
    clients = crowd(64)
    for client in clients:
        client.sendall(ask.encode())
    served.wait(lambda: len(served.studio.broadcast._pages) == 64, 10)
    answer = served.ask("/api/events")
    assert (answer.status, answer.json["error"]) == (503, "too many pages are open; close some")
    for client in clients:
        client.close()
    served.wait(lambda: served.ask("/api/events", method="HEAD").status != 503, 40)


# --- the guard alone


def call(guard: Guard, **scope: Any) -> list[Message]:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    whole = {"method": "GET", "path": "/", "query_string": b"", "headers": [], "type": "http"}
    asyncio.run(guard(whole | scope, receive, send))
    return sent


async def hello(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"hello"})


@pytest.mark.parametrize(
    ("host", "status"),
    [
        (b"192.168.0.9:8000", 200),
        (b"[fe80::1]:8000", 200),
        (b"studio.lan:8000", 200),
        (b"STUDIO.lan", 200),
        (b"localhost:8000", 200),
        (b"evil.example:8000", 421),
        (b"studio.lan.evil:8000", 421),
    ],
)
def test_other_hosts_by_name_or_number(host: bytes, status: int) -> None:
    keys = Keys.make()
    guard = Guard(hello, keys, 8000, ("studio.lan",))
    headers = [(b"host", host), (b"cookie", f"picie-8000={keys.session}".encode())]
    assert call(guard, headers=headers)[0]["status"] == status


def test_a_websocket_is_refused() -> None:
    assert call(Guard(hello, Keys.make(), 1), type="websocket") == [
        {"type": "websocket.close", "code": 1008}
    ]
    assert call(Guard(hello, Keys.make(), 1), type="lifespan") == []


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        *(("localhost", True), ("127.0.0.1", True), ("127.9.9.9", True), ("::1", True)),
        *(("[::1]", True), ("0.0.0.0", False), ("::", False), ("192.168.0.9", False)),
        *(("example", False), ("", False), ("localhost.evil", False)),
    ],
)
def test_what_only_this_machine_reaches(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback


# --- clients


def connected(served: Any) -> socket.socket:
    client = socket.create_connection(("127.0.0.1", served.address.port), timeout=20)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
    return client


def received(client: socket.socket) -> bytes:
    answer = b""
    with suppress(OSError):
        while piece := client.recv(65_536):
            answer += piece
    return answer


def raw(served: Any, sent: bytes) -> bytes:
    """What comes back for some bytes, until the server closes or says nothing more."""
    with connected(served) as client:
        with suppress(OSError):
            client.sendall(sent)
            client.settimeout(1.5)
        return received(client)
