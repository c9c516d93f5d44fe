"""Responses that a provider keeps: who goes on from one, and who may see it."""

import asyncio
import json

import httpx
import openai
import pytest
from ai_cast import ALICE, alice
from ai_servers import Reply
from ai_stored import Account, refusal, respond, response_of
from msgspec.structs import replace

from contract import keys
from proxy.ai.calls import BREAKER
from proxy.ai.stored import holders
from proxy.ai.stored.errors import ResponsesUnavailable
from proxy.ai.stored.holders import Holder, Holders

NOWHERE = "unix:///nonexistent/valkey.sock"


@pytest.fixture
def accounts(platform, provider, second, third):
    platform.application.gateway.health.circuits.clear()
    return [Account(script) for script in (provider, second, third)]


@pytest.fixture
def told(platform):
    """``told(answer)``: what the record says of the choice."""
    return lambda answer: platform.event(answer.headers["x-request-id"]).routed


@pytest.fixture
def snapshot(platform, providers, sandbox_url):
    """Alice's, which is in force again afterwards."""
    urls = {name: url for name, (url, _) in providers.items()} | {"sandbox": sandbox_url}
    snapshot = alice(urls)
    yield snapshot
    platform.publish(snapshot)


def holder_names(platform):
    return set(platform.valkey.scan_iter(keys.response_holder("alice", "*")))


def asked_of(accounts):
    return [len(account.script.asked) for account in accounts]


def code_of(answer):
    return answer.status_code, answer.json()["error"]["code"], answer.json()["error"]["param"]


def made_by(accounts, web, number, model="kept", **fields):
    """The id of a response that the account of that number made."""
    while True:
        made = response_of(respond(web, model, **fields))["id"]
        if made in accounts[number].responses:
            return made


NOT_FOUND = (400, "previous_response_not_found", "previous_response_id")
UNREACHABLE = (400, "previous_response_unreachable", "previous_response_id")


# Going on


@pytest.mark.parametrize("fields", [{}, {"stream": True}], ids=["whole", "streams"])
def test_a_conversation_stays_where_it_began(web, accounts, told, fields):
    seen = set()
    for _ in range(4):
        last = response_of(respond(web, **fields))["id"]
        home = next(account for account in accounts if last in account.responses)
        for _ in range(3):
            answer = respond(web, previous=last, **fields)
            assert answer.status_code == 200, answer.text
            last = response_of(answer)["id"]
            assert last in home.responses
            number = accounts.index(home)
            other = 2 - number
            assert told(answer) == (
                "holds the response before; passed over: "
                f"Account {other} real-{other} (does not hold it)"
            )
        seen.add(number)
    assert seen == {0, 1}
    assert answer.headers["x-hubpo-route"].startswith(f"Account {number + 1} (real-{number + 1})")


def test_ids_and_bytes_go_through_as_the_provider_sent_them(web, accounts):
    answer = respond(web)
    (made,) = (one for account in accounts for one in account.responses.values())
    assert answer.content == json.dumps(made, indent=2).encode()


@pytest.mark.parametrize("cut", [1, 7, 100])
def test_streams_cut_anywhere_are_known(web, accounts, cut):
    for account in accounts:
        account.cut = cut
    for _ in range(4):
        made = response_of(respond(web, stream=True))["id"]
        assert respond(web, previous=made).status_code == 200


def test_streams_that_may_be_carried_on_are_known(web, accounts):
    answer = respond(web, "kept-carried", stream=True)
    made = response_of(answer)["id"]
    assert made in accounts[0].responses
    accounts[1].script.asked.clear()
    assert respond(web, "kept-carried", previous=made, stream=True).status_code == 200
    assert asked_of(accounts) == [2, 0, 0]
    accounts[0].breaks = True
    answer = respond(web, "kept-carried", previous=made, stream=True)
    assert "upstream_broken" in answer.text, "nobody else has what was said before"
    assert asked_of(accounts) == [3, 0, 0]


def test_what_two_accounts_have_answered_nobody_holds(web, accounts):
    accounts[0].breaks = True
    answer = respond(web, "kept-carried", stream=True)
    assert asked_of(accounts) == [1, 1, 0]
    made = response_of(answer)["id"]
    assert made in accounts[0].responses
    assert code_of(respond(web, "kept-carried", previous=made)) == NOT_FOUND


