/**
 * A client of a Portcullis gate, for browsers and for whatever else has the WebSocket of browsers. The types and what they mean
 * stand in portcullis.d.ts.
 *
 * Credentials live in private fields, and no error, event or console line holds one.
 */

const SUBPROTOCOL = 'portcullis.v1';
const DAY_MS = 86_400_000;
/** A connection that stood so long was a good one: what follows counts from the beginning again. */
const STEADY_MS = 10_000;
/** How long the other side may take to close, after whoever said goodbye. */
const CLOSE_MS = 2_000;
/** How many events wait for an iterator before the oldest are dropped. */
const ITERATOR_BOUND = 1_024;
/** How many requests may be unanswered. */
const REQUEST_BOUND = 10_000;

/** Why something was not done. `code` is for programs; `message` is ours, what the gate said stands in `detail`. */
export class GateError extends Error {
  constructor(code, message, detail = null) {
    super(message);
    this.name = 'GateError';
    this.code = code;
    this.detail = detail;
  }
}

const closedError = () => new GateError('closed', 'There is no connection to the gate.');
const invalid = (message) => new GateError('invalid', message);

// Advice and policy: pure.

/** The advice of the table of close codes, for a connection whose gate said nothing more. `code` is null without a close frame. */
export function adviceFor(code, reason = '') {
  switch (code) {
    // What a restart, a lost network or a fault in the gate leaves behind.
    case null: case 1001: case 1005: case 1006: case 1011: case 1012: case 1013: case 1014: return 'later';
    case 1000: case 1002: case 1003: case 1007: case 1008: case 1009: case 1010: return 'never';
    case 4401: return 'reauthenticate';
    case 4403: return reason === 'reauthentication_required' ? 'reauthenticate' : 'never';
    case 4408: case 4429: return 'later';
    // A newer gate's code like a 4xx of HTTP (44xx): the client is what must change.
    default: return code >= 4400 && code < 4500 ? 'never' : 'later';
  }
}

/** When to connect again. Pure: the randomness is passed in. */
export class ReconnectPolicy {
  constructor({ baseMs = 250, capMs = 30_000 } = {}) {
    if (!(baseMs > 0 && capMs >= baseMs && capMs <= DAY_MS)) {
      throw invalid('baseMs is more than 0, and capMs is from baseMs to a day.');
    }
    this.baseMs = baseMs;
    this.capMs = capMs;
  }

  /** `attempt`: how many endings in a row came before this one. `random`: evenly from 0 to 1. */
  decide(ending, attempt, canReauthenticate, random) {
    switch (ending.advice) {
      case 'reauthenticate':
        if (!canReauthenticate) return { action: 'stop' };
        // At once, but a source of credentials that are refused over and over must not become a flood.
        return { action: 'reauthenticate', afterMs: attempt === 0 ? 0 : this.backoff(attempt, random) };
      case 'later': {
        const asked = ending.retryAfterMs;
        if (asked === null) return { action: 'retry', afterMs: this.backoff(attempt, random) };
        // The gate spreads what it asks for; only one that asks again and again is met with a backoff of our own.
        return { action: 'retry', afterMs: attempt === 0 ? asked : Math.max(asked, this.backoff(attempt, random)) };
      }
      default:
        return { action: 'stop' };
    }
  }

  /** Full jitter: clients that were cut off together do not come back together. */
  backoff(attempt, random) {
    return Math.min(this.baseMs * 2 ** Math.min(Math.max(attempt, 0), 62), this.capMs) * Math.min(Math.max(random, 0), 1);
  }
}

// Messages: pure.

const isText = (value) => typeof value === 'string';
/** What a message of each type must have; what else it has is passed on as it came. */
const REQUIRED = {
  __proto__: null,
  welcome: (m) => isText(m.connection) && isText(m.user),
  permission: (m) => isText(m.resource),
  expiring: () => true,
  refreshed: () => true,
  reauthenticate: () => true,
  notice: () => true,
  message: (m) => isText(m.resource),
  joined: (m) => isText(m.resource),
  left: (m) => isText(m.resource),
  missed: (m) => isText(m.resource),
  error: (m) => isText(m.code),
  closing: (m) => Number.isInteger(m.code) && m.code >= 0 && m.code <= 65_535,
};

