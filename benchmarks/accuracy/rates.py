"""How dirty the generated customer base is: every rate in one place, with where it comes from.

Published figures are about something near, not exactly this; a rate without a figure is an assumption. Change
rates with `dataclasses.replace` to see what depends on them.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Rates:
    """Shares from 0 to 1 unless said otherwise.

    Attributes:
        in_crm: people with a CRM record. Assumption.
        registered_twice: of those, with a second record under another number. Vendors of cleaning tools
            speak of 15 to 30 % duplicates in a CRM (nektar.ai, "Salesforce Duplicate Management"); 10 %
            of people is meant as the careful side.
        orders, store, support, newsletter, visits: records a person has of a source, on average; their
            numbers are spread geometrically. Assumption.
        family_of: share of households with 1, 2, 3, 4 and 5 customers. Assumption; of US households 29 %
            have one person (Census, 2022), and not every member is a customer.
        same_last_name: members of a household who have its last name. 79 % of women in opposite-sex
            marriages took the husband's name (Pew, 2023).
        family_mailbox: households of several customers with an address that two to four of them use.
            27 % of couples share an e-mail account (Pew, "Couples, the Internet, and Social Media", 2014);
            less, since not every account is given to a shop.
        family_mailbox_only: of those who use it, the ones without an address of their own. Assumption.
        family_mailbox_use: records on which the others give it. Assumption.
        family_phone: households of several customers with one number for all of them. 32 % of US adults
            had a landline at home (National Health Interview Survey, January to June 2021).
        family_phone_use: records on which they give it. Assumption.
        family_device, family_device_use: households with a shared tablet or computer, visits from it.
            Assumption.
        more_mailboxes: people with 2 and with 3 addresses over the years. Assumption.
        more_numbers: people with a second phone number over the years. Assumption.
        recycled_number: people whose first number was another customer's before. 35 million US numbers
            a year are disconnected and given away again (FCC, 2018), about 5 % of those in use; that both
            owners are customers here is rarer.
        married: people who changed their last name, and their address with it, in these three years.
            Assumption: about 1.5 % of US adults marry in a year, half of them women, 79 % of those change.
        role_mailbox, role_mailbox_use: people in small companies who share an info@ or office@ address,
            and the records on which they give it. Assumption.
        office, office_use: people who have an office of 20 to 300 people with one switchboard number, and
            the records on which they give it. Assumption.
        call_centre: tickets that carry the call centre's own number. Assumption.
        clerk_junk_email: store receipts with an address that a clerk makes up, always the same ones.
            Retailers report 15 to 40 % invalid addresses from the till (Experian Data Quality, for
            Mi9 Retail); 4 % is only what repeats.
        clerk_junk_phone: the same for phones. Assumption.
        placeholder: values such as ``n/a`` in any identifier column. Assumption.
        missing: nulls in any identifier column, beyond those that a record has no reason to know.
        missing_name: records whose name is not known. Assumption.
        email_typo: typed addresses with a slip. Half a per cent of 10.6 million addresses of one system had
            a known slip in the domain alone (democracyinaction.org, node 484); 8.4 % of addresses in web
            forms are invalid for any reason (TowerData, 2018).
        phone_typo, name_typo: the same for phones and names. Assumption.
        namesake_email: typed addresses that are a namesake's. Assumption.
        nickname: names written as the short form. Assumption.
        national_phone: phones written without country code. Assumption.
        cookies: additional anonymous ids a person has, on average: 2.5 first-party cookies were seen a
            computer in one month, 31 % of people cleared theirs at least once and 7 % more than four times
            (comScore, 2007).
        clears_always: people who have a new anonymous id on each visit: those 7 %.
        kiosk, visitors_of_a_kiosk: visits from a device in a shop or library, and how many visits each
            has. Assumption.
        logged_in: visits with a user id; with_email: visits with an e-mail. Assumption.
        guest_order: orders without customer number. Assumption.
        staff_of_an_account: staff who use one test account, and test_accounts how many accounts there
            are per million people; test_use the orders and visits each of them makes with it. Assumption.
    """

    in_crm: float = 0.85
    registered_twice: float = 0.10
    orders: float = 2.9
    store: float = 1.4
    support: float = 0.7
    newsletter: float = 0.6
    visits: float = 3.5

    family_of: tuple[float, ...] = (0.60, 0.26, 0.08, 0.045, 0.015)
    same_last_name: float = 0.79
    family_mailbox: float = 0.15
    family_mailbox_only: float = 0.30
    family_mailbox_use: float = 0.30
    family_phone: float = 0.25
    family_phone_use: float = 0.25
    family_device: float = 0.25
    family_device_use: float = 0.30

    more_mailboxes: tuple[float, float] = (0.25, 0.08)
    more_numbers: float = 0.15
    recycled_number: float = 0.01
    married: float = 0.018

    role_mailbox: float = 0.01
    role_mailbox_use: float = 0.40
    office: float = 0.04
    office_use: float = 0.25
    call_centre: float = 0.02
    clerk_junk_email: float = 0.04
    clerk_junk_phone: float = 0.02

    placeholder: float = 0.02
    missing: float = 0.03
    missing_name: float = 0.05
    email_typo: float = 0.01
    phone_typo: float = 0.005
    name_typo: float = 0.015
    namesake_email: float = 0.0005
    nickname: float = 0.05
    national_phone: float = 0.10

    cookies: float = 1.5
    clears_always: float = 0.07
    kiosk: float = 0.01
    visitors_of_a_kiosk: int = 250
    logged_in: float = 0.45
    with_email: float = 0.35
    guest_order: float = 0.35

    test_accounts: float = 60.0
    staff_of_an_account: int = 8
    test_use: int = 5
