#!/usr/bin/env python3
"""Runs a real gate against clients that nobody here wrote: the package websockets, http.client and redis-cli.

Usage: outside.py PORTCULLIS        the program; every check is one line, and the exit status is 1 where one failed.
"""

import asyncio
import base64
import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback

import websockets

try:
    from websockets.asyncio.client import connect as websocket_connect

    HEADERS = "additional_headers"
except ImportError:  # before 13
    from websockets import connect as websocket_connect

    HEADERS = "extra_headers"

PROGRAM = os.path.abspath(sys.argv[1]) if len(sys.argv) == 2 else sys.exit(__doc__.strip())
PATIENCE = 10
# Nothing of the caller's own settings may reach the gate.
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("PORTCULLIS_")}

passed, failed = 0, 0


def check(what, holds, seen=""):
    global passed, failed
    if holds:
        passed += 1
        print(f"ok      {what}", flush=True)
    else:
        failed += 1
        print(f"FAILED  {what}" + (f": {seen}" if seen != "" else ""), flush=True)
    return holds


# What runs


class Redis:
    """A redis-server of the check's own, on a unix socket."""

    def __init__(self, folder):
        self.folder = folder
        self.socket = os.path.join(folder, "r.sock")
        self.url = "unix://" + self.socket
        self.process = None

    def start(self):
        program = shutil.which("redis-server") or shutil.which("valkey-server")
        words = [program, "--port", "0", "--unixsocket", self.socket, "--dir", self.folder, "--appendonly", "yes"]
        words += ["--appendfsync", "always", "--save", "", "--maxmemory-policy", "noeviction"]
        self.process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until(lambda: redis_cli(self.socket, "PING") == "PONG", "redis-server answers")

    def kill(self):
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None


class Gate:
    """portcullis serve, on free ports."""

    def __init__(self, folder, *options):
        self.folder = folder
        self.options = options
        self.process = None

    def start(self):
        self.log = os.path.join(self.folder, "gate.log")
        words = [PROGRAM, "serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", *self.where, *self.options]
        with open(self.log, "w") as log:
            self.process = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=ENVIRONMENT
            )
        self.address = self.logged(" listening address=")
        self.admin = self.logged("admin API is listening address=")
        until(lambda: self.ready()[0] == 200, "the gate is ready")
        return self

    @property
    def where(self):
        return [] if "--redis" in self.options else ["--state-dir", self.folder]

    def logged(self, text):
        def find():
            if self.process.poll() is not None:
                raise RuntimeError("the gate ended: " + read(self.log))
            _, found, rest = read(self.log).partition(text)
            return rest.split()[0] if found and rest.strip() else None

        return until(find, f"the gate logs{text}")

    def stop(self, number=signal.SIGTERM):
        """Returns the exit status."""
        if self.process is None:
            return None
        self.process.send_signal(number)
        try:
            return self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            return "killed: it did not end in time"
        finally:
            self.process = None

    # What can be asked of it

    def run(self, *words):
        options = ["--redis", self.options[self.options.index("--redis") + 1]] if not self.where else self.where
        return run(*words, *options)

    def decide(self, *words):
        """Runs a command and waits for the gates; what --json said."""
        done = self.run(*words, "--wait", "5s", "--json")
        if done.returncode != 0:
            raise RuntimeError(f"portcullis {' '.join(words)}: {done.returncode} {done.stderr.strip()}")
        return json.loads(done.stdout)

    def token(self, user, *claims, roles=None):
        words = [word for claim in claims for word in ("--claim", claim)]
        if roles is not None:
            words += ["--claim", "permissions=" + json.dumps(roles)]
        done = self.run("token", "issue", "--user", user, *words)
        if done.returncode != 0:
            raise RuntimeError(done.stderr)
        return done.stdout.strip()

    def session(self, user, roles=None):
        field = ["--field", "permissions=" + json.dumps(roles)] if roles is not None else []
        done = self.run("session", "create", "--user", user, *field)
        if done.returncode != 0:
            raise RuntimeError(done.stderr)
        return done.stdout.strip()

    def publish(self, event):
        text = event if isinstance(event, str) else json.dumps(event)
        return redis_cli(os.path.join(self.folder, "redis.sock"), "PUBLISH", "portcullis:events", text)

    def ready(self):
        """The status of /readyz and what it says."""
        return http_get(self.admin, "/readyz")


