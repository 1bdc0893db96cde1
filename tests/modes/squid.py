"""A real squid with a configuration of the test's own."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.proxy.running import TIMEOUT_S, free_port
from tests.tools import need

BASE = """\
http_port 127.0.0.1:{port}
visible_hostname squid.test
pid_filename {folder}/pid
cache_log {folder}/cache.log
access_log stdio:{folder}/access.log
logfile_rotate 0
coredump_dir {folder}
netdb_filename none
pinger_enable off
cache deny all
shutdown_lifetime 0 seconds
{rules}
"""
PASSWORD_CHECK = """\
#!/bin/sh
while read -r line; do if [ "$line" = "me open%20sesame" ]; then echo OK; else echo ERR; fi; done
"""


class Squid:
    """A running squid and what it logged."""

    def __init__(self, port: int, folder: Path) -> None:
        self.port = port
        self.folder = folder

    def requests(self) -> list[str]:
        """Method and URL of each request it has answered, as `CONNECT localhost:80`."""
        log = self.folder / "access.log"
        lines = log.read_text().splitlines() if log.exists() else []
        asked = [" ".join(line.split()[5:7]) for line in lines]
        return [each for each in asked if not each.startswith("-")]  # a connection without a request


@contextmanager
def squid(*rules: str) -> Iterator[Squid]:
    """Running as long as the block; `rules` end its configuration. `{folder}` in them is its own folder."""
    program = need("squid")
    folder = Path(tempfile.mkdtemp(prefix="wsi-squid"))  # squid runs as another user than root
    folder.chmod(0o777)
    check = folder / "check"
    check.write_text(PASSWORD_CHECK)
    check.chmod(0o755)
    port = free_port()
    config = folder / "squid.conf"
    text = "\n".join(rules).replace("{folder}", str(folder))
    config.write_text(BASE.format(port=port, folder=folder, rules=text))
    process = subprocess.Popen(
        [program, "-N", "-f", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    try:
        _wait(process, port, folder)
        yield Squid(port, folder)
    finally:
        process.kill()  # there is nothing to save, and an orderly end takes a second
        process.wait()
        if process.stderr is not None:
            process.stderr.close()
        shutil.rmtree(folder, ignore_errors=True)


def _wait(process: subprocess.Popen[str], port: int, folder: Path) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            assert process.stderr is not None
            log = folder / "cache.log"
            raise AssertionError(process.stderr.read() + (log.read_text() if log.exists() else ""))
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise AssertionError("squid does not listen")
