"""Tokens, key sets, tickets and refusals as clients, services and issuers use them, against a real gate."""

import asyncio
import base64
import contextlib
import hashlib
import http.server
import json
import os
import threading
import time
import urllib.parse

import websockets
from outside_kit import (
    PATIENCE, ConfiguredGate, Redis, admitted, bearer, check, http_get, knock, open_client, read, refused, run, running,
    section, until, write,
)  # fmt: skip

REVOKED = (401, "revoked")


def sha256(text):
    return hashlib.sha256(text.encode()).hexdigest()


# Keys that other services share


async def shared_keys(folder, redis):
    both = "tokens:\n  mode: hybrid\n  shared_keys: true\n"
    with running(ConfiguredGate(folder, redis, both)) as gate:
        token = gate.token("alice", 'jti="j-1"')
        active = f"active_token:alice:{sha256(token)}"
        refused(gate, "hybrid: a token that is not active", REVOKED, token=token)
        redis.do("SET", active, "1", "EX", "20")
        admitted(gate, "hybrid: an active token", token=token)
        await asyncio.sleep(2)
        admitted(gate, "hybrid: and again", token=token)
        left = int(redis.do("PTTL", active))
        check("hybrid: its use renews it", left > 18_000, left)
        other = gate.token("mallory", 'jti="j-9"')
        redis.do("SET", f"active_token:alice:{sha256(other)}", "1", "EX", "60")
        refused(gate, "hybrid: active for another user", REVOKED, token=other)
        redis.do("EXPIRE", active, "600")

        client = await open_client(gate, token=token)
        redis.do("SET", "revoked:j-1", "1", "EX", "60")
        refused(gate, "shared keys: revoked:<jti>", REVOKED, token=token)
        redis.do("DEL", "revoked:j-1")
        redis.do("RPUSH", "revoked:j-1", "x")
        refused(gate, "shared keys: revoked:<jti> of any type", REVOKED, token=token)
        redis.do("DEL", "revoked:j-1")
        redis.do("SET", f"jwt_blacklist:{sha256(token)}", "1", "EX", "60")
        refused(gate, "shared keys: jwt_blacklist:<sha256>", REVOKED, token=token)
        redis.do("DEL", f"jwt_blacklist:{sha256(token)}")
        admitted(gate, "shared keys: none stands any more", token=token)

        def versioned(*claims):
            token = gate.token("alice", *claims)
            redis.do("SET", f"active_token:alice:{sha256(token)}", "1", "EX", "60")
            return token

        redis.do("SET", "token_version:alice", "5")
        refused(gate, "token_version: a token without one", REVOKED, token=token)
        refused(gate, "token_version: a lesser ver", REVOKED, token=versioned("ver=4"))
        admitted(gate, "token_version: the same ver", token=versioned("ver=5"))
        admitted(gate, "token_version: a greater version", token=versioned("version=6"))
        redis.do("SET", "token_version:alice", "five")
        refused(gate, "token_version: no number", (503, "store_unavailable"), token=versioned("ver=5"))
        redis.do("DEL", "token_version:alice")
        redis.do("RPUSH", "token_version:alice", "5")
        refused(gate, "token_version: a list", (503, "store_unavailable"), token=versioned("ver=5"))
        redis.do("DEL", "token_version:alice")
        admitted(gate, "token_version: none", token=token)

        receipt = gate.decide("revoke", "--token", "j-1")
        end, _ = await client.end()
        check("revoke --token closes it", (end, receipt["closed"]) == ((4410, "revoked"), 1), (end, receipt))
        life = int(redis.do("TTL", "revoked:j-1"))
        check("and writes revoked:<jti> with an end for the others", 0 < life <= 24 * 3600, life)
        hashed = versioned()
        gate.decide("revoke", "--token-hash", sha256(hashed))
        refused(gate, "revoke --token-hash", REVOKED, token=hashed)
        written = redis.do("EXISTS", f"jwt_blacklist:{sha256(hashed)}")
        check("and writes jwt_blacklist:<sha256>", written == "1", written)
    with running(ConfiguredGate(folder, redis, "node: plain\n")) as gate:
        token = gate.token("bob", 'jti="j-2"')
        redis.do("SET", "revoked:j-2", "1", "EX", "60")
        admitted(gate, "without tokens.shared_keys nobody asks", token=token)


# First message, query


