"""What a rule does: one action a file, each able to explain itself.

`ACTIONS` maps the words of YAML to the classes. An action changes the draft of a plan, and sees no socket.
"""
