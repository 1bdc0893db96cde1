"""What a user might have installed: a module that is on the path."""

from wsinspect.rules.scripting import ScriptMessage


def shout(message: ScriptMessage) -> str | None:
    return message.text and message.text.upper()
