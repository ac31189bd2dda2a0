"""Layer 7: one file per verb: a thin Typer function and ``run(cli, ...)``, which tests call without Typer."""
