"""Signing secrets with rotation, and the API key: SecureStrings of the SSM Parameter Store.

A parameter holds one secret a line. Two lines are a rotation: the new secret first, the old one below until the
platform has stopped signing with it. Where several shops or accounts have secrets of their own, a line begins with
whose it is, and then speaks for nobody else::

    [COM8154748ae6bd4e27] the signing key of this company
    [COM0a1b2c3d4e5f6a7b] that of another
    the key of all others, if there is one
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final

Tenant = Callable[[], str | None]
"""Says whose delivery it claims to be. Asked only where secrets are labelled: to know it may take reading the body."""

MAX_SECRETS: Final = 2
"""For each tenant."""
REFRESH_AT_MOST_EVERY_MS: Final = 30_000
_LABELLED: Final = re.compile(r"\[([^\]]+)\]\s+(\S.*)")


def _nobody() -> None:
    return None


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
        self._known: Mapping[str | None, Sequence[str]] = {}
        self._refreshed_ms: int | None = None

    def active(self, tenant: Tenant = _nobody) -> Sequence[str]:
        """The secrets of a tenant: its own where it has some, else those of all others; none where there are only
        those of other tenants.

        Raises:
            SecretMissing: the parameter is absent or empty.
            SecretsUnavailable: it could not be read now and never was before.
        """
        return _of(self._read(fresh=False), tenant)

    def latest(self, tenant: Tenant = _nobody) -> Sequence[str]:
        """As ``active``, read past the cache: for who asks seldom, and wants a new secret to be in use at once."""
        return _of(self._read(fresh=True), tenant)

    def refreshed(self, now_ms: int, tenant: Tenant = _nobody) -> Sequence[str] | None:
        """The secrets read past the cache, for a signature that fits none of the known ones: a rotation is then in use
        at once. None when the last such read is under 30 s old (a flood of forged deliveries must not become one of
        reads) or brings nothing new.
        """
        if self._refreshed_ms is not None and now_ms - self._refreshed_ms < REFRESH_AT_MOST_EVERY_MS:
            return None
        self._refreshed_ms = now_ms
        before = self._known
        after = self._read(fresh=True)
        return _of(after, tenant) if after != before else None

    def _read(self, *, fresh: bool) -> Mapping[str | None, Sequence[str]]:
        try:
            value = self._fetch(fresh)
        except SecretsUnavailable:
            if self._known:
                return self._known
            raise
        secrets: dict[str | None, list[str]] = {}
        for line in filter(None, map(str.strip, value.splitlines())):
            labelled = _LABELLED.fullmatch(line)
            whose, secret = (labelled[1].strip().lower(), labelled[2]) if labelled else (None, line)
            secrets.setdefault(whose, []).append(secret)
        if not secrets:
            raise SecretMissing("the parameter is empty")
        self._known = {whose: tuple(each[:MAX_SECRETS]) for whose, each in secrets.items()}
        return self._known


def _of(secrets: Mapping[str | None, Sequence[str]], tenant: Tenant) -> Sequence[str]:
    everybodys = secrets.get(None, ())
    if len(secrets) == 1 and everybodys:
        return everybodys
    return secrets.get((tenant() or "").lower()) or everybodys


class NoSecrets:
    """For deliveries that are proved in another way than by a signature, and so need no secret."""

    def active(self, tenant: Tenant) -> Sequence[str]:  # noqa: ARG002 - the port's signature
        return ()

    def refreshed(self, now_ms: int, tenant: Tenant) -> None:  # noqa: ARG002
        return None
