"""Payloads for people: safe text, JSON, hex."""
