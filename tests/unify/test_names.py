"""What column names say, on vendors' documented tables and on names that lead astray."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from airflow_provider_customer360.unify.names import classify
from airflow_provider_customer360.unify.schema import Role
from airflow_provider_customer360.unify.spelling import canonical, words
from tests.unify.vendor_exports import VENDOR_EXPORTS


def said(name: str) -> str:
    """The verdict on a name in the vocabulary of ``vendor_exports``."""
    verdict = classify(name)
    if verdict.role is Role.IDENTIFIER:
        return f"identifier:{verdict.identifier_type}"
    if verdict.role is not None:
        return verdict.role.value
    if verdict.bare_id:
        return "bare_id"
    return "value" if verdict.additive else "non_additive"


@pytest.mark.parametrize("table", VENDOR_EXPORTS)
def test_vendor_table(table: str) -> None:
    """Every documented column of a vendor's table is taken for what a data engineer takes it for."""
    expected = VENDOR_EXPORTS[table]
    assert {column: said(column) for column in expected} == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    {
        "customerEmail": "customer email",
        "cust_no": "cust no",
        "E-Mail": "email",
        "eMail": "email",
        "e_mail_address": "email address",
        "UserID": "user id",
        "UserIDs": "user ids",
        "HTTPUser": "http user",
        "userid": "user id",
        "CUSTOMERID": "customer id",
        "custno": "cust no",
        "useremail": "user email",
        "emailaddress": "email address",
        "phonenumber": "phone number",
        "mobilephone": "mobile phone",
        "firstname": "first name",
        "lastmodifieddate": "last modified date",
        "contactid": "contact id",
        "phone2": "phone 2",
        "email_1": "email 1",
        "Address1": "address 1",
        "email_sha256": "email sha256",
        "card_last4": "card last4",
        "Email__c": "email",
        "Contact__r.Email": "contact email",
        "customer.id": "customer id",
        "Created (UTC)": "created utc",
        "time_stamp": "timestamp",
        "straße": "straße",
        "名前": "名前",
        "नाम": "नाम",
        "\ufeffemail": "email",
        "\uff25mail": "email",
        "paid": "paid",
        "": "",
        "__c": "",
    }.items(),
)
def test_words(name: str, expected: str) -> None:
    """A name splits into lower-case words, whatever the style it is written in."""
    assert " ".join(words(name)) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    {
        "Total Spent": "total_spent",
        "e-mail": "email",
        "2fa_enabled": "n_2fa_enabled",
        "12": "n_12",
        "": "column",
        "***": "column",
        "a\x00b\x1f": "a_b",
        'na"me; --': "na_me",
        "Größe": "größe",
    }.items(),
)
def test_canonical(name: str, expected: str) -> None:
    """An output column is snake case, begins with a letter and is never empty."""
    assert canonical(name) == expected


@given(st.text() | st.text(alphabet="aeEmMiIdDsS_c1- .٣İǅß\u0301ﬁ²", max_size=12))
@example("e1mail")
@example("__c__c")
@example("\u0301")
def test_any_text_gives_a_safe_stable_name(name: str) -> None:
    """Any text has words, a verdict and an identifier for a name, which stays as it is the second time."""
    output = canonical(name)
    assert output.isidentifier()
    assert canonical(output) == output
    assert all(words(name)) or not words(name)
    verdict = classify(name)
    assert verdict.reason
    assert (verdict.role is Role.IDENTIFIER) == (verdict.identifier_type is not None)
    assert (verdict.role is Role.EVENT_TIME) == (verdict.time_rank is not None)


