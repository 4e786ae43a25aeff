"""Each check kept and breached, on each database: the bound itself is kept, one customer beyond it is not."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest

from airflow_provider_customer360.unify.errors import CheckFailed, ConfigError
from tests.audit.tables import Rows, audit, audited, people
from tests.publish.databases import Database

#: Checks to the profiles that just keep them and those that just do not, against the live ones.
BOUNDS: dict[str, tuple[dict[str, Any], Rows, Rows, Rows, str]] = {
    "min_customers": (
        {"min_customers": 5}, people(9), people(5), people(4),
        r"min_customers: 4 customers \(live: 9\); required: 5",
    ),
    "max_customers_fall": (
        {"max_customers_fall": 0.7}, people(10), people(3), people(2),
        r"max_customers_fall: 2 customers \(live: 10\), a fall of 80 %; allowed: a fall of 70 %",
    ),
    "max_active_fall": (
        {"max_active_fall": "0.1"}, people(50, active=30), people(30, active=27), people(99, active=26),
        r"max_active_fall: 26 active customers \(live: 30\), a fall of 13.3333 %; allowed: a fall of 10 %",
    ),
    # 0.8 - 0.5 > 0.3 in binary fractions
    "a match rate that falls": (
        {"max_match_rate_change": 0.3}, people(10, matched=8), people(20, matched=10), people(20, matched=9),
        r"max_match_rate_change: 45 % of customers in several sources \(live: 80 %\), a change of 35 points; "
        "allowed: 30 points",
    ),
    "a match rate that rises": (
        {"max_match_rate_change": 0.3}, people(10, matched=5), people(10, matched=8), people(10, matched=9),
        r"max_match_rate_change: 90 % of customers in several sources \(live: 50 %\), a change of 40 points",
    ),
    "a fill rate that falls": (
        {"max_fill_rate_change": 0.3}, people(10, filled=8), people(20, filled=10), people(20, filled=9),
        r"max_fill_rate_change.email: 45 % of customers have a value \(live: 80 %\), a change of 35 points; "
        "allowed: 30 points",
    ),
    "a column's fill rate that rises": (
        {"max_fill_rate_change": {"E-Mail": 0.2}}, people(5, filled=4), people(7, filled=7),
        people(0), r"max_fill_rate_change.E-Mail: 0 % of customers have a value \(live: 80 %\)",
    ),
    "max_customer_records": (
        {"max_customer_records": 7}, people(2, largest=1234), people(2, largest=7), people(2, largest=8),
        r"max_customer_records: 8 records of the largest customer \(live: 1,234\); allowed: 7",
    ),
    "not_null": (
        {"not_null": ["customer_id", "email"]}, people(4, filled=1), people(4, filled=4), people(4, filled=3),
        r"not_null.email: 1 customer without a value \(live: 3\); allowed: 0",
    ),
    "no_rows": (
        {"no_rows": {"each is known": "SELECT customer_id FROM profiles WHERE email IS NULL"}},
        people(1), people(4, filled=4), people(4, filled=2), "no_rows.each is known: 2 rows; allowed: 0",
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    ("checks", "live", "kept", "breached", "message"), BOUNDS.values(), ids=BOUNDS.keys()
)
def test_a_bound_is_kept_up_to_itself(
    db: Database, checks: dict[str, Any], live: Rows, kept: Rows, breached: Rows, message: str
) -> None:
    """And what is beyond it fails, told with both numbers and the bound."""
    columns = list(live[0])
    with audited(db, kept, live, columns) as tables:
        assert {finding.result for finding in audit(checks, tables).findings} == {"passed"}
    db.execute("DROP TABLE staged", "DROP TABLE customers")
    with audited(db, breached, live, columns) as tables, pytest.raises(CheckFailed, match=message) as failed:
        audit(checks, tables)
    assert "planted" not in str(failed.value)
    assert "Nothing was published" in str(failed.value)


EVERY = {
    "min_customers": 2,
    "max_customers_fall": 0.1,
    "max_active_fall": 0.1,
    "max_match_rate_change": 0.1,
    "max_fill_rate_change": {"email": 0.1},
    "max_customer_records": 10,
    "not_null": ["customer_id"],
    "no_rows": {
        "nobody vanished": "SELECT 1 AS n FROM live WHERE customer_id NOT IN "
        "(SELECT customer_id FROM profiles)"
    },
}
COMPARISONS = {
    "max_customers_fall", "max_active_fall", "max_match_rate_change", "max_fill_rate_change.email"
}  # fmt: skip


@pytest.mark.parametrize(("live", "reason"), [(None, "there is no table yet"), ([], "the table has no rows")])
def test_without_live_rows_fixed_bounds_hold(
    db: Database, live: Rows | None, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Of the first run there is nothing to compare with; that is said, and told as such."""
    caplog.set_level(logging.INFO)
    with audited(db, people(2, active=1, matched=1, filled=1, largest=10), live) as tables:
        findings = {finding.check: finding for finding in audit(EVERY, tables).findings}
        assert {name for name, one in findings.items() if one.result == "not compared"} == COMPARISONS
        assert {findings[name].text for name in COMPARISONS} == {reason}
        assert f"Check max_active_fall not compared: {reason}" in caplog.messages
        assert findings["max_fill_rate_change.email"].as_dict()["new"] == 0.5
        [fill] = audit({"max_fill_rate_change": 0.1}, tables).findings
        assert (fill.check, fill.result, fill.text) == ("max_fill_rate_change", "not compared", reason)
        with pytest.raises(CheckFailed, match=r"1 of 1 checks failed[^-]*- min_customers: 2 customers"):
            audit({"min_customers": 3}, tables)


