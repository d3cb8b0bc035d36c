"""Live connections, on one gate and on two on one Redis: rooms, roles that change, newer tokens, new sign-ins."""

import asyncio
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import uuid

from outside_kit import HERE, Pair, Redis, check, is_refused, open_client, outcome, running, section, until, write

README = os.path.join(HERE, "..", "..", "README.md")


def roles(**named):
    """doc_1="editor": {"doc:1": "editor"}."""
    return {name.replace("_", ":"): role for name, role in named.items()}


async def welcomed(gate, user, path="/ws", subprotocols=("portcullis.v1",), **claims):
    """A connection that is through, by a token of these claims."""
    client = await open_client(gate, path, token=gate.sign(user, **claims), subprotocols=subprotocols)
    if subprotocols:
        client.welcome = await client.receive("welcome")
    return client


async def joined(client, resource, ref="j"):
    await client.say(type="join", resource=resource, ref=ref)
    return await client.receive("joined")


async def closed(*clients):
    await asyncio.gather(*(client.close() for client in clients))


# Rooms


async def rooms(pair):
    for what, (one, two) in {"one gate": (pair.a, pair.a), "two gates": (pair.a, pair.b)}.items():
        mine = roles(doc_1="editor", doc_2="viewer")
        alice, bob = await welcomed(one, "alice", permissions=mine), await welcomed(two, "bob", permissions=mine)
        raw = await welcomed(two, "rita", "/ws/doc:1", subprotocols=(), permissions=mine)
        answer = await joined(alice, "doc:1", 7)
        wanted = {"type": "joined", "resource": "doc:1", "role": "editor", "ref": 7}
        check(f"{what}: join is answered with the role and the ref", answer == wanted, answer)
        await joined(bob, "doc:1")
        await alice.say(type="publish", resource="doc:1", data={"ä": [1, None]}, ref="p")
        heard = await bob.receive()
        told = {"type": "message", "resource": "doc:1", "user": "alice", "connection": alice.welcome["connection"]}
        check(f"{what}: the other member hears it", heard == {**told, "data": {"ä": [1, None]}}, heard)
        text = json.loads(await raw.receive_raw())
        check(f"{what}: a raw member hears it as JSON", text == {"ä": [1, None]}, text)
        await raw.connection.send("plain")
        await raw.connection.send(b"\x00\xff")
        heard = [await alice.receive(), await alice.receive()]
        seen = [(message["user"], message.get("data"), message.get("b64")) for message in heard]
        wanted = [("rita", "plain", None), ("rita", None, "AP8=")]
        check(f"{what}: text and bytes of a raw member, and to the sender nothing of its own", seen == wanted, heard)
        await joined(alice, "doc:2")
        await alice.say(type="publish", resource="doc:2", data=1, ref="v")
        error = await alice.receive()
        check(f"{what}: a viewer may not publish", (error["code"], error["ref"]) == ("forbidden", "v"), error)
        await alice.say(type="join", resource="doc:3", ref="n")
        error = await alice.receive()
        check(f"{what}: nor join without a role", (error["code"], error["ref"]) == ("forbidden", "n"), error)
        await bob.receive("message")
        await bob.receive("message")
        await bob.say(type="leave", resource="doc:1", ref=2)
        left = await bob.receive()
        check(f"{what}: leave is answered", left == {"type": "left", "resource": "doc:1", "ref": 2}, left)
        await alice.say(type="publish", resource="doc:1", data="unheard")
        heard = json.loads(await raw.receive_raw())
        await bob.say(type="publish", resource="doc:1", data=1, ref="x")
        error = await bob.receive()
        seen = (heard, error["type"], error["code"])
        check(f"{what}: who has left hears nothing and says nothing", seen == ("unheard", "error", "not_a_member"), seen)
        await bob.say(type="leave", resource="doc:1", ref="y")
        error = await bob.receive()
        check(f"{what}: nor can it leave again", (error["code"], error["ref"]) == ("not_a_member", "y"), error)
        await joined(bob, "doc:1")
        for number in range(500):
            await alice.say(type="publish", resource="doc:1", data=number)
        heard = [(await bob.receive("message"))["data"] for _ in range(500)]
        check(f"{what}: 500 messages in their order, none lost", heard == list(range(500)), heard)
        await closed(alice, bob, raw)


