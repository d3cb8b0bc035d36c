"""Server sessions as applications make and end them, against a real gate."""

import asyncio
import base64
import hashlib
import hmac
import json
import os
import secrets
import signal
import subprocess
import time
import urllib.parse

from outside_kit import (
    ConfiguredGate, Redis, admitted, check, knock, lag, open_client, read, refused, running, section, until,
    write,
)  # fmt: skip

UNKNOWN = (401, "unknown_session")


def user_cookie(gate, value, name="session_id"):
    """Headers of a browser that shows a cookie to its own site."""
    return {"Cookie": f"{name}={value}", "Origin": f"http://{gate.address}"}


async def by_session(gate, id, path="/ws", **headers):
    """A connection, and what it was welcomed with."""
    client = await open_client(gate, path, headers={**user_cookie(gate, id), **headers})
    return client, await client.receive("welcome")


# Express: express-session signs with cookie-signature and writes with cookie; connect-redis stores.


def express_signature(id, secret):
    digest = hmac.new(secret.encode(), id.encode(), hashlib.sha256).digest()
    return base64.b64encode(digest).decode().rstrip("=")


def express_cookie(id, secret):
    return urllib.parse.quote(f"s:{id}.{express_signature(id, secret)}", safe="!'()*-._~")


def express_session(user, **more):
    cookie = {"originalMaxAge": 86_400_000, "expires": "2030-01-01T00:00:00.000Z", "httpOnly": True, "path": "/"}
    return json.dumps({"cookie": cookie, "passport": {"user": user} if user else {}, **more})


EXPRESS = """
    sessions:
      key: "sess:{id}"
      user_field: passport.user
      cookie: connect.sid
      cookie_secret_file: SECRET
"""