def test_neither_rules_nor_fallbacks_take_it_elsewhere(web, accounts, told):
    made = response_of(respond(web, "kept-ruled"))["id"]
    headers = {"x-tier": "gold"}
    body = {"model": "kept-ruled", "input": "Hi", "previous_response_id": made}
    assert web.post("/v1/responses", json=body, headers=headers).status_code == 200
    assert asked_of(accounts) == [2, 0, 0]
    accounts[0].fails = refusal(503, "server_error", "Busy.")
    answer = web.post("/v1/responses", json=body)
    assert (answer.status_code, answer.json()["error"]["message"]) == (503, "Busy.")
    assert asked_of(accounts) == [3, 0, 0]
    assert told(answer) == "holds the response before"


def test_what_a_rule_or_a_fallback_had_answered_is_gone_on_from_there(web, accounts):
    body = {"model": "kept-ruled", "input": "Hi"}
    answer = web.post("/v1/responses", json=body, headers={"x-tier": "gold"})
    assert respond(web, "kept-ruled", previous=answer.json()["id"]).status_code == 200
    assert accounts[1].models == ["golden", "golden"]
    accounts[0].fails = refusal(503, "server_error", "Busy.")
    third = accounts[2]
    said = third.script.answer
    third.script.answer = lambda asked: (
        refusal(500, None, "No.") if b"chat-only" in asked.body else said(asked)
    )
    answer = respond(web, "kept-ruled")
    assert answer.json()["id"] in third.responses
    third.script.asked.clear()
    assert respond(web, "kept-ruled", previous=answer.json()["id"]).status_code == 200
    assert third.models == ["spare"]


def test_another_model_goes_on_in_the_same_account(web, accounts):
    for number in (0, 1):
        made = made_by(accounts, web, number)
        accounts[number].script.asked.clear()
        for _ in range(2):
            assert respond(web, "kept-mini", previous=made).status_code == 200
        assert accounts[number].models == [f"mini-{number + 1}"] * 2


def test_a_deployment_that_fails_is_said_to(web, platform, accounts):
    made = made_by(accounts, web, 0)
    health = platform.application.gateway.health
    while health.circuits.get("kept-0") is None or not health.circuits["kept-0"].open:
        health.failed("kept-0", BREAKER, "alice")
    asked = asked_of(accounts)
    answer = respond(web, previous=made)
    assert code_of(answer)[:2] == (503, "model_unavailable")
    assert "holds the response before" in answer.json()["error"]["message"]
    assert asked_of(accounts) == asked


def test_a_limit_of_the_providers_that_is_used_up_is_waited_for(web, platform, accounts):
    made = made_by(accounts, web, 0)
    accounts[0].headers = {
        "x-ratelimit-remaining-requests": "0",
        "x-ratelimit-limit-requests": "100",
        "x-ratelimit-reset-requests": "60s",
    }
    assert respond(web, previous=made).status_code == 200
    asked = asked_of(accounts)
    answer = respond(web, previous=made)
    platform.application.gateway.track._seen.clear()
    assert code_of(answer)[:2] == (429, "provider_limit_reached")
    assert asked_of(accounts) == asked


def test_a_deployment_that_is_gone_is_said_to_be(web, platform, accounts, snapshot):
    made = made_by(accounts, web, 0, "kept-anywhere")
    asked = asked_of(accounts)
    models = tuple(
        replace(one, deployments=one.deployments[1:]) if one.name == "kept-anywhere" else one
        for one in snapshot.models
    )
    platform.publish(replace(snapshot, models=models))
    assert code_of(respond(web, "kept-anywhere", previous=made)) == UNREACHABLE
    assert asked_of(accounts) == asked


def test_one_whose_weight_is_nothing_still_goes_on(web, platform, accounts, snapshot):
    made = made_by(accounts, web, 0)
    models = tuple(
        replace(one, deployments=(replace(one.deployments[0], weight=0), *one.deployments[1:]))
        if one.name == "kept"
        else one
        for one in snapshot.models
    )
    platform.publish(replace(snapshot, models=models))
    assert respond(web, previous=made).json()["id"] in accounts[0].responses
    assert respond(web).json()["id"] in accounts[1].responses