/** Reads one text message. What cannot be read becomes `unknown`, since a newer gate must not break an older client. */
export function parseMessage(text) {
  let value;
  try {
    value = JSON.parse(text);
  } catch {
    return { type: 'unknown', name: null, text };
  }
  const name = value !== null && typeof value === 'object' && isText(value.type) ? value.type : null;
  if (name === null || !REQUIRED[name]?.(value)) return { type: 'unknown', name, text };
  if (name === 'welcome' || name === 'refreshed') {
    const permissions = value.permissions;
    if (permissions === null || typeof permissions !== 'object') value.permissions = {};
  }
  return value;
}

function clampedMs(value) {
  return typeof value === 'number' && value >= 0 ? Math.min(value, DAY_MS) : null;
}

// What stands in a handshake.

function checkResource(resource) {
  let encoded = '';
  try {
    encoded = encodeURIComponent(resource);
  } catch { /* half of a surrogate pair */ }
  const size = encoded.replace(/%../g, '.').length;
  if (!isText(resource) || size < 1 || size > 255) {
    throw new GateError('bad_resource', 'A resource is a text of 1 to 255 bytes.');
  }
  return encoded;
}

/** The URL without a credential: `ws://host[:port]/ws[/resource][?query]`, from that, from `https://…`, or relative to the page. */
function gateURL(text, resource) {
  let url;
  try {
    url = new URL(text, globalThis.location?.href);
  } catch {
    throw invalid('The URL of the gate is not valid.'); // that of the platform would repeat it
  }
  if (url.protocol === 'http:' || url.protocol === 'https:') url.protocol = url.protocol === 'http:' ? 'ws:' : 'wss:';
  if (url.protocol !== 'ws:' && url.protocol !== 'wss:') {
    throw invalid("A gate's URL begins with ws://, wss://, http:// or https://.");
  }
  if (url.username || url.password) throw invalid("A gate's URL carries no user or password.");
  if (url.hash) throw invalid('A WebSocket URL has no #fragment.');
  if (url.pathname === '/') url.pathname = '/ws';
  if (resource !== undefined) {
    const encoded = checkResource(resource);
    // In a path these are steps, however they are encoded (URL standard): there is no way to write them.
    if (resource === '.' || resource === '..') throw new GateError('bad_resource', 'A URL cannot name this resource: join it.');
    url.pathname = url.pathname.replace(/\/?$/, '/') + encoded;
  }
  return url.href;
}

const CREDENTIAL = 'A credential is a token, { token }, { ticket } or { cookie: true }; a token has no spaces and no line ends.';

/** A credential as it was given, in the form of an object; null where there is none. */
function credentialOf(given) {
  if (given === null || given === undefined) return null;
  const it = isText(given) ? { token: given } : given;
  if (it.cookie === true) return { cookie: true };
  if (isText(it.ticket) && it.ticket !== '') return { ticket: it.ticket };
  if (isText(it.token) && /^[!-~]+$/.test(it.token)) return { token: it.token, firstMessage: it.firstMessage === true };
  throw invalid(CREDENTIAL);
}

