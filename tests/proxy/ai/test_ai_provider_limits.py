"""Providers' rate limits, kept by two workers together before they are run into."""

from __future__ import annotations

import json
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import count

import httpx
import pytest
import redis
from ai_cast import SECRET, by_meaning, model
from ai_servers import Platform, Reply, serving, sse
from msgspec.structs import replace
from test_ai_choosing import BODY
from test_ai_meaning import embeds

from contract import keys
from contract.routing import Priority, Routing
from contract.snapshot import (
    FORMAT,
    Api,
    ApiKey,
    Application,
    Plan,
    Prompt,
    PromptMessage,
    Provider,
    Subscription,
    TenantSnapshot,
)
from proxy import asgi
from proxy.settings import Settings

PAT, QUIN = keys.new_api_key(), keys.new_api_key()
KEYS = {"pat": PAT, "quin": QUIN}
_names = count(1)


def limited(*providers: str, fallbacks=(), **limits):
    """A model of a name of its own, whose first deployment declares ``limits``."""
    name = f"m{next(_names)}"
    plain = model(
        name,
        *((provider, f"real-{provider}") for provider in providers or ("first",)),
        routing=Routing(strategy=Priority(), fallbacks=fallbacks) if fallbacks else Routing(),
    )
    first, *others = plain.deployments
    return replace(plain, deployments=(replace(first, **limits), *others))


def tenant(name: str, urls: dict[str, str], models) -> TenantSnapshot:
    """The same for all, but for its name and key."""
    prompt = Prompt("p", "p", 1, "p-1", models[0].id, (PromptMessage("user", "Hi."),))
    return TenantSnapshot(
        format=FORMAT,
        tenant_id=name,
        slug=name,
        version=1,
        hosts=(f"{name}.localhost",),
        private_upstreams=True,
        apis=(Api("ai", "AI", "ai", "/v1"), Api("p", "P", "prompt", "/p", prompt_id="p")),
        plans=(Plan("free", "Free"),),
        applications=(Application("app", "App"),),
        keys=(ApiKey("key", keys.digest(KEYS[name]), "app"),),
        subscriptions=tuple(
            Subscription(f"s-{api}", "app", api, "free", "approved") for api in ("ai", "p")
        ),
        providers=tuple(
            Provider(id_, f"Provider {id_}", "openai", f"{urls[id_]}/v1")
            for id_ in ("first", "second")
        ),
        models=tuple(models),
        prompts=(prompt,),
    )


class Workers:
    """Gateways that have only Valkey in common."""

    def __init__(self, platforms: list[Platform], urls: dict[str, str]) -> None:
        self.platforms = platforms
        self._urls = urls
        self._clients = [httpx.Client(base_url=each.url, timeout=20) for each in platforms]

    def serve(self, *models) -> None:
        """Both tenants have these models, under the same ids."""
        for name in KEYS:
            self.platforms[0].publish(tenant(name, self._urls, models))
        self.platforms[0].wait(self._alike)

    def _alike(self) -> bool:
        """All have the same snapshots."""
        versions = [[each._version(name) for name in KEYS] for each in self.platforms]
        return all(version == versions[0] for version in versions)

    def ask(self, at: int, model, key: str = PAT, **fields) -> httpx.Response:
        body = {"model": model.name, "messages": [{"role": "user", "content": "Hi"}], **fields}
        return self.post(at, "/v1/chat/completions", body, key)

    def post(self, at: int, path: str, body: dict, key: str = PAT) -> httpx.Response:
        headers = {"authorization": f"Bearer {key}", "x-hubpo-explain": "1"}
        return self._clients[at].post(path, json=body, headers=headers)

    def knows(self, at: int, model, tenant_id: str = "pat") -> bool:
        track = self.platforms[at].application.gateway.track
        return f"{tenant_id}:{model.deployments[0].id}" in track.low

    def event(self, answer: httpx.Response):
        return self.platforms[0].event(answer.headers["x-request-id"])


def start(stack: ExitStack, url: str, valkey, directory, urls, number: int) -> Workers:
    platforms = []
    for index in range(number):
        for part in ("snapshots", "journal"):
            (directory / f"{part}-{index}").mkdir()
        application = asgi.create(
            Settings(
                redis_url=url,
                snapshots=directory / f"snapshots-{index}",
                journal=directory / f"journal-{index}",
                secret_key=SECRET,
            )
        )
        application.data_plane = application
        at = stack.enter_context(serving(application, "proxy.server:Protocol"))
        platforms.append(Platform(at, application, valkey))
    return Workers(platforms, urls)


