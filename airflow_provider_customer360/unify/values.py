"""What a sample of values says about a column that its name has proposed for a role."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from airflow_provider_customer360.unify.engine import Engine
from airflow_provider_customer360.unify.names import classify
from airflow_provider_customer360.unify.records import occurred_at
from airflow_provider_customer360.unify.rules import LONGEST
from airflow_provider_customer360.unify.schema import ColumnPlan, Role
from airflow_provider_customer360.unify.staged import Staged, StagedColumn
from airflow_provider_customer360.unify.standardise import by_default, with_standard_forms

#: Sources up to this many rows are looked at whole; of larger ones, a sample of about this size that is
#: the same in every run.
SAMPLE_ROWS = 20_000
_MOST = 0.5
_NEARLY_ALL = 0.9


@dataclass(frozen=True)
class Finding:
    """The type that the values bear out, if any, and why."""

    identifier_type: str | None
    reason: str


class Sample:
    """A reproducible sample of one staged source."""

    def __init__(self, engine: Engine, staged: Staged) -> None:
        self._engine = engine
        self._by_name = {column.internal: column for column in staged.columns}
        self._whole, self._table = staged.relation, f"{staged.relation}_sample"
        self._sampled: frozenset[str] = frozenset()
        proposed = [column for column in staged.columns if _proposes(column)]
        if staged.rows > SAMPLE_ROWS and proposed:
            self._sampled = frozenset(column.internal for column in proposed)
            self._draw(proposed, staged.rows)

    def _draw(self, proposed: Sequence[StagedColumn], rows: int) -> None:
        """Make the sample of these columns: what is drawn follows from the values, not from their order."""
        columns, every = ", ".join(column.internal for column in proposed), rows // SAMPLE_ROWS
        drawn = f"SELECT {_no_longer(proposed)} FROM {self._whole} WHERE hash({columns}) % {every} = 0"
        self._engine.run(f"CREATE OR REPLACE TEMP TABLE {self._table} AS {drawn}", doing="sampling values")
        found, different = self._engine.row(
            f"SELECT count(*), count(DISTINCT hash({columns})) FROM {self._table}"
        )
        if different < found / 2 or not 0.95 < found * every / rows < 1.05:
            # Many rows are equal, of which this takes all or none.
            drawn = f"SELECT {_no_longer(proposed)} FROM (SELECT {columns} FROM {self._whole})"
            drawn += f" TABLESAMPLE bernoulli({100 / every:.4f}%) REPEATABLE (42)"
            self._engine.run(
                f"CREATE OR REPLACE TEMP TABLE {self._table} AS {drawn}", doing="sampling values"
            )

    def drop(self) -> None:
        """Free the sample, which cannot be asked afterwards."""
        if self._sampled:
            self._engine.drop([self._table])

    def column(self, internal: str) -> StagedColumn:
        """A staged column by its internal name."""
        return self._by_name[internal]

    def confirm_identifier(self, column: StagedColumn, proposed: str) -> Finding:
        """Whether the values bear out an identifier type that the name proposes."""
        if column.empty:
            return Finding(proposed, "no value to check it by")
        if column.type in ("BOOLEAN", "DATE") or column.type.startswith("TIMESTAMP"):
            return Finding(None, "its values are no identifiers")
        # Placeholders speak neither for nor against a type.
        key = r"[^\s.]" if column.type == "DOUBLE" else r"\S"  # 0.53 is no key, but a text may have dots
        values, emails, compact = self._row(
            column,
            "id",
            "count(form)",
            "count(form) FILTER (contains(trimmed_form, '@'))",
            f"count(form) FILTER (regexp_full_match(trimmed_form, '{key}{{1,128}}'))",
        )
        if not values:
            return Finding(proposed, "no value to check it by")
        if proposed == "email":
            return _share("email", emails, values, "hold an @")
        if proposed == "phone":
            (phones,) = self._row(column, "phone", "count(form)")
            return _share("phone", phones, values, "look like phone numbers")
        if emails >= _NEARLY_ALL * values:
            return Finding("email", "its values are e-mail addresses")
        if compact < _MOST * values:
            return Finding(None, "most of its values are not written like keys")
        return Finding(proposed, "its values are written like keys")

    def has_values(self, column: ColumnPlan) -> bool:
        """Whether any value is there, placeholders left out."""
        values, _ = self._times(column)
        return bool(values)

    def may_hold_times(self, column: ColumnPlan) -> bool:
        """Whether a column that the user states as event time has a single time, or no value at all."""
        values, times = self._times(column)
        return bool(times or not values)

    def holds_times(self, column: ColumnPlan) -> bool:
        """Whether nearly all values are times between 1970 (numbers: 1990) and 2100."""
        values, times = self._times(column)
        return bool(values) and times >= _NEARLY_ALL * values

    def _times(self, column: ColumnPlan) -> tuple[int, ...]:
        """The number of values, placeholders left out, and of times among them."""
        if column.type == "BOOLEAN":
            return 1, 0
        moment, is_text = occurred_at(column), column.type == "VARCHAR"
        is_number = not is_text and not column.type.startswith(("DATE", "TIME"))
        return self._row(
            self.column(column.internal),
            "id",
            f"count({'form' if is_text else column.internal})",
            f"count(*) FILTER (year({moment}) BETWEEN {1990 if is_number else 1970} AND 2100)",
        )

    def _row(self, column: StagedColumn, identifier_type: str, *items: str) -> tuple[int, ...]:
        """Count the values of a column, of which ``form`` is the standard form by a type."""
        relation = self._table if column.internal in self._sampled else self._whole
        form = by_default(identifier_type, column.internal, column.type)
        values = with_standard_forms(relation, {"form": form})
        return self._engine.row(
            f"SELECT {', '.join(items)} FROM {values}", doing=f"looking at column {column.name!r}"
        )


def _proposes(column: StagedColumn) -> bool:
    """Whether the name proposes a role that values have to confirm."""
    return classify(column.name).role in (Role.IDENTIFIER, Role.EVENT_TIME) and not column.unusable


def _no_longer(columns: Sequence[StagedColumn]) -> str:
    """Columns of which texts are cut where they are too long for any identifier or time."""
    return ", ".join(
        f"left({one.internal}, {2 * LONGEST}) AS {one.internal}" if one.type == "VARCHAR" else one.internal
        for one in columns
    )


def _share(identifier_type: str, matching: int, values: int, words: str) -> Finding:
    share = matching / values
    if share < _MOST:
        return Finding(None, f"only {share:.0%} of its values {words}")
    return Finding(identifier_type, f"{share:.0%} of its values {words}")
