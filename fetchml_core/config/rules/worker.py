"""Rules of the worker file: which there are, and those that no other file has.

Layer 1, pure. New rules are new functions in the tuples at the end.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from fetchml_core.config.findings import Finding, Key, show, show_key
from fetchml_core.config.option import fields_of

from . import queue, surroundings
from .active import not_active_yet
from .address import Address, address_of, check_address
from .base import Rule, View, no_placeholders
from .network import REDIS_PORT, find_clashes

if TYPE_CHECKING:
    from fetchml_core.config.worker import WorkerConfig

S3_PORT = 443
#: Folders of an image that a job's own must not hide, and those that the container's init needs.
TAKEN = (
    *(
        "/",
        "/bin",
        "/boot",
        "/checkpoint",
        "/dev",
        "/etc",
        "/lib",
        "/lib64",
        "/proc",
        "/root",
        "/run",
        "/sbin",
    ),
    *("/sys", "/tmp", "/usr", "/usr/bin", "/usr/lib", "/usr/local", "/var"),  # noqa: S108 - in the container
)
_CLOSED = ("/dev", "/proc", "/run/fetchml", "/run/fetchml-init", "/sys")
_OWN_NAMES = {"", "localhost", "127.0.0.1", "::1"}


def max_workers_agree(view: View[WorkerConfig]) -> Iterator[Finding]:
    """Two keys name the same number; where both are written they must be equal."""
    top, inner = ("max_workers",), ("resources", "max_workers")
    config = view.config
    if top in view.places and inner in view.places and config.max_workers != config.resources.max_workers:
        yield view.finding(
            "max-workers-disagree",
            top,
            f"{view.line(top)} is {config.max_workers}, but {view.line(inner)} is {config.resources.max_workers}",
            hint="remove one of them, or make them equal",
            also=(inner,),
        )


def jobs_run_here(view: View[WorkerConfig]) -> Iterator[Finding]:
    """A worker starts jobs on its own host only."""
    if not view.config.local_mode and view.config.host not in _OWN_NAMES:
        yield view.finding(
            "remote-worker",
            ("host",),
            "local_mode is false and host is another machine: a worker runs jobs on its own host only",
            hint="run the worker on that machine, and set local_mode: true",
            also=(("local_mode",),),
        )


def legacy_keys_have_no_effect(view: View[WorkerConfig]) -> Iterator[Finding]:
    """Keys of the old worker, which reached its jobs over SSH."""
    fields = fields_of(type(view.config))
    legacy = [(name,) for name, field in fields.items() if field.option.deprecated]
    if not view.config.local_mode:
        legacy.remove(("host",))  # which `jobs_run_here` looks at
    written = view.written(*legacy)
    if written:
        one = len(written) == 1
        yield view.finding(
            "legacy-key",
            written[0],
            f"{', '.join(map(show_key, written))} {'has' if one else 'have'} no effect: "
            "a worker runs jobs on its own host",
            severity="warning",
            hint=f"remove {'it' if one else 'them'}, and run the worker on the host itself",
            also=tuple(written[1:]),
        )


def leases_outlive_heartbeats(view: View[WorkerConfig]) -> Iterator[Finding]:
    """One late heartbeat must not cost a living worker its job."""
    lease, beat = view.config.task_lease_duration, view.config.heartbeat_interval
    if lease.seconds <= 2 * beat.seconds:
        longer, shorter = ("task_lease_duration",), ("heartbeat_interval",)
        yield view.finding(
            "lease-too-short",
            longer if longer in view.places else shorter,
            f"{view.line(longer)} is {lease}, which is not more than twice {view.line(shorter)}, {beat}",
            expected="more than two heartbeats",
            hint=f"write task_lease_duration: {3 * beat.seconds:g}s or more",
            also=(longer, shorter),
        )


def container_folders_are_free(view: View[WorkerConfig]) -> Iterator[Finding]:
    """A job's folders are its own: plain paths, apart from each other and from the image's."""
    config = view.config
    keys: tuple[Key, Key] = (("container_workspace",), ("container_results",))
    texts = (config.container_workspace, config.container_results)
    for key, text in zip(keys, texts, strict=True):
        problem, hint = _container_problem(text)
        if problem:
            yield view.finding(
                "bad-container-path",
                key,
                f"{show_key(key)}: {show(text)} {problem}",
                expected="an absolute path of letters, digits, _ . and -",
                hint=hint or f'write "{fields_of(type(config))[key[0]].default}"',
            )
            return
    workspace, results = map(PurePosixPath, texts)
    if workspace.is_relative_to(results) or results.is_relative_to(workspace):
        yield view.finding(
            "container-paths-clash",
            view.written(*keys)[-1],
            f"{view.line(keys[0])} is {workspace} and {view.line(keys[1])} is {results}: one hides the other",
            hint="give each a folder of its own, such as /workspace and /results",
            also=keys,
        )


def _container_problem(text: str) -> tuple[str, str]:
    """What is wrong with a folder in the container and what to write; two empty texts for a right one."""
    if text in TAKEN or any(PurePosixPath(text).is_relative_to(name) for name in _CLOSED):
        return "is taken in a container", ""
    if re.fullmatch(r"(/[A-Za-z0-9_.-]+)+", text) and not {"..", "."} & set(text.split("/")):
        return "", ""
    better = "/" + text.strip("/")
    if re.fullmatch(r"/*[A-Za-z0-9_-]+/*", text) and better not in TAKEN:
        return "is no plain absolute path", f'write "{better}"'
    return "is no plain absolute path", ""


def sandbox_user_has_its_form(view: View[WorkerConfig]) -> Iterator[Finding]:
    """A user in a container is two numbers, and never root."""
    key, user = ("sandbox", "user"), view.config.sandbox.user
    match = re.fullmatch(r"(\d{1,9}):(\d{1,9})", user, re.ASCII)
    if not user or (match and int(match[1])):
        return
    hint = 'write "65534:65534", or your own: id -u; id -g'
    if re.fullmatch(r"[1-9]\d{0,8}", user, re.ASCII):
        hint = f'write "{user}:{user}"'
    yield view.finding(
        "bad-sandbox-user",
        key,
        f"{show_key(key)}: {show(user)} is {'root' if match or user in {'0', 'root'} else 'no uid:gid'}",
        expected="uid:gid in numbers, and not root",
        hint=hint,
    )


def sandbox_is_used(view: View[WorkerConfig]) -> Iterator[Finding]:
    """A process has no sandbox that settings could change."""
    written = view.written(*(key for key in view.places if key[0] == "sandbox"))
    if view.config.launcher == "process" and written:
        told = ", ".join(map(show_key, written))
        yield view.finding(
            "sandbox-not-used",
            written[0],
            f"{told} {'has' if len(written) == 1 else 'have'} no effect: {view.line(('launcher',))} is process, "
            "which has no sandbox",
            severity="warning",
            hint="write launcher: podman, or remove the section sandbox",
            also=(("launcher",), *written[1:]),
        )


def gpus_are_used(view: View[WorkerConfig]) -> Iterator[Finding]:
    """Without a vendor no GPU is used, whichever are named."""
    named = [("gpu_devices",), ("gpu_visible_devices",)]
    written = [key for key in view.written(*named) if getattr(view.config, key[0])]
    if view.config.gpu_vendor == "none" and written:
        vendor = ("gpu_vendor",)
        yield view.finding(
            "gpus-not-used",
            written[0],
            f"{view.line(written[0])} names GPUs, but {view.line(vendor)} is none: no job gets one",
            severity="warning",
            hint="name the vendor in gpu_vendor, or remove the GPUs",
            also=(vendor, *written[1:]),
        )


def addresses_have_their_form(view: View[WorkerConfig]) -> Iterator[Finding]:
    """What the worker listens on and whom it calls are addresses."""
    config = view.config
    yield from check_address(view, ("metrics", "listen_addr"), config.metrics.listen_addr)
    yield from check_address(
        view, ("snapshot_store", "endpoint"), config.snapshot_store.endpoint, port=S3_PORT
    )


def buckets_have_their_form(view: View[WorkerConfig]) -> Iterator[Finding]:
    """S3 takes few characters in a bucket's name."""
    store = view.config.snapshot_store
    key = ("snapshot_store", "bucket")
    if store.enabled and not re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", store.bucket, re.ASCII):
        yield view.finding(
            "bad-bucket",
            key,
            f"{show_key(key)}: {show(store.bucket)} is no name of a bucket",
            expected="3 to 63 lower-case letters, digits, . and -",
            hint='write "fetchml-snapshots"',
        )


