"""APIs, routes and upstreams: what is refused when they are saved, and why."""

from __future__ import annotations

import pytest
from django.core.exceptions import ValidationError

from catalog.models import AIModel, Api, Provider, Route, Target, Upstream
from catalog.selectors import overlapping, path_shape
from catalog.services import ai, apis, upstreams
from contract.addresses import private_host


def refusals(call, **given):
    """The errors by field that a service raises."""
    with pytest.raises(ValidationError) as caught:
        call(**given)
    return caught.value.message_dict


@pytest.fixture
def public_only(tier):
    tier.private_upstreams = False
    tier.save()


def test_an_api_is_a_draft_until_it_is_published(upstream):
    row = apis.save_api(api=Api(name="A", listen_path="/a", upstream=upstream))
    assert row.state == "draft"
    assert apis.publish_api(api=row).state == "published"
    assert apis.retire_api(api=row).state == "retired"


def test_publishing_keeps_what_others_have_changed_meanwhile(api):
    apis.retire_api(api=api)
    Api.objects.update(version="2.0")
    assert apis.publish_api(api=api).version == "2.0"
    api.refresh_from_db()
    assert (api.state, api.version) == ("published", "2.0")


def test_publishing_needs_an_upstream_with_an_enabled_target(in_alice):
    row = apis.save_api(api=Api(name="A", listen_path="/a"))
    assert "Choose the upstream" in refusals(apis.publish_api, api=row)["upstream"][0]
    row.upstream = upstreams.save_upstream(
        upstream=Upstream(name="U"), targets=[Target(url="http://1.2.3.4", enabled=False)]
    )
    apis.save_api(api=row)
    assert "no target" in refusals(apis.publish_api, api=row)["upstream"][0]
    row.refresh_from_db()
    assert row.state == "draft"


@pytest.mark.parametrize("path", ["/v1", "/v1/chat", "/v1beta", "/healthz", "/readyz/x"])
def test_the_gateways_own_paths_are_kept(upstream, path):
    row = Api(name="A", listen_path=path, upstream=upstream)
    assert "belongs to the gateway itself" in refusals(apis.save_api, api=row)["listen_path"][0]


def test_a_listen_path_belongs_to_one_api_that_is_not_retired(api, upstream):
    row = Api(name="Other", listen_path="/orders", upstream=upstream)
    assert "already belongs to Orders" in refusals(apis.save_api, api=row)["listen_path"][0]
    apis.retire_api(api=api)
    apis.save_api(api=row)
    assert "already belongs to Other" in refusals(apis.publish_api, api=api)["listen_path"][0]


def test_an_api_below_another_is_no_overlap(api, upstream):
    apis.save_api(api=Api(name="Deeper", listen_path="/orders/items", upstream=upstream))


def test_ai_apis_share_their_path(in_alice):
    for name in ("One", "Two"):
        assert apis.publish_api(api=Api(name=name, kind="ai")).listen_path == "/v1"


def test_the_kind_of_an_api_is_fixed(api):
    api.kind = "ai"
    api.upstream = None
    assert "cannot change" in refusals(apis.save_api, api=api)["kind"][0]


def test_a_header_that_http_needs_cannot_carry_the_key(upstream):
    row = Api(name="A", listen_path="/a", upstream=upstream, key_header="Content-Length")
    assert "key_header" in refusals(apis.save_api, api=row)


@pytest.mark.parametrize(
    ("one", "other", "overlap"),
    [
        (("/a/{id}", []), ("/a/{name}", []), True),
        (("/a/{id}", ["GET"]), ("/a/{name}", ["GET", "PUT"]), True),
        (("/a/{id}", ["GET"]), ("/a/{name}", []), True),
        (("/a/{id}", ["GET"]), ("/a/{name}", ["PUT"]), False),
        (("/a/{id}", []), ("/a/b", []), False),
        (("/a/{id}", []), ("/a/{id*}", []), False),
        (("/a/{x*}", []), ("/a/{y*}", []), True),
        (("/a", []), ("/a/", []), False),
    ],
)
def test_routes_overlap_when_no_call_can_tell_them_apart(api, one, other, overlap):
    routes = [Route(api=api, path=path, methods=methods) for path, methods in (one, other)]
    assert bool(overlapping(api, routes)) == overlap
    routes[0].enabled = False
    assert overlapping(api, routes) == []


def test_path_shapes():
    assert path_shape("/a/{id}/b/{rest*}") == "/a/{}/b/{*}"


