"""Secrets out of the SSM Parameter Store, cached for five minutes."""

from __future__ import annotations

import time
from collections.abc import Callable

from botocore.exceptions import BotoCoreError, ClientError

from conversion_relay.aws_json import ParameterStore, Patience
from conversion_relay.secrets import SecretMissing, Secrets, SecretsUnavailable

CACHE_S = 300
PATIENCE = Patience(connect_s=1, read_s=2, attempts=2)
"""A store that does not answer is given up well before the function is: what was read before serves."""


def signing_secrets(
    name: str, store: ParameterStore | None = None, clock: Callable[[], float] = time.monotonic
) -> Secrets:
    """The secrets in the parameter ``name``, a SecureString with one secret a line.

    ``clock`` gives seconds, for the age of what was read.
    """
    store = store or ParameterStore(PATIENCE)
    read: list[tuple[float, str]] = []  # at most one: when, and what

    def fetch(fresh: bool) -> str:
        now = clock()
        if read and not fresh and now - read[0][0] < CACHE_S:
            return read[0][1]
        try:
            value = str(store.get_parameter(Name=name, WithDecryption=True)["Parameter"]["Value"])
        except ClientError as error:
            if error.response["Error"]["Code"] == "ParameterNotFound":
                raise SecretMissing(f"there is no parameter {name}") from error
            raise SecretsUnavailable(f"the Parameter Store did not give {name}") from error
        except BotoCoreError as error:
            raise SecretsUnavailable(f"the Parameter Store did not give {name}") from error
        read[:] = [(now, value)]
        return value

    return Secrets(fetch)