async def backends(pair):
    """redis-cli on the room's channel."""
    mine = roles(doc_7="editor")
    bob = await welcomed(pair.a, "bob", "/ws/doc:7", permissions=mine)
    raw = await welcomed(pair.b, "rita", "/ws/doc:7", subprotocols=(), permissions=mine)
    channel = "portcullis:room:doc:7"
    with subprocess.Popen(
        ["redis-cli", "-s", pair.redis.socket, "SUBSCRIBE", channel], stdout=subprocess.PIPE, text=True, bufsize=1
    ) as listener:
        try:
            for _ in range(3):
                listener.stdout.readline()
            pair.redis.do("PUBLISH", channel, json.dumps({"v": 1, "user": "billing", "data": {"paid": True}}))
            heard, text = await bob.receive(), json.loads(await raw.receive_raw())
            wanted = {"type": "message", "resource": "doc:7", "user": "billing", "data": {"paid": True}}
            check("redis-cli into a room: portcullis.v1 and raw members hear it", (heard, text) == (wanted, {"paid": True}), heard)
            pair.redis.do("PUBLISH", channel, json.dumps({"v": 1, "user": "billing", "text": "plain"}))
            pair.redis.do("PUBLISH", channel, json.dumps({"v": 1, "user": "billing", "b64": "AP8="}))
            seen = [(await bob.receive())["data"], (await bob.receive())["b64"], await raw.receive_raw(), await raw.receive_raw()]
            check("redis-cli into a room: text and b64", seen == ["plain", "AP8=", "plain", b"\x00\xff"], seen)
            for nonsense in (
                "", "x", "[]", "{}", '{"v":1}', '{"v":1,"user":"u"}', '{"v":2,"user":"u","data":1}', '{"v":1,"data":1}',
                '{"v":1,"user":"u","data":1,"text":"x"}', '{"v":1,"user":7,"data":1}', '{"v":1,"user":"u","b64":"?"}',
                '{"v":1,"user":"u","data":1,"at":"9999999999999-0"}', '{"v":1,"user":"u","data":1', '{"v":1,"kind":"new"}',
                json.dumps({"v": 1, "user": "u", "text": "a" * 1_100_000}),
            ):  # fmt: skip
                words = ["redis-cli", "-s", pair.redis.socket, "-x", "PUBLISH", channel]
                subprocess.run(words, input=nonsense.encode(), capture_output=True)
            pair.redis.do("PUBLISH", channel, json.dumps({"v": 1, "user": "u", "data": "fence"}))
            heard = await bob.receive()
            check("redis-cli into a room: nonsense goes nowhere", heard.get("data") == "fence", heard)
            await bob.say(type="publish", data={"said": "ä"})
            line = ""
            while '"said"' not in line:
                line = await asyncio.to_thread(listener.stdout.readline)
            message = json.loads(line)
            seen = (message["v"], message["user"], message["data"], message["node"], "kind" in message)
            check("redis-cli hears a room", seen == (1, "bob", {"said": "ä"}, pair.a.node, False), message)
        finally:
            listener.send_signal(signal.SIGTERM)
    await closed(bob, raw)


def examples(language, start):
    """The README's blocks of a language that stand behind a headline."""
    with open(README) as file:
        _, _, text = file.read().partition(f"\n{start}\n")
    return re.findall(rf"```{language}\n(.*?)```", text.partition("\n## ")[0], re.DOTALL)


