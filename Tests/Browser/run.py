"""Runs the tests of portcullis.js in Chromium, and in a Node with a WebSocket: against gates that are played, and a real one."""

import asyncio
import json
import os
import re
import shutil
import signal
import sys
import tempfile

from server import Server

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
PROGRAM = os.path.abspath(sys.argv[1])
PATIENCE = 30
# Nothing of the caller's own settings may reach the gate.
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("PORTCULLIS_")}

passed, failed = 0, 0
# Whatever stood for somebody; it may stand in no line that a browser prints.
secrets = []


def check(where, what, holds, why=""):
    global passed, failed
    if holds:
        passed += 1
        print(f"ok      {where}: {what}", flush=True)
    else:
        failed += 1
        print(f"FAILED  {where}: {what}: {why}", flush=True)


async def until(condition, what):
    for _ in range(PATIENCE * 50):
        value = condition()
        if value:
            return value
        await asyncio.sleep(0.02)
    raise RuntimeError(f"not within {PATIENCE} s: {what}")


class Process:
    """A child in a group of its own, so that what it starts ends with it."""

    def __init__(self, words, log):
        self.words, self.log = words, log
        self.child = None

    async def start(self):
        with open(self.log, "wb") as log:
            self.child = await asyncio.create_subprocess_exec(
                *self.words, stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log, env=ENVIRONMENT, start_new_session=True
            )

    async def stop(self):
        if self.child is None or self.child.returncode is not None:
            return
        self.child.terminate()
        try:
            await asyncio.wait_for(self.child.wait(), PATIENCE)
        except asyncio.TimeoutError:
            pass
        try:
            os.killpg(self.child.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        await self.child.wait()

    def printed(self):
        with open(self.log, errors="replace") as file:
            return file.read()


class Gate(Process):
    def __init__(self, folder, name, settings):
        self.home = os.path.join(folder, name)
        os.mkdir(self.home, 0o700)
        self.config = os.path.join(self.home, "portcullis.yaml")
        with open(os.open(self.config, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
            file.write(f"state_dir: {self.home}\nadmin: 127.0.0.1:0\n{settings}")
        words = [PROGRAM, "serve", "--config", self.config, "--listen"]
        super().__init__(words, os.path.join(self.home, "log"))
        self.listen = "127.0.0.1:0"

    async def start(self):
        self.words = [*self.words[:5], self.listen]
        await super().start()
        # The same address again after a restart.
        self.listen = await until(self.address, f"the gate listens: {self.printed()}")

    def address(self):
        if self.child.returncode is not None:
            raise RuntimeError("the gate ended: " + self.printed())
        _, found, rest = self.printed().partition(" listening address=")
        return rest.split()[0] if found and "\n" in rest else None

    async def run(self, words):
        child = await asyncio.create_subprocess_exec(
            PROGRAM, *words, "--config", self.config, stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env=ENVIRONMENT,
        )  # fmt: skip
        out, errors = await asyncio.wait_for(child.communicate(), PATIENCE)
        if words[0] in ("token", "ticket", "session") and words[1] != "end":
            secrets.append(out.decode().strip())
        return {"status": child.returncode, "stdout": out.decode(), "stderr": errors.decode()}


class Stage:
    """The server, the gates, and what the tests ask of them."""

    def __init__(self, folder):
        self.folder = folder
        self.where = "?"
        self.done = None
        here = {"/Tests/Browser/" + name: os.path.join(HERE, name) for name in os.listdir(HERE) if name.endswith((".js", ".html"))}
        module = "/Sources/PortcullisBrowser/portcullis.js"
        routes = {
            "/result": self.result, "/done": self.finish, "/portcullis": self.portcullis, "/gates": self.gates,
            "/restart": self.restart, "/token": self.token, "/example.js": self.example,
        }  # fmt: skip
        self.server = Server({module: ROOT + module, "/favicon.ico": os.devnull, **here}, routes)

    async def start(self):
        await self.server.start()
        sources = "tokens:\n  sources: [header, subprotocol, ticket, first_message]\n"
        page = f"http://{self.server.address}"
        fast = "drain:\n  deadline: 200ms\n  retry_after: 300ms\nresources:\n  presence: true\n"
        self.main = Gate(self.folder, "main", f"origins: ['{page}']\n{sources}{fast}")
        self.strict = Gate(self.folder, "strict", f"origins: ['https://elsewhere.example']\n{sources}")
        await self.main.start()
        await self.strict.start()

    async def stop(self):
        await self.main.stop()
        await self.strict.stop()

    async def result(self, request):
        result = json.loads(request.body)
        check(self.where, result["name"], result["ok"], result.get("why"))
        return {}

    async def finish(self, request):
        self.done.set()
        return {}

    async def gates(self, request):
        return {"main": self.main.listen, "strict": self.strict.listen}

    async def portcullis(self, request):
        return await self.main.run(json.loads(request.body))

    async def restart(self, request):
        await self.main.stop()
        await self.main.start()
        return {}

    # The example of the README, at this gate

    async def token(self, request):
        answer = await self.main.run(["token", "issue", "--user", "rea", "--claim", 'permissions={"doc:42":"editor"}'])
        return answer["stdout"].strip().encode()

    async def example(self, request):
        with open(os.path.join(ROOT, "README.md")) as file:
            clients = file.read().partition("\n## Clients\n")[2]
        found = re.search(r"```js\n(.*?)```", clients, re.DOTALL)
        text = found[1].replace("wss://gate.example", f"ws://{self.main.listen}")
        text = text.replace("'./portcullis.js'", "'/Sources/PortcullisBrowser/portcullis.js'")
        return (text + "\nexport { gate, room };\n").encode()

    async def run(self, where, words):
        self.where = where
        self.done = asyncio.Event()
        process = Process(words, os.path.join(self.folder, where + ".log"))
        await process.start()
        ended = asyncio.create_task(process.child.wait())
        done = asyncio.create_task(self.done.wait())
        # A browser's first process may end early; a test waits for its own patience.
        await asyncio.wait({done, ended}, timeout=300, return_when=asyncio.FIRST_COMPLETED)
        if not self.done.is_set() and where == "node":
            await asyncio.sleep(1)
        check(where, "all tests were run", self.done.is_set(), process.printed()[-2000:])
        done.cancel()
        await process.stop()
        await ended
        told = [secret for secret in secrets if secret and secret in process.printed()]
        check(where, "no credential stands in what it printed", not told, len(told))


async def has_websocket(node):
    """The options with which this Node has a global WebSocket; None where there is none."""
    for options in ([], ["--experimental-websocket"]):
        child = await asyncio.create_subprocess_exec(
            node, *options, "-e", "process.exit(typeof WebSocket === 'function' ? 0 : 1)", stderr=asyncio.subprocess.DEVNULL
        )
        if await child.wait() == 0:
            return options
    return None


async def types():
    """Examples of use by the declarations, which must be right where they are right and wrong where they say so."""
    compiler = shutil.which("tsc")
    if compiler is None:
        return print("skipped types: there is no tsc here (Debian: node-typescript)")
    options = "--noEmit --strict --noUncheckedIndexedAccess --exactOptionalPropertyTypes --target es2022 --module es2022".split()
    child = await asyncio.create_subprocess_exec(
        compiler, *options, "--moduleResolution", "node", "--lib", "es2022,dom", os.path.join(HERE, "types.ts"),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    out, _ = await child.communicate()
    check("tsc", "the types", child.returncode == 0, out.decode())


async def main():
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser is None:
        print("There is no chromium here: install it, and start again.", file=sys.stderr)
        return 1
    await types()
    with tempfile.TemporaryDirectory(prefix="portcullis-browser-") as folder:
        stage = Stage(folder)
        try:
            await stage.start()
            node = shutil.which("node")
            options = await has_websocket(node) if node else None
            if options is None:
                print("skipped node: there is none here that has a WebSocket (20.10 or later)")
            else:
                page = os.path.join(HERE, "main.js")
                address = f"http://{stage.server.address}"
                await stage.run("node", [node, "--no-warnings", *options, page, address])
            options = "--headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run --enable-logging=stderr"
            profile = f"--user-data-dir={os.path.join(folder, 'profile')}"
            page = f"http://{stage.server.address}/Tests/Browser/page.html"
            await stage.run("chromium", [browser, *options.split(), profile, page])
        finally:
            await stage.stop()
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


sys.exit(asyncio.run(main()))