async def express(folder, redis):
    secret = secrets.token_urlsafe(32)
    path = write(os.path.join(folder, "cookie-secret"), secret + "\n")
    with running(ConfiguredGate(folder, redis, EXPRESS.replace("SECRET", path))) as gate:

        def store(id, user, life=60):
            return redis.do("SET", f"sess:{id}", express_session(user), "EX", str(life))

        # An id whose signature has all the letters that base64 and a URL write differently.
        while True:
            id = secrets.token_urlsafe(24)
            if {"+", "/"} <= set(express_signature(id, secret)):
                break
        good = express_cookie(id, secret)
        store(id, "alice")
        headers = user_cookie(gate, good, "connect.sid")
        client = await open_client(gate, headers=headers)
        welcome = await client.receive("welcome")
        seen = (welcome["user"], welcome.get("session"))
        check("express: a signed cookie is welcomed as its user", seen == ("alice", id), welcome)
        plain = f"s:{id}.{express_signature(id, secret)}"
        admitted(gate, "express: the same cookie without escapes", cookie=f"connect.sid={plain}")
        admitted(gate, "express: among other cookies", cookie=f"a=b; connect.sid={good}; theme=dark")

        signature = express_signature(id, secret)
        other = secrets.token_urlsafe(24)
        store(other, "mallory")
        forgeries = {
            "the bare id": id,
            "s: and no signature": f"s:{id}",
            "an empty signature": f"s:{id}.",
            "another secret": express_cookie(id, "x" * 32),
            "the signature of another id": f"s:{id}.{express_signature(other, secret)}",
            "a signature with one bit changed": f"s:{id}.{'B' if signature[0] != 'B' else 'C'}{signature[1:]}",
            "half a signature": f"s:{id}.{signature[:20]}",
            "a letter behind the signature": f"s:{id}.{signature}A",
            "a padded signature": f"s:{id}.{signature}=",
            "an unsigned id with a dot": f"{id}.{signature}",
            "escapes twice": urllib.parse.quote(good),
            "j: in place of s:": f"j:{id}.{signature}",
            "signed by the empty secret": f"s:{id}.{express_signature(id, '')}",
        }
        for what, value in forgeries.items():
            refused(gate, f"express: {what}", UNKNOWN, cookie=f"connect.sid={value}")
        refused(gate, "express: a signed id of no session", UNKNOWN, cookie=f"connect.sid={express_cookie('no', secret)}")
        twice = f"connect.sid={good}; connect.sid={express_cookie(other, secret)}"
        refused(gate, "express: two session cookies", (400, "ambiguous_credential"), cookie=twice)
        seen = knock(gate, Cookie=f"connect.sid={good}", Origin="http://evil.example")[:2]
        check("express: a foreign page: 403 origin_forbidden", seen == (403, "origin_forbidden"), seen)

        # connect-redis at each request: EXPIRE, or SET … EX.
        short = secrets.token_urlsafe(24)
        store(short, "bob", life=4)
        client2 = await open_client(gate, headers=user_cookie(gate, express_cookie(short, secret), "connect.sid"))
        redis.do("EXPIRE", f"sess:{short}", "60")
        await asyncio.sleep(4.5)
        check("express: EXPIRE at a request prolongs the connection", await client2.stays())
        store(short, "bob", life=60)
        check("express: SET … EX again leaves it open", await client2.stays())
        store(short, None)
        end, _ = await client2.end()
        check("express: signed out, but stored: 4410 session_ended", end == (4410, "session_ended"), end)

        redis.do("DEL", f"sess:{id}")
        end, last = await client.end()
        check("express: DEL at sign-out: 4410 session_ended", end == (4410, "session_ended"), end)
        check("express: and the advice is never", last and last.get("reconnect") == "never", last)
        refused(gate, "express: the cookie of a session that was signed out", UNKNOWN, cookie=f"connect.sid={good}")

        store(id, "alice")
        client = await open_client(gate, headers=user_cookie(gate, good, "connect.sid"))
        receipt = gate.decide("revoke", "--session", id)
        end, _ = await client.end()
        seen = (end, receipt["closed"])
        check("express: revoke --session closes it with 4410", seen == ((4410, "revoked"), 1), seen)
        refused(gate, "express: and it cannot come back", (401, "revoked"), cookie=f"connect.sid={good}")
        log = read(gate.log)
        check("express: neither secret nor signature stand in the log", secret not in log and signature not in log)

    settings = EXPRESS.replace("      cookie_secret_file: SECRET\n", "")
    environment = {"PORTCULLIS_SESSIONS_COOKIE_SECRET": secret}
    with running(ConfiguredGate(folder, redis, settings, environment)) as gate:
        id = secrets.token_urlsafe(24)
        redis.do("SET", f"sess:{id}", express_session("carol"), "EX", "60")
        admitted(gate, "express: the secret in the environment", cookie=f"connect.sid={express_cookie(id, secret)}")
        refused(gate, "express: and then the bare id", UNKNOWN, cookie=f"connect.sid={id}")
        check("express: the secret of the environment is not in the log", secret not in read(gate.log))


# Binding, step-up, renewal


BINDING = """
    sessions:
      bind: [ip, user_agent, device]
"""


