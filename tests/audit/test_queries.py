"""A user's own SQL: counted, whatever it looks like; never a way to write, nor one for values to get out."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Any

import pytest

from airflow_provider_customer360.unify.errors import CheckFailed, ConfigError, PublishError, TransientError
from tests.audit.tables import audit, audited, people
from tests.publish.databases import Database

#: SQL that returns two rows, of the two profiles that ``people(2)`` are.
TWO_ROWS = {
    "plain": "SELECT customer_id FROM profiles",
    "blank around it": "\n  SELECT customer_id FROM profiles\n\n",
    "a semicolon": "SELECT customer_id FROM profiles;",
    "several, and blanks": "SELECT customer_id FROM profiles ; ;\n; ",
    "a comment at the end": "SELECT customer_id FROM profiles -- each of them",
    "comments behind the semicolon": "SELECT customer_id FROM profiles; -- it's; done\n/* a; b * */ ; --",
    "comments before and between": "-- first\nSELECT /* all */ customer_id\n-- of them\nFROM profiles",
    "WITH": "WITH known AS (SELECT * FROM profiles) SELECT * FROM known",
    "a percent sign and a colon": "SELECT customer_id FROM profiles WHERE email LIKE '%ex:%' OR 1 = 1",
    "an order": "SELECT customer_id FROM profiles ORDER BY customer_id DESC",
    "a set": "SELECT customer_id FROM profiles UNION SELECT customer_id FROM live",
    "itself": "SELECT a.customer_id FROM profiles a JOIN profiles b ON a.customer_id = b.customer_id",
    "both sides": "SELECT customer_id, (SELECT count(*) FROM live) AS n FROM profiles",
    "another table": "SELECT 1 AS one FROM staged",
}


@pytest.mark.parametrize("query", [pytest.param(query, id=name) for name, query in TWO_ROWS.items()])
def test_rows_are_counted(db: Database, query: str) -> None:
    """Only their number is told."""
    if db.name == "firebird" and query.startswith("WITH"):
        pytest.skip("Firebird 3 has no WITH inside of WITH")
    with audited(db, people(2, filled=2), []) as tables, pytest.raises(CheckFailed) as failed:
        audit({"no_rows": {"nobody": query}}, tables)
    assert "- no_rows.nobody: 2 rows; allowed: 0\n" in str(failed.value)
    assert "planted" not in str(failed.value)


def test_no_rows_is_what_is_wanted(db: Database) -> None:
    """Without a table ``live`` is empty, with the profiles' columns: the same SQL does for the first run."""
    vanished = "SELECT customer_id, total_records + 1 AS n FROM live WHERE is_active"
    with audited(db, people(2), None) as tables:
        made = audit({"no_rows": {"nobody": "SELECT * FROM profiles WHERE 1 = 0", "gone": vanished}}, tables)
        assert [(one.check, one.new, one.result) for one in made.findings] == [
            ("no_rows.nobody", 0, "passed"), ("no_rows.gone", 0, "passed"),
        ]  # fmt: skip


#: SQL that would change something if it were not one SELECT inside of another.
WRITING = {
    "delete": "DELETE FROM customers",
    "delete and return": "DELETE FROM customers RETURNING *",
    "delete in a CTE": "WITH gone AS (DELETE FROM customers RETURNING customer_id) SELECT * FROM gone",
    "update": "UPDATE customers SET email = NULL",
    "insert": "INSERT INTO customers SELECT * FROM customers RETURNING customer_id",
    "drop": "DROP TABLE customers",
    "create": "CREATE TABLE other AS SELECT 1 AS x",
    "select into": "SELECT customer_id INTO other FROM profiles",
    "a second statement": "SELECT 1; DELETE FROM customers",
    "a second statement behind a comment": "SELECT 1; -- ;\nDELETE FROM customers --",
    "a first statement": "DELETE FROM customers; SELECT 1",
    "out of the parentheses": "SELECT 1) v; DELETE FROM customers; SELECT count(*) FROM (SELECT 1",
    "out of them, and commit": "SELECT 1) v; COMMIT; DROP TABLE customers; SELECT count(*) FROM (SELECT 1",
    "out of them, without coming back": "SELECT 1) v; DROP TABLE customers --",
    "out of them, without semicolon": "SELECT 1) v DELETE FROM customers --",
    "a comment that never ends": "SELECT 1) v; DELETE FROM customers /*",
    "a comment that swallows the end": "SELECT 1) v /*",
    "a comment that never ends, without semicolon": "SELECT 1) DELETE FROM customers /*",
    "out of them into WITH": "SELECT 1) v), x AS (DELETE FROM customers RETURNING 1), y AS (SELECT (1",
    "out of them into an insert": "SELECT 1) INSERT INTO customers (customer_id",
}


