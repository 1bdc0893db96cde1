"""Commands to a running proxy: a 0600 unix socket with JSON lines. No mitmproxy here."""
