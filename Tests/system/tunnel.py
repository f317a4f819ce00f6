"""A way to a server that breaks: TCP, whatever it carries."""

import socket
import threading


class Tunnel:
    """Passes connections on to a local port, each in threads of its own, while it is `open`; cuts the first ones after
    so many bytes sent."""

    def __init__(self, port, cuts=()):
        self._port = port
        self._cuts = list(cuts)
        self.connections = 0
        self.open = threading.Event()
        self.open.set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]

    def __enter__(self):
        threading.Thread(target=self._run, daemon=True).start()
        return self

    def __exit__(self, *_):
        # `close` alone leaves a thread waiting in `accept`.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.open.set()

    def _run(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            try:
                server = socket.create_connection(("127.0.0.1", self._port))
            except OSError:
                client.close()
                continue
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
