"""AWS's JSON protocol, for the calls that are made while a webhook waits: DynamoDB and the Parameter Store.

boto3 builds its clients from the model of the whole service, which is most of a receiver's cold start (``make bench``).
The few calls here need none of it: a signed POST with the request as JSON, as boto3 sends it too. Each client has the
methods, argument and answer shapes, and exceptions of the boto3 client that it stands for, so whoever uses one does not
know which it is.

Not covered, because no function of this app has them: profiles and AWS's files, proxies, dual-stack addresses.

Source: Amazon DynamoDB Developer Guide, low-level API; IAM User Guide, Signature Version 4; botocore is the oracle in
tests.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import json
import os
import random
import select
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from http.client import HTTPException, HTTPResponse
from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple
from urllib.parse import urlsplit

from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    EndpointConnectionError,
    NoCredentialsError,
    NoRegionError,
    ReadTimeoutError,
)

if TYPE_CHECKING:
    import ssl

RETRIED: Final = frozenset(
    {
        "InternalServerError",
        "ItemCollectionSizeLimitExceededException",
        "LimitExceededException",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "ServiceUnavailable",
        "ThrottlingException",
        "TransactionInProgressException",
    }
)
"""Error codes after which the same request may pass, beside every 5xx."""
BACK_OFF_S: Final = 0.2
"""Full jitter before a second attempt: between nothing and this; twice as long before each further one."""


class Credentials(NamedTuple):
    """Keys to sign with."""

    access_key: str
    secret_key: str
    token: str | None


@dataclass(frozen=True)
class Patience:
    """How long a call may take. Seconds; ``attempts`` in all."""

    connect_s: float = 1.0
    read_s: float = 3.0
    attempts: int = 2


def credentials() -> Credentials:
    """Those of the function's role.

    Raises:
        NoCredentialsError: there are none.
    """
    return _given_credentials() or _renewed_credentials()


def _given_credentials() -> Credentials | None:
    """As Lambda puts them into the environment, for as long as the process lives. With SnapStart it does not, as they
    would be in the snapshot; then botocore knows where they are, and renews them.
    """
    environment = os.environ
    if "AWS_ACCESS_KEY_ID" not in environment or "AWS_SECRET_ACCESS_KEY" not in environment:
        return None
    return Credentials(
        environment["AWS_ACCESS_KEY_ID"], environment["AWS_SECRET_ACCESS_KEY"], environment.get("AWS_SESSION_TOKEN")
    )


_provider: list[Any] = []


def _renewed_credentials() -> Credentials:
    if not _provider:
        from botocore.session import Session

        found = Session().get_credentials()
        if found is None:
            raise NoCredentialsError
        _provider.append(found)
    frozen = _provider[0].get_frozen_credentials()
    return Credentials(frozen.access_key, frozen.secret_key, frozen.token)


def signed(
    headers: Mapping[str, str], body: bytes, *, service: str, region: str, keys: Credentials, now: time.struct_time
) -> dict[str, str]:
    """The headers of a POST to ``/`` with its signature (Signature Version 4). ``headers`` name the host."""
    at = time.strftime("%Y%m%dT%H%M%SZ", now)
    signs = {**headers, "x-amz-date": at}
    if keys.token:
        signs["x-amz-security-token"] = keys.token
    in_order = sorted(signs.items())
    names = ";".join([name for name, _ in in_order])
    lines = "".join([f"{name}:{value.strip()}\n" for name, value in in_order])
    request = f"POST\n/\n\n{lines}\n{names}\n{hashlib.sha256(body).hexdigest()}"
    scope = f"{at[:8]}/{region}/{service}/aws4_request"
    to_sign = f"AWS4-HMAC-SHA256\n{at}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
    signature = hmac.digest(_signing_key(keys.secret_key, scope), to_sign.encode(), "sha256").hex()
    signs["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={keys.access_key}/{scope}, SignedHeaders={names}, Signature={signature}"
    )
    return signs


@lru_cache(maxsize=4)
def _signing_key(secret_key: str, scope: str) -> bytes:
    """The key of a day, a region and a service: the same for every request of that day."""
    key = f"AWS4{secret_key}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


class JsonClient:
    """Calls one service. May be shared by threads: each call has a connection of its own, which is kept open after it.

    Args:
        patience: how long a call may take.
        clock: seconds since the epoch, for the signature.
        sleep: waits seconds before another attempt.

    Raises:
        NoRegionError: the environment names no region.
    """

    service: str
    target: str
    version: str
    errors: ClassVar[Mapping[str, type[ClientError]]] = {}

    def __init__(
        self,
        patience: Patience,
        *,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
        if not region:
            raise NoRegionError
        self._region = region
        self._keys = _given_credentials()
        self._endpoint = urlsplit(endpoint(self.service, self._region))
        self._patience = patience
        self._clock = clock
        self._sleep = sleep
        self._idle: list[socket.socket] = []
        self._tls: ssl.SSLContext | None = None

    def close(self) -> None:
        """Close the connections that are kept; another call opens one again."""
        while self._idle:
            self._idle.pop().close()

    def __del__(self) -> None:
        # Kept by nobody else. Without a region there is no list of them yet.
        if hasattr(self, "_idle"):
            self.close()

    def _call(self, operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """One operation.

        Raises:
            ClientError: the service refused it; of ``errors``, if its code is among them.
            BotoCoreError: it could not be reached, or did not answer in time.
        """
        body = _ENCODER.encode(request).encode()
        attempt = 1
        while True:
            try:
                status, answer = self._post(operation, body)
            except (EndpointConnectionError, ConnectionClosedError, ReadTimeoutError):
                if attempt >= self._patience.attempts:
                    raise
            else:
                if status == 200:
                    return answer
                error = self._error(operation, status, answer)
                again = status >= 500 or error.response["Error"]["Code"] in RETRIED
                if not again or attempt >= self._patience.attempts:
                    raise error
            self._sleep(random.uniform(0, BACK_OFF_S * 2 ** (attempt - 1)))  # noqa: S311 - no secret
            attempt += 1

    def _post(self, operation: str, body: bytes) -> tuple[int, dict[str, Any]]:
        headers = signed(
            {
                "content-type": f"application/x-amz-json-{self.version}",
                "host": self._endpoint.netloc,
                "x-amz-target": f"{self.target}.{operation}",
            },
            body,
            service=self.service,
            region=self._region,
            keys=self._keys or _renewed_credentials(),
            now=time.gmtime(self._clock()),
        )
        status, answer = self._exchange(headers, body)
        try:
            return status, _DECODER.decode(answer.decode()) if len(answer) > len("{}") else {}
        except ValueError:
            return status, {}  # of a load balancer on the way; the status says enough

    def _exchange(self, headers: Mapping[str, str], body: bytes) -> tuple[int, bytes]:
        """One request on the wire: status and body of the answer."""
        url = self._endpoint.geturl()
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        request = f"POST / HTTP/1.1\r\n{head}content-length: {len(body)}\r\n\r\n".encode("latin-1") + body
        try:
            connection = self._connection()
        except OSError as error:
            raise EndpointConnectionError(endpoint_url=url, error=error) from error
        try:
            connection.settimeout(self._patience.read_s)
            connection.sendall(request)  # head and body at once: http.client makes two packets of them
            with HTTPResponse(connection, method="POST") as response:
                response.begin()
                answer = response.read()
        except TimeoutError as error:
            connection.close()
            raise ReadTimeoutError(endpoint_url=url, error=error) from error
        except (OSError, HTTPException) as error:
            connection.close()
            raise ConnectionClosedError(endpoint_url=url, error=error) from error
        if response.will_close:
            connection.close()
        else:
            self._idle.append(connection)
        return response.status, answer

    def _connection(self) -> socket.socket:
        """A connection that is open: one that is kept, or a new one."""
        while self._idle:
            with contextlib.suppress(IndexError):  # another thread took the last one
                connection = self._idle.pop()
                if not _is_dropped(connection):
                    return connection
                connection.close()
        secure = self._endpoint.scheme == "https"
        host, port = self._endpoint.hostname or "", self._endpoint.port or (443 if secure else 80)
        connection = socket.create_connection((host, port), self._patience.connect_s)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if not secure:
            return connection
        try:
            return self._tls_context().wrap_socket(connection, server_hostname=host)
        except BaseException:
            connection.close()
            raise

    def _tls_context(self) -> ssl.SSLContext:
        if self._tls is None:
            import ssl

            self._tls = ssl.create_default_context(cafile=os.environ.get("AWS_CA_BUNDLE") or None)
        return self._tls

    def _error(self, operation: str, status: int, answer: Mapping[str, Any]) -> ClientError:
        code = str(answer.get("__type", status)).rpartition("#")[2]
        message = str(answer.get("message") or answer.get("Message") or "")
        response: Any = {**answer, "Error": {"Code": code, "Message": message}}
        response["ResponseMetadata"] = {"HTTPStatusCode": status}
        return self.errors.get(code, ClientError)(response, operation)


class ConditionalCheckFailedException(ClientError):
    """The condition of a write does not hold."""


class TransactionCanceledException(ClientError):
    """Nothing of a transaction was written; ``response["CancellationReasons"]`` says why, for each of its writes."""


class _DynamoDbExceptions:
    ConditionalCheckFailedException = ConditionalCheckFailedException
    TransactionCanceledException = TransactionCanceledException


class DynamoDb(JsonClient):
    """The operations on items that the ledger uses."""

    service = "dynamodb"
    target = "DynamoDB_20120810"
    version = "1.0"
    exceptions = _DynamoDbExceptions
    errors: ClassVar = {each.__name__: each for each in (ConditionalCheckFailedException, TransactionCanceledException)}

    def put_item(self, **request: Any) -> dict[str, Any]:
        """As boto3's."""
        return self._call("PutItem", request)

    def get_item(self, **request: Any) -> dict[str, Any]:
        """As boto3's."""
        return self._call("GetItem", request)

    def update_item(self, **request: Any) -> dict[str, Any]:
        """As boto3's."""
        return self._call("UpdateItem", request)

    def transact_write_items(self, **request: Any) -> dict[str, Any]:
        """As boto3's. A token makes a repetition after a lost answer the same transaction."""
        return self._call("TransactWriteItems", {"ClientRequestToken": _token(), **request})


