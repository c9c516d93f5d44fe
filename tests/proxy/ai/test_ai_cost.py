import pytest

from contract.snapshot import PicturePrice, Prices, PriceStep
from contract.usage import Measured
from proxy.ai.cost import cost_micros, exact, sum_micros
from proxy.ai.middle import Usage


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
    assert cost_micros(Prices(*prices), Usage(*tokens)) == micros


@pytest.mark.parametrize(
    ("prices", "tokens"),
    [((None, 1), (1, 1)), ((1, None), (1, 1)), ((1, 1), (None, 1)), ((1, 1), (1, None))],
)
def test_an_unknown_price_or_count_makes_the_cost_unknown(prices, tokens):
    assert cost_micros(Prices(*prices), Usage(*tokens)) is None


SEVERAL = Prices(
    input=3_000_000,
    output=15_000_000,
    cached=300_000,
    cache_write=3_750_000,
    cache_write_1h=6_000_000,
    input_audio=10_000_000,
    search=10_000_000,
    request=5_000,
)


@pytest.mark.parametrize(
    ("usage", "millionths"),
    [
        # 5,000 for the call itself, by the thousand: 5 x 10^6 in millionths of a micro-unit
        (Usage(0, 0), 5_000_000),
        # 600 of 1,000 came from the cache
        (Usage(1000, 0, 600), 5_000_000 + 400 * 3_000_000 + 600 * 300_000),
        # 500 were written, 200 of them for an hour
        (
            Usage(1000, 0, 100, 500, 200),
            5_000_000 + 400 * 3_000_000 + 100 * 300_000 + 300 * 3_750_000 + 200 * 6_000_000,
        ),
        # thoughts have no price of their own here: they are output
        (Usage(0, 100, reasoning_tokens=80), 5_000_000 + 100 * 15_000_000),
        # sound has; what of it came from the cache is cached input, which alone has a price
        (
            Usage(100, 0, 40, input_audio_tokens=60, cached_audio_tokens=10),
            5_000_000 + 40 * 300_000 + 50 * 10_000_000 + 10 * 3_000_000,
        ),
        # two searches at 10 USD a thousand
        (Usage(0, 0, searches=2), 5_000_000 + 2 * 10_000_000_000),
        # a provider that reports more cached tokens than tokens
        (Usage(10, 0, 20), 5_000_000 + 20 * 300_000),
        # 90 of 100 were read from a cache and written to one: 10 were neither
        (Usage(100, 0, 90, 90), 5_000_000 + 90 * 300_000 + 90 * 3_750_000 + 10 * 3_000_000),
    ],
)
def test_tokens_with_a_price_of_their_own_are_paid_once(usage, millionths):
    assert exact(SEVERAL, usage) == millionths


def test_long_prompts_have_other_prices_for_all_their_tokens():
    prices = Prices(
        input=1_250_000,
        output=10_000_000,
        steps=(
            PriceStep("input", 200_000, 2_500_000),
            PriceStep("output", 200_000, 15_000_000),
        ),
    )
    assert exact(prices, Usage(200_000, 10)) == 200_000 * 1_250_000 + 10 * 10_000_000
    assert exact(prices, Usage(200_001, 10)) == 200_001 * 2_500_000 + 10 * 15_000_000


def test_a_search_without_a_price_makes_the_cost_unknown():
    assert exact(Prices(1, 1), Usage(1, 1, searches=1)) is None
    assert exact(Prices(1, 1), Usage(1, 1, searches=0)) == 2
    # Perplexity's price of a call includes its searches
    assert exact(Prices(1, 1, request=5_000), Usage(1, 1, searches=1)) == 2 + 5_000_000


PICTURES = (PicturePrice("1024x1024", "high", 40_000), PicturePrice("512x512", "", 7))


@pytest.mark.parametrize(
    ("prices", "unit", "count", "micros"),
    [
        (Prices(picture=40_000), "picture", 3, 120_000),
        (Prices(picture=40_000), "picture", 0, 0),
        # 15 USD for a million characters
        (Prices(characters=15_000_000), "character", 7, 105),
        # A micro-unit an hour: either side of a half, and halves to the even neighbour.
        (Prices(heard_hour=1), "millisecond", 1_799_999, 0),
        (Prices(heard_hour=1), "millisecond", 1_800_000, 0),
        (Prices(heard_hour=1), "millisecond", 1_800_001, 1),
        (Prices(heard_hour=1), "millisecond", 5_400_000, 2),
        # 0.111 USD an hour: 30.8333... a second, rounded once
        (Prices(heard_hour=111_000), "millisecond", 1_000, 31),
        (Prices(heard_hour=111_000), "millisecond", 3_000, 92),
        # The call itself too: 5 USD a thousand
        (Prices(picture=1, request=5_000_000), "picture", 1, 5_001),
        (Prices(picture=40_000), "picture", None, None),
        (Prices(heard_hour=1), "millisecond", None, None),
        (Prices(characters=1), "character", None, None),
        # By a list without such a price it is paid by the token, of which nothing is known.
        (Prices(1, 1, characters=1), "picture", 1, None),
        (Prices(1, 1, picture=1), "character", 1, None),
    ],
)
def test_what_is_billed_otherwise_than_by_the_token(prices, unit, count, micros):
    assert cost_micros(prices, Usage(measured=Measured(unit, count))) == micros


@pytest.mark.parametrize(
    ("prices", "kind", "micros"),
    [
        (Prices(pictures=PICTURES), "1024x1024/high", 40_000),
        (Prices(pictures=PICTURES), "512x512/low", 7),
        (Prices(pictures=PICTURES), "1024x1024/low", None),
        (Prices(pictures=PICTURES), "auto/auto", None),
        (Prices(pictures=PICTURES, picture=5), "1024x1024/low", 5),
        (Prices(pictures=PICTURES, picture=5), "512x512/low", 7),
    ],
)
def test_a_kind_of_pictures_that_is_not_listed_costs_what_is_declared_or_is_unknown(
    prices, kind, micros
):
    assert cost_micros(prices, Usage(measured=Measured("picture", 1, kind))) == micros


@pytest.mark.parametrize(
    ("prices", "micros"),
    [
        (Prices(picture=10), 10),
        (Prices(input=2_000_000, picture=10), 10 + 2 * 5),
        (Prices(input=2_000_000, output=3_000_000, picture=10), 10 + 2 * 5 + 3 * 7),
        (Prices(input=2_000_000, input_image=4_000_000, picture=10), 10 + 2 * 3 + 4 * 2),
    ],
)
def test_tokens_of_it_are_paid_where_they_have_a_price(prices, micros):
    usage = Usage(5, 7, input_image_tokens=2, measured=Measured("picture", 1))
    assert cost_micros(prices, usage) == micros


def test_tokens_that_have_a_price_and_no_count_leave_it_unknown():
    usage = Usage(measured=Measured("picture", 1))
    assert cost_micros(Prices(input=1, picture=10), usage) is None
    assert cost_micros(Prices(output=1, picture=10), usage) is None
    assert cost_micros(Prices(input=0, output=0, picture=10), usage) == 10


def test_half_a_micro_unit_of_sound_and_half_of_text_are_one():
    heard = (Prices(heard_hour=1), Usage(measured=Measured("millisecond", 1_800_000)))
    assert sum_micros(heard, (Prices(input=500_000), Usage(1, 0))) == 1