async def backend_examples(pair):
    """As the README prints them, but for the place of Redis."""
    [python], [script] = examples("python", "## Rooms"), examples("js", "## Rooms")
    folder = os.path.join(pair.folder, "examples")
    os.mkdir(folder)
    programs = {}
    has_redis = subprocess.run([sys.executable, "-c", "import redis"], capture_output=True).returncode == 0
    if has_redis and "redis.Redis(decode_responses=True)" in python:
        text = python.replace("redis.Redis(", f"redis.Redis(unix_socket_path={pair.redis.socket!r}, ")
        programs["redis-py"] = [sys.executable, "-u", write(os.path.join(folder, "backend.py"), text)]
    else:
        print("skipped the README's Python backend: there is no package redis here", flush=True)
    # Of Debian (node-redis), or of npm.
    modules = [path for path in ("/usr/share/nodejs", "/usr/lib/node_modules") if os.path.isdir(os.path.join(path, "redis"))]
    if shutil.which("node") and modules:
        os.mkdir(os.path.join(folder, "node_modules"))
        os.symlink(os.path.join(modules[0], "redis"), os.path.join(folder, "node_modules", "redis"))
        text = script.replace("createClient()", f"createClient({{ socket: {{ path: {json.dumps(pair.redis.socket)} }} }})")
        programs["node-redis"] = ["node", write(os.path.join(folder, "backend.mjs"), text)]
    else:
        print("skipped the README's JavaScript backend: there is no node with the package redis here", flush=True)
    for name, words in programs.items():
        bob = await welcomed(pair.b, "bob", "/ws/doc:42", permissions=roles(doc_42="editor"))
        backend = await asyncio.create_subprocess_exec(
            *words, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env={**os.environ, "NODE_PATH": ":".join(modules)}
        )
        try:
            heard = await bob.receive()
            seen = (heard.get("user"), heard.get("data"))
            check(f"README, rooms, {name}: what it publishes is heard", seen == ("billing", {"paid": True}), heard)
            # It subscribes behind its publish.
            channel = "portcullis:room:doc:42"
            until(lambda: pair.redis.do("PUBSUB", "NUMSUB", channel).split()[-1] == "2", "the backend listens")
            await bob.say(type="publish", data={"text": "hello"})
            line = (await asyncio.wait_for(backend.stdout.readline(), 10)).decode()
            check(f"README, rooms, {name}: it hears what is said", "bob" in line and "hello" in line, line)
        finally:
            with contextlib.suppress(ProcessLookupError):
                backend.terminate()
            _, errors = await backend.communicate()
            if errors and b"KeyboardInterrupt" not in errors:
                check(f"README, rooms, {name}: no errors", False, errors.decode()[-400:])
        await bob.close()


# Roles that change


PERMIT_ROUNDS = 60


def appended(pair, event):
    """The words of the append script (README, Publishing from a backend)."""
    id = event["event"]
    keys = ["log", "order", "seen:" + id, "standing", "epoch"]
    if event["type"] == "permit":
        keys.append("perm:" + event["user"])
    keys = ["portcullis:" + key for key in keys]
    hour = 3_600_000
    rest = [json.dumps(event), id, "", 25 * hour, 30 * 24 * hour, "portcullis:events", 24 * hour, uuid.uuid4().hex]
    return ["EVAL", pair.script, len(keys), *keys, *rest]


def permit(user, resource, role, **more):
    return {"v": 1, "event": str(uuid.uuid4()), "type": "permit", "user": user, "resource": resource, "role": role, **more}


async def fence(pair, user, number):
    """A notice behind all that went before."""
    event = {"v": 1, "type": "notify", "select": {"user": user}, "data": {"fence": number}}
    await pair.pipeline([["PUBLISH", "portcullis:events", json.dumps(event)]])


async def transcript(client, fence):
    """All messages up to a notice that says `fence`, or to the end."""
    seen = []
    with contextlib.suppress(Exception):
        while True:
            message = await client.receive()
            if message == {"type": "notice", "data": fence}:
                break
            seen.append(message)
    return seen


def told(messages):
    """In short: [("permission", None), ("left", None), ("message", 1)]."""
    short = []
    for message in messages:
        kind = message["type"]
        value = {"permission": "to", "message": "data", "closing": "code"}.get(kind)
        short.append((kind, message.get(value)))
    return short


