"""What the rows of a source are, as far as its name and the names of its columns tell."""

from __future__ import annotations

from airflow_provider_customer360.unify.schema import SourcePlan
from airflow_provider_customer360.unify.spelling import words

_THINGS = (
    "order orders sale sales purchase purchases payment payments charge charges invoice "
    "invoices transaction transactions refund refunds item items line lines product products "
    "cart carts checkout checkouts ticket tickets case cases conversation conversations message "
    "messages call calls chat event events session sessions visit visits view views pageview "
    "pageviews click clicks hit hits log logs subscription subscriptions shipment shipments "
    "return returns review reviews booking bookings activity activities interaction "
    "interactions opportunity opportunities deal deals "
)
_TABLES_OF_THINGS = frozenset(_THINGS.split())
#: What is said of a thing itself: ``order_date``; ``order_count`` is said of a customer.
_FACTS = frozenset(["date", "status", "time", "number", "no", "type", "state", "name", "at"])
_NAMES = "customer customers cust client clients crm contact contacts person persons people member members"
_NAMES_OF_CUSTOMERS = frozenset(_NAMES.split())


def thing_of(plan: SourcePlan) -> str | None:
    """What a table holds that is no customers, by its name or by columns such as ``order_date``."""
    named = next((word for word in words(plan.name) if word in _TABLES_OF_THINGS), None)
    spelled = [words(column.name) for column in plan.columns]
    facts = (name[0] for name in spelled if len(name) == 2 and name[1] in _FACTS)
    return named or next((word for word in facts if word in _TABLES_OF_THINGS), None)


def names_customers(plan: SourcePlan) -> bool:
    """Whether a source is called like a table of customers."""
    return not _NAMES_OF_CUSTOMERS.isdisjoint(words(plan.name))
