"""Rules by what a question means: embedded by one of the tenant's models and compared."""

import json
import math
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from ai_cast import ALICE, CHARLIE, WEATHER, alice, by_meaning
from ai_servers import Reply
from msgspec.structs import replace
from test_ai_choosing import ANSWER, BODY, ask

from contract.routing import EMBEDDING_WIRE_FORMATS
from contract.snapshot import Provider
from proxy.ai import meaning, traits
from proxy.ai.compiled import Destination
from proxy.ai.formats.embedding.registry import EMBEDDINGS
from proxy.ai.meaning import Meanings
from proxy.ai.providers import WIRE_FORMATS

PARAPHRASE = "Should I bring an umbrella?"
UNRELATED = "What is the capital of Peru?"
TOPICS = (("weather", "forecast", "umbrella", "rain"), ("capital", "peru"), ("cook", "soup"))


def vector(text):
    words = set(re.findall(r"\w+", text.lower()))
    counts = [len(words.intersection(topic)) for topic in TOPICS]
    return [*map(float, counts), 0.1]


def inputs(asked):
    said = json.loads(asked.body)
    if "requests" in said:
        return [one["content"]["parts"][0]["text"] for one in said["requests"]]
    return said.get("input") or said["texts"]


def embeds(asked, tokens=10):
    """Each text counts ``tokens``."""
    vectors = [vector(text) for text in inputs(asked)]
    if "batchEmbedContents" in asked.line:
        said = {"embeddings": [{"values": one} for one in vectors]}
    elif "/v2/embed" in asked.line:
        billed = {"billed_units": {"input_tokens": tokens * len(vectors)}}
        said = {"id": "e", "embeddings": {"float": vectors}, "meta": billed}
    else:
        data = [{"index": number, "embedding": one} for number, one in enumerate(vectors)]
        said = {"data": data, "usage": {"prompt_tokens": tokens * len(vectors)}}
    return Reply([json.dumps(said).encode()])


@pytest.fixture(autouse=True)
def nothing_kept(platform):
    platform.application.gateway.meanings = Meanings()
    platform.application.gateway.health.circuits.clear()


@pytest.fixture
def three(provider, second, third):
    provider.says(BODY)
    second.says(BODY)
    third.answer = embeds
    return provider, second, third


def routed(platform, answer):
    assert answer.status_code == 200, answer.text
    return platform.event(answer.headers["x-request-id"]).routed.partition("; passed over: ")[0]


def test_a_paraphrase_that_shares_no_word_is_matched_and_another_text_is_not(web, three, platform):
    first, second, _ = three
    ours, theirs = (set(re.findall(r"\w+", text.lower())) for text in (PARAPHRASE, WEATHER[0]))
    assert not ours & theirs
    assert all(traits.likeness(PARAPHRASE, example) < 30 for example in WEATHER)
    said = routed(platform, ask(web, "meant", PARAPHRASE))
    assert said == "meant by third-embedder; rule 'weather' (100 % alike); the only one that fits"
    assert (len(first.asked), len(second.asked)) == (0, 1)
    answers = [ask(web, "meant", UNRELATED) for _ in range(2)]
    assert routed(platform, answers[0]) == "meant by third-embedder; weighted: 1 of 2 turns"
    assert (len(first.asked), len(second.asked)) == (1, 2)


def test_examples_are_asked_for_once_and_a_question_once_for_a_while(web, three):
    third = three[2]
    for text in (PARAPHRASE, UNRELATED, PARAPHRASE):
        ask(web, "meant", text)
    asked = sorted(inputs(one) for one in third.asked)
    assert asked == sorted([list(WEATHER), [PARAPHRASE], [UNRELATED]])
    assert third.last.headers["authorization"] == "Bearer sk-the-tenants-own"
    assert json.loads(third.last.body)["model"] == "embed-real"


def test_a_questions_vector_is_forgotten_after_its_lifetime(web, three, platform):
    now = [1000.0]
    platform.application.gateway.meanings = Meanings(lambda: now[0])
    ask(web, "meant", PARAPHRASE)
    now[0] += meaning.LIFETIME + 1
    ask(web, "meant", PARAPHRASE)
    asked = [inputs(one) for one in three[2].asked]
    assert asked.count([PARAPHRASE]) == 2
    assert asked.count(list(WEATHER)) == 1