def ports_do_not_clash(view: View[WorkerConfig]) -> Iterator[Finding]:
    """Redis or the store on this machine cannot have the port of the metrics."""
    config = view.config
    if not config.metrics.enabled:
        return
    listeners: list[tuple[Key, Address | None]] = [
        (("metrics", "listen_addr"), address_of(config.metrics.listen_addr))
    ]
    others: list[tuple[Key, Address | None]] = []
    if config.queue.type == "redis" and config.redis_addr:
        others.append((("redis_addr",), address_of(config.redis_addr, port=REDIS_PORT)))
    if config.snapshot_store.enabled:
        others.append(
            (("snapshot_store", "endpoint"), address_of(config.snapshot_store.endpoint, port=S3_PORT))
        )
    yield from find_clashes(view, listeners, others)


RULES: tuple[Rule[WorkerConfig], ...] = (
    no_placeholders,
    max_workers_agree,
    jobs_run_here,
    legacy_keys_have_no_effect,
    leases_outlive_heartbeats,
    container_folders_are_free,
    sandbox_user_has_its_form,
    sandbox_is_used,
    gpus_are_used,
    addresses_have_their_form,
    buckets_have_their_form,
    ports_do_not_clash,
    queue.redis_is_named_well,
    queue.redis_settings_agree,
    queue.redis_is_used,
    queue.redis_is_named,
    queue.queue_settings_are_used,
    surroundings.queue_survives_by_name,
    not_active_yet,
)
#: Those that ask the machine.
MACHINE_RULES: tuple[Rule[WorkerConfig], ...] = (
    surroundings.queue_survives,
    surroundings.jobs_fit_the_machine,
)
