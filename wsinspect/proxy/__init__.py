"""Everything that touches mitmproxy: the addon, the takeover of both sockets, ends, modes, control server."""
