"""Uploads that stop halfway, to go on or not."""

import hashlib
import os

from wire import Wire

# Sizes in bytes. Of each, nginx has written a part to the spool when half has come: it gathers 256 KiB first.
SMALL = 800_000
LARGE = 3_000_000  # nginx has asked for admission by then


class HalfUpload:
    """A blob of which the first half was sent, over TLS."""

    def __init__(self, stack, size, chunked=False):
        self.body = os.urandom(size)
        self.digest = hashlib.sha512(self.body).hexdigest()
        self._wire = Wire(stack, stack.tls())
        self._chunked = chunked
        framing = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {size}"
        self._wire.send(f"POST /shacache HTTP/1.1\r\nHost: localhost\r\n{framing}\r\n\r\n")
        self._send(self.body[:size // 2])

    def _send(self, part):
        self._wire.send(b"%x\r\n%b\r\n" % (len(part), part) if self._chunked else part)

    def send_rest(self):
        self._send(self.body[len(self.body) // 2:])
        if self._chunked:
            self._wire.send(b"0\r\n\r\n")

    def answer(self):
        return self._wire.answer("POST")

    def finish(self):
        """Sends the other half, and returns the answer."""
        self.send_rest()
        with self._wire:
            return self.answer()

    def cut(self):
        """What a client does that is killed."""
        self._wire.close()