def run(*words):
    return subprocess.run(
        [PROGRAM, *words], stdin=subprocess.DEVNULL, capture_output=True, text=True, env=ENVIRONMENT, timeout=60
    )


def redis_cli(path, *words):
    done = subprocess.run(["redis-cli", "-s", path, *words], capture_output=True, text=True, timeout=PATIENCE)
    return done.stdout.strip()


def read(path):
    with open(path) as file:
        return file.read()


def until(condition, what, patience=PATIENCE):
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise RuntimeError(f"not within {patience} s: {what}")


def http_get(address, path, headers=()):
    host, _, port = address.rpartition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=PATIENCE)
    try:
        connection.request("GET", path, headers=dict(headers))
        response = connection.getresponse()
        body = response.read().decode()
        try:
            body = json.loads(body)
        except ValueError:
            pass
        return response.status, body if path != "" else None
    finally:
        connection.close()


# Clients


class Client:
    """A connection by the package websockets."""

    def __init__(self, connection):
        self.connection = connection

    async def receive(self, type=None):
        """The next message, or the next of a type."""
        while True:
            message = json.loads(await asyncio.wait_for(self.connection.recv(), PATIENCE))
            if type is None or message["type"] == type:
                return message

    async def say(self, **message):
        await self.connection.send(json.dumps(message))

    async def stays(self):
        """Whether it is alive: a ping comes back."""
        try:
            pong = await asyncio.wait_for(self.connection.ping(), PATIENCE)
            await asyncio.wait_for(pong, PATIENCE)
            return True
        except (websockets.ConnectionClosed, asyncio.TimeoutError):
            return False

    async def end(self):
        """The gate's close frame and last message: (code, reason), message."""
        last = None
        try:
            while True:
                last = json.loads(await asyncio.wait_for(self.connection.recv(), PATIENCE))
        except websockets.ConnectionClosed as closed:
            frame = closed.rcvd
            return (frame.code, frame.reason) if frame else None, last
        except asyncio.TimeoutError:
            return "still open", last

    async def close(self):
        await self.connection.close()


async def open_client(gate, path="/ws", token=None, session=None, origin=None, subprotocols=("portcullis.v1",)):
    headers = {}
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    if session is not None:
        headers["Cookie"] = f"session_id={session}"
        origin = origin or f"http://{gate.address}"
    options = {HEADERS: headers, "subprotocols": list(subprotocols), "origin": origin, "open_timeout": PATIENCE}
    connection = await websocket_connect(f"ws://{gate.address}{path}", **options)
    return Client(connection)


async def outcome(gate, **how):
    """How a handshake ended: (status, code) where it was refused, else 101 and the client."""
    # Without an Origin every refusal is an HTTP status.
    try:
        client = await open_client(gate, **how)
    except Exception as error:
        response = getattr(error, "response", None)
        status = getattr(response, "status_code", None) or getattr(error, "status_code", None)
        if status is None:
            raise
        body = getattr(response, "body", None)
        return status, json.loads(body)["code"] if body else None
    # Where an Origin let it be opened, it is closed at once.
    return 101, client


async def is_refused(gate, status, code, **how):
    """Whether a handshake is refused so; websockets before 13 hides the body."""
    seen = await outcome(gate, **how)
    if seen[0] == 101 and "session" in how:
        end, _ = await seen[1].end()
        return end in [(4401, code), (4410, code), (4403, code), (4423, code)], end
    if seen[0] == 101:
        await seen[1].close()
    return seen[0] == status and seen[1] in (code, None), seen


