"""How a model's calls are spread, and what they cost: set in the console, told to gateways."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.utils import timezone

from catalog import store
from catalog.models import AIModel, Deployment, Limit, PriceChange, RoutingRule
from catalog.rule_words import sentence, words
from catalog.services import ai, prices, publishing
from catalog.services.limits import save_limit
from contract import keys, routing, snapshot
from tests.catalog_admin.pages import below, of
from tests.catalog_admin.test_admin_forms import errors, posted, rows


@pytest.fixture
def client(client_for: Any, alice_tenant: Any, alice: Any) -> Any:
    return client_for(alice_tenant, alice)


@pytest.fixture
def second(ours: Any, in_alice: Any) -> AIModel:
    """Another model of Alice's tenant."""
    return ai.save_model(
        model=AIModel(name="north-small", abilities=["chat"]),
        apis=[ours.models],
        deployments=[Deployment(provider=ours.provider, provider_model="small")],
    )


@pytest.fixture
def told(client: Any, alice_tenant: Any, in_alice: Any) -> Any:
    """``told(address, form)``: posts it, and the snapshot that gateways are then told."""

    def post(address: str, form: dict[str, Any]) -> Any:
        answer = client.post(address, form)
        assert answer.status_code == 302, answer.context and answer.context.get("errors")
        waiting, connection.run_on_commit = connection.run_on_commit, []
        with publishing.watch():
            for _, call, *_ in waiting:
                call()
        return snapshot.decode(store.client().get(keys.snapshot_blob(str(alice_tenant.pk))))

    yield post
    store.remove(str(alice_tenant.pk))


def model_form(model: AIModel, *fallbacks: Any, **fields: Any) -> dict[str, Any]:
    form = posted(model, regions="", apis=[str(api.pk) for api in model.apis.all()]) | fields
    form.pop("fallbacks")
    form |= {f"fallbacks-{n}-model": str(pk) for n, pk in enumerate(fallbacks)}
    return form | deployment_rows(model)


def deployment_rows(model: AIModel, **fields: Any) -> dict[str, Any]:
    forms = []
    for row in model.deployments.all():
        given = {"id": row.pk, "model": model.pk, "provider": row.provider_id, "enabled": "on"}
        given |= {"provider_model": row.provider_model, "weight": row.weight}
        given |= {"input_price": row.input_price or "", "currency": row.currency}
        forms.append(given | fields)
    return rows("deployments", *forms, initial=len(forms))


def conditions(*given: dict[str, Any]) -> dict[str, Any]:
    blank = {"subject": "prompt_tokens", "operator": "at_least", "values": "4000"}
    blank |= {"name": "", "least": "50"}
    return {
        f"conditions-{n}-{name}": value
        for n, one in enumerate(given)
        for name, value in (blank | one).items()
    }


def of_model(told: Any, name: str) -> Any:
    return next(row for row in told.models if row.name == name)


def test_strategy_fallbacks_and_regions_reach_the_gateways(
    told: Any, ours: Any, second: AIModel
) -> None:
    third = ai.save_model(model=AIModel(name="third", abilities=["chat"]), apis=[ours.models])
    form = model_form(
        ours.aimodel,
        third.pk,
        second.pk,
        strategy="first_token",
        within_percent="20",
        explore="9",
        regions="EU, US",
        unsupported="drop",
    )
    found = of_model(told(below("aimodel", ours.aimodel, "change/"), form), "north-large").routing
    assert found == routing.Routing(
        strategy=routing.LowestLatency("first_token", 20, 9),
        fallbacks=(str(third.pk), str(second.pk)),
        unsupported="drop",
        regions=("EU", "US"),
    )


def test_fallbacks_in_a_circle_are_refused_at_their_field(
    client: Any, ours: Any, second: AIModel
) -> None:
    second.fallbacks = [ours.aimodel.pk]
    ai.save_model(model=second)
    page = client.post(
        below("aimodel", ours.aimodel, "change/"), model_form(ours.aimodel, second.pk)
    )
    assert "north-large → north-small → north-large goes round" in str(errors(page)["fallbacks"])
    for wrong, says in (
        ([ours.aimodel.pk], "cannot stand in for itself"),
        ([uuid4()], "There is no model with the id"),
        (["x"], "Row 1: choose a model"),
    ):
        form = model_form(ours.aimodel, *wrong)
        page = client.post(below("aimodel", ours.aimodel, "change/"), form)
        assert says in str(errors(page)["fallbacks"])


