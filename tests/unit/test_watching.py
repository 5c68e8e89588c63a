"""Who is told of what goes wrong, and what is there to look at: alarms, the dashboard and the saved queries."""

import copy
import json
import re
from collections.abc import Callable
from itertools import product
from typing import Any

import pytest

from conversion_relay.sources import callrail, calltrackingmetrics, shopify, stripe, twilio, whatconverts
from tools.lint_dashboard import FREE_METRICS, METRICS, SWITCHES, faults, metrics_used, whole
from tools.template import ROOT, Resolved, of_type, read

TEMPLATE = read()
RESOURCES = TEMPLATE["Resources"]
ALARMS = of_type(TEMPLATE, "AWS::CloudWatch::Alarm")
QUERIES = of_type(TEMPLATE, "AWS::Logs::QueryDefinition")
DEFAULT = Resolved(TEMPLATE, {})
EVERYTHING = Resolved(TEMPLATE, dict.fromkeys(SWITCHES, "yes"))
OF_THE_STACK = [{"Name": "service", "Value": {"Ref": "AWS::StackName"}}]
STACKS = [dict(zip(SWITCHES, choice, strict=True)) for choice in product(("yes", "no"), repeat=len(SWITCHES))]
NAMED = [module.SOURCE.name for module in (shopify, stripe, callrail, calltrackingmetrics, whatconverts, twilio)]
"""The sources whose names are known before anything is deployed; a custom platform's is that of its file."""


def body(stack: Resolved) -> dict[str, Any]:
    written = RESOURCES["StackDashboard"]["Properties"]["DashboardBody"]
    found: dict[str, Any] = json.loads(stack.value(written))
    return found


def widget(title: str, stack: Resolved = EVERYTHING) -> dict[str, Any]:
    (found,) = [each for each in body(stack)["widgets"] if title in each["properties"].get("title", "")]
    return dict(found["properties"])


# Alarms --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "queue", [each for each in of_type(TEMPLATE, "AWS::SQS::Queue") if each not in ("Queue", "FetchQueue")]
)
def test_a_message_given_up_raises_an_alarm(queue: str) -> None:
    watching = [
        alarm["Properties"]
        for alarm in ALARMS.values()
        if alarm["Properties"]["Dimensions"] == [{"Name": "QueueName", "Value": {"Fn::GetAtt": [queue, "QueueName"]}}]
    ]
    assert [(each["MetricName"], each["Threshold"], each["ComparisonOperator"]) for each in watching] == [
        ("ApproximateNumberOfMessagesVisible", 0, "GreaterThanThreshold")
    ]


@pytest.mark.parametrize(
    ("metric", "threshold", "compared"),
    [
        ("Parked", 0, "GreaterThanThreshold"),
        ("Refused", 20, "GreaterThanOrEqualToThreshold"),
        ("Blocked", 0, "GreaterThanThreshold"),
        ("Rejected", 0, "GreaterThanThreshold"),
        ("Expired", 0, "GreaterThanThreshold"),
        ("DataRequests", 0, "GreaterThanThreshold"),
        ("OldestUnsentSeconds", 24 * 3600, "GreaterThanThreshold"),
    ],
)
def test_a_business_metric_raises_an_alarm_of_this_stack_alone(metric: str, threshold: int, compared: str) -> None:
    (alarm,) = [each["Properties"] for each in ALARMS.values() if each["Properties"]["MetricName"] == metric]
    variables = TEMPLATE["Globals"]["Function"]["Environment"]["Variables"]
    assert alarm["Namespace"] == variables["POWERTOOLS_METRICS_NAMESPACE"]
    assert alarm["Dimensions"] == OF_THE_STACK
    assert variables["POWERTOOLS_SERVICE_NAME"] == OF_THE_STACK[0]["Value"]
    assert (alarm["Threshold"], alarm["ComparisonOperator"]) == (threshold, compared)


def test_no_function_writes_its_metrics_under_another_name() -> None:
    functions = of_type(TEMPLATE, "AWS::Serverless::Function").values()
    variables = {name for each in functions for name in each["Properties"]["Environment"]["Variables"]}
    assert [name for name in variables if name.startswith("POWERTOOLS")] == []


def test_the_metrics_alarmed_on_are_those_that_the_code_writes() -> None:
    written = "".join(
        (ROOT / "layers/relay/conversion_relay" / f"{each}.py").read_text(encoding="utf-8")
        for each in ("journal", "observability")
    )
    watched = {
        each["Properties"]["MetricName"]
        for each in ALARMS.values()
        if each["Properties"]["Namespace"] == "ConversionRelay"
    }
    assert [metric for metric in watched if f'"{metric}"' not in written] == []