FIRST = """
    tokens:
      sources: [header, first_message]
    limits:
      handshake: 3s
"""


async def first_message(folder, redis):
    with running(ConfiguredGate(folder, redis, FIRST)) as gate:
        token = gate.token("alice")

        async def first(message):
            client = await open_client(gate)
            await client.connection.send(message)
            return client

        client = await first(json.dumps({"type": "authenticate", "token": token}))
        welcome = await client.receive()
        check("first message: welcomed", (welcome["type"], welcome["user"]) == ("welcome", "alice"), welcome)
        await asyncio.sleep(3.2)
        check("first message: the deadline is over for it", await client.stays())
        await client.say(type="authenticate", token=token)
        answer = await client.receive()
        check("first message: a second one is an error", answer["type"] == "error", answer)
        gate.decide("revoke", "--user", "alice")
        end, _ = await client.end()
        check("first message: revoked like any other", end == (4410, "revoked"), end)
        client = await first(json.dumps({"type": "authenticate", "token": token}))
        end, _ = await client.end()
        check("first message: a revoked token: 4410 revoked", end == (4410, "revoked"), end)

        head, claims, mac = gate.token("bob").split(".")
        forged = f"{head}.{claims}.{'A' if mac[0] != 'A' else 'B'}{mac[1:]}"
        wrong = {
            "a forged token": (json.dumps({"type": "authenticate", "token": forged}), (4401, "bad_signature")),
            "no token": (json.dumps({"type": "authenticate"}), (4401, "missing_credential")),
            "an empty token": (json.dumps({"type": "authenticate", "token": ""}), (4401, "malformed_token")),
            "a token that is a number": (json.dumps({"type": "authenticate", "token": 7}), (4401, "missing_credential")),
            "publish first": (json.dumps({"type": "publish", "resource": "d", "data": 1}), (4401, "missing_credential")),
            "no JSON": ("hello", (4401, "missing_credential")),
            "binary": (json.dumps({"type": "authenticate", "token": token}).encode(), (4401, "missing_credential")),
        }
        for what, (message, wanted) in wrong.items():
            client = await first(message)
            end, last = await client.end()
            check(f"first message: {what}: {wanted[0]} {wanted[1]}", end == wanted, (end, last))
        client = await first(json.dumps({"type": "authenticate", "token": "a" * 100_000}))
        end, _ = await client.end()
        check("first message: 100 kB of token", end in [(4401, "malformed_token"), (1009, "message_too_big")], end)

        began = time.monotonic()
        client = await open_client(gate)
        end, last = await client.end()
        took = time.monotonic() - began
        check("first message: late: 4408 authentication_timeout", end == (4408, "authentication_timeout"), (end, last))
        check("first message: after limits.handshake", 2.9 < took < 10, f"{took:.1f} s")
        client = await open_client(gate)
        with contextlib.suppress(websockets.ConnectionClosed):
            for _ in range(60):
                await client.connection.ping()
                await asyncio.sleep(0.1)
        end, _ = await client.end()
        check("first message: pings do not prolong it", end == (4408, "authentication_timeout"), end)
        missing = (401, "missing_credential")
        refused(gate, "first message: not without portcullis.v1", missing)
        admitted(gate, "first message: the header still works", token=gate.token("bob"))
        check("first message: no token in the log", token not in read(gate.log) and forged not in read(gate.log))

        refused(gate, "the query is off by default", missing, path=f"/ws?access_token={gate.token('bob')}")


COOKIE = """
    tokens:
      sources: [header, cookie]
      cookie: jwt
    origins: ["https://*.example.com"]
"""


async def token_cookie(folder, redis):
    with running(ConfiguredGate(folder, redis, COOKIE)) as gate:
        token = gate.token("alice")
        admitted(gate, "a token as cookie", cookie=f"jwt={token}")
        foreign = (403, "origin_forbidden")
        for origin, wanted in (
            ("https://app.example.com", (101, None)), ("https://example.com", foreign), ("http://app.example.com", foreign),
            ("https://app.example.com.evil.example", foreign), ("https://evilexample.com", foreign), ("null", foreign),
        ):  # fmt: skip
            seen = knock(gate, Cookie=f"jwt={token}", Origin=origin)[:2]
            check(f"a token as cookie from {origin}: {wanted[0]}", seen == wanted, seen)
        seen = knock(gate, Cookie=f"jwt={token}")[:2]
        check("a token as cookie without an origin: 403", seen == foreign, seen)
        both = (400, "ambiguous_credential")
        refused(gate, "a token as cookie twice", both, cookie=f"jwt={token}; jwt={token}")
        refused(gate, "a token as cookie and a session", both, cookie=f"jwt={token}; session_id=x")
        client = await open_client(gate, token=gate.token("bob"), headers={"Cookie": f"jwt={token}"})
        welcome = await client.receive("welcome")
        check("a header beats the cookie", welcome["user"] == "bob", welcome)
        await client.close()


