"""The options of commands that list: how many rows, and which page of them."""

from typing import Annotated

import typer

Limit = Annotated[int, typer.Option("--limit", min=1, max=10_000, help="How many at most.")]
PageNumber = Annotated[int, typer.Option("--page", min=1, help="Which page of so many.")]
