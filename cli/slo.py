"""`enroll slo`: makes Prometheus's rules of the objectives, and tells whether a budget is spent."""

from pathlib import Path
from typing import Annotated

import typer

from cli.console import print_error, print_json, print_line, print_table
from cli.options import AsJson, UsageError
from deploy.observe.slo import gate as slo_gate
from deploy.observe.slo import rules as slo_rules
from deploy.observe.slo import spec as slo_spec
from deploy.observe.slo.spec import Spec

EXIT_SPENT = 1
EXIT_DIFFERS = 1
COLUMNS = ("objective", "target", "30 days", "budget left", "state")

app = typer.Typer(help="Objectives of deploy/slo.yaml.", no_args_is_help=True)

File = Annotated[Path, typer.Option("--file", help="The objectives.")]


@app.command()
def rules(
    file: File = slo_spec.FILE,
    output: Annotated[Path, typer.Option(help="The rules.")] = slo_rules.FILE,
    *,
    check: Annotated[bool, typer.Option("--check", help="Compare only; 1 if they differ.")] = False,
) -> None:
    """Write recording rules and alerts on burn rates for Prometheus."""
    spec = _load(file)
    text = slo_rules.render(spec)
    if not check:
        for sentence in slo_rules.thresholds(spec):
            print_line(sentence)
        output.write_text(text, encoding="utf-8")
        return
    if not output.exists() or output.read_text(encoding="utf-8") != text:
        print_error(f"{output} differs from {file}: run `enroll slo rules`")
        raise typer.Exit(EXIT_DIFFERS)


@app.command()
def gate(
    file: File = slo_spec.FILE,
    prometheus: Annotated[str, typer.Option(help="Its URL, user:password@ too.")] = slo_gate.URL,
    *,
    as_json: AsJson = False,
) -> None:
    """Exit with 1 if the error budget of an objective is spent, or can't be read."""
    found = slo_gate.states(_load(file), prometheus)
    if as_json:
        print_json([state.as_dict() for state in found])
    else:
        print_table(COLUMNS, (state.row() for state in found))
    if not all(state.passes for state in found):
        raise typer.Exit(EXIT_SPENT)


def _load(file: Path) -> Spec:
    try:
        return slo_spec.load(file)
    except slo_spec.SloError as error:
        raise UsageError(str(error)) from None