@pytest.mark.parametrize("query", [pytest.param(query, id=name) for name, query in WRITING.items()])
def test_sql_cannot_write(db: Database, query: str) -> None:
    """It fails for good, and even a commit afterwards leaves everything as it was."""
    with audited(db, people(2), people(3, filled=3)) as tables:
        before = db.everything()
        with pytest.raises(ConfigError, match=r"checks\['no_rows'\]\['sneaky'\] "):
            audit({"no_rows": {"sneaky": query}}, tables)
        with suppress(Exception):  # where a failure has undone the transaction
            tables.session.commit()
    assert db.everything() == before


def test_a_semicolon_in_the_middle_is_told(db: Database) -> None:
    """With what to write instead."""
    query = "SELECT * FROM profiles WHERE email = 'a;b'"
    with audited(db, people(1), None) as tables:
        with pytest.raises(ConfigError, match=r"a semicolon that is not its end; give one .*char\(59\)"):
            audit({"no_rows": {"x": query}}, tables)
        with pytest.raises(ConfigError, match=r"\['x'\] is empty"):
            audit({"no_rows": {"x": " ; -- nothing"}}, tables)


def test_the_databases_own_words_stay_inside(db: Database) -> None:
    """Databases quote SQL and values in their messages; ours names the check."""
    with audited(db, people(1, filled=1), None) as tables, pytest.raises(ConfigError) as failed:
        audit({"no_rows": {"typo": "SELECT 'planted' FRM profiles WHERE"}}, tables)
    assert re.search(
        r"checks\['no_rows'\]\['typo'\] cannot be run: Checking failed with \w+", str(failed.value)
    )
    assert "Give one SELECT over profiles and live" in str(failed.value)
    assert "planted" not in str(failed.value)


def test_a_value_that_cannot_be_read_stays_inside(db: Database) -> None:
    """Where the database minds, it fails for good and shows nothing."""
    query = "SELECT customer_id FROM profiles WHERE CAST(email AS integer) = 77"
    with audited(db, people(1, filled=1), None) as tables:
        if not db.is_postgres and db.name not in (
            "duckdb",
            "firebird",
        ):  # others read what they can as a number
            assert audit({"no_rows": {"number": query}}, tables)
            return
        with pytest.raises(ConfigError, match="'number'") as failed:
            audit({"no_rows": {"number": query}}, tables)
    assert "planted" not in str(failed.value)


class Broken:
    """A database that fails."""

    columns = ("customer_id",)
    live_columns = None
    without_rows = "the table has no rows"
    nested_with = True

    def __init__(self, error: Exception) -> None:
        self._error = error

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        raise self._error


class Lost(PublishError, TransientError):
    """As publishing tells of a lost connection."""


@pytest.mark.parametrize("checks", [{"no_rows": {"x": "SELECT 1"}}, {"min_customers": 1}])
def test_a_lost_connection_stays_one(checks: dict[str, Any]) -> None:
    """What passes by itself is not made a failure for good."""
    with pytest.raises(Lost):
        audit(checks, Broken(Lost("gone")))
    with pytest.raises(ConfigError, match="refused"):
        audit(checks, Broken(PublishError("refused")))


def test_many_comments_do_not_take_long() -> None:
    """The end is found in one go, whatever is there."""
    query = "SELECT 1 " + "; /* ; */ -- ;\n" * 20_000 + "x"
    with pytest.raises(ConfigError, match="a semicolon that is not its end"):
        audit({"no_rows": {"x": query}}, Broken(PublishError("not reached")))
