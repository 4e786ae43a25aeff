"""The bundled sample: three small sources that know the same customers by different identifiers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa


def sample_sources(as_of: datetime) -> dict[str, pa.Table]:
    """CRM, orders and support tickets as Arrow tables, with event times relative to ``as_of``.

    The CRM knows customer number, e-mail and phone; the shop only e-mails; the help desk only phones.
    """
    import pyarrow as pa

    def ago(days: int) -> datetime:
        return as_of - timedelta(days=days)

    crm = [
        ("cust_001", "ana.souza@example.com", "+1 415 555 0101", "Ana Souza", 45, ago(2)),
        ("cust_002", "ben.okoro@example.com", "+1 415 555 0102", "Ben Okoro", 32, ago(5)),
        ("cust_003", "chloe.martin@example.com", "+33 1 70 18 00 03", "Chloé Martin", 7, ago(90)),
    ]
    orders = [
        ("ord_1", "Ana.Souza@example.com", Decimal("750.00"), ago(20)),
        ("ord_2", "ana.souza@example.com ", Decimal("500.00"), ago(3)),
        ("ord_3", "ben.okoro@example.com", Decimal("890.50"), ago(8)),
        ("ord_4", "dan.weber@example.com", Decimal("64.90"), ago(1)),
    ]
    tickets = [
        ("(+1) 415-555-0101", 1, ago(12)),
        ("+14155550101", 1, ago(4)),
        ("+1 (415) 555-0102", 0, ago(30)),
    ]
    columns = {
        "crm": ("customer_id", "email", "phone", "full_name", "total_interactions", "last_activity"),
        "orders": ("order_id", "email", "total_spend", "ordered_at"),
        "support": ("phone", "support_tickets", "created_at"),
    }
    rows: dict[str, Sequence[tuple[object, ...]]] = {"crm": crm, "orders": orders, "support": tickets}
    return {
        name: pa.Table.from_pylist([dict(zip(columns[name], row, strict=True)) for row in rows[name]])
        for name in columns
    }
