"""Where agent and worker log: ``logging.file``, else standard error; ``logging.level`` says how much."""

from __future__ import annotations

import logging
from pathlib import Path

from attrs import evolve

from fetchml_core.config.shared import LoggingConfig
from fetchml_core.errors import explain_os_error
from fetchml_core.fsio import make_folder

_LEVELS = {"warn": "WARNING"}


def start_logging(config: LoggingConfig, base: Path, who: str) -> logging.Logger:
    """Return the program's logger, set up as *config* says; to stderr an agent writes warnings at least.

    Args:
        config: Level and file.
        base: A relative file is taken from here.
        who: ``agent`` or ``worker``, in every line.

    Raises:
        FetchError: the file cannot be written.
    """
    logger = logging.getLogger("fetchml")
    handler: logging.Handler = logging.StreamHandler()
    if who == "agent":
        handler.setLevel(logging.WARNING)  # its stderr is what a client shows when the link breaks
    if config.file:
        path = base / config.file
        try:
            make_folder(path.parent)
            handler = logging.FileHandler(path, encoding="utf-8", errors="backslashreplace")
        except OSError as error:
            raise explain_os_error(error, f"write the log of the {who}") from None
    handler.setFormatter(logging.Formatter(f"%(asctime)s {who}[%(process)d] %(levelname)s %(message)s"))
    logger.handlers[:] = [handler]
    logger.propagate = False
    set_level(config)
    return logger


def set_level(config: LoggingConfig) -> None:
    """Let the program's logger tell as much as *config* says."""
    logging.getLogger("fetchml").setLevel(_LEVELS.get(config.level, config.level.upper()))


def worker_logging(own: LoggingConfig, door: LoggingConfig) -> LoggingConfig:
    """Return how a worker logs: what its own file says, and where that is silent, what the api file says."""
    level = own.level if own.level != LoggingConfig().level else door.level
    return evolve(own, level=level, file=own.file or door.file)
