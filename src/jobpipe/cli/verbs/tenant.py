"""``jobpipe tenant``: who shares a queue, and what each weighs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from jobpipe.cli import completing
from jobpipe.cli.choices import Choices, pass_choices
from jobpipe.cli.options import STORE, Noun, setting_flags
from jobpipe.cli.output import Column
from jobpipe.cli.types import queue_name
from jobpipe.telemetry.escape import escape

if TYPE_CHECKING:
    from jobpipe.app.tenants import TenantView

COLUMNS: list[Column[TenantView]] = [
    Column("QUEUE", lambda tenant: tenant.queue),
    Column("TENANT", lambda tenant: tenant.tenant),
    Column("WEIGHT", lambda tenant: tenant.weight, "number"),
    Column("WAITING", lambda tenant: tenant.waiting, "number"),
    Column("QUEUED", lambda tenant: tenant.queued, "number"),
    Column("RUNNING", lambda tenant: tenant.running, "number"),
]


@click.group(cls=Noun)
def tenant(**_: Any) -> None:
    """Look at the tenants of queues, and weigh them."""


@tenant.command("list", epilog="Example: jobpipe tenant list -q mail")
@click.option(
    "-q", "--queue", metavar="QUEUE", help="Only of this queue.", shell_complete=completing.queues
)
@click.option(
    "-n",
    "--limit",
    type=click.IntRange(1, 1_000),
    default=100,
    show_default=True,
    help="How many at most.",
)
@setting_flags(*STORE)
@pass_choices
def list_tenants(choices: Choices, queue: str | None, limit: int) -> None:
    """List tenants that weigh something else than 1, or have jobs.

    WAITING are the jobs that wait for their turn; QUEUED had it and may run now.
    """
    from jobpipe.app.tenants import tenant_view

    found = choices.application().tenants(queue, limit=limit)
    views = [tenant_view(record) for record in found]
    choices.out().listing(COLUMNS, views, empty="No tenants.")


@tenant.command("weight", epilog="Example: jobpipe tenant weight mail acme 3")
@click.argument("queue", metavar="QUEUE", type=queue_name)
@click.argument("tenant", metavar="TENANT")
@click.argument("weight", metavar="WEIGHT", type=int)
@setting_flags(*STORE)
@pass_choices
def set_weight(choices: Choices, queue: str, tenant: str, weight: int) -> None:
    """Let TENANT have WEIGHT turns in QUEUE for each turn of a tenant that weighs 1.

    From 1, which is usual, to 1000; it counts from the next turn on.
    """
    from jobpipe.app.tenants import WeightView

    choices.application(acts=True).set_weight(queue, tenant, weight)
    out = choices.out()
    if out.is_text:
        out.line(f"{escape(tenant)} weighs {weight} in {queue}")
    else:
        out.json(WeightView(queue=queue, tenant=tenant, weight=weight))
