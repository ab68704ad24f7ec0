"""A real HTTP proxy on loopback: passes on requests with an absolute URL, and opens tunnels."""

import base64
import socket
import threading
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self
from urllib.parse import urlsplit


class ForwardProxy:
    """Lets in whoever it is asked by, or only who knows the login."""

    def __init__(self, login: str | None = None) -> None:
        self.passed: list[str] = []
        """What was asked for: `PUT http://…`, `CONNECT host:port`."""
        wanted = None if login is None else f"Basic {base64.b64encode(login.encode()).decode()}"
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _lets_in(self) -> bool:
                if wanted is None or self.headers.get("Proxy-Authorization") == wanted:
                    proxy.passed.append(f"{self.command} {self.path}")
                    return True
                self.send_response(407)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return False

            def do_CONNECT(self) -> None:
                self.close_connection = True
                if not self._lets_in():
                    return
                host, _, port = self.path.rpartition(":")
                with socket.create_connection((host, int(port))) as peer:
                    self.send_response(200, "Connection established")
                    self.end_headers()
                    back = threading.Thread(target=_pump, args=(peer, self.connection))
                    back.start()
                    _pump(self.connection, peer)
                    back.join()

            def _pass_on(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                if not self._lets_in():
                    return
                parts = urlsplit(self.path)
                peer = HTTPConnection(parts.netloc)
                headers = {name: value for name, value in self.headers.items() if not name.startswith("Proxy-")}
                peer.request(self.command, parts._replace(scheme="", netloc="").geturl(), body, headers)
                answer = peer.getresponse()
                said = answer.read()
                self.send_response(answer.status)
                self.send_header("Content-Length", str(len(said)))
                self.end_headers()
                self.wfile.write(said)
                peer.close()

            do_GET = do_PUT = do_POST = do_DELETE = _pass_on  # noqa: N815 - as the library calls them

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port: int = self._server.server_port
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    """Pass on all that comes, until one of the two hangs up."""
    try:
        while piece := source.recv(65536):
            sink.sendall(piece)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass
