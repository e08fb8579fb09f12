"""The three rules, each a small object that says why not, or nothing."""

from __future__ import annotations

from collections import OrderedDict, deque
from datetime import datetime, time
from ipaddress import ip_address, ip_network


class Addresses:
    """Where sign-ins may come from.

    Args:
        allowed: Networks such as ``10.0.0.0/8``; empty for all.
        denied: Networks that may not, whatever ``allowed`` says.
    """

    def __init__(self, allowed: list[str], denied: list[str]) -> None:
        self._allowed = [ip_network(one) for one in allowed]
        self._denied = [ip_network(one) for one in denied]

    def objection(self, address: str | None) -> str:
        """Return why not; an address that cannot be told is not in any list of those allowed."""
        try:
            found = ip_address(address or "")
        except ValueError:
            return "address unknown" if self._allowed or self._denied else ""
        found = getattr(found, "ipv4_mapped", None) or found
        if any(found in network for network in self._denied):
            return "address denied"
        if self._allowed and not any(found in network for network in self._allowed):
            return "address not allowed"
        return ""


class Hours:
    """When sign-ins may come.

    Args:
        span: ``08:00-18:00``; over midnight is fine; empty for always.
        days: Days of the week, 0 is Monday; empty for all.
    """

    def __init__(self, span: str, days: list[int]) -> None:
        begin, _, end = span.partition("-")
        self._span = (time.fromisoformat(begin), time.fromisoformat(end)) if span else None
        self._days = set(days)

    def objection(self, moment: datetime) -> str:
        """Return why not."""
        if self._days and moment.weekday() not in self._days:
            return "not on this day"
        if self._span is None:
            return ""
        begin, end = self._span
        now = moment.time()
        inside = begin <= now < end if begin < end else now >= begin or now < end
        return "" if inside else "not at this hour"


class Failures:
    """How often a name may fail. Bounded: the name that failed longest ago makes room.

    Args:
        most: Failures after which a name is refused; 0 for no limit.
        window: Seconds they are remembered.
    """

    def __init__(self, most: int, window: float) -> None:
        self._most = most
        self._window = window
        self._moments: OrderedDict[str, deque[float]] = OrderedDict()

    def objection(self, name: str, now: float) -> str:
        """Return why not."""
        moments = self._moments.get(name)
        while moments and moments[0] <= now - self._window:
            moments.popleft()
        return "too many failures" if self._most and moments and len(moments) >= self._most else ""

    def note(self, name: str, now: float) -> None:
        """It failed."""
        self._moments.setdefault(name, deque(maxlen=max(self._most, 1))).append(now)
        self._moments.move_to_end(name)
        if len(self._moments) > 10_000:
            self._moments.popitem(last=False)

    def forget(self, name: str) -> None:
        """It succeeded."""
        self._moments.pop(name, None)
