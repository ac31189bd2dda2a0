"""The SSH configuration read by paramiko, for machines without an ``ssh`` program.

Layer 5. Ignores Include and takes unknown Match criteria as matching; `resolve` adds a note that says so.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fetchml_core.errors import ConfigError

from .plain import printable

if TYPE_CHECKING:
    from .homes import Homes, Settings
    from .target import Target

_DEFAULT_IDENTITIES = ("~/.ssh/id_rsa", "~/.ssh/id_ecdsa", "~/.ssh/id_ed25519")


def ask_paramiko(target: Target, homes: Homes, *, system: Path = Path("/etc/ssh/ssh_config")) -> Settings:
    """Return the settings for *target* in the form of ``ssh -G``.

    Raises:
        ConfigError: ``ssh-config-invalid``.
    """
    from paramiko import SSHConfig
    from paramiko.ssh_exception import ConfigParseError, CouldNotCanonicalize

    config = SSHConfig()
    try:
        for path in (homes.ours / ".ssh/config", system):
            with contextlib.suppress(FileNotFoundError, PermissionError), path.open(encoding="utf-8") as file:
                config.parse(file)
        found = config.lookup(target.host)
    except (ConfigParseError, CouldNotCanonicalize, ValueError) as error:
        raise ConfigError(
            "ssh-config-invalid",
            "the SSH configuration cannot be read",
            context=printable(str(error)),
            hint="install the OpenSSH client, or mend ~/.ssh/config",
        ) from None
    settings: Settings = {
        "identityfile": list(_DEFAULT_IDENTITIES),
        "userknownhostsfile": ["~/.ssh/known_hosts ~/.ssh/known_hosts2"],
        "globalknownhostsfile": ["/etc/ssh/ssh_known_hosts /etc/ssh/ssh_known_hosts2"],
    }
    values: dict[str, Any] = dict(found)
    for key, value in values.items():
        settings[key] = list(value) if isinstance(value, list) else [str(value)]
    if target.port:
        settings["port"] = [str(target.port)]
    return settings