@pytest.fixture(scope="module")
def urls(providers):
    return {name: providers[name][0] for name in ("first", "second")}


@pytest.fixture(scope="module")
def two(valkey_url, urls, tmp_path_factory):
    with ExitStack() as stack:
        valkey = stack.enter_context(redis.from_url(valkey_url))
        yield start(stack, valkey_url, valkey, tmp_path_factory.mktemp("two"), urls, 2)


@pytest.fixture
def one(own_valkey, urls, tmp_path):
    """A worker, and a Valkey that the test may stop."""
    with ExitStack() as stack:
        yield start(stack, own_valkey.url, own_valkey.client(), tmp_path, urls, 1)


@pytest.fixture
def two_in_a_cluster(cluster, urls, tmp_path):
    with ExitStack() as stack:
        yield start(stack, cluster.url, cluster.client(), tmp_path, urls, 2)


@pytest.fixture(autouse=True)
def answers(provider, second):
    provider.says(BODY)
    second.says(BODY)


def left(remaining: int, reset: str, most: int | None = None) -> dict[str, str]:
    said = {"x-ratelimit-remaining-requests": f"{remaining}", "x-ratelimit-reset-requests": reset}
    return said if most is None else said | {"x-ratelimit-limit-requests": f"{most}"}


def refused(answer: httpx.Response, most: int) -> None:
    assert answer.status_code == 429, answer.text
    assert 1 <= int(answer.headers["retry-after"]) <= most
    error = answer.json()["error"]
    assert (error["code"], error["type"]) == ("provider_limit_reached", "rate_limit_error")


def together(two: Workers, calls: int, model, **fields) -> list[httpx.Response]:
    """So many calls at each worker, all at once."""
    with ThreadPoolExecutor(2 * calls) as pool:
        return list(pool.map(lambda at: two.ask(at % 2, model, **fields), range(2 * calls)))


# Declared


def test_two_workers_together_send_no_call_more_than_is_declared(two, provider):
    bounded = limited(requests_per_minute=5)
    two.serve(bounded)
    answers = together(two, 8, bounded)
    assert sorted(answer.status_code for answer in answers) == [200] * 5 + [429] * 11
    assert len(provider.asked) == 5
    for answer in answers:
        if answer.status_code == 429:
            refused(answer, 61)


def test_the_record_says_that_nobody_was_asked(two, provider):
    bounded = limited(requests_per_minute=1)
    two.serve(bounded)
    assert two.ask(0, bounded).status_code == 200
    answer = two.ask(1, bounded)
    refused(answer, 61)
    why = "Provider first not asked (its rate limit is used up)"
    assert answer.headers["x-hubpo-route"] == f"nobody: {why}"
    event = two.event(answer)
    assert (event.status, event.error_code) == (429, "provider_limit_reached")
    assert (event.routed, event.deployment_id, event.attempts) == (why, "", 0)
    assert (event.model, event.cost_micros) == (bounded.name, None)


def test_another_tenants_deployment_of_the_same_id_has_limits_of_its_own(two):
    bounded = limited(requests_per_minute=1)
    two.serve(bounded)
    assert [two.ask(at, bounded).status_code for at in (0, 1)] == [200, 429]
    assert [two.ask(at, bounded, QUIN).status_code for at in (1, 0)] == [200, 429]


def test_tokens_are_held_while_calls_are_under_way(two, provider):
    bounded = limited(tokens_per_minute=1000)
    two.serve(bounded)
    provider.answer = lambda asked: Reply([BODY], pause=0.5)
    answers = together(two, 2, bounded, max_tokens=500)
    assert sorted(answer.status_code for answer in answers) == [200, 429, 429, 429]
    assert len(provider.asked) == 1


def test_and_counted_as_they_were_used(two, provider):
    bounded = limited(tokens_per_minute=1000, requests_per_minute=100)
    two.serve(bounded)
    for _ in range(5):
        assert two.ask(0, bounded, max_tokens=850).status_code == 200, "12 tokens each"
    refused(two.ask(0, bounded, max_tokens=950), 61)


