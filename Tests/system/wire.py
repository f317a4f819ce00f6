"""HTTP as bytes on a socket: requests that no library would send, and answers read to the byte."""

import socket


class Answer:
    def __init__(self, status, headers, body):
        self.status = status
        self._headers = headers
        self.body = body

    @property
    def headers(self):
        """By lowercase name. Two of one name are an error, since nobody knows which counts, but where both do."""
        headers = {}
        for name, value in self._headers:
            name = name.lower()
            if name == "cache-control" and name in headers:
                value = f"{headers[name]}, {value}"
            else:
                assert name not in headers, f"{name} stands twice in {self}"
            headers[name] = value
        return headers

    @property
    def line(self):
        """The body, which must be one readable line."""
        text = self.body.decode()
        assert text.endswith("\n") and text[:-1].isprintable() and text != "\n", f"not one line of text: {self}"
        return text[:-1]

    def __repr__(self):
        return f"<{self.status} {self._headers} {self.body[:300]!r}>"


class Wire:
    """One connection to a cache: over TLS with a context, else over plain HTTP."""

    def __init__(self, stack, context=None, timeout=30, session=None):
        port = int(stack.settings["HTTPS_PORT" if context else "HTTP_PORT"])
        self.socket = socket.create_connection(("localhost", port), timeout=timeout)
        if context:
            self.socket = context.wrap_socket(self.socket, server_hostname="localhost", session=session)
        self._read = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data.encode() if isinstance(data, str) else data)

    def request(self, method, target, body=None, headers=()):
        """Sends one request as it stands and returns the answer; `headers` are (name, value) pairs."""
        lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers)]
        if not any(name.lower() == "host" for name, _ in headers):
            lines.append("Host: localhost")
        if body is not None:
            lines.append(f"Content-Length: {len(body)}")
        self.send("\r\n".join(lines).encode() + b"\r\n\r\n" + (body or b""))
        return self.answer(method)

    def answer(self, method="GET"):
        """The next answer, whole; an interim one (100) counts as one."""
        head = self._until(b"\r\n\r\n")
        status_line, *lines = head.decode("latin-1").split("\r\n")
        version, status, _ = status_line.split(" ", 2)
        assert version in ("HTTP/1.1", "HTTP/1.0"), status_line
        headers = [tuple(line.split(": ", 1)) for line in lines]
        answer = Answer(int(status), headers, b"")
        if method != "HEAD" and answer.status >= 200 and answer.status not in (204, 304):
            answer.body = self._body({name.lower(): value for name, value in headers})
        # Whoever answers, and whatever went wrong: no version, and no page of nginx's.
        assert ("Server", "nginx") in headers or answer.status < 200, answer
        assert answer.status < 300 or b"<html" not in answer.body.lower(), answer
        return answer

    def _body(self, headers):
        if headers.get("transfer-encoding") == "chunked":
            pieces = []
            while size := int(self._until(b"\r\n"), 16):
                pieces.append(self._exactly(size))
                assert self._exactly(2) == b"\r\n"
            assert self._until(b"\r\n") == b""
            return b"".join(pieces)
        return self._exactly(int(headers["content-length"])) if "content-length" in headers else self.rest()

    def rest(self):
        """Everything until the server closes."""
        while self._more():
            pass
        rest, self._read = self._read, b""
        return rest

    def is_open(self):
        """Whether the connection still takes a request. One that is open and answers late, or wrong, is a failure."""
        try:
            answer = self.request("GET", "/-/live")
        except TimeoutError:
            raise
        except OSError:
            return False
        assert answer.status == 200, answer
        return True

    def _until(self, mark):
        while mark not in self._read:
            if not self._more():
                raise ConnectionResetError(f"closed after {self._read!r}")
        found, self._read = self._read.split(mark, 1)
        return found

    def _exactly(self, count):
        while len(self._read) < count:
            if not self._more():
                raise ConnectionResetError(f"closed after {len(self._read)} of {count} bytes")
        found, self._read = self._read[:count], self._read[count:]
        return found

    def _more(self):
        data = self.socket.recv(1 << 20)
        self._read += data
        return data
