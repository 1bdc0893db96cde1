"""Files of CAs for one program's lifetime: the system's and the user's, and the proxy's beside them."""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

TRUSTSTORE_PASSWORD = "changeit"
"""Java's own default. The file holds certificates only."""

_USERS = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "GIT_SSL_CAINFO")
_SYSTEMS = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Ubuntu, Arch, Alpine
    "/etc/pki/tls/certs/ca-bundle.crt",  # Fedora, RHEL
    "/etc/ssl/ca-bundle.pem",  # openSUSE
    "/etc/ssl/cert.pem",  # macOS, BSD
)


@dataclass(frozen=True, slots=True)
class TrustFiles:
    """What the environment points to."""

    bundle: Path
    """PEM: for programs that trust this file instead of the system's."""
    extra: Path
    """PEM: for programs that trust this file beside what they come with (Node)."""
    truststore: Path
    """PKCS#12, for Java."""


def write_trust_files(
    folder: Path, ca_pem: str, environment: Mapping[str, str], truststore: Callable[[str, str], bytes]
) -> TrustFiles:
    """Write them into `folder`; `truststore(pem, password)` makes the last one. Raises OSError."""
    bundle = join([*_texts(_system_files(environment)), ca_pem])
    extra = join([*_texts([Path(environment.get("NODE_EXTRA_CA_CERTS") or os.devnull)]), ca_pem])
    files = TrustFiles(folder / "ca-bundle.pem", folder / "ca-extra.pem", folder / "ca-truststore.p12")
    files.bundle.write_text(bundle)
    files.extra.write_text(extra)
    files.truststore.write_bytes(truststore(bundle, TRUSTSTORE_PASSWORD))
    return files


def join(texts: list[str]) -> str:
    """One PEM file, each text from a line of its own."""
    return "".join(text if text.endswith("\n") else f"{text}\n" for text in texts if text)


def _system_files(environment: Mapping[str, str]) -> list[Path]:
    """Those that the user's variables name, and the first of the system's own."""
    files = [Path(environment[name]) for name in _USERS if environment.get(name)]
    system = [_openssl_file(), *_SYSTEMS]
    files += [Path(name) for name in system if Path(name).is_file()][:1]
    found: dict[Path, Path] = {file.resolve(): file for file in files if file.is_file()}
    return list(found.values())


def _openssl_file() -> str:
    """The bundle that this Python's OpenSSL was built to read, there or not."""
    return ssl.get_default_verify_paths().openssl_cafile


def _texts(files: list[Path]) -> list[str]:
    texts = []
    for file in files:
        try:
            texts.append(file.read_text(encoding="utf-8", errors="replace"))
        except OSError:
            continue
    return texts
