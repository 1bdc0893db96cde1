"""The screen. It reads a capture and never shares a process with the traffic."""
