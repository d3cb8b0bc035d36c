"""Limits and proxies, on one gate and on two on one Redis: rates, sizes, caps, whose address counts."""

import asyncio
import collections
import json
import os
import resource
import socket
import struct
import time

import websockets
from outside_kit import (
    PATIENCE, Pair, Redis, SecretGate, check, knock, open_client, outcome, read, running, section, until,
)  # fmt: skip

SECRET = "a secret of these checks alone, long enough"


async def welcomed(gate, user, path="/ws", **how):
    client = await open_client(gate, path, token=gate.sign(user, permissions={"doc:1": "editor"}), **how)
    await client.receive("welcome")
    return client


# Rates and sizes


RATES = """
    limits:
      messages_per_second: 40
      burst: 1s
      control_per_second: 5
"""


async def rates(folder, redis):
    pair = Pair(folder, redis, RATES)
    with running(pair.a, pair.b):
        fast, slow = await welcomed(pair.a, "fast", "/ws/doc:1"), await welcomed(pair.a, "slow", "/ws/doc:1")
        hearer = await welcomed(pair.b, "hearer", "/ws/doc:1")
        count, began = 120, time.monotonic()
        for number in range(count):
            await fast.say(type="publish", data=number)
            # Behind the burst.
            if number == count // 2:
                await slow.say(type="publish", data="slow")
        heard, ahead, other = [], [], None
        while len(heard) < count:
            message = await hearer.receive("message")
            if message["user"] == "slow":
                other = len(heard)
                continue
            heard.append(message["data"])
            # What the burst and the time since allow, and one for a message that was on its way.
            if len(heard) > 41 + 40 * (time.monotonic() - began):
                ahead.append(len(heard))
        check("rates: no message of one that is held back is lost, nor their order", heard == list(range(count)), heard)
        check("rates: and none comes sooner than its rate allows", not ahead, ahead)
        check("rates: another client does not wait for it", other is not None and other < count - 20, other)
        check("rates: it is not closed for that", await fast.stays())
        fences = [await fast.receive("message")]
        check("rates: and hears the others", fences[0]["user"] == "slow", fences)

        pongs = [await slow.connection.ping() for _ in range(200)]
        end, last = await slow.end()
        await asyncio.gather(*pongs, return_exceptions=True)
        check("rates: 200 pings at once: 1008", end == (1008, "policy_violation"), (end, last))

        def errors(log):
            return [line for line in read(log).splitlines() if "rror" in line]

        check("rates: no errors in the logs", not errors(pair.a.log) and not errors(pair.b.log), errors(pair.a.log))

    # For 10 s without a break.
    endless = "limits:\n  messages_per_second: 2\n  burst: 1s\n"
    with running(SecretGate(folder, redis, SECRET, endless)) as gate:
        client = await welcomed(gate, "endless")
        began = time.monotonic()
        for _ in range(200):
            await client.say(type="leave", resource="doc:1")
        await asyncio.sleep(6)
        end, last = await client.end()
        check("rates: held back for 10 s: 4429 rate_limited", end == (4429, "rate_limited"), end)
        seen = (last.get("reconnect"), last.get("retry_after_ms", 0) > 0)
        check("rates: with the time to come back", seen == ("later", True), last)
        took = time.monotonic() - began
        check("rates: not sooner", took > 9.5, f"{took:.1f} s")