async def query(folder, redis):
    settings = "tokens:\n  sources: [header, query]\nlog:\n  level: trace\n"
    with running(ConfiguredGate(folder, redis, settings)) as gate:
        token = gate.token("alice")
        admitted(gate, "query: access_token", path=f"/ws?access_token={token}")
        escaped = "".join(f"%{byte:02x}" for byte in token.encode())
        admitted(gate, "query: every letter as an escape", path=f"/ws?x=1&access_token={escaped}")
        two = (400, "ambiguous_credential")
        refused(gate, "query: two tokens", two, path=f"/ws?access_token={token}&access_token={token}")
        refused(gate, "query: and a header", two, path=f"/ws?access_token={token}", token=token)
        refused(gate, "query: an empty token", (401, "malformed_token"), path="/ws?access_token=")
        seen = [knock(gate, f"/elsewhere?access_token={token}")[0], knock(gate, f"/ws?access_token={token}x")[0]]
        seen.append(http_get(gate.address, f"/ws?access_token={token}")[0])
        check("query: a wrong path, a wrong token, no upgrade", seen == [404, 401, 426], seen)
        log = read(gate.log)
        check("query: the log says something of each", log.count("refused") >= 5, log.count("refused"))
        secret = [part for part in (token, *token.split(".")[1:], escaped) if part in log]
        check("query: the token is not in the log at its most talkative", not secret, secret)


# Keys


def key(folder, name, kid=None, alg="ES256"):
    """A new key: (path of the private PEM, the public JWK, its kid)."""
    out = os.path.join(folder, f"key-{name}")
    done = run("keys", "generate", "--alg", alg, "--out", out)
    if done.returncode != 0:
        raise RuntimeError(done.stderr)
    jwk = json.loads(read(os.path.join(out, "public.jwks.json")))["keys"][0]
    if kid:
        jwk["kid"] = kid
    return os.path.join(out, "private.pem"), jwk, jwk["kid"]


def signed(user, private, kid, *claims):
    words = [word for claim in claims for word in ("--claim", claim)]
    done = run("token", "issue", "--user", user, "--key", private, "--kid", kid, *words)
    if done.returncode != 0:
        raise RuntimeError(done.stderr)
    return done.stdout.strip()


async def issuers(folder, redis):
    a, jwk_a, _ = key(folder, "a", "k1")
    b, jwk_b, _ = key(folder, "b", "k1", alg="EdDSA")
    sets = [write(os.path.join(folder, f"{name}.json"), json.dumps({"keys": [jwk]}), 0o644)
            for name, jwk in (("a", jwk_a), ("b", jwk_b))]  # fmt: skip
    settings = f"""
        tokens:
          issuers:
            one:
              issuer: https://a.example
              jwks: {sets[0]}
            two:
              issuer: https://b.example
              audience: chat
              jwks: {sets[1]}
              claims:
                user: uid
    """
    with running(ConfiguredGate(folder, redis, settings)) as gate:
        iss_a, iss_b, chat = 'iss="https://a.example"', 'iss="https://b.example"', 'aud="chat"'
        admitted(gate, "two issuers, one kid: the first's token", token=signed("alice", a, "k1", iss_a))
        token = signed("x", b, "k1", iss_b, chat, 'uid="bob"')
        client = await open_client(gate, token=token)
        welcome = await client.receive("welcome")
        check("two issuers, one kid: the second's, by its own claim", welcome["user"] == "bob", welcome)
        await client.close()
        cases = {
            "the first's key in the second's name": (signed("a", a, "k1", iss_b, chat, 'uid="a"'), None),
            "the second's key in the first's name": (signed("a", b, "k1", iss_a), None),
            "no issuer": (signed("a", a, "k1"), "missing_claim"),
            "an unknown issuer": (signed("a", a, "k1", 'iss="https://c.example"'), "wrong_issuer"),
            "an issuer with a slash more": (signed("a", a, "k1", 'iss="https://a.example/"'), "wrong_issuer"),
            "another kid": (signed("a", a, "k2", iss_a), "unknown_key"),
            "no audience": (signed("a", b, "k1", iss_b, 'uid="a"'), "missing_claim"),
            "another audience": (signed("a", b, "k1", iss_b, 'aud=["mail"]', 'uid="a"'), "wrong_audience"),
            "without the user's claim": (signed("a", b, "k1", iss_b, chat), "missing_claim"),
        }
        for what, (token, code) in cases.items():
            seen = knock(gate, token=token)[:2]
            wanted = ("bad_signature", "algorithm_forbidden", "unknown_key") if code is None else (code,)
            check(f"issuers: {what}: 401 {code or ''}".rstrip(), seen[0] == 401 and seen[1] in wanted, seen)


