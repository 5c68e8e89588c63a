"""The five sentences: always five, one each, honest about intervals and refusals."""

import re
from dataclasses import replace

import pytest

from measurement.attribution import Attribution, Credit
from measurement.dark_funnel import Survey, SurveyShare
from measurement.estimate import Estimate
from measurement.problems import CannotSay
from measurement.reconciliation import Difference, Reconciliation, Row
from measurement.report.results import Experiment, Recorded, Results, Spend
from measurement.report.sentences import chatgpt_credit, sentences
from measurement.settings import Input
from tests.unit.measurement.report_samples import FIRST, GEO, ON_OFF, SAMPLES, empty, full, lift, refusal

CAME, SURE, WORTH, AGREE, DARK = range(5)


def said(results: Results, place: int) -> str:
    return sentences(results)[place].text


@pytest.mark.parametrize("name", SAMPLES)
def test_there_are_five_each_one_sentence(name: str) -> None:
    held = sentences(SAMPLES[name]())
    assert len(held) == 5
    for each in held:
        assert each.question.endswith("?")
        assert each.text.endswith(".")
        assert each.text.count("\n") == 0
        # A full stop ends it and stands nowhere else, but in numbers.
        assert re.findall(r"\.(?!\d)", each.text) == ["."], each.text


def test_of_a_full_shop_each_number_has_its_interval() -> None:
    assert [each.text for each in sentences(full())] == [
        "From 1 September to 28 November 2026 the relay recorded 4,312 orders, of which 520 (12 %) carry a click on a "
        "ChatGPT ad, and attribution over 30 days credits ChatGPT with between 520 and 801 of them, depending on the "
        "model.",
        "In the test Holdout in the north the ads added 8.3 % to sales (95 % interval 4.7 to 12 %; p = 0.002), which "
        "is about 116 conversions that would not have happened otherwise.",
        "ChatGPT ads cost 12,124 EUR: 23.32 EUR for each conversion by last click, 3.6× the spend in sales by last "
        "click and 2.4× in sales that the ads caused in the test Holdout in the north (interval 1.3 to "
        "3.6×).",
        "Not fully (no data from: CRM): 10 conversions differ between the systems without a known reason, 656 with "
        "one, and 10 orders of the shop are missing in the ledger.",
        "Of the 1,199 buyers who answered the survey (28 % of 4,312), 11 % (95 % interval 9.2 to 13 %) first heard of "
        "the shop by ChatGPT, or 10 % (7.9 to 13 %) weighted to all buyers; clicks and answers taken together, a model "
        "puts at 179 (118 to 240) the buyers from ChatGPT whom neither shows.",
    ]
    # The first counts clicks and says what models credit: what rests on a model is not called measured.
    assert [each.kind for each in sentences(full())] == ["modelled", "modelled", "modelled", "measured", "modelled"]


def test_a_sentence_with_a_modelled_number_is_not_marked_measured() -> None:
    # Given a shop without a test, of which the unseen cannot be said: what is left comes from a model all the same
    held = replace(full(), tests=(), unseen=CannotSay("The unseen", "there are too few", "Wait."))
    came, _, worth, _, dark = sentences(held)
    assert ("credits ChatGPT with" in came.text, came.kind) == (True, "modelled")
    assert ("by last click" in worth.text, worth.kind) == (True, "modelled")
    assert ("weighted to all buyers" in dark.text, dark.kind) == (True, "modelled")
    # And where nothing of it rests on a model, it is measured
    nothing = CannotSay("Attribution", "there are no touches", "Import some.")
    assert sentences(replace(held, attribution=nothing))[0].kind == "measured"


def test_without_any_data_nothing_is_claimed() -> None:
    held = sentences(empty())
    assert [each.kind for each in held] == [None] * 5
    for each in held:
        assert re.search(r"cannot be said|cannot say|not known", each.text)


def test_where_attribution_is_refused_the_count_stands_with_the_reason() -> None:
    text = said(replace(full(), attribution=refusal("Attribution")), CAME)
    assert text.endswith("attribution to channels is not shown, because there is no data for it.")
    assert "520 (12 %) carry a click" in text


def test_models_that_agree_give_one_number() -> None:
    one = tuple(
        Credit(model, 30, "chatgpt", None, Estimate(520.0), Estimate(1.0)) for model in ("last_click", "time_decay")
    )
    text = said(replace(full(), attribution=Attribution("order_created", 4312, 0, one)), CAME)
    assert text.endswith("credits ChatGPT with 520 of them.")


def test_a_channel_without_credit_is_zero_and_no_attribution_is_nothing() -> None:
    other = (Credit("last_click", 7, "email", None, Estimate(9.0), Estimate(1.0)),)
    assert chatgpt_credit(Attribution("order_created", 9, 0, other)) == {"last_click": Estimate(0.0)}
    nothing = Attribution("order_created", 0, 0, ())
    assert chatgpt_credit(nothing) == {}
    assert said(replace(full(), attribution=nothing), CAME).endswith("carry a click on a ChatGPT ad.")


