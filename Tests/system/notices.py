"""A socket such as systemd has, for what processes tell of themselves (sd_notify(3))."""

import queue
import socket
import struct
import threading
import uuid
from contextlib import suppress


class Notices:
    """Open for the block. `name` is what NOTIFY_SOCKET has."""

    def __init__(self):
        # In no directory: every user may reach it.
        self.name = f"@shacache-test-{uuid.uuid4()}"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self._socket.bind(self.name.replace("@", "\0"))
        self._heard = queue.Queue()

    def __enter__(self):
        # At once: of those that nobody has read, the kernel keeps ten, and senders wait.
        threading.Thread(target=self._listen, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._socket.close()

    def _listen(self):
        with suppress(OSError):
            while True:
                text, ancillary, _, _ = self._socket.recvmsg(100, socket.CMSG_SPACE(struct.calcsize("3i")))
                self._heard.put((struct.unpack("3i", ancillary[0][2])[0], text.decode()))

    def next(self):
        """(pid, text) of the next one; a minute is waited for it."""
        return self._heard.get(timeout=60)

    def skip(self, count):
        """Those that have come by now, and so many more."""
        while not self._heard.empty():
            self._heard.get()
        for _ in range(count):
            self.next()

    def until(self, *wanted):
        """All up to and with these, in whatever order they come."""
        heard, missing = [], set(wanted)
        while missing:
            heard.append(self.next())
            missing.discard(heard[-1])
        return heard