def test_overlapping_routes_are_refused_and_nothing_is_saved(api):
    routes = [Route(path="/x/{a}"), Route(path="/x/{b}")]
    errors = refusals(apis.save_api, api=api, routes=routes)
    assert "answer the same calls" in errors["routes"][0]
    assert api.routes.count() == 3


def test_a_rewrite_uses_names_of_the_path_only(api):
    routes = [Route(path="/x/{a}", rewrite="/y/{b}")]
    errors = refusals(apis.save_api, api=api, routes=routes)
    assert "{b} is not in the route's path." in errors["routes[0].rewrite"]


def test_replaced_routes_keep_their_ids_by_path_and_methods(api):
    before = {route.path: route.pk for route in api.routes.all()}
    routes = [Route(path="/items/{id}", methods=["GET", "PUT"]), Route(path="/new")]
    apis.save_api(api=api, routes=routes)
    after = {route.path: route.pk for route in api.routes.all()}
    assert set(after) == {"/items/{id}", "/new"}
    assert after["/items/{id}"] == before["/items/{id}"]


def test_the_tier_limits_apis_that_are_not_retired(tier, api, upstream):
    tier.max_apis = 1
    tier.save()
    second = Api(name="Second", listen_path="/second", upstream=upstream)
    with pytest.raises(ValidationError) as caught:
        apis.save_api(api=second)
    assert caught.value.code == "tier_limit"
    assert "Retire or delete one" in caught.value.message
    apis.save_api(api=api)
    apis.retire_api(api=api)
    apis.save_api(api=second)


def test_a_tier_without_the_ai_gateway_has_no_ai(tier, in_alice):
    tier.ai_gateway = False
    tier.save()
    calls = [
        (apis.save_api, {"api": Api(name="M", kind="ai")}),
        (ai.save_provider, {"provider": Provider(name="P", base_url="https://p.example/v1")}),
        (ai.save_model, {"model": AIModel(name="m", abilities=["chat"])}),
    ]
    for call, given in calls:
        with pytest.raises(ValidationError) as caught:
            call(**given)
        assert caught.value.code == "tier_feature"


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "a.localhost",
        "LOCALHOST.",
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "[::1]",
        "[::]",
        "[fe80::1]",
        "[fd00::1]",
        "[::ffff:127.0.0.1]",
        "224.0.0.1",
    ],
)
def test_private_hosts_are_recognised_in_every_spelling(host):
    assert private_host(f"http://{host}:8080/x")


@pytest.mark.parametrize("host", ["example.com", "93.184.216.34", "[2606:2800:220:1::1]", "1a.de"])
def test_public_hosts_are_left_alone(host):
    assert private_host(f"https://{host}/x") is None


def test_private_targets_need_a_tier_that_allows_them(public_only, in_alice):
    targets = [Target(url="https://example.com"), Target(url="http://10.0.0.7")]
    upstream = Upstream(name="U")
    errors = refusals(upstreams.save_upstream, upstream=upstream, targets=targets)
    assert list(errors) == ["targets[1].url"]
    assert "10.0.0.7 is on a private" in errors["targets[1].url"][0]
    assert not Upstream.objects.exists()


def test_private_providers_need_a_tier_that_allows_them(public_only, in_alice):
    provider = Provider(name="P", base_url="http://localhost:11434/v1")
    assert "base_url" in refusals(ai.save_provider, provider=provider)


def test_targets_are_replaced_and_keep_their_ids_by_address(upstream):
    before = {target.url: target.pk for target in upstream.targets.all()}
    kept = "http://10.0.0.7:8080/base/"
    targets = [Target(url=kept, weight=5), Target(url="http://10.0.0.9")]
    upstreams.save_upstream(upstream=upstream, targets=targets)
    after = {target.url: target for target in upstream.targets.all()}
    assert set(after) == {kept, "http://10.0.0.9"}
    assert (after[kept].pk, after[kept].weight) == (before[kept], 5)


def test_the_same_address_twice_is_refused(upstream):
    targets = [Target(url="http://10.0.0.9"), Target(url="http://10.0.0.9")]
    errors = refusals(upstreams.save_upstream, upstream=upstream, targets=targets)
    assert errors == {"targets[1]": ["This stands in the list twice."]}


def test_a_prompts_api_is_deleted_with_the_prompt_only(prompt):
    with pytest.raises(ValidationError, match="delete the prompt instead"):
        apis.delete_api(api=prompt.api)