def test_one_that_cannot_serve_the_call_is_said_not_to(web, accounts):
    made = response_of(respond(web, "kept-short"))["id"]
    assert made in accounts[1].responses
    asked = asked_of(accounts)
    answer = respond(web, "kept-short", previous=made, input="word " * 500)
    assert code_of(answer) == UNREACHABLE
    assert "context of 100 tokens" in answer.json()["error"]["message"]
    assert asked_of(accounts) == asked


def test_tokens_are_counted_where_the_history_is(web, accounts):
    body = {"model": "kept-counted", "input": "Hi"}
    for number, estimated in ((0, None), (1, "tokens")):
        made = made_by(accounts, web, number, "kept-counted")
        for _ in range(2):
            answer = web.post(
                "/v1/responses/input_tokens", json=body | {"previous_response_id": made}
            )
            assert answer.headers.get("x-hubpo-estimated") == estimated
    unknown = body | {"previous_response_id": "resp_x"}
    assert code_of(web.post("/v1/responses/input_tokens", json=unknown)) == NOT_FOUND


def test_of_a_key_that_is_there_twice_the_one_that_was_looked_at_is_told(web, accounts):
    own = made_by(accounts, web, 0)
    body = b'{"model":"kept","input":"H\\u00e4","previous_response_id":"resp_other",%b:"%b"}'
    for key in (b'"previous_response_id"', b'"previous\\u005fresponse_id"'):
        answer = web.post("/v1/responses", content=body % (key, own.encode()))
        assert answer.status_code == 200, answer.text
        sent = accounts[0].script.last.body
        assert b"resp_other" not in sent
        assert sent.count(own.encode()) == 1


def test_what_has_another_type_is_said(web, accounts):
    for name, value in (("previous_response_id", [1]), ("background", "yes"), ("store", {})):
        answer = respond(web, **{name: value})
        assert code_of(answer) == (400, "invalid_request", name)
    assert asked_of(accounts) == [0, 0, 0]
    assert web.post("/v1/responses", json={"model": "kept"}).status_code == 200


# What an account alone can read


@pytest.mark.parametrize(
    "refused",
    [
        refusal(400, "invalid_encrypted_content", "The encrypted content gAAA could not be read."),
        refusal(404, None, "Conversation with id 'conv_1' not found."),
        refusal(404, None, "Prompt with id 'pmpt_1' not found."),
    ],
    ids=["thoughts", "conversation", "prompt"],
)
def test_what_one_account_does_not_know_is_asked_of_the_next(web, accounts, platform, refused):
    accounts[0].fails = refused
    for _ in range(4):
        assert respond(web, store=False).status_code == 200
    first, next_, _ = asked_of(accounts)
    assert first > 1, "nobody rests for it"
    assert next_ == 4
    accounts[1].fails = refused
    answer = respond(web, store=False)
    assert (answer.status_code, answer.content) == (refused.status, refused.pieces[0])


# Whose they are


@pytest.mark.parametrize("who", ["other", "charlie"])
def test_nobody_else_comes_through_any_door(web, accounts, clients, who):
    made = [made_by(accounts, web, number) for number in (0, 1)]
    asked = asked_of(accounts)
    them = clients[who]
    for id_ in (*made, "resp_made_up"):
        assert code_of(respond(them, previous=id_)) == NOT_FOUND
        for answer in (
            them.get(f"/v1/responses/{id_}"),
            them.get(f"/v1/responses/{id_}/input_items"),
            them.delete(f"/v1/responses/{id_}"),
            them.post(f"/v1/responses/{id_}/cancel"),
        ):
            assert code_of(answer) == (404, "response_not_found", None)
    assert asked_of(accounts) == asked
    assert all(web.get(f"/v1/responses/{id_}").status_code == 200 for id_ in made)


def test_one_that_nobody_made_here_is_not_found(web, accounts):
    answer = respond(web, previous="resp_made_up")
    assert code_of(answer) == NOT_FOUND
    assert "'resp_made_up'" in answer.json()["error"]["message"]
    assert asked_of(accounts) == [0, 0, 0]


