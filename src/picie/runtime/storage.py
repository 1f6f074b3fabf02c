"""Files in a storage, by address: `s3://bucket/photos/a.jpg`; each whole, and retried.

Any file system of fsspec: `s3://`, `gs://`, `az://`, `hf://`, `sftp://`, `memory://` and others.
The user installs the package of each, and gives credentials in the environment or in the
configuration of fsspec.

What may pass is tried again: timeouts, broken connections, a server that is overloaded or fails
(HTTP 408, 429, 5xx), and bodies that end too early. What does not pass is said at once: no such
bucket, no right to read. Listings are never cached.
"""

import errno
import os
import re
import secrets
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from time import sleep
from typing import Any, TypeVar

from picie.errors import ConfigError, DataError, MissingExtraError, PicieError
from picie.runtime.files import PART

__all__ = [
    "Entry",
    "Outages",
    "Store",
    "check_local",
    "is_address",
    "is_outage",
    "joined",
    "local_copy",
    "local_path",
    "path_or_address",
]

_Result = TypeVar("_Result")

_ATTEMPTS = 5
_PAUSE = 1.0  # seconds before the second attempt, about; each further pause is twice as long
_IN_A_ROW = 8  # files that a storage fails to give, until the others are not asked for
_CONNECT, _READ = 10, 60  # seconds without an answer

_SCHEME = re.compile(r"([a-z][a-z0-9+.-]+)://", re.I)  # two letters or more: C:// is a drive
_LOCAL = frozenset({"file", "local"})
_S3 = frozenset({"s3", "s3a"})
_UNCACHED = frozenset({*_S3, "gs", "gcs", "az", "abfs", "abfss", "adl", "http", "https"})
"""File systems that can be told not to cache listings."""
_WHOLE = frozenset({*_S3, "gs", "gcs", "az", "abfs", "abfss", "adl", "oss", "oci", "tos", "memory"})
"""Object stores: an object is there when it is complete. Others get a temporary name first."""
_READ_ONLY = frozenset(
    {"http", "https", "github", "git", "gist", "data", "zip", "tar", "libarchive"}
)
_CHECKED = frozenset({*_S3, "gs", "gcs", "az", "abfs", "abfss", "memory"})
"""Their clients compare what they read with the length that the storage states."""
_PACKAGES = {"huggingface_hub": '"picie[hub]"'}