function opening(url, credential) {
  const protocols = [SUBPROTOCOL];
  if (credential.ticket) {
    url += (url.includes('?') ? '&' : '?') + 'ticket=' + encodeURIComponent(credential.ticket);
  } else if (credential.token && !credential.firstMessage) {
    const base64 = btoa(credential.token).replace(/\+/g, '-').replace(/\//g, '_').replace(/=+$/, '');
    protocols.push('base64url.bearer.portcullis.' + base64);
  }
  return { url, protocols };
}

// Events

/** What is the module's own on objects that others hold. */
const emit = Symbol('emit');
const inner = Symbol('inner');
const end = Symbol('end');

class Events extends EventTarget {
  #sinks = new Set();
  #isOver = false;

  /** Calls `listener` with the detail of each event of the type; the answer takes it away again. */
  on(type, listener) {
    const handler = (event) => listener(event.detail);
    this.addEventListener(type, handler);
    return () => this.removeEventListener(type, handler);
  }

  [emit](detail) {
    for (const sink of this.#sinks) sink.push(detail);
    this.dispatchEvent(new CustomEvent(detail.type, { detail }));
  }

  /** No more events: whoever iterates gets what waits, then the end. */
  [end]() {
    this.#isOver = true;
    for (const sink of this.#sinks) sink.wake();
  }

  [Symbol.asyncIterator]() {
    const waiting = [];
    let dropped = 0;
    let isOff = false;
    let wakeUp = [];
    const sink = {
      push: (detail) => {
        if (waiting.push(detail) > ITERATOR_BOUND) {
          waiting.shift();
          dropped += 1;
        }
        sink.wake();
      },
      wake: () => {
        for (const wake of wakeUp.splice(0)) wake();
      },
    };
    this.#sinks.add(sink);
    const stop = () => {
      isOff = true;
      this.#sinks.delete(sink);
      sink.wake();
      return { done: true, value: undefined };
    };
    return {
      next: async () => {
        while (!isOff) {
          if (dropped > 0) {
            const value = { type: 'overflow', dropped };
            dropped = 0;
            return { done: false, value };
          }
          if (waiting.length > 0) return { done: false, value: waiting.shift() };
          if (this.#isOver) return stop();
          await new Promise((resolve) => wakeUp.push(resolve));
        }
        return { done: true, value: undefined };
      },
      return: async () => stop(),
      [Symbol.asyncIterator]() {
        return this;
      },
    };
  }
}

// Rooms

/** A resource that one is, or wants to be, a member of: joined anew after every reconnect. */
export class Room extends Events {
  #session;

  constructor(session, resource, isBound) {
    super();
    this.#session = session;
    this.resource = resource;
    /** Whether the connection itself is bound to the resource. */
    this.isBound = isBound;
    /** 'joining', 'joined', or 'left' for good. */
    this.state = 'joining';
    this.role = null;
    this.members = [];
    // The socket that the wish was sent on, how often it was refused for now, whether it ever came true, whether a connection was
    // lost since, and what waits for the end.
    const state = { socket: null, refusals: 0, wasJoined: false, isBack: false, leaving: null };
    state.promise = new Promise((resolve, reject) => Object.assign(state, { resolve, reject }));
    // Nobody need wait for it: what happens is told by events, too.
    state.promise.catch(() => {});
    Object.defineProperty(this, inner, { value: state });
  }

  publish(data) {
    return this.#session[inner].publish(this, data);
  }

  leave() {
    return this.#session[inner].leave(this);
  }
}

/** Members by what `joined` and `left` say of others; `members` replaces them, a list of names or of objects with `user`. */
function updateMembers(room, message, isOwn) {
  if (Array.isArray(message.members)) {
    room.members = message.members
      .map((member) => (isText(member) ? { user: member } : member))
      .filter((member) => isText(member?.user));
  } else if (!isOwn) {
    const isSame = (member) => member.user === message.user && member.connection === message.connection;
    room.members = room.members.filter((member) => !isSame(member));
    if (message.type === 'joined') {
      const { user, role, connection } = message;
      room.members.push({ user, ...(role !== undefined && { role }), ...(connection !== undefined && { connection }) });
    }
  }
}

// The session

/** A connection that is made again when it ends, as its gate advises. */
export class GateSession extends Events {
  #url;
  #options;
  #policy;
  #resource;
  /** Asked for credentials, where there is somebody to ask. */
  #source = null;
  #asking = null;
  #credential = null;
  /** Why a fresh credential is needed before the next attempt. */
  #need = null;
  #state = 'connecting';
  #welcome = null;
  #expiresAt = null;
  #socket = null;
  #closing = null;
  #openedAt = null;
  /** Endings in a row. */
  #attempt = 0;
  /** Grows with each step of connecting: whoever waited for something else meanwhile is not heard. */
  #step = 0;
  #timer = null;
  #waitsByItself = false;
  #wasOffline = false;
  /** On behalf of which step a refresh is under way, what comes behind it, and how many came of late. */
  #refreshes = { step: null, next: null, count: 0, last: -Infinity };
  #rooms = new Map();
  #requests = new Map();
  #lastRef = 0;
  #goodbye = null;

  constructor(url, options = {}) {
    super();
    const { credential = { cookie: true }, resource, policy, WebSocket = globalThis.WebSocket } = options;
    if (typeof WebSocket !== 'function') throw invalid('There is no WebSocket here: give one in the options.');
    const defaults = { handshakeTimeoutMs: 10_000, answerTimeoutMs: 10_000, settleMs: 1_000, maximumBuffered: 16 << 20 };
    this.#options = { ...defaults, WebSocket };
    for (const name of Object.keys(defaults)) this.#options[name] = options[name] ?? defaults[name];
    this.#url = gateURL(url, resource);
    this.#policy = policy instanceof ReconnectPolicy ? policy : new ReconnectPolicy(policy);
    this.#resource = resource;
    if (typeof credential === 'function') {
      this.#source = credential;
      this.#need = { why: 'connect' };
    } else {
      this.#credential = credentialOf(credential);
      if (!this.#credential) throw invalid('There is no credential.');
    }
    Object.defineProperty(this, inner, {
      value: { publish: (room, data) => this.#publish(room, data), leave: (room) => this.#leave(room) },
    });
    if (resource !== undefined) this.#rooms.set(resource, new Room(this, resource, true));
    globalThis.addEventListener?.('online', this.#networkIsBack);
    globalThis.addEventListener?.('offline', this.#networkIsGone);
    globalThis.document?.addEventListener('visibilitychange', this.#pageIsSeen);
    // Not before whoever makes a session can listen to it.
    queueMicrotask(() => this.#connect());
  }

  /** 'connecting', 'open', 'waiting', or 'closed' for good. */
  get state() {
    return this.#state;
  }

  /** What the gate said of the connection of the moment, or the last one. */
  get welcome() {
    return this.#welcome;
  }

  /** The room of the resource that the connection is bound to. */
  get room() {
    return this.#resource === undefined ? null : this.#rooms.get(this.#resource) ?? null;
  }

  async join(resource) {
    checkResource(resource);
    if (this.#state === 'closed') throw closedError();
    let room = this.#rooms.get(resource);
    if (room?.[inner].leaving) {
      await room[inner].leaving.catch(() => {});
      return this.join(resource);
    }
    if (!room) {
      room = new Room(this, resource, false);
      this.#rooms.set(resource, room);
      if (this.#state === 'open') this.#sendJoin(room);
    }
    return room[inner].promise;
  }

  /** Sends a token as `refresh`: this one, or the one that the source of credentials gives. */
  async refresh(token) {
    const fresh = token === undefined ? await this.#ask({ why: 'refresh' }) : credentialOf(token);
    if (!fresh?.token) throw invalid('There is no token to refresh with.');
    if (this.#state === 'closed') throw closedError();
    this.#credential = fresh;
    this.#need = null;
    return this.#request('refresh', { token: fresh.token });
  }

  /** Says goodbye, and connects no more. Done when the connection is closed. */
  close() {
    if (this.#goodbye) return this.#goodbye;
    if (this.#state === 'closed') return Promise.resolve();
    const socket = this.#socket;
    this.#forget();
    this.#state = 'closed';
    this.#goodbye = new Promise((resolve) => {
      // A close that comes after the wait for it is over is nobody's.
      let isDone = false;
      const done = (event) => {
        if (isDone) return;
        isDone = true;
        clearTimeout(timer);
        if (socket) {
          const { code = 1006, reason = '' } = event ?? {};
          this[emit]({ ...this.#ending('client', code, reason, 'never'), next: { action: 'stop' } });
        }
        this.#finish();
        resolve();
      };
      const timer = setTimeout(done, CLOSE_MS);
      if (!socket) return done();
      socket.addEventListener('close', done, { once: true });
      socket.close(1000, 'bye');
    });
    return this.#goodbye;
  }

  // Connecting

  async #connect() {
    if (this.#state === 'closed') return;
    this.#forget();
    this.#state = 'connecting';
    const step = this.#step;
    if (this.#need) {
      let fresh = null;
      try {
        fresh = await this.#ask(this.#need);
      } catch (error) {
        if (step !== this.#step) return;
        // Its words are not ours to pass on: they may hold what it was about.
        const isInvalid = error instanceof GateError && error.code === 'invalid';
        const ending = this.#ending('failed', null, 'credential_failed', isInvalid ? 'never' : 'later');
        return this.#ended({ ...ending, detail: isInvalid ? CREDENTIAL : null });
      }
      if (step !== this.#step) return;
      if (!fresh) return this.#ended(this.#ending('failed', null, 'no_credential', 'never'));
      this.#credential = fresh;
      this.#need = null;
    }
    this.#open();
  }

  #open() {
    const { url, protocols } = opening(this.#url, this.#credential);
    let socket;
    try {
      socket = new this.#options.WebSocket(url, protocols);
    } catch {
      // A page by https that asks for ws://, a port that browsers block: the same the next time.
      return this.#ended(this.#ending('failed', null, 'not_allowed', 'never'));
    }
    // A ticket works once.
    if (this.#credential.ticket) this.#need = { why: 'connect' };
    socket.binaryType = 'arraybuffer';
    this.#socket = socket;
    const whileMine = (act) => (event) => {
      if (this.#socket === socket) act(event);
    };
    socket.addEventListener('open', whileMine(() => {
      this.#openedAt = performance.now();
      if (socket.protocol !== SUBPROTOCOL) return this.#drop(this.#ending('violation', null, 'not_portcullis', 'never'));
      if (this.#credential.firstMessage) this.#send({ type: 'authenticate', token: this.#credential.token });
    }));
    socket.addEventListener('message', whileMine((event) => this.#receive(event.data)));
    socket.addEventListener('close', whileMine(({ code, reason }) => {
      this.#ended(this.#ending(code === 1006 || code === 1005 ? 'lost' : 'gate', code, reason));
    }));
    this.#timer = setTimeout(() => {
      this.#drop(this.#ending('lost', null, 'handshake_timeout', 'later'));
    }, this.#options.handshakeTimeoutMs);
  }

  /** Leaves a connection to itself: its events are not heard any more. */
  #drop(ending) {
    const socket = this.#socket;
    this.#socket = null;
    socket?.close(1000);
    this.#ended(ending);
  }

  /** Nothing that was on its way to a connection goes on. */
  #forget() {
    this.#step += 1;
    this.#socket = null;
    this.#waitsByItself = false;
    clearTimeout(this.#timer);
  }

  /** How a connection ended; what `closing` said outweighs the table, and the close frame if that was lost. */
  #ending(cause, code, reason, advice) {
    const closing = this.#closing;
    const isNone = code === null || code === 1005 || code === 1006;
    const seen = isNone ? closing?.code ?? null : code;
    const text = reason || (closing?.reason ?? '');
    const advised = ['never', 'reauthenticate', 'later'].includes(closing?.reconnect) ? closing.reconnect : undefined;
    return {
      type: 'closed',
      cause: closing && cause === 'lost' ? 'gate' : cause,
      code: seen,
      reason: isText(text) ? text : '',
      advice: cause === 'gate' || cause === 'lost' ? advised ?? advice ?? adviceFor(seen, text) : advice,
      retryAfterMs: clampedMs(closing?.retry_after_ms),
      detail: isText(closing?.detail) ? closing.detail : null,
    };
  }

  #ended(ending) {
    if (this.#state === 'closed') return;
    this.#forget();
    const stood = this.#openedAt === null ? 0 : performance.now() - this.#openedAt;
    if (stood >= STEADY_MS) this.#attempt = 0;
    this.#openedAt = null;
    this.#closing = null;
    let next = this.#policy.decide(ending, this.#attempt, this.#source !== null, Math.random());
    this.#attempt += 1;
    if (next.action === 'retry' && (this.#need || this.#isExpired)) {
      // The ticket is used up, or the token's time is over: the same credential cannot do again.
      if (this.#source) next = { ...next, action: 'reauthenticate' };
      else if (this.#need) next = { action: 'stop' };
    }
    if (next.action === 'reauthenticate') this.#need = { why: 'closed', ending };
    this.#state = 'waiting';
    this.#answerAll();
    const step = this.#step;
    this[emit]({ ...ending, next });
    if (step !== this.#step) return;
    if (next.action === 'stop') {
      this.#state = 'closed';
      this[emit]({ type: 'gaveup', ending });
      this.#finish();
    } else {
      this.#waitsByItself = ending.retryAfterMs === null;
      this.#timer = setTimeout(() => this.#connect(), next.afterMs);
    }
  }

  get #isExpired() {
    return this.#source !== null && this.#expiresAt !== null && this.#expiresAt * 1000 <= Date.now();
  }

  #finish() {
    globalThis.removeEventListener?.('online', this.#networkIsBack);
    globalThis.removeEventListener?.('offline', this.#networkIsGone);
    globalThis.document?.removeEventListener('visibilitychange', this.#pageIsSeen);
    this.#answerAll();
    for (const room of [...this.#rooms.values()]) this.#dismiss(room, closedError());
    this.#credential = null;
    this.#source = null;
    this[end]();
  }

  // The network and the page

  #networkIsGone = () => {
    this.#wasOffline = true;
  };

  #networkIsBack = () => {
    const wasOffline = this.#wasOffline;
    this.#wasOffline = false;
    if (this.#state === 'waiting') this.#hurry();
    // The browser answers pings unseen, so nothing would tell that an old connection leads nowhere any more.
    else if (wasOffline && this.#state === 'open') this.#drop(this.#ending('lost', null, 'offline', 'later'));
  };

  /** Timers of a hidden page run late. */
  #pageIsSeen = () => {
    if (this.#state === 'waiting' && globalThis.document.visibilityState === 'visible') this.#hurry();
  };

  /** Cuts a wait of our own short, once; never one that the gate asked for. */
  #hurry() {
    if (!this.#waitsByItself) return;
    this.#waitsByItself = false;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#connect(), this.#policy.backoff(0, Math.random()));
  }

  // Credentials

  /** One question at a time: whoever asks meanwhile gets the same answer. */
  #ask(question) {
    const source = this.#source;
    if (!source) return Promise.resolve(null);
    this.#asking ??= Promise.resolve(question).then(source).then(credentialOf).finally(() => {
      this.#asking = null;
    });
    return this.#asking;
  }

  /** Answers `expiring` and `reauthenticate` with a fresh token, and tries again while its source fails and the connection stands. */
  async #refreshBy(question) {
    const refreshes = this.#refreshes;
    if (!this.#source) return;
    if (refreshes.step === this.#step) {
      // A token that only lives longer is no newer sign-in.
      if (question.why === 'reauthenticate') refreshes.next = question;
      return;
    }
    const step = this.#step;
    Object.assign(refreshes, { step, next: null });
    for (let asked = question; asked && step === this.#step;) {
      if (performance.now() - refreshes.last >= STEADY_MS) refreshes.count = 0;
      // A gate that asks over and over is not answered in a loop.
      if (refreshes.count > 0) await this.#pause(this.#policy.backoff(refreshes.count, Math.random()));
      if (step !== this.#step) break;
      refreshes.count += 1;
      refreshes.last = performance.now();
      try {
        const fresh = await this.#ask(asked);
        if (fresh?.token && this.#state !== 'closed') {
          this.#credential = fresh;
          this.#need = null;
          if (step === this.#step) this.#request('refresh', { token: fresh.token }).catch(() => {});
        }
        asked = refreshes.next;
        refreshes.next = null;
      } catch { /* its source failed: once more */ }
    }
    if (refreshes.step === step) refreshes.step = null;
  }

  #pause(ms) {
    return new Promise((resolve) => setTimeout(resolve, ms));
  }

  // Messages

  #send(message) {
    this.#socket.send(JSON.stringify(message));
  }

  #receive(data) {
    // Nothing comes after `closing`.
    if (this.#closing) return;
    if (!isText(data)) return this[emit]({ type: 'binary', data });
    const message = parseMessage(data);
    switch (message.type) {
      case 'welcome': return this.#welcomed(message, data);
      case 'closing': return this.#closingReceived(message);
      case 'joined': case 'left': this.#membershipReceived(message); break;
      case 'error': this.#errorReceived(message); break;
      case 'permission': case 'refreshed': this.#rolesReceived(message); break;
      case 'message': this.#rooms.get(message.resource)?.[emit](message); break;
      case 'missed': this.#missedReceived(message); break;
      case 'expiring': case 'reauthenticate': this.#refreshBy({ why: message.type, message }); break;
      default:
    }
    this[emit](message);
  }

  #welcomed(welcome, text) {
    // One a connection: another one is passed on, and changes nothing.
    if (this.#state === 'open') return this[emit]({ type: 'unknown', name: 'welcome', text });
    clearTimeout(this.#timer);
    this.#state = 'open';
    this.#welcome = welcome;
    this.#expiresAt = typeof welcome.expires_at === 'number' ? welcome.expires_at : null;
    const step = this.#step;
    this[emit]({ type: 'connected', welcome });
    if (step === this.#step) this[emit](welcome);
    for (const room of [...this.#rooms.values()]) {
      if (step !== this.#step) return;
      if (!room.isBound) this.#sendJoin(room);
      else {
        this.#joined(room, { type: 'joined', resource: room.resource, role: welcome.role });
        // A welcome does not say who is there.
        if (step === this.#step && room.state === 'joined') this.#askMembers(room);
      }
    }
  }

  #closingReceived(message) {
    this.#closing = message;
    const step = this.#step;
    this[emit](message);
    if (step !== this.#step) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#drop(this.#ending('gate', null, '')), CLOSE_MS);
  }

  #membershipReceived(message) {
    const { ref, resource, user } = message;
    const request = this.#take(ref);
    const isOwn = request !== undefined || user === undefined || user === null;
    const room = this.#rooms.get(resource);
    if (!isOwn) {
      if (room) updateMembers(room, message, false);
      room?.[emit](message);
    } else if (message.type === 'joined') {
      this.#takeOf(room, 'join');
      if (room) this.#joined(room, message);
    } else {
      (request ?? this.#takeOf(room, 'leave'))?.resolve();
      if (room) this.#dismiss(room, new GateError('not_a_member', 'The membership has ended.'), message);
    }
  }

  #missedReceived(message) {
    const room = this.#rooms.get(message.resource);
    room?.[emit](message);
    // Who came and who went may be missing, too.
    if (room?.state === 'joined' && room.members.length > 0) this.#askMembers(room);
  }

  /** Asks who is in a room that is joined already. The answer is a `joined`; where there is none, the list stays as it is. */
  #askMembers(room) {
    this.#request('join', { resource: room.resource }).catch(() => {});
  }

  #joined(room, message) {
    const state = room[inner];
    if (room.state === 'joined' && state.socket === this.#socket) {
      if (isText(message.role)) room.role = message.role;
      // The gate does not tell, or not now.
      if (!Array.isArray(message.members)) room.members = [];
      else {
        updateMembers(room, message, true);
        room[emit](message);
      }
      return;
    }
    Object.assign(state, { socket: this.#socket, refusals: 0, wasJoined: true });
    room.state = 'joined';
    if (isText(message.role)) room.role = message.role;
    if (!Array.isArray(message.members)) room.members = [];
    updateMembers(room, message, true);
    state.resolve(room);
    room[emit](message);
    if (state.isBack) {
      state.isBack = false;
      // What was said while there was no connection is not told again.
      const missed = { type: 'missed', resource: room.resource, reconnected: true };
      room[emit](missed);
      this[emit](missed);
    }
  }

  #errorReceived(message) {
    const request = this.#take(message.ref);
    if (!request) return;
    const detail = isText(message.detail) ? message.detail : null;
    request.room?.[emit](message);
    request.reject(new GateError(message.code.slice(0, 64), 'The gate did not act on the message: see code and detail.', detail));
  }

  #rolesReceived(message) {
    if (message.type === 'permission') {
      const room = this.#rooms.get(message.resource);
      if (room) room.role = isText(message.to) ? message.to : null;
      room?.[emit](message);
      return;
    }
    this.#expiresAt = typeof message.expires_at === 'number' ? message.expires_at : null;
    for (const room of this.#rooms.values()) {
      const role = Object.hasOwn(message.permissions, room.resource) ? message.permissions[room.resource] : undefined;
      if (isText(role)) room.role = role;
    }
    (this.#take(message.ref) ?? this.#takeOf(null, 'refresh'))?.resolve(message);
  }

  // Requests and their answers

  #request(type, fields, room = null) {
    if (this.#state !== 'open' || this.#closing) return Promise.reject(closedError());
    if (this.#requests.size >= REQUEST_BOUND || this.#socket.bufferedAmount > this.#options.maximumBuffered) {
      return Promise.reject(new GateError('congested', 'Too much waits to be sent already.'));
    }
    const ref = `p${(this.#lastRef += 1)}`;
    return new Promise((resolve, reject) => {
      // The gate answers a publish only where it refuses it.
      const isSettled = type === 'publish';
      const timer = setTimeout(() => {
        const request = this.#take(ref);
        if (isSettled) request?.resolve();
        else request?.reject(new GateError('timed_out', 'The gate did not answer in time.'));
      }, isSettled ? this.#options.settleMs : this.#options.answerTimeoutMs);
      this.#requests.set(ref, { type, room, resolve, reject, timer });
      this.#send({ type, ...fields, ref });
    });
  }

  /** The request of a `ref`, which is answered herewith. */
  #take(ref) {
    const request = this.#requests.get(ref);
    if (!request) return undefined;
    clearTimeout(request.timer);
    this.#requests.delete(ref);
    return request;
  }

  /** The oldest request of a type, for answers that carry no `ref`. */
  #takeOf(room, type) {
    for (const [ref, request] of this.#requests) {
      if (request.type === type && request.room === (room ?? null)) return this.#take(ref);
    }
    return undefined;
  }

  /** No answer will come. */
  #answerAll() {
    for (const ref of [...this.#requests.keys()]) {
      const request = this.#take(ref);
      // Without a connection there is no membership.
      if (request.type === 'leave') request.resolve();
      else request.reject(closedError());
    }
    for (const room of [...this.#rooms.values()]) {
      if (room[inner].leaving) this.#dismiss(room, closedError());
      else if (room.state === 'joined') {
        room.state = 'joining';
        room[inner].isBack = true;
        room.members = [];
      }
    }
  }

  async #sendJoin(room) {
    const state = room[inner];
    if (state.socket === this.#socket) return;
    const socket = (state.socket = this.#socket);
    try {
      await this.#request('join', { resource: room.resource }, room);
    } catch (error) {
      // Another connection asks for itself; one that has joined meanwhile has what it wanted.
      if (this.#socket !== socket || this.#rooms.get(room.resource) !== room || room.state !== 'joining') return;
      const isForNow = ['unavailable', 'rate_limited', 'timed_out', 'congested'].includes(error.code);
      if (!state.wasJoined || !isForNow) {
        // Should it be answered after all, it is not wanted any more.
        if (error.code === 'timed_out') this.#request('leave', { resource: room.resource }).catch(() => {});
        return this.#dismiss(room, error);
      }
      state.refusals += 1;
      await this.#pause(this.#policy.backoff(state.refusals, Math.random()));
      if (this.#socket !== socket || this.#rooms.get(room.resource) !== room || room.state !== 'joining') return;
      state.socket = null;
      this.#sendJoin(room);
    }
  }

  /** A room that is one no more. */
  #dismiss(room, error, message) {
    if (room.state === 'left') return;
    this.#rooms.delete(room.resource);
    room.state = 'left';
    room.role = null;
    room.members = [];
    room[inner].reject(error);
    room[emit](message ?? { type: 'left', resource: room.resource, code: error.code });
    room[end]();
  }

  #publish(room, data) {
    const refused = (error) => {
      const promise = Promise.reject(error);
      promise.catch(() => {});
      return promise;
    };
    if (room.state === 'left') return refused(new GateError('not_a_member', 'The room was left.'));
    if (room.state !== 'joined') return refused(closedError());
    let text;
    try {
      text = JSON.stringify(data);
    } catch { /* a circle, a BigInt */ }
    if (text === undefined) return refused(invalid('What is published must be JSON.'));
    const promise = this.#request('publish', { resource: room.resource, data }, room);
    // Whoever does not ask how it went need not be told by a global error: the room's `error` event says it.
    promise.catch(() => {});
    return promise;
  }

  async #leave(room) {
    const state = room[inner];
    if (room.state === 'left') return undefined;
    if (room.isBound) return this.close();
    if (this.#state !== 'open' || state.socket !== this.#socket) {
      return this.#dismiss(room, new GateError('not_a_member', 'The room was left.'));
    }
    state.leaving ??= this.#request('leave', { resource: room.resource }, room)
      .catch((error) => {
        const isLeft = error.code === 'not_a_member' || error.code === 'closed';
        // Where there is no answer the wish stands, and the next connection does not join.
        if (isLeft || error.code === 'timed_out') this.#dismiss(room, error);
        if (!isLeft) throw error;
      })
      .finally(() => {
        state.leaving = null;
      });
    return state.leaving;
  }
}

/** Connects to a gate. */
export function connect(url, options) {
  return new GateSession(url, options);
}
