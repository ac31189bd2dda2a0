"""An SSH server that lets nobody in and writes down what was tried."""

import socket
import threading

import paramiko


class RecordingServer(paramiko.ServerInterface):
    """Greets and exchanges keys like any server, then records.

    Attributes:
        port: Where it listens, on 127.0.0.1.
        tried: One line per attempt to log in, or to do anything else.
    """

    def __init__(self, *keys):
        self.keys = keys
        self.tried = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self._transports = []
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self):
        while True:
            try:
                client, _ = self._socket.accept()
            except OSError:
                return
            transport = paramiko.Transport(client)
            for key in self.keys:
                transport.add_server_key(key)
            self._transports.append(transport)
            transport.start_server(server=self, event=threading.Event())

    def served(self):
        """How many clients have come and are gone again."""
        return sum(not transport.is_active() for transport in self._transports)

    def close(self):
        """Stop."""
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(10)
        for transport in self._transports:
            transport.close()

    def get_allowed_auths(self, username):
        """Called for every request to log in that is refused."""
        return "publickey"

    def check_auth_none(self, username):
        """Record."""
        self.tried.append(f"none {username}")
        return paramiko.AUTH_FAILED

    def check_auth_password(self, username, password):
        """Record."""
        self.tried.append(f"password {username}")
        return paramiko.AUTH_FAILED

    def check_auth_publickey(self, username, key):
        """Record."""
        self.tried.append(f"publickey {username}")
        return paramiko.AUTH_FAILED
