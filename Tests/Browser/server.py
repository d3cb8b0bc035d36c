"""An HTTP and WebSocket server (RFC 6455) by the standard library alone: it serves the page, and plays gates that obey or misbehave.

A test writes a script for a key, one list of steps for each connection that comes with `?key=` (the last one also for all further
ones), and reads afterwards what came. The steps stand in Connection below.
"""

import asyncio
import base64
import hashlib
import json
import os
import struct
import urllib.parse

ACCEPT = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
TYPES = {".js": "text/javascript", ".html": "text/html"}


class Gone(Exception):
    """The peer has left, or has said goodbye."""


class Request:
    def __init__(self, line, headers, body):
        self.method, target, _ = line.split(" ", 2)
        self.target = target
        path, _, query = target.partition("?")
        self.path = path
        self.query = dict(urllib.parse.parse_qsl(query))
        self.headers = headers
        self.body = body

    @classmethod
    async def read(cls, reader):
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        line, *fields = head.rstrip().split("\r\n")
        headers = {}
        for field in fields:
            name, _, value = field.partition(":")
            headers[name.strip().lower()] = value.strip()
        return cls(line, headers, await reader.readexactly(int(headers.get("content-length", 0))))


class Connection:
    """One opening handshake and what follows, by its script.

    send: {…}        a message; "$ref" in it is the `ref` of the message that was awaited last
    text: "…"  binary: [1, 2]        as it is
    await: "join"    the next message of the type
    close: [code, reason]            a close frame, then the end of the connection once it is answered
    drop: true       the end without one
    hold: true       reads what comes, to the end
    flood: [n, {…}]  n messages, each with its number as `n`
    obey: {…}        join, leave, publish and refresh as a gate does, `roles` by resource
    And before 101, as the first step: refuse: 403, half: true (a part of the answer, then the end), silent: true (no answer),
    protocol: "…" (another subprotocol than was offered).
    """

    def __init__(self, key, request, reader, writer):
        self.key = key
        self.reader, self.writer = reader, writer
        self.ref = None
        self.rooms = {}
        self.has_closed = False
        self.name = f"c{len(key.connections) + 1}"
        self.record = {
            "target": request.target,
            "protocols": [part.strip() for part in request.headers.get("sec-websocket-protocol", "").split(",")],
            "cookie": request.headers.get("cookie"),
            "messages": [],
            "code": None,
        }
        self.accept = base64.b64encode(
            hashlib.sha1((request.headers["sec-websocket-key"] + ACCEPT).encode()).digest()
        ).decode()

    async def run(self, steps):
        steps = list(steps)
        first = steps[0] if steps else {}
        if "refuse" in first:
            self.writer.write(f"HTTP/1.1 {first['refuse']} No\r\nConnection: close\r\nContent-Length: 0\r\n\r\n".encode())
            return
        if "half" in first:
            self.writer.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: webso")
            return
        if "silent" in first:
            await self.reader.read()
            return
        protocol = first.get("protocol", "portcullis.v1")
        lines = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade"]
        lines += [f"Sec-WebSocket-Accept: {self.accept}"]
        lines += [f"Sec-WebSocket-Protocol: {protocol.replace('$bearer', self.record['protocols'][-1])}"]
        self.writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
        self.key.live.append(self)
        try:
            for step in steps:
                await self.act(step)
        finally:
            self.key.live.remove(self)

    async def act(self, step):
        for what, how in step.items():
            if what == "send":
                self.send(how)
            elif what == "text":
                self.frame(1, how.encode())
            elif what == "binary":
                self.frame(2, bytes(how))
            elif what == "await":
                while (await self.message()).get("type") != how:
                    pass
            elif what == "close":
                self.frame(8, struct.pack(">H", how[0]) + how[1].encode())
                await self.to_the_end()
            elif what == "drop":
                self.writer.transport.abort()
                raise Gone
            elif what == "hold":
                await self.to_the_end()
            elif what == "flood":
                for number in range(how[0]):
                    self.send({**how[1], "n": number})
                    if number % 100 == 0:
                        await self.writer.drain()
            elif what == "obey":
                while True:
                    self.obey(await self.message(), how.get("roles", {}))
        await self.writer.drain()

    async def to_the_end(self):
        while True:
            await self.message()

    def send(self, message):
        self.frame(1, json.dumps(message).replace('"$ref"', json.dumps(self.ref)).encode())

    def frame(self, opcode, payload):
        # Nothing stands behind a close frame, not even a second one.
        if self.has_closed:
            return
        self.has_closed = opcode == 8
        size = len(payload)
        if size < 126:
            head = struct.pack(">BB", 0x80 | opcode, size)
        elif size < 65_536:
            head = struct.pack(">BBH", 0x80 | opcode, 126, size)
        else:
            head = struct.pack(">BBQ", 0x80 | opcode, 127, size)
        if not self.writer.is_closing():
            self.writer.write(head + payload)

    async def message(self):
        """The next message, an object; pings are answered, and a close frame too."""
        while True:
            first, second = await self.reader.readexactly(2)
            size = second & 0x7F
            if size == 126:
                (size,) = struct.unpack(">H", await self.reader.readexactly(2))
            elif size == 127:
                (size,) = struct.unpack(">Q", await self.reader.readexactly(8))
            assert second & 0x80 and first & 0x80, "a client masks its frames, and browsers do not split small ones"
            mask = await self.reader.readexactly(4)
            masked = await self.reader.readexactly(size)
            payload = bytes(byte ^ mask[at % 4] for at, byte in enumerate(masked))
            opcode = first & 0x0F
            if opcode == 8:
                self.record["code"] = struct.unpack(">H", payload[:2])[0] if payload else None
                self.frame(8, payload[:2])
                raise Gone
            if opcode == 9:
                self.frame(10, payload)
            elif opcode == 1:
                message = json.loads(payload)
                self.record["messages"].append(message)
                self.ref = message.get("ref")
                return message

    def obey(self, message, roles):
        kind, resource, ref = message["type"], message.get("resource"), message.get("ref")

        def refuse(code):
            self.send({"type": "error", "code": code, "detail": "no", "ref": ref})

        if kind == "refresh":
            self.send({"type": "refreshed", "expires_at": None, "permissions": roles})
        elif kind == "join":
            if resource not in roles:
                return refuse("forbidden")
            self.rooms[resource] = roles[resource]
            others = [other for other in self.key.live if other is not self and resource in other.rooms]
            members = [{"user": other.name, "role": other.rooms[resource]} for other in others]
            self.send({"type": "joined", "resource": resource, "role": roles[resource], "members": members, "ref": ref})
            for other in others:
                other.send({"type": "joined", "resource": resource, "role": roles[resource], "user": self.name})
        elif resource not in self.rooms:
            refuse("not_a_member")
        elif kind == "leave":
            del self.rooms[resource]
            self.send({"type": "left", "resource": resource, "ref": ref})
            for other in self.key.live:
                if resource in other.rooms:
                    other.send({"type": "left", "resource": resource, "user": self.name})
        elif self.rooms[resource] == "viewer":
            refuse("forbidden")
        else:
            relayed = {"type": "message", "resource": resource, "user": self.name, "connection": self.name}
            for other in self.key.live:
                if other is not self and resource in other.rooms:
                    other.send({**relayed, "data": message["data"]})


