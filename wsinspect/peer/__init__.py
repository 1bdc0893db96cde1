"""A WebSocket client and server over `wire`, with asyncio: for the demo, tests, replay and probe."""
