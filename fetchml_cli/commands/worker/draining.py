"""What the verbs of ``ml worker`` share: jobs in words."""

from __future__ import annotations


def jobs_in_words(ids: tuple[int, ...]) -> str:
    """Return ``job 3``, ``jobs 3 and 4`` or ``no job``."""
    if not ids:
        return "no job"
    words = [str(number) for number in ids]
    return f"job {words[0]}" if len(words) == 1 else f"jobs {', '.join(words[:-1])} and {words[-1]}"
