"""RFC 6455 and RFC 7692, sans-I/O: frames, masking, deflate, messages, handshake, close codes."""
