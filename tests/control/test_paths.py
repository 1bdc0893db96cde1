from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.control.fake_proxy import FakeProxy
from wsinspect.control import paths
from wsinspect.errors import NotFound, ProxyUnreachable, Unavailable, UsageError


def dead_pid() -> int:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


def test_the_folder_and_the_sockets_are_private(proxy: FakeProxy) -> None:
    assert stat.S_IMODE(paths.runtime_dir().stat().st_mode) == 0o700
    assert stat.S_IMODE(proxy.path.stat().st_mode) == 0o600


def test_a_folder_that_others_may_enter_is_closed(runtime: Path) -> None:
    (runtime / "wsinspect").mkdir(mode=0o755)
    assert stat.S_IMODE(paths.runtime_dir().stat().st_mode) == 0o700


def test_a_link_in_place_of_the_folder_is_refused(runtime: Path) -> None:
    (runtime / "elsewhere").mkdir()
    (runtime / "link").symlink_to(runtime / "elsewhere")
    with pytest.raises(Unavailable, match="someone else"):
        paths.private_folder(runtime / "link")


def test_a_long_runtime_folder_gives_way(runtime: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime / ("x" * 100)))
    monkeypatch.setattr("tempfile.tempdir", str(runtime))
    assert paths.runtime_dir() == runtime / f"wsinspect-{os.getuid()}"


@pytest.mark.parametrize("mode", [None, 0o755])
def test_without_a_runtime_folder_of_ours_alone_the_temporary_one_serves(
    mode: int | None, runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if mode is None:
        monkeypatch.delenv("XDG_RUNTIME_DIR")
    else:
        runtime.chmod(mode)
    monkeypatch.setattr("tempfile.tempdir", str(runtime))
    expected = [runtime / f"wsinspect-{os.getuid()}", Path(f"/run/user/{os.getuid()}/wsinspect")]
    assert paths.runtime_dir() in expected
    assert paths.runtime_dir() == paths.runtime_dir()


def test_only_proxies_that_answer_are_listed(proxy: FakeProxy) -> None:
    stale = paths.socket_path(dead_pid())
    paths.listen(stale).close()
    deaf = paths.socket_path(os.getppid())
    paths.listen(deaf).close()
    (paths.runtime_dir() / "notes.sock").touch()
    assert paths.live_proxies() == [paths.LiveProxy(os.getpid(), proxy.path)]
    assert not stale.exists(), "its process is dead"
    assert deaf.exists(), "its process lives and may be about to listen"


def test_resolve(proxy: FakeProxy, tmp_path: Path) -> None:
    assert paths.resolve() == proxy.path
    assert paths.resolve(os.getpid()) == proxy.path
    assert paths.resolve(str(proxy.path)) == proxy.path
    with pytest.raises(NotFound, match="no such socket"):
        paths.resolve(tmp_path / "none")
    with pytest.raises(UsageError, match="not a socket"):
        paths.resolve(tmp_path)
    with pytest.raises(ProxyUnreachable, match="no proxy with the process id 1"):
        paths.resolve("1")


def test_resolve_with_several(proxy: FakeProxy) -> None:
    with FakeProxy(pid=os.getppid()) as other, pytest.raises(UsageError, match="several") as caught:
        paths.resolve()
    assert set(re.findall(r"^  (\d+) ", str(caught.value), re.M)) == {str(os.getpid()), str(other.info.pid)}


def test_resolve_with_none(runtime: Path) -> None:
    with pytest.raises(ProxyUnreachable, match="no proxy is running"):
        paths.resolve()


def test_is_address(proxy: FakeProxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert paths.is_address("123")
    assert paths.is_address(str(proxy.path))
    assert not paths.is_address("a.wscap")
    Path("123").touch()
    assert not paths.is_address("123")
