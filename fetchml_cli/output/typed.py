"""Commands in a text for people, as they have to be typed.

Layer 6, pure. Host and core name a command without knowing by which profile they were reached; whoever chose one would
ask another host with it.
"""

from __future__ import annotations

import re
import shlex

_COMMAND = re.compile(
    r"\bml (?:submit|status|logs|wait|cancel|hold|release|show|why|gpus|pull|(?:queue|worker) [a-z]+|config [gs]et)\b"
    r"(?! --(?:profile|help)\b)"
)
"""Commands that act on a profile or on its host."""


def name_profile(text: str, profile: str) -> str:
    """Return *text* in which every command that asks a host names *profile*; as it is where that is empty."""
    option = f" --profile {shlex.quote(profile)}"
    return _COMMAND.sub(lambda command: command[0] + option, text) if profile else text