def test_examples_are_asked_for_again_where_the_condition_changes(
    web, three, platform, providers, sandbox_url
):
    third = three[2]
    urls = {name: url for name, (url, _) in providers.items()} | {"sandbox": sandbox_url}
    snapshot = alice(urls)
    others = by_meaning("meant", "third-embedder", ("How do I cook soup?",))
    changed = tuple(others if one.name == "meant" else one for one in snapshot.models)
    ask(web, "meant", PARAPHRASE)
    platform.publish(snapshot)
    ask(web, "meant", PARAPHRASE)
    assert len(third.asked) == 2
    try:
        platform.publish(replace(snapshot, models=changed))
        assert "rule" not in routed(platform, ask(web, "meant", PARAPHRASE))
        assert [inputs(one) for one in third.asked[2:]] == [["How do I cook soup?"]]
    finally:
        platform.publish(snapshot)


def test_all_is_asked_for_again_where_the_deployment_changes(
    web, three, platform, providers, sandbox_url
):
    third = three[2]
    urls = {name: url for name, (url, _) in providers.items()} | {"sandbox": sandbox_url}
    snapshot = alice(urls)
    changed = []
    for one in snapshot.models:
        if one.name == "third-embedder":
            one = replace(one, deployments=(replace(one.deployments[0], model="another"),))
        changed.append(one)
    ask(web, "meant", PARAPHRASE)
    try:
        platform.publish(replace(snapshot, models=tuple(changed)))
        ask(web, "meant", PARAPHRASE)
    finally:
        platform.publish(snapshot)
    models = [json.loads(one.body)["model"] for one in third.asked]
    assert models == ["embed-real"] * 2 + ["another"] * 2


def test_what_was_embedded_is_part_of_the_calls_cost(web, three, platform):
    costs = []
    for _ in range(2):
        answer = ask(web, "meant", PARAPHRASE)
        event = platform.event(answer.headers["x-request-id"])
        costs.append(event.cost_micros)
        assert (event.input_tokens, event.output_tokens, event.attempts) == (9, 3, 1)
    # 9 and 3 tokens at 2.5 and 10; and three texts of 10 tokens at 0.1: 52.5 and 3.
    assert costs == [56, 52]


def test_it_costs_where_the_call_then_fails(web, three, platform):
    for script in three[:2]:
        script.says(b'{"error":{"message":"no"}}', status=400)
    answer = ask(web, "meant", PARAPHRASE)
    assert answer.status_code == 400
    event = platform.event(answer.headers["x-request-id"])
    assert (event.cost_micros, event.currency, event.input_tokens) == (3, "USD", None)


def test_the_cost_is_unknown_where_the_answer_tells_no_usage(web, three, platform):
    for script in three[:2]:
        script.says(json.dumps(ANSWER | {"usage": None}).encode())
    event = platform.event(ask(web, "meant", PARAPHRASE).headers["x-request-id"])
    assert (event.status, event.cost_micros, event.input_tokens) == (200, None, None)


def test_costs_in_two_currencies_are_not_added(web, three, platform):
    answer = ask(web, "meant-in-euros", PARAPHRASE)
    event = platform.event(answer.headers["x-request-id"])
    assert (event.cost_micros, event.input_tokens) == (None, 9)


def test_where_it_takes_too_long_words_are_compared_and_it_is_said(
    web, three, platform, monkeypatch
):
    first, second, third = three
    monkeypatch.setattr(meaning, "SECONDS", 0.2)
    third.answer = lambda asked: replace_pause(embeds(asked), 1.0)
    began = time.monotonic()
    said = routed(platform, ask(web, "meant", PARAPHRASE))
    assert 0.2 <= time.monotonic() - began < 0.9
    assert said == "by words, as third-embedder took longer than 0.2 s; weighted: 1 of 2 turns"
    said = routed(platform, ask(web, "meant", WEATHER[0] + " "))
    assert (
        said == "by words, as third-embedder has just failed; rule 'weather' (100 % alike); "
        "the only one that fits"
    )
    assert len(third.asked) == 2
    assert len(first.asked) + len(second.asked) == 2
    flights = platform.application.gateway.meanings._shelves["alice"].flights
    platform.wait(lambda: not flights)


def replace_pause(reply, seconds):
    reply.pause = seconds
    return reply


def test_a_provider_that_wants_to_rest_for_ever_is_asked_again(web, three, platform):
    third, gateway = three[2], platform.application.gateway
    third.says(b'{"error":{"message":"busy"}}', status=429, headers={"retry-after": "1e9"})
    ask(web, "meant", PARAPHRASE)
    circuits = gateway.health.circuits.values()
    assert max(one.rests_until for one in circuits) <= gateway.health.clock() + 300