def test_the_metrics_that_are_watched_are_all_that_there_are_and_free() -> None:
    assert metrics_used(TEMPLATE) == METRICS
    assert len(METRICS) == 10


@pytest.mark.parametrize("metric", ["Url5xxCount", "Throttles"])
@pytest.mark.parametrize(
    "receiver", ["ShopifyReceiver", "StripeReceiver", "CallsReceiver", "CustomReceiver", "ClickMemory"]
)
def test_a_platform_that_is_turned_away_raises_an_alarm(receiver: str, metric: str) -> None:
    of_the_receiver = [{"Name": "FunctionName", "Value": {"Ref": receiver}}]
    (name,) = [
        name
        for name, each in ALARMS.items()
        if (each["Properties"]["MetricName"], each["Properties"]["Dimensions"]) == (metric, of_the_receiver)
    ]
    assert ALARMS[name].get("Condition") == RESOURCES[receiver].get("Condition")


def test_a_stack_as_it_comes_has_few_alarms() -> None:
    # 10 of an account are free, each further one is 0.10 USD a month.
    assert len(DEFAULT.resources("AWS::CloudWatch::Alarm")) == 21


def test_the_alarm_on_refused_deliveries_names_every_command_that_mends_it() -> None:
    text = ALARMS["RefusedAlarm"]["Properties"]["AlarmDescription"]
    commands = {name for name in TEMPLATE["Outputs"] if name.endswith("SecretCommand")}
    assert set(re.findall(r"\w+SecretCommand", text)) == commands
    assert len(commands) > 6


@pytest.mark.parametrize("alarm", ALARMS)
def test_what_an_alarm_names_is_there(alarm: str) -> None:
    text = ALARMS[alarm]["Properties"]["AlarmDescription"]
    for named in re.findall(r"\boutputs? ([A-Z]\w+)", text):
        assert named in TEMPLATE["Outputs"]
    for named in re.findall(r'saved query "([^"]+)"', text):
        assert named in {query["Properties"]["Name"]["Fn::Sub"].partition("/")[2] for query in QUERIES.values()}
    for named in re.findall(r"\bparameters? ([A-Z]\w+)", text):
        assert named in TEMPLATE["Parameters"]


def test_a_sender_that_does_not_run_raises_an_alarm() -> None:
    alarm = ALARMS["SenderNotRunningAlarm"]["Properties"]
    assert (alarm["MetricName"], alarm["TreatMissingData"]) == ("Invocations", "breaching")
    assert alarm["Period"] * alarm["EvaluationPeriods"] > 3600  # the longest SendEvery


# The dashboard -------------------------------------------------------------------------------------------------------


def test_the_dashboard_is_there_unless_it_is_not_wanted() -> None:
    assert DEFAULT.resources("AWS::CloudWatch::Dashboard").keys() == {"StackDashboard"}
    assert Resolved(TEMPLATE, {"Dashboard": "no"}).resources("AWS::CloudWatch::Dashboard") == {}
    assert TEMPLATE["Outputs"]["DashboardUrl"]["Condition"] == RESOURCES["StackDashboard"]["Condition"]


@pytest.mark.parametrize("enabled", STACKS, ids=lambda each: "".join(value[0] for value in each.values()))
def test_the_dashboard_shows_the_functions_that_a_stack_has_and_no_other(enabled: dict[str, str]) -> None:
    # Given a stack with some of the sources
    stack = Resolved(TEMPLATE, enabled)
    # When its dashboard is drawn
    errors = whole(widget("Failed runs", stack)["metrics"])
    # Then there is a line for each of its functions
    functions = stack.resources("AWS::Serverless::Function")
    assert {row[-1] for row in errors} == {stack.physical(name) for name in functions}
    # And the tables read the log of each function that writes a line for a delivery
    receivers = [name for name in functions if name == "Fetch" or name.endswith("Receiver")]
    read = set(re.findall(r"SOURCE '([^']+)' \|", widget("by source and outcome", stack)["query"]))
    assert read == {stack.physical(f"{name}Logs") for name in [*receivers, "Sender"]}


def test_the_dashboard_shows_every_metric_and_every_queue_of_what_was_given_up() -> None:
    rows = [row for each in body(EVERYTHING)["widgets"] for row in whole(each["properties"].get("metrics", []))]
    assert {row[1] for row in rows if row[0] == "ConversionRelay"} == METRICS
    aside = {row[-1] for row in whole(widget("Put aside")["metrics"])}
    queues = set(of_type(TEMPLATE, "AWS::SQS::Queue")) - {"Queue", "FetchQueue"}
    assert aside == {EVERYTHING.physical(name) for name in queues}
    assert len(rows) <= FREE_METRICS


