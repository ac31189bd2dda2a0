"""A profile of the command line (``~/.ml/config.toml``): which host, with which key.

Layer 1, declarations only. `Profile()` is the embedded default: this machine, no key.
"""

# ruff: noqa: RUF009 - `option` and `section` make attrs fields
from __future__ import annotations

from attrs import frozen

from .option import option, section


@frozen
class HostProfile:
    """``server``: the host that jobs are sent to."""

    worker_host: str = option(
        help="Host to reach over SSH; unset: this machine, without SSH.",
        example="box1.example.com",
        read_by="fetchml_cli.transport.open:open_stream",
    )
    worker_user: str = option(
        help="Account on the host; unset: what SSH is configured to use.",
        example="appuser",
        read_by="fetchml_cli.transport.open:_open_fabric",
    )
    worker_base: str = option(
        help="FetchML's folder on the host; unset: ~/.ml/local.",
        example="/app",
        read_by="fetchml_cli.remote.client:Opening",
    )
    worker_port: int = option(
        default=22,
        ge=1,
        le=65535,
        help="Port of SSH; unset: what SSH is configured to use, else 22.",
        read_by="fetchml_cli.transport.open:_open_fabric",
    )


@frozen
class AuthProfile:
    """``auth``: who you are."""

    api_key: str = option(
        secret=True,
        help="Your API key.",
        example="${ML_API_KEY}",
        read_by="fetchml_cli.remote.client:Opening",
    )


@frozen
class CliProfile:
    """``cli``: habits of the command line."""

    default_timeout: int = option(
        default=30,
        ge=1,
        unit="s",
        help="Longest time to connect and for each answer; not for follow or transfer.",
        read_by="fetchml_cli.remote.client:Opening",
    )
    verbose: bool = option(
        default=False, help="Say more on standard error.", read_by="fetchml_cli.remote.client:Opening"
    )


@frozen
class Profile:
    """A profile of the command line."""

    server: HostProfile = section(HostProfile, "The host that jobs are sent to.")
    auth: AuthProfile = section(AuthProfile, "Who you are.")
    cli: CliProfile = section(CliProfile, "Habits of the command line.")
