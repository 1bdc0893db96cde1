"""The CA that signs the proxy's certificates: found, or made as the proxy would make it, without a proxy."""

from __future__ import annotations

import base64
import fcntl
import hashlib
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.serialization import pkcs12
from mitmproxy.certs import CertStore

from wsinspect.errors import Unavailable, UsageError

CONFDIR = "~/.mitmproxy"
_BASENAME = "mitmproxy"
_KEY_BITS = 2048
"""What mitmproxy makes unless told otherwise."""


@dataclass(frozen=True, slots=True)
class Authority:
    """What clients need to know of the CA. Its private key is none of it."""

    path: Path
    """The certificate, as PEM."""
    pem: str
    """The same, with the chain above it where the user's own CA has one."""
    spki_sha256: str
    """Base64, for Chromium's --ignore-certificate-errors-spki-list: the proxy's leaves carry the CA's key."""
    fingerprint: str
    """SHA-256 of the certificate, in hex with colons, as browsers show it."""
    fingerprint_sha1: str
    """The same in SHA-1, by which Windows finds it."""
    name: str
    expires: str
    """The day on which it does, YYYY-MM-DD."""


def make_authority(options: Mapping[str, str]) -> None:
    """Make the CA that mitmproxy's `options` ask for where it is missing, one process at a time.

    mitmproxy makes it without a lock: of several proxies that start in a new folder at once, the last one's
    CA stays there, and no client trusts the others. Raises Unavailable where the folder cannot be used.
    """
    size = options.get("key_size", "")
    key_bits = int(size) if size.isdecimal() else _KEY_BITS  # mitmproxy tells the mistake
    _make(Path(options.get("confdir", CONFDIR)).expanduser(), key_bits)


def _make(folder: Path, key_bits: int) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _locked(folder):
            if not (folder / f"{_BASENAME}-ca.pem").exists():
                CertStore.create_store(folder, _BASENAME, key_bits)
    except OSError as error:
        raise Unavailable(
            f"no CA in {folder}: {error.strerror}; --set confdir=FOLDER names another"
        ) from error


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
        except OSError:
            pass  # a file system without locks: as mitmproxy does it
        yield
    finally:
        os.close(fd)


def authority(confdir: str | Path = CONFDIR) -> Authority:
    """The CA of mitmproxy's folder `confdir`, made where it is missing.

    Raises Unavailable where the folder cannot be read or written, UsageError where the file there is no CA.
    """
    folder = Path(confdir).expanduser()
    _make(folder, _KEY_BITS)
    whole = folder / f"{_BASENAME}-ca.pem"
    path = folder / f"{_BASENAME}-ca-cert.pem"
    try:
        CertStore.from_store(folder, _BASENAME, _KEY_BITS)
        certificates = x509.load_pem_x509_certificates(whole.read_bytes())
        pems = [each.public_bytes(serialization.Encoding.PEM) for each in certificates]
        if not path.exists():  # somebody brought a CA of their own
            path.write_bytes(pems[0])
    except OSError as error:
        raise Unavailable(f"no CA in {folder}: {error.strerror}") from error
    except (ValueError, TypeError) as error:
        raise UsageError(f"{whole} is not a CA that mitmproxy could use: {error}") from error
    return _described(certificates[0], path, b"".join(pems).decode())


def _described(certificate: x509.Certificate, path: Path, pem: str) -> Authority:
    spki = certificate.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return Authority(
        path=path,
        pem=pem,
        spki_sha256=base64.b64encode(hashlib.sha256(spki).digest()).decode(),
        fingerprint=certificate.fingerprint(hashes.SHA256()).hex(":").upper(),
        fingerprint_sha1=certificate.fingerprint(hashes.SHA1()).hex(":").upper(),  # a name, no proof
        name=certificate.subject.rfc4514_string(),
        expires=f"{certificate.not_valid_after_utc:%Y-%m-%d}",
    )


def java_truststore(bundle: str, password: str) -> bytes:
    """A PKCS#12 file in which Java takes each certificate of `bundle` (PEM) for trusted.

    Java skips entries without its own attribute, hence not the common PKCS#12 of certificates. A certificate
    that cannot be read is left out: system bundles hold odd ones.
    """
    entries = []
    for number, block in enumerate(_blocks(bundle)):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # cryptography's, of serial numbers in system bundles
                certificate = x509.load_pem_x509_certificate(block.encode())
        except ValueError:
            continue
        entries.append(pkcs12.PKCS12Certificate(certificate, f"ca-{number}".encode()))
    encryption = serialization.BestAvailableEncryption(password.encode())
    return pkcs12.serialize_java_truststore(entries, encryption)


def _blocks(bundle: str) -> list[str]:
    begin, end = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
    return [begin + part.partition(end)[0] + end + "\n" for part in bundle.split(begin)[1:]]
