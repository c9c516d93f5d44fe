import pytest
from ai_servers import sse

from proxy.ai import usages
from proxy.ai.tap import HELD_LIMIT, StreamTap

USAGE = (
    '{"prompt_tokens":7,"completion_tokens":9,"completion_tokens_details":{"reasoning_tokens":4}}'
)
TEXT = '{"choices":[{"delta":{"content":"say \\"usage\\":{ and  more"}}],"usage":null}'
LAST = f'{{"choices":[],"usage":{USAGE}}}'
STREAM = sse(TEXT, TEXT, LAST, "[DONE]")
WITHOUT = sse(TEXT, TEXT, "[DONE]")


def made(*, drop):
    return StreamTap(usages.mark("chat"), usages.reader("chat"), drop_usage=drop)


def run(pieces, *, drop):
    tap = made(drop=drop)
    out = [tap.feed(piece) for piece in pieces if piece]
    return b"".join(out) + tap.end(), tap


@pytest.mark.parametrize("line_break", [b"\n", b"\r\n"])
@pytest.mark.parametrize("drop", [True, False])
def test_any_split_gives_the_same_bytes_and_usage(line_break, drop):
    stream = STREAM.replace(b"\n", line_break)
    wanted = (WITHOUT if drop else STREAM).replace(b"\n", line_break)
    for cut in range(len(stream) + 1):
        out, tap = run([stream[:cut], stream[cut:]], drop=drop)
        assert out == wanted, cut
        assert tap.usage.input_tokens == 7, cut
        assert tap.usage.reasoning_tokens == 4
        assert tap.blank


@pytest.mark.parametrize("drop", [True, False])
def test_byte_by_byte(drop):
    out, tap = run([STREAM[i : i + 1] for i in range(len(STREAM))], drop=drop)
    assert out == (WITHOUT if drop else STREAM)
    assert tap.usage.output_tokens == 9


def test_a_chunk_with_text_and_usage_is_never_dropped():
    stream = sse(f'{{"choices":[{{"delta":{{"content":"x"}}}}],"usage":{USAGE}}}', "[DONE]")
    out, tap = run([stream], drop=True)
    assert out == stream
    assert tap.usage.input_tokens == 7


def test_a_stream_without_a_last_line_break_is_read_to_its_end():
    out, tap = run([sse(TEXT), b"data: " + LAST.encode()], drop=True)
    assert out == sse(TEXT)
    assert tap.usage.input_tokens == 7


def test_usage_with_spaces_and_in_odd_places():
    spaced = b'data:{ "usage" : {"prompt_tokens": 3}, "choices": []}\n\n'
    nested = b'data: {"x_more":{"usage":{}}}\n\n'
    out, tap = run([spaced + nested], drop=True)
    assert out == nested
    assert tap.usage.input_tokens == 3


def test_nothing_of_an_unfinished_event_gets_out_before_its_line_is_whole():
    tap = made(drop=False)
    assert tap.feed(b'data: {"choi') == b""
    assert tap.feed(b'ces":[]}\n') == b'data: {"choices":[]}\n'
    assert not tap.blank
    assert tap.feed(b"\n") == b"\n"


def test_a_line_without_end_is_passed_on_and_not_kept():
    tap = made(drop=True)
    assert tap.feed(b"data: " + b"x" * HELD_LIMIT).startswith(b"data: xxx")
    assert tap.feed(b"y") == b""
    assert tap.end() == b"y"


def test_binary_data_passes():
    noise = bytes(range(256)) * 50
    assert run([noise[i : i + 7] for i in range(0, len(noise), 7)], drop=True)[0] == noise


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'{"usage": 3}', b'{"usage":{"prompt_tokens":"x"}}', b"[" * 100_000]
)
def test_an_answer_without_readable_usage_has_none(body):
    assert usages.reader("chat")(body) is None
