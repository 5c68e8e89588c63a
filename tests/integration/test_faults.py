"""A small trial with real faults: processes are killed, AWS and OpenAI fail, and still every conversion counts once."""

import time

from tools.faults import trial

DELIVERIES = 150


def test_deliveries_among_faults_are_neither_lost_nor_counted_twice() -> None:
    # Given a local AWS of its own, behind a proxy that breaks calls, and platforms that retry as they do
    looks: list[trial.Progress] = []
    started = time.monotonic()

    # When deliveries come while functions are killed and AWS and OpenAI fail
    report = trial.run(DELIVERIES, seed=2, say=lambda _: None, look=looks.append)

    # Then the books balance
    assert report.balance.differences == []
    assert (report.balance.lost, report.balance.twice) == (0, 0)
    assert report.balance.conversions >= 90
    # And there was no peace
    assert sum(report.killed.values()) >= 5
    assert sum(report.broken.values()) >= 10
    assert sum(report.openai_faults.values()) >= 1
    assert sum(report.answers.values()) >= DELIVERIES
    assert looks[-1].draining
    assert time.monotonic() - started < trial.DRAINED_WITHIN_S