class ParameterStore(JsonClient):
    """SSM's parameters."""

    service = "ssm"
    target = "AmazonSSM"
    version = "1.1"

    def get_parameter(self, **request: Any) -> dict[str, Any]:
        """As boto3's."""
        return self._call("GetParameter", request)


def endpoint(service: str, region: str) -> str:
    """The address of a service: what the environment names (``AWS_ENDPOINT_URL…``), else that of the region."""
    named = os.environ.get(f"AWS_ENDPOINT_URL_{service.upper()}") or os.environ.get("AWS_ENDPOINT_URL")
    if named:
        return named
    fips = "-fips" if os.environ.get("AWS_USE_FIPS_ENDPOINT", "").lower() == "true" else ""
    suffix = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    return f"https://{service}{fips}.{region}.{suffix}"


def _is_dropped(connection: socket.socket) -> bool:
    """Whether the other side has closed it meanwhile: Lambda stops a function between two requests for minutes."""
    look = select.poll()
    look.register(connection, select.POLLIN)
    return bool(look.poll(0))


def _base64(value: object) -> str:
    """Binary attributes, which JSON has no type for."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    raise TypeError(f"{type(value).__name__} has no place in a request")


def _bytes(value: dict[str, Any]) -> dict[str, Any]:
    """Back again: ``{"B": "base64"}`` is an attribute's value, whatever its name."""
    if len(value) == 1 and isinstance(text := value.get("B"), str):
        return {"B": base64.b64decode(text)}
    return value


_DECODER: Final = json.JSONDecoder(object_hook=_bytes)
_ENCODER: Final = json.JSONEncoder(separators=(",", ":"), default=_base64)


def _token() -> str:
    return os.urandom(16).hex()
