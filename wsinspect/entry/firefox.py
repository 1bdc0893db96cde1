"""How Firefox is started: a profile of its own with the CA in its store, all traffic through the proxy."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

from wsinspect.errors import Unavailable

_LIMIT_S = 30.0

type Preference = bool | int | str

QUIET: dict[str, Preference] = {
    "app.normandy.enabled": False,
    "app.update.enabled": False,
    "browser.aboutwelcome.enabled": False,
    "browser.newtab.preload": False,
    "browser.newtabpage.activity-stream.feeds.system.topstories": False,
    "browser.newtabpage.enabled": False,
    "browser.region.network.url": "",
    "browser.region.update.enabled": False,
    "browser.safebrowsing.downloads.remote.enabled": False,
    "browser.safebrowsing.malware.enabled": False,
    "browser.safebrowsing.phishing.enabled": False,
    "browser.search.update": False,
    "browser.shell.checkDefaultBrowser": False,
    "browser.startup.homepage_override.mstone": "ignore",
    "datareporting.healthreport.uploadEnabled": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "dom.push.connection.enabled": False,
    "extensions.getAddons.cache.enabled": False,
    "extensions.systemAddon.update.enabled": False,
    "extensions.update.enabled": False,
    "media.gmp-manager.updateEnabled": False,
    "media.gmp-manager.url": "data:,",
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "services.settings.server": "data:,",
    "startup.homepage_welcome_url": "",
    "toolkit.telemetry.reportingpolicy.firstRun": False,
}
"""Little traffic of the browser's own beside the page's, and no questions."""


ENVIRONMENT = {"MOZ_REMOTE_SETTINGS_DEVTOOLS": "1"}
"""Without it a release ignores services.settings.server."""


def preferences(host: str, port: int) -> dict[str, Preference]:
    """What makes everything go through the proxy, loopback included."""
    return QUIET | {
        "network.proxy.type": 1,
        "network.proxy.http": host,
        "network.proxy.http_port": port,
        "network.proxy.ssl": host,
        "network.proxy.ssl_port": port,
        "network.proxy.no_proxies_on": "",
        "network.proxy.allow_hijacking_localhost": True,
        "network.proxy.failover_direct": False,
        "network.http.http3.enable": False,  # would go past the proxy
        "network.http.http2.websockets": False,  # the proxy does not speak RFC 8441
        "network.trr.mode": 5,
    }


def prepare_profile(profile: Path, host: str, port: int, ca: Path) -> None:
    """Write preferences and the CA into an empty folder. Raises Unavailable without certutil."""
    certutil = shutil.which("certutil")
    if certutil is None:
        raise Unavailable(
            "Firefox trusts a CA only through its own store, which certutil fills; it is not installed "
            "(Debian, Ubuntu: libnss3-tools; Fedora: nss-tools; Arch, Homebrew: nss)"
        )
    lines = [
        f"user_pref({json.dumps(name)}, {json.dumps(value)});"
        for name, value in preferences(host, port).items()
    ]
    (profile / "user.js").write_text("\n".join(lines) + "\n")
    store = f"sql:{profile}"
    _run([certutil, "-N", "-d", store, "--empty-password"])
    _run([certutil, "-A", "-d", store, "-n", "wsinspect", "-t", "C,,", "-i", str(ca)])


def arguments(profile: Path, *, headless: bool) -> list[str]:
    """Options, without the page."""
    return ["--no-remote", "--profile", str(profile), *(["--headless"] if headless else [])]


def _run(words: list[str]) -> None:
    try:
        done = subprocess.run(
            words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_LIMIT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(f"certutil did not work: {error}") from error
    if done.returncode:
        raise Unavailable(f"certutil {words[1]} failed: {(done.stderr or done.stdout).strip()}")
