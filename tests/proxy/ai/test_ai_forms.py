"""Forms with files: the model's name is found, and changed where the provider has another."""

import httpx
import pytest

from proxy.ai.errors import InvalidRequest
from proxy.ai.forms import Field, Form, fields_of

BOUNDARY_X = b"multipart/form-data; boundary=x"


def form(data, files=None):
    """Always with the same boundary: it is part of the names of tests."""
    request = httpx.Request(
        "POST",
        "http://h",
        headers={"content-type": "multipart/form-data; boundary=1f9c63"},
        data=data,
        files=files or {"file": ("a.wav", b"RIFF\r\n--x\r\n", "a/b")},
    )
    request.read()
    return request.content, request.headers["content-type"].encode()


def test_the_model_is_read_and_the_rest_stays_as_it_came():
    body, kind = form({"model": "whisper", "language": "de", "stream": "true"})
    read = Form(body, kind)
    assert (read.asked.model, read.asked.stream) == ("whisper", True)
    assert read.with_model("whisper") == body
    changed = read.with_model("a-longer-name")
    assert Form(changed, kind).asked.model == "a-longer-name"
    assert changed.replace(b"a-longer-name", b"whisper") == body


def test_all_fields_are_read_where_they_are_wanted():
    body, kind = form({"model": "whisper", "include[]": ["a", "b"]})
    fields = fields_of(Form(b"preamble\r\n" + body, kind).whole())
    assert fields == [
        Field("model", b"whisper", "", ""),
        Field("include[]", b"a", "", ""),
        Field("include[]", b"b", "", ""),
        Field("file", b"RIFF\r\n--x\r\n", "a.wav", "a/b"),
    ]


def test_a_field_that_is_no_text_is_refused_by_name():
    with pytest.raises(InvalidRequest) as caught:
        Field("prompt", b"\xff", "", "").text  # noqa: B018
    assert caught.value.param == "prompt"


def test_a_form_of_countless_fields_is_refused():
    body, kind = form({"model": "whisper", "x": ["y"] * 200})
    with pytest.raises(InvalidRequest, match="200 fields"):
        Form(body, kind)


def test_a_file_that_holds_a_field_is_not_read_as_one():
    inside = b'--y\r\nContent-Disposition: form-data; name="model"\r\n\r\nevil\r\n'
    body, kind = form({"model": "good"}, {"file": ("a", inside, "text/plain")})
    assert Form(body, kind).asked.model == "good"


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"{}", b"application/json"),
        (b"", b"multipart/form-data"),
        (b"", b"multipart/form-data; boundary=x"),
        (b"--x\r\n", b"multipart/form-data; boundary=x"),
        (
            b"--x\r\nContent-Disposition: form-data; name=model\r\n",
            b"multipart/form-data; boundary=x",
        ),
        form({"other": "x"}),
        form({"model": ["a", "b"]}),
        form({"model": "x" * 300}),
    ],
)
def test_a_form_without_one_model_is_refused(body, kind):
    with pytest.raises(InvalidRequest):
        Form(body, kind)
