"""AWS's JSON protocol: signed as botocore signs, over a connection that is kept, and patient no longer than told."""

import base64
import json
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from unittest.mock import patch

import boto3
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    EndpointConnectionError,
    NoCredentialsError,
    NoRegionError,
    ReadTimeoutError,
)
from hypothesis import given
from hypothesis import strategies as st

from conversion_relay import aws_json
from conversion_relay.aws_json import Credentials, DynamoDb, JsonClient, ParameterStore, Patience, endpoint, signed
from conversion_relay.parameters import CACHE_S, signing_secrets
from conversion_relay.secrets import SecretMissing, SecretsUnavailable

ITEM = {"pk": {"S": "order_created#shopify:1"}, "event": {"B": b"\x00\xffpacked"}, "recorded_ms": {"N": "1"}}
Reply = tuple[int, Any]
"""Status and body (JSON) of an answer; a callable is given the connection and does as it likes."""

words = st.text("abcdefghijklmnopqrstuvwxyz0123456789-", min_size=1, max_size=20)


class Service:
    """An AWS service on loopback that answers as told, one reply a request, the last one again and again."""

    def __init__(self, *replies: Reply | Callable[[BaseHTTPRequestHandler], None]) -> None:
        self.replies = list(replies)
        self.requests: list[tuple[str, dict[str, str], Any]] = []
        self.connections: set[Any] = set()
        service = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                service.connections.add(self.client_address)
                headers = {name.lower(): value for name, value in self.headers.items()}
                service.requests.append((self.headers["X-Amz-Target"], headers, json.loads(body)))
                reply = service.replies.pop(0) if len(service.replies) > 1 else service.replies[0]
                if callable(reply):
                    reply(self)
                    return
                status, told = reply
                answer = told if isinstance(told, bytes) else json.dumps(told).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def secure(self, folder: Path) -> None:
        """Speak TLS from now on, with a certificate of its own in ``folder/certificate.pem``."""
        key, certificate = folder / "key.pem", folder / "certificate.pem"
        subprocess.run(
            [
                "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1",
                "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate),
            ],
            check=True, capture_output=True,
        )  # fmt: skip
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)

    def stop(self) -> None:
        """No longer there."""
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_DYNAMODB", "AWS_SESSION_TOKEN", "AWS_USE_FIPS_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
    made: list[JsonClient] = []
    make = JsonClient.__init__

    def remembered(self: JsonClient, *arguments: Any, **named: Any) -> None:
        make(self, *arguments, **named)
        made.append(self)

    monkeypatch.setattr(JsonClient, "__init__", remembered)
    yield
    for each in made:
        each.close()


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Service]]:
    started: list[Service] = []

    def start(*replies: Any) -> Service:
        service = Service(*replies)
        started.append(service)
        monkeypatch.setenv("AWS_ENDPOINT_URL", service.url)
        return service

    yield start
    for service in started:
        service.stop()


def patient(*, attempts: int = 2, read_s: float = 3.0) -> tuple[DynamoDb, list[float]]:
    """A client, and how long it has slept each time, without sleeping."""
    slept: list[float] = []
    return DynamoDb(Patience(read_s=read_s, attempts=attempts), sleep=slept.append), slept


@given(st.binary(max_size=200), words, words, words, st.none() | words, st.integers(0, 4_000_000_000))
def test_a_request_is_signed_as_botocore_signs_it(
    body: bytes, region: str, access_key: str, secret_key: str, token: str | None, at: int
) -> None:
    headers = {"host": "dynamodb.example.com", "content-type": "application/x-amz-json-1.0", "x-amz-target": "T.Op"}
    keys = Credentials(access_key, secret_key, token)

    ours = signed(headers, body, service="dynamodb", region=region, keys=keys, now=time.gmtime(at))

    request = AWSRequest("POST", "https://dynamodb.example.com/", dict(headers), body)
    with patch("botocore.auth.get_current_datetime", lambda: datetime.fromtimestamp(at, UTC).replace(tzinfo=None)):
        SigV4Auth(keys, "dynamodb", region).add_auth(request)
    theirs = {name.lower(): value for name, value in request.headers.items()}
    assert ours["authorization"] == theirs["authorization"]
    assert ours == theirs


