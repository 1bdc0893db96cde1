"""The CA that signs what the proxy shows to clients: where it lies, and how clients are made to trust it.

It is made where it is missing, and is the same that mitmproxy uses. Whoever has its private key
(mitmproxy-ca.pem beside it) can read the traffic of every client that trusts it: never hand that file on.

  wsinspect ca                         where it lies, and the steps for this machine
  wsinspect ca --install-help java     the steps for a platform or runtime, or for all of them
  curl --cacert "$(wsinspect ca --path)" …
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from wsinspect.cli.narration import data_out
from wsinspect.cli.options import confdir_option
from wsinspect.cli.parser import Parser, one_of
from wsinspect.entry.install_steps import PLATFORMS, install_steps, this_platform

if TYPE_CHECKING:
    from wsinspect.proxy.authority import Authority

ALL = "all"


def arguments(parser: Parser) -> None:
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--path", action="store_true", help="only the path of its certificate (PEM)")
    what.add_argument("--pem", action="store_true", help="the certificate itself")
    what.add_argument(
        "--spki",
        action="store_true",
        help="the base64 SHA-256 of its key, for Chromium's --ignore-certificate-errors-spki-list",
    )
    what.add_argument(
        "--install-help",
        nargs="?",
        const=ALL,
        type=one_of(*PLATFORMS, ALL),
        metavar="PLATFORM",
        help=f"how to make clients trust it: {', '.join(PLATFORMS)}; all unless one is named",
    )
    confdir_option(parser)


def run(args: argparse.Namespace) -> int:
    from wsinspect.proxy.authority import CONFDIR, authority

    ca = authority(dict(args.set).get("confdir", CONFDIR))
    data_out()
    if args.path:
        print(ca.path)
    elif args.pem:
        print(ca.pem, end="")
    elif args.spki:
        print(ca.spki_sha256)
    elif args.install_help:
        names = PLATFORMS if args.install_help == ALL else (args.install_help,)
        print("\n\n".join(install_steps(name, ca.path, ca.fingerprint_sha1) for name in names))
    else:
        print(_overview(ca))
    return 0


def _overview(ca: Authority) -> str:
    others = [name for name in PLATFORMS if name != this_platform()]
    return f"""\
certificate  {ca.path}
subject      {ca.name}
expires      {ca.expires}
SHA-256      {ca.fingerprint}
key pin      {ca.spki_sha256}

{install_steps(this_platform(), ca.path, ca.fingerprint_sha1)}

wsinspect browser and wsinspect exec -- CMD need none of this.
For {", ".join(others)}: wsinspect ca --install-help NAME"""
