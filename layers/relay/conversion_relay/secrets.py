"""Signing secrets with rotation, and the API key: SecureStrings of the SSM Parameter Store.

A parameter holds one secret a line. Two lines are a rotation: the new secret first, the old one below until the
platform has stopped signing with it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

MAX_SECRETS: Final = 2
REFRESH_AT_MOST_EVERY_MS: Final = 30_000


class SecretMissing(Exception):
    """No secret is configured: everything is refused until there is one (fail closed)."""


class SecretsUnavailable(Exception):
    """The Parameter Store did not answer, and nothing is known from before."""


class Secrets:
    """The active secrets of one parameter.

    ``fetch`` reads the parameter (``fresh``: past any cache) and raises ``SecretMissing`` or ``SecretsUnavailable``.
    A value once read goes on serving while the store is out of reach.
    """

    def __init__(self, fetch: Callable[[bool], str]) -> None:
        self._fetch = fetch
        self._known: tuple[str, ...] = ()
        self._refreshed_ms: int | None = None

    def active(self) -> tuple[str, ...]:
        """The secrets, at least one.

        Raises:
            SecretMissing: the parameter is absent or empty.
            SecretsUnavailable: it could not be read now and never was before.
        """
        return self._read(fresh=False)

    def refreshed(self, now_ms: int) -> tuple[str, ...] | None:
        """The secrets read past the cache, for a signature that fits none of the known ones: a rotation is then in use
        at once. None when the last such read is under 30 s old (a flood of forged deliveries must not become one of
        reads) or brings nothing new.
        """
        if self._refreshed_ms is not None and now_ms - self._refreshed_ms < REFRESH_AT_MOST_EVERY_MS:
            return None
        self._refreshed_ms = now_ms
        before = self._known
        after = self._read(fresh=True)
        return after if after != before else None

    def _read(self, *, fresh: bool) -> tuple[str, ...]:
        try:
            value = self._fetch(fresh)
        except SecretsUnavailable:
            if self._known:
                return self._known
            raise
        secrets = tuple(line.strip() for line in value.splitlines() if line.strip())
        if not secrets:
            raise SecretMissing("the parameter is empty")
        self._known = secrets[:MAX_SECRETS]
        return self._known