class KeyServer:
    """An issuer's key set at a URL, whose answer can be changed."""

    def __init__(self):
        self.answer, self.status, self.asked = b"{}", 200, 0
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                outer.asked += 1
                self.send_response(outer.status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(outer.answer)))
                self.end_headers()
                self.wfile.write(outer.answer)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def keys(self, *jwks):
        self.answer = json.dumps({"keys": list(jwks)}).encode()

    def stop(self):
        if self.server:
            self.server.shutdown()
            self.server.server_close()
            self.server = None


async def key_sets(folder, redis):
    first, jwk_first, kid_first = key(folder, "first")
    second, jwk_second, kid_second = key(folder, "second", alg="RS256")
    issuer = KeyServer()
    issuer.keys(jwk_first)
    settings = f"""
        tokens:
          jwks: http://user:hush@127.0.0.1:{issuer.port}/keys
        keys:
          refresh: 1h
          cooldown: 1s
          close_on_removal: true
    """
    try:
        gate = ConfiguredGate(folder, redis, settings)
        with running(gate):
            old = signed("alice", first, kid_first)
            new = signed("bob", second, kid_second)
            client = await open_client(gate, token=old)
            check("a key set by URL admits", await client.stays())
            strangers = [signed("eve", second, f"no-{n}") for n in range(12)]
            asked, began = issuer.asked, time.monotonic()
            codes = {knock(gate, token=stranger)[1] for stranger in strangers * 10}
            check("120 handshakes with unknown kids: 401 unknown_key", codes == {"unknown_key"}, codes)
            fetches, most = issuer.asked - asked, 2 + int(time.monotonic() - began)
            check("and no more fetches than keys.cooldown allows", fetches <= most, (fetches, most))
            issuer.keys(jwk_first, jwk_second)
            until(lambda: knock(gate, token=new)[0] == 101, "the new key is fetched and admits")
            check("a new key is fetched when a token names it", await client.stays())
            newer = await open_client(gate, token=new)

            for what, status, answer in (("an error", 500, b"{}"), ("no JSON", 200, b"<html>"), ("no set", 200, b"{}")):
                issuer.status, issuer.answer = status, answer
                asked = issuer.asked
                # Another unknown key makes it ask.
                until(
                    lambda: (knock(gate, token=signed("eve", second, "asks")), issuer.asked > asked)[1], "it is asked again"
                )
                await asyncio.sleep(0.2)
                stays = await client.stays() and await newer.stays()
                check(f"the issuer answers with {what}: the last good set stays", stays)
                admitted(gate, f"the issuer answers with {what}: a handshake", token=old)
            issuer.status = 200
            issuer.keys(jwk_second)
            until(lambda: (knock(gate, token=signed("eve", second, "asks")), knock(gate, token=old)[0] == 401)[1], "removed")
            end, _ = await client.end()
            check("a key is removed: its connections are closed with 4401", end is not None and end[0] == 4401, end)
            check("the other key's stay", await newer.stays())
            kept = issuer.answer
            issuer.keys()
            until(lambda: (knock(gate, token=signed("eve", second, "asks")), knock(gate, token=new)[0] == 401)[1], "withdrawn")
            end, _ = await newer.end()
            check("a set without keys withdraws them all: 4401", end is not None and end[0] == 4401, end)
            issuer.answer = kept
            until(lambda: knock(gate, token=new)[0] == 101, "the key is back")
        issuer.stop()
        with running(gate):
            admitted(gate, "the issuer is away at the start: the set that was kept", token=new)
            refused(gate, "but not the key that was removed", (401, "unknown_key"), token=old)
        log = read(gate.log)
        check("the password of the URL is not in the log", "hush" not in log)
    finally:
        issuer.stop()