@pytest.mark.parametrize(
    ("expected", "names"),
    {
        "identifier:email": "email|mail|E-Mail|Contact Email|PersonEmail|npsp__HomeEmail__c|receipt_email"
        "|billing_email|email_1|email_home|emailaddress|from_email|store_customer_email|mobile_email",
        "identifier:email_hash": "email_hash",
        "identifier:email_sha256": "email_sha256|email_sha256_2",
        "identifier:hashed_email": "hashed_email",
        "identifier:phone": "phone|Telephone|tel|mobile|cell|cellphone|msisdn|MobilePhone|phone_number"
        "|mobile_no|whatsapp_number|phone2|work_phone|phone_e164",
        "identifier:customer_id": "customer_id|cust_no|CustomerNumber|customer.id|customer|custid"
        "|CUSTOMER_KEY|shopper_id|buyer_uuid|customer_ref|properties.customer_id|Cust. No.|customer_code",
        "identifier:user_id": "user_id|userId|uid|UserID|user_no|user|traits.user_id",
        "identifier:anonymous_id": "anonymousId|anonymous_id",
        "identifier:client_id": "client_id|clientId",
        "identifier:contact_id": "ContactId|contactid",
        "identifier:stripe_customer_id": "stripe_customer_id|stripeCustomerId",
        "identifier:shopify_customer_id": "shopify_customer_id",
        "identifier:external_customer_id": "external_customer_id",
        "identifier:zendesk_user_id": "zendesk_user_id",
        "identifier:user_pseudo_id": "user_pseudo_id",
        "identifier:requester_id": "requester_id",
        "identifier:member_no": "member_no|memberno|member_no_2",
        "identifier:visitor_id": "visitor_id",
        "identifier:device_id": "device_id",
        "identifier:cookie_id": "cookie_id",
        "identifier:distinct_id": "distinct_id",
        "identifier:subscriber_key": "subscriber_key",
        "identifier:lead_id": "lead_id",
        "identifier:who_id": "WhoId",
        "identifier:vid": "vid",
        "identifier:ssn": "ssn",
    }.items(),
)
def test_identifiers(expected: str, names: str) -> None:
    """A person's key or address is an identifier, of the standard type only where the name is exact."""
    assert {name: said(name) for name in names.split("|")} == dict.fromkeys(names.split("|"), expected)


@pytest.mark.parametrize(
    "name",
    [
        *("OwnerId", "hubspot_owner_id", "assignee_email", "CreatedById", "LastModifiedById", "ReportsToId"),
        *("AssistantPhone", "seller_email", "created_by_user_id", "parent_customer_id", "MasterRecordId"),
        *("group_id", "brand_id", "organization_id", "AccountId", "company_email", "store_phone", "agent_id"),
        *(
            "order_id",
            "orderid",
            "product_id",
            "session_id",
            "ga_session_id",
            "sku",
            "ticket number",
            "WhatId",
        ),
        *(
            "invoice_no",
            "campaign_id",
            "event_id",
            "transaction_id",
            "payment_intent",
            "message_id",
            "variant_id",
        ),
        *("order_number", "customer_group_id", "user_session_id", "customer_order_no", "contact_list_id"),
        *(
            "follower_ids",
            "customer_ids",
            "password_hash",
            "cart_token",
            "phone_number_id",
            "email_message_id",
        ),
    ],
)
def test_keys_of_others_are_ignored(name: str) -> None:
    """The key of a thing or of somebody else neither identifies the customer nor is summed."""
    assert said(name) == "ignored"


@pytest.mark.parametrize(
    "name",
    [
        *(
            "email_opt_in",
            "HasOptedOutOfEmail",
            "emails_sent",
            "email_count",
            "email_verified",
            "verified_email",
        ),
        *(
            "EmailBouncedReason",
            "hs_email_optout",
            "hs_email_domain",
            "email_domain",
            "hs_email_open",
            "is_mobile",
        ),
        *(
            "accepts_marketing",
            "phone_model",
            "mobile_visits",
            "phone_verified",
            "phone_os",
            "direct_mail_count",
        ),
        *("paid", "width", "void", "grid", "valid", "notes", "customer_name", "user_agent", "contact_owner"),
        *("number_of_orders", "num_orders", "no_of_items", "numberemployees", "order_count", "orders_count"),
        *(
            "total_orders",
            "lifetime_value",
            "time_spent",
            "update_count",
            "spend_last_month",
            "sales",
            "amount",
        ),
        *("account_balance", "store_credit", "support_tickets", "user_count", "customers", "session_time"),
    ],
)
def test_values_stay_values(name: str) -> None:
    """A word of an identifier inside another name makes no identifier, and counts stay summable."""
    assert said(name) == "value"