def test_without_a_key_there_is_nothing_to_see(platform, accounts):
    answer = httpx.get(
        f"{platform.url}/v1/responses/resp_1", headers={"host": "alice.localhost"}, timeout=20
    )
    assert code_of(answer)[:2] == (401, "api_key_missing")


# Shown, deleted, cancelled


def test_openais_sdk_reaches_what_is_kept(platform, accounts):
    sdk = openai.OpenAI(base_url=f"{platform.url}/v1", api_key=ALICE, max_retries=0)
    for _ in range(4):
        made = sdk.responses.create(model="kept", input="Hi")
        assert sdk.responses.retrieve(made.id).output_text == "Hi there."
        assert sdk.responses.input_items.list(made.id).data == []
        with pytest.raises(openai.BadRequestError, match="synchronous"):
            sdk.responses.cancel(made.id)
        sdk.responses.delete(made.id)
        with pytest.raises(openai.NotFoundError, match="no such response"):
            sdk.responses.retrieve(made.id)
        with pytest.raises(openai.BadRequestError) as refused:
            sdk.responses.create(model="kept", input="Hi", previous_response_id=made.id)
        assert refused.value.code == "previous_response_not_found"
    assert min(asked_of(accounts)[:2]) > 0


def test_what_it_is_asked_for_is_told_and_keys_are_not(web, accounts):
    made = made_by(accounts, web, 1)
    query = f"include[]=reasoning.encrypted_content&limit=5&order=asc&after=x%2Fy&key={ALICE}"
    web.get(f"/v1/responses/{made}/input_items?{query}")
    line = accounts[1].script.last.line
    assert ALICE not in line
    assert line.split()[1].partition("?")[2] == (
        "include%5B%5D=reasoning.encrypted_content&limit=5&order=asc&after=x%2Fy"
    )


def test_it_is_recorded_and_uses_nothing(web, platform, accounts):
    made = made_by(accounts, web, 1)
    answer = web.get(f"/v1/responses/{made}")
    event = platform.event(answer.headers["x-request-id"])
    assert (event.method, event.path) == ("GET", f"/v1/responses/{made}")
    assert (event.deployment_id, event.provider_id) == ("kept-1", "account-2")
    assert (event.model, event.input_tokens, event.output_tokens) == ("kept", 0, 0)
    assert (event.cost_micros, event.status, event.error_code) == (0, 200, "")


def test_what_the_provider_says_to_it_is_passed_on(web, accounts):
    made = made_by(accounts, web, 0)
    accounts[0].fails = refusal(404, None, f"Response with id '{made}' not found.")
    answer = web.get(f"/v1/responses/{made}")
    assert (answer.status_code, answer.content) == (404, accounts[0].fails.pieces[0])
    accounts[0].fails = Reply([b"<html>"], status=401)
    answer = web.delete(f"/v1/responses/{made}")
    assert code_of(answer)[:2] == (502, "provider_rejected_credentials")
    accounts[0].fails = None
    assert web.get(f"/v1/responses/{made}").status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "", 405),
        ("POST", "/resp_1", 405),
        ("DELETE", "/resp_1/input_items", 405),
        ("GET", "/resp_1/cancel", 405),
        ("GET", "/resp_1/other", 404),
        ("GET", "/resp_1/input_items/x", 404),
        ("GET", "/a%2Fb", 404),
    ],
)
def test_there_are_no_other_doors(web, accounts, method, path, status):
    assert web.request(method, f"/v1/responses{path}").status_code == status
    assert asked_of(accounts) == [0, 0, 0]


# What is noted


def test_what_is_not_kept_is_not_noted(web, platform, accounts):
    before = holder_names(platform)
    made = response_of(respond(web, store=False))["id"]
    alone = response_of(respond(web, "kept-alone"))["id"]
    chat = {"model": "kept", "messages": [{"role": "user", "content": "Hi"}], "store": True}
    web.post("/v1/chat/completions", json=chat)
    for id_ in (made, alone):
        assert web.get(f"/v1/responses/{id_}").status_code == 404
    assert holder_names(platform) == before


def test_of_a_model_with_one_account_what_is_to_be_kept_is_noted(web, clients, accounts):
    made = response_of(respond(web, "kept-alone", store=True))["id"]
    assert web.get(f"/v1/responses/{made}").json()["id"] == made
    assert clients["other"].get(f"/v1/responses/{made}").status_code == 404


