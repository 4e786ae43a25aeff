"""Which spellings of an address reach one mailbox, by the providers' own documentation.

Off unless a type's ``standardise`` is ``email_with_provider_rules``: an address may be handed out in one
spelling and kept in another, but a rule that a provider changes would glue strangers.

- Gmail: dots do not matter, what follows a plus is ignored, googlemail.com is gmail.com
  [support.google.com/mail/answer/7436150, /answer/10313, /answer/22370].
- Outlook.com: what follows a plus is ignored; documented for Exchange Online, and for Hotmail since 2013
  [learn.microsoft.com/exchange/recipients-in-exchange-online/plus-addressing-in-exchange-online].
- Fastmail: what follows a plus is ignored [fastmail.help/hc/en-us/articles/360060591053]. Its subdomain
  addresses (shop@ann.fastmail.com) and more than a hundred other domains are left alone.
- iCloud: what follows a plus is ignored [not in Apple's documentation; widely reported, such as in
  Wikipedia's "Email address"].
- Proton: what follows a plus is ignored [proton.me/support/addresses-and-aliases]. Its domains are not made
  one: each has addresses of its own.
- Yahoo: a disposable address is a base name, a hyphen and a keyword
  [help.yahoo.com, "Using disposable addresses"]; names of accounts have no hyphen. The base name is chosen by
  the owner and need not be the name of the account.
"""

from __future__ import annotations

from airflow_provider_customer360.unify.quoting import literal

_SAME_DOMAIN = {"googlemail.com": "gmail.com"}
_DOTS_IGNORED = ("gmail.com",)
_TAGS = {
    "+": (
        *("gmail.com", "outlook.com", "hotmail.com", "live.com", "msn.com", "fastmail.com", "fastmail.fm"),
        *("icloud.com", "me.com", "mac.com", "protonmail.com", "protonmail.ch", "proton.me", "pm.me"),
    ),
    "-": ("yahoo.com", "ymail.com", "rocketmail.com"),
}

#: Intermediate values, each from those before it, of an address in lower case, ``{value}``.
STEPS = {
    "host": "CASE split_part({value}, '@', 2) "
    + " ".join(f"WHEN {literal(one)} THEN {literal(other)}" for one, other in _SAME_DOMAIN.items())
    + " ELSE split_part({value}, '@', 2) END",
    "untagged": "CASE "
    + " ".join(
        # A mailbox that begins with the sign has no other name.
        f"WHEN {{host}} IN ({', '.join(map(literal, domains))}) AND {{mailbox}}[1] <> {literal(sign)} "
        f"THEN split_part({{mailbox}}, {literal(sign)}, 1)"
        for sign, domains in _TAGS.items()
    )
    + " ELSE {mailbox} END",
    "undotted": f"CASE WHEN {{host}} IN ({', '.join(map(literal, _DOTS_IGNORED))}) "
    "AND replace({untagged}, '.', '') <> '' THEN replace({untagged}, '.', '') ELSE {untagged} END",
}
#: The mailbox without what its provider ignores, and the standard form of the address, from those values.
MAILBOX = "{undotted}"
ADDRESS = f"{MAILBOX} || '@' || {{host}}"