def test_a_call_is_what_boto3_would_send(serve: Callable[..., Service]) -> None:
    service = serve((200, {}))
    put = {"TableName": "ledger", "Item": ITEM, "ConditionExpression": "attribute_not_exists(pk)"}

    DynamoDb(Patience()).put_item(**put)
    with closing(boto3.client("dynamodb", endpoint_url=service.url, region_name="eu-central-1")) as theirs:
        theirs.put_item(**put)

    (target, headers, body), (boto_target, boto_headers, boto_body) = service.requests
    assert (target, body) == (boto_target, boto_body)
    assert body["Item"]["event"] == {"B": base64.b64encode(b"\x00\xffpacked").decode()}
    for name in ("content-type", "host", "x-amz-target"):
        assert headers[name] == boto_headers[name]


def test_binary_attributes_come_back_as_bytes_and_an_attribute_may_be_called_b(serve: Callable[..., Service]) -> None:
    held = {"event": {"B": base64.b64encode(b"\x00\xff").decode()}, "B": {"S": "text"}}
    serve((200, {"Item": held}))

    item = DynamoDb(Patience()).get_item(TableName="ledger", Key={})["Item"]

    assert item == {"event": {"B": b"\x00\xff"}, "B": {"S": "text"}}


def test_one_connection_serves_one_call_after_the_other(serve: Callable[..., Service]) -> None:
    service = serve((200, {}))
    client = DynamoDb(Patience())

    for _ in range(5):
        client.update_item(TableName="ledger")

    assert len(service.requests) == 5
    assert len(service.connections) == 1


def test_a_connection_that_is_said_to_end_is_not_kept(serve: Callable[..., Service]) -> None:
    def answer_once(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}")
        handler.close_connection = True

    service = serve(answer_once)
    client, slept = patient(attempts=1)

    client.put_item(TableName="1")
    client.put_item(TableName="2")

    assert len(service.connections) == 2
    assert slept == []


def test_over_tls_the_certificates_of_aws_ca_bundle_are_trusted(
    serve: Callable[..., Service], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    service = serve((200, {}))
    service.secure(tmp_path)
    monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / "certificate.pem"))
    monkeypatch.setenv("AWS_ENDPOINT_URL", service.url.replace("http:", "https:"))
    client, _ = patient(attempts=1)

    client.put_item(TableName="1")
    client.close()
    client.put_item(TableName="2")

    assert [body["TableName"] for _, _, body in service.requests] == ["1", "2"]


def test_threads_share_a_client(serve: Callable[..., Service]) -> None:
    service = serve((200, {}))
    client = DynamoDb(Patience())
    threads = [threading.Thread(target=client.update_item, kwargs={"TableName": str(each)}) for each in range(10)]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(body["TableName"] for _, _, body in service.requests) == [str(each) for each in range(10)]


