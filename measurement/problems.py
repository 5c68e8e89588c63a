"""What is wrong with the user's data, in sentences: what happened, on which thing, what to do next.

::

    Problem
    ├── BadInput     a file, an answer or a setting cannot be used: where (file, line, column), why
    └── CannotSay    the data is read, but does not carry this statement; the rest of the report is made without it
"""

from __future__ import annotations


class Problem(Exception):
    """Something a person has to know. The text is whole sentences, without personal data."""


class BadInput(Problem):
    """An input cannot be used.

    ``where`` is the file, the address or the setting, ``line`` the line in it (from 1, the heading's is 1), ``advice``
    what to do.
    """

    def __init__(self, where: str, reason: str, advice: str, line: int | None = None) -> None:
        place = where if line is None else f"{where}:{line}"
        super().__init__(f"{place}: {reason}. {advice}")
        self.where = where
        self.line = line
        self.reason = reason
        self.advice = advice


class CannotSay(Problem):
    """The data does not carry a statement: ``what`` is not shown, ``why``, and ``advice`` what would change that."""

    def __init__(self, what: str, why: str, advice: str) -> None:
        super().__init__(f"{what}: not shown, because {why}. {advice}")
        self.what = what
        self.why = why
        self.advice = advice
