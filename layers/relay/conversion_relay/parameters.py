"""Secrets out of the SSM Parameter Store, cached for five minutes by Powertools."""

from __future__ import annotations

from aws_lambda_powertools.utilities.parameters import SSMProvider
from aws_lambda_powertools.utilities.parameters.exceptions import GetParameterError
from botocore.config import Config
from botocore.exceptions import ClientError

from conversion_relay.secrets import SecretMissing, Secrets, SecretsUnavailable

CACHE_S = 300
PATIENCE = Config(connect_timeout=1, read_timeout=2, retries={"mode": "standard", "total_max_attempts": 2})
"""In seconds. A store that does not answer is given up well before the function is: what was read before serves."""


def signing_secrets(name: str) -> Secrets:
    """The secrets in the parameter ``name``, a SecureString with one secret a line."""
    provider: list[SSMProvider] = []  # made at the first delivery: a client costs start time

    def fetch(fresh: bool) -> str:
        if not provider:
            provider.append(SSMProvider(boto_config=PATIENCE))
        try:
            return str(provider[0].get(name, max_age=CACHE_S, force_fetch=fresh, decrypt=True))
        except GetParameterError as error:
            cause = error.__context__ or error.__cause__
            if isinstance(cause, ClientError) and cause.response.get("Error", {}).get("Code") == "ParameterNotFound":
                raise SecretMissing(f"there is no parameter {name}") from error
            raise SecretsUnavailable(f"the Parameter Store did not give {name}") from error

    return Secrets(fetch)