# Tickets


async def tickets(folder, redis):
    gates = [ConfiguredGate(folder, redis, f"node: ticket-{name}\n") for name in "ab"]
    with running(*gates):
        one, other = gates

        def mint(*words):
            done = one.run("ticket", "mint", *words)
            if done.returncode != 0:
                raise RuntimeError(done.stderr)
            return urllib.parse.quote(done.stdout.strip())

        spent = (401, "bad_ticket")
        ticket = mint("--user", "alice")
        admitted(one, "a ticket", path=f"/ws?ticket={ticket}")
        refused(other, "the same ticket at another gate", spent, path=f"/ws?ticket={ticket}")
        refused(one, "and at the same", spent, path=f"/ws?ticket={ticket}")
        for round in range(3):
            ticket = mint("--user", "alice")
            tries = [asyncio.to_thread(knock, gates[n % 2], f"/ws?ticket={ticket}") for n in range(12)]
            seen = sorted(answer[0] for answer in await asyncio.gather(*tries))
            check(f"twelve at once at two gates: one is admitted ({round + 1})", seen == [101] + [401] * 11, seen)
        ticket = mint("--user", "alice")
        one.decide("revoke", "--user", "alice")
        refused(other, "a ticket of a user who was revoked since", REVOKED, path=f"/ws?ticket={ticket}")
        ticket = mint("--user", "alice", "--resource", "doc:1")
        refused(one, "a ticket for another resource", (403, "forbidden_resource"), path=f"/ws/doc:2?ticket={ticket}")
        ticket = mint("--user", "alice")
        keys = redis.do("KEYS", "portcullis:ticket:*").split()
        lives = [int(redis.do("PTTL", key)) for key in keys]
        check("a ticket lives for 30 s", lives and all(0 < life <= 30_000 for life in lives), lives)
        check("and does not stand in Redis", not any(ticket in key or ticket in redis.do("GET", key) for key in keys))
        two = f"/ws?ticket={ticket}&ticket={ticket}"
        refused(one, "two tickets", (400, "ambiguous_credential"), path=two)
        refused(one, "an empty ticket", spent, path="/ws?ticket=")
        admitted(one, "which used none of them up", path=f"/ws?ticket={ticket}")


# Refusals


THROTTLE = """
    limits:
      throttle_private: true
      failures_per_minute: 5
"""


async def throttle(folder, redis):
    with running(ConfiguredGate(folder, redis, THROTTLE)) as gate:
        token = gate.token("alice", 'permissions={"doc:1":"editor"}')
        client = await open_client(gate, "/ws/doc:1", token=token)
        peer = await open_client(gate, "/ws/doc:1", token=token)
        await client.receive("welcome")
        await peer.receive("welcome")
        seen = [knock(gate, token="x.y.z")[:2] for _ in range(12)]
        statuses = [status for status, _ in seen]
        check("five failures, then 429", statuses == [401] * 5 + [429] * 7, seen)
        status, code, headers = knock(gate, token=token)
        retry = headers.get("Retry-After") or ""
        check("a good token of that address: 429 rate_limited", (status, code) == (429, "rate_limited"), (status, code))
        check("with Retry-After in whole seconds", retry.isdigit() and 1 <= int(retry) <= 60, retry)
        await peer.say(type="publish", resource="doc:1", data="still here")
        heard = await client.receive("message")
        check("whoever was connected goes on", heard["data"] == "still here", heard)
        elsewhere = await open_client(gate, token=token, local_addr=("127.0.0.2", 0))
        check("and another address is admitted", await elsewhere.stays())
        forwarded = knock(gate, token=token, X_Forwarded_For="192.0.2.9")[0]
        check("a forged X-Forwarded-For does not help", forwarded == 429, forwarded)
        browser = await open_client(
            gate, origin=f"http://{gate.address}", subprotocols=("portcullis.v1", bearer(token))
        )
        end, last = await browser.end()
        check("a page is told by 4429 rate_limited", end == (4429, "rate_limited"), end)
        check("with the time to come back", last and last.get("retry_after_ms", 0) > 0, last)


