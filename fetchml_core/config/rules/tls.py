"""Rules of `server.tls`: certificate and key.

Layer 1, pure; what lies in the two files is asked of the machine.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import TYPE_CHECKING

from fetchml_core.config.findings import Finding, Key, show_key, show_path

if TYPE_CHECKING:
    from pathlib import Path

    from fetchml_core.config.server import ServerConfig

    from .base import TlsPair, View

SOON_DAYS = 14
_DAY = 24 * 60 * 60.0
_TLS: Key = ("server", "tls")


def tls_names_its_files(view: View[ServerConfig]) -> Iterator[Finding]:
    """TLS needs a certificate and its key."""
    tls = view.config.server.tls
    for name, value, what in (("cert_file", tls.cert_file, "certificate"), ("key_file", tls.key_file, "key")):
        if tls.enabled and not value:
            yield view.finding(
                "tls-file-not-set",
                (*_TLS, name),
                f"server.tls.enabled is true, but server.tls.{name} names no {what}",
                hint=f"add {name}: with the path of the {what}'s PEM file, or set server.tls.enabled: false",
                near=(*_TLS, "enabled"),
            )


def tls_files_serve(view: View[ServerConfig]) -> Iterator[Finding]:
    """Certificate and key are there, can be read, belong together and hold now; asks the machine."""
    tls, machine = view.config.server.tls, view.machine
    if machine is None or machine.tls_pair is None or not (tls.enabled and tls.cert_file and tls.key_file):
        return
    cert, key = machine.path(tls.cert_file), machine.path(tls.key_file)
    pair = machine.tls_pair(cert, key)
    for name, problem, path in (("cert_file", pair.cert_problem, cert), ("key_file", pair.key_problem, key)):
        if problem:
            yield view.finding(
                "tls-file-unusable",
                (*_TLS, name),
                f"server.tls.{name}: {show_path(path)} {problem}",
                hint=f"ls -l {show_path(path)}",
            )
    if not pair.cert_problem:
        yield from _check_dates(view, pair, machine.now)
    if not pair.key_problem:
        yield from _check_key_mode(view, pair, key)
    if not pair.cert_problem and not pair.key_problem and not pair.matching:
        yield view.finding(
            "tls-pair-differs",
            (*_TLS, "key_file"),
            f"{view.line((*_TLS, 'key_file'))} is not the key of {view.line((*_TLS, 'cert_file'))}",
            hint=f"compare: openssl x509 -noout -pubkey -in {show_path(cert)}; openssl pkey -pubout -in {show_path(key)}",
            also=((*_TLS, "cert_file"),),
        )


def _check_dates(view: View[ServerConfig], pair: TlsPair, now: float) -> Iterator[Finding]:
    key = (*_TLS, "cert_file")
    left = (pair.not_after - now) / _DAY
    if now < pair.not_before:
        yield view.finding(
            "tls-not-yet-valid",
            key,
            f"{show_key(key)}: the certificate holds from {_date(pair.not_before)} on, not yet",
            hint="check the clock with: date -u; or take a certificate that holds now",
        )
    elif left <= 0:
        yield view.finding(
            "tls-expired",
            key,
            f"{show_key(key)}: the certificate ended on {_date(pair.not_after)}",
            hint="renew it, and put the new one there",
        )
    elif left < SOON_DAYS:
        yield view.finding(
            "tls-expires-soon",
            key,
            f"{show_key(key)}: the certificate ends on {_date(pair.not_after)}, in {int(left)} days",
            severity="warning",
            hint="renew it, and put the new one there",
        )


def _check_key_mode(view: View[ServerConfig], pair: TlsPair, path: Path) -> Iterator[Finding]:
    """In production nobody else may read the key; elsewhere a group of its own is common."""
    production = view.config.security.production_mode
    if pair.key_mode & (0o077 if production else 0o007):
        yield view.finding(
            "tls-key-readable",
            (*_TLS, "key_file"),
            f"server.tls.key_file: others can read the key (mode {pair.key_mode:04o})",
            severity="error" if production else "warning",
            hint=f"chmod 600 {show_path(path)}",
        )


def _date(seconds: float) -> str:
    return dt.datetime.fromtimestamp(seconds, dt.timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
