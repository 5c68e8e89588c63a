"""Each handler under Lambda's own runtime client, with the events that Lambda hands it, on the local AWS's resources.

The local AWS deploys the stack for table, queues, bucket and secrets; none of its functions runs here, so each step of
a conversion's way is a step of the test.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.integration.sandbox import SCHEDULE_EVENT, Runtime, Sandbox, queue_event, stream_event
from tests.integration.stack import PIXEL_ID, SECRETS, counted, empty, items, parked, queue_depth, statuses
from tests.stripe_stand_in import KEY, StripeStandIn
from tools.lambda_event import EVENT_SOURCES, bus_event, function_url_event
from tools.local_aws import Stack
from tools.samples import ORIGIN, sample
from tools.stand_in import StandIn

NAME = "runtime"
RECEIVED = [
    ("ShopifyReceiver", "shopify/orders/create"),
    ("StripeReceiver", "stripe/checkout.session.completed"),
    ("CallsReceiver", "callrail/post_call"),
    ("CallsReceiver", "twilio/completed"),
    ("CustomReceiver", "backend/order_created"),
]
THIN = sample("stripe/v1.checkout.session.completed")
SESSION = sample("stripe/checkout.session.completed").payload["data"]["object"]


class Sandboxes:
    """A sandbox for each function, started when a test wants it and kept, as on Lambda."""

    def __init__(self, runtime: Runtime, stack: Stack) -> None:
        self.runtime, self.stack = runtime, stack
        self._open = ExitStack()
        self._sandboxes: dict[str, Sandbox] = {}

    def __getitem__(self, function: str) -> Sandbox:
        if function not in self._sandboxes:
            self._sandboxes[function] = self._open.enter_context(self.runtime.sandbox(self.stack, function))
        return self._sandboxes[function]

    def close(self) -> None:
        self._open.close()


@pytest.fixture(scope="module")
def stripe() -> Iterator[StripeStandIn]:
    with StripeStandIn({THIN.payload["related_object"]["url"]: SESSION}) as stand_in:
        yield stand_in


@pytest.fixture(scope="module")
def deployed(stack: Stack, openai: StandIn, stripe: StripeStandIn) -> Stack:
    """A stack with every function, beside that of the other tests; its streams and queues start none of them."""
    parameters = {
        "PixelId": PIXEL_ID,
        "OpenAiEndpoint": f"{openai.url}/v1/events",
        "SendEvery": "rate(1 hour)",
        "PublicOrigin": ORIGIN,
        "SiteOrigin": "https://northwind-trail.example",
        "EnableCustom": "yes",
        "ShopifyEventSource": EVENT_SOURCES["shopify"],
        "StripeFetchThinEvents": "yes",
        "StripeApiEndpoint": stripe.url,
    }
    stack.client("ssm").put_parameter(Name=f"/{NAME}/stripe-api-key", Type="SecureString", Value=KEY, Overwrite=True)
    deployed = stack.aws.deploy(NAME, parameters, SECRETS)
    functions = deployed.client("lambda")
    for function in ("Outbox", "Privacy", "Fetch"):
        name = deployed.resources[function]
        for each in functions.list_event_source_mappings(FunctionName=name)["EventSourceMappings"]:
            functions.update_event_source_mapping(UUID=each["UUID"], Enabled=False)
    return deployed


@pytest.fixture(scope="module")
def sandboxes(deployed: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandboxes]:
    opened = Sandboxes(Runtime(tmp_path_factory.mktemp("runtime")), deployed)
    yield opened
    opened.close()


@pytest.fixture
def functions(sandboxes: Sandboxes, stand_in: StandIn) -> Sandboxes:
    """The sandboxes, with nothing in table, queues and bucket."""
    empty(sandboxes.stack)
    return sandboxes


def request(name: str, *, new: bool = True, encoded: bool = False) -> dict[str, Any]:
    """A freshly signed sample as the event of a Function URL."""
    chosen = sample(name)
    delivery = chosen.delivery(SECRETS[chosen.source][0], datetime.now(UTC), new=new)
    return function_url_event(delivery, encoded=encoded)


@pytest.mark.parametrize("encoded", [False, True], ids=["text", "base64"])
@pytest.mark.parametrize(("function", "name"), RECEIVED, ids=[name for _, name in RECEIVED])
def test_a_receiver_records_a_delivery_and_knows_it_again(
    functions: Sandboxes, function: str, name: str, encoded: bool
) -> None:
    # When a delivery comes, and comes again
    event = request(name, encoded=encoded)
    assert event["isBase64Encoded"] is encoded
    answers = [functions[function].invoke(event) for _ in range(2)]
    # Then both are answered in the form of a Function URL, and it is recorded once
    assert [answer["statusCode"] for answer in answers] == [200, 200]
    assert [answer["headers"] for answer in answers] == [{"content-type": "application/json"}] * 2
    assert ['"recorded"' in answers[0]["body"], '"duplicate"' in answers[1]["body"]] == [True, True]
    assert list(statuses(functions.stack).values()) == ["recorded"]
    # And each has a line of JSON that names the ledger's key
    [key] = statuses(functions.stack)
    told = [line.get("outcome") for line in functions[function].records() if line.get("key") == key]
    assert told == ["recorded", "duplicate"]


def test_a_receiver_refuses_a_forged_delivery_and_parks_what_it_cannot_read(functions: Sandboxes) -> None:
    # Given a delivery with another's signature, and one without a time
    forged = request("shopify/orders/create") | {"body": "{}"}
    chosen = sample("backend/order_created")
    timeless = replace(chosen, payload={**chosen.payload, "time": "noon"})
    unread = function_url_event(timeless.delivery(SECRETS["backend"][0], datetime.now(UTC), new=True))
    # Then the one is refused, the other parked
    assert functions["ShopifyReceiver"].invoke(forged)["statusCode"] == 401
    assert functions["CustomReceiver"].invoke(unread)["statusCode"] == 200
    assert [key.split("/")[:2] for key in parked(functions.stack)] == [["custom", "backend"]]
    assert items(functions.stack) == {}


def test_a_receiver_takes_an_event_of_its_bus(functions: Sandboxes) -> None:
    now = datetime.now(UTC)
    delivery = sample("shopify/orders/create").delivery("not signed", now, new=True)
    event = bus_event("shopify", delivery, EVENT_SOURCES["shopify"], now)
    assert functions["ShopifyReceiver"].invoke(event)["statusCode"] == 200
    assert list(statuses(functions.stack).values()) == ["recorded"]


def test_outbox_and_sender_bring_what_is_recorded_to_openai(functions: Sandboxes, stand_in: StandIn) -> None:
    # Given recorded orders
    stack = functions.stack
    for _ in range(12):
        functions["ShopifyReceiver"].invoke(request("shopify/orders/create"))
    # When the stream hands them to the outbox, in two batches, and the schedule starts the sender
    images = list(items(stack).values())
    assert functions["Outbox"].invoke(stream_event(stack, images[:2])) is None
    assert functions["Outbox"].invoke(stream_event(stack, images[2:])) is None
    assert queue_depth(stack) == 12
    run = functions["Sender"].invoke(SCHEDULE_EVENT)
    # Then all are counted and settled, and the run says so
    assert (run["sent"], run["stopped"]) == (12, None)
    assert len(counted(stand_in)) == 12
    assert set(statuses(stack).values()) == {"sent"}
    # And a second run in the same sandbox finds nothing
    assert functions["Sender"].invoke(SCHEDULE_EVENT)["received"] == 0
    assert [line["sent"] for line in functions["Sender"].records() if "sent" in line][-2:] == [12, 0]


def test_an_outbox_that_raises_tells_lambda_in_its_words_and_goes_on(functions: Sandboxes) -> None:
    # Given a recorded order
    stack = functions.stack
    functions["ShopifyReceiver"].invoke(request("shopify/orders/create"))
    event = stream_event(stack, list(items(stack).values()))
    broken = {"Records": [{**each, "dynamodb": {"Keys": each["dynamodb"]["Keys"]}} for each in event["Records"]]}
    # When the outbox cannot do its work (here: a stream that hands over no images)
    error = functions["Outbox"].invoke(broken)
    # Then the error has the form that Lambda documents for Python, which makes the stream hand the batch over again
    assert (error["errorType"], error["errorMessage"]) == ("KeyError", "'NewImage'")
    assert error.keys() == {"errorMessage", "errorType", "requestId", "stackTrace"}
    assert "app.py" in error["stackTrace"][-1] or "app.py" in error["stackTrace"][0]
    # And the log has it as a line of JSON, and the sandbox takes the next batch
    assert [line for line in functions["Outbox"].records() if line.get("errorType") == "KeyError"]
    assert functions["Outbox"].invoke(event) is None
    assert queue_depth(stack) == 1


def test_an_outbox_without_its_queue_raises(functions: Sandboxes) -> None:
    # Given an outbox whose queue is not there
    stack = functions.stack
    functions["ShopifyReceiver"].invoke(request("shopify/orders/create"))
    event = stream_event(stack, list(items(stack).values()))
    gone = f"{stack.resources['Queue']}-gone"
    with functions.runtime.sandbox(stack, "Outbox", QUEUE_URL=gone) as outbox:
        # When the stream hands it a batch, twice, then it raises each time: nothing of the batch is taken for done
        errors = [outbox.invoke(event) for _ in range(2)]
    assert [error["errorType"] for error in errors] == [errors[0]["errorType"]] * 2
    assert queue_depth(stack) == 0


def test_privacy_gives_out_what_is_held_of_a_person(functions: Sandboxes) -> None:
    # Given a recorded order, and its buyer who asks for their data
    stack = functions.stack
    functions["ShopifyReceiver"].invoke(request("shopify/orders/create", new=False))
    functions["ShopifyReceiver"].invoke(request("shopify/customers/data_request", new=False))
    [asked] = [item for key, item in items(stack).items() if key.startswith("privacy#")]
    # When the stream hands the request to the privacy function
    assert functions["Privacy"].invoke(stream_event(stack, [asked])) is None
    # Then there is a report, and the request is done
    assert [key.partition("/")[0] for key in parked(stack)] == ["privacy"]
    assert [key for key in items(stack) if key.startswith("privacy#")] == []
    assert [line for line in functions["Privacy"].records() if line.get("report") == parked(stack)[0]]


def test_fetch_records_what_a_thin_event_names(functions: Sandboxes) -> None:
    # Given a thin event that the outbox has put on the queue of what to fetch
    stack = functions.stack
    answer = functions["StripeReceiver"].invoke(request("stripe/v1.checkout.session.completed", new=False))
    assert '"to_be_fetched"' in answer["body"]
    functions["Outbox"].invoke(stream_event(stack, list(items(stack).values())))
    sqs, url = stack.client("sqs"), stack.resources["FetchQueue"]
    [message] = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=2)["Messages"]
    sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    # When the queue hands it over
    assert functions["Fetch"].invoke(queue_event(stack, "FetchQueue", [message["Body"]])) is None
    # Then the session that it names is recorded, and the item says so
    assert statuses(stack) == {f"order_created#stripe:{SESSION['id']}": "recorded"}
    assert items(stack)[f"fetch#stripe:{THIN.payload['id']}"]["status"]["S"] == "fetched"


@pytest.mark.parametrize("log_format", ["JSON", "Text"])
def test_every_line_is_json_in_either_format_of_lambda_s(functions: Sandboxes, log_format: str) -> None:
    with functions.runtime.sandbox(functions.stack, "ShopifyReceiver", AWS_LAMBDA_LOG_FORMAT=log_format) as receiver:
        assert receiver.invoke(request("shopify/orders/create"))["statusCode"] == 200
        assert receiver.invoke({})["statusCode"] == 401
        records = receiver.records()
    assert {"recorded", "refused"} <= {line.get("outcome") for line in records}