def is_cut(seen, end):
    """What was said before may be cut off with the role: a decision overtakes messages. Nothing comes after it."""
    return seen[-2:] == [("permission", None), end] and seen[:-2] in ([], [("message", "before")])


async def permits(pair):
    """A role is taken away between two messages, all in one write to Redis: who lost the role does not hear the second."""
    wrong = {}
    ways = {
        "appended": lambda event: appended(pair, event),
        "published": lambda event: ["PUBLISH", "portcullis:events", json.dumps(event)],
    }
    for way, command in ways.items():
        for number in range(PERMIT_ROUNDS):
            resource, user = f"race:{way}:{number}", f"mallory-{way}-{number}"
            editor = {resource: "editor"}
            gates = (pair.a, pair.b)
            bound = await welcomed(gates[number % 2], user, f"/ws/{resource}", permissions=editor)
            member = await welcomed(gates[(number + 1) % 2], user, permissions=editor)
            await joined(member, resource)
            say = ["PUBLISH", f"portcullis:room:{resource}"]
            before = [*say, json.dumps({"v": 1, "user": "u", "data": "before"})]
            after = [*say, json.dumps({"v": 1, "user": "u", "data": "after"})]
            await pair.pipeline([before, command(permit(user, resource, None)), after])
            if way == "published":
                # The end of the adoption.
                until(lambda: pair.redis.do("HGET", f"portcullis:perm:{user}", resource) != "", "the permit is adopted")
            await fence(pair, user, number)
            seen = told(await transcript(bound, {"fence": number}))
            if not is_cut(seen, ("closing", 4403)):
                wrong.setdefault(f"{way}: bound", []).append((number, seen))
            seen = told(await transcript(member, {"fence": number}))
            if not is_cut(seen, ("left", None)):
                wrong.setdefault(f"{way}: joined", []).append((number, seen))
            await closed(bound, member)
        for kind in ("bound", "joined"):
            found = wrong.get(f"{way}: {kind}", [])
            what = f"a permit of null that is {way} between two messages, {PERMIT_ROUNDS} times, {kind}: the second is not heard"
            check(what, not found, f"{len(found)} times, as {found[:2]}")


async def members_permits(pair):
    """The same, said by a member once the decision is out: on the same gate, and on the other."""
    ways = {
        "appended": lambda event: appended(pair, event),
        "published": lambda event: ["PUBLISH", "portcullis:events", json.dumps(event)],
    }
    for way, command in ways.items():
        for where, gate in (("same", pair.a), ("other", pair.b)):
            wrong = []
            for number in range(PERMIT_ROUNDS):
                resource, user = f"said:{way}:{where}:{number}", f"oscar-{way}-{where}-{number}"
                editor = {resource: "editor"}
                alice = await welcomed(pair.a, "alice", f"/ws/{resource}", permissions=editor)
                oscar = await welcomed(gate, user, permissions=editor)
                await joined(oscar, resource)
                await alice.say(type="publish", data="before")
                first = await oscar.receive()
                await pair.pipeline([command(permit(user, resource, None))])
                await alice.say(type="publish", data="after")
                seen = told([first, await oscar.receive(), await oscar.receive()])
                await fence(pair, user, number)
                seen += told(await transcript(oscar, {"fence": number}))
                if not is_cut(seen, ("left", None)):
                    wrong.append((number, seen))
                await closed(alice, oscar)
            what = f"a member speaks once a permit of null is {way}, {PERMIT_ROUNDS} times: a former member on the {where} gate hears nothing"
            check(what, not wrong, f"{len(wrong)} times, as {wrong[:2]}")


