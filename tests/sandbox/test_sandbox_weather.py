import time

import pytest


def test_cities_and_their_forecasts(web):
    cities = web.get("/weather/cities").json()["cities"]
    assert {"id": "zurich", "name": "Zürich", "country": "CH"} in cities
    for city in cities:
        forecast = web.get(f"/weather/cities/{city['id']}", params={"days": 5}).json()
        assert forecast["city"] == city
        assert [day["day"] for day in forecast["days"]] == [0, 1, 2, 3, 4]
        assert all(day["celsius"]["low"] < day["celsius"]["high"] for day in forecast["days"])


def test_the_weather_never_changes(web):
    assert web.get("/weather/cities/Lima").content == web.get("/weather/cities/lima").content


def test_a_report_is_checked_and_comes_back(web):
    answer = web.post("/weather/reports", json={"city": "lima", "celsius": 21, "note": "hazy"})
    assert answer.status_code == 201
    report = answer.json()
    assert report["celsius"] == 21
    assert report["city"]["name"] == "Lima"
    assert answer.headers["location"] == f"/weather/reports/{report['id']}"


def test_deleting_a_report_answers_without_a_body(web):
    answer = web.delete("/weather/reports/1")
    assert answer.status_code == 204
    assert answer.content == b""


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("GET", "/weather/cities/atlantis", None, 404, "unknown_city"),
        ("GET", "/weather/nothing", None, 404, "not_found"),
        ("GET", "/nothing", None, 404, "not_found"),
        ("DELETE", "/weather/reports/", None, 404, "not_found"),
        ("POST", "/weather/cities", b"", 405, "method_not_allowed"),
        ("GET", "/weather/reports/1", None, 405, "method_not_allowed"),
        ("POST", "/healthz", b"", 405, "method_not_allowed"),
        ("GET", "/weather/cities/lima?days=many", None, 400, "invalid_parameter"),
        ("GET", "/weather/cities/lima?days=nan", None, 400, "invalid_parameter"),
        ("GET", "/weather/slow?seconds=61", None, 400, "invalid_parameter"),
        ("POST", "/weather/reports", b"{", 400, "invalid_report"),
        ("POST", "/weather/reports", b'{"city": "lima"}', 400, "invalid_report"),
        ("POST", "/weather/reports", b'{"city": "lima", "celsius": 99}', 400, "invalid_report"),
        ("POST", "/weather/reports", b'{"city": "oz", "celsius": 9}', 404, "unknown_city"),
    ],
)
def test_errors_are_json_with_a_code(web, method, path, body, status, code):
    answer = web.request(method, path, content=body)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["error"]["code"] == code


def test_a_wrong_method_is_told_the_right_ones(web):
    assert web.post("/weather/cities").headers["allow"] == "GET, HEAD"
    assert web.get("/weather/reports").headers["allow"] == "POST"


@pytest.mark.parametrize("path", ["/weather/cities", "/weather/cities/lima", "/healthz"])
def test_head_gives_the_head_that_get_gives(web, path):
    got, head = web.get(path), web.head(path)
    assert head.status_code == got.status_code == 200
    assert head.content == b""
    assert head.headers["content-length"] == str(len(got.content))
    assert head.headers["content-type"] == got.headers["content-type"] == "application/json"


def test_a_slow_answer_takes_its_time(web):
    began = time.perf_counter()
    assert web.get("/weather/slow", params={"seconds": 0.2}).json() == {"waited_seconds": 0.2}
    assert time.perf_counter() - began >= 0.2
