"""Redis URLs: how one is made from its parts, and how it is shown without its secrets. Layer 1, pure."""

from __future__ import annotations

from urllib.parse import parse_qs, quote, unquote, urlsplit

DEFAULT_URL = "redis://localhost:6379"
DEFAULT_PORT = 6379


def make_url(addr: str, password: str, database: int) -> str:
    """Return the URL of a server that was named in parts; an empty *addr* is the usual one on this machine."""
    secret = f":{quote(password, safe='')}@" if password else ""
    return f"redis://{secret}{addr or f'localhost:{DEFAULT_PORT}'}/{database}"


def show_url(url: str) -> str:
    """Return *url* with all that tells one queue from another, and nothing that is secret."""
    parts = urlsplit(url)
    database = (parse_qs(parts.query).get("db") or [""])[0]
    if parts.scheme == "unix":
        return f"unix://{unquote(parts.path)}?db={database or 0}"
    host = parts.hostname or "localhost"
    where = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{where}:{parts.port or DEFAULT_PORT}/{database or parts.path.strip('/') or 0}"