async def sizes(folder, redis):
    with running(SecretGate(folder, redis, SECRET, "")) as gate:
        mebibyte = 1 << 20

        async def pair(**how):
            both = [await open_client(gate, "/ws/doc:1", token=gate.sign(user, permissions={"doc:1": "editor"}),
                                      subprotocols=(), max_size=None, **how) for user in ("a", "b")]  # fmt: skip
            return both

        one, other = await pair()
        await one.connection.send("x" * mebibyte)
        heard = await other.receive_raw()
        check("sizes: a message of 1 MiB passes", heard == "x" * mebibyte, len(heard))
        await one.connection.send("y" * (mebibyte + 1))
        end, _ = await one.end()
        check("sizes: one byte more: 1009", end and end[0] == 1009, end)
        check("sizes: which harms nobody else", await other.stays())

        one, _ = await pair()
        # Over all fragments, and what is announced is enough.
        await one.connection.send(["x" * (mebibyte // 2)] * 2 + ["y"])
        end, _ = await one.end()
        check("sizes: too large in fragments: 1009", end and end[0] == 1009, end)

        one, last = await pair()
        # The package ends a fragmented message by an empty one.
        await one.connection.send(["z"] * 1023)
        heard = [await other.receive_raw(), await last.receive_raw()]
        check("sizes: 1,024 fragments pass", heard == ["z" * 1023] * 2, [len(message) for message in heard])
        await one.connection.send(["z"] * 1024)
        end, _ = await one.end()
        check("sizes: 1,025 fragments: 1008", end == (1008, "policy_violation"), end)
        one, _ = await pair()
        await one.connection.send([b""] * 200)
        end, _ = await one.end()
        check("sizes: 200 empty fragments: 1008", end == (1008, "policy_violation"), end)

        client = await welcomed(gate, "v1")
        await client.connection.send("x" * (mebibyte + 1))
        end, last = await client.end()
        seen = (end and end[0], last and (last["type"], last["code"]))
        check("sizes: portcullis.v1 is told: closing, 1009", seen == (1009, ("closing", 1009)), (end, last))
        client = await welcomed(gate, "v1")
        await client.connection.send(b"bytes")
        end, _ = await client.end()
        check("sizes: bytes in portcullis.v1: 1003", end and end[0] == 1003, end)


# Caps


async def settle(tries):
    """Ends of handshakes: [(status, code or client)]."""

    async def one(attempt):
        try:
            return await attempt
        except (OSError, EOFError, asyncio.TimeoutError, websockets.WebSocketException) as error:
            return type(error).__name__, str(error)

    return await asyncio.gather(*(one(attempt) for attempt in tries))


async def caps(folder, redis):
    most, many = 7, 200
    pair = Pair(folder, redis, f"limits:\n  connections_per_user: {most}\n")
    with running(pair.a, pair.b):
        key = "portcullis:user:alice"
        for round in range(3):
            token = pair.a.sign("alice")
            seen = await settle(outcome((pair.a, pair.b)[n % 2], token=token) for n in range(many))
            admitted = [client for status, client in seen if status == 101]
            refused = [code for status, code in seen if status == 429]
            counts = (len(admitted), len(refused))
            what = f"cap of a user, {many} handshakes at once at two gates ({round + 1}): exactly {most} are admitted"
            check(what, counts == (most, many - most), (counts, [end for end in seen if end[0] not in (101, 429)][:3]))
            if round == 0:
                check("cap of a user: 429 too_many_connections", set(refused) <= {"too_many_connections", None}, set(refused))
                status, other = await outcome(pair.b, token=pair.b.sign("bob"))
                check("cap of a user: another user is admitted", status == 101, status)
                await other.close()
            stays = await asyncio.gather(*(client.stays() for client in admitted))
            check("cap of a user: and they stay", all(stays), stays)
            await asyncio.gather(*(client.close() for client in admitted))
            until(lambda: redis.do("ZCARD", key) == "0", "the places are free")
        check("cap of a user: all places come back", True)
    replace = f"limits:\n  connections_per_user: {most}\n  per_user_policy: replace\n"
    pair = Pair(folder, redis, replace)
    with running(pair.a, pair.b):
        for round in range(3):
            token = pair.a.sign("alice")
            seen = await settle(outcome((pair.a, pair.b)[n % 2], token=token) for n in range(many))
            clients = [client for status, client in seen if status == 101]
            # Who was replaced before it was through.
            early = [end for end in seen if end[0] != 101]
            ends = [asyncio.create_task(client.end()) for client in clients]
            deadline = time.monotonic() + PATIENCE
            while sum(task.done() for task in ends) < len(ends) - most and time.monotonic() < deadline:
                await asyncio.sleep(0.05)
            # And nobody else goes.
            _, pending = await asyncio.wait(ends, timeout=2, return_when=asyncio.ALL_COMPLETED)
            ended = [task.result() for task in ends if task.done()]
            for task in pending:
                task.cancel()
            what = f"replace, {many} handshakes at once at two gates ({round + 1}): exactly {most} remain"
            check(what, len(pending) == most, (len(pending), len(ended), len(early), early[:2]))
            wrong = [end for end in ended if end[0] != (4409, "replaced") or end[1]["reconnect"] != "never"]
            check("replace: the others are closed with 4409, and told never", not wrong, wrong[:2])
            check("replace: or refused before they were through", all(end[0] == 403 for end in early), early[:2])
            listed = pair.a.run("connections", "--user", "alice", "--json").stdout.splitlines()
            check("replace: which portcullis connections says too", len(listed) == most, len(listed))
            remain = [client for client, task in zip(clients, ends) if task in pending]
            await asyncio.gather(*pending, return_exceptions=True)
            stays = await asyncio.gather(*(client.stays() for client in remain))
            check("replace: and these stay", all(stays), stays)
            if round == 2:
                # In order: the oldest first.
                token = pair.a.sign("carl")
                line = [await open_client((pair.a, pair.b)[n % 2], token=token) for n in range(most)]
                for client in line:
                    await client.receive("welcome")
                newest = await open_client(pair.b, token=token)
                await newest.receive("welcome")
                end, _ = await line[0].end()
                stays = [await client.stays() for client in (*line[1:], newest)]
                check("replace: it is the oldest", (end, all(stays)) == ((4409, "replaced"), True), (end, stays))
            await asyncio.gather(*(client.close() for client in remain))
            until(lambda: redis.do("ZCARD", key) == "0", "the places are free")
        pair.a.stop(9)
    # A gate that was killed frees its users' places after two leases.
    quick = f"guarantee:\n  lease: 3s\nlimits:\n  connections_per_user: {most}\n"
    pair = Pair(folder, redis, quick)
    with running(pair.a, pair.b):
        token = pair.a.sign("dora")
        clients = [await open_client(pair.a, token=token) for _ in range(most)]
        status, _ = await outcome(pair.b, token=token)
        check("cap of a user: full at the other gate too", status == 429, status)
        pair.a.stop(9)
        until(lambda: knock(pair.b, token=token)[0] == 101, "the places of a killed gate are free")
        check("cap of a user: a killed gate's places come back", True)
        for client in clients:
            await client.close()


async def capacity(folder, redis):
    most = 5
    gate = SecretGate(folder, redis, SECRET, f"loops: 1\nlimits:\n  connections: {most}\n")
    with running(gate):
        clients = [await welcomed(gate, f"user-{n}") for n in range(most)]
        waiting = [asyncio.create_task(outcome(gate, token=gate.sign("late"))) for _ in range(3)]
        stays = [await client.stays() for client in clients]
        check("connections of a gate: those who are in are unharmed", all(stays), stays)
        # They are let in as others go, each at once or not at all (503, where a loop had taken it).
        done, _ = await asyncio.wait(waiting, timeout=0.5)
        early = [task.result()[0] for task in done]
        check("connections of a gate: nobody else is admitted", 101 not in early, early)
        until(lambda: "limits.connections" in read(gate.log), "the gate says that it is full")
        check("connections of a gate: it says that it is full", True)
        ready = gate.ready()
        check("connections of a gate: and stays ready, with its admin listener", ready[0] == 200, ready)
        for client in clients:
            await client.close()
        ends = await asyncio.wait_for(asyncio.gather(*waiting), PATIENCE)
        seen = [status for status, _ in ends]
        check("connections of a gate: who waited is admitted when others go", set(seen) <= {101, 503} and 101 in seen, seen)
        for status, client in ends:
            if status == 101:
                await client.close()
        client = await welcomed(gate, "next")
        check("connections of a gate: it has recovered", await client.stays())
        await client.close()


async def descriptors(folder, redis):
    """Clients hold every descriptor that the process may have, and more of them wait: the links to Redis come back all the same."""
    gate = SecretGate(folder, redis, SECRET, "loops: 1\nguarantee:\n  lease: 3s\n")
    with running(gate):
        pid = gate.process.pid
        before = await welcomed(gate, "before")
        held = len(os.listdir(f"/proc/{pid}/fd"))
        soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (held + 4, hard))
        waiting = [asyncio.create_task(outcome(gate, token=gate.sign("late"))) for _ in range(16)]
        await asyncio.wait(waiting, timeout=0.5)
        until(lambda: "accept" in read(gate.log), "the gate says that it can accept nobody")
        for kind in ("pubsub", "normal"):
            redis.do("CLIENT", "KILL", "TYPE", kind)
        until(lambda: redis.do("PUBLISH", "portcullis:events", "{}") == "1", "the gate listens to Redis again")
        gate.decide("notify", "--user", "before", "--data", "1")
        seen = (await before.receive())["type"]
        check("no descriptor is left: the links to Redis come back all the same", seen == "notice", seen)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, hard))
        ends = await asyncio.wait_for(asyncio.gather(*waiting), PATIENCE)
        seen = collections.Counter(status for status, _ in ends)
        check("no descriptor is left: who waited is admitted when there are some", seen[101] > 0, seen)
        for client in [before, *(client for status, client in ends if status == 101)]:
            await client.close()


