"""A way to a server that breaks: TCP, whatever it carries."""

import socket
import threading

from listener import Listener


class Tunnel(Listener):
    """Passes connections on to a local port, each in threads of its own, while it is `open`; cuts the first ones after
    so many bytes sent."""

    def __init__(self, port, cuts=()):
        super().__init__()
        self._port = port
        self._cuts = list(cuts)
        self.connections = 0
        self.open = threading.Event()
        self.open.set()

    def __exit__(self, *_):
        super().__exit__()
        self.open.set()

    def serve(self, client):
        self.connections += 1
        try:
            server = socket.create_connection(("127.0.0.1", self._port))
        except OSError:
            return client.close()
        for arguments in (client, server, True), (server, client, False):
            threading.Thread(target=self._pass, args=arguments, daemon=True).start()

    def _pass(self, source, target, is_sending):
        count = 0
        try:
            while data := source.recv(1 << 20):
                self.open.wait()
                target.sendall(data)
                count += len(data)
                if is_sending and self._cuts and count > self._cuts[0]:
                    self._cuts.pop(0)
                    break
        except OSError:
            pass
        for end in source, target:
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