async def binding(folder, redis):
    with running(ConfiguredGate(folder, redis, BINDING)) as gate:
        agent = "Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101"
        bound = {
            "user_id": "alice", "created_at": int(time.time()), "ip": "127.0.0.1", "device": "d-1",
            "user_agent_hash": hashlib.sha256(agent.encode()).hexdigest(),
        }  # fmt: skip

        def store(**changed):
            value = {name: text for name, text in {**bound, **changed}.items() if text is not None}
            redis.do("SET", "session:b", json.dumps(value), "EX", "600")

        mismatch = (401, "binding_mismatch")
        how = {"cookie": "session_id=b", "User_Agent": agent, "X_Device_ID": "d-1"}
        store()
        admitted(gate, "binding: the same client", **how)
        admitted(gate, "binding: the device as a cookie", cookie="session_id=b; device_id=d-1", User_Agent=agent)
        refused(gate, "binding: another browser", mismatch, **{**how, "User_Agent": "curl/8"})
        refused(gate, "binding: no browser", mismatch, cookie="session_id=b", X_Device_ID="d-1")
        refused(gate, "binding: another device", mismatch, **{**how, "X_Device_ID": "d-2"})
        refused(gate, "binding: no device", mismatch, cookie="session_id=b", User_Agent=agent)
        two = {**how, "cookie": "session_id=b; device_id=d-1", "X_Device_ID": "d-2"}
        seen = knock(gate, **two)[:2]
        check("binding: a header and a cookie that differ", seen[0] in (400, 401), seen)
        forwarded = knock(gate, **how, X_Forwarded_For="192.0.2.7")[:2]
        check("binding: X-Forwarded-For of a stranger is not believed", forwarded[0] == 101, forwarded)
        store(ip="192.0.2.7")
        refused(gate, "binding: another address", mismatch, **how)
        refused(gate, "binding: a forged X-Forwarded-For", mismatch, **how, X_Forwarded_For="192.0.2.7")
        for name in ("ip", "user_agent_hash", "device"):
            store(**{name: None})
            refused(gate, f"binding: a session without {name}", mismatch, **how)
        store(user_agent_hash=bound["user_agent_hash"].upper())
        admitted(gate, "binding: a hash in capitals", **how)
        store(ip="::ffff:127.0.0.1")
        admitted(gate, "binding: the address as IPv6 writes it", **how)

        store()
        headers = {**user_cookie(gate, "b"), "X-Device-ID": "d-1"}
        client = await open_client(gate, headers=headers, user_agent_header=agent)
        await client.receive("welcome")
        store(device="d-2")
        end, _ = await client.end()
        check("binding: a session that moves to another device", end == (4401, "binding_mismatch"), end)


STEP_UP = """
    resources:
      default_role: viewer
      step_up:
        "billing:*": 15m
        "vault": 5m
"""


async def step_up(folder, redis):
    with running(ConfiguredGate(folder, redis, STEP_UP)) as gate:
        now = int(time.time())
        stale = (403, "reauthentication_required")

        def store(**more):
            value = {"user_id": "alice", "created_at": now - 3600, **more}
            redis.do("SET", "session:s", json.dumps(value), "EX", "600")

        how = {"path": "/ws/billing:7", "cookie": "session_id=s"}
        store()
        refused(gate, "step-up: a session without auth_time", stale, **how)
        admitted(gate, "step-up: the same session elsewhere", path="/ws/doc:1", cookie="session_id=s")
        store(auth_time=now - 1000)
        refused(gate, "step-up: a sign-in of 17 minutes ago", stale, **how)
        store(auth_time=now - 600)
        admitted(gate, "step-up: a sign-in of 10 minutes ago", **how)
        refused(gate, "step-up: which is too old for the vault", stale, path="/ws/vault", cookie="session_id=s")
        store(auth_time=now, mfa_verified=False)
        refused(gate, "step-up: without a second factor", stale, **how)
        store(auth_time=now, mfa_verified=True)
        admitted(gate, "step-up: with a second factor", **how)
        store(auth_time=now + 3600)
        refused(gate, "step-up: a sign-in in the future", stale, **how)
        refused(gate, "step-up: the resource in escapes", stale, path="/ws/%62illing%3A7", cookie="session_id=s")

        refused(gate, "step-up: a token without auth_time", stale, path="/ws/vault", token=gate.token("bob"))
        token = gate.token("bob", f"auth_time={now}")
        admitted(gate, "step-up: a token with a fresh auth_time", path="/ws/vault", token=token)
        client = await open_client(gate, token=gate.token("bob"))
        await client.receive("welcome")
        await client.say(type="join", resource="vault", ref="1")
        answer = await client.receive()
        check("step-up: join is no way around it", answer["type"] == "error", answer)
        gate.decide("reauthenticate", "--user", "bob", "--within", "1s")
        await client.connection.wait_closed()
        code = client.connection.close_code
        check("reauthenticate: a connection that does not is closed with 4401", code == 4401, code)

        store(auth_time=now, mfa_verified=True)
        client, _ = await by_session(gate, "s", "/ws/vault")
        store(auth_time=now, mfa_verified=False)
        end, _ = await client.end()
        check("step-up: a live connection that loses the factor", end == (4403, "reauthentication_required"), end)

        refused(gate, "reauthenticate: a token without auth_time", stale, token=gate.token("bob"))


