"""`airflow customer360 …`: the commands and their arguments.

Every `airflow` command imports this module; what a command does is imported when it runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_customer360.database.connections import DEFAULT_CONN_ID

if TYPE_CHECKING:
    from airflow.cli.cli_config import CLICommand

#: Flags and what argparse is told of them.
_EXPLAIN: dict[tuple[str, ...], dict[str, Any]] = {
    ("customer_id",): {"metavar": "CUSTOMER_ID", "help": "The customer's id, also one it had earlier"},
    ("-t", "--table"): {
        "metavar": "TABLE",
        "help": "The table of profiles: name or schema.name; its identities are in <table>_identities",
    },
    ("--identities-table",): {
        "metavar": "TABLE",
        "help": "The table of identities, where it has another name",
    },
    ("-c", "--conn-id"): {
        "metavar": "CONN_ID",
        "default": DEFAULT_CONN_ID,
        "help": "The connection of the tables (default: %(default)s)",
    },
    ("--show-values",): {"action": "store_true", "help": "Show e-mails, phones and the like unmasked"},
    ("-v", "--verbose"): {"action": "store_true", "help": "Show what Airflow logs meanwhile"},
}


def customer360_commands() -> list[CLICommand]:
    """What Airflow adds to its own commands."""
    from airflow.cli.cli_config import ActionCommand, Arg, GroupCommand, lazy_load_command

    explain = ActionCommand(
        name="explain",
        help="Explain why one customer is one",
        description="Show the identifiers of one customer and the links that hold them together, the weakest "
        "first, from the identities that the last run published. E-mails, phones and the like are masked.",
        func=lazy_load_command("airflow_provider_customer360.cli.explain.explain_customer"),
        args=[Arg(flags, **settings) for flags, settings in _EXPLAIN.items()],  # type: ignore[no-untyped-call]
    )
    return [GroupCommand(name="customer360", help="Look into unified customers", subcommands=(explain,))]
