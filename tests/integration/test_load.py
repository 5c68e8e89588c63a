"""A small load trial on a local AWS of its own."""

from tools.load import trial


def test_deliveries_at_rising_rates_are_neither_lost_nor_counted_twice() -> None:
    # Given the whole relay on the local AWS
    said: list[str] = []

    # When deliveries come at two rates, whether those before are answered or not
    result = trial.run([4.0, 8.0], 2.0, alone=100, warm=1, say=said.append)

    # Then the books balance, and there was something to balance
    assert result.books.problems == []
    assert result.books.counted >= result.books.promised >= 5
    assert [step.rate for step in result.steps] == [4.0, 8.0]
    assert all(step.answers and step.latency_s(0.5) > 0 for step in result.steps)
    assert result.requests >= 1
    assert result.throughput.deliveries == 100