@pytest.mark.parametrize(
    "name",
    [
        *("zip", "postcode", "Postal Code", "year", "birth_year", "exp_month", "day_of_week", "week_number"),
        *(
            "latitude",
            "lng",
            "age",
            "tax_rate",
            "conversion_ratio",
            "discount_pct",
            "lead_score",
            "rating",
            "rank",
        ),
        *(
            "position",
            "app_version",
            "average_order_value",
            "avg_basket",
            "orders_per_month",
            "max_order_value",
        ),
        *(
            "unit_price",
            "days_since_last_order",
            "card_last4",
            "house_number",
            "country_code",
            "fax",
            "number",
        ),
        *("birthdate", "date_of_birth", "dob", "expires_at", "due_date", "EmailBouncedDate", "closed_at"),
        *("cancelled_at", "deleted_at", "anniversary_date", "start_date", "current_period_end", "time_zone"),
        *("email_status", "email_type", "phone_type", "event_previous_timestamp", "last_viewed_date"),
    ],
)
def test_numbers_that_are_never_summed(name: str) -> None:
    """Codes, calendar parts, places, rates and other times are attributes even where they are numbers."""
    assert said(name) == "non_additive"
    assert classify(name).reason.startswith("never summed (")


@pytest.mark.parametrize(
    "name",
    ["id", "ID", "_id", "pk", "key", "uuid", "guid", "gid", "Record ID", "external_id", "id_1", "$oid"],
)
def test_bare_ids(name: str) -> None:
    """An id without a word that says whose is left to the table it stands in."""
    assert said(name) == "bare_id"
    assert not classify(name).additive


def test_event_times_are_ranked() -> None:
    """The time of the event beats last activity, the purchase, the creation and the last change."""
    names = (
        *("occurred_at", "event_timestamp", "event_date", "timestamp", "last_seen", "LastActivityDate"),
        *(
            "ordered_at",
            "order_date",
            "received_at",
            "created_at",
            "signup_date",
            "updated_at",
            "SystemModstamp",
        ),
        "customer_created_at",
    )
    verdicts = {name: classify(name) for name in names}
    assert {verdict.role for verdict in verdicts.values()} == {Role.EVENT_TIME}
    ranked = sorted(names, key=lambda name: verdicts[name].time_rank or 0)
    tiers = [[0, 1, 2, 3], [4, 5], [6, 7, 8], [9, 10], [11, 12], [13]]
    places = [ranked.index(name) for name in names]
    assert [sorted(places[place] for place in tier) for tier in tiers] == tiers


@pytest.mark.parametrize(
    "name",
    [
        *("event_time", "ts", "time", "date", "last_login_at", "LastLogin", "purchased_at", "processed_at"),
        *("originalTimestamp", "sent_at", "created", "CreatedDate", "createdate", "date_created", "signup"),
        *(
            "LastModifiedDate",
            "modified",
            "Created (UTC)",
            "date of purchase",
            "eventDateTime",
            "hs_timestamp",
        ),
    ],
)
def test_event_time_spellings(name: str) -> None:
    """An event time is recognised in the spellings that vendors use."""
    assert said(name) == "event_time"


def test_reasons_are_plain() -> None:
    """The reason tells a person which word decided."""
    assert classify("Contact Email").reason == "named like an e-mail address"
    assert classify("hubspot_owner_id").reason == "belongs to somebody else (owner)"
    assert classify("order_id").reason == "key of an order, not of a customer"
    assert classify("id").reason == "a bare id: depends on the table"
    assert classify("tax_rate").reason == "never summed (rate)"
