"""``ml`` run by the rootless account itself, with a home and a current folder of its own."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.home import Home
from tests.support.leftovers import run_folder
from tests.support.ml import ROOT, Ml
from tests.support.require import missing

if TYPE_CHECKING:
    from tests.support.accounts import Account


class AccountMl(Ml):
    """``ml`` run by another account of the machine."""

    python: str
    prefix: tuple[str, ...]

    def _argv(self, args: tuple[str, ...]) -> list[str]:
        return [*self.prefix, self.python, "-m", "fetchml_cli", *args]


def account_ml(account: Account) -> AccountMl:
    """The client as the rootless account types it: home and current folder are its own."""
    folder = run_folder() / f"way-{uuid.uuid4().hex[:8]}"
    home, cwd = Home(folder / "home"), folder / "cwd"
    for path in (home.ssh, cwd):
        path.mkdir(parents=True)
    account.own(folder)
    ml = AccountMl(home, cwd, account.podman.settings)
    del ml.env["PYTHONPATH"]
    ml.prefix = account.podman.prefix
    ml.python = _python_for(account, folder / "venv")
    return ml


def _python_for(account: Account, folder: Path) -> str:
    """A virtual environment with our packages, whose Python the account may run."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    bin_folder, packages = folder / "bin", folder / "lib" / f"python{version}" / "site-packages"
    bin_folder.mkdir(parents=True)
    packages.mkdir(parents=True)
    (packages / "ours.pth").write_text(f"{ROOT}\n{sysconfig.get_path('purelib')}\n", "utf-8")
    python = bin_folder / "python3"
    for base in (Path(sys.base_prefix, "bin", f"python{version}"), Path(f"/usr/bin/python{version}")):
        python.unlink(missing_ok=True)
        python.symlink_to(base)
        (folder / "pyvenv.cfg").write_text(f"home = {base.parent}\nversion = {version}\n", "utf-8")
        # By way of sh: what the account itself starts counts, not what setpriv still may.
        argv = [*account.podman.prefix, "sh", "-c", f'exec {python} -E -c "import fetchml_cli.main, typer"']
        if subprocess.run(argv, cwd="/", capture_output=True, check=False).returncode == 0:
            break
    else:
        missing("rootless", f"{account.name} may run no Python {version} that reads {ROOT} and its packages")
    return str(python)