def test_a_connection_that_was_closed_meanwhile_is_no_failure(serve: Callable[..., Service]) -> None:
    # Given a function that Lambda has stopped between two deliveries, for longer than AWS keeps a connection
    def answer_and_close(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        handler.wfile.flush()
        handler.connection.shutdown(socket.SHUT_RDWR)
        handler.close_connection = True

    service = serve(answer_and_close, (200, {}))
    client, slept = patient(attempts=1)

    client.put_item(TableName="1")
    time.sleep(0.1)
    client.put_item(TableName="2")

    assert [body["TableName"] for _, _, body in service.requests] == ["1", "2"]
    assert slept == []


@pytest.mark.parametrize(
    "reply",
    [
        (500, {"__type": "com.amazonaws.dynamodb.v20120810#InternalServerError"}),
        (503, b"<html>unavailable</html>"),
        (400, {"__type": "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException", "message": "m"}),
        (400, {"__type": "com.amazon.coral.availability#ThrottlingException", "message": "m"}),
    ],
)
def test_what_may_pass_the_next_time_is_tried_again(serve: Callable[..., Service], reply: Reply) -> None:
    service = serve(reply, (200, {"Attributes": {}}))
    client, slept = patient()

    assert client.put_item(TableName="ledger") == {"Attributes": {}}

    assert len(service.requests) == 2
    assert 0 <= slept[0] <= aws_json.BACK_OFF_S


def test_patience_ends_and_waits_grow(serve: Callable[..., Service]) -> None:
    service = serve((500, {"__type": "x#InternalServerError", "message": "no"}))
    client, slept = patient(attempts=5)

    with pytest.raises(ClientError, match="InternalServerError") as failed:
        client.put_item(TableName="ledger")

    assert len(service.requests) == 5
    assert all(0 <= each <= aws_json.BACK_OFF_S * 2**number for number, each in enumerate(slept))
    assert failed.value.response["ResponseMetadata"]["HTTPStatusCode"] == 500


def test_a_condition_that_does_not_hold_is_an_exception_of_the_client(serve: Callable[..., Service]) -> None:
    service = serve((400, {"__type": "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException"}))
    client, _ = patient()

    with pytest.raises(client.exceptions.ConditionalCheckFailedException) as failed:
        client.put_item(TableName="ledger")

    assert failed.value.response["Error"]["Code"] == "ConditionalCheckFailedException"
    assert len(service.requests) == 1


def test_a_cancelled_transaction_says_why_and_a_repetition_is_the_same_one(serve: Callable[..., Service]) -> None:
    reasons = [{"Code": "None"}, {"Code": "ConditionalCheckFailed"}]
    cancelled = {"__type": "x#TransactionCanceledException", "Message": "m", "CancellationReasons": reasons}
    service = serve((500, {}), (400, cancelled), (200, {}))
    client, _ = patient()

    with pytest.raises(client.exceptions.TransactionCanceledException) as failed:
        client.transact_write_items(TransactItems=[])
    client.transact_write_items(TransactItems=[])

    assert failed.value.response["CancellationReasons"] == reasons
    first, again, other = (body["ClientRequestToken"] for _, _, body in service.requests)
    assert first == again != other


def test_a_service_that_is_silent_is_given_up(serve: Callable[..., Service]) -> None:
    service = serve(lambda _: time.sleep(0.4))
    client, _ = patient(read_s=0.05)

    with pytest.raises(ReadTimeoutError):
        client.put_item(TableName="ledger")

    assert len(service.requests) == 2


def test_a_service_that_hangs_up_is_given_up(serve: Callable[..., Service]) -> None:
    def hang_up(handler: BaseHTTPRequestHandler) -> None:
        handler.close_connection = True

    service = serve(hang_up)
    client, _ = patient()

    with pytest.raises(ConnectionClosedError):
        client.put_item(TableName="ledger")

    assert len(service.requests) == 2


def test_nobody_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{taken.getsockname()[1]}")
        client, slept = patient()
        with pytest.raises(EndpointConnectionError):
            client.put_item(TableName="ledger")
    assert len(slept) == 1


def test_over_tls_a_certificate_that_nobody_vouches_for_is_refused(serve: Callable[..., Service]) -> None:
    service = serve((200, {}))
    with patch.dict("os.environ", AWS_ENDPOINT_URL=service.url.replace("http:", "https:")):
        client, _ = patient(attempts=1)
    with pytest.raises(EndpointConnectionError):
        client.put_item(TableName="ledger")
    assert service.requests == []


def test_what_has_no_place_in_json_is_not_sent(serve: Callable[..., Service]) -> None:
    service = serve((200, {}))
    with pytest.raises(TypeError, match="set has no place in a request"):
        DynamoDb(Patience()).put_item(TableName={"ledger"})
    assert service.requests == []


@pytest.mark.parametrize(
    ("variables", "address"),
    [
        ({}, "https://dynamodb.eu-central-1.amazonaws.com"),
        ({"AWS_REGION": "cn-north-1"}, "https://dynamodb.cn-north-1.amazonaws.com.cn"),
        ({"AWS_USE_FIPS_ENDPOINT": "true"}, "https://dynamodb-fips.eu-central-1.amazonaws.com"),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}, "http://127.0.0.1:1"),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_ENDPOINT_URL_DYNAMODB": "http://a:2"}, "http://a:2"),
    ],
)
def test_the_address_of_a_service(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], address: str) -> None:
    region = variables.get("AWS_REGION", "eu-central-1")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert endpoint("dynamodb", region) == address