def test_another_tenants_rows_are_refused_wherever_they_are_named(
    client: Any, ours: Any, theirs: Any, charlie_tenant: Any, in_alice: Any
) -> None:
    with charlie_tenant:
        place = theirs.aimodel.deployments.get()
    address = below("aimodel", ours.aimodel, "change/")
    page = client.post(address, model_form(ours.aimodel, theirs.aimodel.pk))
    assert "There is no model with the id" in str(errors(page)["fallbacks"])
    rule = {"name": "r", "model": ours.aimodel.pk}
    page = client.post(of("routingrule", "add"), rule | {"target": theirs.aimodel.pk})
    assert list(errors(page)) == ["target"]
    page = client.post(of("routingrule", "add"), rule | {"deployments": [place.pk]})
    assert "deployments" in errors(page)
    rule = {"name": "r", "model": theirs.aimodel.pk, "target": ours.aimodel.pk}
    assert "model" in errors(client.post(of("routingrule", "add"), rule))
    change = {"deployment": place.pk, "currency": "USD"}
    assert "deployment" in errors(client.post(of("pricechange", "add"), change))
    assert not RoutingRule.objects.exists()
    assert not PriceChange.objects.exists()


def test_pages_of_another_tenants_parts_do_not_exist(
    client: Any, ours: Any, theirs: Any, charlie_tenant: Any
) -> None:
    with charlie_tenant:
        place = theirs.aimodel.deployments.get()
        rule = RoutingRule.objects.create(model=theirs.aimodel, name="secret")
        rule.deployments.add(place)
        since = timezone.now() + timedelta(days=1)
        change = PriceChange.objects.create(deployment=place, since=since)
    for name, row in (("deployment", place), ("routingrule", rule), ("pricechange", change)):
        page = client.get(below(name, row, "change/"))
        assert (page.status_code, page.url) == (302, "/admin/")
    assert client.post(below("routingrule", rule, "up/")).status_code == 404
    for add in (
        f"routingrule/add/?model={theirs.aimodel.pk}",
        "routingrule/add/?model=x",
        "routingrule/add/",
        f"pricechange/add/?deployment={place.pk}",
    ):
        page = client.get(f"/admin/catalog/{add}")
        assert (page.status_code, page.url) == (302, of("aimodel"))


def test_rules_are_added_moved_and_deleted(
    client: Any, told: Any, ours: Any, second: AIModel
) -> None:
    model, place = ours.aimodel, ours.aimodel.deployments.get()
    add = of("routingrule", "add")
    told(
        add,
        {"name": "long", "model": model.pk, "deployments": [place.pk]}
        | conditions({}, {"subject": "stream", "operator": "is", "values": "true"}),
    )
    header = {"subject": "header", "name": "X-Team", "operator": "is", "values": "a\nb\n"}
    form = {"name": "team", "model": model.pk, "target": second.pk} | conditions(header)
    found = of_model(told(add, form), "north-large").routing.rules
    assert [rule.name for rule in found] == ["long", "team"]
    assert found[0].deployment_ids == (str(place.pk),)
    assert found[1].model_id == str(second.pk)
    assert found[1].conditions == (routing.Condition("header", "is", ("a", "b"), "X-Team"),)

    page = client.get(below("aimodel", model, "change/")).content.decode()
    assert "When the prompt has at least 4,000 tokens, and a stream is wanted: only" in page
    assert "When the header X-Team is “a” or “b”: north-small is asked in its place." in page
    assert page.index("4,000 tokens") < page.index("X-Team")

    team = RoutingRule.objects.get(name="team")
    found = told(below("routingrule", team, "up/"), {})
    assert [rule.name for rule in of_model(found, "north-large").routing.rules] == ["team", "long"]
    found = told(below("routingrule", team, "down/"), {})
    assert [rule.name for rule in of_model(found, "north-large").routing.rules] == ["long", "team"]
    page = client.get(below("routingrule", team, "change/")).content.decode()
    assert "a\nb</textarea>" in page
    deleted = told(below("routingrule", team, "delete/"), {"post": "yes"})
    assert [rule.name for rule in of_model(deleted, "north-large").routing.rules] == ["long"]