def bearer(token):
    return "base64url.bearer.portcullis." + base64.urlsafe_b64encode(token.encode()).decode().rstrip("=")


DOC = "doc:42"
EDITOR = {DOC: "editor"}


# The checks


async def ways_in(gate):
    header = await open_client(gate, f"/ws/{DOC}", token=gate.token("alice", roles=EDITOR))
    welcome = await header.receive()
    seen = [welcome.get(name) for name in ("type", "user", "resource", "role")]
    check("connect by header: welcomed as alice, editor", seen == ["welcome", "alice", DOC, "editor"], welcome)

    token = gate.token("bob", roles=EDITOR)
    browser = await open_client(gate, f"/ws/{DOC}", subprotocols=("portcullis.v1", bearer(token)))
    welcome = await browser.receive()
    check("connect by the bearer subprotocol: welcomed as bob", welcome.get("user") == "bob", welcome)
    chosen = browser.connection.subprotocol
    check("the bearer entry is not echoed", chosen == "portcullis.v1", chosen)

    session = gate.session("carol", roles=EDITOR)
    cookie = await open_client(gate, f"/ws/{DOC}", session=session)
    welcome = await cookie.receive()
    check("connect by session cookie: welcomed as carol", welcome.get("user") == "carol", welcome)

    await header.say(type="publish", resource=DOC, data={"text": "hello"})
    heard = [await browser.receive("message"), await cookie.receive("message")]
    told = [(message["user"], message["data"]) for message in heard]
    check("a message reaches the other members", told == [("alice", {"text": "hello"})] * 2, told)
    for client in (header, browser, cookie):
        await client.close()


async def revoked_by(gate, what, revoke, victim, bystander):
    """`victim` and `bystander` are ways to connect; `revoke` cuts off the first."""
    one, other = await open_client(gate, **victim), await open_client(gate, **bystander)
    await one.receive("welcome")
    await other.receive("welcome")
    revoke()
    end, last = await one.end()
    check(f"{what}: closed with 4410 revoked", end == (4410, "revoked"), end)
    told = last and (last["type"], last["code"], last["reconnect"])
    check(f"{what}: the last message says closing, never", told == ("closing", 4410, "never"), last)
    check(f"{what}: the other stays", await other.stays())
    refused, seen = await is_refused(gate, 401, "revoked", **victim)
    check(f"{what}: cannot return", refused, seen)
    returning = await open_client(gate, **bystander)
    check(f"{what}: the other can connect again", await returning.stays())
    await other.close()
    await returning.close()


async def revocations(gate, gone, good):
    """Fills `gone` and `good` with ways in that are refused and accepted from now on."""
    for source in ("portcullis", "redis-cli"):

        def revoke(option, value, field):
            if source == "portcullis":
                return lambda: gate.decide("revoke", option, value)
            return lambda: gate.publish({"v": 1, "type": "revoke", "select": {field: value}})

        user = f"mallory-{source}"
        victim, bystander = {"token": gate.token(user)}, {"token": gate.token("alice")}
        await revoked_by(gate, f"revoke a user by {source}", revoke("--user", user, "user"), victim, bystander)
        gone.append(victim)
        good.append(bystander)
        # A whole second later, so that no rounding of an issue time can be in the way.
        await asyncio.sleep(1.1)
        again = await open_client(gate, token=gate.token(user))
        check(f"revoke a user by {source}: may sign in again", await again.stays())
        await again.close()

        first, second = gate.session("dora"), gate.session("dora")
        victim, bystander = {"session": first}, {"session": second}
        await revoked_by(gate, f"revoke a session by {source}", revoke("--session", first, "session"), victim, bystander)
        gone.append(victim)
        good.append(bystander)

        jti = f"jti-{source}"
        victim = {"token": gate.token("erin", f'jti="{jti}"')}
        bystander = {"token": gate.token("erin", f'jti="{jti}-other"')}
        await revoked_by(gate, f"revoke a token id by {source}", revoke("--token", jti, "token"), victim, bystander)
        gone.append(victim)
        good.append(bystander)

    receipt = gate.decide("revoke", "--user", "nobody-at-all")
    counts = (receipt["matched"], receipt["closed"], receipt["silent"])
    check("a receipt counts what matched", counts == (0, 0, []), receipt)