def test_a_lift_whose_interval_holds_zero_is_not_sold_as_an_effect() -> None:
    unclear = replace(full(), tests=(Experiment(GEO, (lift("difference in differences", 0.02, 0.05, 0.41),)),))
    assert said(unclear, SURE) == (
        "The test Holdout in the north does not show that the ads added sales: the best estimate is 2.0 %, but the "
        "95 % interval from −3.0 to 7.0 % includes no effect at all (p = 0.41)."
    )


def test_a_clear_loss_is_said() -> None:
    loss = replace(full(), tests=(Experiment(GEO, (lift("difference in differences", -0.1, 0.04, 0.0002),)),))
    assert "sales with the ads were 10 % below" in said(loss, SURE)
    assert "p below 0.001" in said(loss, SURE)


def test_without_an_interval_a_lift_proves_nothing() -> None:
    bare = replace(lift("synthetic control", 0.07, 0.0, 0.2), lift=Estimate(0.07, kind="modelled"))
    assert "proves nothing by itself" in said(replace(full(), tests=(Experiment(GEO, (bare,)),)), SURE)


def test_a_test_that_was_refused_says_why() -> None:
    no = CannotSay("The on/off test", "there is no day before the test", "Start later.")
    text = said(replace(full(), tests=(Experiment(ON_OFF, (no,)),)), SURE)
    assert text == "Whether the ads caused more sales cannot be said yet, because there is no day before the test."


def test_spend_without_sales_gives_no_return() -> None:
    held = replace(full(), channels=refusal("The channels"), tests=())
    assert said(held, WORTH) == (
        "ChatGPT ads cost 12,124 EUR, but no sales could be set against it, so their return cannot be said."
    )
    others = replace(full(), spend=(Spend("meta_ads", 100, None, None),))
    assert "no spend is recorded for ChatGPT" in said(others, WORTH)


def test_systems_that_agree() -> None:
    row = Row(FIRST, "shopify", "order_created", {"truth": 5, "recorded": 5})
    yes = replace(full(), reconciliation=Reconciliation((row,), (), {}))
    assert said(yes, AGREE).endswith("where two systems count the same thing, they count the same.")
    known = Difference(FIRST, "shopify", "order_created", "received", "recorded", 1, "a test order", True)
    explained = replace(yes, reconciliation=Reconciliation((row,), (known,), {}))
    assert said(explained, AGREE).endswith("1 conversion differs between the systems, all with a known reason.")
    lost = replace(yes, reconciliation=Reconciliation((row,), (known,), {"shopify": ("1001",)}))
    assert said(lost, AGREE).endswith("a known reason, and 1 order of the shop is missing in the ledger.")
    nothing = replace(yes, reconciliation=Reconciliation((), (), {}))
    assert "no two of them report the same conversions" in said(nothing, AGREE)
    assert said(replace(yes, reconciliation=Reconciliation((), (), {}, quiet=True)), AGREE).startswith("Yes: ")


def test_one_system_alone_agrees_with_nobody() -> None:
    # Given the shop's orders, without the ledger's
    row = Row(FIRST, "shopify", "order_created", {"truth": 5, "received": None, "ignored": None, "recorded": None})
    held = sentences(replace(full(), reconciliation=Reconciliation((row,), (), {})))[AGREE]

    assert held.kind is None
    assert held.text.startswith("Whether the systems agree cannot be said, because no two of them report the same")


def test_without_the_ledger_no_order_is_said_not_to_be() -> None:
    # Given a shop that counts orders, of which the relay's ledger was not given
    layers = tuple(replace(each, rows=0, days=()) if each.table == "conversions" else each for each in full().layers)
    held = sentences(replace(full(), layers=layers, recorded=Recorded(0, 0, 0)))[CAME]

    assert held.kind is None
    assert held.text == (
        "The data has no conversions of the relay's ledger, so the report cannot say how many came from ChatGPT (add "
        "an input of the kind dynamodb_export or ledger)."
    )


def test_a_ledger_that_was_read_and_is_empty_has_recorded_nothing() -> None:
    read = replace(full().settings, inputs=(Input("dynamodb_export", {}, 7),))
    text = said(replace(empty(), settings=read), CAME)
    assert re.match(r"From .* no orders are recorded, so the report cannot say how many came from ChatGPT\.$", text)


def test_a_period_of_one_day_is_on_it() -> None:
    one = replace(full(), settings=replace(full().settings, first=FIRST, last=FIRST))
    assert said(one, CAME).startswith("On 1 September 2026 the relay recorded")


def test_the_dark_funnel_without_an_estimate_or_an_answer() -> None:
    refused = replace(full(), unseen=refusal("The estimate"))
    assert said(refused, DARK).endswith(
        "how many neither a click nor an answer shows is not given, because there is no data for it."
    )
    shares = (SurveyShare("email", 40, Estimate(1.0, 0.91, 1.0), None),)
    nobody = replace(refused, survey=Survey(0, 40, shares))
    assert said(nobody, DARK).startswith("Of the 40 buyers who answered the survey, nobody named ChatGPT;")


def test_one_conversion_is_no_plural_mistake() -> None:
    text = said(replace(full(), recorded=Recorded(1, 100, 1)), CAME)
    assert "recorded 1 order, of which 1 (100 %) carries a click" in text