async def refusal_styles(folder, redis):
    async def asked(gate, **how):
        """(status, code) over HTTP, or the close code and its reason."""
        host = gate.address
        headers = {"Sec_WebSocket_Protocol": "portcullis.v1"} if how.pop("page", False) else {}
        origin = {"own": f"http://{host}", "foreign": "http://evil.example"}.get(how.pop("origin", None))
        if origin:
            headers["Origin"] = origin
        status, code, _ = knock(gate, token="x.y.z", **headers, **how)
        if status != 101:
            return status, code
        names = ("portcullis.v1",) if "Sec_WebSocket_Protocol" in headers else ()
        client = await open_client(gate, token="x.y.z", origin=origin, subprotocols=names)
        return (await client.end())[0]

    http_status, closed = (401, "malformed_token"), (4401, "malformed_token")
    page, own_tool, foreign = {"page": True, "origin": "own"}, {}, {"page": True, "origin": "foreign"}
    # With an explicit credential the origin is no reason to refuse where there is no list, but a foreign page learns nothing.
    for style, origins, wanted in (
        ("http", "", [http_status, http_status, http_status]),
        ("close", "", [closed, closed, http_status]),
        ("auto", "", [closed, http_status, http_status]),
        ("close", "origins: [https://app.example]\n", [closed, closed, (403, "origin_forbidden")]),
    ):
        with running(ConfiguredGate(folder, redis, f"refusal: {style}\n{origins}")) as gate:
            seen = [await asked(gate, **dict(how)) for how in (page, own_tool, foreign)]
            check(f"refusal: {style} {origins.strip()}: page, tool, foreign page", seen == wanted, seen)
            cookie = {"Cookie": "session_id=x", "Origin": "http://evil.example", "Sec_WebSocket_Protocol": "portcullis.v1"}
            seen = knock(gate, **cookie)[:2]
            what = f"refusal: {style}: a cookie from a foreign page, always over HTTP"
            check(what, seen == (403, "origin_forbidden"), seen)


# Commands


async def verify(folder, redis):
    secret = write(os.path.join(folder, "verify-secret"), base64.b64encode(os.urandom(48)).decode() + "\n")
    good = run("token", "issue", "--user", "alice", "--secret-file", secret).stdout.strip()
    bad = good[:-4] + ("AAAA" if good[-4:] != "AAAA" else "BBBB")
    keys = ("--jwt-secret-file", secret)
    names = {"good": good + "\n", "bad": bad, "empty": "", "long": "a" * 100_000, "odd\nname": good}
    tokens = os.path.join(folder, "verify")
    os.mkdir(tokens)
    os.mkdir(os.path.join(tokens, "folder"))
    for name, text in names.items():
        write(os.path.join(tokens, name), text)

    done = run("token", "verify", os.path.join(tokens, "good"), *keys)
    check("token verify of a file: exit status 0, alice", done.returncode == 0 and "alice" in done.stdout, done)
    done = run("token", "verify", os.path.join(tokens, "bad"), "--json", *keys)
    said = json.loads(done.stdout)
    seen = (done.returncode, said["accepted"], said["code"])
    check("token verify of a bad file: 1, bad_signature", seen == (1, False, "bad_signature"), done)
    done = run("token", "verify", tokens, "--json", *keys)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    seen = {line["file"]: line["accepted"] for line in lines}
    wanted = {"bad": False, "empty": False, "good": True, "long": False, "odd\nname": True}
    check("token verify of a folder: a line for each file", (done.returncode, seen) == (1, wanted), done)
    check("in the order of their names", [line["file"] for line in lines] == sorted(wanted), done.stdout)
    done = run("token", "verify", tokens, *keys)
    check("for people too one line each", len(done.stdout.splitlines()) == len(wanted), done.stdout)
    done = run("token", "verify", "-", "--json", *keys, text=f"{good}\n\n{bad}\n{good}")
    seen = [json.loads(line)["accepted"] for line in done.stdout.splitlines()]
    check("token verify -: one answer a line, the empty one too", (done.returncode, seen) == (1, [True, False, False, True]), done)
    done = run("token", "verify", "-", *keys, text=f"{good}\n{good}\n")
    check("token verify -: all accepted: 0", done.returncode == 0, done)
    done = run("token", "verify", good, *keys)
    check("token verify of a token itself: 0", done.returncode == 0, done)
    done = run("token", "verify", os.path.join(tokens, "nowhere"), *keys)
    check("token verify of a path that is not there: 1, no token", done.returncode == 1, done)
    done = run("token", "verify", "-", "--json", "--jwt-secret-file", secret + ".gone", text=f"{good}\n{good}\n")
    seen = [json.loads(line)["accepted"] for line in done.stdout.splitlines()]
    check("token verify - with a key that is not there: each refused", (done.returncode, seen) == (1, [False] * 2), done)
    texts = "".join(text for text in (done.stdout, done.stderr))
    check("and no answer holds the token", good not in texts, texts)


