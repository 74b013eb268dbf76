"""Where files are is remembered for a short while, and for so many versions."""

from __future__ import annotations

from typing import Any, cast

from fedreg_adapters.mlflow.places import FRESH, Place, Places


def place(name: str) -> Place:
    return Place(cast(Any, name), {})


def test_a_place_is_known_until_it_is_old() -> None:
    now = 0.0
    places = Places(lambda: now)
    places.put("churn", "1", place("here"))
    now = FRESH
    assert places.get("churn", "1") == place("here")
    assert places.get("churn", "2") is None
    now = FRESH + 1
    assert places.get("churn", "1") is None


def test_a_deletion_forgets_all_and_the_oldest_makes_room() -> None:
    places = Places(lambda: 0.0)
    for number in range(300):
        places.put("churn", str(number), place(str(number)))
    assert places.get("churn", "0") is None
    assert places.get("churn", "299") == place("299")
    places.clear()
    assert places.get("churn", "299") is None
