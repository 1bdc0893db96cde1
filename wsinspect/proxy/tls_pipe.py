"""TLS of a taken socket: the pyOpenSSL objects of mitmproxy's layers, driven through their memory BIOs."""

from __future__ import annotations

from OpenSSL import SSL

_RECORD = 16384
"""A TLS record's greatest plaintext (RFC 8446 5.1); one SSL_read returns at most one record."""


class TlsPipe:
    """Decrypts what a socket received, encrypts what it will send. No I/O."""

    def __init__(self, tls: SSL.Connection) -> None:
        self._tls = tls
        self.notified = False
        """The peer sent close_notify."""
        self.alert: str | None = None
        """What ended decryption: a fatal alert's name (RFC 8446 6.2), or `bad record: …`."""

    tunnel_over = False
    """Nothing lies around this TLS that could end by itself."""

    @property
    def shut(self) -> bool:
        """The peer's close_notify was read, perhaps by mitmproxy before the takeover."""
        return bool(self._tls.get_shutdown() & SSL.RECEIVED_SHUTDOWN)

    def decrypt(self, data: bytes) -> bytes:
        """Plaintext of the records that `data` completes. `notified` and `alert` may change."""
        tls = self._tls
        if self.alert is not None:
            return b""
        tls.bio_write(data)
        parts = []
        while True:
            try:
                parts.append(tls.recv(_RECORD))
            except SSL.WantReadError:
                break
            except SSL.ZeroReturnError:
                self.notified = True
                break
            except SSL.Error as exc:
                self.alert = _reason(exc)
                break
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def encrypt(self, data: bytes) -> bytes:
        """Records for the wire; b"" where the TLS connection cannot send any more."""
        try:
            self._tls.sendall(data)
        except SSL.Error:
            return b""
        return self.replies(len(data) + 64 * (len(data) // _RECORD + 2))

    def close_notify(self) -> bytes:
        """The records that say we shall send no more."""
        try:
            self._tls.shutdown()
        except SSL.Error:
            pass
        return self.replies()

    def replies(self, hint: int = 4096) -> bytes:
        """What TLS itself wants sent (KeyUpdate, alerts, records); b"" where nothing."""
        parts = []
        while True:
            try:
                part = self._tls.bio_read(hint)
            except SSL.WantReadError:
                break
            parts.append(part)
            if len(part) < hint:
                break
        return parts[0] if len(parts) == 1 else b"".join(parts)


class NestedTls:
    """TLS within TLS, as an https parent proxy has it. The outermost pipe stands first.

    The innermost one is the peer's own. A close_notify around it is the parent's: no more will come out of
    the tunnel, which is to the TLS inside what a FIN is.
    """

    def __init__(self, pipes: list[TlsPipe]) -> None:
        self._pipes = pipes

    @property
    def notified(self) -> bool:
        return self._pipes[-1].notified

    @property
    def shut(self) -> bool:
        return self._pipes[-1].shut

    @property
    def tunnel_over(self) -> bool:
        """A close_notify came from around the peer's own TLS."""
        return any(pipe.shut for pipe in self._pipes[:-1])

    @property
    def alert(self) -> str | None:
        return next((pipe.alert for pipe in self._pipes if pipe.alert), None)

    def decrypt(self, data: bytes) -> bytes:
        for pipe in self._pipes:
            if data:
                data = pipe.decrypt(data)
        return data

    def encrypt(self, data: bytes) -> bytes:
        for pipe in reversed(self._pipes):
            data = pipe.encrypt(data)
        return data

    def close_notify(self) -> bytes:
        return self._outwards(self._pipes[-1].close_notify())

    def replies(self) -> bytes:
        inner = b"".join(self._through(i, pipe.replies()) for i, pipe in enumerate(self._pipes) if i)
        return inner + self._pipes[0].replies()

    def _outwards(self, data: bytes) -> bytes:
        return self._through(len(self._pipes) - 1, data)

    def _through(self, level: int, data: bytes) -> bytes:
        for pipe in reversed(self._pipes[:level]):
            data = pipe.encrypt(data) if data else b""
        return data


type Pipe = TlsPipe | NestedTls


def pipe_of(connections: list[SSL.Connection]) -> Pipe | None:
    """A pipe over a leg's TLS objects, outermost first; None for a plain leg."""
    pipes = [TlsPipe(each) for each in connections]
    if not pipes:
        return None
    return pipes[0] if len(pipes) == 1 else NestedTls(pipes)


def _reason(exc: SSL.Error) -> str:
    """OpenSSL's last error: `internal_error` for its `tlsv1 alert internal error`, or what was wrong here."""
    stack = exc.args[0] if exc.args else None
    if not (isinstance(stack, list) and stack and isinstance(stack[-1], tuple)):
        return f"bad record: {exc or type(exc).__name__}"
    text = str(stack[-1][-1])
    _, received, name = text.partition(" alert ")
    return name.strip().replace(" ", "_") if received else f"bad record: {text}"