def test_it_is_noted_for_as_long_as_providers_keep_it(web, platform, accounts):
    before = holder_names(platform)
    respond(web)
    (made,) = platform.wait(lambda: holder_names(platform) - before)
    assert 29 * 86_400 < platform.valkey.ttl(made) <= 30 * 86_400
    assert platform.valkey.memory_usage(made) < 300


# In the background


@pytest.mark.parametrize("model", ["kept", "kept-alone"])
def test_what_would_be_answered_unseen_is_refused(web, accounts, model):
    assert code_of(respond(web, model, background=True)) == (
        400,
        "parameter_unsupported",
        "background",
    )
    for key in (b'"background"', b'"b\\u0061ckground"'):
        body = b'{"model":"%b","input":"Hi","background":true,%b:false}' % (model.encode(), key)
        assert web.post("/v1/responses", content=body).status_code == 200
        (sent,) = (account.script.last.body for account in accounts if account.script.asked)
        assert b"true" not in sent
        for account in accounts:
            account.script.asked.clear()
    assert respond(web, model, background=False).status_code == 200


def test_or_is_not_asked_for_where_the_model_drops_what_is_lacking(web, platform, accounts):
    answer = respond(web, "kept-or-dropped", background=True)
    assert answer.status_code == 200
    assert answer.headers["x-hubpo-dropped"] == "background"
    (sent,) = (account.script.last.body for account in accounts if account.script.asked)
    assert b"background" not in sent
    assert platform.event(answer.headers["x-request-id"]).adapted == "dropped background"


# While Valkey is away


@pytest.fixture
def blind(platform):
    """The worker's gateway, whose Valkey does not answer about holders."""
    gateway = platform.application.gateway
    known, gateway.holders = gateway.holders, Holders(NOWHERE)
    yield gateway
    closing = asyncio.run_coroutine_threadsafe(gateway.holders.close(), gateway._loop)
    gateway.holders = known
    closing.result(10)


def test_without_valkey_only_what_needs_it_is_refused(web, accounts, blind):
    answer = respond(web, previous="resp_1")
    assert code_of(answer)[:2] == (503, "responses_unavailable")
    assert answer.headers["retry-after"] == "1"
    assert code_of(web.get("/v1/responses/resp_1"))[:2] == (503, "responses_unavailable")
    assert asked_of(accounts) == [0, 0, 0]
    made = response_of(respond(web, "kept-alone"))["id"]
    assert respond(web, "kept-alone", previous=made).status_code == 200, "one alone can have it"
    for _ in range(2):
        made = response_of(respond(web))["id"]
        assert respond(web, previous=made).status_code == 200, "this worker knows it"


async def test_what_was_noted_meanwhile_is_written_when_valkey_is_back(own_valkey, monkeypatch):
    monkeypatch.setattr(holders, "AGAIN_SECONDS", 0.05)
    monkeypatch.setattr(holders, "MOST_WAITING", 2)
    here, there = Holders(own_valkey.url), Holders(own_valkey.url)
    own_valkey.stop()
    for number in range(3):
        here.note(f"hubpo:response:{{t}}:{number}", Holder(f"d{number}", "p"))
    with pytest.raises(ResponsesUnavailable):
        await there.find("hubpo:response:{t}:2")
    own_valkey.start()
    async with asyncio.timeout(10):
        while (found := await there.find("hubpo:response:{t}:2")) is None:
            pass
    assert found == Holder("d2", "p")
    assert await there.find("hubpo:response:{t}:1") == Holder("d1", "p")
    assert await there.find("hubpo:response:{t}:0") is None, "only so many wait"
    await here.close()
    await there.close()


async def test_what_another_worker_is_writing_is_waited_for(valkey_url):
    here, there = Holders(valkey_url), Holders(valkey_url)
    looking = asyncio.create_task(there.find("hubpo:response:{t}:late"))
    await asyncio.sleep(0.01)
    here.note("hubpo:response:{t}:late", Holder("d", "p"))
    assert await looking == Holder("d", "p")
    await here.forget("hubpo:response:{t}:late")
    assert await there.find("hubpo:response:{t}:late") is None
    await here.close()
    await there.close()
