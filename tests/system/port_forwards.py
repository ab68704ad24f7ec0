"""Ways out of a network that leads nowhere: ports on this side of it which pass on what arrives there."""

import asyncio
import re
import socket
import threading
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit
from weakref import WeakSet

_IP_FREEBIND = 15
"""Of Linux's <linux/in.h>; the socket module does not name it."""


class PortForward:
    """A port that leads to another address, from where it is entered to where it ends, and never the other way."""

    def __init__(self, host: str, *, to: tuple[str, int], port: int = 0) -> None:
        """Prepare one at an address of this machine, which may be one that is yet to come; port 0 takes a free one."""
        self.host = host
        self.port = port
        self._to = to
        self._closing = asyncio.Event()
        self._listening = threading.Event()
        self._open = WeakSet[asyncio.WriteTransport]()

    def __enter__(self) -> Self:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.IPPROTO_IP, _IP_FREEBIND, 1)
        listener.bind((self.host, self.port))
        self.port = listener.getsockname()[1]
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, args=[listener], name=f"passage {self.host}:{self.port}")
        self._thread.start()
        self._listening.wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @property
    def url(self) -> str:
        """What to enter for whatever speaks HTTP at the other end."""
        return f"http://{self.host}:{self.port}"

    def close(self) -> None:
        """Cut whatever goes through, and refuse what comes; closing twice is closing once."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._closing.set)
            self._thread.join()

    def _run(self, listener: socket.socket) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._listen(listener))

    async def _listen(self, listener: socket.socket) -> None:
        passing = set[asyncio.Task[None]]()

        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self._open.add(writer.transport)
            task = self._loop.create_task(self._pass(reader, writer))
            passing.add(task)
            task.add_done_callback(passing.discard)

        server = await asyncio.start_server(accept, sock=listener)
        self._listening.set()
        await self._closing.wait()
        server.close()
        # What has just come in is not passed on before the loop has gone round a few times.
        await asyncio.sleep(0.05)
        # Leaving the runner ends the tasks, but neither what has not begun to pass nor what is still to be written.
        for transport in self._open:
            transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._connect(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            # Nobody is there, or somebody has gone: the other side sees its connection end.
            pass
        finally:
            writer.close()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._join(reader, writer, *self._to)

    async def _join(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        host: str,
        port: int,
        *,
        request: bytes = b"",
        answer: bytes = b"",
    ) -> None:
        """Pass bytes both ways until both have said all, the request first that way and the answer this way."""
        far_reader, far_writer = await asyncio.open_connection(host, port)
        self._open.add(far_writer.transport)
        try:
            far_writer.write(request)
            writer.write(answer)
            async with asyncio.TaskGroup() as both:
                both.create_task(_pump(reader, far_writer))
                both.create_task(_pump(far_reader, writer))
        except* OSError:
            # One side has gone in the midst of it; that ends it for the other.
            pass
        finally:
            far_writer.close()


class WebProxy(PortForward):
    """An HTTP proxy, by which apt gets to its mirrors."""

    def __init__(self, host: str) -> None:
        super().__init__(host, to=("", 0))

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        request, fields = head.split("\r\n", 1)
        method, address, _ = request.split(" ")
        if method == "CONNECT":
            host, port = address.rsplit(":", 1)
            await self._join(reader, writer, host, int(port), answer=b"HTTP/1.1 200 Connected\r\n\r\n")
            return
        url = urlsplit(address)
        path = (url.path or "/") + (f"?{url.query}" if url.query else "")
        # One request per connection: the next may be for another host.
        fields = "Connection: close\r\n" + re.sub(r"(?im)^(proxy-)?connection:.*\r\n", "", fields)
        await self._join(
            reader,
            writer,
            url.hostname or "",
            url.port or 80,
            request=f"{method} {path} HTTP/1.1\r\n{fields}".encode("latin-1"),
        )


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.write_eof()
