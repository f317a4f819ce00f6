"""Connections that break in the middle of an answer."""

import socket

from listener import Listener


class CuttingProxy(Listener):
    """Passes connections on, and cuts each answer after so many bytes as long as it is told to."""

    def __init__(self, port, cuts):
        super().__init__()
        self.requests = []
        self._port = port
        self._cuts = list(cuts)

    def serve(self, client):
        with client, socket.create_connection(("127.0.0.1", self._port)) as server:
            request = b""
            while b"\r\n\r\n" not in request:
                request += client.recv(65536)
            self.requests.append(request)
            server.sendall(request)
            self._answer(server, client, self._cuts.pop(0) if self._cuts else None)

    @staticmethod
    def _answer(server, client, cut):
        left = float("inf") if cut is None else cut
        try:
            while left > 0 and (data := server.recv(int(min(left, 65536)))):
                client.sendall(data)
                left -= len(data)
        except OSError:
            pass  # the client has read enough


def ranges(proxy):
    """What each request asked for."""
    lines = [dict(line.split(b": ", 1) for line in request.split(b"\r\n")[1:-2]) for request in proxy.requests]
    return [line.get(b"Range") for line in lines]
