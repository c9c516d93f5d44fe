"""What only files and batches can be refused for."""

from __future__ import annotations

from proxy.errors import GatewayError, Unable


class FileNotFound(GatewayError):
    status = 404
    code = "file_not_found"
    title = "File not found"
    sentence = "There is no such file here. GET /v1/files lists yours."


class BatchNotFound(GatewayError):
    status = 404
    code = "batch_not_found"
    title = "Batch not found"
    sentence = "There is no such batch here. GET /v1/batches lists yours."


class BatchLineInvalid(GatewayError):
    """``number`` counts the file's lines from 1."""

    status = 400
    code = "batch_line_invalid"
    title = "Batch line invalid"
    param = "file"

    def __init__(self, number: int, reason: str) -> None:
        super().__init__(f"Line {number} of the file: {reason}")


class BatchFileInvalid(GatewayError):
    status = 400
    code = "batch_file_invalid"
    title = "Batch file invalid"
    param = "file"


class BatchesUnavailable(Unable):
    code = "batches_unavailable"
    title = "Batches unavailable"
    sentence = "The gateway has no room for this file at the moment. Try again shortly."


class BatchFilesFull(GatewayError):
    status = 429
    code = "batch_files_full"
    title = "Batch files full"
    sentence = (
        "The files that wait here for their batches take all the room that there is. "
        "Delete those that are not needed any more, or send a smaller one."
    )


class BatchRoomFull(GatewayError):
    """Not the tenant's doing, and not over at once: files go within a day."""

    status = 503
    code = "batch_room_full"
    title = "Batch room full"
    sentence = (
        "The files of all that wait here for their batches take all the room that there is. "
        "Try again later."
    )

    def __init__(self) -> None:
        super().__init__("", [(b"retry-after", b"60")])
