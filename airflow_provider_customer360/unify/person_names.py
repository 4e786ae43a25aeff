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


def knows_names(source: SourcePlan) -> bool:
    """Whether a column of a source holds names of people."""
    return any(_columns(source))


def with_initials(source: SourcePlan) -> str:
    """A source's relation, and in it the ``initials`` of each row's name where a column holds names.

    Of two names ``as``, of a last name alone ``_s``, of a first name alone ``a_``; see `kind`. In nested
    queries: DuckDB computes an intermediate value once there, and anew for each mention in one expression.
    """
    first, last, full = _columns(source)
    relation, names = source.relation, {}
    if full:
        relation = f"(SELECT *, string_split({_lower(full)}, ' ') AS words FROM {relation})"
        names = _ends("words")
    else:
        names = {end: _lower(column) for end, column in (("first", first), ("last", last)) if column}
    if not names:
        return relation
    for made in (
        {f"{end}_name": name for end, name in names.items()},
        {f"{end}_letter": _letter(f"{end}_name") for end in names},
        {"initials": _joined(*(f"{end}_letter" if end in names else None for end in ("first", "last")))},
    ):
        items = ", ".join(f"{expression} AS {name}" for name, expression in made.items())
        relation = f"(SELECT *, {items} FROM {relation})"
    return relation


def kind(expression: str) -> str:
    """The SQL expression of what initials are of; only those of one kind can be compared."""
    return f"instr({expression}, '{UNKNOWN}')"


def _ends(words: str) -> dict[str, str]:
    """The first and the last name among the words of a full name."""
    # One word alone may be a first or a last name: it speaks neither for nor against anybody.
    place = f"CASE WHEN {words}[1] IN ({_TITLES}) THEN 2 ELSE 1 END"
    last_place = f"CASE WHEN {words}[-1] IN ({_SUFFIXES}) THEN -2 ELSE -1 END"
    first = f"CASE WHEN len({words}) + {last_place} >= {place} THEN {words}[{place}] END"
    return {"first": first, "last": f"{words}[{last_place}]"}


def _joined(first: str | None, last: str | None) -> str:
    """Initials from letters, NULL where one of two is missing."""
    if first and last:
        return f"CASE WHEN {first} < {last} THEN {first} || {last} ELSE {last} || {first} END"
    return f"'{UNKNOWN}' || {last}" if last else f"{first} || '{UNKNOWN}'"


def _letter(name: str) -> str:
    """The first letter of a name; scripts without upper and lower case speak neither for nor against."""
    letter = f"left({name}, 1)"
    return f"CASE WHEN upper({letter}) <> {letter} AND {name} NOT IN ({_NO_NAMES}) THEN {letter} END"


def _lower(column: ColumnPlan) -> str:
    return f"lower(strip_accents(trim({column.internal})))"


def _columns(source: SourcePlan) -> tuple[ColumnPlan | None, ColumnPlan | None, ColumnPlan | None]:
    """The columns of first, last and full names; of full ones only where it takes them to know both."""
    first, last, full = (_column(source, wanted) for wanted in (_FIRST, _LAST, _FULL))
    if first and last:
        return first, last, None
    if not full and not thing_of(source):
        full = _column(source, {("name",)})
    # A last name says more than a first one.
    return (None, None, full) if full else (None if last else first, last, None)


def _column(source: SourcePlan, wanted: Collection[tuple[str, ...]]) -> ColumnPlan | None:
    named = (
        one for one in source.columns if words(one.name) in wanted and one.type == TEXT and not one.empty
    )
    return next(named, None)
