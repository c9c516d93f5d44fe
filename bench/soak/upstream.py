"""The upstream of the benchmark, which here fails as well: ``python -m bench.soak.upstream PORT``.

Below ``/flaky`` it closes the connection in place of an answer, for two of every fifteen seconds.
A path that ends in ``/cut`` is answered by half, one that ends in ``/failing`` with 500.
"""

from __future__ import annotations

import sys
import time

import uvloop

from bench.cases import REST_ANSWER
from bench.upstream import ITEM, Upstream, main, whole

PERIOD, BROKEN = 15.0, 2.0
FAILURE = b'{"detail": "This service has failed."}'
FAILING = whole(FAILURE, "500 Internal Server Error")
HALF = ITEM[: -(len(REST_ANSWER) // 2)]


class Failing(Upstream):
    def _answer(self, target: bytes, data: bytes, head_end: int) -> None:
        if b" /flaky/" in target and time.monotonic() % PERIOD < BROKEN:
            self.transport.abort()
        elif target.endswith(b"/cut"):
            self.transport.write(HALF)
            self.transport.close()
        elif target.endswith(b"/failing"):
            self.transport.write(FAILING)
        else:
            super()._answer(target, data, head_end)


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), Failing))
