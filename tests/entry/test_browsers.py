"""Browsers found, prepared, started and put away, with scripts in their place."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path

import pytest

from tests.certs import make_cert
from tests.tools import need, runs
from wsinspect.cli.browser import page_url
from wsinspect.entry import chromium, firefox
from wsinspect.entry.browsers import Browser, Found, find, profile_parent
from wsinspect.entry.running import profile_folder, running
from wsinspect.errors import Unavailable, UsageError


def program(path: Path, text: str = "#!/bin/sh\n") -> Path:
    path.write_text(text)
    path.chmod(0o755)
    return path


def test_the_first_that_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    program(tmp_path / "firefox-esr")
    assert find() == Found(Browser.FIREFOX, tmp_path / "firefox-esr")
    program(tmp_path / "google-chrome")
    assert find() == Found(Browser.CHROME, tmp_path / "google-chrome")
    assert find(Browser.FIREFOX) == Found(Browser.FIREFOX, tmp_path / "firefox-esr")
    with pytest.raises(
        Unavailable, match=r"no chromium is installed here; looked for chromium, chromium-browser"
    ):
        find(Browser.CHROMIUM)


def test_none_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("sys.platform", "darwin")
    monkeypatch.setattr("wsinspect.entry.browsers._APPS", dict.fromkeys(Browser, "/Applications/none"))
    with pytest.raises(Unavailable, match=r"no browser .* chrome.*, /Applications/none, firefox"):
        find()


def test_a_snap_has_its_profile_where_it_can_see_it(tmp_path: Path) -> None:
    wrapper = program(tmp_path / "chromium-browser", '#!/bin/sh\nexec /snap/bin/chromium "$@"\n')
    common = Path.home() / "snap" / "chromium" / "common"
    assert profile_parent(Found(Browser.CHROMIUM, wrapper)) == common
    assert profile_parent(Found(Browser.CHROMIUM, program(tmp_path / "chromium"))) is None


@pytest.mark.parametrize("root", [True, False])
def test_chromiums_flags(root: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0 if root else 1000)
    flags = chromium.arguments(Path("/p"), "127.0.0.1", 8080, "pin=", headless=False)
    assert {
        "--user-data-dir=/p",
        "--proxy-server=http://127.0.0.1:8080",
        "--proxy-bypass-list=<-loopback>",
        "--ignore-certificate-errors-spki-list=pin=",
        "--disable-quic",
    } <= set(flags)
    assert ("--no-sandbox" in flags) is root
    assert "--headless=new" not in flags
    assert "--headless=new" in chromium.arguments(Path("/p"), "::1", 1, "", headless=True)


def test_a_firefox_profile(tmp_path: Path) -> None:
    need("certutil")
    profile = tmp_path / "profile"
    profile.mkdir()
    firefox.prepare_profile(profile, "127.0.0.1", 8080, make_cert(tmp_path)[0])
    lines = (profile / "user.js").read_text().splitlines()
    values = dict(json.loads(f"[{line[len('user_pref(') : -2]}]") for line in lines)
    assert values["network.proxy.allow_hijacking_localhost"] is True
    assert (values["network.proxy.ssl"], values["network.proxy.ssl_port"]) == ("127.0.0.1", 8080)
    listing = subprocess.run(
        ["certutil", "-L", "-d", f"sql:{profile}"], capture_output=True, text=True, check=True, timeout=60
    )
    assert listing.stdout.split()[-2:] == ["wsinspect", "C,,"]


def test_a_firefox_profile_that_cannot_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Unavailable, match=r"certutil .* is not installed .*libnss3-tools"):
        firefox.prepare_profile(tmp_path, "127.0.0.1", 1, tmp_path / "ca.pem")
    program(tmp_path / "certutil", "#!/bin/sh\necho no database >&2\nexit 9\n")
    with pytest.raises(Unavailable, match="certutil -N failed: no database"):
        firefox.prepare_profile(tmp_path, "127.0.0.1", 1, tmp_path / "ca.pem")


def test_nothing_is_left_of_a_browser(tmp_path: Path) -> None:
    """Not the process that ignores SIGTERM, nor one that it has started, nor the profile."""
    script = 'trap "" TERM; sleep 300 & echo "child $!"; echo ready >&2; touch "$1"; wait; sleep 300'
    with profile_folder(tmp_path / "snap" / "common") as folder:
        assert folder.stat().st_mode & 0o777 == 0o700
        started = time.monotonic()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("wsinspect.entry.running.END_S", 0.2)
            words, group = ["-c", script, "sh", str(folder / "up")], tmp_path / "group"

            def begin(number: int) -> None:
                group.write_text(str(number))

            with running(Path("/bin/sh"), words, folder, dict(os.environ), begin) as browser:
                assert group.read_text() == str(browser.process.pid)
                assert browser.wait(0) is None
                while not (folder / "up").exists():
                    assert time.monotonic() < started + 20
                    time.sleep(0.01)
                child = int(browser.last_words().split()[1])
                assert "ready" in browser.last_words()
        assert browser.wait() == -9
    assert not folder.exists()
    while runs(child):
        assert time.monotonic() < started + 20
        time.sleep(0.01)


def test_a_browser_that_cannot_be_started(tmp_path: Path) -> None:
    with (
        pytest.raises(Unavailable, match="cannot start"),
        running(tmp_path / "none", [], tmp_path, {}, begin=lambda group: None),
    ):
        pass


@pytest.mark.parametrize(
    ("word", "url"),
    [
        ("about:blank", "about:blank"),
        ("https://a/b", "https://a/b"),
        ("example.com/x", "https://example.com/x"),
        ("localhost:3000", "http://localhost:3000"),
        ("127.0.0.1", "http://127.0.0.1"),
        ("[::1]:80/x", "http://[::1]:80/x"),
        ("10.0.0.1", "https://10.0.0.1"),
    ],
)
def test_what_a_user_means_by_a_page(word: str, url: str) -> None:
    assert page_url(word) == url


def test_a_page_may_be_a_file_and_is_no_websocket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "page.html").touch()
    monkeypatch.chdir(tmp_path)
    assert page_url("page.html") == (tmp_path / "page.html").as_uri()
    with pytest.raises(UsageError, match="is a WebSocket, not a page"):
        page_url("WSS://example.com/")
