"""Where running proxies have their control sockets, and which of them live."""

from __future__ import annotations

import errno
import os
import socket
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

from wsinspect.errors import NotFound, ProxyUnreachable, Unavailable, UsageError

_LONGEST_SOCKET_PATH = 100
"""sun_path has 104 bytes on macOS and 108 on Linux."""


@dataclass(frozen=True, slots=True)
class LiveProxy:
    """A proxy whose socket answers."""

    pid: int
    path: Path


def runtime_dir() -> Path:
    """The folder of the control sockets: 0700, ours alone; made where it is missing.

    Raises Unavailable where another user owns it, or it cannot be made.
    """
    trouble: Unavailable | None = None
    for folder in _candidates():
        if len(os.fsencode(folder / "1234567890.sock")) > _LONGEST_SOCKET_PATH:
            continue
        try:
            return private_folder(folder)
        except Unavailable as error:
            trouble = error
    raise trouble or Unavailable(
        "no folder for control sockets has a path that is short enough; set XDG_RUNTIME_DIR"
    )


def _candidates() -> list[Path]:
    """The same at each call and in every process of a user, which platformdirs does not promise."""
    uid = os.getuid()
    homes = [Path(home) for home in (os.environ.get("XDG_RUNTIME_DIR"), f"/run/user/{uid}") if home]
    return [home / "wsinspect" for home in homes if _is_ours_alone(home)] + [
        Path(tempfile.gettempdir()) / f"wsinspect-{uid}"
    ]


def _is_ours_alone(folder: Path) -> bool:
    try:
        found = folder.stat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o077


def private_folder(folder: Path) -> Path:
    """Make `folder` 0700, and be sure that it is ours. Raises Unavailable."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
            raise Unavailable(f"{folder} belongs to someone else")
        if stat.S_IMODE(found.st_mode) != 0o700:
            folder.chmod(0o700)
    except OSError as error:
        raise Unavailable(f"cannot use {folder}: {error.strerror}") from error
    return folder


def socket_path(pid: int) -> Path:
    """The control socket of the proxy with this process id."""
    return runtime_dir() / f"{pid}.sock"


def listen(path: Path) -> socket.socket:
    """A listening unix socket, 0600, in place of one that a dead process left there. Raises Unavailable."""
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        path.unlink(missing_ok=True)
        server.bind(str(path))
        path.chmod(0o600)
        server.listen(16)
    except OSError as error:
        server.close()
        raise Unavailable(f"cannot listen on the control socket {path}: {error.strerror}") from error
    return server


def connect(path: Path, timeout_s: float) -> socket.socket:
    """Raises ProxyUnreachable."""
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    client.settimeout(timeout_s)
    try:
        client.connect(str(path))
    except (OSError, ValueError) as error:
        client.close()
        why = getattr(error, "strerror", None) or str(error)
        raise ProxyUnreachable(f"no proxy answers at {path}: {why}") from error
    return client


def live_proxies() -> list[LiveProxy]:
    """Those that accept a connection now, by process id. Sockets of dead processes are removed."""
    found = []
    for path in runtime_dir().glob("*.sock"):
        if not path.stem.isdecimal():
            continue
        try:
            connect(path, timeout_s=1.0).close()
        except ProxyUnreachable as error:
            # A process that has bound and not yet listened refuses too: only a dead one's socket goes.
            refused = isinstance(error.__cause__, OSError) and error.__cause__.errno == errno.ECONNREFUSED
            if refused and not _alive(int(path.stem)):
                path.unlink(missing_ok=True)
            continue
        found.append(LiveProxy(int(path.stem), path))
    return sorted(found, key=lambda proxy: proxy.pid)


def resolve(address: str | int | Path | None = None) -> Path:
    """The control socket that a user means: a process id, a path, or None for the only proxy there is.

    Raises NotFound for an address that is neither, UsageError where None is ambiguous, ProxyUnreachable where
    no proxy runs.
    """
    if address is not None:
        word = str(address)
        if not word.isdecimal():
            return _socket_at(Path(word))
        path = socket_path(int(word))
        if not path.exists():
            raise ProxyUnreachable(f"no proxy with the process id {word} is running")
        return path
    proxies = live_proxies()
    if not proxies:
        raise ProxyUnreachable("no proxy is running")
    if len(proxies) > 1:
        listing = "".join(f"\n  {proxy.pid}  {proxy.path}" for proxy in proxies)
        raise UsageError(f"several proxies are running; say which one by its process id:{listing}")
    return proxies[0].path


def is_address(word: str) -> bool:
    """Whether `word` means a running proxy (a process id or a socket) and not a file."""
    path = Path(word)
    if path.exists():
        return path.is_socket()
    return word.isdecimal()


def _socket_at(path: Path) -> Path:
    if not path.exists():
        raise NotFound(
            f"{path}: no such socket; an address is a proxy's process id or the path of its control socket"
        )
    if not path.is_socket():
        raise UsageError(
            f"{path} is not a socket; an address is a proxy's process id or the path of its control socket"
        )
    return path


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True
