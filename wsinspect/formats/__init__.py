"""Captures in other people's formats, one a file."""