@contextmanager
def without_keys(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with patch.object(aws_json, "_provider", []):
        yield


def test_with_snapstart_the_keys_come_from_where_lambda_says(
    monkeypatch: pytest.MonkeyPatch, serve: Callable[..., Service]
) -> None:
    class Keys(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer = {
                "AccessKeyId": "ASIA", "SecretAccessKey": "secret", "Token": "token",
                "Expiration": "2099-01-01T00:00:00Z",
            }  # fmt: skip
            self.send_response(200 if self.headers["Authorization"] == "who asks" else 403)
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Keys) as server, without_keys(monkeypatch):
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"http://127.0.0.1:{server.server_address[1]}/")
        monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "who asks")
        assert aws_json.credentials() == aws_json.credentials() == Credentials("ASIA", "secret", "token")
        server.shutdown()


def test_without_keys_nothing_is_sent(monkeypatch: pytest.MonkeyPatch, serve: Callable[..., Service]) -> None:
    service = serve((200, {}))
    with without_keys(monkeypatch), pytest.raises(NoCredentialsError):
        DynamoDb(Patience()).put_item(TableName="ledger")
    assert service.requests == []


# The Parameter Store -------------------------------------------------------------------------------------------------


def test_a_secret_is_read_once_in_five_minutes_unless_it_is_asked_for_afresh(serve: Callable[..., Service]) -> None:
    service = serve((200, {"Parameter": {"Value": "one\ntwo"}}), (200, {"Parameter": {"Value": "three"}}))
    now = [0.0]
    secrets = signing_secrets("/relay/signing-secrets/shopify", clock=lambda: now[0])

    assert secrets.active() == ("one", "two")
    now[0] = CACHE_S - 1
    assert secrets.active() == ("one", "two")
    assert len(service.requests) == 1
    now[0] = CACHE_S
    assert secrets.active() == ("three",)
    assert secrets.latest() == ("three",)
    assert len(service.requests) == 3
    target, headers, body = service.requests[0]
    assert (target, headers["content-type"]) == ("AmazonSSM.GetParameter", "application/x-amz-json-1.1")
    assert body == {"Name": "/relay/signing-secrets/shopify", "WithDecryption": True}


def test_a_parameter_that_is_not_there_is_a_missing_secret(serve: Callable[..., Service]) -> None:
    serve((400, {"__type": "ParameterNotFound"}))
    with pytest.raises(SecretMissing, match="there is no parameter /relay/x"):
        signing_secrets("/relay/x").active()


@pytest.mark.parametrize(
    "reply", [(400, {"__type": "AccessDeniedException"}), lambda handler: setattr(handler, "close_connection", True)]
)
def test_a_store_that_gives_nothing_is_unavailable(serve: Callable[..., Service], reply: Any) -> None:
    serve(reply)
    store = ParameterStore(Patience(), sleep=lambda _: None)
    with pytest.raises(SecretsUnavailable, match="the Parameter Store did not give /relay/x"):
        signing_secrets("/relay/x", store).active()


def test_what_was_read_before_serves_while_the_store_is_out_of_reach(serve: Callable[..., Service]) -> None:
    serve((200, {"Parameter": {"Value": "one"}}), (400, {"__type": "AccessDeniedException"}))
    secrets = signing_secrets("/relay/x")

    assert secrets.active() == ("one",)
    assert secrets.latest() == ("one",)


def test_without_a_region_no_client_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_REGION")
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    with pytest.raises(NoRegionError):
        DynamoDb(Patience())
