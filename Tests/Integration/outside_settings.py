"""Settings that are wrong, as a clumsy operator writes them: one sentence that says what to do, and nothing left running."""

import base64
import os

from outside_kit import check, read, run, section, write

SECRET = base64.b64encode(os.urandom(48)).decode()


async def wrong_settings(folder):
    free = ("--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0")

    def path(name):
        return os.path.join(folder, name)

    def refused(what, *names, text="", options=(), problems=1, environment=()):
        """`names` is what the sentence must name."""
        config = write(path("portcullis.yaml"), text)
        state = path("state")
        done = run("serve", *free, "--config", config, "--state-dir", state, *options, environment=environment)
        sentences = done.stderr.strip().splitlines()
        check(f"{what}: exit status 2", done.returncode == 2, (done.returncode, done.stderr))
        # One for each problem, and nothing else: no trace, no line of the log.
        as_promised = len(sentences) == problems and sentences[0].startswith("portcullis: ")
        check(f"{what}: {'one sentence' if problems == 1 else f'{problems} sentences'}", as_promised, sentences)
        missing = [name for name in names if name not in done.stderr]
        check(f"{what}: it names {', '.join(names)}", not missing, done.stderr)
        check(f"{what}: nothing secret in it", SECRET not in done.stderr + done.stdout)
        left = [name for name in ("redis.sock", "redis.pid") if os.path.exists(os.path.join(state, name))]
        check(f"{what}: nothing is left", not left, left)

    good = write(path("secret"), SECRET + "\n")
    refused("an unknown key", "tokens.secret_fil", "secret_file", text=f"tokens:\n  secret_fil: {good}\n")
    refused("an unknown key of sessions", "sessions.bnd", "bind", text="sessions:\n  bnd: [ip]\n")
    refused("a binding that there is none of", "sessions.bind", "cookie", text="sessions:\n  bind: [cookie]\n")
    refused("a duration without a unit", "keys.refresh", text="keys:\n  refresh: 10\n")
    refused("no YAML", text="tokens: [\n")
    refused("a list where a map belongs", text="- tokens\n")
    refused("two keys of one issuer", "secret_file", text=f"tokens:\n  secret_file: {good}\n  jwks: {good}\n")
    refused("a key template without an id", "sessions.key", text='sessions:\n  key: "sess:"\n')
    refused("retention below the longest token", "retention", text="tokens:\n  longest_life: 48h\n")
    refused("two issuers without names", "issuer", text=f"tokens:\n  issuers:\n    a: {{secret_file: {good}}}\n    b: {{secret_file: {good}}}\n", problems=2)  # fmt: skip
    refused("a cookie as source without its name", "tokens.cookie", text="tokens:\n  sources: [cookie]\n")
    refused("two secrets of the cookie", "cookie_secret", text=f"sessions:\n  cookie_secret: x\n  cookie_secret_file: {good}\n")  # fmt: skip
    variable = "PORTCULLIS_SESSIONS_COOKIE_SECRET"
    refused("a cookie secret that is empty in the environment", variable, environment={variable: ""})
    refused("a cookie secret that is not there", "sessions.cookie_secret_file", path("gone"),
            text=f"sessions:\n  cookie_secret_file: {path('gone')}\n")  # fmt: skip
    write(path("empty"), "")
    refused("an empty cookie secret", path("empty"), text=f"sessions:\n  cookie_secret_file: {path('empty')}\n")
    refused("a step-up that is no map", "resources.step_up", text="resources:\n  step_up: 15m\n")
    refused("a step-up without a duration", "step_up", text='resources:\n  step_up:\n    "vault": soon\n')
    refused("a configuration that is not there", "nowhere", options=("--config", path("nowhere.yaml")))

    refused("a secret file that is not there", path("gone"), options=("--jwt-secret-file", path("gone")))
    refused("a secret file that is a folder", folder, options=("--jwt-secret-file", folder))
    short = write(path("short"), "0123456789abcdef\n")
    refused("a secret of 16 bytes", path("short"), "32", options=("--jwt-secret-file", short))
    known = write(path("known"), "your-256-bit-secret\n")
    refused("a secret that everybody knows", path("known"), options=("--jwt-secret-file", known))
    jwt_io = write(path("jwt-io"), "a-string-secret-at-least-256-bits-long")
    refused("the secret of jwt.io", path("jwt-io"), options=("--jwt-secret-file", jwt_io))
    public = write(path("world"), SECRET, 0o644)
    refused("a secret that others can read", path("world"), "chmod", options=("--jwt-secret-file", public))
    refused("a cookie secret that others can read", path("world"), text=f"sessions:\n  cookie_secret_file: {public}\n")

    run("keys", "generate", "--alg", "RS256", "--out", path("rsa"))
    jwks = os.path.join(path("rsa"), "public.jwks.json")
    private = os.path.join(path("rsa"), "private.pem")
    # An RSA key as an HMAC secret is how tokens are forged (RFC 8725, section 2.1).
    refused("a JWK set as HMAC secret", jwks, options=("--jwt-secret-file", jwks))
    refused("a private key as HMAC secret", private, options=("--jwt-secret-file", private))
    copy = write(path("public-copy.json"), read(jwks))
    refused("a JWK set as HMAC secret, mode 600", copy, options=("--jwt-secret-file", copy))
    refused("a secret as key", good, options=("--jwt-key", good))
    refused("a secret as JWK set", good, options=("--jwks", good))
    os.chmod(private, 0o644)
    refused("a private key that others can read", private, options=("--jwt-key", private))
    refused("two key options", options=("--jwt-key", private, "--jwt-secret-file", good))
    refused("an empty --issuer", options=("--jwt-secret-file", good, "--issuer", ""))


async def settings(folder):
    await section(wrong_settings(folder))