def test_the_age_of_what_waits_is_shown_beside_the_alarm_and_the_end() -> None:
    lines = widget("Age of the oldest event")["annotations"]["horizontal"]
    assert [each["value"] for each in lines] == [ALARMS["UnsentAlarm"]["Properties"]["Threshold"], 7 * 24 * 3600]


@pytest.mark.parametrize(
    ("before", "after", "fault"),
    [
        ('"start": "-P7D",', '"start": "-P7D"', "is no JSON"),
        ('"start"', '"begin"', "has no ['begin']"),
        ('"x": 12, "y": 2,', '"x": 11, "y": 2,', "lies over"),
        ('"x": 12, "y": 2,', '"x": 13, "y": 2,', "beyond the 24 columns"),
        ('"x": 12, "y": 2,', '"x": "12", "y": 2,', "is not written as a widget"),
        ('"type": "text"', '"type": "markdown"', "no widget of the type markdown"),
        ('{"markdown":', '{"text":', "lacks ['markdown']"),
        ('"view": "singleValue", "sparkline"', '"view": "number", "sparkline"', "has no view number"),
        ('"view": "table",\n', '"view": "lines",\n', "has no view lines"),
        ('"view": "singleValue", "sparkline"', '"view": "timeSeries", "sparkline"', "has a sparkline"),
        ('"stat": "p99"', '"stat": "99th"', "no statistic 99th"),
        ('"period": 300', '"period": 45', "no whole number of minutes"),
        ('"value": 86400', '"at": 86400', "needs a value"),
        ('[".", "Sent",', '[".", "Delivered",', "no metric Delivered in ConversionRelay"),
        ('"AWS/Lambda", "Errors"', '"AWS/Lambda", "Failures"', "no metric Failures in AWS/Lambda"),
        ('"AWS/DynamoDB"', '"AWS/Dynamo"', "no metric WriteThrottleEvents in AWS/Dynamo"),
        ('"Errors", "FunctionName"', '"Errors", "Function"', "has the dimension FunctionName"),
        ('"${Queue.QueueName}"', '"${Queue}"', "which is not in the stack"),
        ('"QueueName", "${Queue.QueueName}"', '"QueueName", "${Ledger}"', "which is not in the stack"),
        ('["AWS/Lambda", "Duration"', '["...", "Duration"', "is not written as a widget"),
        ('[".", "Sent", ".", "."', '[".", "Recorded", ".", "."', "it shows a metric twice"),
        ("SOURCE '${SenderLogs}' | filter", "fields @message | filter", "its query has to be"),
        ("SOURCE '${SenderLogs}' |", "SOURCE '/aws/lambda/sender' |", "there is no log group /aws/lambda/sender"),
        ('"${Privacy}"', '"${ShopifyReceiver}"', "ShopifyReceiver does not exist"),
        ('"${Privacy}"', '"${Reporter}"', "Reporter does not exist"),
    ],
)
def test_what_cloudwatch_would_not_show_is_found(before: str, after: str, fault: str) -> None:
    template = copy.deepcopy(TEMPLATE)
    written = template["Resources"]["StackDashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]
    assert before in written[0]
    written[0] = written[0].replace(before, after, 1)
    assert [found for found in faults(template) if fault in found] != []


def test_a_dashboard_that_would_not_be_free_is_found() -> None:
    template = copy.deepcopy(TEMPLATE)
    written = template["Resources"]["StackDashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]
    more = ', ["AWS/SQS", "ApproximateNumberOfMessagesDelayed", "QueueName", "${Queue.QueueName}"]'
    written[0] = written[0].replace("${NotFetched}", "${NotFetched}" + more)
    assert [found for found in faults(template) if "51 metrics" in found] != []


# Queries -------------------------------------------------------------------------------------------------------------

FIELDS = (
    {"@timestamp", "@message", "message", "source", "topic", "outcome", "reason", "key", "delivery", "http", "match"}
    | {"received", "sent", "rejected", "waiting", "requests", "notes.0"}
    | {f"by_source.{source}.{end}" for source in NAMED for end in ("sent", "rejected")}
)
"""What the lines of deliveries and runs hold, as Logs Insights names it (a list's items by their number)."""
COMMANDS = {"fields", "filter", "limit", "parse", "sort", "stats"}
FUNCTIONS = {"avg", "bin", "coalesce", "count", "ispresent", "latest", "strcontains", "sum"}
WORDS = {"and", "as", "asc", "by", "desc", "like", "or"}
IN_THE_DASHBOARD = {
    each["properties"]["title"]: each["properties"]["query"]
    for each in body(EVERYTHING)["widgets"]
    if each["type"] == "log"
}
SAVED = {name: each["Properties"]["QueryString"] for name, each in QUERIES.items()}


def unknown_in(query: str) -> set[str]:
    """The names in a query of Logs Insights that are neither its words, nor fields of the lines, nor made in it."""
    bare = re.sub(r"#[^\n]*", "", re.sub(r"SOURCE '[^']+' \|", "", query))
    made = set(re.findall(r"\bas (\w+)", bare)) | set(re.findall(r"\(\?<(\w+)>", bare))
    bare = re.sub(r'"[^"]*"', "", re.sub(r"/[^\n]*/", "", bare))
    called = set(re.findall(r"([a-z_]+)\(", bare))
    names = set(re.findall(r"@?[a-z_]\w*(?:\.\w+)*", re.sub(r"\d+[a-z]\b", "", bare))) - called
    commands = {each.split()[0] for each in bare.strip().split("|") if each.strip()}
    return (called - FUNCTIONS) | (commands - COMMANDS) | (names - COMMANDS - WORDS - FIELDS - made)


@pytest.mark.parametrize("query", [*SAVED.values(), *IN_THE_DASHBOARD.values()], ids=[*SAVED, *IN_THE_DASHBOARD])
def test_a_query_asks_for_what_the_lines_hold(query: str) -> None:
    assert unknown_in(query) == set()
    assert query.count("(") == query.count(")")
    assert query.count('"') % 2 == 0


@pytest.mark.parametrize(
    ("query", "unknown"),
    [
        ('filter result = "ignored"', {"result"}),
        ("stats counts(*) by source", {"counts"}),
        ("where sent > 0", {"where"}),
        ("stats sum(by_source.shopfy.sent) as shopify", {"by_source.shopfy.sent"}),
    ],
)
def test_a_query_that_would_find_nothing_is_found(query: str, unknown: set[str]) -> None:
    assert unknown_in(query) == unknown


@pytest.mark.parametrize("name", QUERIES)
def test_a_saved_query_reads_the_logs_of_this_stack(name: str) -> None:
    properties = QUERIES[name]["Properties"]
    assert EVERYTHING.value(properties["Name"]).startswith("relay/")
    deliveries = {f"{each}Logs" for each in RESOURCES if each == "Fetch" or each.endswith("Receiver")}
    if name == "RefusedQuery":
        deliveries.add("ClickMemoryLogs")  # posts that were refused count in the same metric
    of_runs = "ispresent(requests)" in properties["QueryString"]
    read = set(EVERYTHING.value(properties["LogGroupNames"]))
    assert read == {EVERYTHING.physical(each) for each in ({"SenderLogs"} if of_runs else deliveries)}
    # And in a stack with Shopify alone, that of Shopify alone
    alone = Resolved(TEMPLATE, dict.fromkeys(SWITCHES, "no") | {"EnableShopify": "yes"})
    left = ["SenderLogs"] if of_runs else ["ShopifyReceiverLogs"]
    assert alone.value(properties["LogGroupNames"]) == [alone.physical(each) for each in left]


def test_rejections_are_found_in_the_line_that_a_run_writes() -> None:
    (pattern,) = re.findall(r"parse @message /(.*)/", SAVED["RejectionsQuery"])
    as_python = pattern.replace("(?<", "(?P<")
    writers: list[Callable[[Any], str]] = [json.dumps, lambda line: json.dumps(line, separators=(",", ":"))]
    for write in writers:
        line = write({"received": 3, "rejections": {"invalid_action_source: action_source": 2}, "requests": 1})
        found = re.search(as_python, line)
        assert found
        assert "invalid_action_source: action_source" in found["fields_and_counts"]


# Commands ------------------------------------------------------------------------------------------------------------


def test_whoever_has_an_address_has_a_command_for_its_log() -> None:
    addressed = {name.removesuffix("Receiver") for name in RESOURCES if name.endswith("Receiver")}
    for name in addressed | {"Fetch", "Sender"}:
        command = TEMPLATE["Outputs"][f"{name}LogsCommand"]
        function = f"{name}Receiver" if name in addressed else name
        assert f"aws logs tail ${{{function}Logs}} " in command["Value"]["Fn::Sub"]
        assert command.get("Condition") == RESOURCES[function].get("Condition")


@pytest.mark.parametrize("enabled", STACKS, ids=lambda each: "".join(value[0] for value in each.values()))
def test_outputs_name_only_what_is_there(enabled: dict[str, str]) -> None:
    stack = Resolved(TEMPLATE, enabled)
    for name, each in TEMPLATE["Outputs"].items():
        url = str(each["Value"])  # that of a receiver is made by SAM, with the receiver
        if "FunctionUrl" not in url and ("Condition" not in each or stack.holds(each["Condition"])):
            assert stack.value(each["Value"]), name
