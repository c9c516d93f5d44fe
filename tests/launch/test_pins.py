"""The pinned requirements against what pyproject.toml asks for."""

from __future__ import annotations

from launch import pins

HASH = "--hash=sha256:00"


def test_the_files_of_this_checkout_fit():
    assert pins.check(pins.env.ROOT) == []


def test_a_pin_needs_a_version_and_a_hash():
    text = f"one==1.0 \\\n    {HASH}\ntwo==2 ; python_version < '3.12'\nthree>=3 {HASH}\n# four\n"
    found, problems = pins.read_pins(text)
    assert found == {"one": "1.0", "two": "2"}
    assert problems == ["has no hash: two", f"is not pinned: three>=3 {HASH}"]


def test_a_dependency_without_a_fitting_pin_is_named():
    asked = ["Some_Thing[extra]>=2", "absent", "fine<2"]
    assert pins.unmet(asked, {"some-thing": "1.9", "fine": "1.0"}) == [
        "does not satisfy Some_Thing[extra]>=2: it has 1.9",
        "does not satisfy absent: it has no pin",
    ]
