"""The figures as a table, each beside those of nginx with and without its checks."""

from __future__ import annotations

from collections.abc import Iterable

COLUMNS = (
    ("subject", "subject"),
    ("us_per_request", "us/request"),
    ("x nginx", "x nginx"),
    ("x nginx-lua", "x nginx-lua"),
    ("us_per_chunk", "us/chunk"),
    ("reads_per_answer", "reads"),
    ("rps", "rps"),
    ("p50_ms", "p50 ms"),
    ("p99_ms", "p99 ms"),
    ("rate", "rate"),
    ("share", "share"),
    ("subject_core", "its core"),
    ("load_core", "load core"),
    ("late", "late"),
    ("note", ""),
)


def ratios(rows: list[dict]) -> None:
    """Adds to each row how many times nginx's cost of the same case it has (``x nginx``), and
    where latency was the question, of its p99, unless one of the two may not be quoted.
    """
    for peer in ("nginx", "nginx-lua"):
        base = {row["case"]: row for row in rows if row["subject"] == peer}
        for row in rows:
            other = base.get(row["case"], {})
            figure = "p99_ms" if "rate" in row else "us_per_request"
            if row.get(figure) and other.get(figure) and not ("note" in row or "note" in other):
                row[f"x {peer}"] = round(row[figure] / other[figure], 2)


def table(rows: list[dict]) -> str:
    """One block for each case, subjects in the order in which they ran."""
    blocks = []
    for case in dict.fromkeys(row["case"] for row in rows):
        lines = [_line(title for _, title in COLUMNS)]
        for row in rows:
            if row["case"] == case:
                lines.append(_line(_cell(row.get(key)) for key, _ in COLUMNS))
                if "problem" in row:
                    lines[-1] = f"{row['subject']:<10} {row['problem']}"
        blocks.append("\n".join([case, *lines]))
    return "\n\n".join(blocks)


def _cell(value: object) -> str:
    if value is None:
        return ""
    return f"{value:,}" if isinstance(value, int) else str(value)


def _line(cells: Iterable[str]) -> str:
    first, *rest = cells
    return (f"{first:<10} " + " ".join(f"{cell:>11}" for cell in rest)).rstrip()
