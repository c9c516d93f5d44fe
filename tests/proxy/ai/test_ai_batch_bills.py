"""What batches cost: their records, and what limits count of them."""

import asyncio
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from ai_batches import batch_records, create, jsonl, request, upload
from ai_billed import Billed, another_worker
from msgspec.structs import replace

from contract import keys
from contract.snapshot import Prices
from proxy.ai.batches import counted
from proxy.valkey import ValkeyError


def test_a_batch_is_recorded_once_at_batch_prices(web, keeper, platform):
    file = upload(web, jsonl(request())).json()["id"]
    batch = create(web, file).json()["id"]
    assert web.get(f"/v1/batches/{batch}").json()["status"] == "in_progress"
    told = keeper.finish((1000, 100), (500, 1), failed=1)
    id_ = counted.record_id("alice", "first", told["id"])
    for _ in range(3):
        assert web.get(f"/v1/batches/{batch}").json()["status"] == "completed"
    event = platform.event(id_)
    assert len(batch_records(platform, id_)) == 1
    assert (event.input_tokens, event.output_tokens) == (1500, 101)
    assert event.cost_micros == (1500 * 2_500_000 + 101 * 10_000_000) // 2 // 1_000_000
    assert (event.currency, event.at) == ("USD", told["completed_at"] * 1_000_000)
    assert (event.application_id, event.plan_id, event.model) == ("app", "free", "batched")
    assert (event.deployment_id, event.routed) == ("batched-0", "batch of 2 answers")


def test_who_asks_at_once_has_the_answers_read_once(web, keeper, provider, platform):
    file = upload(web, jsonl(request())).json()["id"]
    batch = create(web, file).json()["id"]
    told = keeper.finish((7, 7))
    answer = keeper.answer

    def slow(asked):
        if asked.line.split()[1].endswith("/content"):
            time.sleep(0.2)
        return answer(asked)

    provider.answer = slow
    with ThreadPoolExecutor(4) as pool:
        for got in pool.map(lambda _: web.get(f"/v1/batches/{batch}"), range(4)):
            assert got.json()["status"] == "completed"
    assert sum("/content" in asked.line for asked in provider.asked) == 1
    id_ = counted.record_id("alice", "first", told["id"])
    assert platform.event(id_).input_tokens == 7
    assert len(batch_records(platform, id_)) == 1


def test_two_workers_write_the_same_record(web, keeper, platform):
    file = upload(web, jsonl(request())).json()["id"]
    batch = create(web, file).json()["id"]
    told = keeper.finish((7, 7))
    id_ = counted.record_id("alice", "first", told["id"])
    web.get(f"/v1/batches/{batch}")
    platform.application.gateway.batches._recorded.clear()  # As another worker, which saw nothing.
    web.get(f"/v1/batches/{batch}")
    one, two = platform.wait(lambda: (found := batch_records(platform, id_))[1:] and found)
    assert (one.id, one.at, one.cost_micros) == (two.id, two.at, two.cost_micros)


def test_answers_are_not_had_before_they_are_recorded(web, keeper, platform, provider):
    file = upload(web, jsonl(request())).json()["id"]
    create(web, file)
    told = keeper.finish((5, 6))
    output = web.get("/v1/batches").json()["data"][0]["output_file_id"]
    kept = keeper.files[told["output_file_id"]]
    keeper.files[told["output_file_id"]] = (kept[0], b"nonsense\n")
    refused = web.get(f"/v1/files/{output}/content")
    assert refused.json()["error"]["code"] == "provider_answer_unreadable"
    gone = web.delete(f"/v1/files/{output}")
    assert gone.json()["error"]["code"] == "provider_answer_unreadable"
    assert told["output_file_id"] in keeper.files
    keeper.files[told["output_file_id"]] = kept
    assert web.get(f"/v1/files/{output}/content").content == kept[1]
    assert platform.event(counted.record_id("alice", "first", told["id"])).output_tokens == 6


def test_what_has_no_batch_price_has_an_unknown_cost(web, keeper, platform):
    file = upload(web, jsonl(request("gpt"))).json()["id"]
    batch = create(web, file).json()["id"]
    told = keeper.finish((5, 6))
    web.get(f"/v1/batches/{batch}")
    event = platform.event(counted.record_id("alice", "first", told["id"]))
    assert (event.input_tokens, event.cost_micros) == (5, None)