@pytest.mark.parametrize(
    ("fields", "field", "says"),
    [
        (conditions({"values": "many"}), "conditions", "Row 1: Enter one whole number"),
        (conditions({"values": ""}), "conditions", "Row 1: Enter one whole number"),
        (conditions({}, {"subject": "header"}), "conditions", "Row 2: Header takes"),
        (conditions({"operator": "sings"}), "conditions", "Row 1: Length of the prompt takes"),
        (
            conditions({"subject": "similarity", "operator": "like", "embedding_model": "none"}),
            "conditions",
            "Row 1: There is no model named “none”",
        ),
        ({"deployments": []}, "deployments", "one of both"),
        ({"name": ""}, "name", "required"),
        ({"name": "taken"}, "name", "Choose another"),
    ],
)
def test_a_rule_is_refused_at_its_field(
    client: Any, ours: Any, in_alice: Any, fields: dict, field: str, says: str
) -> None:
    place = ours.aimodel.deployments.get()
    taken = RoutingRule(model=ours.aimodel, name="taken")
    ai.save_rule(rule=taken, deployments=[place])
    form = {"name": "r", "model": ours.aimodel.pk, "deployments": [place.pk]} | fields
    assert says in str(errors(client.post(of("routingrule", "add"), form))[field])


def test_a_deployment_that_a_rule_needs_is_not_deleted(
    client: Any, ours: Any, in_alice: Any
) -> None:
    rule = RoutingRule(model=ours.aimodel, name="r")
    ai.save_rule(rule=rule, deployments=[ours.aimodel.deployments.get()])
    form = model_form(ours.aimodel) | deployment_rows(ours.aimodel, DELETE="on")
    page = client.post(below("aimodel", ours.aimodel, "change/"), form)
    assert "The rule “r” names no other deployment" in str(errors(page))
    assert Deployment.objects.filter(model=ours.aimodel).count() == 1


def test_a_viewer_sees_rules_and_prices_and_changes_nothing(
    client_for: Any, alice_tenant: Any, vera: Any, ours: Any, in_alice: Any
) -> None:
    place = ours.aimodel.deployments.get()
    rule = ai.save_rule(rule=RoutingRule(model=ours.aimodel, name="r"), deployments=[place])
    change = PriceChange(deployment=place, since=timezone.now() + timedelta(days=1))
    prices.save_price_change(change=change)
    viewer = client_for(alice_tenant, vera)
    page = viewer.get(below("aimodel", ours.aimodel, "change/")).content.decode()
    assert "Always: only large at Northern cloud is asked." in page
    assert "Add a rule" not in page
    for name, row in (("deployment", place), ("routingrule", rule), ("pricechange", change)):
        assert viewer.get(below(name, row, "change/")).status_code == 200
        assert viewer.post(below(name, row, "change/"), {}).status_code == 403
    assert viewer.post(below("routingrule", rule, "up/")).status_code == 403
    assert viewer.get(of("routingrule", "add")).status_code == 403
    assert viewer.get(of("pricechange", "add")).status_code == 403


def test_a_viewer_reads_conditions_in_words(
    client_for: Any, alice_tenant: Any, vera: Any, ours: Any, second: AIModel
) -> None:
    said = [
        {"subject": "header", "operator": "is", "values": ["a", "b"], "name": "X-Team"},
        {"subject": "application", "operator": "is", "values": [ours.application.name]},
    ]
    rule = RoutingRule(model=ours.aimodel, name="r", conditions=said)
    ai.save_rule(rule=rule, deployments=[ours.aimodel.deployments.get()])
    viewer = client_for(alice_tenant, vera)
    page = viewer.get(below("routingrule", rule, "change/")).content.decode()
    assert "<li>the header X-Team is “a” or “b”</li>" in page
    assert f"<li>the application is “{ours.application.name}”</li>" in page
    assert "large at Northern cloud" in page
    assert "subject" not in page
    assert str(ours.application.pk) not in page
    always = RoutingRule(model=ours.aimodel, name="always", target=second)
    ai.save_rule(rule=always, deployments=[])
    page = viewer.get(below("routingrule", always, "change/")).content.decode()
    assert "none: it always holds" in page
    assert "north-small" in page


