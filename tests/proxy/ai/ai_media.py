"""What the tests of pictures, sound and judgements are told and look at."""

import json

USAGE = {
    "promptTokenCount": 10,
    "candidatesTokenCount": 1290,
    "totalTokenCount": 1300,
    "candidatesTokensDetails": [{"modality": "IMAGE", "tokenCount": 1290}],
}


def answered(*parts, finish="STOP", usage=None):
    choice = {"content": {"role": "model", "parts": list(parts)}, "finishReason": finish}
    return json.dumps({"candidates": [choice], "usageMetadata": usage or USAGE}).encode()


def inline(kind, data):
    return {"inlineData": {"mimeType": kind, "data": data}}


def asked(provider):
    return json.loads(provider.last.body)


WAV = b"RIFF\r\n--not-the-boundary\r\n\r\nsound\x00\xff"