# Proxies


def addresses(gate, user):
    rows = [json.loads(line) for line in gate.run("connections", "--user", user, "--json").stdout.splitlines()]
    return sorted(row.get("ip") for row in rows)


async def forwarded(folder, redis):
    settings = """
        proxy:
          trusted: [127.0.0.2, 10.0.0.0/8]
        limits:
          throttle_private: true
          failures_per_minute: 4
    """
    with running(SecretGate(folder, redis, SECRET, settings)) as gate:

        async def behind(user, *lines, peer="127.0.0.2"):
            """As `outcome`, through a proxy at an address."""
            headers = [("X-Forwarded-For", line) for line in lines]
            return await outcome(gate, token=gate.sign(user), headers=headers, local_addr=(peer, 0))

        for number, (what, lines, peer, wanted) in enumerate((
            ("the client's address", ["198.51.100.4"], "127.0.0.2", "198.51.100.4"),
            ("what the client wrote itself is passed over", ["1.2.3.4, 198.51.100.4"], "127.0.0.2", "198.51.100.4"),
            ("a chain of trusted proxies", ["198.51.100.4, 10.1.2.3"], "127.0.0.2", "198.51.100.4"),
            ("two lines", ["198.51.100.4", "10.1.2.3"], "127.0.0.2", "198.51.100.4"),
            ("IPv6", ["2001:db8::1"], "127.0.0.2", "2001:db8::1"),
            ("a port", ["[2001:db8::1]:4711"], "127.0.0.2", "2001:db8::1"),
            ("nonsense", ["somebody"], "127.0.0.2", "127.0.0.2"),
            ("none", [], "127.0.0.2", "127.0.0.2"),
            ("a peer that is not trusted", ["198.51.100.4"], "127.0.0.1", "127.0.0.1"),
            ("a peer that claims a trusted one", ["198.51.100.4, 127.0.0.2"], "127.0.0.1", "127.0.0.1"),
        )):  # fmt: skip
            _, client = await behind(f"fw-{number}", *lines, peer=peer)
            await client.receive("welcome")
            seen = addresses(gate, f"fw-{number}")
            check(f"X-Forwarded-For, {what}: {wanted}", seen == [wanted], seen)
            await client.close()

        gate.decide("block", "--ip", "203.0.113.0/24")
        for peer, line, wanted in (
            ("127.0.0.2", "203.0.113.9", 403), ("127.0.0.2", "203.0.114.9", 101), ("127.0.0.1", "203.0.113.9", 101),
        ):  # fmt: skip
            status, client = await behind("blocked", line, peer=peer)
            if status == 101:
                await client.close()
            check(f"X-Forwarded-For: {line} of {peer} against a block of its network: {wanted}", status == wanted, status)

        def fail(line):
            """The status of a bad token from the proxy."""
            with socket.create_connection(tuple_of(gate.address), timeout=PATIENCE, source_address=("127.0.0.2", 0)) as peer:
                head = ["GET /ws HTTP/1.1", f"Host: {gate.address}", "Connection: Upgrade", "Upgrade: websocket",
                        "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
                        f"X-Forwarded-For: {line}", "Authorization: Bearer x.y.z", "", ""]  # fmt: skip
                peer.sendall("\r\n".join(head).encode())
                return int(peer.recv(4096).split()[1])

        seen = [fail("192.0.2.1") for _ in range(6)] + [fail("192.0.2.2")]
        check("X-Forwarded-For: failures count for the client, not for its proxy", seen == [401] * 4 + [429] * 2 + [401], seen)


