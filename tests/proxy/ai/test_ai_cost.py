import pytest

from contract.snapshot import Prices
from proxy.ai.cost import cost_micros


@pytest.mark.parametrize(
    ("prices", "tokens", "micros"),
    [
        # 1,000 x 2.50 USD + 500 x 10 USD per million = 0.0025 + 0.005 USD
        ((2_500_000, 10_000_000), (1_000, 500), 7_500),
        # 0.15 and 0.60 USD: 100 x 0.15 + 50 x 0.6 = 15 + 30
        ((150_000, 600_000), (100, 50), 45),
        # Halves go to the even neighbour: 0.5 -> 0, 1.5 -> 2, 2.5 -> 2
        ((500_000, 0), (1, 0), 0),
        ((500_000, 0), (3, 0), 2),
        ((500_000, 0), (5, 0), 2),
        # Either side of a half
        ((500_001, 0), (1, 0), 1),
        ((499_999, 0), (1, 0), 0),
        # Rounded once: 0.4 + 0.4 is 0.8, not 0 + 0
        ((400_000, 400_000), (1, 1), 1),
        # Exact where floating point is not: 2 ** 53 + 1
        ((9_007_199_254_740_993, 0), (1_000_000, 0), 9_007_199_254_740_993),
        ((0, 0), (10, 10), 0),
        # No tokens cost nothing, even at an unknown price
        ((20_000, None), (1_000_000, 0), 20_000),
        ((None, None), (0, 0), 0),
    ],
)
def test_hand_computed_costs(prices, tokens, micros):
    assert cost_micros(Prices(*prices), *tokens) == micros


@pytest.mark.parametrize(
    ("prices", "tokens"),
    [((None, 1), (1, 1)), ((1, None), (1, 1)), ((1, 1), (None, 1)), ((1, 1), (1, None))],
)
def test_an_unknown_price_or_count_makes_the_cost_unknown(prices, tokens):
    assert cost_micros(Prices(*prices), *tokens) is None
