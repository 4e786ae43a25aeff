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

_SUFFIXES = "'jr', 'jr.', 'sr', 'sr.', 'ii', 'iii', 'phd', 'md'"
# Parts of what stands in a column of names and is no person's name; None and Null are names of people.
_NO_NAMES = (
    "'guest', 'user', 'customer', 'client', 'test', 'tester', 'testing', 'unknown', 'anonymous', "
    "'undefined', 'order', 'account', 'admin', 'support', 'sales', 'office', 'team', 'info', "
    "'company', 'corp', 'corp.', 'corporation', 'inc', 'inc.', 'ltd', 'ltd.', 'llc', 'plc', 'gmbh', "
    "'ag', 'bv', 'sa', 'n/a', 'na', '-', '?', '.'"
)
#: Stands for the name that a source does not have.
UNKNOWN = "_"


def initials(source: SourcePlan) -> str | None:
    """The SQL expression of the initials in a row of a source; None where no column holds names.

    Of two names ``as``, of a last name alone ``_s``, of a first name alone ``a_``; see `kind`.
    """
    first, last, full = (_column(source, wanted) for wanted in (_FIRST, _LAST, _FULL))
    if not full and not thing_of(source):
        full = _column(source, {("name",)})
    if first and last:
        return _pair(_lower(first), _lower(last))
    if full:
        words_of = f"string_split({_lower(full)}, ' ')"
        titled = f"{words_of}[1] IN ({_TITLES})"
        # One word alone may be a first or a last name: it speaks neither for nor against anybody.
        place = f"CASE WHEN {titled} THEN 2 ELSE 1 END"
        last_place = f"CASE WHEN {words_of}[-1] IN ({_SUFFIXES}) THEN -2 ELSE -1 END"
        begins = f"CASE WHEN len({words_of}) + {last_place} >= {place} THEN {words_of}[{place}] END"
        return _pair(begins, f"{words_of}[{last_place}]")
    if last:
        return f"'{UNKNOWN}' || {_letter(_lower(last))}"
    return f"{_letter(_lower(first))} || '{UNKNOWN}'" if first else None


def kind(expression: str) -> str:
    """The SQL expression of what initials are of; only those of one kind can be compared."""
    return f"instr({expression}, '{UNKNOWN}')"


def _pair(first: str, last: str) -> str:
    one, other = _letter(first), _letter(last)
    # least() and greatest() pass over NULL.
    both = f"{one} IS NOT NULL AND {other} IS NOT NULL"
    return f"CASE WHEN {both} THEN least({one}, {other}) || greatest({one}, {other}) END"


def _letter(name: str) -> str:
    """The first letter of a name; scripts without upper and lower case speak neither for nor against."""
    letter = f"left({name}, 1)"
    return f"CASE WHEN upper({letter}) <> {letter} AND {name} NOT IN ({_NO_NAMES}) THEN {letter} END"


def _lower(column: ColumnPlan) -> str:
    return f"lower(strip_accents(trim({column.internal})))"


def _column(source: SourcePlan, wanted: Collection[tuple[str, ...]]) -> ColumnPlan | None:
    named = (
        one for one in source.columns if words(one.name) in wanted and one.type == TEXT and not one.empty
    )
    return next(named, None)