# Names of errors that may pass, in any of the packages, with those derived from them.
_ERRORS = """
    TimeoutError ConnectionError EOFError FSTimeoutError HTTPClientError IncompleteRead
    IncompleteReadError ResponseParserError ClientPayloadError ClientConnectionError ProtocolError
    ChunkedEncodingError Timeout TransportError ServiceRequestError ServiceResponseError
    SSHException
"""
_CODES = """
    SlowDown Throttling ThrottlingException RequestTimeout RequestLimitExceeded InternalError
    ServiceUnavailable OperationAborted IncompleteBody BadDigest XAmzContentSHA256Mismatch
"""
_PASSING, _PASSING_CODES = frozenset(_ERRORS.split()), frozenset(_CODES.split())
_PASSING_NUMBERS = frozenset({errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN})
_ABSENT = (FileNotFoundError, NotADirectoryError)
_EXTENSION = re.compile(r"\.[A-Za-z0-9]{1,9}")
_ADVICE = {
    "absent": "check the address",
    "refused": "check the credentials in the environment, and what they may do there",
    "passing": "check the network and the storage, and run the command again",
    "full": "make space in the folder of temporary files, or set TMPDIR to another one",
    "other": "check the address, and the configuration of its storage",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """A file in a storage.

    Attributes:
        path: its whole address.
        bytes: its size.
        state: changes with its content: its ETag, else the time of the last change, else "".
    """

    path: str
    bytes: int
    state: str

    @property
    def stamp(self) -> str:
        """Size and state as one text."""
        return f"{self.bytes} {self.state}"


def is_address(text: str | Path) -> bool:
    """Whether this is an address of a storage, and no path.

    Example:
        >>> is_address("s3://bucket/photos"), is_address("photos"), is_address("C://photos")
        (True, False, False)
    """
    scheme = _scheme(text)
    if scheme in _LOCAL | _UNCACHED | {"hf", "memory"}:
        return True
    if not scheme:
        return False
    from fsspec.registry import known_implementations, registry

    return scheme in known_implementations or scheme in registry


def _scheme(text: str | Path) -> str:
    """In lower case; "" for a path."""
    found = _SCHEME.match(text) if isinstance(text, str) else None
    return found[1].lower() if found else ""


def local_path(text: str | Path) -> Path | None:
    """The path of a file or folder of this machine; None for an address elsewhere.

    Args:
        text: a path, or an address, such as file:///data/photos.

    Raises:
        ConfigError: a scheme that no file system has.

    Example:
        >>> local_path("file:///data/photos").as_posix()
        '/data/photos'
        >>> local_path("s3://bucket/photos") is None
        True
    """
    scheme = _scheme(text)
    if not scheme:
        return Path(text)
    if scheme in _LOCAL:
        from fsspec.implementations.local import LocalFileSystem

        return Path(LocalFileSystem._strip_protocol(text))
    if not is_address(text):
        raise ConfigError(
            f"{text}: there is no storage {scheme}://; known are s3://, gs://, az://, hf:// and "
            "others of fsspec"
        )
    return None


def path_or_address(text: str) -> Path | str:
    """The path of a file or folder of this machine, or an address as it is.

    Raises:
        ConfigError: as `local_path`.
    """
    path = local_path(text)
    return text if path is None else path


def check_local(what: str, text: str | Path) -> Path:
    """The path of what must be on this machine.

    Args:
        what: reads or writes it, such as "picie studio reads".
        text: a path or an address.

    Raises:
        ConfigError: an address elsewhere.
    """
    path = local_path(text)
    if path is None:
        copy = f"aws s3 sync {text} photos" if _scheme(text) in _S3 else "with the storage's tool"
        raise ConfigError(f"{text}: {what} local folders; copy the files first, e.g. {copy}")
    return path


def joined(folder: str | Path, *names: str) -> str:
    """The path or address of a file in a folder.

    Args:
        folder: a path or an address.
        names: of the folders on the way, with "/" or without, and of the file.
    """
    if isinstance(folder, str) and is_address(folder):
        return "/".join([folder.removesuffix("/"), *names])
    return os.path.join(folder, *(part for name in names for part in name.split("/")))


class Store:
    """The file system of an address; any number of threads may use it.

    Args:
        address: of a file or folder in it.

    Raises:
        ConfigError: the scheme is unknown, or the file system cannot be set up.
        MissingExtraError: its package is not installed.
    """

    def __init__(self, address: str) -> None:
        self._address, self._scheme = address, _scheme(address)
        self._files = _file_system(self._scheme, address)

    def read(self, address: str) -> bytes:
        """A whole file.

        Raises:
            DataError: it cannot be read.
        """
        path = self._inside(address)

        def work() -> bytes:
            stated = self._stated(path)
            data: bytes = self._files.cat_file(path)
            _check_length(len(data), stated)
            return data

        return _tried(address, "read", work)

    def head(self, address: str, count: int) -> bytes:
        """The first bytes of a file, at most `count`.

        Raises:
            DataError: it cannot be read.
        """
        path = self._inside(address)
        data: bytes = _tried(
            address, "read", lambda: self._files.cat_file(path, start=0, end=count)
        )
        return data

    def download(self, address: str, file: Path) -> None:
        """Copy a whole file to this machine, block by block.

        Args:
            address: of the file.
            file: where to; what is there is replaced.

        Raises:
            DataError: it cannot be read.
            PicieError: it cannot be written.
        """
        path = self._inside(address)

        def work() -> None:
            stated = self._stated(path)
            self._files.get_file(path, str(file))
            _check_length(file.stat().st_size, stated)

        _tried(address, "read", work)

    def write(self, address: str, data: bytes | Path) -> None:
        """Put a whole file; readers see the old one or the new one, never a part.

        Args:
            address: of the file; an existing one is replaced.
            data: its content, or a file of this machine that has it.

        Raises:
            ConfigError: picie does not write to such a storage.
            DataError: it cannot be written.
        """
        self.check_writable()
        path = self._inside(address)
        _tried(address, "written", lambda: self._put(path, data))

    def check_writable(self) -> None:
        """Refuse storages that picie does not write to.

        Raises:
            ConfigError: this is one.
        """
        if self._scheme == "hf":
            raise ConfigError(
                f"{self._address}: each file would be a commit; choose a local --out, and upload "
                "it with hf upload"
            )
        if self._scheme in _READ_ONLY:
            raise ConfigError(
                f"{self._address}: {self._scheme}:// can only be read; choose another --out"
            )

    def _put(self, path: str, data: bytes | Path) -> None:
        if self._scheme in _WHOLE:
            self._send(path, data)
            return
        folder, _, name = path.rpartition("/")
        part = f"{folder}/{PART}{secrets.token_hex(8)}{os.path.splitext(name)[1]}"
        if folder:
            self._files.makedirs(folder, exist_ok=True)
        try:
            self._send(part, data)
            try:
                self._files.mv(part, path)
            except FileExistsError:  # not all file systems replace
                self._files.rm_file(path)
                self._files.mv(part, path)
        except BaseException:
            with suppress(Exception):  # the error above takes precedence
                self._files.rm_file(part)
            raise

    def _send(self, path: str, data: bytes | Path) -> None:
        if isinstance(data, Path):
            self._files.put_file(str(data), path)
        else:
            self._files.pipe_file(path, data)

    def walk(self, address: str) -> Iterator[Entry]:
        """All files below a folder, at any depth, hidden ones too; memory does not grow with them.

        In S3, a page at a time; elsewhere a folder at a time.

        Args:
            address: of a folder.

        Raises:
            DataError: it cannot be listed; a folder that does not exist is empty.
        """
        root = self._inside(address).rstrip("/")
        found = self._pages(address, root) if self._scheme in _S3 else self._folders(address, root)
        start = address.rstrip("/") if root else address.removesuffix("/")
        for name, info in found:
            yield Entry(f"{start}/{name}", int(info.get("size") or 0), _state(info))

    def _pages(self, address: str, root: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Names below a folder of S3, and what is known of each."""
        bucket, key, _ = self._files.split_path(root)
        prefix = f"{key}/" if key else ""
        query = {"Bucket": bucket, "Prefix": prefix, **self._files.req_kw}
        while True:
            page = _tried(
                address, "listed", lambda: self._files.call_s3("list_objects_v2", **query)
            )
            for one in page.get("Contents", ()):
                name = one["Key"][len(prefix) :]
                if name and not name.endswith("/"):  # consoles make objects that stand for folders
                    yield name, {"size": one["Size"], "ETag": one.get("ETag")}
            if not page.get("IsTruncated"):
                return
            query["ContinuationToken"] = page["NextContinuationToken"]

    def _folders(self, address: str, root: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Names below a folder, and what is known of each."""
        waiting = [root]
        while waiting:
            folder = waiting.pop()
            infos = _tried(address, "listed", lambda: self._listing(folder))  # noqa: B023 (at once)
            for info in infos:
                path = info["name"].rstrip("/")
                if info["type"] == "directory":
                    if path != folder.rstrip("/"):
                        waiting.append(path)
                elif path != root:
                    yield path.removeprefix(root).lstrip("/"), info

    def _listing(self, folder: str) -> Iterable[Mapping[str, Any]]:
        self._forget()
        try:
            infos: list[Mapping[str, Any]] = self._files.ls(folder, detail=True, **self._fresh)
        except _ABSENT as error:
            if _code_of(error) == "NoSuchBucket":
                raise
            return []
        return infos

    def entry(self, address: str) -> Entry | None:
        """A file; None if there is none: nothing, or a folder.

        Raises:
            DataError: it cannot be asked for.
        """
        path = self._inside(address)

        def work() -> Entry | None:
            try:
                info = self._info(path)
            except _ABSENT:
                return None
            if info["type"] == "directory":
                return None
            return Entry(address, int(info.get("size") or 0), _state(info))

        return _tried(address, "read", work)

    def remove(self, address: str) -> None:
        """Remove a file, if it is there.

        Raises:
            DataError: it cannot be removed.
        """
        path = self._inside(address)

        def work() -> None:
            with suppress(FileNotFoundError):
                self._files.rm_file(path)

        _tried(address, "removed", work)

    def _inside(self, address: str) -> str:
        return str(self._files._strip_protocol(address))

    def _stated(self, path: str) -> int | None:
        """The size of a file, where the client does not compare it itself."""
        return None if self._scheme in _CHECKED else self._info(path).get("size")

    def _info(self, path: str) -> Mapping[str, Any]:
        self._forget()
        info: Mapping[str, Any] = self._files.info(path, **self._fresh)
        return info

    def _forget(self) -> None:
        if self._scheme not in _UNCACHED and self._scheme != "hf":
            self._files.invalidate_cache()

    @property
    def _fresh(self) -> dict[str, bool]:
        return {"refresh": True} if self._scheme == "hf" else {}


def _file_system(scheme: str, address: str) -> Any:
    """The file system of an address; fsspec keeps one for each configuration."""
    import fsspec

    local_path(address)  # says that a scheme is unknown
    try:
        kind = fsspec.get_filesystem_class(scheme)
        options = {**kind._get_kwargs_from_urls(address)}
        if scheme in _UNCACHED:
            options["use_listings_cache"] = False
        if scheme in _S3:
            own = fsspec.config.conf.get("s3", {})
            options["config_kwargs"] = _s3_client() | own.get("config_kwargs", {})
            # One request for one file: with more, its length is asked for first.
            options["max_concurrency"] = own.get("max_concurrency", 1)
        files = fsspec.filesystem(scheme, **options)
    except ImportError as error:
        raise MissingExtraError(
            f"{address}: needs a package that is not installed; {_installing(scheme, error)}"
        ) from None
    except Exception as error:  # each file system refuses what it does not understand as it likes
        raise ConfigError(
            f"{address}: cannot be opened ({_reason(error)}); {_ADVICE['other']}"
        ) from error
    if scheme in _S3:
        files.retries = 1  # the attempts are counted here, or they would multiply
    return files


def _s3_client() -> dict[str, Any]:
    """Settings of the client of S3."""
    return {
        "connect_timeout": _CONNECT,
        "read_timeout": _READ,
        "retries": {"total_max_attempts": 1},
    }


def _installing(scheme: str, error: ImportError) -> str:
    from fsspec.registry import known_implementations

    package = known_implementations.get(scheme, {}).get("class", "fsspec").partition(".")[0]
    if package == "fsspec":  # its own, which need another one
        return _reason(error)
    return f"pip install {_PACKAGES.get(package, package)}"


def _state(info: Mapping[str, Any]) -> str:
    keys = ("ETag", "etag", "blob_id", "mtime", "LastModified", "last_modified", "updated")
    found = next((info[key] for key in (*keys, "modified", "created") if info.get(key)), "")
    if isinstance(found, datetime):  # listings have the same as a number
        found = found.timestamp()
    return str(found).strip('"')


class _TooShort(ConnectionError):
    """A body that ended too early."""


def _check_length(found: int, stated: int | None) -> None:
    if stated is not None and found != stated:
        raise _TooShort(f"{found} of {stated} bytes arrived")


def _tried(address: str, verb: str, work: Callable[[], _Result]) -> _Result:
    """The result of a request, in several attempts.

    Args:
        address: for messages.
        verb: what is done to it, as a participle.
        work: makes the request.

    Raises:
        DataError: it did not succeed.
    """
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            return work()
        except PicieError:
            raise
        except Exception as error:
            kind = _kind(error)
            if kind != "passing" or attempt == _ATTEMPTS:
                tries = f", {attempt} attempts" if attempt > 1 else ""
                raise DataError(
                    f"{address}: cannot be {verb} ({_reason(error)}{tries}); {_ADVICE[kind]}"
                ) from error
        jitter = 0.5 + secrets.randbelow(1000) / 1000
        sleep(_PAUSE * 2 ** (attempt - 1) * jitter)
    raise AssertionError  # the last attempt returned or raised


def is_outage(error: DataError) -> bool:
    """Whether a storage failed in all attempts, or there is no space here; not one file alone."""
    return error.__cause__ is not None and _kind(error.__cause__) in ("passing", "full")


class Outages:
    """Counts files in a row that a storage did not give; any number of threads may use it.

    One such file may be the file's own fault. Several mean that all others would be waited for in
    vain.
    """

    def __init__(self) -> None:
        self._turn, self._count = threading.Lock(), 0

    def add(self, error: DataError | None) -> None:
        """Count a file.

        Args:
            error: why it could not be read; None = it was read.

        Raises:
            DataError: it is one too many.
        """
        with self._turn:
            self._count = self._count + 1 if error is not None and is_outage(error) else 0
            if error is not None and self._count >= _IN_A_ROW:
                # Not the count, which other threads may have raised by now.
                raise DataError(f"{_IN_A_ROW} files in a row could not be read; {error}") from error


def _kind(error: BaseException) -> str:
    """What the failure of a request is, as a key of `_ADVICE`."""
    status, code = _status_of(error), _code_of(error)
    if status in (408, 425, 429) or status >= 500 or code in _PASSING_CODES:
        return "passing"
    number = getattr(error, "errno", None)
    if number in (errno.ENOSPC, errno.EDQUOT):
        return "full"
    if number in _PASSING_NUMBERS:
        return "passing"
    if isinstance(error, _ABSENT) or status == 404:
        return "absent"
    if isinstance(error, PermissionError) or status in (401, 403) or "Credentials" in _names(error):
        return "refused"
    return "passing" if _PASSING.intersection(_names(error).split()) else "other"


def _names(error: BaseException) -> str:
    return " ".join(kind.__name__ for one in _chain(error) for kind in type(one).__mro__)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error and what it was raised from."""
    for _ in range(8):
        if error is None:
            return
        yield error
        error = error.__cause__


def _status_of(error: BaseException) -> int:
    """The HTTP status of an answer; 0 if there was none."""
    for one in _chain(error):
        response = getattr(one, "response", None)
        if isinstance(response, Mapping):  # of botocore
            value = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
            if isinstance(value, int):
                return value
        for holder in (one, response):
            for name in ("status_code", "status", "code"):
                value = getattr(holder, name, None)
                if str(value).isdecimal() and 400 <= int(str(value)) < 600:
                    return int(str(value))
    return 0


def _code_of(error: BaseException) -> str:
    """The error code of S3, or ""."""
    for one in _chain(error):
        response = getattr(one, "response", None)
        if isinstance(response, Mapping):
            return str(response.get("Error", {}).get("Code", ""))
    return ""


def _reason(error: BaseException) -> str:
    """The first line of an error."""
    known = {"NoSuchBucket": "no such bucket", "NoSuchKey": "there is no such file"}
    if (code := _code_of(error)) in known:
        return known[code]
    if "NoCredentialsError" in _names(error):
        return "no credentials were found in the environment"
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    text = (getattr(error, "strerror", None) or str(error)).strip().partition("\n")[0]
    return text[:200] if text else type(error).__name__


@contextmanager
def local_copy(file: str | Path) -> Iterator[Path]:
    """A file as one of this machine: itself, or a temporary copy with the same extension.

    An error that names the copy, within the block, is raised with the address instead.

    Args:
        file: a path or an address.

    Yields:
        a path that exists within the block.

    Raises:
        DataError: the file cannot be read from its storage.
        PicieError: there is no space for a copy.
    """
    path = local_path(file)
    if path is not None:
        yield path
        return
    address = str(file)
    store = Store(address)
    name = _new_file(os.path.splitext(address)[1])
    copy = Path(name)
    try:
        store.download(address, copy)
        try:
            yield copy
        except (OSError, PicieError) as error:
            _rename(error, name, address)
            raise
    finally:
        with suppress(OSError):  # an error above takes precedence
            copy.unlink()


def _new_file(extension: str) -> str:
    """A new temporary file."""
    try:
        handle, name = tempfile.mkstemp(
            extension if _EXTENSION.fullmatch(extension) else "", "picie-"
        )
    except OSError as error:
        raise PicieError(
            f"{tempfile.gettempdir()}: no temporary file can be written "
            f"({error.strerror or error}); {_ADVICE['full']}"
        ) from None
    os.close(handle)
    return name


def _rename(error: OSError | PicieError, old: str, new: str) -> None:
    """Let an error speak of another file."""
    error.args = tuple(one.replace(old, new) if isinstance(one, str) else one for one in error.args)
    if isinstance(error, OSError) and str(error.filename) == old:
        error.filename = new
