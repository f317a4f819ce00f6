"""What an upstream does wrong with a blob: each is an `answer` of an Impostor, which is a peer with faults."""

import time

from impostor import reply


def head(handler, status, headers):
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name, str(value))
    handler.end_headers()


class Fault:
    """Wrong for the blobs in `wanted`, and right for all others."""

    def __init__(self, wanted):
        self.wanted = wanted

    def __call__(self, handler):
        if handler.command != "GET" or (name := handler.path.rpartition("/")[2]) not in self.wanted:
            return None
        data = handler.impostor.blobs[name]
        start = int((handler.headers.get("Range") or "bytes=0-").removeprefix("bytes=").removesuffix("-"))
        handler.close_connection = True
        self.send(handler, data, start)
        return True

    def head(self, handler, data, start, length=None):
        length = len(data) - start if length is None else length
        if start:
            head(handler, 206, {"Content-Length": length, "Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"})
        else:
            head(handler, 200, {"Content-Length": length, "Accept-Ranges": "bytes"})


class Corrupting(Fault):
    """One bit of the last byte is another."""

    def send(self, handler, data, start):
        self.head(handler, data, start)
        handler.wfile.write(data[start:-1] + bytes([data[-1] ^ 1]))


class Short(Fault):
    """It announces all, and ends in the middle, at the same byte however often it is asked."""

    def send(self, handler, data, start):
        self.head(handler, data, start)
        handler.wfile.write(data[start:len(data) // 2])


class Truncating(Fault):
    """It announces less than all, and sends as much."""

    def send(self, handler, data, start):
        head(handler, 200, {"Content-Length": len(data) - 1})
        handler.wfile.write(data[:-1])


class Long(Fault):
    """All of it, and a byte more, as it announces."""

    def send(self, handler, data, start):
        head(handler, 200, {"Content-Length": len(data) + 1})
        handler.wfile.write(data + b"x")


class Stalling(Fault):
    """Half of it, and nothing more, on an open connection."""

    def send(self, handler, data, start):
        self.head(handler, data, start)
        if start < len(data) // 2:
            handler.wfile.write(data[start:len(data) // 2])
        handler.connection.settimeout(60)
        handler.rfile.read(1)  # until the other side ends it


class Endless(Fault):
    """Chunks without end."""

    def send(self, handler, data, start):
        head(handler, 200, {"Transfer-Encoding": "chunked"})
        while True:
            handler.wfile.write(b"10000\r\n" + bytes(0x10000) + b"\r\n")


class Page(Fault):
    """An HTML page with status 200."""

    def send(self, handler, data, start):
        reply(handler, 200, b"<html>please log in</html>", {"Content-Type": "text/html"})


class Another(Fault):
    """The bytes of another blob of the same size."""

    def send(self, handler, data, start):
        reply(handler, 200, bytes(len(data)))


class HugeHeaders(Fault):
    """Headers without end."""

    def send(self, handler, data, start):
        handler.send_response(200)
        handler.flush_headers()
        number = 0
        while True:
            number += 1
            handler.wfile.write(f"X-{number}: {'x' * 1000}\r\n".encode())


class Encoded(Fault):
    """Compressed, though nobody asked for that."""

    def send(self, handler, data, start):
        reply(handler, 200, data, {"Content-Encoding": "gzip"})


class Slow(Fault):
    """A byte, and then no more than one a second."""

    def send(self, handler, data, start):
        self.head(handler, data, start)
        for byte in data[start:]:
            handler.wfile.write(bytes([byte]))
            time.sleep(1)


class Gated(Fault):
    """The first half, and the rest when `gate` is set."""

    def __init__(self, wanted, gate):
        super().__init__(wanted)
        self.gate = gate

    def send(self, handler, data, start):
        self.head(handler, data, start)
        half = max(start, len(data) // 2)
        handler.wfile.write(data[start:half])
        handler.wfile.flush()
        self.gate.wait(60)
        handler.wfile.write(data[half:])


class Negative(Fault):
    """Fewer bytes than none."""

    def send(self, handler, data, start):
        head(handler, 200, {"Content-Length": -5})


class LongHeader(Fault):
    """A header that is longer than libcurl takes one."""

    def send(self, handler, data, start):
        reply(handler, 200, data, {"X-Long": "x" * 150_000})


class Mute(Fault):
    """Nothing at all, on an open connection."""

    def send(self, handler, data, start):
        handler.connection.settimeout(60)
        handler.rfile.read(1)  # until the other side ends it


class Chunked(Fault):
    """In chunks, which don't say how much it is."""

    def send(self, handler, data, start):
        head(handler, 200, {"Transfer-Encoding": "chunked"})
        handler.wfile.write(b"%x\r\n%b\r\n0\r\n\r\n" % (len(data), data))
