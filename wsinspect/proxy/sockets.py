"""Evidence from a socket, and the few calls on it that asyncio lacks. Linux first; None elsewhere."""

from __future__ import annotations

import errno
import socket
import struct
import sys
from typing import Any

from wsinspect.model import How

# linux/tcp.h, struct tcp_info: eight u8 (state … options), u32s, four u64 (pacing_rate first), u32s
_TCP_INFO_FIELDS = (
    *("rto_us", "ato_us", "snd_mss", "rcv_mss", "unacked", "sacked", "lost", "retrans", "fackets"),
    *(
        "last_data_sent_ms",
        "last_ack_sent_ms",
        "last_data_recv_ms",
        "last_ack_recv_ms",
        "pmtu",
        "rcv_ssthresh",
    ),
    *("rtt_us", "rttvar_us", "snd_ssthresh", "snd_cwnd", "advmss", "reordering", "rcv_rtt_us", "rcv_space"),
    "total_retrans",
)
_TCP_INFO_MORE = ("bytes_acked", "bytes_received", "segs_out", "segs_in", "notsent_bytes", "min_rtt_us")
_TCP_INFO = struct.Struct("8B24I4Q4I")
_ACKED_AT = 120
_ACKED = struct.Struct("Q")

_HOW = {
    errno.ECONNRESET: How.RST,
    errno.EPIPE: How.RST,
    errno.ECONNABORTED: How.RST,
    errno.ETIMEDOUT: How.TIMEOUT,
    errno.EHOSTUNREACH: How.UNREACHABLE,
    errno.ENETUNREACH: How.UNREACHABLE,
}


def how_of(number: int) -> How:
    """The mechanism behind an errno on an established connection; anything unheard of counts as a reset."""
    return _HOW.get(number, How.RST)


def errno_name(number: int | None) -> str | None:
    """`ECONNRESET` for 104 …"""
    return errno.errorcode.get(number, str(number)) if number else None


def take_error(sock: socket.socket) -> int:
    """SO_ERROR, which reading clears: after that the kernel reports a plain EOF. 0 where there is none."""
    try:
        return sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    except OSError as exc:
        return exc.errno or 0


def tcp_info(sock: Any) -> dict[str, int] | None:
    """TCP_INFO by the kernel's field names, units added; None where the platform or the socket has none."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        raw = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO.size)
    except OSError:
        return None
    if len(raw) < _TCP_INFO.size:
        return None
    values = _TCP_INFO.unpack(raw)
    return {
        "state": values[0],
        "retransmits": values[2],
        **dict(zip(_TCP_INFO_FIELDS, values[8:32], strict=True)),
        **dict(zip(_TCP_INFO_MORE, values[34:], strict=True)),
    }


def acked_bytes(sock: Any) -> int | None:
    """Bytes that the peer's kernel has acknowledged since the connection began; None where not available."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        raw = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _ACKED_AT + 8)
    except OSError:
        return None
    return int(_ACKED.unpack_from(raw, _ACKED_AT)[0]) if len(raw) == _ACKED_AT + 8 else None


def unacked_bytes(sock: Any) -> int:
    """SIOCOUTQ: bytes written that the peer's kernel has not acknowledged. 0 where not available."""
    if not sys.platform.startswith("linux"):
        return 0
    import fcntl
    import termios

    try:
        packed = fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, b"\0\0\0\0")
    except (OSError, ValueError):  # ValueError: closed
        return 0
    return int(struct.unpack("i", packed)[0])


def reset_on_close(sock: Any) -> None:
    """SO_LINGER with zero seconds: closing sends RST instead of FIN."""
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    except OSError:
        pass  # the peer was faster


def read_rest(sock: Any, limit: int = 16 << 20) -> bytes:
    """What the kernel still holds of the peer's bytes, for the moment before a failed socket is closed."""
    import os

    parts, total = [], 0
    while total < limit:
        try:
            part = os.read(sock.fileno(), 262144)
        except OSError:
            break
        if not part:
            break
        parts.append(part)
        total += len(part)
    return b"".join(parts)
