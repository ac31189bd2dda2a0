"""Commands that end in every way a command can end; the tests of the frame run these instead of ours."""

import sys
import threading
import time
from typing import Annotated

import typer

from fetchml_cli.boundary import Detached
from fetchml_cli.lazy import new_app
from fetchml_cli.main import main
from fetchml_core.errors import BugError, NotFoundError

app = new_app()
TABLE = {"do": ("tests.cli.verbs", "End in the way that is asked for.")}


def explode(api_key: str) -> None:
    """Fail with a secret in a local variable and in the message."""
    raise ValueError(f"cannot use {api_key}")


@app.command()
def do(  # noqa: C901, PLR0912
    ctx: typer.Context,
    way: Annotated[str, typer.Argument(help="How to end.")],
    words: Annotated[list[str] | None, typer.Argument()] = None,
    *,
    count: Annotated[int, typer.Option(help="A number.")] = 1,
    env: Annotated[list[str] | None, typer.Option()] = None,
    json: Annotated[bool, typer.Option("--json")] = False,
) -> int | None:
    """End in the way that is asked for."""
    cli = ctx.obj.configured(json=json)
    if way == "well":
        cli.out.line(f"count {count} json {cli.json} words {words}")
    elif way == "seven":
        return 7
    elif way == "exit":
        raise typer.Exit(9)
    elif way == "abort":
        raise typer.Abort
    elif way == "known":
        raise NotFoundError(
            "no-such-job", "there is no job \x1b[31m42\n", context="42\u202e", hint="ml status -a"
        )
    elif way == "detached":
        raise Detached("job 42 goes on\nml logs -f 42 follows it again")
    elif way == "interrupt":
        raise KeyboardInterrupt
    elif way == "missing-file":
        (cli.home / "nothing-here").read_bytes()
    elif way == "link":
        raise ConnectionResetError(104, "Connection reset by peer")
    elif way == "pipe-to-host":
        raise BrokenPipeError(32, "Broken pipe")
    elif way == "bug":
        explode(cli.keep_secret("hunter2hunter2"))
    elif way == "our-bug":
        raise BugError("impossible-state", "the host answered twice")
    elif way == "library-exit":
        sys.exit(4)
    elif way == "flood":
        for number in range(count):
            cli.out.line(f"line {number}")
    elif way == "thread":
        worker = threading.Thread(target=explode, args=["thread-secret"])
        worker.start()
        worker.join()
    elif way == "sleep":
        cli.out.line("sleeping")
        cli.out.flush()
        time.sleep(30)
    return None


if __name__ == "__main__":
    sys.exit(main(TABLE))
