"""A small trial with real faults: processes are killed, AWS and OpenAI fail, and still every conversion counts once."""

from tools.faults import trial

DELIVERIES = 150
SEED = 2185
"""A plan in which OpenAI takes the first batch without answering, then says 429, and replies of AWS are lost."""


def test_deliveries_among_faults_are_neither_lost_nor_counted_twice() -> None:
    # Given a local AWS of its own, behind a proxy that breaks calls, and platforms that retry as they do
    looks: list[trial.Progress] = []

    # When deliveries come while functions are killed and AWS and OpenAI fail
    report = trial.run(DELIVERIES, seed=SEED, parallel=2, say=lambda _: None, look=looks.append)

    # Then the books balance
    assert report.balance.differences == []
    assert (report.balance.lost, report.balance.twice) == (0, 0)
    assert report.balance.conversions >= 90
    # And there was no peace
    assert sum(report.killed.values()) >= 3
    assert sum(report.broken.values()) >= 1
    assert report.openai_faults["dropped after the batch was taken"] >= 1
    assert report.balance.resent >= 1
    assert looks[-1].draining