def test_a_rule_shows_the_name_that_its_application_has_now(
    client: Any, ours: Any, in_alice: Any
) -> None:
    application = ours.application
    said = {"subject": "application", "operator": "is", "values": application.name.upper()}
    form = {"name": "r", "model": ours.aimodel.pk} | conditions(said)
    form["deployments"] = [ours.aimodel.deployments.get().pk]
    assert client.post(of("routingrule", "add"), form).status_code == 302
    rule = RoutingRule.objects.get()
    assert rule.conditions[0]["values"] == [str(application.pk)]
    application.name = "Renamed"
    application.save()
    for address in (
        below("routingrule", rule, "change/"),
        below("aimodel", ours.aimodel, "change/"),
    ):
        page = client.get(address).content.decode()
        assert "the application is “Renamed”" in page
    assert (
        "Renamed</textarea>" in client.get(below("routingrule", rule, "change/")).content.decode()
    )
    for address, body in (
        (below("application", application, "delete/"), {"post": "yes"}),
        (
            of("application"),
            {"action": "delete_selected", "_selected_action": [application.pk], "post": "yes"},
        ),
    ):
        page = client.post(address, body, follow=True).content.decode()
        assert "Rule “r” of north-large, which names it" in page
        application.refresh_from_db()


def test_many_rules_are_paged_and_found_by_their_words(
    client: Any, ours: Any, in_alice: Any
) -> None:
    place = ours.aimodel.deployments.get()
    for number in range(45):
        said = {"subject": "prompt_tokens", "operator": "at_least", "values": [str(number + 1)]}
        rule = RoutingRule(model=ours.aimodel, name=f"rule {number}", conditions=[said])
        ai.save_rule(rule=rule, deployments=[place])
    address = below("aimodel", ours.aimodel, "change/")

    def shown(query: str) -> list[str]:
        page = client.get(address + query).content.decode()
        return re.findall(r'routingrule/[^"]*/change/"[^>]*>([^<]+)<', page)

    assert shown("") == [f"rule {number}" for number in range(20)]
    assert shown("?rules=3") == [f"rule {number}" for number in range(40, 45)]
    assert shown("?rules=x") == shown("")
    assert shown("?rule=RULE+44") == ["rule 44"]
    assert shown("?rule=least+33+tokens") == ["rule 32"]
    assert shown("?rule=nothing") == []
    page = client.get(address + "?rule=nothing").content.decode()
    assert "None of the 45 rules has these words." in page
    last = RoutingRule.objects.get(name="rule 40")
    moved = client.post(below("routingrule", last, "down/"))
    assert moved.url == f"{address}?rules=3#rules"


def test_long_rules_are_told_in_short(ours: Any, in_alice: Any) -> None:
    said = {"subject": "header", "operator": "is", "values": list("abcdef"), "name": "X"}
    rule = RoutingRule.objects.create(model=ours.aimodel, name="r", conditions=[said])
    assert sentence(rule, {}).startswith("When the header X is “a”, “b”, “c” or 3 more: ")
    assert words(rule, {}) == ["the header X is “a”, “b”, “c”, “d”, “e” or “f”"]
    rule.conditions = [said | {"values": ["x" * 80]}]
    assert words(rule, {}) == [f"the header X is “{'x' * 80}”"]


def test_deployments_that_the_regions_leave_out_are_named(
    client: Any, ours: Any, in_alice: Any
) -> None:
    place = ours.aimodel.deployments.get()
    place.region = "eu"
    ai.save_deployment(deployment=place)
    other = Deployment(
        model=ours.aimodel, provider=place.provider, provider_model="far", region="US"
    )
    ai.save_deployment(deployment=other)
    ours.aimodel.regions = ["EU"]
    ai.save_model(model=ours.aimodel)
    page = client.get(below("aimodel", ours.aimodel, "change/")).content.decode()
    assert "Only EU is asked, so not far at Northern cloud (US)." in page
    page = client.get(below("deployment", other, "change/")).content.decode()
    assert "Not asked: north-large asks only EU, and this is in US." in page
    page = client.get(below("deployment", place, "change/")).content.decode()
    assert "Not asked" not in page