def tuple_of(address):
    host, _, port = address.rpartition(":")
    return host, int(port)


def proxy_header(source, command=0x21, family=0x11, values=b""):
    """The header of the PROXY protocol, version 2 (proxy-protocol.txt, section 2.2)."""
    if family == 0x21:
        addresses = socket.inet_pton(socket.AF_INET6, source) + socket.inet_pton(socket.AF_INET6, "::1")
    else:
        addresses = socket.inet_aton(source) + socket.inet_aton("127.0.0.1")
    rest = addresses + struct.pack(">HH", 4711, 80) + values
    return b"\r\n\r\n\x00\r\nQUIT\n" + bytes([command, family]) + struct.pack(">H", len(rest)) + rest


async def proxied(folder, redis):
    settings = "proxy:\n  trusted: [127.0.0.2]\n  protocol: v2\n"
    with running(SecretGate(folder, redis, SECRET, settings)) as gate:

        async def through(user, header, peer="127.0.0.2", cut=None, **headers):
            stream = socket.create_connection(tuple_of(gate.address), timeout=PATIENCE, source_address=(peer, 0))
            stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                for part in [header] if cut is None else [header[at : at + cut] for at in range(0, len(header), cut)]:
                    stream.sendall(part)
                    if cut is not None:
                        await asyncio.sleep(0.002)
                stream.setblocking(False)
                client = await open_client(gate, token=gate.sign(user), sock=stream, headers=headers)
                await client.receive("welcome")
                return client
            except Exception:
                stream.close()
                raise

        values = b"\x04\x00\x40" + b"\x00" * 64
        for number, (what, header, how, wanted) in enumerate((
            ("an address of IPv4", proxy_header("198.51.100.4"), {}, "198.51.100.4"),
            ("an address of IPv6", proxy_header("2001:db8::7", family=0x21), {}, "2001:db8::7"),
            ("with type-length-values", proxy_header("198.51.100.4", values=values), {}, "198.51.100.4"),
            ("byte by byte", proxy_header("198.51.100.4", values=values), {"cut": 1}, "198.51.100.4"),
            ("LOCAL", proxy_header("198.51.100.4", command=0x20), {}, "127.0.0.2"),
            ("and X-Forwarded-For of that client", proxy_header("198.51.100.4"), {"X-Forwarded-For": "1.2.3.4"}, "198.51.100.4"),
            ("a peer that is not trusted, without it", b"", {"peer": "127.0.0.1"}, "127.0.0.1"),
        )):  # fmt: skip
            client = await through(f"px-{number}", header, **how)
            seen = addresses(gate, f"px-{number}")
            check(f"PROXY v2, {what}: {wanted}", seen == [wanted], seen)
            await client.close()
        good = proxy_header("198.51.100.4")
        for what, header, peer in (
            ("a trusted peer without it", b"", "127.0.0.2"), ("version 1", b"PROXY TCP4 1.2.3.4 1.1.1.1 1 2\r\n", "127.0.0.2"),
            ("another version", good[:12] + b"\x11" + good[13:], "127.0.0.2"), ("UDP", proxy_header("1.2.3.4", family=0x12), "127.0.0.2"),
            ("too short", good[:14] + b"\x00\x04" + good[16:20], "127.0.0.2"), ("a peer that is not trusted", good, "127.0.0.1"),
        ):  # fmt: skip
            try:
                client = await through("wrong", header, peer=peer)
                await client.close()
                seen = "admitted"
            except (websockets.WebSocketException, OSError, EOFError) as error:
                seen = type(error).__name__
            check(f"PROXY v2, {what}: refused", seen != "admitted", seen)
        client = await through("last", good)
        check("PROXY v2: and the gate serves on", addresses(gate, "last") == ["198.51.100.4"])
        await client.close()


async def limits(folder):
    redis = Redis(folder)
    try:
        redis.start()
        for part in (rates, sizes, caps, capacity, descriptors, forwarded, proxied):
            home = os.path.join(folder, part.__name__)
            os.mkdir(home, 0o700)
            await section(part(home, redis))
    finally:
        redis.kill()
