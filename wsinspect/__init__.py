"""wsinspect: a transparent WebSocket proxy and traffic inspector for the terminal."""

__version__ = "0.1.0"