@pytest.mark.parametrize(("status", "fits"), [(400, True), (200, False)])
def test_a_call_that_failed_used_none(two, provider, status, fits):
    bounded = limited(tokens_per_minute=1000)
    two.serve(bounded)
    provider.says(b'{"error":{"message":"no"}}' if status == 400 else b"{}", status=status)
    assert two.ask(0, bounded, max_tokens=900).status_code == status
    provider.says(BODY)
    assert (two.ask(0, bounded, max_tokens=900).status_code == 200) == fits


def test_a_stream_is_counted_as_it_was_used_too(two, provider):
    bounded = limited(tokens_per_minute=1000)
    two.serve(bounded)
    said = {"index": 0, "delta": {"content": "Hi"}, "finish_reason": None}
    usage = {"choices": [], "usage": {"prompt_tokens": 100, "completion_tokens": 200}}
    pieces = [json.dumps({"choices": [said]}), json.dumps(usage), "[DONE]"]
    provider.says(sse(*pieces), content_type="text/event-stream")
    answers = [two.ask(0, bounded, max_tokens=600, stream=True) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]


def test_what_exceeds_the_whole_limit_is_sent_while_all_of_it_is_there(two, provider):
    bounded = limited(tokens_per_minute=1000)
    two.serve(bounded)
    assert two.ask(0, bounded, max_tokens=5000).status_code == 200
    refused(two.ask(0, bounded, max_tokens=5000), 61)
    assert two.ask(0, bounded, max_tokens=500).status_code == 200


