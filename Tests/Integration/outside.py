#!/usr/bin/env python3
"""Runs a real gate against clients that nobody here wrote: the packages websockets and wsproto, http.client, redis-cli, redis-py.

Usage: outside.py PORTCULLIS [SECTION…]        the program; every check is one line, and the exit status is 1 where one failed.

Beside it: outside_kit.py (gate, redis-server, clients), and outside_live.py, outside_limits.py, outside_sessions.py,
outside_settings.py, outside_tokens.py, outside_wsproto.py (more checks).
"""

import asyncio
import base64
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time

from outside_kit import (
    PATIENCE, UPGRADE, Gate, Redis, bearer, check, http_get, is_refused, open_client, outcome, read, redis_cli, run, section,
    until, verdict,
)  # fmt: skip
from outside_limits import limits
from outside_live import live
from outside_sessions import sessions
from outside_settings import settings
from outside_tokens import tokens
from outside_wsproto import second_client

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
    # What a start takes that does nothing.
    began = time.monotonic()
    run("--help")
    least = time.monotonic() - began

    def refused(what, status, patience, state, *words):
        began = time.monotonic()
        done = run("serve", *words, "--state-dir", state)
        took = time.monotonic() - began
        sentences = done.stderr.strip().splitlines()
        check(f"{what}: exit status {status}", done.returncode == status, (done.returncode, done.stderr))
        check(f"{what}: within {patience} s", took < patience + 3 * least, f"{took:.1f} s")
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
        until(lambda: gate.ready()[0] == 503, "/readyz is 503")
        check("Redis killed: /readyz says 503", True)
        seen = await outcome(gate, token=token)
        check("Redis killed: new handshakes get 503", seen[0] == 503, seen)
        await asyncio.sleep(1)
        check("Redis killed: the gate lives", gate.process.poll() is None and http_get(gate.admin, "/healthz")[0] == 200)
        redis.start()
        until(lambda: gate.ready()[0] == 200, "/readyz is 200 again")
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
        await sessions(room("sessions"))
        await tokens(room("tokens"))
        await settings(room("settings"))
        await live(room("live"))
        await limits(room("limits"))
        await second_client(room("wsproto"))
    return verdict()


def interrupted(number, _):
    # Through the finally clauses, which end what was started.
    sys.exit(128 + number)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, interrupted)
    sys.exit(asyncio.run(main()))
