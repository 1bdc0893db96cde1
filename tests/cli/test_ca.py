"""`wsinspect ca`: the CA, made where it is missing, and the steps to install it."""

from __future__ import annotations

import base64
import hashlib
import shutil
import stat
import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from tests.certs import make_cert
from tests.tools import need
from wsinspect.cli import main
from wsinspect.entry.install_steps import PLATFORMS, install_steps
from wsinspect.proxy.authority import authority, java_truststore

type Captured = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def confdir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("a folder") / "ca"
    authority(folder)
    return folder


def ca(confdir: Path, *words: str) -> int:
    return main(["ca", *words, "--set", f"confdir={confdir}"])


def test_it_is_made_where_it_is_missing(tmp_path: Path, capsys: Captured) -> None:
    folder = tmp_path / "new" / "ca"
    assert ca(folder, "--path") == 0
    out, err = capsys.readouterr()
    assert (out, err) == (f"{folder}/mitmproxy-ca-cert.pem\n", "")
    assert stat.S_IMODE((folder / "mitmproxy-ca.pem").stat().st_mode) == 0o600
    before = Path(out.strip()).read_bytes()
    assert ca(folder, "--pem") == 0
    assert capsys.readouterr().out == before.decode(), "the second time it is the same"


def test_the_pin_is_of_the_key(confdir: Path, capsys: Captured) -> None:
    assert ca(confdir, "--spki") == 0
    certificate = x509.load_pem_x509_certificate((confdir / "mitmproxy-ca-cert.pem").read_bytes())
    spki = certificate.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    assert capsys.readouterr().out == base64.b64encode(hashlib.sha256(spki).digest()).decode() + "\n"


def test_overview(confdir: Path, capsys: Captured) -> None:
    assert ca(confdir) == 0
    out = capsys.readouterr().out
    described = authority(confdir)
    for word in (str(described.path), described.fingerprint, described.spki_sha256, described.expires):
        assert word in out


@pytest.mark.parametrize("name", PLATFORMS)
def test_steps_for_each_platform(name: str, confdir: Path, capsys: Captured) -> None:
    assert ca(confdir, "--install-help", name) == 0
    out = capsys.readouterr().out
    assert "{" not in out.replace("{64}", "")
    assert "mitmproxy-ca" in out
    assert f"'{confdir}/mitmproxy-ca-cert.pem'" in out or name == "windows", "the space is quoted"
    assert "mitmproxy-ca.pem" not in out, "the private key goes nowhere"


def test_steps_for_all(confdir: Path, capsys: Captured) -> None:
    assert ca(confdir, "--install-help") == 0
    out = capsys.readouterr().out
    described = authority(confdir)
    for name in PLATFORMS:
        assert install_steps(name, described.path, described.fingerprint_sha1) in out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--install-help", "windos"], "did you mean windows?"),
        (["--pem", "--spki"], "not allowed with"),
        (["--paht"], "did you mean --path?"),
    ],
)
def test_mistakes(words: list[str], said: str, capsys: Captured) -> None:
    assert main(["ca", *words]) == 2
    assert said in capsys.readouterr().err


def test_a_file_that_is_no_ca(tmp_path: Path, capsys: Captured) -> None:
    (tmp_path / "mitmproxy-ca.pem").write_text("nothing of the kind")
    assert ca(tmp_path) == 2
    assert "is not a CA" in capsys.readouterr().err


def test_a_folder_that_cannot_be(tmp_path: Path, capsys: Captured) -> None:
    (tmp_path / "file").touch()
    assert ca(tmp_path / "file" / "ca") == 3
    assert "no CA in" in capsys.readouterr().err


def test_a_ca_of_the_users_own(tmp_path: Path, confdir: Path, capsys: Captured) -> None:
    """They have mitmproxy-ca.pem alone, perhaps with a chain above it."""
    chain = make_cert(tmp_path)[0].read_text()
    own = tmp_path / "own"
    own.mkdir()
    (own / "mitmproxy-ca.pem").write_text((confdir / "mitmproxy-ca.pem").read_text() + chain)
    assert ca(own, "--pem") == 0
    assert capsys.readouterr().out == (confdir / "mitmproxy-ca-cert.pem").read_text() + chain
    assert authority(own).path.read_text() == (confdir / "mitmproxy-ca-cert.pem").read_text()


@pytest.mark.extra
def test_java_trusts_each_certificate_of_the_store(tmp_path: Path, confdir: Path) -> None:
    if shutil.which("keytool") is None:
        pytest.skip("keytool is not installed")
    ours, other = authority(confdir).pem, make_cert(tmp_path)[0].read_text()
    broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    store = tmp_path / "store.p12"
    store.write_bytes(java_truststore(other + broken + ours, "changeit"))
    words = ["keytool", "-list", "-keystore", str(store), "-storepass", "changeit"]
    out = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True).stdout
    assert out.count("trustedCertEntry") == 2
    assert authority(confdir).fingerprint in out


def test_the_steps_for_chrome_work(tmp_path: Path, confdir: Path) -> None:
    need("certutil")
    (tmp_path / ".pki" / "nssdb").mkdir(parents=True)
    described = authority(confdir)
    shell = shutil.which("sh")
    assert shell is not None
    steps = install_steps("chrome", described.path, described.fingerprint_sha1).splitlines()
    commands = [line for line in steps if line.startswith("  certutil")]
    init = f"certutil -N -d sql:{tmp_path}/.pki/nssdb --empty-password"
    listing = "certutil -d sql:$HOME/.pki/nssdb -L"
    script = "\n".join(["set -e", init, commands[0], listing, commands[1]])
    done = subprocess.run(
        [shell, "-c", script], env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}, capture_output=True
    )
    assert done.returncode == 0, done.stderr
    assert b"wsinspect" in done.stdout
