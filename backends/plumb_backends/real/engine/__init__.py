"""All that plumb asks of Docker. The only folder that knows `aiodocker`.

An `Engine` makes hardened sandboxes (`Sandbox`), one container each, labelled so that none can
outlive its owner unseen. Whatever goes wrong here is a SandboxUnavailable, an ImageMissing or an
InvalidInput, never output.
"""

from plumb_backends.real.engine.engine import Engine, open_engine
from plumb_backends.real.engine.guest_volume import GUEST_IMAGE
from plumb_backends.real.engine.sandbox import ProgramStream, Sandbox, TerminalStream

__all__ = ["GUEST_IMAGE", "Engine", "ProgramStream", "Sandbox", "TerminalStream", "open_engine"]
