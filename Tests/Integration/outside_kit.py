"""What the checks from outside have in common: a real gate, a redis-server, and clients that nobody here wrote."""

import asyncio
import base64
import contextlib
import hashlib
import hmac
import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
import traceback

import websockets

try:
    from websockets.asyncio.client import connect as websocket_connect

    HEADERS = "additional_headers"
except ImportError:  # before 13
    from websockets import connect as websocket_connect

    HEADERS = "extra_headers"

HERE = os.path.dirname(os.path.abspath(__file__))
USAGE = "Usage: outside.py PORTCULLIS [SECTION…]        the program, and which sections to run (all)"
PROGRAM = os.path.abspath(sys.argv[1]) if len(sys.argv) >= 2 else sys.exit(USAGE)
SECTIONS = sys.argv[2:]
# For anything that is waited for: a busy machine may be a while.
PATIENCE = 30
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

    def do(self, *words):
        """One command; its answer as redis-cli prints it."""
        return redis_cli(self.socket, *words)

    def kill(self):
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None


class Gate:
    """portcullis serve, on free ports."""

    def __init__(self, folder, *options, environment=()):
        self.folder = folder
        self.options = options
        self.environment = {**ENVIRONMENT, **dict(environment)}
        self.process = None

    def start(self):
        self.log = os.path.join(self.folder, "gate.log")
        words = [PROGRAM, "serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", *self.where, *self.options]
        with open(self.log, "w") as log:
            self.process = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.environment
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
        done = self.run(*words, "--wait", "15s", "--json")
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


class ConfiguredGate(Gate):
    """portcullis serve --config, on a Redis that outlives it."""

    def __init__(self, folder, redis, settings, environment=()):
        self.name = f"gate-{len(os.listdir(folder))}"
        home = os.path.join(folder, self.name)
        os.mkdir(home, 0o700)
        super().__init__(home, environment=environment)
        self.redis = redis
        text = f"state_dir: {home}\nredis:\n  url: {redis.url}\n{textwrap.dedent(settings)}"
        self.config = write(os.path.join(home, "portcullis.yaml"), text)

    @property
    def where(self):
        return ["--config", self.config]

    def publish(self, event):
        text = event if isinstance(event, str) else json.dumps(event)
        return self.redis.do("PUBLISH", "portcullis:events", text)


def sign(secret, user, life=600, **claims):
    """A JWT of HS256 by hashlib alone (RFC 7519, RFC 7515)."""

    def encode(part):
        raw = part if isinstance(part, bytes) else json.dumps(part).encode()
        return base64.urlsafe_b64encode(raw).rstrip(b"=")

    now = int(time.time())
    body = {"sub": user, "iat": now, "exp": time.time() + life, **claims}
    text = encode({"alg": "HS256", "typ": "JWT"}) + b"." + encode(body)
    return (text + b"." + encode(hmac.new(secret.encode(), text, hashlib.sha256).digest())).decode()


class SecretGate(ConfiguredGate):
    """A gate whose secret is known here, so that others can have the same."""

    def __init__(self, folder, redis, secret, settings):
        self.secret = secret
        path = write(os.path.join(folder, "shared-secret"), secret + "\n")
        number = len(os.listdir(folder))
        self.node = f"node-{number}"
        settings = textwrap.dedent(settings)
        super().__init__(folder, redis, f"node: {self.node}\ntokens:\n  secret_file: {path}\n{settings}")

    def sign(self, user, **claims):
        return sign(self.secret, user, **claims)


class Pair:
    """Two gates on one Redis, with one secret."""

    def __init__(self, folder, redis, settings):
        self.folder, self.redis = folder, redis
        secret = base64.b64encode(os.urandom(48)).decode()
        self.a, self.b = (SecretGate(folder, redis, secret, settings) for _ in range(2))
        self.script = run("log", "--script").stdout
        self.streams = None

    async def pipeline(self, commands):
        """Commands in one write, on a connection that is kept; their answers (RESP2)."""
        if self.streams is None:
            self.streams = await asyncio.open_unix_connection(self.redis.socket)
        reader, writer = self.streams
        for words in commands:
            writer.write(b"*%d\r\n" % len(words))
            for word in words:
                raw = str(word).encode()
                writer.write(b"$%d\r\n%s\r\n" % (len(raw), raw))
        return [await asyncio.wait_for(self._answer(reader), PATIENCE) for _ in commands]

    async def _answer(self, reader):
        line = (await reader.readuntil(b"\r\n"))[:-2]
        kind, rest = line[:1], line[1:]
        if kind == b"-":
            raise RuntimeError(rest.decode())
        if kind == b":":
            return int(rest)
        if kind == b"$":
            return None if rest == b"-1" else (await reader.readexactly(int(rest) + 2))[:-2]
        if kind == b"*":
            return [await self._answer(reader) for _ in range(int(rest))]
        return rest

    def stop(self):
        if self.streams:
            self.streams[1].close()
            self.streams = None