async def session_end(gate):
    session = gate.session("frank")
    client = await open_client(gate, session=session)
    await client.receive("welcome")
    gate.run("session", "end", session)
    end, _ = await client.end()
    check("a session that is deleted closes its connection", end == (4410, "session_ended"), end)


async def remembers(gate, gone, good):
    bound = await open_client(gate, token=gate.token("alice"))
    await bound.receive("welcome")
    stop = asyncio.get_running_loop().run_in_executor(None, gate.stop)
    end, last = await bound.end()
    check("a gate that stops says 1001 shutting_down", end == (1001, "shutting_down"), end)
    check("and advises to come back", last and last.get("reconnect") == "later", last)
    check("SIGTERM ends it with 0", await stop == 0)
    gate.start()
    refusals = [await is_refused(gate, 401, "revoked", **how) for how in gone]
    check(
        f"after a restart all {len(gone)} revoked credentials are still refused",
        all(refused for refused, _ in refusals),
        [seen for _, seen in refusals],
    )
    for how in good:
        client = await open_client(gate, **how)
        if not await client.stays():
            return check("after a restart the others connect again", False, how)
        await client.close()
    check(f"after a restart the {len(good)} others connect again", True)


async def permissions(gate):
    grace = {"path": f"/ws/{DOC}", "token": gate.token("grace", roles=EDITOR)}
    heidi = {"path": f"/ws/{DOC}", "token": gate.token("heidi", roles=EDITOR)}
    one, other = await open_client(gate, **grace), await open_client(gate, **heidi)
    await one.receive("welcome")
    await other.receive("welcome")

    receipt = gate.decide("permit", "--user", "grace", "--resource", DOC, "--role", "viewer")
    told = await one.receive()
    seen = (told["type"], told.get("from"), told.get("to"))
    check("permit viewer: told of it", seen == ("permission", "editor", "viewer"), told)
    check("permit viewer: the receipt says narrowed", receipt["narrowed"] == 1, receipt)
    await one.say(type="publish", resource=DOC, data=1, ref="r1")
    error = await one.receive()
    check("permit viewer: publishing is forbidden", (error.get("code"), error.get("ref")) == ("forbidden", "r1"), error)
    await other.say(type="publish", resource=DOC, data=2)
    heard = await one.receive()
    check("permit viewer: still reads", (heard["type"], heard.get("data")) == ("message", 2), heard)

    gate.decide("permit", "--user", "grace", "--resource", DOC, "--none")
    told = await one.receive()
    check("permit none: told before the end", (told["type"], told.get("to", "?")) == ("permission", None), told)
    end, _ = await one.end()
    check("permit none: closed with 4403", end == (4403, "permission_revoked"), end)
    refused, seen = await is_refused(gate, 403, "forbidden_resource", **grace)
    check("permit none: cannot return, whatever the token says", refused, seen)
    check("permit none: the other stays", await other.stays())
    await other.close()


