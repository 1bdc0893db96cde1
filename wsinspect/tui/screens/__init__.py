"""The screens: the main one, and the questions and answers above it."""
