"""Recorded requests of all formats, told to Anthropic, against its SDK's types of parameters."""

import json

import pytest
from anthropic.types.beta.message_create_params import MessageCreateParamsNonStreaming
from pydantic import TypeAdapter
from recordings import exchanges, needed
from test_all_formats import SPOKEN

from proxy.ai.errors import InvalidJson, ParameterUnsupported
from proxy.ai.formats import messages
from proxy.ai.formats.registry import FORMATS
from proxy.ai.middle.rules import Notes, apply, foreign

pytestmark = needed

PARAMS = TypeAdapter(MessageCreateParamsNonStreaming)
MODELS = ("claude-opus-5", "claude-opus-4-6", "claude-sonnet-4-5", "claude-3-5-sonnet", "glm-4.6")


def all_of(value):
    """Goes through what pydantic checks only when it is looked at."""
    if isinstance(value, dict):
        for inner in value.values():
            all_of(inner)
    elif value is not None and not isinstance(value, str | bytes | int | float):
        for inner in value:
            all_of(inner)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("source", [name for name in SPOKEN if name in FORMATS])
def test_a_request_of_any_format_fits(source, model):
    told = 0
    for one in exchanges(endpoint=SPOKEN[source]):
        if not one.request.startswith(b"{"):
            continue
        notes = Notes()
        try:
            request = FORMATS[source].read_request(one.request, model="m", stream=bool(one.stream))
            apply(request, messages.LACKS, notes)
            foreign(request, "messages", notes)
            body = json.loads(messages.write_request(request, model, notes))
        except (ParameterUnsupported, InvalidJson):  # one was recorded without its end
            continue
        body.pop("stream", None)  # which the types of the two calls say differently
        all_of(PARAMS.validate_python(body))
        told += 1
    assert told > 20