def test_after_a_rest_it_is_asked_again(web, three, platform):
    now = [1000.0]
    platform.application.gateway.meanings = Meanings(lambda: now[0])
    third = three[2]
    third.says(b'{"error":{"message":"busy"}}', status=503)
    said = routed(platform, ask(web, "meant", PARAPHRASE))
    assert said == "by words, as third-embedder failed (provider_error); weighted: 1 of 2 turns"
    third.answer = embeds
    now[0] += meaning.REST_SECONDS + 1
    platform.application.gateway.health.circuits.clear()
    assert routed(platform, ask(web, "meant", PARAPHRASE)).startswith("meant by")


@pytest.mark.parametrize(
    ("model", "why"),
    [
        ("meant-by-none", "down-embedder failed (upstream_unreachable)"),
        ("meant-by-claude", "claude-embedder failed (operation_unsupported)"),
        ("meant-by-charlies", "charlies-embedder is not there"),
        ("meant-by-chat", "gpt is not there"),
    ],
)
def test_what_cannot_embed_leaves_it_to_the_words(web, three, platform, model, why):
    assert (
        routed(platform, ask(web, model, PARAPHRASE))
        == f"by words, as {why}; weighted: 1 of 2 turns"
    )
    said = routed(platform, ask(web, model, WEATHER[0]))
    assert said.endswith("; rule 'weather' (100 % alike); the only one that fits")
    assert not three[2].asked


@pytest.mark.parametrize(
    "answer",
    [
        b"{}",
        b'{"data":[]}',
        b'{"data":[{"embedding":[0.0,0.0]}]}',
        b'{"data":[{"embedding":[]}]}',
        b'{"data":[{"embedding":"AADAfw=="}]}',
        b"not JSON",
    ],
)
def test_an_answer_that_holds_no_vectors_leaves_it_to_the_words(web, three, platform, answer):
    three[2].says(answer)
    said = routed(platform, ask(web, "meant", PARAPHRASE))
    assert (
        said
        == "by words, as third-embedder failed (provider_answer_unreadable); weighted: 1 of 2 turns"
    )


def test_another_length_of_vectors_than_the_examples_is_not_compared(web, three, platform):
    third = three[2]
    ask(web, "meant", PARAPHRASE)
    third.says(b'{"data":[{"embedding":[1.0,0.0]}],"usage":{"prompt_tokens":1}}')
    said = routed(platform, ask(web, "meant", "Will it rain?"))
    assert said.startswith("by words, as third-embedder failed (provider_answer_unreadable)")


def test_the_next_deployment_embeds_where_one_is_down(web, three, platform):
    said = routed(platform, ask(web, "meant-by-either", PARAPHRASE))
    assert said == "meant by either-embedder; rule 'weather' (100 % alike); the only one that fits"


@pytest.mark.parametrize("format_", ["gemini", "cohere"])
def test_it_is_embedded_in_the_providers_format(web, three, platform, format_):
    first = three[0]
    first.answer = lambda asked: embeds(asked) if "mbed" in asked.line else Reply([BODY])
    answer = ask(web, f"meant-by-{format_}", PARAPHRASE)
    said = routed(platform, answer)
    assert (
        said == f"meant by {format_}-embedder; rule 'weather' (100 % alike); the only one that fits"
    )
    event = platform.event(answer.headers["x-request-id"])
    # Gemini does not say what it has counted: a token for four bytes of these 75 + 27.
    tokens = (
        30
        if format_ == "cohere"
        else sum(math.ceil(math.ceil(len(text) / 2) / 2) for text in (*WEATHER, PARAPHRASE))
    )
    assert event.cost_micros == round(52.5 + tokens / 10)


def test_rules_that_lead_to_it_and_fallbacks_compare_meanings_too(web, three, platform):
    said = routed(platform, ask(web, "leads-to-meant", PARAPHRASE))
    assert (
        said == "meant by third-embedder; rule 'always' (no stream) asks meant in place of "
        "leads-to-meant; rule 'weather' (100 % alike); the only one that fits"
    )
    said = routed(platform, ask(web, "falls-to-meant", PARAPHRASE))
    assert said.startswith("meant by third-embedder; fallback of falls-to-meant; rule 'weather' (")


