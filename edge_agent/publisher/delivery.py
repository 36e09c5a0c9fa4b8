"""Which record goes out when: pure bookkeeping over numbers, sizes and a monotonic time handed in.

`cursor` is the last record sent in order in this session. When it has reached the newest record, new ones go out at once (live). Otherwise
the backlog goes out as historical inside a window of unanswered records and bytes, and new ones beside it, so that live tiles stay live;
those come again in their turn. When the answers stall, or show a hole, the cursor goes back to the answered mark. When it goes back to the same
mark twice, something in the messages behind it may be what the server cannot take: these records then go out one by one (`one_by_one`), so that
only the bad one is put aside.
"""

from __future__ import annotations

from collections import deque

HOLE_S = 1.0  # an answer that repeats itself this long after the next record went out shows that it was lost


class Delivery:
    def __init__(self, answered_n: int, last_n: int, *, window_records: int, window_bytes: int, retry_s: float) -> None:
        self.answered_n = answered_n
        self.last_n = last_n
        self.cursor = answered_n
        self.resent = 0  # how often the cursor went back
        self._window_records = window_records
        self._window_bytes = window_bytes
        self._retry_s = retry_s
        self._flight: deque[tuple[int, int, float]] = deque()  # (newest record, bytes, when) sent in order, not all answered
        self._flight_bytes = 0
        self._beside_bytes = 0
        self._progress_s = 0.0
        self._went_back_to = -1
        self._single_to = 0  # the newest record that is to go out alone

    def begin(self, last_n: int, now_s: float) -> None:
        """A new epoch: nothing of it is answered."""
        self.answered_n, self.last_n = 0, last_n
        self._went_back_to, self._single_to = -1, 0
        self._rewind(now_s)

    def session(self, now_s: float) -> None:
        """A new session was born: everything unanswered is backlog."""
        self._rewind(now_s)

    def _go_back(self, now_s: float) -> None:
        """The server lacks record answered_n + 1."""
        self.resent += 1
        if self._went_back_to == self.answered_n:
            self._single_to = self.cursor
        self._went_back_to = self.answered_n
        self._rewind(now_s)

    @property
    def one_by_one(self) -> bool:
        return self.cursor < self._single_to

    def _rewind(self, now_s: float) -> None:
        self.cursor = self.answered_n
        self._flight.clear()
        self._flight_bytes = 0
        self._beside_bytes = 0
        self._progress_s = now_s

    @property
    def is_live(self) -> bool:
        return self.cursor >= self.last_n

    def has_room(self) -> bool:
        return self.room > 0

    @property
    def room(self) -> int:
        """Records that may go out now; 0 when the bytes of the window are used up."""
        return max(0, self._window_records - (self.cursor - self.answered_n)) if self._flight_bytes < self._window_bytes else 0

    def sent(self, n: int, size: int, now_s: float) -> None:
        """The records after the cursor up to `n` went out."""
        if not self._flight:
            self._progress_s = now_s
        self.cursor = n
        self._flight.append((n, size, now_s))
        self._flight_bytes += size

    def may_send_beside(self, size: int) -> bool:
        """Whether a new record may go out live while the backlog is under way (bounded: a stuck socket must not eat the memory)."""
        if self._beside_bytes + size > self._window_bytes:
            return False
        self._beside_bytes += size
        return True

    def answer(self, n: int, now_s: float) -> bool:
        """The server holds records 1..n. True when that is news."""
        if n <= self.answered_n:
            if n == self.answered_n and self._flight and now_s - self._flight[0][2] > HOLE_S:
                self._go_back(now_s)
            return False
        self.answered_n = min(n, self.last_n)
        self._progress_s = now_s
        self._beside_bytes = 0
        while self._flight and self._flight[0][0] <= n:
            self._flight_bytes -= self._flight.popleft()[1]
        self.cursor = max(self.cursor, self.answered_n)
        return True

    def check_stall(self, now_s: float) -> bool:
        """Goes back to the answered mark when nothing was answered for the retry time; True when it did."""
        if not self._flight or now_s - self._progress_s < self._retry_s:
            return False
        self._go_back(now_s)
        return True