async def touch(folder, redis):
    with running(ConfiguredGate(folder, redis, "sessions:\n  touch: true\n  sweep: 1s\n")) as gate:
        value = json.dumps({"user_id": "alice", "created_at": int(time.time())})
        redis.do("SET", "session:t", value, "PX", "5000")
        client, _ = await by_session(gate, "t")
        for _ in range(13):
            await asyncio.sleep(0.5)
            await client.say(type="leave", resource="doc:1")
        left = int(redis.do("PTTL", "session:t"))
        check("touch: a session in use outlives its 5 s", left > 1000 and await client.stays(), left)
        end, _ = await client.end()
        check("touch: one that rests ends with 4401 expired", end == (4401, "expired"), end)
        redis.do("SET", "session:t", value)
        client, _ = await by_session(gate, "t")
        check("touch: a session without an end gets none", redis.do("PTTL", "session:t") == "-1", redis.do("PTTL", "session:t"))
        await client.close()
    with running(ConfiguredGate(folder, redis, "sessions:\n  touch: false\n")) as gate:
        redis.do("SET", "session:t", value, "PX", "4000")
        client, _ = await by_session(gate, "t")
        for _ in range(4):
            await client.say(type="leave", resource="doc:1")
        end, _ = await client.end()
        check("no touch: a session in use ends with 4401 expired", end == (4401, "expired"), end)


# How it is stored


def msgpack(value):
    """Maps, texts, whole numbers, flags: enough for a session (https://github.com/msgpack/msgpack/blob/master/spec.md)."""
    if isinstance(value, bool):
        return b"\xc3" if value else b"\xc2"
    if isinstance(value, int):
        return b"\xcf" + value.to_bytes(8, "big")
    if isinstance(value, str):
        raw = value.encode()
        return b"\xd9" + bytes([len(raw)]) + raw
    pairs = b"".join(msgpack(name) + msgpack(item) for name, item in value.items())
    return b"\xde" + len(value).to_bytes(2, "big") + pairs


async def formats(folder, redis):
    now = int(time.time())
    with running(ConfiguredGate(folder, redis, "sessions:\n  format: hash\n  key: 'h:{sha256}'\n")) as gate:
        key = "h:" + hashlib.sha256(b"one").hexdigest()
        redis.do("HSET", key, "user_id", "alice", "created_at", str(now), "permissions", '{"doc:1":"editor"}')
        redis.do("EXPIRE", key, "60")
        client, welcome = await by_session(gate, "one", "/ws/doc:1")
        seen = (welcome["user"], welcome["role"])
        check("a hash under the id's SHA-256: alice, editor", seen == ("alice", "editor"), welcome)
        redis.do("HSET", key, "permissions", '{"doc:1":"viewer"}')
        told = await client.receive("permission")
        check("a hash whose permissions change: told", (told["from"], told["to"]) == ("editor", "viewer"), told)
        redis.do("HDEL", key, "user_id")
        end, _ = await client.end()
        check("a hash without its user: 4410 session_ended", end == (4410, "session_ended"), end)
        made = gate.session("dora", roles={"doc:1": "viewer"})
        admitted(gate, "a hash made by portcullis session create", path="/ws/doc:1", cookie=f"session_id={made}")
        shown = gate.run("session", "show", made)
        check("portcullis session show shows a hash", shown.returncode == 0 and "dora" in shown.stdout, shown)
        redis.do("SET", "h:" + hashlib.sha256(b"two").hexdigest(), "{}", "EX", "60")
        seen = knock(gate, cookie="session_id=two")[:2]
        check("a text where a hash belongs: 503 store_unavailable", seen == (503, "store_unavailable"), seen)
    with running(ConfiguredGate(folder, redis, "sessions:\n  format: msgpack\n")) as gate:
        value = msgpack({"user_id": "alice", "created_at": now, "permissions": {"doc:1": "editor"}})
        store(redis, "session:m", value)
        client, welcome = await by_session(gate, "m", "/ws/doc:1")
        check("MessagePack: alice, editor", (welcome["user"], welcome["role"]) == ("alice", "editor"), welcome)
        for what, broken in {
            "cut off": value[:-3], "with something behind it": value + b"\xc3", "empty": b"", "no map": msgpack("x"),
            "with a map that claims 4 billion members": b"\xdf\xff\xff\xff\xff" + value[3:],
            "10,000 maps deep": b"\x81\xa1a" * 10_000,
        }.items():  # fmt: skip
            store(redis, "session:broken", broken)
            refused(gate, f"MessagePack {what}", UNKNOWN, cookie="session_id=broken")
        check("MessagePack: broken ones hurt nobody", await client.stays())
        store(redis, "session:m", msgpack({"user_id": "mallory", "created_at": now}))
        end, _ = await client.end()
        check("MessagePack: another user: 4410 session_ended", end == (4410, "session_ended"), end)
        made = gate.session("dora")
        admitted(gate, "MessagePack made by portcullis session create", cookie=f"session_id={made}")