def test_who_leaves_while_a_fallbacks_rule_is_weighed_leaves_nothing_open(
    web, three, platform, providers, sandbox_url
):
    first, third = three[0], three[2]
    first.says(b'{"error":{"message":"busy"}}', status=503)
    third.answer = lambda asked: replace_pause(embeds(asked), 1.0)
    urls = {name: url for name, (url, _) in providers.items()} | {"sandbox": sandbox_url}
    snapshot = alice(urls)
    falls = next(one for one in snapshot.models if one.name == "falls-to-meant")
    busy = replace(falls.deployments[0], provider_id="first")
    models = [replace(one, deployments=(busy,)) if one is falls else one for one in snapshot.models]
    seen = platform.application.gateway.track.of(f"alice:{busy.id}")
    before = seen.in_flight
    try:
        platform.publish(replace(snapshot, models=tuple(models)))
        body = {"model": "falls-to-meant", "messages": [{"role": "user", "content": PARAPHRASE}]}
        with pytest.raises(httpx.ReadTimeout):
            web.post("/v1/chat/completions", json=body, timeout=0.3)
        assert first.asked
        platform.wait(lambda: seen.in_flight == before)
    finally:
        platform.publish(snapshot)


def test_nothing_is_asked_without_such_a_rule_or_question(web, three, platform):
    for name in ("ruled", "both", "prior"):
        assert ask(web, name, PARAPHRASE).status_code == 200
    image = [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]
    assert routed(platform, ask(web, "meant", image)) == "weighted: 1 of 2 turns"
    assert not three[2].asked


def test_tenants_share_no_vectors(web, three, platform):
    third = three[2]
    ask(web, "meant", PARAPHRASE)
    headers = {"authorization": f"Bearer {CHARLIE}"}
    assert routed(platform, ask(web, "meant", PARAPHRASE, headers)).startswith("meant by")
    assert sorted(inputs(one) for one in third.asked) == sorted(
        2 * [list(WEATHER)] + 2 * [[PARAPHRASE]]
    )


def test_first_calls_at_the_same_time_ask_once(platform, three):
    third = three[2]
    gate = threading.Event()

    def late(asked):
        gate.wait(5)
        return embeds(asked, 100)

    third.answer = late
    texts = [f"Umbrella number {n % 4}?" for n in range(12)]

    def one(text):
        headers = {"authorization": f"Bearer {ALICE}"}
        with httpx.Client(base_url=platform.url, headers=headers, timeout=20) as web:
            return ask(web, "meant", text)

    with ThreadPoolExecutor(12) as several:
        calls = [several.submit(one, text) for text in texts]
        platform.wait(lambda: len(third.asked) >= 5)
        time.sleep(0.2)
        gate.set()
        answers = [call.result() for call in calls]
    asked = [inputs(one) for one in third.asked]
    assert sorted(asked) == sorted([list(WEATHER), *([text] for text in sorted(set(texts)))])
    events = platform.events({answer.headers["x-request-id"] for answer in answers})
    assert all(event.routed.startswith("meant by") for event in events.values())
    # Each of the six texts is paid once, 100 tokens at 0.1.
    assert sum(event.cost_micros - 52 for event in events.values()) == 6 * 10


def test_what_is_kept_of_a_tenant_is_bounded(web, three, platform, monkeypatch):
    monkeypatch.setattr(meaning, "TENANT_BYTES", 2000)
    for number in range(9):
        ask(web, "meant", f"Question {number}, umbrella?")
    shelf = platform.application.gateway.meanings._shelves["alice"]
    assert 0 < shelf._size <= 2000
    assert shelf._size == sum(kept.size for kept in shelf._kept.values())
    # The examples are used in every call, so they stay.
    assert [inputs(one) for one in three[2].asked].count(list(WEATHER)) == 1


def test_what_is_kept_of_all_tenants_is_bounded(monkeypatch):
    monkeypatch.setattr(meaning, "TENANTS", 2)
    meanings = Meanings()
    for name in ("a", "b", "a", "c"):
        meanings._shelf(name)
    assert list(meanings._shelves) == ["a", "c"]


def test_only_the_beginning_of_a_long_question_is_embedded(web, three):
    ask(web, "meant", "umbrella " * 5000)
    longest = max(len(text) for one in three[2].asked for text in inputs(one))
    assert longest == meaning.LONGEST


def test_the_sandbox_embeds(web, three, platform):
    said = routed(platform, ask(web, "meant-by-sandbox", WEATHER[1]))
    assert said == "meant by embedder; rule 'weather' (100 % alike); the only one that fits"
    assert (
        routed(platform, ask(web, "meant-by-sandbox", UNRELATED))
        == "meant by embedder; weighted: 1 of 2 turns"
    )


def test_the_contract_names_the_wire_formats_that_can_be_read():
    readable = set()
    for name, wire in WIRE_FORMATS.items():
        to = Destination(Provider("p", "P", name, "http://127.0.0.1:1/v1"), None)
        if set(wire.speaks(to, "embeddings")) & set(EMBEDDINGS):
            readable.add(name)
    assert readable == EMBEDDING_WIRE_FORMATS
