"""Names of people as evidence: whether records that share a value speak of one person.

Names are never matched. Where many people share a mailbox, or two systems count their customers alike, names
differ; for that it is enough to compare initials of the first and the last name in alphabetical order, which
are the same for ``Ana Silva``, ``SILVA, Ana``, ``A. Silva`` and for most typing errors.
"""

from __future__ import annotations

from collections.abc import Collection

from airflow_provider_customer360.unify.schema import ColumnPlan, SourcePlan
from airflow_provider_customer360.unify.spelling import words
from airflow_provider_customer360.unify.staged import TEXT
from airflow_provider_customer360.unify.table_kinds import thing_of
from airflow_provider_customer360.unify.vocabulary import PERSONS

_FIRST = {("first", "name"), ("given", "name"), ("forename",), ("firstname",)}
_LAST = {("last", "name"), ("family", "name"), ("surname",), ("lastname",)}
_FULL = {("full", "name"), ("person", "name"), *((person, "name") for person in PERSONS)}
_TITLES = "'mr', 'mr.', 'mrs', 'mrs.', 'ms', 'ms.', 'miss', 'dr', 'dr.', 'prof', 'prof.', 'herr', 'frau'"


def initials(source: SourcePlan) -> str | None:
    """The SQL expression of the initials in a row of a source; None where no column holds names."""
    first, last, full = (_column(source, wanted) for wanted in (_FIRST, _LAST, _FULL))
    if not full and not thing_of(source):
        full = _column(source, {("name",)})
    if first and last:
        begins, ends = _lower(first), _lower(last)
    elif full:
        words_of = f"string_split({_lower(full)}, ' ')"
        titled = f"{words_of}[1] IN ({_TITLES})"
        # One word alone may be a first or a last name: it speaks neither for nor against anybody.
        place = f"CASE WHEN {titled} THEN 2 ELSE 1 END"
        begins = f"CASE WHEN len({words_of}) > {place} THEN {words_of}[{place}] END"
        ends = f"{words_of}[-1]"
    else:
        return None
    one, other = f"left({begins}, 1)", f"left({ends}, 1)"
    # Only letters have an upper and a lower case; scripts without them speak neither for nor against.
    both_letters = f"upper({one}) <> {one} AND upper({other}) <> {other}"
    return f"CASE WHEN {both_letters} THEN least({one}, {other}) || greatest({one}, {other}) END"


def _lower(column: ColumnPlan) -> str:
    return f"lower(strip_accents(trim({column.internal})))"


def _column(source: SourcePlan, wanted: Collection[tuple[str, ...]]) -> ColumnPlan | None:
    named = (
        one for one in source.columns if words(one.name) in wanted and one.type == TEXT and not one.empty
    )
    return next(named, None)