def test_an_empty_list_says_whether_anything_was_left_out(
    client_for: Any, charlie_tenant: Any, charlie: Any, client: Any, ours: Any
) -> None:
    found = client.get(of("aimodel") + "?q=nothing-like-it").content.decode()
    assert "No AI models match" in found
    assert "take filters away" in found
    found = client.get(of("aimodel") + f"?deployments__provider__id__exact={ours.provider.pk}")
    assert "north-large" in found.content.decode()
    with charlie_tenant:
        RoutingRule.objects.all().delete()
        AIModel.objects.all().delete()
    found = client_for(charlie_tenant, charlie).get(of("aimodel")).content.decode()
    assert "No AI models yet" in found
    assert "Add AI model" in found


# Deployments and prices


def place_form(place: Deployment, **fields: Any) -> dict[str, Any]:
    return posted(place, **fields) | fields


def test_bounds_and_prices_of_a_deployment_reach_the_gateways(told: Any, ours: Any) -> None:
    place = ours.aimodel.deployments.get()
    form = place_form(
        place,
        region="EU",
        context_tokens="200000",
        priority="2",
        abilities=["vision", "tools"],
        tokens_per_minute="90000",
        cached_price="0.5",
        search_price="10",
        picture_price="0.04",
        heard_hour_price="0.36",
        characters_price="15",
    )
    form |= {"price_steps-0-unit": "input", "price_steps-0-above": "128000"}
    form |= {"price_steps-0-price": "4"}
    form |= {"picture_prices-0-size": "1024x1536", "picture_prices-0-quality": "High"}
    form |= {"picture_prices-0-price": "0.25", "picture_prices-1-size": ""}
    (found,) = of_model(
        told(below("deployment", place, "change/"), form), "north-large"
    ).deployments
    assert (found.region, found.context_tokens, found.priority) == ("EU", 200_000, 2)
    assert (found.abilities, found.tokens_per_minute) == (("tools", "vision"), 90_000)
    assert (found.prices.input, found.prices.cached) == (2_000_000, 500_000)
    assert found.prices.steps == (snapshot.PriceStep("input", 128_000, 4_000_000),)
    assert found.prices.picture == 40_000
    assert (found.prices.heard_hour, found.prices.characters) == (360_000, 15_000_000)
    assert found.prices.pictures == (snapshot.PicturePrice("1024x1536", "high", 250_000),)


def test_what_a_deployment_cannot_be_told_is_set_on_its_page(told: Any, ours: Any) -> None:
    place = ours.aimodel.deployments.get()
    form = place_form(place, based_on="gpt-5", quirks='{"stop": "refuse"}')
    (found,) = of_model(
        told(below("deployment", place, "change/"), form), "north-large"
    ).deployments
    assert (found.based_on, found.quirks) == ("gpt-5", {"stop": "refuse"})
    form = place_form(place, based_on="", quirks="")
    (found,) = of_model(
        told(below("deployment", place, "change/"), form), "north-large"
    ).deployments
    assert (found.based_on, found.quirks) == ("", {})


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"quirks": "stop"}, "quirks"),
        ({"quirks": '{"stop": 1}'}, "quirks"),
        ({"context_tokens": "0"}, "context_tokens"),
        ({"cached_price": "-1"}, "cached_price"),
        ({"currency": "euro"}, "currency"),
        ({"currency": "E1R"}, "currency"),
        ({"price_steps-0-above": "x", "price_steps-0-unit": "input"}, "price_steps"),
        (
            {
                "price_steps-0-above": "5",
                "price_steps-0-unit": "tea",
                "price_steps-0-price": "1",
            },
            "price_steps",
        ),
        ({"picture_price": "-0.01"}, "picture_price"),
        ({"heard_hour_price": "dear"}, "heard_hour_price"),
        ({"characters_price": "1e12"}, "characters_price"),
        ({"picture_prices-0-size": "1024x1024", "picture_prices-0-price": ""}, "picture_prices"),
        ({"picture_prices-0-size": "a b", "picture_prices-0-price": "1"}, "picture_prices"),
        ({"picture_prices-0-size": "a", "picture_prices-0-price": "-1"}, "picture_prices"),
        ({"picture_prices-0-size": "a", "picture_prices-0-price": "1e9"}, "picture_prices"),
        (
            {
                "picture_prices-0-size": "a",
                "picture_prices-0-price": "1",
                "picture_prices-1-size": "A",
                "picture_prices-1-price": "2",
            },
            "picture_prices",
        ),
    ],
)
def test_a_deployment_is_refused_at_its_field(
    client: Any, ours: Any, in_alice: Any, fields: dict, field: str
) -> None:
    place = ours.aimodel.deployments.get()
    page = client.post(below("deployment", place, "change/"), place_form(place, **fields))
    assert list(errors(page)) == [field]