def test_no_profiles_at_all(db: Database) -> None:
    """Rates of nobody are 0: an emptied table never passes a comparison by having no rates."""
    with audited(db, [], people(3, active=1, matched=3, filled=3), columns=list(people(1)[0])) as tables:
        with pytest.raises(CheckFailed) as failed:
            audit(EVERY, tables)
        broken = {line.partition(":")[0] for line in str(failed.value).splitlines() if line.startswith("- ")}
        assert broken == {
            "- min_customers",
            *(f"- {one}" for one in COMPARISONS),
            "- no_rows.nobody vanished",
        }
        assert str(failed.value).startswith("6 of 8 checks failed.")
        assert audit({"max_customer_records": 0, "not_null": ["email"]}, tables)


def test_nobody_was_active(db: Database) -> None:
    """From none on there is no fall."""
    with audited(db, people(2), people(2)) as tables:
        assert [one.result for one in audit({"max_active_fall": 0}, tables).findings] == ["passed"]


def test_columns_come_and_go(db: Database) -> None:
    """One bound for all columns holds for those of the table; what profiles lack would become empty."""
    live = [{"customer_id": "c1", "city": "planted", "phone": None}]
    with audited(db, [{"customer_id": "c1", "email": "planted"}], live) as tables:
        with pytest.raises(
            CheckFailed, match=r"1 of 3 checks failed[^-]*- .*rate_change.city: 0 %.*live: 100 %"
        ):
            audit({"max_fill_rate_change": 0.5}, tables)
        with pytest.raises(CheckFailed, match=r"1 of 1 checks failed[^-]*- not_null.city: 1 customer"):
            audit({"not_null": ["city"]}, tables)
        [new] = audit({"max_fill_rate_change": {"email": 0}}, tables).findings
        assert (new.result, new.text) == ("not compared", "the table has no column 'email'")


def test_columns_that_are_nowhere(db: Database) -> None:
    """A check on a column that neither side has is a mistake, and said to be one."""
    with audited(db, [{"customer_id": "c1", "email": "planted"}], None) as tables:
        for name, stated in (("not_null", ["emial"]), ("max_fill_rate_change", {"emial": 0.1})):
            with pytest.raises(
                ConfigError, match=rf"\['{name}'\] has the column 'emial'. Did you mean 'email'"
            ):
                audit({name: stated}, tables)
            assert audit({name: stated}, tables, skip=[f"{name}.emial"])
        for name, column in (
            ("max_active_fall", "is_active"),
            ("max_match_rate_change", "data_sources"),
            ("max_customer_records", "total_records"),
        ):
            with pytest.raises(ConfigError, match=f"{name}.* needs the column '{column}'"):
                audit({name: 0}, tables)


def test_a_table_of_somebody_elses(db: Database) -> None:
    """A live table without our columns is compared in what it has."""
    with audited(db, people(2, active=1), [{"customer_id": "c1"}]) as tables:
        made = audit({"max_active_fall": 0, "max_customers_fall": 0, "max_match_rate_change": 0}, tables)
        assert {one.check: one.text for one in made.findings if one.result == "not compared"} == {
            "max_active_fall": "the table has no column 'is_active'",
            "max_match_rate_change": "the table has no column 'data_sources'",
        }


HOSTILE = ('"; drop table customers; --', "a b", "select", "{0}", "100%", "x'y", "Ünïcode")


