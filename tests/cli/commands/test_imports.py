"""What each verb imports: the wire and its tables, never a transport's library, never the host's side."""

from __future__ import annotations

import json

import pytest

from fetchml_cli.commands.config import COMMANDS as CONFIG_COMMANDS
from fetchml_cli.lazy import COMMANDS
from tests.cli.support import python

PROBE = (
    "import sys, json, importlib; importlib.import_module({module!r}); print(json.dumps(sorted(sys.modules)))"
)
NEVER = (
    "paramiko",
    "fabric",
    "invoke",
    "cryptography",
    "rich",
    "yaml",
    "keyring",
    "psutil",
    "asyncio",
    "fetchml_core.agent",
    "fetchml_core.audit",
    "fetchml_core.permission",
    "fetchml_core.queue",
    "fetchml_core.service",
    "fetchml_core.worker",
    "fetchml_cli.transport",
    "fetchml_cli.remote",
)


MODULES = [module for table in (COMMANDS, CONFIG_COMMANDS) for module, _ in table.values()]


@pytest.mark.parametrize("module", MODULES)
def test_a_verb_imports_what_it_needs_to_be_parsed(tmp_path, module):
    """Libraries of transports, configuration and the host come when they are used, not with the verb's module."""
    done = python(tmp_path, "-c", PROBE.format(module=module))
    modules = set(json.loads(done.stdout))

    assert done.returncode == 0, done.stderr
    assert sorted(modules & set(NEVER)) == []
    others = {other for other in MODULES if not module.startswith(other)}
    assert sorted(modules & others) == []
