"""What listens on a port of its own, for servers that no library has."""

import socket
import threading


class Listener:
    """Calls `serve` with each connection to a free port of loopback, one thread for each, until the block ends."""

    def __init__(self):
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def __enter__(self):
        threading.Thread(target=self._run, daemon=True).start()
        return self

    def __exit__(self, *_):
        # `close` alone leaves a thread waiting in `accept`.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _run(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=[client], daemon=True).start()