def test_hostile_columns(db: Database) -> None:
    """Whatever a column is called, it is a column."""
    live = [{"customer_id": f"c{i}", **dict.fromkeys(HOSTILE, "planted")} for i in range(2)]
    new = [live[0], {**dict.fromkeys(HOSTILE), "customer_id": "c1"}]
    with audited(db, new, live) as tables:
        with pytest.raises(CheckFailed) as failed:
            audit({"max_fill_rate_change": 0.1, "not_null": HOSTILE}, tables)
        assert str(failed.value).startswith("14 of 15 checks failed")
        assert audit({"max_fill_rate_change": dict.fromkeys(HOSTILE, 0.5)}, tables)
    assert len(db.rows()) == 2


def test_all_breaches_are_told_at_once(db: Database) -> None:
    """In one error, with what to run to publish all the same; the way that a shell takes it."""
    checks = {**EVERY, "min_customers": 4, "no_rows": {"it's me": "SELECT 1 AS one FROM profiles"}}
    live = people(6, active=1, matched=1, filled=1)
    with audited(db, people(3, largest=11), live) as tables, pytest.raises(CheckFailed) as failed:
        audit(checks, tables)
    first, *told, last = str(failed.value).splitlines()
    names = [line.removeprefix("- ").partition(":")[0] for line in told]
    assert names == [
        "min_customers", "max_customers_fall", "max_active_fall", "max_match_rate_change",
        "max_fill_rate_change.email", "max_customer_records", "no_rows.it's me",
    ]  # fmt: skip
    assert first.startswith("7 of 8 checks failed.")
    quoted = json.dumps({"customer360_skip_checks": names}).replace("'", "'\"'\"'")
    assert last.endswith(f"airflow dags trigger <dag_id> --conf '{quoted}'")


def test_what_is_overridden_is_told(db: Database) -> None:
    """With its numbers; SQL is not run, for it may be what fails. The rest still holds."""
    checks = {**EVERY, "no_rows": {"broken": "SELEKT", "other": "SELECT 1 AS one FROM profiles"}}
    with audited(db, people(1), people(2)) as tables:
        made = audit(checks, tables, skip=True)
        results = {one.check: one.result for one in made.findings}
        overridden = {"min_customers", "max_customers_fall", "no_rows.broken", "no_rows.other"}
        assert {name for name, result in results.items() if result == "overridden"} == overridden
        summary = made.told({"warnings": ["other"]})
        assert summary["checks"][:2] == [
            {"check": "min_customers", "live": 2, "new": 1, "bound": 2, "result": "overridden"},
            {"check": "max_customers_fall", "live": 2, "new": 1, "bound": 0.1, "result": "overridden"},
        ]
        assert json.loads(json.dumps(summary, allow_nan=False)) == summary
        assert summary["warnings"][0] == (
            "Check min_customers was overridden: 1 customer (live: 2); required: 2"
        )
        assert summary["warnings"][-1] == "other"
        with pytest.raises(
            CheckFailed, match=r"2 of 9 checks failed[^-]*- min_customers[^-]*- no_rows.other"
        ):
            audit(checks, tables, skip=["max_customers_fall", "no_rows.broken"])


def test_an_override_that_hits_nothing(db: Database, caplog: pytest.LogCaptureFixture) -> None:
    """The DAG may have other tasks, so it is no error; it is said."""
    with audited(db, people(1), None) as tables:
        audit({"min_customers": 1}, tables, skip=["min_customers", "not_null.email", "max_active_fall"])
    assert "none of this task's checks is 'max_active_fall', 'not_null.email'" in caplog.text


def test_many_columns_are_told_in_a_line(db: Database, caplog: pytest.LogCaptureFixture) -> None:
    """The log says one by one only what is worth reading."""
    caplog.set_level(logging.INFO)
    with audited(db, people(2), people(2)) as tables:
        audit({"max_fill_rate_change": 0, "max_customers_fall": 0}, tables)
    assert caplog.messages == [
        "Check max_customers_fall passed: 2 customers (live: 2); allowed: a fall of 0 %",
        "Checks max_fill_rate_change: 5 passed",
    ]


def test_without_checks_nothing_is_read(db: Database) -> None:
    """Not even the number of rows."""
    with audited(db, people(1), people(1)) as tables:
        db.execute("DROP TABLE staged", "DROP TABLE customers")
        assert audit({}, tables).findings == ()


def test_a_database_that_refuses_to_count(db: Database) -> None:
    """Is a failure for good, told without the database's own words."""
    with audited(db, people(1), people(1)) as tables:
        tables.session.execute('DROP TABLE "customers"')
        with pytest.raises(
            ConfigError, match=r"The checks cannot count .*: Checking failed with .* left out\."
        ):
            audit({"max_active_fall": 0}, tables)
