"""Whose home folder counts, and the form in which SSH settings are handed on.

Layer 5. OpenSSH takes ``~`` from the account database and never from $HOME; `Homes` brings the two together.
"""

from __future__ import annotations

import os
import pwd
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Mapping

Settings = dict[str, list[str]]
"""What ``ssh -G`` prints: each keyword in lower case, with all its values."""


@frozen
class Homes:
    """The account's home folder by $HOME, and by the account database, which OpenSSH uses."""

    ours: Path
    account: Path

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> Homes:
        """Look both up."""
        try:
            account = Path(pwd.getpwuid(os.getuid()).pw_dir)
        except KeyError:  # a container with an unlisted uid
            account = Path(environ.get("HOME") or "/")
        return cls(Path(environ.get("HOME") or account), account)

    def config_arguments(self) -> tuple[str, ...]:
        """Return the ``-F FILE`` that makes ``ssh`` read the configuration in $HOME."""
        if self.ours == self.account:
            return ()
        for path in (self.ours / ".ssh/config", Path("/etc/ssh/ssh_config")):
            if path.is_file():
                return ("-F", str(path))
        return ("-F", "none")

    def path(self, text: str) -> Path:
        """Return *text* as an absolute path, ``~`` and what ``ssh`` made of it taken as $HOME."""
        if text == "~" or text.startswith("~/"):
            return self.ours / text[2:]
        path = self.ours / text
        if path.is_relative_to(self.account) and not path.is_relative_to(self.ours):
            return self.ours / path.relative_to(self.account)
        return path
