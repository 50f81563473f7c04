"""Places for connections: how many there are, and whose is taken back when all are in use."""

import dataclasses
import ipaddress
import time
from collections.abc import Callable, Iterator
from typing import Protocol


class Holder(Protocol):
    """Whoever holds a connection at present: a handshake, HTTP, or a WebSocket."""

    def waits(self) -> bool:
        """Tells whether the connection waits for its peer, so that nothing is lost with it."""

    def look(self, now: float) -> None:
        """Ends the connection if its peer has let it wait for too long.

        Args:
            now: Seconds on the monotonic clock.
        """

    def end(self) -> None:
        """Ends the connection at once."""


@dataclasses.dataclass(slots=True, eq=False)
class Place:
    """One connection's place.

    Attributes:
        peer: Whose it is; see `peer_of`.
        holder: Who holds the connection; None before the first.
    """

    peer: str
    _leave: Callable[["Place"], None]
    _refresh: Callable[["Place"], None]
    holder: Holder | None = None

    def give_back(self) -> None:
        """Makes room for another connection; harmless when it is done again."""
        self._leave(self)

    def refresh(self) -> None:
        """Makes this the last place that is taken back, because a request was served on it."""
        self._refresh(self)


class Places:
    """All places.

    A place that waits for its peer is taken back when another connection needs one, so that peers
    that send nothing shut nobody out: first the one that was served least recently, of the peer
    that holds the most.

    Args:
        most: Connections in all.
        most_of_one: Connections of one peer; those over loopback may have all, for they are local
            programs, or a proxy that speaks for many.
    """

    def __init__(self, most: int, most_of_one: int) -> None:
        self._most = most
        self._most_of_one = most_of_one
        self._of: dict[str, dict[Place, None]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Place]:
        return iter([place for places in self._of.values() for place in places])

    def take(self, address: str) -> Place | None:
        """Takes a place for a new connection; None where every place is being served.

        Args:
            address: The peer's.
        """
        peer = peer_of(address)
        mine = self._of.get(peer, {})
        most_of_one = self._most if peer == _LOOPBACK else self._most_of_one
        if len(mine) >= most_of_one and not _end_one(mine):
            return None
        if self._count >= self._most and not self._make_room():
            return None
        place = Place(peer, self._leave, self._refresh)
        self._of.setdefault(peer, {})[place] = None
        self._count += 1
        return place

    def look(self) -> None:
        """Has every holder end what its peer has let wait for too long."""
        now = time.monotonic()
        for place in self:
            if place.holder is not None:
                place.holder.look(now)

    def end(self) -> None:
        """Ends all connections."""
        for place in self:
            if place.holder is not None:
                place.holder.end()

    def _make_room(self) -> bool:
        greediest_first = sorted(self._of.values(), key=len, reverse=True)
        return any(_end_one(places) for places in greediest_first)

    def _leave(self, place: Place) -> None:
        places = self._of.get(place.peer, {})
        if place not in places:
            return
        del places[place]
        self._count -= 1
        if not places:
            del self._of[place.peer]

    def _refresh(self, place: Place) -> None:
        places = self._of.get(place.peer, {})
        if place in places:
            del places[place]
            places[place] = None


def _end_one(places: dict[Place, None]) -> bool:
    """Ends the waiting connection that was served least recently; tells whether there is one."""
    for place in places:
        if place.holder is not None and place.holder.waits():
            place.give_back()
            place.holder.end()
            return True
    return False


_LOOPBACK = "loopback"


def peer_of(address: str) -> str:
    """Names the peer behind an address; whoever has one IPv6 address has the /64 round it."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is None and not found.is_loopback:
            return str(ipaddress.ip_network((found, 64), strict=False))
        found = found.ipv4_mapped or found
    return _LOOPBACK if found.is_loopback else str(found)
