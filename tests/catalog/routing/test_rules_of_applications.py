"""Rules name applications by their ids, and people by their names."""

from __future__ import annotations

from uuid import uuid4

import pytest
from django.core.exceptions import ValidationError
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.recorder import MigrationRecorder
from routing_cast import told

from catalog.models import Application, RoutingRule
from catalog.routing_checks import check_condition
from catalog.services import access
from tenants import schemas


def naming(*values, operator="is"):
    return {"subject": "application", "operator": operator, "values": list(values)}


def test_an_application_is_named_by_its_name_in_any_case_or_by_its_id(application):
    small = access.save_application(application=Application(name="sHop"))
    shop, other = str(application.pk), str(small.pk)
    for said, kept in (
        (["Shop"], [shop]),
        (["sHop"], [other]),
        (["SHOP"], [shop, other]),
        ([shop, "Shop"], [shop]),
    ):
        assert sorted(check_condition(naming(*said))["values"]) == sorted(kept)
    for said in ("Shops", str(uuid4()), "%"):
        with pytest.raises(ValidationError, match="There is no application named"):
            check_condition(naming(said))
    assert check_condition(naming("ho", operator="contains"))["values"] == ["ho"]


def ruled(model, *conditions):
    deployments = [str(model.deployments.get().pk)]
    return {"rules": [{"name": "r", "conditions": list(conditions), "deployments": deployments}]}


def test_a_rule_follows_an_application_whose_name_changes(
    call, path, model, application, in_alice, in_store
):
    said = [naming("shop"), naming("sho", operator="contains")]
    (rule,) = call("patch", path, ruled(model, *said))["rules"]
    assert rule["conditions"] == [naming("Shop"), said[1]]
    call("patch", f"/api/applications/{application.pk}/", {"name": "Store"})
    (rule,) = call("get", path)["rules"]
    assert rule["conditions"] == [naming("Store"), said[1]]
    (found,) = told(in_store, in_alice, "fast").routing.rules
    assert [condition.values for condition in found.conditions] == [("Store",), ("sho",)]
    assert call("patch", path, {"rules": [rule]})["rules"] == [rule]
    listed = call("get", "/api/models/")["results"]
    assert [one["rules"] for one in listed if one["name"] == "fast"] == [[rule]]


def test_an_application_that_a_rule_names_is_not_deleted(call, path, model, application):
    other = access.save_application(application=Application(name="Other"))
    call("patch", path, ruled(model, naming("Shop", operator="is_not")))
    address = f"/api/applications/{application.pk}/"
    problem = call("delete", address, status=409)
    assert problem["code"] == "in_use"
    assert "r" in problem["detail"]
    call("delete", f"/api/applications/{other.pk}/", status=204)
    call("patch", path, {"rules": []})
    call("delete", address, status=204)


@pytest.mark.django_db(transaction=True)
def test_rules_of_older_tables_follow_the_applications_that_they_named():
    schemas.create("older")
    connection.set_schema("older", include_public=False)
    MigrationRecorder(connection).ensure_schema()
    connection.set_schema("older")
    old = MigrationExecutor(connection).migrate([("catalog", "0013_batch_prices")]).apps
    shop = str(old.get_model("catalog", "Application").objects.create(name="Shop").pk)
    model = old.get_model("catalog", "AIModel").objects.create(name="m", abilities=["chat"])
    said = [
        naming("SHOP", "Gone"),
        naming("shop", operator="is_not"),
        naming("Shop", operator="contains"),
        {"subject": "header", "operator": "is", "values": ["Shop"], "name": "X-A"},
    ]
    old.get_model("catalog", "RoutingRule").objects.create(model=model, name="r", conditions=said)
    executor = MigrationExecutor(connection)
    executor.migrate(executor.loader.graph.leaf_nodes("catalog"))
    kept = [naming(shop, "Gone"), naming(shop, operator="is_not"), *said[2:]]
    assert RoutingRule.objects.get().conditions == kept
    MigrationExecutor(connection).migrate([("catalog", "0013_batch_prices")])
    back = [naming("Shop", "Gone"), naming("Shop", operator="is_not"), *said[2:]]
    assert RoutingRule.objects.get().conditions == back
