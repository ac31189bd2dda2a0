"""The errors a person may see, each with a stable code, a place and a next step.

An error says what happened (*message*), shows the offending value (*context*) and names the next command
to type (*hint*). Its class says who is to blame, and with that the exit status of the command:

    status  class              meaning
    1       HostError          the machine could not do it (disk full, Podman missing, a file unreadable)
    2       InputError         what was typed, or the tree that was to be sent, cannot be used
    3       ConfigError        a configuration file or profile is invalid
    4       DeniedError        the key is unknown, or it may not do this
    5       NotFoundError      no such job, file or profile
    6       UnreachableError   the host cannot be reached, or the link broke
    70      BugError           our mistake

On the wire travels the class name with these fields, never a traceback.
"""

from __future__ import annotations

from typing import ClassVar


class FetchError(Exception):
    """A failure that is explained to the user in at most four lines.

    Args:
        code: Stable kebab-case name, for scripts and for searching.
        message: One sentence: what happened.
        context: The offending value or place, if there is one.
        hint: What to do next, at best a command to type.
    """

    status: ClassVar[int] = 1

    def __init__(self, code: str, message: str, *, context: str = "", hint: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.context = context
        self.hint = hint

    def __str__(self) -> str:
        lines = [f"{self.code}: {self.message}"]
        if self.context:
            lines.append(f"  context  {self.context}")
        if self.hint:
            lines.append(f"  hint     {self.hint}")
        return "\n".join(lines)


class HostError(FetchError):
    """The machine could not do it."""

    status = 1


class InputError(FetchError):
    """What was typed, or the tree that was to be sent, cannot be used."""

    status = 2


class ConfigError(FetchError):
    """A configuration file or profile is invalid."""

    status = 3


class DeniedError(FetchError):
    """The key is unknown, or it may not do this."""

    status = 4


class NotFoundError(FetchError):
    """No such job, file or profile."""

    status = 5


class UnreachableError(FetchError):
    """The host cannot be reached, or the link broke."""

    status = 6


class BugError(FetchError):
    """Our mistake."""

    status = 70


CLASSES: dict[str, type[FetchError]] = {
    cls.__name__: cls
    for cls in (
        HostError,
        InputError,
        ConfigError,
        DeniedError,
        NotFoundError,
        UnreachableError,
        BugError,
    )
}


def _rebuild(name: str, code: str, message: str, context: str, hint: str) -> FetchError:
    """Make an error from its fields; an unknown class is one that a newer peer knows."""
    return CLASSES.get(name, HostError)(code, message, context=context, hint=hint)


def from_fields(fields: dict[str, str]) -> FetchError:
    """Make an error from what `to_fields` gave, perhaps on another machine."""
    return _rebuild(
        fields.get("class", ""),
        fields.get("code", "unknown"),
        fields.get("message", ""),
        fields.get("context", ""),
        fields.get("hint", ""),
    )


def to_fields(error: FetchError) -> dict[str, str]:
    """Return *error* as plain strings, fit for the wire and for ``--json``."""
    return {
        "class": next(cls.__name__ for cls in type(error).__mro__ if cls.__name__ in CLASSES),
        "code": error.code,
        "message": error.message,
        "context": error.context,
        "hint": error.hint,
    }


def explain_os_error(error: OSError, doing: str, place: object = "") -> FetchError:
    """Turn an operating system error into one with a next step.

    Args:
        error: What the system raised.
        doing: What was being done, as in ``"store the snapshot"``.
        place: Where, for an error that names no file.
    """
    import errno

    path = str(error.filename or place)
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return HostError(
            "disk-full",
            f"no space left to {doing}; nothing accepted before was lost",
            context=path,
            hint="free space on the host (df -h; df -i), then run the same command again",
        )
    if error.errno in {errno.EACCES, errno.EPERM}:
        return HostError(
            "not-permitted",
            f"the host's account may not {doing}",
            context=path,
            hint=f"ls -ld {path}" if path else "",
        )
    hint = (
        "look at the disk (dmesg | tail), then run the same command again" if error.errno == errno.EIO else ""
    )
    return HostError("io-error", f"could not {doing}: {error.strerror or error}", context=path, hint=hint)
