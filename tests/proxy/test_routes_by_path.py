"""From a path to a route, without sockets."""

from __future__ import annotations

import pytest

from proxy.route import Listen, Path, Rewrite, Table, TemplateError


def find(table: Table[str], path: str, method: str = "GET") -> tuple[str, tuple[int, ...]] | None:
    return table.find(Path(path).plain, method, set())


def table(*routes: tuple[str, str]) -> Table[str]:
    made: Table[str] = Table()
    for template, methods in routes:
        made.add(template, tuple(methods.split()), template)
    return made


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/orders", "/orders"),
        ("/orders/", "/orders"),
        ("/orders/7", "/orders/{id}"),
        ("/orders/latest", "/orders/latest"),
        ("/orders/7/lines/3", "/orders/{id}/lines/{line}"),
        ("/files", "/files/{rest*}"),
        ("/files/a/b/c", "/files/{rest*}"),
        ("/orders/7/other", None),
        ("/other", None),
    ],
)
def test_literals_go_before_parameters_and_these_before_the_rest(
    path: str, expected: str | None
) -> None:
    routes = table(
        ("/orders", ""),
        ("/orders/{id}", ""),
        ("/orders/latest", ""),
        ("/orders/{id}/lines/{line}", ""),
        ("/files/{rest*}", ""),
    )
    found = find(routes, path)
    assert (found and found[0]) == expected


def test_a_method_that_the_literal_lacks_falls_to_the_parameter() -> None:
    routes = table(("/orders/search", "POST"), ("/orders/{id}", "GET"))
    assert find(routes, "/orders/search", "GET") == ("/orders/{id}", (1,))
    assert find(routes, "/orders/search", "POST") == ("/orders/search", ())


def test_methods_that_would_match_are_collected() -> None:
    routes, allowed = table(("/a", "GET"), ("/{x}", "PUT DELETE")), set[str]()
    assert routes.find(["a"], "POST", allowed) is None
    assert allowed == {"GET", "PUT", "DELETE"}


def test_the_longest_listen_path_wins_by_whole_segments() -> None:
    listen: Listen[str] = Listen()
    for path in ("", "/a", "/a/b"):
        listen.add(path, path or "root")
    assert listen.find(["a", "b", "c"]) == ("/a/b", 2)
    assert listen.find(["a", "bc"]) == ("/a", 1)
    assert listen.find(["ab"]) == ("root", 0)
    assert listen.find([]) == ("root", 0)


def test_an_encoded_slash_does_not_pass_for_a_separator() -> None:
    listen: Listen[str] = Listen()
    listen.add("/a/b", "inner")
    assert listen.find(Path("/a%2Fb").plain) is None


@pytest.mark.parametrize(
    "path",
    [
        "/a/../b",
        "/a/./b",
        "/a/%2e%2e/b",
        "/a/%2E./b",
        "/a/..%2fb",
        "/a/%2e%2e%2fb",
        "/a/..%5cb",
        "/a/..\\b",
        "/a/..;/b",
        "/a/..;x=1/b",
        "/a/%252e%252e/b",
        "/a/b/..",
        "/a/%00",
    ],
)
def test_every_spelling_of_a_dot_segment_is_recognised(path: str) -> None:
    assert Path(path).escapes


@pytest.mark.parametrize("path", ["/a/b.c", "/a/...", "/a/.well-known", "/a/b%20c", "/a/100%25"])
def test_harmless_dots_and_escapes_are_left_alone(path: str) -> None:
    assert not Path(path).escapes


def test_the_rest_is_handed_on_as_it_came() -> None:
    assert Path("/a/b%2Fc//d/").below(1) == "/b%2Fc//d/"
    assert Path("/a").below(1) == ""
    assert Path("/a/").below(1) == "/"


def test_a_rewrite_puts_parameters_in_still_encoded() -> None:
    rewrite = Rewrite.of("/v2/{kind}/{rest}", ("kind", "rest"))
    assert rewrite({"kind": "a%20b", "rest": "c/d"}) == "/v2/a%20b/c/d"


@pytest.mark.parametrize("template", ["/a/{b", "/a/x{b}", "/{rest*}/a"])
def test_templates_that_make_no_sense_are_refused(template: str) -> None:
    with pytest.raises(TemplateError):
        Table[str]().add(template, (), "route")


def test_a_rewrite_may_only_name_parameters_of_the_path() -> None:
    with pytest.raises(TemplateError, match="nothing"):
        Rewrite.of("/{nothing}", ("id",))