def in_days(days: int) -> dict[str, str]:
    at = timezone.localtime(timezone.now() + timedelta(days=days))
    return {"since_0": at.strftime("%Y-%m-%d"), "since_1": "00:00:00"}


def test_prices_from_a_day_on_are_added_changed_and_then_only_looked_at(
    client: Any, told: Any, ours: Any
) -> None:
    place = ours.aimodel.deployments.get()
    add = f"{of('pricechange', 'add')}?deployment={place.pk}"
    assert client.get(add).context["adminform"].form.initial["input_price"] == "2"
    form = {"deployment": place.pk, "currency": "usd", "input_price": "1.5"}
    found = told(add, form | in_days(3))
    ((coming,),) = [one.later_prices for one in of_model(found, "north-large").deployments]
    assert (coming.input, coming.currency) == (1_500_000, "USD")
    change = PriceChange.objects.get()
    told(
        below("pricechange", change, "change/"),
        {"input_price": "1", "currency": "USD"} | in_days(4),
    )
    page = client.get(below("deployment", place, "change/")).content.decode()
    assert "the beginning" in page
    assert "1 in, unknown out, USD" in page

    told(add, form | {"input_price": "7", "since_0": "", "since_1": ""})
    begun = PriceChange.objects.get(input_price=7)
    assert prices.begun(begun)
    assert client.get(below("pricechange", begun, "change/")).status_code == 200
    changed = client.post(below("pricechange", begun, "change/"), form)
    assert changed.status_code == 403
    assert client.post(below("pricechange", begun, "delete/"), {"post": "yes"}).status_code == 403
    assert PriceChange.objects.get(pk=begun.pk).input_price == 7

    page = client.get(below("deployment", place, "change/"))
    assert "input_price" not in page.context["adminform"].form.fields
    told(below("deployment", place, "change/"), place_form(place, weight="5"))
    told(below("aimodel", ours.aimodel, "change/"), model_form(ours.aimodel))
    place.refresh_from_db()
    assert (place.weight, place.input_price) == (5, 2)
    shown = client.get(below("aimodel", ours.aimodel, "change/")).content.decode()
    assert 'value="7"' in shown
    told(below("pricechange", change, "delete/"), {"post": "yes"})


@pytest.mark.parametrize(
    ("fields", "field", "says"),
    [
        (in_days(-2), "since", "This moment is gone"),
        ({"since_0": "soon", "since_1": ""}, "since", "valid"),
        ({"output_price": "-1"}, "output_price", "greater than or equal to 0"),
        ({"currency": "$"}, "currency", "three capital letters"),
    ],
)
def test_a_price_change_is_refused_at_its_field(
    client: Any, ours: Any, in_alice: Any, fields: dict, field: str, says: str
) -> None:
    form = {"deployment": ours.aimodel.deployments.get().pk, "currency": "USD"} | in_days(1)
    assert says in str(errors(client.post(of("pricechange", "add"), form | fields))[field])


def test_two_price_changes_at_one_moment_are_refused(client: Any, ours: Any, in_alice: Any) -> None:
    form = {"deployment": ours.aimodel.deployments.get().pk, "currency": "USD"} | in_days(1)
    assert client.post(of("pricechange", "add"), form).status_code == 302
    assert "already exists" in str(errors(client.post(of("pricechange", "add"), form)))


