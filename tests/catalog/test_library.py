"""The library of models, and what a tenant takes from it."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

import pytest
from django.core.exceptions import ValidationError
from django.utils import timezone
from genai_prices.types import (
    ClauseEquals,
    ConditionalPrice,
    ModelInfo,
    ModelPrice,
    StartDateConstraint,
    Tier,
    TieredPrices,
    TimeOfDateConstraint,
)
from msgspec.structs import replace

from catalog import ai_routing, library, library_search, selectors
from catalog.ai_routing import price_known
from catalog.library_search import Search
from catalog.models import AIModel, Api, Deployment, PriceChange, Provider
from catalog.price_checks import check_prices
from catalog.services import ai, apis
from catalog.services import library as service
from catalog.validators import validate_model_name
from contract.presets import PRESETS
from contract.snapshot import PicturePrice, Prices, PriceStep

FAST = "openai/gpt-4o-mini"


def _model(prices):
    return ModelInfo(id="m", match=ClauseEquals("m"), prices=prices)


def test_each_price_of_the_library_is_one_of_ours_or_told_as_not_counted():
    from genai_prices.data_units import unit_data

    in_use = {
        unit
        for provider in library.get_snapshot().providers
        for model in provider.models
        for prices in library._lists(model)
        for unit in vars(prices)
    }
    assert in_use <= library.UNITS.keys() | library.BEYOND.keys()
    assert in_use <= {unit["price_key"] for unit in unit_data.values()}


def test_all_models_of_all_providers_are_there():
    entries = library.entries()
    assert len(entries) >= 2330
    assert len(library.vendors()) >= 47
    assert all(key == f"{one.vendor.id}/{one.id}" for key, one in entries.items())


def test_each_can_be_a_deployment():
    for entry in library.entries().values():
        validate_model_name(entry.provider_model)
        validate_model_name(service.name_for(entry))
        assert max(len(entry.provider_model), len(service.name_for(entry))) <= 120
        for prices in entry.prices:
            row = Deployment(**service.columns(prices))
            check_prices(row)
            assert service.same(ai_routing.prices(row), replace(prices, since=0))


def test_presets_name_vendors_that_there_are():
    assert {p.library for p in PRESETS.values() if p.library} <= library.vendors().keys()
    assert {name for one in library.vendors().values() for name in one.presets} <= PRESETS.keys()


def test_steps_and_dates_are_kept():
    prices = library.dated(
        _model(
            [
                ConditionalPrice(
                    prices=ModelPrice(
                        input_mtok=TieredPrices(
                            base=Decimal("1.25"), tiers=[Tier(start=200_000, price=Decimal("2.5"))]
                        ),
                        output_mtok=Decimal("0.18000000000000002"),
                        requests_kcount=Decimal(5),
                        input_video_mtok=Decimal(9),
                    )
                ),
                ConditionalPrice(
                    StartDateConstraint(date(2026, 6, 16)),
                    prices=ModelPrice(input_mtok=Decimal(1), output_mtok=Decimal(0)),
                ),
            ]
        )
    )
    first, second = prices
    assert (first.input, first.output, first.request, first.since) == (
        1_250_000,
        180_000,
        5000000,
        0,
    )
    assert first.steps == (PriceStep("input", 200_000, 2_500_000),)
    assert (second.input, second.output) == (1_000_000, 0)
    assert second.since == datetime(2026, 6, 16, tzinfo=UTC).timestamp()


def test_of_prices_that_depend_on_the_hour_the_dearest_is_meant():
    prices = library.dated(
        _model(
            [
                ConditionalPrice(prices=ModelPrice(input_mtok=Decimal(1), output_mtok=Decimal(2))),
                ConditionalPrice(
                    TimeOfDateConstraint(time(6, tzinfo=UTC), time(10, tzinfo=UTC)),
                    prices=ModelPrice(input_mtok=Decimal(3), output_mtok=Decimal(6)),
                ),
            ]
        )
    )
    assert [(each.input, each.output) for each in prices] == [(3_000_000, 6_000_000)]


def test_what_has_no_price_is_unknown_and_not_free():
    (prices,) = library.dated(_model(ModelPrice(audio_hours=Decimal(1))))
    assert (prices.input, prices.output) == (None, None)
    assert not library.prices_known(prices, ["transcription"])
    (free,) = library.dated(_model(ModelPrice(input_mtok=Decimal(0), output_mtok=Decimal(0))))
    assert library.prices_known(free, ["chat"])
    (half,) = library.dated(_model(ModelPrice(input_mtok=Decimal(1))))
    assert not library.prices_known(half, ["chat"])
    assert library.prices_known(half, ["embeddings"])


@pytest.mark.parametrize(
    ("key", "ability", "unit", "micros"),
    [
        ("openai/whisper-1", "transcription", "heard_hour", 360_000),
        ("openai/tts-1", "speech", "characters", 15_000_000),
    ],
)
def test_what_is_billed_by_the_hour_or_the_character_has_a_known_price(key, ability, unit, micros):
    entry = library.entries()[key]
    (prices,) = entry.prices
    assert (entry.abilities, getattr(prices, unit), prices.input) == ((ability,), micros, None)
    assert library.prices_known(prices, entry.abilities)
    assert not library.prices_known(prices, ["chat", ability])
    assert entry.beyond == ()


def test_pictures_have_a_known_price_by_the_piece_or_by_kind():
    kinds = (PicturePrice("1024x1024", "", 1),)
    assert library.prices_known(Prices(picture=0), ["images"])
    assert library.prices_known(Prices(pictures=kinds), ["images"])
    assert library.prices_known(Prices(search=1), ["rerank"])
    assert not library.prices_known(Prices(picture=0), ["speech"])
    assert not library.prices_known(Prices(), ["images"])
    assert not library.prices_known(Prices(picture=1), [])


def test_search_finds_all_words_in_any_order():
    found = library_search.find(Search(text="OPENAI  mini 4o"))
    assert FAST in [entry.key for entry in found]
    assert all("mini" in f"{entry.id} {entry.name}".lower() for entry in found)
    assert library_search.find(Search(text="no-such-model")) == []
    assert {e.vendor.id for e in library_search.find(Search(vendor="groq"))} == {"groq"}
    embeddings = library_search.find(Search(ability="embeddings"))
    assert embeddings
    assert all("embeddings" in entry.abilities for entry in embeddings)


@pytest.mark.parametrize("sort", sorted(library_search.SORTS))
def test_sorted_both_ways_with_the_unknown_last(sort):
    by = library_search.SORTS[sort]
    up = [by(entry) for entry in library_search.find(Search(sort=sort))]
    down = [by(entry) for entry in library_search.find(Search(sort=f"-{sort}"))]
    known = [value for value in up if value is not None]
    assert known == sorted(known)
    assert [value for value in down if value is not None] == sorted(known, reverse=True)
    assert up[len(known) :] == down[len(known) :] == [None] * (len(up) - len(known))


@pytest.fixture
def openai(in_alice):
    row = ai.save_provider(provider=Provider(name="OpenAI", preset="openai"))
    ai.set_credential(provider=row, secret="sk-0123456789abcdef")
    return row


@pytest.fixture
def offered(in_alice):
    return apis.publish_api(api=Api(name="Models", kind="ai"))


def _code(error):
    return next(iter(error.value.error_dict.values()))[0].code


def test_one_call_makes_the_model_its_deployment_and_its_prices(
    openai, offered, in_alice, in_store, committed
):
    entry = service.entry_of(FAST)
    with committed():
        row = service.add(entry=entry, provider=openai)
    assert row.model.name == row.provider_model == "gpt-4o-mini"
    assert list(row.model.apis.all()) == [offered]
    (model,) = in_store(in_alice).models
    assert service.same(model.deployments[0].prices, _now(entry))
    assert model.deployments[0].context_tokens == entry.context_tokens
    assert [one.model for one in library_search.placed()[FAST]] == ["gpt-4o-mini"]


def test_steps_reach_the_snapshot(in_alice, offered, in_store, committed):
    now = timezone.now().timestamp()
    entry = next(
        e
        for e in library.entries().values()
        if e.vendor.id == "google" and e.prices_at(now).steps and e.prices[-1].since <= now
    )
    row = Provider(name="Google", preset="gemini", needs_credential=False)
    with committed():
        service.add(entry=entry, provider=ai.save_provider(provider=row))
    (deployment,) = in_store(in_alice).models[0].deployments
    assert deployment.prices.steps
    assert service.same(deployment.prices, _now(entry))


def _now(entry):
    return replace(entry.prices_at(timezone.now().timestamp()), since=0)


def test_a_name_that_is_taken_is_joined_only_on_request(openai, offered):
    entry = service.entry_of(FAST)
    service.add(entry=entry, provider=openai)
    second = ai.save_provider(provider=Provider(name="OpenAI 2", preset="openai"))
    with pytest.raises(ValidationError) as error:
        service.add(entry=entry, provider=second)
    assert _code(error) == "name_taken"
    service.add(entry=entry, provider=second, join=True)
    assert AIModel.objects.get().deployments.count() == 2
    with pytest.raises(ValidationError) as error:
        service.add(entry=entry, provider=second, join=True)
    assert _code(error) == "already_added"
    assert service.add(entry=entry, provider=second, name="other").model.name == "other"


def test_the_provider_must_serve_it(openai, offered, provider):
    with pytest.raises(ValidationError) as error:
        service.add(entry=service.entry_of("groq/llama-3.1-8b-instant"), provider=openai)
    assert _code(error) == "other_vendor"
    with pytest.raises(ValidationError) as error:
        service.entry_of("openai/none-such")
    assert _code(error) == "library_unknown"
    with pytest.raises(ValidationError) as error:
        service.only_provider(service.entry_of("groq/llama-3.1-8b-instant"))
    assert _code(error) == "provider_missing"
    assert service.only_provider(service.entry_of(FAST)) == openai
    ai.save_provider(provider=Provider(name="OpenAI 2", preset="openai"))
    with pytest.raises(ValidationError) as error:
        service.only_provider(service.entry_of(FAST))
    assert _code(error) == "provider_ambiguous"
    assert AIModel.objects.count() == 0


def test_who_has_no_kind_of_its_own_is_told_by_its_address(in_alice):
    row = Provider(name="Moon", base_url="https://api.moonshot.ai/v1")
    moon = ai.save_provider(provider=row)
    assert library_search.vendor_ids(moon) == ["moonshotai"]
    entry = next(e for e in library.entries().values() if e.vendor.id == "moonshotai")
    assert entry.vendor.presets == ("compatible",)
    assert library_search.providers_for(entry, [moon]) == [moon]


def test_hugging_face_is_told_who_is_to_serve_it(in_alice, offered):
    entry = next(e for e in library.entries().values() if e.vendor.id == "huggingface_novita")
    row = Provider(name="HF", preset="huggingface")
    deployment = service.add(entry=entry, provider=ai.save_provider(provider=row))
    assert deployment.provider_model == f"{entry.id}:novita"
    assert list(library_search.placed()) == [entry.key]


def test_a_model_made_by_hand_is_marked_too(openai, offered):
    own = Deployment(provider=openai, provider_model="gpt-4o-mini")
    ai.save_model(model=AIModel(name="fast", abilities=["chat"]), deployments=[own])
    assert [one.model for one in library_search.placed()[FAST]] == ["fast"]


@pytest.fixture
def old(openai, offered):
    """A deployment from the library, of a time when it was dearer."""
    row = service.add(entry=service.entry_of(FAST), provider=openai)
    Deployment.objects.filter(pk=row.pk).update(input_price=Decimal("99.5"))
    return row


def test_updates_tell_old_and_new_and_change_nothing(old):
    (update,) = service.updates()
    assert update.old.input == 99_500_000
    assert update.new == _now(service.entry_of(FAST))
    assert PriceChange.objects.count() == 0


def test_what_is_agreed_to_begins_now_and_calls_before_keep_their_price(
    old, in_alice, in_store, committed
):
    (update,) = service.updates()
    begun = int(timezone.now().timestamp())
    with committed():
        service.update_prices(agreed={old.pk: update.digest})
    deployment = in_store(in_alice).models[0].deployments[0]
    assert deployment.prices.input == 99_500_000
    (later,) = deployment.later_prices
    assert later.input == update.new.input
    assert begun <= later.since <= begun + 60
    assert service.updates() == []


def test_new_prices_of_the_library_keep_what_batches_cost(old, in_alice, in_store, committed):
    Deployment.objects.filter(pk=old.pk).update(batch_percent=50)
    (update,) = service.updates()
    with committed():
        service.update_prices(agreed={old.pk: update.digest})
    (later,) = in_store(in_alice).models[0].deployments[0].later_prices
    assert later.batch_percent == 50
    assert service.updates() == []


def test_nor_do_they_touch_what_pictures_cost(old, in_alice, in_store, committed):
    kinds = [{"size": "1024x1024", "quality": "", "price": "0.04"}]
    Deployment.objects.filter(pk=old.pk).update(picture_price=Decimal(1), picture_prices=kinds)
    (update,) = service.updates()
    with committed():
        service.update_prices(agreed={old.pk: update.digest})
    (later,) = in_store(in_alice).models[0].deployments[0].later_prices
    assert later.picture == 1_000_000
    assert later.pictures == (PicturePrice("1024x1024", "", 40_000),)
    assert service.updates() == []


def test_what_was_shown_otherwise_is_not_done(old):
    (update,) = service.updates()
    Deployment.objects.filter(pk=old.pk).update(output_price=Decimal(1))
    for agreed in ({old.pk: update.digest}, {old.pk: ""}, {old.model_id: update.digest}):
        with pytest.raises(ValidationError) as error:
            service.update_prices(agreed=agreed)
        assert _code(error) == "prices_changed"
    assert PriceChange.objects.count() == 0


def test_prices_to_come_are_added_with_their_time(openai, offered):
    entry = next(e for e in library.entries().values() if len(e.prices) == 2)
    before = datetime.fromtimestamp(entry.prices[1].since, UTC) - timedelta(days=1)
    row = service.add(entry=service.entry_of(FAST), provider=openai)
    Deployment.objects.filter(pk=row.pk).update(
        library=entry.key,
        provider_model=entry.provider_model,
        **service.columns(entry.prices[0]),
    )
    (update,) = service.updates(before)
    assert not update.differs
    assert update.later == entry.prices[1:]
    PriceChange.objects.create(
        deployment=row,
        since=datetime.fromtimestamp(entry.prices[1].since, UTC),
        **service.columns(entry.prices[1]),
    )
    assert service.updates(before) == []


def test_what_is_another_model_or_currency_by_now_is_left_alone(old):
    Deployment.objects.filter(pk=old.pk).update(currency="EUR")
    assert service.updates() == []
    Deployment.objects.filter(pk=old.pk).update(currency="USD", provider_model="gpt-4o")
    assert service.updates() == []
    Deployment.objects.filter(pk=old.pk).update(provider_model="gpt-4o-mini", library="gone/x")
    assert service.updates() == []


def test_where_it_came_from_outlives_a_change_of_the_model(old, openai):
    again = Deployment(provider=openai, provider_model="gpt-4o-mini", weight=7)
    ai.save_model(model=old.model, deployments=[again])
    row = Deployment.objects.get()
    assert (row.pk, row.library, row.weight) == (old.pk, FAST, 7)


def test_a_price_that_begins_makes_it_known(openai, offered):
    own = Deployment(provider=openai, provider_model="x")
    ai.save_model(model=AIModel(name="x", abilities=["chat"]), deployments=[own])
    assert not price_known(own)
    assert selectors.unpriced_models("USD") == ["x"]
    PriceChange.objects.create(deployment=own, since=timezone.now(), input_price=1, output_price=0)
    assert price_known(Deployment.objects.get())
    assert selectors.unpriced_models("USD") == []
    assert selectors.unpriced_models("EUR") == ["x"]


def test_addresses_of_vendors_are_patterns_that_compile():
    for vendor in library.vendors().values():
        assert re.compile(vendor.address)
