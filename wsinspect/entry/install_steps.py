"""How each platform and runtime is made to trust the CA, as commands to copy."""

from __future__ import annotations

import platform
import shlex
import sys
from pathlib import Path

_STEPS = {
    "debian": (
        "Debian, Ubuntu: the system's store (curl, Python's ssl, Go, Ruby, git)",
        """\
sudo cp {pem} /usr/local/share/ca-certificates/wsinspect.crt
sudo update-ca-certificates
# undo:
sudo rm /usr/local/share/ca-certificates/wsinspect.crt && sudo update-ca-certificates --fresh""",
    ),
    "fedora": (
        "Fedora, RHEL: the system's store",
        """\
sudo cp {pem} /etc/pki/ca-trust/source/anchors/wsinspect.pem
sudo update-ca-trust
# undo:
sudo rm /etc/pki/ca-trust/source/anchors/wsinspect.pem && sudo update-ca-trust""",
    ),
    "arch": (
        "Arch Linux: the system's store",
        """\
sudo trust anchor --store {pem}
# undo:
sudo trust anchor --remove {pem}""",
    ),
    "macos": (
        "macOS: the system's keychain (Safari, Chrome, curl)",
        """\
sudo security add-trusted-cert -d -p ssl -p basic -k /Library/Keychains/System.keychain {pem}
# undo:
sudo security delete-certificate -Z "$(openssl x509 -noout -fingerprint -sha1 -in {pem} \\
  | cut -d= -f2 | tr -d :)" /Library/Keychains/System.keychain""",
    ),
    "windows": (
        "Windows: the user's store (Chrome, Edge, .NET); copy {name} there first",
        """\
certutil -user -addstore Root {name}
# undo:
certutil -user -delstore Root {fingerprint_sha1}""",
    ),
    "firefox": (
        "Firefox: `wsinspect browser --browser firefox` needs none of this",
        """\
Settings > Privacy & Security > Certificates > View Certificates > Authorities > Import: {pem}
"Trust this CA to identify websites"; undo it in the same list.""",
    ),
    "chrome": (
        "Chrome, Chromium: `wsinspect browser` needs none of this",
        """\
# Linux (certutil: Debian libnss3-tools, Fedora nss-tools); on macOS and Windows it uses the system's store
certutil -d sql:$HOME/.pki/nssdb -A -t C,, -n wsinspect -i {pem}
# undo:
certutil -d sql:$HOME/.pki/nssdb -D -n wsinspect""",
    ),
    "android": (
        "Android: apps trust it only where they say so; browsers do, and emulators can be made to",
        """\
adb push {pem} /sdcard/Download/wsinspect.crt
# Settings > Security > Encryption & credentials > Install a certificate > CA certificate
# An app's debug build trusts it with this in res/xml/network_security_config.xml:
#   <network-security-config><debug-overrides><trust-anchors>
#     <certificates src="user"/><certificates src="system"/>
#   </trust-anchors></debug-overrides></network-security-config>""",
    ),
    "ios": (
        "iPhone, iPad: send the file by AirDrop or mail",
        """\
Open it, then Settings > Profile Downloaded > Install
Settings > General > About > Certificate Trust Settings: switch wsinspect's CA (mitmproxy) on
# a booted simulator:
xcrun simctl keychain booted add-root-cert {pem}""",
    ),
    "java": (
        "Java: `wsinspect exec -- java …` needs none of this",
        """\
keytool -importcert -cacerts -storepass changeit -noprompt -alias wsinspect -file {pem}
# undo:
keytool -delete -cacerts -storepass changeit -alias wsinspect""",
    ),
    "node": (
        "Node: `wsinspect exec -- node …` needs none of this",
        """\
export NODE_EXTRA_CA_CERTS={pem}""",
    ),
    "python": (
        "Python: `wsinspect exec -- python …` needs none of this",
        """\
# ssl, websockets, aiohttp, httpx: the system's CAs and this one
cat "$(python3 -c 'import ssl; print(ssl.get_default_verify_paths().cafile)')" {pem} > ca-bundle.pem
export SSL_CERT_FILE=$PWD/ca-bundle.pem
# requests, websocket-client
export REQUESTS_CA_BUNDLE=$PWD/ca-bundle.pem WEBSOCKET_CLIENT_CA_BUNDLE=$PWD/ca-bundle.pem""",
    ),
}
PLATFORMS = tuple(_STEPS)


def install_steps(name: str, pem: Path, fingerprint_sha1: str) -> str:
    """Heading and commands, with the certificate's path filled in, quoted for a shell where it must be."""
    values = {
        "{pem}": shlex.quote(str(pem)),
        "{name}": pem.name,
        "{fingerprint_sha1}": fingerprint_sha1.replace(":", "").lower(),
    }
    title, steps = _STEPS[name]
    for place, value in values.items():
        title, steps = title.replace(place, value), steps.replace(place, value)
    return "\n".join([title, *(f"  {line}" for line in steps.splitlines())])


def this_platform() -> str:
    """The name of ours, `debian` where a Linux is none that we know."""
    if sys.platform == "darwin":
        return "macos"
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        return "debian"
    words = [release.get("ID", ""), *release.get("ID_LIKE", "").split()]
    families = {"rhel": "fedora", "centos": "fedora", "ubuntu": "debian"}
    names = [families.get(word, word) for word in words]
    return next((name for name in names if name in ("debian", "fedora", "arch")), "debian")
