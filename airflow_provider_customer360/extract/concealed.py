"""What upstream tasks returned, kept out of the Rendered Templates page.

Airflow stores the text of every rendered template field in its metadata database, and the text of a
frame is its first rows.
"""

from __future__ import annotations

from typing import Any


class Concealed:
    """A value whose text is only its kind and size, such as ``<DataFrame 3 rows x 4 columns>``."""

    def __init__(self, value: Any) -> None:
        self.value = value

    @classmethod
    def wrap(cls, value: Any) -> Any:
        """Wrap anything but None."""
        return value if value is None or isinstance(value, cls) else cls(value)

    @staticmethod
    def unwrap(value: Any) -> Any:
        """The value itself, for the code that reads it."""
        return value.value if isinstance(value, Concealed) else value

    def __str__(self) -> str:
        kind = type(self.value).__name__
        shape = getattr(self.value, "shape", None)
        if isinstance(shape, tuple) and len(shape) == 2:
            return f"<{kind} {shape[0]:,} rows x {shape[1]:,} columns>"
        return f"<{kind}>"

    __repr__ = __str__