def test_what_ended_long_ago_is_not_recorded_again(web, keeper, platform, provider):
    file = upload(web, jsonl(request())).json()["id"]
    batch = create(web, file).json()["id"]
    keeper.finish((5, 6))["completed_at"] = int(time.time()) - 31 * 86_400
    provider.asked.clear()
    assert web.get(f"/v1/batches/{batch}").json()["status"] == "completed"
    assert len(provider.asked) == 1


def test_answers_that_are_gone_do_not_hide_the_batch(web, keeper):
    file = upload(web, jsonl(request())).json()["id"]
    batch = create(web, file).json()["id"]
    del keeper.files[keeper.finish((5, 6))["output_file_id"]]
    assert web.get(f"/v1/batches/{batch}").json()["status"] == "completed"


def test_a_budget_counts_the_estimate_when_a_batch_is_created(keeper, platform, clients):
    web = clients["budget"]
    file = upload(web, jsonl(*[request(max_tokens=1000)] * 2)).json()["id"]
    first = create(web, file)
    assert first.status_code == 200
    refused = create(web, file)
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "token_limit_exceeded")
    assert len(keeper.batches) == 1
    event = platform.event(first.headers["x-request-id"])
    assert (event.input_tokens, event.output_tokens, event.cost_micros) == (0, 0, 0)
    assert web.get(f"/v1/batches/{first.json()['id']}").status_code == 200


def test_money_is_counted_at_batch_prices_and_no_other_model_takes_its_place(keeper, clients):
    web = clients["money"]
    unpriced = upload(web, jsonl(request("gpt"))).json()["id"]
    assert create(web, unpriced).json()["error"]["code"] == "price_unknown"
    file = upload(web, jsonl(*[request(max_tokens=1000)] * 2)).json()["id"]
    assert create(web, file).status_code == 200
    refused = create(web, file)
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "budget_exceeded")
    assert len(keeper.batches) == 1


