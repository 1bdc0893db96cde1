"""How Chromium and Chrome are started: an own profile, all traffic through the proxy, its CA trusted."""

from __future__ import annotations

import os
from pathlib import Path

QUIET = (
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-domain-reliability",
    "--disable-features=MediaRouter,OptimizationHints,Translate",
    "--disable-search-engine-choice-screen",
    "--disable-sync",
    "--metrics-recording-only",
    "--disable-breakpad",
    "--disable-client-side-phishing-detection",
    "--disable-component-extensions-with-background-pages",
    "--disable-crash-reporter",
    "--password-store=basic",
    "--use-mock-keychain",
)
"""Little traffic of the browser's own beside the page's, no questions, nothing kept outside the profile."""


def arguments(profile: Path, host: str, port: int, spki_sha256: str, *, headless: bool) -> list[str]:
    """Flags, without the page. The CA is trusted by its key, in this process alone."""
    flags = [
        f"--user-data-dir={profile}",
        f"--proxy-server=http://{host}:{port}",
        "--proxy-bypass-list=<-loopback>",  # takes the exception for loopback away
        f"--ignore-certificate-errors-spki-list={spki_sha256}",
        "--disable-quic",  # HTTP/3 would go past the proxy
        *QUIET,
    ]
    if headless:
        flags += ["--headless=new", "--hide-scrollbars", "--mute-audio"]
    if os.geteuid() == 0:
        flags.append("--no-sandbox")  # it refuses to start as root otherwise
    return flags
