"""Run a program whose traffic goes through a proxy of its own, and nothing else's.

  wsinspect exec -- python client.py
  wsinspect exec -w a.wscap -- npm test

The program gets the variables that name the proxy (HTTP_PROXY, HTTPS_PROXY …, loopback included) and a CA
bundle (SSL_CERT_FILE, NODE_EXTRA_CA_CERTS, REQUESTS_CA_BUNDLE …; a trust store for Java): nothing is
installed anywhere. Its input, output and exit code are its own, signals are passed on to it; 126 and 127 say
that it could not be started or found. What was captured is said on stderr at the end.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from wsinspect.cli.options import own_client_options, own_client_settings
from wsinspect.cli.own_proxy import own_proxy
from wsinspect.cli.parser import Parser
from wsinspect.errors import WsinspectError

if TYPE_CHECKING:
    from wsinspect.control.launch import Launched
    from wsinspect.control.settings import ProxySettings
    from wsinspect.entry.signals import Signals

NOT_STARTED, NOT_FOUND = 126, 127
SIGNALLED = 128
"""Plus the signal's number: what shells make of a program that a signal has ended."""


class CannotStart(WsinspectError):
    """The program is not there (127), or is none (126), as shells, env and timeout say it."""

    def __init__(self, sentence: str, exit_code: int) -> None:
        super().__init__(sentence)
        self.exit_code = exit_code


def arguments(parser: Parser) -> None:
    parser.usage = "wsinspect exec [OPTIONS] -- CMD [ARG ...]"
    own_client_options(parser)
    parser.add_argument(
        "command", nargs=argparse.REMAINDER, metavar="-- CMD", help="the program and its arguments"
    )


def run(args: argparse.Namespace) -> int:
    from wsinspect.entry.signals import Signals, Stopped

    words = args.command[1:] if args.command[:1] == ["--"] else args.command
    if not words:
        raise CannotStart("which program? wsinspect exec -- CMD [ARG ...]", 2)
    program = _program(words[0])
    with Signals() as signals:
        try:
            return _run(program, words, own_client_settings(args), signals)
        except Stopped as stopped:
            return SIGNALLED + stopped.number


def _program(word: str) -> str:
    """Raises CannotStart."""
    if found := shutil.which(word):
        return found
    if Path(word).exists() and os.sep in word:
        raise CannotStart(f"{word} is not a program that could be started", NOT_STARTED)
    raise CannotStart(f"there is no program {word}", NOT_FOUND)


def _run(program: str, words: list[str], settings: ProxySettings, signals: Signals) -> int:
    from wsinspect.control.will import Will

    with own_proxy(settings) as launched, tempfile.TemporaryDirectory(prefix="wsinspect-exec-") as folder:
        launched.bequeath(Will(folder))
        environment = _environment(launched, settings, Path(folder))

        def begin() -> None:
            launched.bequeath(Will(folder, os.getpid()))

        try:
            # The child says that it is there before it is the program: we may be killed before we could.
            child = subprocess.Popen(words, executable=program, env=environment, preexec_fn=begin)
        except OSError as error:
            raise CannotStart(f"cannot start {words[0]}: {error.strerror}", NOT_STARTED) from None
        signals.pass_to(child)
        code = child.wait()
        signals.hold_off()
    return SIGNALLED - code if code < 0 else code


def _environment(launched: Launched, settings: ProxySettings, folder: Path) -> dict[str, str]:
    from wsinspect.entry.environment import through_proxy
    from wsinspect.entry.trust import write_trust_files
    from wsinspect.proxy.authority import CONFDIR, authority, java_truststore

    ca = authority(settings.options.get("confdir", CONFDIR))
    files = write_trust_files(folder, ca.pem, os.environ, java_truststore)
    listener = launched.hello.listeners[0]
    return through_proxy(os.environ, listener.host, listener.port, files)
