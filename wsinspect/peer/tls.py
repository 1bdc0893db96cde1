"""TLS over any stream, by `ssl.MemoryBIO`, so that close_notify, FIN and RST stay three different things."""

from __future__ import annotations

import ssl

from wsinspect.model import How
from wsinspect.peer.errors import ConnectFailed, ConnectionEnded
from wsinspect.peer.stream import End, Stream

READ_BYTES = 256 * 1024


class TlsStream:
    """A stream inside TLS. Call `handshake` first."""

    def __init__(
        self,
        inner: Stream,
        context: ssl.SSLContext,
        *,
        server_side: bool = False,
        server_hostname: str | None = None,
    ) -> None:
        self._inner = inner
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self.object = context.wrap_bio(
            self._incoming, self._outgoing, server_side=server_side, server_hostname=server_hostname
        )
        """For what was agreed: `.version()`, `.cipher()`, `.getpeercert()`, `.selected_alpn_protocol()`."""
        self.local = inner.local
        self.remote = inner.remote
        self._own_ends: list[End] = []
        self._putback = b""
        self._notified = False

    @property
    def ends(self) -> list[End]:
        return self._own_ends + self._inner.ends

    @property
    def gone(self) -> bool:
        return self._inner.gone

    @property
    def congested(self) -> bool:
        return self._inner.congested

    async def handshake(self) -> None:
        """Agree with the peer. Raises ConnectFailed (phase `tls`); the caller sets the time limit."""
        while True:
            try:
                self.object.do_handshake()
            except ssl.SSLWantReadError:
                self._push()
                data = await self._inner.read()
                if not data:
                    raise ConnectFailed(
                        "tls", f"the peer ended during the TLS handshake{self._how()}"
                    ) from None
                self._incoming.write(data)
            except ssl.SSLError as error:
                self._push()
                raise ConnectFailed("tls", f"TLS: {sentence_of(error)}") from error
            else:
                self._push()
                return

    def _how(self) -> str:
        return f" ({self._inner.ends[-1].how})" if self._inner.ends else ""

    async def read(self) -> bytes:
        if self._putback:
            data, self._putback = self._putback, b""
            return data
        while not self._own_ends:
            try:
                data = self.object.read(READ_BYTES)
            except ssl.SSLWantReadError:
                self._push()
                raw = await self._inner.read()
                if not raw:
                    return b""
                self._incoming.write(raw)
                continue
            except ssl.SSLZeroReturnError:
                data = b""
            except ssl.SSLError as error:
                self._push()
                self._own_ends.append(End(How.ALERT, detail=sentence_of(error)))
                return b""
            if data:
                return data
            self._own_ends.append(End(How.CLOSE_NOTIFY))
        return b""

    def unread(self, data: bytes) -> None:
        self._putback = data + self._putback

    def write(self, data: bytes) -> None:
        if self._notified:
            raise ConnectionEnded("our side of the connection has ended already")
        self._inner.write(b"")  # raises where nothing can be sent any more
        view = memoryview(data)
        while view:
            try:
                view = view[self.object.write(view) :]
            except ssl.SSLError as error:
                raise ConnectionEnded(f"TLS: {sentence_of(error)}") from error
        self._push()

    def _push(self) -> None:
        """Send what OpenSSL has made: also answers of its own, which reading must not fail over."""
        try:
            self._inner.write(self._outgoing.read())
        except ConnectionEnded:
            pass

    async def drain(self) -> None:
        await self._inner.drain()

    async def flush(self) -> None:
        await self._inner.flush()

    def send_close_notify(self) -> None:
        """End our side of TLS, and leave TCP open; what the peer sends can still be read."""
        if self._notified or self.gone:
            return
        self._notified = True
        try:
            self.object.unwrap()
        except (ssl.SSLError, ValueError):
            pass  # it waits for the peer's close_notify, which `read` looks for
        self._push()

    def write_eof(self, *, close_notify: bool = True) -> None:
        if close_notify:
            self.send_close_notify()
        self._notified = True
        self._inner.write_eof()

    async def wait_ended(self) -> None:
        await self._inner.wait_ended()

    def reset(self) -> None:
        self._inner.reset()

    def close(self) -> None:
        self._inner.close()


def sentence_of(error: ssl.SSLError) -> str:
    """OpenSSL's name for the reason (`TLSV1_ALERT_UNKNOWN_CA`), with the verifier's words."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"{error.reason}: {error.verify_message}"
    return error.reason or str(error)