async def joins_and_permits(pair):
    """Who joins, or connects to, a resource while the role is taken away is not in there once that has happened."""
    ways = {
        "appended": lambda event: appended(pair, event),
        "published": lambda event: ["PUBLISH", "portcullis:events", json.dumps(event)],
    }
    for way, command in ways.items():
        wrong, ends = [], set()
        for number in range(PERMIT_ROUNDS):
            resource, user = f"join:{way}:{number}", f"nina-{way}-{number}"
            editor = {resource: "editor"}
            one, two = (pair.a, pair.b)[:: 1 if number % 2 else -1]
            began = time.monotonic()
            alice = await welcomed(two, "alice", f"/ws/{resource}", permissions=editor)
            took = time.monotonic() - began
            nina = await welcomed(one, user, permissions=editor)
            token = two.sign(user, permissions=editor)

            async def permit_now():
                # Anywhere in the course of the others.
                await asyncio.sleep(number % 12 / 8 * took)
                await pair.pipeline([command(permit(user, resource, None))])

            async def connect():
                return await outcome(two, path=f"/ws/{resource}", token=token)

            (status, bound), _, _ = await asyncio.gather(
                connect(), nina.say(type="join", resource=resource, ref=number), permit_now()
            )
            until(lambda: pair.redis.do("HGET", f"portcullis:perm:{user}", resource) != "", "the permit is stored")
            await pair.pipeline([["PUBLISH", f"portcullis:room:{resource}", json.dumps({"v": 1, "user": "u", "data": "secret"})]])
            await alice.receive("message")
            await fence(pair, user, number)
            for client in [nina] + [bound] * (status == 101):
                seen = told(await transcript(client, {"fence": number}))
                ends.add(tuple(kind for kind, _ in seen))
                if any(kind == "message" for kind, _ in seen):
                    wrong.append((number, seen))
            await closed(alice, nina, *[bound] * (status == 101))
        what = f"a permit of null that is {way} while its user joins and connects, {PERMIT_ROUNDS} times: nothing is heard behind it"
        check(what, not wrong, f"{len(wrong)} times, as {wrong[:2]}")
        # Else nothing was tried.
        check(f"{way}: some were let in before, and some were not", len(ends) > 1, ends)


async def versions(pair):
    """What is older comes to nothing, however it comes."""
    resource, user = "doc:v", "vera"
    vera = await welcomed(pair.a, user, f"/ws/{resource}", permissions={resource: "viewer"})
    other = await welcomed(pair.b, user, permissions={resource: "viewer"})
    await joined(other, resource)
    await pair.pipeline([appended(pair, permit(user, resource, "editor", version=5))])
    for client in (vera, other):
        message = await client.receive()
        seen = [message.get(name) for name in ("type", "from", "to", "version")]
        check("permit editor, version 5: told", seen == ["permission", "viewer", "editor", 5], message)
    old = permit(user, resource, None, version=4)
    same = permit(user, resource, "viewer", version=5)
    [answer] = await pair.pipeline([appended(pair, old)])
    check("permit null, version 4, appended late: stale", answer[2] == b"stale", answer)
    for event in (old, same, permit(user, resource, "viewer", version=1)):
        pair.a.publish(event)
    repeated = permit(user, resource, "owner", version=6)
    await pair.pipeline([appended(pair, repeated), appended(pair, permit(user, resource, "editor", version=7)), appended(pair, repeated)])
    pair.a.publish(repeated)
    pair.a.decide("notify", "--user", user, "--data", '{"fence":1}')
    for client in (vera, other):
        seen = [(message["type"], message.get("to"), message.get("version")) for message in await transcript(client, {"fence": 1})]
        wanted = [("permission", "owner", 6), ("permission", "editor", 7)]
        check("older versions and repetitions change nothing", seen == wanted, seen)
    await vera.say(type="publish", data="still an editor")
    heard = await other.receive()
    check("and the role is what the newest says", heard.get("data") == "still an editor", heard)
    stored = pair.redis.do("HGET", f"portcullis:perm:{user}", resource)
    check("as Redis has it", stored == "7:editor", stored)
    await closed(vera, other)

    # The effect stands behind the message that tells of it.
    paul = await welcomed(pair.b, "paul", "/ws/doc:e", permissions=roles(doc_e="editor"))
    alice = await welcomed(pair.a, "alice", "/ws/doc:e", permissions=roles(doc_e="editor"))
    stop = asyncio.Event()

    async def talk():
        while not stop.is_set():
            await paul.say(type="publish", data=1, ref="t")
            await asyncio.sleep(0.001)

    talking = asyncio.create_task(talk())
    try:
        await alice.receive("message")
        await pair.pipeline([appended(pair, permit("paul", "doc:e", "viewer"))])
        first = await paul.receive()
        error = await paul.receive()
        seen = [first["type"], error["type"], error.get("code")]
        check("permission comes before its first effect", seen == ["permission", "error", "forbidden"], seen)
    finally:
        stop.set()
        await talking
    await closed(paul, alice)


