"""What a proxy is told at its start. It stands here so that the command line parses without mitmproxy."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

type RelayPath = Literal["auto", "layer"]
"""`auto` takes the sockets over wherever that is possible; `layer` never does (for tests)."""


@dataclass(slots=True)
class ProxySettings:
    """The options of `wsinspect proxy`, by mitmproxy's names."""

    modes: list[str] = field(default_factory=lambda: ["regular"])
    """Mode specs (`regular`, `reverse:https://host`, each with an optional `@[host:]port`)."""
    listen_host: str = "127.0.0.1"
    listen_port: int | None = None
    """None: the mode's own default (8080). 0: a free port for each mode."""
    capture: Path | None = None
    """None: a new file in the user's state folder."""
    capture_limit: int | None = None
    """Bytes; 0: no limit. None: no limit for a named capture, 2 GiB for others."""
    capture_pressure: Literal["drop", "throttle"] = "drop"
    """Where the disk is slower than the traffic: leave gaps in the capture, or slow the traffic down."""
    save: bool = True
    """False: nothing goes to disk; the last 64 MiB are kept in memory while the proxy runs."""
    rules: list[Path] = field(default_factory=list)
    """Rule files, and folders of them, in the order in which they apply."""
    allow_python: bool = False
    """Rules may name Python functions, which then run in the proxy."""
    shadow: bool = False
    """Rules log what they would do, and touch nothing."""
    reload: bool = True
    """Rule files are loaded anew when they change."""
    options: dict[str, str] = field(default_factory=dict)
    """`--set NAME=VALUE`, in mitmproxy's spelling."""
    scripts: list[str] = field(default_factory=list)
    ssl_insecure: bool = False
    """Do not verify the servers' certificates."""
    quiet: bool = False
    """Only errors on stderr."""
    verbose: int = 0
    """How often -v was given."""
    ready_fd: int | None = None
    """One hello line is written here once the proxy listens, then it is closed."""
    parent_fd: int | None = None
    """A pipe whose end of file says that the screen is gone."""
    path: RelayPath = "auto"

    def arguments(self) -> list[str]:
        """The command line that gives a child these settings (without the inherited descriptors)."""
        words = [f"--mode={mode}" for mode in self.modes]
        words.append(f"--listen-host={self.listen_host}")
        if self.listen_port is not None:
            words.append(f"--listen-port={self.listen_port}")
        if self.capture is not None:
            words.append(f"--write={self.capture}")
        if self.capture_limit is not None:
            words.append(f"--capture-limit={self.capture_limit or 'none'}")
        if self.capture_pressure != "drop":
            words.append(f"--capture-pressure={self.capture_pressure}")
        if not self.save:
            words.append("--no-save")
        words += [f"--rules={path}" for path in self.rules]
        words += ["--allow-python"] if self.allow_python else []
        words += ["--shadow"] if self.shadow else []
        words += [] if self.reload else ["--no-reload"]
        words += [f"--set={name}={value}" for name, value in self.options.items()]
        words += [f"--script={script}" for script in self.scripts]
        if self.ssl_insecure:
            words.append("--ssl-insecure")
        if self.quiet:
            words.append("--quiet")
        words += ["--verbose"] * self.verbose
        if self.path != "auto":
            words.append(f"--path={self.path}")
        return words
