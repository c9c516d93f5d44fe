import pytest

from contract.templates import TemplateError, parse, placeholders, render


def test_names_are_listed_once_in_order_of_first_use():
    assert placeholders("{{ b }} and {{a}} and {{  b  }}") == ("b", "a")
    assert placeholders("no variables") == ()


def test_literals_and_names_take_turns():
    assert parse("Say {{ word }}!") == ("Say ", "word", "!")
    assert parse("{{a}}{{b}}") == ("", "a", "", "b", "")
    assert parse("") == ("",)


@pytest.mark.parametrize(
    "text",
    ['{"a": {"b": 1}}', "{ single }", "a }} b", "{", "}}", '{"x": {}}'],
)
def test_single_braces_and_closing_braces_are_plain_text(text):
    assert parse(text) == (text,)


def test_a_placeholder_inside_json_braces_is_found():
    assert parse('{"value": {{{ name }}}') == ('{"value": {', "name", "}")


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("{{", 0),
        ("ab {{ name }", 3),
        ("{{ two words }}", 0),
        ("{{ 1st }}", 0),
        ("{{}}", 0),
        ("{{ ok }} {{ not-ok }}", 9),
        ("{{ a {{ b }}", 0),
        ("{{ naïve }}", 0),
    ],
)
def test_broken_braces_are_refused_at_their_position(text, position):
    with pytest.raises(TemplateError) as caught:
        placeholders(text)
    assert caught.value.position == position


def test_the_message_names_line_and_column():
    with pytest.raises(TemplateError, match=r"^Line 2, column 4: '\{\{' must be followed"):
        parse("first\nab {{ oops")


def test_values_are_put_in_as_they_are_and_never_read_again():
    template = parse("{{ a }}-{{ b }}")
    assert render(template, {"a": "{{ b }}", "b": "{{ a }}"}) == "{{ b }}-{{ a }}"