async def blocks(gate):
    old = gate.token("ivan")
    one, other = await open_client(gate, token=old), await open_client(gate, token=gate.token("judy"))
    gate.decide("block", "--user", "ivan")
    end, _ = await one.end()
    check("block: closed with 4423", end == (4423, "blocked"), end)
    check("block: the other stays", await other.stays())
    refused, seen = await is_refused(gate, 403, "blocked", token=old)
    check("block: cannot return", refused, seen)
    refused, seen = await is_refused(gate, 403, "blocked", token=gate.token("ivan"))
    check("block: a fresh token does not help", refused, seen)
    gate.decide("unblock", "--user", "ivan")
    back = await open_client(gate, token=old)
    check("unblock: lets back", await back.stays())

    gate.decide("disconnect", "--user", "ivan")
    end, _ = await back.end()
    check("disconnect: closed with 1000", end is not None and end[0] == 1000, end)
    again = await open_client(gate, token=old)
    check("disconnect: may return", await again.stays())
    check("disconnect: the other stays", await other.stays())

    receipt = gate.decide("notify", "--user", "ivan", "--data", '{"text":"hi"}')
    await again.receive("welcome")
    notice = await again.receive()
    check("notify: arrives", notice == {"type": "notice", "data": {"text": "hi"}}, notice)
    check("notify: reaches no other", receipt["matched"] == 1, receipt)
    await again.close()
    await other.close()


MALFORMED = [
    "", "x", "[]", "null", '{"v":1}', '{"v":1,"type":"revoke"}', '{"v":1,"type":"revoke","select":{}}',
    '{"v":1,"type":"revoke","select":{"user":""}}', '{"v":1,"type":"revoke","select":{"user":7}}',
    '{"v":1,"type":"revoke","select":{"user":"alice"}', '{"v":1,"v":1,"type":"revoke","select":{"user":"alice"}}',
    '{"v":1,"type":"revoke","select":{"user":"alice"}} x', '{"v":1,"type":"block","select":{"user":"alice"}}',
    '{"v":1,"type":"revoke","select":{"resource":"doc:42"}}', '{"v":1,"type":"revoke","select":{"all":false}}',
    '{"v":1,"type":"revoke","select":{"user":"alice"},"issued_before_ms":"x"}', "\udcff\udcfe",
    '{"v":1,"type":"revoke","select":{"user":"alice","user":"bob"}}', "[" * 20000,
]  # fmt: skip
UNKNOWN = [
    '{"v":2,"type":"revoke","select":{"user":"alice"}}', '{"v":1,"type":"explode","select":{"user":"alice"}}',
    '{"v":1,"type":"revoke","select":{"shoe_size":"44"}}',
]  # fmt: skip


async def malformed(gate):
    alice = await open_client(gate, token=gate.token("alice"))
    path = os.path.join(gate.folder, "redis.sock")
    before = gate.ready()[1]
    for event in MALFORMED:
        words = ["redis-cli", "-s", path, "-x", "PUBLISH", "portcullis:events"]
        subprocess.run(words, input=event.encode(errors="surrogateescape"), capture_output=True, timeout=PATIENCE)
    for event in UNKNOWN:
        gate.publish(event)
    # What follows on the same channel is handled after them.
    gate.decide("revoke", "--user", "nobody-at-all")
    check(f"{len(MALFORMED) + len(UNKNOWN)} events that are none touch nobody", await alice.stays())
    status, after = gate.ready()
    counted = after["unknown_events"] - before["unknown_events"]
    check("/readyz counts the unknown ones", counted == len(UNKNOWN), after)
    check("and stays 200", status == 200, status)
    await alice.close()


UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


