"""The relay of one connection, sans-I/O: bytes, ends and commands in; bytes, ends and records out."""
