"""Metrics as text, in Prometheus' exposition format 0.0.4.

Source: https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from proxy.metrics.tally import BOUNDS_US, Durations

CONTENT_TYPE = b"text/plain; version=0.0.4; charset=utf-8"

Number = int | float
Labels = tuple[tuple[str, str], ...]


class Block(Struct, array_like=True):
    """One worker's part of a metric: its samples as lines."""

    name: str
    kind: str
    help: str
    lines: list[str]


class Family:
    """A metric while its samples are gathered. Those with the same labels are added up."""

    def __init__(self, name: str, kind: str, text: str) -> None:
        """``kind``: counter, gauge or histogram. ``text`` says what it is."""
        self.name = name
        self.kind = kind
        self.help = text
        self._samples: dict[tuple[str, Labels], Number] = {}

    def add(self, value: Number, suffix: str = "", **labels: str) -> Family:
        key = suffix, tuple(labels.items())
        self._samples[key] = self._samples.get(key, 0) + value
        return self

    def add_durations(self, durations: Durations, **labels: str) -> Family:
        """A histogram in seconds."""
        count = 0
        for bound, more in zip((*BOUNDS_US, None), durations.counts, strict=True):
            count += more
            end = "+Inf" if bound is None else f"{bound / 1e6:g}"
            self.add(count, "_bucket", **labels, le=end)
        self.add(durations.sum_us / 1e6, "_sum", **labels)
        self.add(count, "_count", **labels)
        return self

    def block(self, worker: str) -> Block:
        """The samples of a worker, which is told by the label of that name."""
        lines = [
            f"{self.name}{suffix}{_braced((*labels, ('worker', worker)))} {value}"
            for (suffix, labels), value in self._samples.items()
        ]
        return Block(self.name, self.kind, self.help, lines)


def _braced(labels: Labels) -> str:
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def exposition(workers: Iterable[list[Block]]) -> bytes:
    """The metrics of all workers, each metric in one place as the format wants it."""
    together: dict[str, Block] = {}
    for blocks in workers:
        for block in blocks:
            known = together.setdefault(block.name, Block(block.name, block.kind, block.help, []))
            known.lines += block.lines
    lines = []
    for block in together.values():
        if block.lines:
            lines += [f"# HELP {block.name} {block.help}", f"# TYPE {block.name} {block.kind}"]
            lines += block.lines
    return "\n".join([*lines, ""]).encode()