def store(redis, key, value):
    """A value of any bytes."""
    words = ["redis-cli", "-s", redis.socket, "-x", "SET", key]
    subprocess.run(words, input=value, capture_output=True, timeout=10)


# How it ends


async def session_ends(folder, redis):
    with running(ConfiguredGate(folder, redis, "sessions:\n  sweep: 30s\n")) as gate:
        value = json.dumps({"user_id": "alice", "created_at": int(time.time())})
        other = json.dumps({"user_id": "mallory", "created_at": int(time.time())})
        redis.do("SET", "session:stays", value, "EX", "600")
        bystander, _ = await by_session(gate, "stays")
        token = await open_client(gate, token=gate.token("alice"))
        ways = {
            "UNLINK": (["UNLINK", "session:e"], (4410, "session_ended")),
            "EXPIRE 0": (["EXPIRE", "session:e", "0"], (4410, "session_ended")),
            "GETDEL": (["GETDEL", "session:e"], (4410, "session_ended")),
            "RENAME": (["RENAME", "session:e", "elsewhere"], (4410, "session_ended")),
            "another user": (["SET", "session:e", other, "EX", "60"], (4410, "session_ended")),
            "a value that is no JSON": (["SET", "session:e", "{", "EX", "60"], (4410, "session_ended")),
            "an empty value": (["SET", "session:e", ""], (4410, "session_ended")),
            "an object without a user": (["SET", "session:e", "{}", "EX", "60"], (4410, "session_ended")),
            "a user that is an object": (["SET", "session:e", '{"user_id":{}}'], (4410, "session_ended")),
            "EVAL del": (["EVAL", "return redis.call('DEL', KEYS[1])", "1", "session:e"], (4410, "session_ended")),
            "PEXPIRE 400": (["PEXPIRE", "session:e", "400"], (4401, "expired")),
        }
        for what, (command, wanted) in ways.items():
            redis.do("DEL", "session:e")
            redis.do("SET", "session:e", value, "EX", "60")
            client, _ = await by_session(gate, "e")
            redis.do(*command)
            end, _ = await client.end()
            check(f"a session ends by {what}: {wanted[0]} {wanted[1]}", end == wanted, end)
        redis.do("DEL", "session:e")
        redis.do("SET", "session:e", value, "PX", "4000")
        client, welcome = await by_session(gate, "e")
        async with lag() as own:
            end, last = await client.end()
        late = time.time() - welcome["expires_at"]
        check("a session ends by itself: 4401 expired", end == (4401, "expired"), end)
        check("at the time that it was welcomed with", -0.05 < late < 0.75 + own[-1], f"{late:.3f} s late, {own[-1]:.3f} s of it here")
        check("and the advice is to sign in again", last and last.get("reconnect") == "reauthenticate", last)
        redis.do("SET", "session:e", value, "EX", "60")
        client, _ = await by_session(gate, "e")
        redis.do("EVAL", "redis.call('DEL', KEYS[1]) redis.call('RPUSH', KEYS[1], 'x')", "1", "session:e")
        end, _ = await client.end()
        check("a session that becomes a list: 4410 session_ended", end == (4410, "session_ended"), end)
        check("meanwhile the other session and a token stay", await bystander.stays() and await token.stays())
        redis.do("FLUSHDB")
        end, _ = await bystander.end()
        check("FLUSHDB: 4410 session_ended", end == (4410, "session_ended"), end)
        check("FLUSHDB: a token's connection stays", await token.stays())
        admitted(gate, "after FLUSHDB a token", token=gate.token("alice"))
        await token.close()