def test_a_provider_that_fails_is_said_in_the_clients_format(web, keeper, provider):
    file = upload(web, jsonl(request())).json()["id"]
    for status, code in ((401, "provider_rejected_credentials"), (302, "provider_error")):
        provider.says(b"{}", status=status)
        answer = web.get(f"/v1/files/{file}")
        assert (answer.status_code, answer.json()["error"]["code"]) == (502, code)
    provider.says(b"", status=500)
    answer = web.get(f"/v1/files/{file}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "provider_error")
    provider.says(b"?")
    answer = web.get(f"/v1/files/{file}")
    assert answer.json()["error"]["code"] == "provider_answer_unreadable"


# What limits count


@pytest.fixture(params=["exact", "leased"])
def billed(request, platform, providers, keeper):
    """A tenant with limits on every level."""
    tenant = Billed(platform, providers["first"][0], request.param)
    yield tenant
    tenant.web.close()


def new_batch(billed, most=1000):
    """Its id. The batch may use ``most`` tokens of output."""
    file = upload(billed.web, jsonl(request(max_tokens=most))).json()["id"]
    return create(billed.web, file).json()["id"]


def estimate(most=1000):
    """The tokens that it may use, and what they cost."""
    body = json.dumps(request(max_tokens=most)["body"]).encode()
    into = -(-len(body) // 2)
    return into + most, into + 5 * most


def test_what_a_batch_may_use_is_counted_until_it_is_known_what_it_used(billed, keeper):
    batch = new_batch(billed)
    tokens, cost = estimate()
    billed.wait(tokens_hour=(tokens, 0), tokens_month=(0, tokens), cost_month=(0, cost))
    assert billed.web.get(f"/v1/batches/{batch}").json()["status"] == "in_progress"
    told = keeper.finish((100, 20), (50, 1), failed=1)
    for _ in range(3):
        assert billed.web.get(f"/v1/batches/{batch}").json()["status"] == "completed"
    billed.wait(tokens_hour=(171, 0), tokens_month=(171, 0), cost_month=(255, 0))
    id_ = counted.record_id(billed.tenant_id, "p", told["id"])
    event = billed.platform.event(id_)
    assert len(batch_records(billed.platform, id_)) == 1
    assert (event.cost_micros, event.key_id) == (255, "key")
    assert event.end_user == keys.user_digest("ann")


def test_more_than_it_might_use_is_counted_too(billed, keeper):
    batch = new_batch(billed, most=1)
    keeper.finish((1000, 2000))
    billed.web.get(f"/v1/batches/{batch}")
    billed.wait(tokens_hour=(3000, 0), tokens_month=(3000, 0), cost_month=(11_000, 0))


def test_who_fetches_the_answers_settles_too(billed, keeper):
    new_batch(billed)
    keeper.finish((100, 20))
    output = billed.web.get("/v1/batches").json()["data"][0]["output_file_id"]
    assert billed.web.get(f"/v1/files/{output}/content").status_code == 200
    billed.wait(tokens_hour=(120, 0), tokens_month=(120, 0), cost_month=(200, 0))


@pytest.mark.parametrize("status", ["cancelled", "expired", "failed"])
def test_a_batch_that_answered_nothing_is_released(billed, keeper, status):
    batch = new_batch(billed)
    told = list(keeper.batches.values())[-1]
    told |= {"status": status, f"{status}_at": int(time.time())}
    assert billed.web.get(f"/v1/batches/{batch}").json()["status"] == status
    billed.wait(tokens_hour=(0, 0), tokens_month=(0, 0), cost_month=(0, 0))


def test_a_batch_cancelled_in_the_middle_is_settled_to_what_it_answered(billed, keeper):
    batch = new_batch(billed)
    billed.web.post(f"/v1/batches/{batch}/cancel")
    tokens, cost = estimate()
    billed.wait(tokens_hour=(tokens, 0), tokens_month=(0, tokens), cost_month=(0, cost))
    told = keeper.finish((100, 20))
    told |= {"status": "cancelled", "cancelled_at": told["completed_at"]}
    assert billed.web.post(f"/v1/batches/{batch}/cancel").status_code == 200
    billed.wait(tokens_hour=(120, 0), tokens_month=(120, 0), cost_month=(200, 0))


def test_what_was_refused_counts_nothing_and_what_is_unknown_counts(billed, keeper, provider):
    file = upload(billed.web, jsonl(request(max_tokens=1000))).json()["id"]
    provider.says(b'{"error": {"message": "no"}}', status=400)
    assert create(billed.web, file).status_code == 400
    billed.wait(tokens_hour=(0, 0), tokens_month=(0, 0), cost_month=(0, 0))
    provider.says(b"?", abort=True)
    assert create(billed.web, file).status_code == 502
    tokens, cost = estimate()
    billed.wait(tokens_hour=(tokens, 0), tokens_month=(0, tokens), cost_month=(0, cost))


def test_who_leaves_before_the_provider_is_asked_is_billed_nothing(
    billed, keeper, platform, provider, monkeypatch
):
    file = upload(billed.web, jsonl(request(max_tokens=1000))).json()["id"]
    asked, bills = len(provider.asked), platform.application.gateway.limiter.bills
    opened, open_ = threading.Event(), bills.open

    async def slowly(*arguments):
        await open_(*arguments)
        opened.set()
        await asyncio.sleep(0.5)

    with monkeypatch.context() as patched:
        patched.setattr(bills, "open", slowly)
        with pytest.raises(httpx.ReadTimeout):
            billed.web.post("/v1/batches", json={"input_file_id": file}, timeout=0.2)
        assert opened.wait(3)
        billed.wait(tokens_hour=(0, 0), tokens_month=(0, 0), cost_month=(0, 0))
    assert len(provider.asked) == asked


def test_a_worker_that_ends_between_record_and_settlement(billed, keeper, platform, monkeypatch):
    """Nothing is answered, and the next worker does both, of which one was done."""
    batch = new_batch(billed)
    told = keeper.finish((100, 20))
    bills = platform.application.gateway.limiter.bills

    async def away(*_):
        raise ValkeyError("gone")

    with monkeypatch.context() as patched:
        patched.setattr(bills, "close", away)
        refused = billed.web.get(f"/v1/batches/{batch}")
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "limits_unavailable")
    id_ = counted.record_id(billed.tenant_id, "p", told["id"])
    platform.event(id_)
    assert billed.web.get(f"/v1/batches/{batch}").status_code == 200
    billed.wait(tokens_hour=(120, 0), tokens_month=(120, 0), cost_month=(200, 0))
    records = platform.wait(lambda: (found := batch_records(platform, id_))[1:] and found)
    assert len({(one.id, one.at, one.cost_micros) for one in records}) == 1


def test_a_worker_that_saw_nothing_of_it_settles_nothing_twice(billed, keeper, platform):
    batch = new_batch(billed)
    keeper.finish((100, 20))
    with ThreadPoolExecutor(4) as pool:
        for _ in range(3):
            list(pool.map(lambda _: billed.web.get(f"/v1/batches/{batch}"), range(4)))
            platform.application.gateway.batches._recorded.clear()
    billed.wait(tokens_hour=(120, 0), tokens_month=(120, 0), cost_month=(200, 0))


def test_two_workers_that_see_the_end_at_once_settle_it_once(
    billed, keeper, valkey_url, tmp_path, provider
):
    batch = new_batch(billed)
    told = keeper.finish((100, 20))
    answer, together = keeper.answer, threading.Barrier(2, timeout=10)

    def at_once(asked):
        if asked.line.split()[1].endswith("/content"):
            together.wait()  # Both have seen that it is over, and nothing more.
        return answer(asked)

    provider.answer = at_once
    with another_worker(valkey_url, tmp_path) as url, ThreadPoolExecutor(2) as pool:
        theirs = httpx.Client(base_url=url, headers=billed.web.headers, timeout=20)
        billed.platform.wait(lambda: theirs.get("/v1/models").status_code == 200)
        asked = [pool.submit(web.get, f"/v1/batches/{batch}") for web in (billed.web, theirs)]
        assert [one.result().json()["status"] for one in asked] == ["completed"] * 2
        theirs.close()
    billed.wait(tokens_hour=(120, 0), tokens_month=(120, 0), cost_month=(200, 0))
    id_ = counted.record_id(billed.tenant_id, "p", told["id"])
    found = billed.platform.wait(lambda: (some := batch_records(billed.platform, id_))[1:] and some)
    assert len({(one.id, one.at) for one in found}) == 1  # Of which the tables keep one.


def test_answers_without_usage_leave_what_it_may_use(billed, keeper):
    batch = new_batch(billed)
    told = keeper.finish((100, 20))
    kept, data = keeper.files[told["output_file_id"]]
    keeper.files[told["output_file_id"]] = (kept, data.replace(b'"usage"', b'"no"'))
    assert billed.web.get(f"/v1/batches/{batch}").status_code == 200
    tokens, cost = estimate()
    billed.wait(tokens_hour=(tokens, 0), tokens_month=(0, tokens), cost_month=(0, cost))


def test_the_prices_are_those_of_when_it_ended(billed, keeper, platform):
    batch = new_batch(billed)
    told = keeper.finish((100, 20))
    told["completed_at"] -= 100
    model = billed.snapshot.models[0]
    dearer = Prices(20_000_000, 20_000_000, batch_percent=50, since=told["completed_at"] + 50)
    deployment = replace(model.deployments[0], later_prices=(dearer,))
    models = (replace(model, deployments=(deployment,)),)
    platform.publish(replace(billed.snapshot, models=models))
    billed.web.get(f"/v1/batches/{batch}")
    billed.wait(tokens_hour=(120, 0), tokens_month=(120, 0), cost_month=(200, 0))


def test_nobody_else_settles_it(billed, keeper, clients):
    batch = new_batch(billed)
    told = keeper.finish((100, 20))
    for them in (clients["alice"], clients["charlie"]):
        assert them.get(f"/v1/batches/{batch}").status_code == 404
        assert them.post(f"/v1/batches/{batch}/cancel").status_code == 404
    tokens, cost = estimate()
    billed.wait(tokens_hour=(tokens, 0), tokens_month=(0, tokens), cost_month=(0, cost))
    id_ = counted.record_id(billed.tenant_id, "p", told["id"])
    assert batch_records(billed.platform, id_) == []


def test_a_budget_that_a_batch_left_can_be_used(billed, keeper):
    """Which it could not as long as the estimate stood."""
    batch = new_batch(billed, most=60_000)
    file = upload(billed.web, jsonl(request(max_tokens=60_000))).json()["id"]
    assert create(billed.web, file).json()["error"]["code"] == "token_limit_exceeded"
    keeper.finish((100, 20))
    billed.web.get(f"/v1/batches/{batch}")
    billed.wait(tokens_hour=(120, 0), tokens_month=(120, 0), cost_month=(200, 0))
    assert create(billed.web, file).status_code == 200
