"""The command line: one command a file, each importing the rest lazily."""
