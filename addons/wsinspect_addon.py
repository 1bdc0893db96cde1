"""wsinspect inside mitmproxy's own tools: `mitmdump -s wsinspect_addon.py [--set wsinspect_capture=FILE]`.

Every connection that switches protocols is taken over and captured as by `wsinspect proxy`; other HTTP
stays with mitmproxy. Read the capture with `wsinspect tail -f` or `wsinspect open`, also while it grows.
"""

from wsinspect.proxy.addon import WsInspect

addons = [WsInspect()]