class Key:
    """What belongs to one test."""

    def __init__(self):
        self.scripts = [[{"hold": True}]]
        self.connections = []
        self.live = []


class Server:
    """`files`: what is served under which path. `routes`: functions of a request, by path."""

    def __init__(self, files, routes):
        self.files = files
        self.routes = {"/script": self.script, "/log": self.log, "/order": self.order, **routes}
        self.keys = {}

    async def start(self):
        self.server = await asyncio.start_server(self.accepted, "127.0.0.1", 0, limit=1 << 20)
        self.address = "127.0.0.1:%d" % self.server.sockets[0].getsockname()[1]

    def key(self, request):
        return self.keys.setdefault(request.query["key"], Key())

    async def accepted(self, reader, writer):
        try:
            request = await Request.read(reader)
            if "sec-websocket-key" in request.headers:
                key = self.key(request)
                connection = Connection(key, request, reader, writer)
                steps = key.scripts[min(len(key.connections), len(key.scripts) - 1)]
                key.connections.append(connection.record)
                await connection.run(steps)
            else:
                await self.answer(request, writer)
            await writer.drain()
        except (Gone, asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def answer(self, request, writer):
        status, kind, body = 404, "text/plain", b""
        if request.path in self.routes:
            status, kind, body = 200, self.kind(request), await self.routes[request.path](request)
            body = body if isinstance(body, bytes) else json.dumps(body).encode()
        elif request.path in self.files:
            status, kind = 200, self.kind(request)
            with open(self.files[request.path], "rb") as file:
                body = file.read()
        head = f"HTTP/1.1 {status} OK\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
        writer.write((head + "Cache-Control: no-store\r\nConnection: close\r\n\r\n").encode() + body)

    @staticmethod
    def kind(request):
        return TYPES.get(os.path.splitext(request.path)[1], "application/json")

    async def script(self, request):
        self.key(request).scripts = json.loads(request.body)
        return {}

    async def log(self, request):
        return self.key(request).connections

    async def order(self, request):
        """Steps for every connection of the key that stands."""
        for connection in list(self.key(request).live):
            for step in json.loads(request.body):
                try:
                    await connection.act(step) if "close" not in step else connection.frame(
                        8, struct.pack(">H", step["close"][0]) + step["close"][1].encode()
                    )
                except Gone:
                    pass
        return {}
