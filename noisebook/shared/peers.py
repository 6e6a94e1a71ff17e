"""Builders on several machines that share a store, and do not compute the same cell twice.

A builder holds a claim on each cell that it is computing: the file ``claims/<key>``, in which the builder's
name stands. It sends the cell before it gives the claim up. A builder lives as long as the file
``builders/<name>`` goes on changing, and who waits judges that by its own clock: those of two machines may
differ. A claim is advice. One that is lost, or taken from a builder that was only slow, costs a computation
done twice; cells are stored whole and under their digests as ever.
"""

from __future__ import annotations

import os
import re
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

from noisebook.cells.plan import Planned
from noisebook.shared.connection import Unreachable
from noisebook.shared.remote import Remote

BEAT = 10.0
"""Seconds between two signs of life of a builder."""
LEASE = 60.0
"""Seconds without one after which a builder counts as dead."""
LOOK = 2.0
"""Seconds between two looks at a cell that another builder has."""
NAME = re.compile("[0-9a-f]{16}")


class StorePeers:
    """The other builders of a shared store: the implementation of :class:`noisebook.cells.run.Peers`.

    A store that cannot be reached is told of once; from then on this builder goes on alone.
    """

    def __init__(self, url: str) -> None:
        self._remote = Remote(url)
        self._name = os.urandom(8).hex()
        self._seen: dict[str, tuple[bytes, float]] = {}
        """The last sign of life of another builder, and when it was first seen (by this clock)."""
        self._looked: dict[str, float] = {}
        """When another builder was last found to have a cell."""
        self._sent: set[str] = set()
        self._alone = False
        self._over = threading.Event()
        self._beating = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self) -> StorePeers:
        self._ask(lambda: self._remote.put(f"builders/{self._name}", b"0"))
        self._beating.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._beating.join(1.0)
        self._ask(lambda: self._remote.remove(f"builders/{self._name}"))

    def _beat(self) -> None:
        """Give signs of life until the end."""
        remote, count = Remote(self._remote.url), 0  # a connection is for one thread
        while not self._over.wait(BEAT):
            count += 1
            with suppress(Unreachable):
                remote.put(f"builders/{self._name}", b"%d" % count)

    def _ask(self, question: Callable[[], object]) -> None:
        """Ask something of the store, unless it was out of reach before."""
        if self._alone:
            return
        try:
            question()
        except Unreachable as error:
            self._alone = True
            warnings.warn(f"{error}; this build goes on without it", stacklevel=2)

    # Who computes what

    @contextmanager
    def claim(self, cells: Sequence[Planned]) -> Iterator[list[Planned]]:
        """Those of ``cells`` that are this builder's until the end of the block: no other is computing them.

        What others have finished of them has come into their stores.
        """
        mine: list[Planned] = []

        def take() -> None:
            mine.extend(planned for planned in cells if self._take(planned.key))
            for store in {id(planned.store): planned.store for planned in mine}.values():
                self._remote.fetch([p.key for p in mine if p.store is store], store, local=True)

        def give_up() -> None:
            for planned in mine:
                self._remote.remove(f"claims/{planned.key}")

        try:
            self._ask(take)
            yield list(cells) if self._alone else mine
        finally:
            self._ask(give_up)

    def _take(self, key: str) -> bool:
        """Claim a cell, unless a builder that lives has it."""
        now, name = time.monotonic(), f"claims/{key}"
        if now - self._looked.get(key, -LOOK) < LOOK:
            return False
        if self._remote.create(name, self._name.encode()):
            return True
        holder = self._remote.many({name: 64}).get(name)
        if holder == self._name.encode():  # the answer to an attempt was lost
            return True
        if holder is not None and self._lives(key, holder.decode(errors="replace")):
            self._looked[key] = now
            return False
        self._remote.remove(name)
        return self._remote.create(name, self._name.encode())

    def _lives(self, key: str, builder: str) -> bool:
        """Whether a builder gave a sign of life lately; one that has not written its name yet has time."""
        beat: bytes | None = b""
        if NAME.fullmatch(builder):
            name = f"builders/{builder}"
            beat = self._remote.many({name: 64}).get(name)
        if beat is None:  # it has ended
            return False
        who, now = builder or key, time.monotonic()
        if who not in self._seen or self._seen[who][0] != beat:
            self._seen[who] = beat, now
        return now - self._seen[who][1] < LEASE

    def finished(self, planned: Planned, *, local: bool) -> None:
        """Send a cell, with its local outputs if others need them; or its record again, which was amended."""

        def send() -> None:
            if planned.key in self._sent:
                self._remote.send_record(planned.store, planned.key)
            elif (done := self._remote.push(planned.store, [planned.key], local=local)).left:
                raise Unreachable(done.reason)
            self._sent.add(planned.key)

        self._ask(send)
