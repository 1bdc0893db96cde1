from __future__ import annotations

import shlex
import urllib.request
from pathlib import Path

import pytest

from wsinspect.entry.environment import BUNDLE, EXTRA, PROXY, through_proxy
from wsinspect.entry.trust import TrustFiles, write_trust_files

CA = "-----BEGIN CERTIFICATE-----\nours\n-----END CERTIFICATE-----\n"


def files(folder: Path = Path("/f")) -> TrustFiles:
    return TrustFiles(folder / "ca-bundle.pem", folder / "ca-extra.pem", folder / "ca-truststore.p12")


def test_every_spelling_names_the_proxy() -> None:
    changed = through_proxy(
        {"HOME": "/h", "no_proxy": "localhost", "socks_proxy": "x"}, "127.0.0.1", 80, files()
    )
    for name in PROXY:
        assert changed[name] == changed[name.lower()] == "http://127.0.0.1:80"
    assert changed["NO_PROXY"] == changed["no_proxy"] == ""
    assert changed["HOME"] == "/h"
    assert "socks_proxy" not in changed
    assert {changed[name] for name in BUNDLE} == {"/f/ca-bundle.pem"}
    assert {changed[name] for name in EXTRA} == {"/f/ca-extra.pem"}
    assert changed["NODE_USE_ENV_PROXY"] == "1"


def test_python_sends_loopback_through(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "localhost,127.0.0.1")
    for name, value in through_proxy({}, "127.0.0.1", 80, files()).items():
        monkeypatch.setenv(name, value)
    assert not urllib.request.proxy_bypass("localhost:8443")
    assert urllib.request.getproxies()["wss"] == "http://127.0.0.1:80"


def test_javas_options_come_behind_the_users() -> None:
    changed = through_proxy({"JAVA_TOOL_OPTIONS": "-Xmx1g"}, "127.0.0.1", 80, files(Path("/a b")))
    words = shlex.split(changed["JAVA_TOOL_OPTIONS"])
    assert words[0] == "-Xmx1g"
    assert "-Djavax.net.ssl.trustStore=/a b/ca-truststore.p12" in words
    assert "-Dhttp.nonProxyHosts=" in words
    assert "-Dhttps.proxyPort=80" in words


def test_the_bundle_holds_the_users_the_systems_and_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("users", "requests", "system", "node")
    for name in names:
        (tmp_path / name).write_text(f"{name}'s CA")  # without a line feed at its end
    monkeypatch.setattr("wsinspect.entry.trust._SYSTEMS", (str(tmp_path / "system"),))
    monkeypatch.setattr("wsinspect.entry.trust._openssl_file", lambda: str(tmp_path / "none"))
    environment = {
        "SSL_CERT_FILE": str(tmp_path / "users"),
        "REQUESTS_CA_BUNDLE": str(tmp_path / "requests"),
        "CURL_CA_BUNDLE": str(tmp_path / "users"),
        "GIT_SSL_CAINFO": str(tmp_path / "missing"),
        "NODE_EXTRA_CA_CERTS": str(tmp_path / "node"),
    }
    written = write_trust_files(tmp_path, CA, environment, lambda pem, password: f"{password} {pem}".encode())
    bundle = f"users's CA\nrequests's CA\nsystem's CA\n{CA}"
    assert written.bundle.read_text() == bundle
    assert written.extra.read_text() == f"node's CA\n{CA}"
    assert written.truststore.read_text() == f"changeit {bundle}"


def test_a_system_without_a_bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wsinspect.entry.trust._SYSTEMS", ())
    monkeypatch.setattr("wsinspect.entry.trust._openssl_file", lambda: "")
    written = write_trust_files(tmp_path, CA, {}, lambda pem, password: b"")
    assert written.bundle.read_text() == written.extra.read_text() == CA