# Newer tokens


async def refreshes(pair):
    for what, gate in (("one gate", pair.a), ("the other gate", pair.b)):
        now = time.time()
        short = gate.sign("rose", life=16, jti=f"old-{gate.node}", permissions=roles(doc_1="editor", doc_9="viewer"))
        rose, idle = await open_client(gate, token=short), await open_client(gate, token=short)
        welcome = await rose.receive("welcome")
        expiring = await rose.receive()
        seen = (expiring["type"], expiring.get("expires_at") == welcome["expires_at"], 0 < expiring.get("in_s", 0) <= 16)
        check(f"refresh, {what}: expiring comes ahead", seen == ("expiring", True, True), expiring)
        await joined(rose, "doc:1")
        await joined(rose, "doc:9")

        async def refresh(token, client=None):
            await (client or rose).say(type="refresh", token=token, ref="r")
            return await (client or rose).receive()

        revoked = gate.sign("rose", jti=f"revoked-{gate.node}")
        gate.decide("revoke", "--token", f"revoked-{gate.node}")
        answer = await refresh(revoked)
        seen = (answer["type"], answer.get("code"), answer.get("ref"), answer.get("detail", "").partition(":")[0])
        check(f"refresh, {what}: a revoked token is refused", seen == ("error", "forbidden", "r", "revoked"), answer)
        for name, token in {
            "expired": gate.sign("rose", iat=int(now) - 100, exp=int(now) - 50),
            "bad_signature": short[:-4] + ("AAAA" if short[-4:] != "AAAA" else "BBBB"),
            "malformed_token": "x",
        }.items():
            answer = await refresh(token)
            check(f"refresh, {what}: {name} is refused", answer.get("detail", "").startswith(name), answer)
        fresh = gate.sign("rose", life=900, jti=f"new-{gate.node}", permissions=roles(doc_1="viewer", doc_2="owner"))
        await rose.say(type="refresh", token=fresh, ref="r")
        changes = {}
        while True:
            answer = await rose.receive()
            if answer["type"] not in ("permission", "left"):
                break
            changes.setdefault(answer["resource"], []).append((answer["type"], answer.get("from"), answer.get("to")))
        wanted = {
            "doc:1": [("permission", "editor", "viewer")],
            "doc:2": [("permission", None, "owner")],
            "doc:9": [("permission", "viewer", None), ("left", None, None)],
        }
        check(f"refresh, {what}: roles that change are told first", changes == wanted, changes)
        seen = (answer["type"], answer.get("ref"), answer.get("permissions"))
        check(f"refresh, {what}: refreshed", seen == ("refreshed", "r", roles(doc_1="viewer", doc_2="owner")), answer)
        later = answer.get("expires_at", 0) - welcome["expires_at"]
        check(f"refresh, {what}: and it ends later", later > 800, later)
        await rose.say(type="publish", resource="doc:1", data=1)
        error = await rose.receive()
        check(f"refresh, {what}: a viewer by now", error.get("code") == "forbidden", error)
        end, _ = await idle.end()
        check(f"refresh, {what}: who did not is closed at the end: 4401", end == (4401, "expired"), end)
        check(f"refresh, {what}: who did is not", await rose.stays())
        receipt = gate.decide("revoke", "--token", f"old-{gate.node}")
        seen = (receipt["matched"], await rose.stays())
        check(f"refresh, {what}: a revocation of the old token does not close", seen == (0, True), receipt)
        receipt = (pair.b if gate is pair.a else pair.a).decide("revoke", "--token", f"new-{gate.node}")
        end, _ = await rose.end()
        check(f"refresh, {what}: one of the new token does", end == (4410, "revoked"), (end, receipt))
        refused, seen = await is_refused(gate, 401, "revoked", token=fresh)
        check(f"refresh, {what}: and it opens no other connection", refused, seen)

        ruth = await welcomed(gate, "ruth")
        await ruth.say(type="refresh", token=gate.sign("mallory"), ref="r")
        end, last = await ruth.end()
        seen = (end, last and last["type"], last and last.get("reconnect"))
        check(f"refresh, {what}: another user's token: 4401", seen == ((4401, "expired"), "closing", "reauthenticate"), seen)

        # Bound: what the new token does not hold closes.
        bound = await welcomed(gate, "ruby", "/ws/doc:1", permissions=roles(doc_1="editor"))
        await bound.say(type="refresh", token=gate.sign("ruby"), ref="r")
        first = told([await bound.receive()])
        end, _ = await bound.end()
        seen = (first, end)
        wanted = ([("permission", None)], (4403, "permission_revoked"))
        check(f"refresh, {what}: a bound resource that is lost: told, 4403", seen == wanted, seen)