def test_the_next_is_asked_then_the_fallbacks_and_then_nobody(two, provider, second):
    last = limited("second", requests_per_minute=1)
    bounded = limited("first", "second", fallbacks=(last.id,), requests_per_minute=1)
    first, other = bounded.deployments
    other = replace(other, requests_per_minute=1, priority=2)
    bounded = replace(bounded, deployments=(first, other))
    two.serve(bounded, last)
    spent = "not asked (its rate limit is used up)"
    answers = [two.ask(at % 2, bounded) for at in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert (len(provider.asked), len(second.asked)) == (1, 2)
    assert two.event(answers[1]).routed == f"priority 2 after Provider first {spent}"
    assert two.event(answers[2]).routed == (
        f"fallback of {bounded.name}; the only deployment after Provider first {spent}, "
        f"Provider second {spent}"
    )
    assert two.event(answers[3]).routed.count(spent) == 3


def test_a_failure_is_passed_on_where_the_others_are_used_up(two, provider, second):
    bounded = limited("first", "second", requests_per_minute=1)
    two.serve(bounded)
    while not provider.asked:
        two.ask(0, bounded)
    second.says(b'{"error":{"message":"busy"}}', status=503)
    answers = [two.ask(0, bounded) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [503, 503]
    assert len(provider.asked) == 1


def test_an_embedding_model_that_rules_ask_is_kept_to_its_limit(two, provider):
    asks = replace(limited(requests_per_minute=2), abilities=("embeddings",))
    ruled = by_meaning(f"m{next(_names)}", asks.name)
    two.serve(ruled, asks)
    provider.answer = lambda one: embeds(one) if "embeddings" in one.line else Reply([BODY])
    said = [{"role": "user", "content": "What is it like outside?"}]
    routed = [two.event(two.ask(0, ruled, **more)).routed for more in ({}, {"messages": said})]
    assert routed[0].startswith(f"meant by {asks.name}; "), "question and examples are two calls"
    assert routed[1].startswith(f"by words, as {asks.name} failed (provider_limit_reached); ")


def test_in_a_cluster_it_is_the_same(two_in_a_cluster, provider):
    bounded, told = limited(requests_per_minute=5), limited()
    two_in_a_cluster.serve(bounded, told)
    answers = together(two_in_a_cluster, 5, bounded)
    assert sorted(answer.status_code for answer in answers) == [200] * 5 + [429] * 5
    provider.says(BODY, headers=left(0, "20s"))
    assert two_in_a_cluster.ask(0, told).status_code == 200
    two_in_a_cluster.platforms[1].wait(lambda: two_in_a_cluster.knows(1, told), 2)
    refused(two_in_a_cluster.ask(1, told), 20)


def test_without_valkey_each_worker_counts_its_own(one, own_valkey, provider):
    bounded, tokens = limited(requests_per_minute=3), limited(tokens_per_minute=2000)
    one.serve(bounded, tokens)
    assert one.ask(0, bounded).status_code == 200
    limiter = one.platforms[0].application.gateway.limiter
    own_valkey.signal(signal.SIGSTOP)
    try:
        answers = [one.ask(0, bounded) for _ in range(4)]
        assert [answer.status_code for answer in answers] == [200, 200, 429, 429]
        refused(answers[-1], 60)
        assert not limiter.connected
        answers = [one.ask(0, tokens, max_tokens=900) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [200, 200, 429]
    finally:
        own_valkey.signal(signal.SIGCONT)
    assert len(provider.asked) == 5


# Told by the provider


def test_what_one_worker_is_told_the_other_knows(two, provider):
    told = limited()
    two.serve(told)
    provider.says(BODY, headers=left(0, "20s"))
    assert two.ask(0, told).status_code == 200
    two.platforms[1].wait(lambda: two.knows(1, told), 2)
    for at in (0, 1):
        refused(two.ask(at, told), 20)
    assert len(provider.asked) == 1
    assert not two.knows(1, told, "quin")
    provider.says(BODY)
    assert [two.ask(at, told, QUIN).status_code for at in (0, 1)] == [200, 200]


def test_it_is_asked_again_once_the_reset_has_passed(two, provider):
    told = limited()
    two.serve(told)
    provider.says(BODY, headers=left(0, "3s"))
    assert two.ask(0, told).status_code == 200
    two.platforms[1].wait(lambda: two.knows(1, told), 2)
    refused(two.ask(1, told), 3)
    provider.says(BODY)
    time.sleep(3.1)
    assert [two.ask(at, told).status_code for at in (0, 1, 0, 1)] == [200] * 4
    assert not two.knows(1, told)


def test_what_comes_back_evenly_is_used_as_it_comes(two, provider):
    told = limited()
    two.serve(told)
    provider.says(BODY, headers=left(0, "60s", 60))
    assert two.ask(0, told).status_code == 200
    refused(two.ask(0, told), 1)
    provider.says(BODY)
    time.sleep(1.1)
    assert [two.ask(0, told).status_code for _ in range(2)] == [200, 429]


def test_after_a_429_nothing_is_sent_for_as_long_as_it_says(two, provider):
    told = limited()
    two.serve(told)
    headers = left(0, "60s", 60) | {"retry-after": "4"}
    provider.says(b'{"error":{"message":"slow down"}}', status=429, headers=headers)
    answer = two.ask(0, told)
    assert (answer.status_code, answer.json()["error"]["message"]) == (429, "slow down")
    time.sleep(1.1)
    refused(two.ask(0, told), 3)
    assert len(provider.asked) == 1


def test_clients_of_each_kind_are_told_in_their_own_form(two, provider):
    told = limited()
    two.serve(told)
    provider.says(BODY, headers=left(0, "20s"))
    assert two.ask(0, told).status_code == 200
    said = two.post(0, "/v1/messages", {"model": told.name, "max_tokens": 9, "messages": []})
    assert said.status_code == 429
    assert said.json()["error"]["type"] == "rate_limit_error"
    assert said.json()["error"]["code"] == "provider_limit_reached"
    path = f"/v1beta/models/{told.name}:generateContent"
    said = two.post(0, path, {"contents": [{"parts": [{"text": "Hi"}]}]})
    assert said.json()["error"]["status"] == "RESOURCE_EXHAUSTED"
    said = two.post(0, "/p", {})
    assert said.headers["content-type"] == "application/problem+json"
    assert said.json()["code"] == "provider_limit_reached"
    assert int(said.headers["retry-after"]) <= 20
    assert len(provider.asked) == 1


def test_counting_tokens_is_not_refused_for_it(two, provider):
    told = limited()
    two.serve(told)
    provider.says(BODY, headers=left(0, "20s"))
    assert two.ask(0, told).status_code == 200
    asked = {"model": told.name, "messages": [{"role": "user", "content": "Hi"}]}
    said = two.post(0, "/v1/messages/count_tokens", asked)
    assert (said.status_code, said.headers["x-hubpo-estimated"]) == (200, "tokens")


def test_who_tells_nothing_is_not_asked_about(two, provider):
    silent = limited()
    two.serve(silent)
    track = two.platforms[0].application.gateway.track
    assert two.ask(0, silent).status_code == 200
    assert track.of(f"pat:{silent.deployments[0].id}").told is None
    assert not two.platforms[0].valkey.keys(f"*deployment:{silent.deployments[0].id}*")
