"""Digests of personal values, as SQL: one value always gives the same one, and none gives its value back.

With a salt they are HMAC-SHA-256 (RFC 2104) of ``<name>:<value>``, where the name is the identifier type or
the profile column: whoever has the salt can compute the digest of a value that is looked for, nobody else
can. The salt lies in a table, not in the SQL: messages about SQL quote it.

Table ``salt``: ``inner_key`` and ``outer_key``, the salt as HMAC pads it.
"""

from __future__ import annotations

import hashlib

from airflow_provider_customer360.unify.engine import Engine
from airflow_provider_customer360.unify.errors import ConfigError
from airflow_provider_customer360.unify.quoting import literal

#: A digest as it is published: all 256 bits, in hexadecimal digits.
PATTERN = "[0-9a-f]{64}"
#: What no one guesses.
_SHORTEST = 16
_BLOCK = 64


def set_salt(engine: Engine, salt: str) -> None:
    """Make ``salt``.

    Raises:
        ConfigError: it is no text, or so short that it could be guessed.
    """
    import pyarrow as pa

    if not isinstance(salt, str) or len(salt) < _SHORTEST:
        raise ConfigError(
            f"The salt of pii is no text of {_SHORTEST} characters or more, so that it could be guessed, and "
            "with it every value; make one, such as by `openssl rand -hex 32`, and keep it for good."
        )
    key = salt.encode()
    key = (hashlib.sha256(key).digest() if len(key) > _BLOCK else key).ljust(_BLOCK, b"\0")
    pads = {
        name: pa.array([bytes(byte ^ pad for byte in key)], pa.binary())
        for name, pad in (("inner_key", 0x36), ("outer_key", 0x5C))
    }
    engine.register("given_salt", pa.table(pads))
    engine.run("CREATE OR REPLACE TABLE salt AS SELECT * FROM given_salt")
    engine.connection.unregister("given_salt")


def digest(name: str, value: str) -> str:
    """The digest with the salt, 64 hexadecimal digits; NULL for NULL.

    Args:
        name: the identifier type or profile column as SQL, a literal or a column.
        value: the value as SQL, text.
    """
    message = f"encode({name} || ':' || {value})"
    inner = f"unhex(sha256((SELECT inner_key FROM salt) || {message}))"
    return f"sha256((SELECT outer_key FROM salt) || {inner})"


def key_of(identifier_type: str, value: str, *, salted: bool) -> str:
    """What stands for a value in a customer's id: 128 bits of a digest, without a salt of its SHA-256."""
    unsalted = f"sha256({literal(identifier_type + ':')} || {value})"
    return f"left({digest(literal(identifier_type), value) if salted else unsalted}, 32)"


def is_digest(value: str) -> str:
    """Whether a text may be one that `digest` gave, as SQL."""
    return f"regexp_full_match({value}, '{PATTERN}')"
