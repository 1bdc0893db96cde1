"""`python`: a function of the user's own."""

from __future__ import annotations

from wsinspect.rules.actions.base import Action, On
from wsinspect.rules.fields import Field, Type
from wsinspect.rules.scripting import Script, ScriptMessage
from wsinspect.rules.turn import Turn


class Python(Action):
    word = "python"
    doc = (
        "Call a function of a Python module beside the rule file, or installed, with the message. It may "
        "return another payload, or drop, answer, delay, send, close; see `wsinspect.rules.scripting`. It "
        "runs in the proxy, with all its rights: only with --allow-python. The traffic waits while it runs."
    )
    example = "python: prices:double"
    fields = (Field("call", Type.PYTHON, "The function, as module:function."),)
    short = "call"
    on = On.FRAMES
    needs_python = True

    call: Script

    def explain(self) -> str:
        return f"call {self.call.name}"

    def apply(self, turn: Turn) -> str:
        message = ScriptMessage(self.rule, turn, turn.memory(self).setdefault("state", {}))
        did = self.call.run(message)
        return f"{self.call.name}: {', '.join(did)}" if did else ""