@contextlib.contextmanager
def running(*gates):
    try:
        for gate in gates:
            gate.start()
        yield gates[0] if len(gates) == 1 else gates
    finally:
        for gate in gates:
            gate.stop()


@contextlib.asynccontextmanager
async def lag():
    """A list whose last item is by how many seconds at most this process was late in doing anything meanwhile: no clock here is better."""
    seen = [0.0]

    async def watch():
        while True:
            due = time.monotonic() + 0.02
            await asyncio.sleep(0.02)
            seen.append(max(seen[-1], time.monotonic() - due))

    watching = asyncio.create_task(watch())
    try:
        yield seen
    finally:
        watching.cancel()


def run(*words, text="", environment=()):
    environment = {**ENVIRONMENT, **dict(environment)}
    return subprocess.run([PROGRAM, *words], input=text, capture_output=True, text=True, env=environment, timeout=60)


def redis_cli(path, *words):
    done = subprocess.run(["redis-cli", "-s", path, *words], capture_output=True, text=True, timeout=PATIENCE)
    return done.stdout.strip()


def read(path):
    with open(path) as file:
        return file.read()


def write(path, text, mode=0o600):
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w") as file:
        file.write(text)
    os.chmod(path, mode)
    return path


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


UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


def knock(gate, path="/ws", token=None, cookie=None, **headers):
    """A handshake by http.client: (status, code, headers); the code is None where it is admitted."""
    sent = {**UPGRADE, **{name.replace("_", "-"): text for name, text in headers.items()}}
    if token is not None:
        sent["Authorization"] = f"Bearer {token}"
    if cookie is not None:
        sent.update({"Cookie": cookie, "Origin": f"http://{gate.address}"})
    host, _, port = gate.address.rpartition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=PATIENCE)
    try:
        connection.request("GET", path, headers=sent)
        response = connection.getresponse()
        body = response.read()
        return response.status, json.loads(body)["code"] if body else None, response.headers
    finally:
        connection.close()


def admitted(gate, what, **how):
    status, code, _ = knock(gate, **how)
    return check(f"{what}: admitted", status == 101, (status, code))


def refused(gate, what, wanted, **how):
    """`wanted` is a status and a code."""
    seen = knock(gate, **how)[:2]
    return check(f"{what}: {wanted[0]} {wanted[1]}", seen == wanted, seen)


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

    async def receive_raw(self):
        """The next message as it is."""
        return await asyncio.wait_for(self.connection.recv(), PATIENCE)

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
                last = await asyncio.wait_for(self.connection.recv(), PATIENCE)
                # A raw connection hears of its end by the close frame alone.
                with contextlib.suppress(ValueError):
                    last = json.loads(last)
        except websockets.ConnectionClosed as closed:
            frame = closed.rcvd
            return (frame.code, frame.reason) if frame else None, last
        except asyncio.TimeoutError:
            return "still open", last

    async def close(self):
        await self.connection.close()


async def open_client(
    gate, path="/ws", token=None, session=None, origin=None, subprotocols=("portcullis.v1",), headers=(), **more
):
    # Pairs, for a name may stand more than once.
    headers = list(headers.items() if isinstance(headers, dict) else headers)
    if token is not None:
        headers.append(("Authorization", f"Bearer {token}"))
    if session is not None:
        headers.append(("Cookie", f"session_id={session}"))
        origin = origin or f"http://{gate.address}"
    options = {HEADERS: headers, "subprotocols": list(subprotocols) or None, "origin": origin, "open_timeout": PATIENCE, **more}
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


async def section(checks):
    """What breaks one part must not hide the others."""
    if SECTIONS and checks.__name__ not in SECTIONS:
        return checks.close()
    try:
        await asyncio.wait_for(checks, 900)
    except Exception as error:
        # Where in these files, and what: the rest of the trace is the libraries' own.
        here = [frame for frame in traceback.extract_tb(error.__traceback__) if os.path.dirname(frame.filename) == HERE]
        place = f"{here[-1].name}, line {here[-1].lineno}" if here else "?"
        check(f"{checks.__name__} ran to its end", False, f"{place}: {type(error).__name__} {error}")


def verdict():
    """The exit status, and the last line."""
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0