async def store_trouble(folder, redis):
    with running(ConfiguredGate(folder, redis, "limits:\n  handshake: 3s\n")) as gate:
        value = json.dumps({"user_id": "alice", "created_at": int(time.time())})
        redis.do("SET", "session:good", value, "EX", "600")
        redis.do("SET", "session:unread", value, "EX", "600")
        redis.do("RPUSH", "session:list", "x")
        redis.do("SADD", "session:set", "x")
        client, _ = await by_session(gate, "good")

        async def twenty(session):
            """Twenty handshakes at once, and what they take."""
            began = time.monotonic()
            seen = await asyncio.gather(*(asyncio.to_thread(knock, gate, cookie=f"session_id={session}") for _ in range(20)))
            return seen, time.monotonic() - began

        _, least = await twenty("list")
        for kind in ("list", "set"):
            wanted = (503, "store_unavailable")
            refused(gate, f"a session's key that is a {kind}", wanted, cookie=f"session_id={kind}")
        for _ in range(50):
            knock(gate, cookie="session_id=list")
        admitted(gate, "after 50 of those a good session", cookie="session_id=good")
        check("and the gate is ready, the connection open", gate.ready()[0] == 200 and await client.stays())

        redis.process.send_signal(signal.SIGSTOP)
        try:
            seen, took = await twenty("unread")
            codes = {answer[:2] for answer in seen}
            check("Redis stands still: no session is admitted that was not read before", all(status == 503 for status, _ in codes), codes)
            check("and that is said within limits.handshake", took < 4.5 + 3 * least, f"{took:.1f} s")
            check("with Retry-After", all(answer[2].get("Retry-After") for answer in seen))
            stays = await client.stays()
            # What Redis would tell of its change is known to have come for as long as the lease.
            until(lambda: knock(gate, cookie="session_id=good")[0] == 503, "nor one that was, when the lease is over")
            check("nor one that was, when the lease is over", True)
        finally:
            redis.process.send_signal(signal.SIGCONT)
        check("the connection that was there outlives it", stays)
        until(lambda: knock(gate, cookie="session_id=good")[0] == 101, "a session is admitted again")
        until(lambda: gate.ready()[0] == 200, "the gate is ready again")
        check("Redis goes on: a session is admitted again, the gate is ready", True)
        redis.do("DEL", "session:good")
        end, _ = await client.end()
        check("Redis goes on: the end of a session is enforced", end == (4410, "session_ended"), end)
        redis.do("DEL", "session:list", "session:set", "session:unread")

        redis.do("SET", "session:ahead", json.dumps({"user_id": "eve", "created_at": int(time.time()) + 86_400}), "EX", "60")
        client, _ = await by_session(gate, "ahead")
        gate.decide("revoke", "--user", "eve")
        end, _ = await client.end()
        check("a session made tomorrow: revoked", end == (4410, "revoked"), end)
        refused(gate, "and it cannot come back", (401, "revoked"), cookie="session_id=ahead")


async def sessions(folder):
    redis = Redis(folder)
    try:
        redis.start()
        for part in (express, binding, step_up, touch, formats, session_ends, store_trouble):
            await section(part(folder, redis))
    finally:
        redis.kill()