@pytest.mark.parametrize(
    ("condition", "told"),
    [
        ({"subject": "metadata", "operator": "is_not", "values": ["a", "b"], "name": "team"},
         "When the metadata team is neither “a” nor “b”"),
        ({"subject": "complexity", "operator": "at_most", "values": ["30"]},
         "When the question's complexity is at most 30 of 100"),
        ({"subject": "language", "operator": "is", "values": ["de", "fr", "it"]},
         "When the question's language is de, fr or it"),
        ({"subject": "content", "operator": "is_not", "values": ["code", "math"]},
         "When the call has no code and no math"),
        ({"subject": "similarity", "operator": "like", "values": ["Hi"], "least": 60,
          "embedding_model": "vectors"},
         "When the question is at least 60 % like “Hi” in meaning (by vectors)"),
        ({"subject": "similarity", "operator": "like", "values": ["x" * 80], "least": 60},
         f"When the question is at least 60 % like “{'x' * 60}…”"),
        ({"subject": "application", "operator": "contains", "values": ["shop"]},
         "When the application contains “shop”"),
        ({"subject": "stream", "operator": "is", "values": ["false"]},
         "When no stream is wanted"),
    ],
)  # fmt: skip
def test_a_rule_in_plain_words(ours: Any, in_alice: Any, condition: dict, told: str) -> None:
    rule = RoutingRule.objects.create(model=ours.aimodel, name="r", conditions=[condition])
    assert sentence(rule, {}) == f"{told}: any deployment is asked."


def test_a_model_that_meanings_are_compared_by_is_not_deleted(
    client: Any, ours: Any, in_alice: Any
) -> None:
    place = ours.aimodel.deployments.get()
    vectors = Deployment(provider=place.provider, provider_model="vectors-1")
    embedder = AIModel(name="vectors", abilities=["embeddings"])
    ai.save_model(model=embedder, deployments=[vectors])
    alike = {"subject": "similarity", "operator": "like", "values": ["Hi"]}
    rule = RoutingRule(
        model=ours.aimodel, name="r", conditions=[alike | {"embedding_model": "vectors"}]
    )
    ai.save_rule(rule=rule, deployments=[place])
    page = client.post(below("aimodel", embedder, "delete/"), {"post": "yes"}, follow=True)
    assert page.status_code == 200
    told = f'href="{below("routingrule", rule, "change/")}">Routing rule “r” of north-large</a>'
    assert f"{told} (compares meanings by it)" in page.content.decode()
    assert AIModel.objects.filter(name="vectors").exists()


def test_a_model_that_a_budget_drops_to_is_not_deleted_and_the_budget_is_named(
    client: Any, ours: Any, second: AIModel, in_alice: Any
) -> None:
    kind = {"measure": "cost", "currency": "USD", "window": "calendar_month", "amount": 5}
    limit = save_limit(
        limit=Limit(**kind, then="cheaper", fallback=second, application=ours.application)
    )
    several = {"action": "delete_selected", "_selected_action": [second.pk], "post": "yes"}
    for address, form in (
        (below("aimodel", second, "delete/"), {"post": "yes"}),
        (of("aimodel"), several),
    ):
        page = client.post(address, form, follow=True)
        assert page.status_code == 200
        told = f'href="{below("limit", limit, "change/")}">Limit “5.00 USD per calendar month”'
        assert f"{told} on application “Web shop”</a> (drops to it)" in page.content.decode()
        assert AIModel.objects.filter(pk=second.pk).exists()


def test_a_model_is_deleted_with_its_deployments_and_their_prices(
    client: Any, second: AIModel, in_alice: Any
) -> None:
    place = second.deployments.get()
    begun = PriceChange(deployment=place, since=timezone.now() - timedelta(days=1))
    PriceChange.objects.bulk_create([begun])
    page = client.post(below("aimodel", second, "delete/"), {"post": "yes"}, follow=True)
    assert page.status_code == 200
    assert not AIModel.objects.filter(pk=second.pk).exists()
    assert not PriceChange.objects.exists()
