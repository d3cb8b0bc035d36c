// What the tests share: a list of them, checks, the server that plays gates, the real gate, and what a session said.

export const isBrowser = typeof document !== 'undefined';
export const base = isBrowser ? location.origin : globalThis.process.argv[2];
const PATIENCE_MS = 30_000;
const tests = [];
const printed = [];
const stray = [];

/** `where`: 'browser' for what only a browser has. */
export function test(name, body, where = 'anywhere') {
  tests.push({ name, body, where });
}

export async function run() {
  for (const level of ['log', 'info', 'warn', 'error', 'debug']) {
    const print = console[level].bind(console);
    console[level] = (...words) => (printed.push(words.map(String).join(' ')), print(...words));
  }
  if (isBrowser) {
    addEventListener('unhandledrejection', (event) => stray.push(String(event.reason)));
    addEventListener('error', (event) => stray.push(event.message));
  }
  for (const { name, body, where } of tests) {
    if (where === 'browser' && !isBrowser) continue;
    const open = [];
    let why = null;
    try {
      await soon(body((gate) => (open.push(gate), gate)), 'the test ends', 60_000);
      equal(stray.splice(0), [], 'errors that nobody caught');
    } catch (error) {
      why = String(error?.stack ?? error);
    }
    await Promise.all(open.map((gate) => gate.close()));
    await post('/result', { name, ok: why === null, why });
  }
  equal(printed.filter((line) => line.includes('eyJ') || line.includes('secret')), [], 'what was printed');
}

// Checks

const sorted = (value) =>
  value !== null && typeof value === 'object' && !Array.isArray(value)
    ? Object.fromEntries(Object.keys(value).sort().map((name) => [name, sorted(value[name])]))
    : Array.isArray(value) ? value.map(sorted) : value;
const shown = (value) => JSON.stringify(sorted(value)) ?? String(value);

export function equal(seen, wanted, what = 'value') {
  if (shown(seen) !== shown(wanted)) throw new Error(`${what}: ${shown(seen)} instead of ${shown(wanted)}`);
}

export function ok(holds, what) {
  if (!holds) throw new Error(`not so: ${what}`);
}

/** The code that a promise is rejected with. */
export async function code(promise) {
  try {
    await soon(promise, 'a rejection');
  } catch (error) {
    if (error.name !== 'GateError') throw error;
    return error.code;
  }
  return 'none';
}

export function thrown(body) {
  try {
    body();
  } catch (error) {
    return error;
  }
  throw new Error('nothing was thrown');
}

export async function soon(promise, what, ms = PATIENCE_MS) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not within ${ms} ms: ${what}`)), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

// The server

export async function post(path, body) {
  const response = await fetch(base + path, { method: 'POST', body: JSON.stringify(body) });
  return response.json();
}

let keys = 0;

/** A gate that is played: by a list of steps for each connection (see server.py). */
export async function played(...scripts) {
  const key = `${isBrowser ? 'page' : 'node'}${(keys += 1)}`;
  await post(`/script?key=${key}`, scripts);
  return {
    url: `${base}/ws?key=${key}`,
    log: () => post(`/log?key=${key}`, null),
    order: (...steps) => post(`/order?key=${key}`, steps),
    /** Waits for something in the log. */
    async logged(test, what) {
      for (const end = Date.now() + PATIENCE_MS; Date.now() < end; await new Promise((wake) => setTimeout(wake, 20))) {
        const log = await this.log();
        if (test(log)) return log;
      }
      throw new Error(`never in the log: ${what}: ${shown(await this.log())}`);
    },
  };
}

export const WELCOME = { send: { type: 'welcome', connection: 'c', user: 'alice', expires_at: null, permissions: {}, node: 'n', heartbeat_s: 25 } };

/** The token that a connection of the log offered. */
export function tokenOf(connection) {
  const entry = connection.protocols.find((name) => name.startsWith('base64url.bearer.portcullis.'));
  return entry && atob(entry.slice(28).replace(/-/g, '+').replace(/_/g, '/'));
}

// The real gate

/** A command of `portcullis`; what it printed. */
export async function portcullis(...words) {
  const { status, stdout, stderr } = await post('/portcullis', words);
  if (status !== 0) throw new Error(`portcullis ${words[0]}: ${status} ${stderr}`);
  return stdout.trim();
}

export function token(user, permissions = {}, ...more) {
  return portcullis('token', 'issue', '--user', user, '--claim', `permissions=${JSON.stringify(permissions)}`, ...more);
}

/** A decision that every gate has enforced. */
export function decide(...words) {
  return portcullis(...words, '--wait', '5s');
}

// What a session or a room said

export class Journal {
  #at = 0;
  #waiting = [];

  constructor(events) {
    this.seen = [];
    this.isOver = false;
    const iterator = events[Symbol.asyncIterator]();
    (async () => {
      for await (const event of iterator) {
        this.seen.push(event);
        for (const wake of this.#waiting.splice(0)) wake();
      }
      this.isOver = true;
      for (const wake of this.#waiting.splice(0)) wake();
    })();
  }

  /** The next event of a type (and kind), after those that were found before. */
  find(type, test = () => true) {
    const search = async () => {
      while (true) {
        while (this.#at < this.seen.length) {
          const event = this.seen[(this.#at += 1) - 1];
          if (event.type === type && test(event)) return event;
        }
        if (this.isOver) throw new Error(`it was over before ${type}: ${this.types}`);
        await new Promise((wake) => this.#waiting.push(wake));
      }
    };
    return soon(search(), `${type} after ${this.types}`);
  }

  get types() {
    return this.seen.map((event) => event.type).join(' ');
  }

  count(type) {
    return this.seen.filter((event) => event.type === type).length;
  }

  /** The end of the iteration. */
  async over() {
    const search = async () => {
      while (!this.isOver) await new Promise((wake) => this.#waiting.push(wake));
    };
    await soon(search(), `the end after ${this.types}`);
  }
}
