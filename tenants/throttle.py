"""Failed sign-ins are counted, and too many are refused for a while.

Two counters in Valkey, each for a fixed window: one for a user name from an address,
which stops guessing at one account without letting a stranger elsewhere lock it, and one
for an address, which stops trying one password on many accounts. An attempt is counted
before the password is looked at, so attempts made at once cannot pass together, and
taken back when it succeeds. Where Valkey is down, people can still sign in.
"""

from __future__ import annotations

import logging
import unicodedata
from hashlib import sha256

from django.core.cache import caches
from redis.exceptions import RedisError

logger = logging.getLogger(__name__)

WINDOW = 15 * 60
"""Seconds."""
PER_ACCOUNT = 5
PER_ADDRESS = 50


def refuses(username: str, address: str) -> bool:
    """Counts an attempt; true if it must not be looked at."""
    account, everything = _keys(username, address)
    try:
        over = [_count(account) > PER_ACCOUNT, _count(everything) > PER_ADDRESS]
    except RedisError as error:
        logger.warning("Failed sign-ins are not being counted: %s", error)
        return False
    return any(over)


def succeeded(username: str, address: str) -> None:
    """Takes the attempt back, and forgets the failures before it on this account."""
    account, everything = _keys(username, address)
    cache = caches["platform"]
    try:
        cache.delete(account)
        cache.decr(everything)
    except ValueError:
        return  # the window closed meanwhile
    except RedisError as error:
        logger.warning("A sign-in could not be taken off the count: %s", error)


def _count(key: str) -> int:
    cache = caches["platform"]
    cache.add(key, 0, WINDOW)
    try:
        return cache.incr(key)
    except ValueError:  # the window closed between the two lines
        return 1


def _keys(username: str, address: str) -> tuple[str, str]:
    name = unicodedata.normalize("NFKC", username).casefold()
    both = sha256(f"{name}\0{address}".encode()).hexdigest()
    return f"sign-in:account:{both}", f"sign-in:address:{sha256(address.encode()).hexdigest()}"
