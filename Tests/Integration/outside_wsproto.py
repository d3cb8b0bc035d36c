"""A second client that nobody here wrote: wsproto on h11, which only says which bytes to send and what those that came mean."""

import json
import os
import socket

from outside_kit import PATIENCE, Redis, SecretGate, check, running, section

try:
    import wsproto
    from wsproto.events import (
        AcceptConnection, BytesMessage, CloseConnection, Message, Ping, Pong, RejectConnection, RejectData, Request, TextMessage,
    )  # fmt: skip
    from wsproto.frame_protocol import CloseReason
except ImportError:
    wsproto = None

SECRET = "a secret of wsproto's checks alone, long enough"


class Peer:
    def __init__(self, gate, path="/ws", token=None, subprotocols=("portcullis.v1",)):
        host, _, port = gate.address.rpartition(":")
        self.socket = socket.create_connection((host, int(port)), timeout=PATIENCE)
        self.protocol = wsproto.WSConnection(wsproto.ConnectionType.CLIENT)
        self.waiting = []
        headers = [(b"Authorization", f"Bearer {token}".encode())] if token else []
        self.send(Request(host=gate.address, target=path, subprotocols=list(subprotocols), extra_headers=headers))

    def send(self, event):
        self.socket.sendall(self.protocol.send(event))

    def receive(self):
        """The next event; None: the stream has ended."""
        while not self.waiting:
            data = self.socket.recv(65_536)
            self.protocol.receive_data(data or None)
            self.waiting = list(self.protocol.events())
            if not data and not self.waiting:
                return None
        return self.waiting.pop(0)

    def message(self):
        """The next whole message; pings are answered."""
        parts = []
        while True:
            event = self.receive()
            if isinstance(event, Ping):
                self.send(event.response())
            elif isinstance(event, Message):
                parts.append(event.data)
                if event.message_finished:
                    return type(event.data)().join(parts)
            else:
                return event

    def closed(self):
        """The close frame; then whether the gate ends the stream once it is answered."""
        event = self.message()
        while not isinstance(event, (CloseConnection, type(None))):
            event = self.message()
        if event is None:
            return None, True
        if self.protocol.state is not wsproto.connection.ConnectionState.CLOSED:
            self.send(event.response())
        # By the application's own close there is nothing to answer.
        return (event.code, event.reason or ""), self.socket.recv(1) == b""

    def end(self):
        self.socket.close()


async def wsproto_client(folder, redis):
    if wsproto is None:
        return print("skipped wsproto: there is no such package here", flush=True)
    with running(SecretGate(folder, redis, SECRET, "")) as gate:
        token = gate.sign("alice", permissions={"doc:1": "editor"})
        peer = Peer(gate, token=token)
        accepted = peer.receive()
        seen = (type(accepted), getattr(accepted, "subprotocol", None), getattr(accepted, "extensions", None))
        check("wsproto: accepted, with the subprotocol and no extension", seen == (AcceptConnection, "portcullis.v1", []), accepted)
        welcome = json.loads(peer.message())
        check("wsproto: welcomed", (welcome["type"], welcome["user"]) == ("welcome", "alice"), welcome)
        peer.send(Ping(payload=b"are you there?"))
        pong = peer.receive()
        check("wsproto: a ping comes back with its payload", pong == Pong(payload=b"are you there?"), pong)

        raw = Peer(gate, "/ws/doc:1", token, subprotocols=())
        hearer = Peer(gate, "/ws/doc:1", token, subprotocols=())
        check("wsproto: no subprotocol where none is offered", (raw.receive().subprotocol, hearer.receive().subprotocol) == (None, None))
        text = "häuser \U0001f600 " * 10
        for at, letter in enumerate(text):
            raw.send(TextMessage(data=letter, message_finished=at == len(text) - 1))
            # Control frames stand between fragments.
            if at % 50 == 7:
                raw.send(Ping(payload=b"between"))
        check("wsproto: a text in fragments, pings between", hearer.message() == text)
        for part in (b"\x00\xff", b"", b"\x80" * 70_000):
            raw.send(BytesMessage(data=part, message_finished=len(part) > 2))
        heard = hearer.message()
        check("wsproto: bytes in fragments", heard == b"\x00\xff" + b"\x80" * 70_000, len(heard))
        raw.send(TextMessage(data=""))
        check("wsproto: an empty text", hearer.message() == "")

        for code, reason in ((CloseReason.NORMAL_CLOSURE, "bye"), (CloseReason.GOING_AWAY, ""), (3000, "mine"), (4999, "")):
            closing = Peer(gate, token=token)
            closing.receive()
            closing.send(CloseConnection(code=code, reason=reason))
            event = closing.receive()
            while not isinstance(event, (CloseConnection, type(None))):
                event = closing.receive()
            ended = closing.socket.recv(1) == b""
            seen = (getattr(event, "code", None), ended)
            check(f"wsproto: a close with {int(code)} comes back, and the stream ends", seen == (code, True), (event, ended))
            closing.end()

        gate.decide("revoke", "--user", "alice")
        last = json.loads(peer.message())
        check("wsproto: revoked: the closing message", (last["type"], last["code"]) == ("closing", 4410), last)
        check("wsproto: the close frame, then the end of the stream", peer.closed() == ((4410, "revoked"), True))
        while not isinstance(event := raw.message(), CloseConnection):
            pass
        check("wsproto: a raw connection too", (event.code, event.reason) == (4410, "revoked"), event)

        refused = Peer(gate, token=token)
        event, body = refused.receive(), b""
        headers = {bytes(name).lower(): bytes(value) for name, value in event.headers} if isinstance(event, RejectConnection) else {}
        while isinstance(part := refused.receive(), RejectData):
            body += part.data
            if part.body_finished:
                break
        seen = (type(event), getattr(event, "status_code", None), headers.get(b"content-type"), json.loads(body or b"{}").get("code"))
        wanted = (RejectConnection, 401, b"application/problem+json", "revoked")
        check("wsproto: refused by 401 with a body that says why", seen == wanted, seen)
        for client in (peer, raw, hearer, refused):
            client.end()


async def second_client(folder):
    redis = Redis(folder)
    try:
        redis.start()
        home = os.path.join(folder, "gates")
        os.mkdir(home, 0o700)
        await section(wsproto_client(home, redis))
    finally:
        redis.kill()
