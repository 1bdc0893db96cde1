"""The CA of a new folder, made once although several want it."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from mitmproxy.certs import CertStore

from wsinspect.errors import Unavailable
from wsinspect.proxy.authority import authority, make_authority


def test_several_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each made one; a program that `exec` ran beside another trusted a CA that its proxy did not have."""
    making, second_done, made = threading.Event(), threading.Event(), []
    create_store = CertStore.create_store

    def slowly(folder: Path, name: str, key_bits: int) -> None:
        made.append(key_bits)
        making.set()
        second_done.wait(0.2)  # where there is no lock it comes between
        create_store(folder, name, key_bits)

    def make() -> None:
        make_authority({"confdir": str(tmp_path / "ca"), "key_size": "1024"})

    monkeypatch.setattr(CertStore, "create_store", slowly)
    first = threading.Thread(target=make)
    first.start()
    assert making.wait(20)
    second = threading.Thread(target=lambda: (make(), second_done.set()))
    second.start()
    first.join()
    second.join()
    assert made == [1024]
    assert authority(tmp_path / "ca").path.exists()


def test_a_folder_that_cannot_be(tmp_path: Path) -> None:
    """The proxy told it in a traceback, and ran without a CA."""
    (tmp_path / "ca").touch()
    with pytest.raises(Unavailable, match=r"no CA in .*/ca: File exists; --set confdir=FOLDER"):
        make_authority({"confdir": str(tmp_path / "ca")})
