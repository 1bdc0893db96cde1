"""A WireGuard client: one tunnel, one handshake, and what that takes of the protocol (whitepaper, 5.4).

The kernel's own is not there on every machine, and a container may not load it.
"""

from __future__ import annotations

import asyncio
import base64
import fcntl
import hashlib
import hmac
import os
import re
import socket
import struct
import time

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from tests.proxy.running import TIMEOUT_S
from wsinspect.model import Address

CONSTRUCTION = b"Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s"
IDENTIFIER = b"WireGuard v1 zx2c4 Jason@zx2c4.com"
INITIATION, RESPONSE, DATA = 1, 2, 4
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 1, 0x1000
TAI_OFFSET = (1 << 62) + 10


def _hash(*parts: bytes) -> bytes:
    return hashlib.blake2s(b"".join(parts)).digest()


def _keys(chaining: bytes, data: bytes, count: int) -> list[bytes]:
    """HKDF with HMAC-BLAKE2s."""
    secret = hmac.digest(chaining, data, "blake2s")
    keys, last = [], b""
    for number in range(1, count + 1):
        last = hmac.digest(secret, last + bytes([number]), "blake2s")
        keys.append(last)
    return keys


def _public(key: X25519PrivateKey) -> bytes:
    return key.public_key().public_bytes_raw()


class Handshake:
    """Noise IK as the initiator, without a pre-shared key."""

    def __init__(self, static: X25519PrivateKey, peer: bytes) -> None:
        self._static = static
        self._peer = peer
        self._ephemeral = X25519PrivateKey.generate()
        self._chaining = _hash(CONSTRUCTION)
        self._transcript = _hash(_hash(self._chaining, IDENTIFIER), peer)

    def _mix(self, data: bytes) -> None:
        self._transcript = _hash(self._transcript, data)

    def _seal(self, shared: bytes, plain: bytes) -> bytes:
        self._chaining, key = _keys(self._chaining, shared, 2)
        sealed = ChaCha20Poly1305(key).encrypt(bytes(12), plain, self._transcript)
        self._mix(sealed)
        return sealed

    def initiation(self) -> bytes:
        """The first message, from index 1."""
        peer, public = X25519PublicKey.from_public_bytes(self._peer), _public(self._ephemeral)
        (self._chaining,) = _keys(self._chaining, public, 1)
        self._mix(public)
        stamp = struct.pack(">QI", TAI_OFFSET + int(time.time()), 0)
        message = struct.pack("<II", INITIATION, 1) + public
        message += self._seal(self._ephemeral.exchange(peer), _public(self._static))
        message += self._seal(self._static.exchange(peer), stamp)
        mac = hashlib.blake2s(message, digest_size=16, key=_hash(b"mac1----", self._peer))
        return message + mac.digest() + bytes(16)

    def finish(self, response: bytes) -> tuple[int, bytes, bytes]:
        """The peer's index, and the keys to send and to receive with. Raises InvalidTag."""
        kind, index, _ = struct.unpack_from("<III", response)
        assert kind == RESPONSE, response
        public = response[12:44]
        ephemeral = X25519PublicKey.from_public_bytes(public)
        for data in (public, self._ephemeral.exchange(ephemeral), self._static.exchange(ephemeral)):
            (self._chaining,) = _keys(self._chaining, data, 1)
        self._mix(public)
        self._chaining, mixed, key = _keys(self._chaining, bytes(32), 3)
        self._mix(mixed)
        ChaCha20Poly1305(key).decrypt(bytes(12), response[44:60], self._transcript)
        sending, receiving = _keys(self._chaining, b"", 2)
        return index, sending, receiving


class Tunnel:
    """A TUN device whose packets go to a WireGuard server, and what comes back."""

    def __init__(self, configuration: str, server: Address, device: str) -> None:
        """`configuration`: a client's, as the proxy prints it. Made where the thread's namespace is."""

        def given(name: str) -> bytes:
            found = re.search(rf"^{name} = (\S+)$", configuration, re.MULTILINE)
            assert found, configuration
            return base64.b64decode(found[1])

        self._static, self._peer = (
            X25519PrivateKey.from_private_bytes(given("PrivateKey")),
            given("PublicKey"),
        )
        self._sock = socket.socket(type=socket.SOCK_DGRAM)
        self._sock.connect(server)
        self._sock.setblocking(False)
        self._tun = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(self._tun, TUNSETIFF, struct.pack("16sH22x", device.encode(), IFF_TUN | IFF_NO_PI))
        self._counter = 0

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        handshake = Handshake(self._static, self._peer)
        await loop.sock_sendall(self._sock, handshake.initiation())
        async with asyncio.timeout(TIMEOUT_S):
            self._index, sending, receiving = handshake.finish(await loop.sock_recv(self._sock, 2048))
        self._sending, self._receiving = ChaCha20Poly1305(sending), ChaCha20Poly1305(receiving)
        loop.add_reader(self._tun, self._send)
        loop.add_reader(self._sock, self._receive)

    def _send(self) -> None:
        packet = os.read(self._tun, 2048)
        packet += bytes(-len(packet) % 16)
        sealed = self._sending.encrypt(struct.pack("<4xQ", self._counter), packet, None)
        self._sock.send(struct.pack("<IIQ", DATA, self._index, self._counter) + sealed)
        self._counter += 1

    def _receive(self) -> None:
        message = self._sock.recv(2048)
        if message[0] != DATA:
            return
        packet = self._receiving.decrypt(bytes(4) + message[8:16], message[16:], None)
        if packet:  # an empty one is a keepalive
            os.write(self._tun, packet)  # the kernel goes by the length in the header, not by the padding

    def close(self) -> None:
        loop = asyncio.get_running_loop()
        for end in (self._tun, self._sock):
            loop.remove_reader(end)
        os.close(self._tun)
        self._sock.close()