# New sign-ins


async def sign_ins(pair):
    long_ago = int(time.time()) - 600
    idle = [await welcomed(gate, "sid", auth_time=long_ago) for gate in (pair.a, pair.b)]
    prompt = [await welcomed(gate, "sid", auth_time=long_ago) for gate in (pair.a, pair.b)]
    raw = await welcomed(pair.b, "sid", subprotocols=())
    other = await welcomed(pair.b, "tom", auth_time=long_ago)
    began = time.time()
    receipt = pair.a.decide("reauthenticate", "--user", "sid", "--within", "12s", "--message", "Please.")
    seen = (receipt["matched"], receipt["closed"], receipt["silent"])
    check("reauthenticate: five are told, none is closed yet", seen == (5, 0, []), receipt)
    for client in idle + prompt:
        message = await client.receive()
        seen = (message["type"], message.get("reason"), 0 < message.get("deadline_s", -1) <= 12)
        check("reauthenticate: told with the deadline", seen == ("reauthenticate", "reauthentication_required", True), message)
    refused, seen = await is_refused(pair.b, 403, "reauthentication_required", token=pair.b.sign("sid", auth_time=long_ago))
    check("reauthenticate: an older sign-in opens nothing", refused, seen)
    for client, gate in zip(prompt, (pair.a, pair.b)):
        await client.say(type="refresh", token=gate.sign("sid", auth_time=long_ago), ref=1)
        answer = await client.receive()
        told = answer.get("detail", "").startswith("reauthentication_required")
        check("reauthenticate: a token of the old sign-in does not help", told, answer)
        await client.say(type="refresh", token=gate.sign("sid", auth_time=round(time.time(), 3)), ref=2)
        answer = await client.receive()
        check("reauthenticate: one of a new sign-in does", (answer["type"], answer.get("ref")) == ("refreshed", 2), answer)
    for client in idle:
        end, last = await client.end()
        seen = (end, last and last.get("detail"))
        check("reauthenticate: the others are closed at the deadline: 4401", seen == ((4401, "expired"), "Please."), seen)
    end, _ = await raw.end()
    check("reauthenticate: raw ones too", end == (4401, "expired"), end)
    late = time.time() - began
    check("reauthenticate: not before the deadline", late > 11.5, f"{late:.2f} s")
    stay = [await client.stays() for client in (*prompt, other)]
    check("reauthenticate: who has signed in anew stays, and so do other users", stay == [True] * 3, stay)
    await closed(*prompt, other)


async def live(folder):
    redis = Redis(folder)
    try:
        redis.start()
        pair = Pair(folder, redis, "")
        with running(pair.a, pair.b):
            for part in (rooms, backends, backend_examples, permits, members_permits, joins_and_permits, versions, refreshes, sign_ins):
                await section(part(pair))
            pair.stop()
    finally:
        redis.kill()
