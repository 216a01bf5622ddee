"""`python -m workers` is the `cdc` command."""

from workers.cli.main import main

main()