async def refusals(gate):
    def refused(what, status, code, path="/ws", headers=(), **replaced):
        sent = {**UPGRADE, **dict(headers), **{name.replace("_", "-"): text for name, text in replaced.items()}}
        sent = {name: text for name, text in sent.items() if text is not None}
        seen, body = http_get(gate.address, path, sent)
        named = body.get("code") if isinstance(body, dict) else None
        check(f"refused {what}: {status} {code or ''}".rstrip(), seen == status and code in (None, named), (seen, body))

    token = gate.token("alice")

    def authorized(token):
        return {"Authorization": f"Bearer {token}"}

    refused("without a credential", 401, "missing_credential")
    two = {**authorized(token), "Sec-WebSocket-Protocol": f"portcullis.v1, {bearer(token)}"}
    refused("with two credentials", 400, "ambiguous_credential", headers=two)
    expired = gate.token("alice", f"iat={int(time.time()) - 600}", f"exp={int(time.time()) - 300}")
    refused("an expired token", 401, "expired", headers=authorized(expired))
    early = gate.token("alice", f"nbf={int(time.time()) + 600}")
    refused("a token that is not valid yet", 401, "not_yet_valid", headers=authorized(early))
    secret = os.path.join(gate.folder, "other-secret")
    with open(os.open(secret, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
        file.write(base64.b64encode(os.urandom(48)).decode())
    forged = run("token", "issue", "--user", "alice", "--secret-file", secret).stdout.strip()
    refused("a token of another key", 401, "bad_signature", headers=authorized(forged))
    head, claims, mac = token.split(".")
    unsigned = base64.urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}').decode().rstrip("=")
    refused("a token without a signature", 401, None, headers=authorized(f"{unsigned}.{claims}."))
    refused("what is no token", 401, "malformed_token", headers=authorized("x.y"))
    refused("an unknown session", 401, "unknown_session", headers={
        "Cookie": "session_id=none", "Origin": f"http://{gate.address}",
    })  # fmt: skip
    refused("a wrong path", 404, None, path="/elsewhere", headers=authorized(token))
    refused("no upgrade", 426, None, headers=authorized(token), Connection=None, Upgrade=None)
    refused("a wrong version", 426, None, headers=authorized(token), Sec_WebSocket_Version="8")
    refused("a resource without a role", 403, "forbidden_resource", path="/ws/doc:43", headers=authorized(token))
    session = gate.session("alice")
    cookie = {"Cookie": f"session_id={session}"}
    refused("a cookie with a foreign origin", 403, "origin_forbidden", headers=cookie, Origin="http://evil.example")
    refused("a cookie without an origin", 403, "origin_forbidden", headers=cookie)

    # A browser cannot read the status of a refusal, so it is told by a close frame.
    how = {"subprotocols": ("portcullis.v1", bearer(forged)), "origin": f"http://{gate.address}"}
    status, client = await outcome(gate, **how)
    if check("a browser's refusal is opened and closed", status == 101, (status, client)):
        end, last = await client.end()
        check("with the matching code", end == (4401, "bad_signature"), (end, last))


async def starts(folder):
    def refused(what, status, patience, state, *words):
        began = time.monotonic()
        done = run("serve", *words, "--state-dir", state)
        took = time.monotonic() - began
        sentences = done.stderr.strip().splitlines()
        check(f"{what}: exit status {status}", done.returncode == status, (done.returncode, done.stderr))
        check(f"{what}: within {patience} s", took < patience, f"{took:.1f} s")
        return sentences

    free = ("--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0")
    nowhere = "unix://" + os.path.join(folder, "no.sock")
    sentences = refused("a start without Redis", 3, 6.5, os.path.join(folder, "without"), *free, "--redis", nowhere)
    spoken = [sentence for sentence in sentences if sentence.startswith("portcullis: ")]
    check("a start without Redis: one sentence", len(spoken) == 1, sentences)

    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        for option in ("--listen", "--admin"):
            other = "--admin" if option == "--listen" else "--listen"
            unused = os.path.join(folder, "unused" + option)
            sentences = refused(f"a port in use ({option})", 2, 5, unused, option, address, other, "127.0.0.1:0")
            check(f"a port in use ({option}): one sentence", len(sentences) == 1, sentences)
            check(f"a port in use ({option}): nothing was started", not os.path.exists(unused), os.path.exists(unused))
    for words in (("serve", "--lisen", "x"), ("revoke",), ("revoke", "--user"), ("nonsense",)):
        done = run(*words)
        check(f"portcullis {' '.join(words)}: exit status 2", done.returncode == 2, done.returncode)


async def redis_outage(folder):
    redis = Redis(folder)
    redis.start()
    secret = os.path.join(folder, "secret-file")
    with open(os.open(secret, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
        file.write(base64.b64encode(os.urandom(48)).decode())
    gate = Gate(folder, "--redis", redis.url, "--jwt-secret-file", secret)
    try:
        gate.start()
        token = run("token", "issue", "--user", "alice", "--secret-file", secret).stdout.strip()
        client = await open_client(gate, token=token)
        check("a gate on a Redis of its own choice admits", await client.stays())
        redis.kill()
        until(lambda: gate.ready()[0] == 503, "/readyz is 503", 15)
        check("Redis killed: /readyz says 503", True)
        seen = await outcome(gate, token=token)
        check("Redis killed: new handshakes get 503", seen[0] == 503, seen)
        await asyncio.sleep(1)
        check("Redis killed: the gate lives", gate.process.poll() is None and http_get(gate.admin, "/healthz")[0] == 200)
        redis.start()
        until(lambda: gate.ready()[0] == 200, "/readyz is 200 again", 20)
        check("Redis back: ready again", True)
        back = await open_client(gate, token=token)
        check("Redis back: handshakes are admitted", await back.stays())
        done = gate.decide("revoke", "--user", "alice")
        end, _ = await back.end()
        check("Redis back: revocations are enforced", end == (4410, "revoked"), (end, done))
        await client.close()
        check("SIGINT ends it with 0", gate.stop(signal.SIGINT) == 0)
    finally:
        gate.stop(signal.SIGKILL)
        redis.kill()


def is_running(pid):
    try:
        return "\nState:\tZ" not in read(f"/proc/{pid}/status")
    except OSError:
        return False


def embedded_redis(folder):
    """The process that listens on the gate's own socket."""
    for line in redis_cli(os.path.join(folder, "redis.sock"), "INFO", "server").splitlines():
        if line.startswith("process_id:"):
            return int(line.partition(":")[2])
    return None


async def ends(gate):
    gate_pid, redis_pid = gate.process.pid, embedded_redis(gate.folder)
    check("the gate has a Redis of its own", redis_pid is not None and is_running(redis_pid), redis_pid)
    check("SIGTERM: exit status 0", gate.stop() == 0)
    left = [pid for pid in (gate_pid, redis_pid) if is_running(pid)]
    check("SIGTERM: no process is left", not left, left)

    gate.start()
    redis_pid = embedded_redis(gate.folder)
    gate.stop(signal.SIGKILL)
    with contextlib.suppress(RuntimeError):
        until(lambda: not is_running(redis_pid), "its Redis ends")
    check("SIGKILL: its Redis ends with it", not is_running(redis_pid), redis_pid)


async def section(checks):
    """What breaks one part must not hide the others."""
    try:
        await asyncio.wait_for(checks, 180)
    except Exception as error:
        # Where in this file, and what: the rest of the trace is the libraries' own.
        here = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == __file__]
        place = f"{here[-1].name}, line {here[-1].lineno}" if here else "?"
        check(f"{checks.__name__} ran to its end", False, f"{place}: {type(error).__name__} {error}")


async def main():
    with tempfile.TemporaryDirectory(prefix="portcullis-") as folder:

        def room(name):
            path = os.path.join(folder, name)
            os.mkdir(path, 0o700)
            return path

        await section(starts(room("s")))
        gate = Gate(room("g"))
        try:
            gate.start()
            gone, good = [], []
            await section(ways_in(gate))
            await section(revocations(gate, gone, good))
            await section(session_end(gate))
            await section(remembers(gate, gone, good))
            await section(permissions(gate))
            await section(blocks(gate))
            await section(malformed(gate))
            await section(refusals(gate))
            await section(ends(gate))
        except RuntimeError as error:
            check("the gate runs", False, error)
        finally:
            gate.stop(signal.SIGKILL)
        await section(redis_outage(room("r")))
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


def interrupted(number, _):
    # Through the finally clauses, which end what was started.
    sys.exit(128 + number)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, interrupted)
    sys.exit(asyncio.run(main()))