async def refresh(folder, redis):
    with running(ConfiguredGate(folder, redis, "node: refresh\n")) as gate:

        def pair(*words, text=""):
            done = run("token", *words, "--json", *gate.where, text=text)
            return done, json.loads(done.stdout) if done.returncode == 0 else None

        done, first = pair("grant", "--user", "alice", "--claim", 'permissions={"doc:1":"viewer"}')
        check("token grant: two tokens", first and {"access_token", "refresh_token"} <= set(first), done)
        _, other = pair("grant", "--user", "alice")
        here = await open_client(gate, "/ws/doc:1", token=first["access_token"])
        there = await open_client(gate, token=other["access_token"])
        welcome = await here.receive("welcome")
        _, second = pair("refresh", "-", text=first["refresh_token"] + "\n")
        check("token refresh: the next two", second and second["refresh_token"] != first["refresh_token"], second)
        check("token refresh: nobody is closed", await here.stays() and await there.stays())
        again = await open_client(gate, "/ws/doc:1", token=second["access_token"])
        welcome2 = await again.receive("welcome")
        seen = (welcome2["user"], welcome2["role"], welcome2["session"] == welcome["session"])
        check("token refresh: the same user, roles and family", seen == ("alice", "viewer", True), welcome2)
        refused(gate, "a refresh token is no access token", (401, "malformed_token"), token=second["refresh_token"])
        stored = redis.do("KEYS", "*")
        check("no refresh token stands in Redis", second["refresh_token"] not in stored and first["refresh_token"] not in stored)

        done, _ = pair("refresh", "-", text=first["refresh_token"] + "\n")
        check("token refresh of a used one: exit status 1", done.returncode == 1, done)
        ends = [(await client.end())[0] for client in (here, again)]
        check("and its family's connections close with 4410", ends == [(4410, "revoked")] * 2, ends)
        check("the user's other family stays", await there.stays())
        refused(gate, "the family's newest access token", REVOKED, token=second["access_token"])
        done, _ = pair("refresh", "-", text=second["refresh_token"] + "\n")
        check("the family's newest refresh token: exit status 1", done.returncode == 1, done)
        done, third = pair("refresh", "-", text=other["refresh_token"] + "\n")
        check("the other family goes on", done.returncode == 0, done)

        gate.decide("revoke", "--user", "alice")
        done, _ = pair("refresh", "-", text=third["refresh_token"] + "\n")
        check("revoke --user ends refreshing too", done.returncode == 1, done)
        for text in ("", "x", "a" * 10_000, "..", "\x00\x01"):
            done, _ = pair("refresh", "-", text=text + "\n")
            check(f"token refresh of {text[:4]!r}…: exit status 1, one sentence",
                  done.returncode == 1 and len(done.stderr.strip().splitlines()) == 1, done)  # fmt: skip

        gate.decide("block", "--user", "carl")
        done, _ = pair("grant", "--user", "carl")
        check("token grant to a blocked user: exit status 1", done.returncode == 1, done)

        # Two at once with one token: one is served, or the family falls; never two.
        _, raced = pair("grant", "--user", "bob")
        tries = [asyncio.to_thread(pair, "refresh", "-", text=raced["refresh_token"] + "\n") for _ in range(4)]
        served = [tokens for _, tokens in await asyncio.gather(*tries) if tokens]
        check("four refreshes at once with one token: at most one is served", len(served) <= 1, len(served))
        for tokens in served:
            refused(gate, "and what it got falls with the family", REVOKED, token=tokens["access_token"])


async def tokens(folder):
    redis = Redis(folder)
    try:
        redis.start()
        parts = (
            shared_keys, first_message, token_cookie, query, issuers, key_sets, tickets, throttle, refusal_styles, verify, refresh,
        )  # fmt: skip
        for part in parts:
            await section(part(folder, redis))
    finally:
        redis.kill()
