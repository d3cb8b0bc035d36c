import { connect, ReconnectPolicy } from '../../Sources/PortcullisBrowser/portcullis.js';
import { base, code, equal, Journal, ok, played, soon, test, tokenOf, WELCOME } from './kit.js';

const FAST = { baseMs: 10, capMs: 40 };
const HOLD = { hold: true };
const close = (number, reason = '') => ({ close: [number, reason] });
const closing = (fields) => ({ send: { type: 'closing', code: 1013, reason: 'slow_consumer', ...fields } });

/** Waits a minute by itself, and not at all once it is hurried. */
class Patient extends ReconnectPolicy {
  decide(ending, attempt, canReauthenticate, random) {
    const next = super.decide(ending, attempt, canReauthenticate, random);
    return next.action === 'retry' && ending.retryAfterMs === null ? { action: 'retry', afterMs: 60_000 } : next;
  }

  backoff() {
    return 0;
  }
}

test('a token goes as a subprotocol', async (using) => {
  const gate = await played([WELCOME, HOLD]);
  const secret = 'eyJ.secret~~??>>.x';
  const session = using(connect(gate.url, { credential: secret }));
  equal(session.state, 'connecting');
  equal(session.welcome, null);
  await new Journal(session).find('connected');
  equal(session.state, 'open');
  equal(session.welcome.user, 'alice');
  const [{ protocols, target, cookie }] = await gate.log();
  equal(protocols.length, 2);
  equal(protocols[0], 'portcullis.v1');
  equal(tokenOf({ protocols }), secret);
  ok(/^base64url\.bearer\.portcullis\.[A-Za-z0-9_-]+$/.test(protocols[1]), 'base64url without padding');
  ok(target.startsWith('/ws?key='), target);
  ok(!JSON.stringify(session).includes('eyJ') && !String(session).includes('eyJ'), 'a session does not show its token');
  ok(cookie !== secret, 'no cookie of ours');
});

test('a ticket stands in the query, and works once', async (using) => {
  const gate = await played([WELCOME, close(1001)], [WELCOME, HOLD]);
  const session = using(connect(gate.url, { credential: { ticket: 'a+b/c=' }, policy: FAST }));
  const journal = new Journal(session);
  equal((await journal.find('closed')).next, { action: 'stop' });
  await journal.find('gaveup');
  await journal.over();
  equal(session.state, 'closed');
  const [{ target, protocols }] = await gate.log();
  ok(target.endsWith('&ticket=a%2Bb%2Fc%3D'), target);
  equal(protocols, ['portcullis.v1']);

  const again = await played([WELCOME, close(1001)], [WELCOME, HOLD]);
  let tickets = 0;
  const asking = using(connect(again.url, { credential: () => ({ ticket: `t${(tickets += 1)}` }), policy: FAST }));
  const second = new Journal(asking);
  equal((await second.find('closed')).next.action, 'reauthenticate');
  await second.find('connected');
  equal((await again.log()).map((connection) => connection.target.split('ticket=')[1]), ['t1', 't2']);
});

test('the first message', async (using) => {
  const gate = await played([{ await: 'authenticate' }, WELCOME, HOLD]);
  const session = using(connect(gate.url, { credential: { token: 'secret', firstMessage: true } }));
  await new Journal(session).find('connected');
  const [{ messages, protocols }] = await gate.log();
  equal(messages, [{ type: 'authenticate', token: 'secret' }]);
  equal(protocols, ['portcullis.v1']);
});

test('a resource is percent-encoded, and a room of its own', async (using) => {
  const resource = 'doc:42/ä ?#%&!';
  const gate = await played([{ send: { ...WELCOME.send, resource, role: 'editor' } }, HOLD]);
  const session = using(connect(gate.url, { credential: 't', resource }));
  const { room } = session;
  equal([room.resource, room.isBound, room.state], [resource, true, 'joining']);
  equal(await soon(session.join(resource), 'the bound room') === room, true);
  equal([room.state, room.role], ['joined', 'editor']);
  const [{ target, messages }] = await gate.logged(([connection]) => connection.messages.length > 0, 'a question');
  equal(decodeURIComponent(target.split('?')[0]), `/ws/${resource}`);
  ok(target.startsWith('/ws/doc%3A42%2F%C3%A4%20%3F%23%25%26!?key='), target);
  equal(messages.map((message) => [message.type, message.resource]), [['join', resource]], 'it is a member, and asks once who is there');
  await room.leave();
  equal([session.state, room.state], ['closed', 'left']);
});

test('every message of the protocol is an event, with what it holds beyond', async (using) => {
  const messages = [
    { type: 'permission', resource: 'r', from: 'editor', to: 'viewer', version: 4, reason: 'x', newer: 1 },
    { type: 'expiring', expires_at: 1.5, in_s: 30 },
    { type: 'refreshed', expires_at: null, permissions: { r: 'viewer' } },
    { type: 'reauthenticate', deadline_s: 60, reason: 'x' },
    { type: 'notice', data: [1, { a: null }] },
    { type: 'message', resource: 'r', user: 'bob', connection: 'c2', data: null },
    { type: 'joined', resource: 'r', role: 'viewer', members: [] },
    { type: 'left', resource: 'r' },
    { type: 'missed', resource: 'r' },
    { type: 'error', code: 'unknown_type', detail: 'x', ref: 7 },
    { type: 'closing', code: 4409, reason: 'replaced', reconnect: 'never', detail: 'elsewhere' },
  ];
  const gate = await played([WELCOME, ...messages.map((send) => ({ send })), { send: { type: 'notice', data: 'too late' } }, close(4409, 'replaced')]);
  const session = using(connect(gate.url, { credential: 't' }));
  const heard = [];
  for (const { type } of messages) session.addEventListener(type, (event) => heard.push(event.detail));
  const off = session.on('notice', () => heard.push('on'));
  session.on('permission', off);
  const journal = new Journal(session);
  equal(await journal.find('closed'), {
    type: 'closed', cause: 'gate', code: 4409, reason: 'replaced', advice: 'never', retryAfterMs: null, detail: 'elsewhere', next: { action: 'stop' },
  });
  equal(heard, messages);
  await journal.over();
  equal(journal.types, `connected welcome ${messages.map(({ type }) => type).join(' ')} closed gaveup`);
});

test('a server that breaks rules: binary, unknown types, broken JSON, a second welcome', async (using) => {
  const gate = await played([
    WELCOME, { binary: [1, 2, 255] }, { send: { type: 'brandnew', x: 1 } }, { text: '{"type":"notice",' }, { text: '' }, { text: '[]' }, WELCOME,
    { send: { type: 'welcome' } }, { send: { type: '__proto__' } }, { send: { type: 'notice', data: 'still here' } }, HOLD,
  ]);
  const session = using(connect(gate.url, { credential: 't' }));
  const journal = new Journal(session);
  await journal.find('notice');
  equal([...new Uint8Array(journal.seen.find(({ type }) => type === 'binary').data)], [1, 2, 255]);
  equal(journal.types, 'connected welcome binary unknown unknown unknown unknown unknown unknown unknown notice');
  equal(journal.seen.filter(({ type }) => type === 'unknown').map(({ name }) => name), ['brandnew', null, null, null, 'welcome', 'welcome', '__proto__']);
  equal(journal.seen[3].text, '{"type": "brandnew", "x": 1}');
  equal(session.state, 'open');
});

test('closed without a closing message: the table says what to do', async (using) => {
  const cases = [
    [4410, 'revoked', 'never', 'stop'], [4423, 'blocked', 'never', 'stop'], [4409, 'replaced', 'never', 'stop'], [1000, 'bye', 'never', 'stop'],
    [4403, 'permission_revoked', 'never', 'stop'], [4403, 'reauthentication_required', 'reauthenticate', 'reauthenticate'],
    [4401, 'expired', 'reauthenticate', 'reauthenticate'], [1001, 'shutting_down', 'later', 'retry'], [1013, 'cannot_vouch', 'later', 'retry'],
    [4429, 'rate_limited', 'later', 'retry'], [4408, 'heartbeat_timeout', 'later', 'retry'],
  ];
  for (const [number, reason, advice, action] of cases) {
    const gate = await played([WELCOME, close(number, reason)], [WELCOME, HOLD]);
    const asked = [];
    const session = using(connect(gate.url, { credential: (question) => (asked.push(question), `t${asked.length}`), policy: FAST }));
    const journal = new Journal(session);
    const closed = await journal.find('closed');
    equal([closed.cause, closed.code, closed.reason, closed.advice, closed.next.action], ['gate', number, reason, advice, action], `${number}`);
    if (action === 'stop') {
      equal((await journal.find('gaveup')).ending.code, number);
      equal((await gate.log()).length, 1);
    } else {
      await journal.find('connected');
      const isFresh = action === 'reauthenticate';
      equal((await gate.log()).map(tokenOf), ['t1', isFresh ? 't2' : 't1'], `${number}`);
      equal(asked.map(({ why }) => why), isFresh ? ['connect', 'closed'] : ['connect']);
      if (isFresh) equal(asked[1].ending.code, number);
    }
    await session.close();
  }
});

test('what the closing message says outweighs the table, and a lost close frame', async (using) => {
  const gate = await played(
    [WELCOME, closing({ code: 1000, reason: 'bye', reconnect: 'later', retry_after_ms: 3 }), close(1000, 'bye')],
    [WELCOME, closing({ code: 4408, reconnect: 'perhaps' }), close(4408, 'heartbeat_timeout')],
    [WELCOME, closing({ code: 4410, reason: 'revoked', reconnect: 'never', retry_after_ms: 'x' }), { drop: true }],
  );
  const session = using(connect(gate.url, { credential: 't', policy: FAST }));
  const journal = new Journal(session);
  const first = await journal.find('closed');
  equal([first.code, first.advice, first.retryAfterMs, first.next], [1000, 'later', 3, { action: 'retry', afterMs: 3 }]);
  const second = await journal.find('closed');
  equal([second.code, second.advice, second.retryAfterMs], [4408, 'later', null], 'an advice that nobody knows');
  const third = await journal.find('closed');
  equal([third.cause, third.code, third.reason, third.advice, third.next.action], ['gate', 4410, 'revoked', 'never', 'stop']);
  await journal.over();
});

test('a gate that says closing and stays', async (using) => {
  const gate = await played([WELCOME, closing({ code: 4410, reconnect: 'never' }), HOLD]);
  const journal = new Journal(using(connect(gate.url, { credential: 't' })));
  equal((await journal.find('closed')).code, 4410);
});

test('a huge retry_after is a day, and nothing cuts it short', async (using) => {
  for (const asked of [1e300, 86_400_001]) {
    const gate = await played([WELCOME, closing({ reconnect: 'later', retry_after_ms: asked }), close(1013)]);
    const session = using(connect(gate.url, { credential: 't', policy: new Patient() }));
    const journal = new Journal(session);
    equal((await journal.find('closed')).next, { action: 'retry', afterMs: 86_400_000 });
    equal(session.state, 'waiting');
    globalThis.dispatchEvent?.(new Event('online'));
    await new Promise((wake) => setTimeout(wake, 50));
    equal(session.state, 'waiting');
    equal((await gate.log()).length, 1);
    await session.close();
    equal(session.state, 'closed');
    await journal.over();
  }
});

test('servers that fail in the handshake are tried again, later and later', async (using) => {
  for (const step of [{ refuse: 403 }, { half: true }, { silent: true }, { protocol: 'other' }]) {
    const gate = await played([step], [step], [step], [WELCOME, HOLD]);
    const session = using(connect(gate.url, { credential: 't', policy: FAST, handshakeTimeoutMs: 2_000 }));
    const journal = new Journal(session);
    await journal.find('connected');
    const closed = journal.seen.filter(({ type }) => type === 'closed');
    equal(closed.map(({ cause, code: number, next }) => [cause, number, next.action]), Array(3).fill(['lost', null, 'retry']), JSON.stringify(step));
    closed.forEach(({ next }, attempt) => ok(next.afterMs <= FAST.baseMs * 2 ** attempt, `${next.afterMs} in the bound of ${attempt}`));
    if (step.silent) equal(closed[0].reason, 'handshake_timeout');
    equal((await gate.log()).length, 4);
  }
});

test('a server that never says welcome', async (using) => {
  const gate = await played([HOLD], [WELCOME, HOLD]);
  const journal = new Journal(using(connect(gate.url, { credential: 't', policy: FAST, handshakeTimeoutMs: 2_000 })));
  equal((await journal.find('closed')).reason, 'handshake_timeout');
  await journal.find('connected');
});

test('nobody at the address', async (using) => {
  const session = using(connect('ws://127.0.0.1:9', { credential: 't', policy: FAST }));
  const journal = new Journal(session);
  const closed = await journal.find('closed');
  // A port that browsers block is told at once, and so is a page that may not connect.
  ok(['retry', 'stop'].includes(closed.next.action), closed.next.action);
});

test('a server that echoes the credential speaks no portcullis', async (using) => {
  const gate = await played([{ protocol: '$bearer' }, WELCOME, HOLD]);
  const journal = new Journal(using(connect(gate.url, { credential: 't' })));
  const closed = await journal.find('closed');
  equal([closed.cause, closed.reason, closed.next.action], ['violation', 'not_portcullis', 'stop']);
  equal(journal.count('connected'), 0);
});

test('no busy loop: a server that closes at once, and one that refuses every credential', async (using) => {
  for (const step of [close(1001), close(4401, 'expired'), closing({ reconnect: 'later', retry_after_ms: 0 })]) {
    const gate = await played([WELCOME, step, close(1013)]);
    let asked = 0;
    const session = using(connect(gate.url, { credential: () => `t${(asked += 1)}`, policy: { baseMs: 20, capMs: 80 } }));
    const journal = new Journal(session);
    const waits = [];
    for (let attempt = 0; attempt < 8; attempt += 1) waits.push((await journal.find('closed')).next.afterMs);
    await session.close();
    waits.forEach((wait, attempt) => ok(wait <= Math.min(20 * 2 ** attempt, 80), `${wait} at ${attempt}`));
    ok(waits.slice(1).filter((wait) => wait > 0).length >= 6, `waits between: ${waits}`);
    equal((await gate.log()).length - journal.count('closed') <= 1, true, 'one connection at a time');
  }
});

test('expiring and reauthenticate: a fresh token is sent, and kept for the next connection', async (using) => {
  const gate = await played(
    [WELCOME, { send: { type: 'expiring', expires_at: 9, in_s: 30 } }, { await: 'refresh' },
      { send: { type: 'refreshed', expires_at: null, permissions: {} } },
      { send: { type: 'reauthenticate', deadline_s: 60, reason: 'x' } }, { await: 'refresh' },
      { send: { type: 'refreshed', expires_at: null, permissions: {} } }, close(1001)],
    [WELCOME, HOLD],
  );
  const asked = [];
  const session = using(connect(gate.url, { credential: async (question) => (asked.push(question), `t${asked.length}`), policy: FAST }));
  const journal = new Journal(session);
  await journal.find('closed');
  await journal.find('connected');
  equal(asked.map(({ why }) => why), ['connect', 'expiring', 'reauthenticate']);
  equal([asked[1].message.in_s, asked[2].message.deadline_s], [30, 60]);
  const [first, second] = await gate.log();
  equal(first.messages.map(({ type, token }) => [type, token]), [['refresh', 't2'], ['refresh', 't3']]);
  equal(tokenOf(second), 't3');
  equal(journal.count('refreshed'), 2);
});

test('a newer sign-in is asked for while a token is being fetched', async (using) => {
  const gate = await played([
    WELCOME, { send: { type: 'expiring', in_s: 30 } }, { send: { type: 'reauthenticate', deadline_s: 60 } },
    { await: 'refresh' }, { await: 'refresh' }, { send: { type: 'notice' } }, HOLD,
  ]);
  const asked = [];
  let isAsked;
  const both = new Promise((resolve) => (isAsked = resolve));
  const credential = async ({ why }) => {
    asked.push(why);
    if (why === 'expiring') await both;
    return `t${asked.length}`;
  };
  const session = using(connect(gate.url, { credential, policy: FAST }));
  session.on('reauthenticate', isAsked);
  await new Journal(session).find('notice');
  equal(asked, ['connect', 'expiring', 'reauthenticate']);
  equal((await gate.log())[0].messages.map(({ token }) => token), ['t2', 't3']);
});

test('a source that gives what is no credential', async (using) => {
  for (const wrong of ['secret\n', { token: 7 }, 7, {}]) {
    const journal = new Journal(using(connect('ws://127.0.0.1', { credential: () => wrong })));
    const { ending } = await journal.find('gaveup');
    equal([ending.cause, ending.reason, ending.advice], ['failed', 'credential_failed', 'never']);
    ok(ending.detail.startsWith('A credential is') && !ending.detail.includes('secret'), ending.detail);
  }
});

test('a source that fails is asked again; one that has nothing is not', async (using) => {
  const gate = await played([WELCOME, { send: { type: 'expiring', in_s: 30 } }, { await: 'refresh' }, close(4401, 'expired')]);
  const answers = ['t1', new Error('secret'), new Error('secret'), 't2', new Error('secret'), null];
  const session = using(connect(gate.url, {
    policy: FAST,
    credential: () => {
      const answer = answers.shift();
      if (answer instanceof Error) throw answer;
      return answer;
    },
  }));
  const journal = new Journal(session);
  await journal.find('gaveup');
  equal(answers, []);
  equal(journal.seen.filter(({ type }) => type === 'closed').map(({ reason }) => reason), ['expired', 'credential_failed', 'no_credential']);
  ok(!JSON.stringify(journal.seen).includes('secret'), 'its words are not passed on');
});

test('a gate that asks for tokens over and over', async (using) => {
  const gate = await played([WELCOME, { flood: [500, { type: 'expiring', in_s: 30 }] }, { send: { type: 'notice', data: 0 } }, HOLD]);
  let asked = 0;
  const session = using(connect(gate.url, { credential: () => `t${(asked += 1)}` }));
  await new Journal(session).find('notice');
  ok(asked <= 3, `${asked} questions`);
  const fixed = using(connect(gate.url, { credential: 't' }));
  await new Journal(fixed).find('notice');
  equal((await gate.log())[1].messages, [], 'without a source nothing is sent');
});

test('refresh by hand', async (using) => {
  const gate = await played([WELCOME, { await: 'refresh' }, { send: { type: 'refreshed', expires_at: 5, permissions: {} } }, { await: 'refresh' }, { send: { type: 'error', code: 'unavailable', ref: '$ref' } }, HOLD]);
  const session = using(connect(gate.url, { credential: 't' }));
  await new Journal(session).find('connected');
  equal((await session.refresh('secret')).expires_at, 5);
  equal(await code(session.refresh('secret')), 'unavailable');
  equal(await code(session.refresh()), 'invalid');
  equal((await gate.log())[0].messages[0].token, 'secret');
});

test('a token whose time is over is not tried again', async (using) => {
  const gate = await played([{ send: { ...WELCOME.send, expires_at: 1 } }, { drop: true }], [WELCOME, HOLD]);
  let asked = 0;
  const session = using(connect(gate.url, { credential: () => `t${(asked += 1)}`, policy: FAST }));
  const journal = new Journal(session);
  const closed = await journal.find('closed');
  equal([closed.advice, closed.next.action], ['later', 'reauthenticate']);
  await journal.find('connected');
  equal((await gate.log()).map(tokenOf), ['t1', 't2']);
});

test('a flood reaches every listener in order; an iterator that sleeps is told what it missed', async (using) => {
  const gate = await played([WELCOME, { flood: [5_000, { type: 'notice', data: 'x' }] }, { send: { type: 'notice', data: 'end' } }, HOLD]);
  const session = using(connect(gate.url, { credential: 't' }));
  const asleep = session[Symbol.asyncIterator]();
  const numbers = [];
  await soon(new Promise((resolve) => session.on('notice', ({ n, data }) => (data === 'end' ? resolve() : numbers.push(n)))), 'the end');
  equal(numbers.length, 5_000);
  ok(numbers.every((number, at) => number === at), 'in order');
  const { value } = await asleep.next();
  equal(value, { type: 'overflow', dropped: 5_003 - 1_024 });
  equal((await asleep.next()).value.n, 5_000 - 1_023);
  await asleep.return();
  equal((await asleep.next()).done, true);
});

test('close', async (using) => {
  const gate = await played([WELCOME, HOLD]);
  const session = using(connect(gate.url, { credential: 't' }));
  const journal = new Journal(session);
  await journal.find('connected');
  const closed = session.close();
  await gate.order({ send: { type: 'notice', data: 'late' } });
  await closed;
  await session.close();
  await journal.over();
  const last = journal.seen.at(-1);
  equal([last.type, last.cause, last.code, last.next.action], ['closed', 'client', 1000, 'stop']);
  equal(journal.count('notice') + journal.count('gaveup'), 0);
  equal((await gate.log()).map(({ code: number }) => number), [1000]);
  equal(await code(session.join('r')), 'closed');
  equal(await code(session.refresh('t')), 'closed');
  for await (const event of session) throw new Error(`after the end: ${event.type}`);
});

test('a gate that never answers a goodbye', async (using) => {
  let socket;
  class Deaf extends EventTarget {
    protocol = 'portcullis.v1';
    constructor() {
      super();
      socket = this;
      queueMicrotask(() => this.dispatchEvent(new Event('open')));
    }
    send() {}
    close() {}
  }
  const session = using(connect('ws://gate.example', { credential: 't', WebSocket: Deaf }));
  const seen = [];
  session.on('closed', ({ cause, code: number }) => seen.push([cause, number]));
  await Promise.resolve();
  await soon(session.close(), 'the end');
  socket.dispatchEvent(Object.assign(new Event('close'), { code: 1000, reason: '' }));
  equal(seen, [['client', null]], 'once');
});

test('closed before there was a connection, and while the source thinks', async (using) => {
  const gate = await played([{ silent: true }]);
  const early = using(connect(gate.url, { credential: 't' }));
  await early.close();
  equal((await gate.log()).length, 0);
  let answer;
  const thinking = using(connect(gate.url, { credential: () => new Promise((resolve) => (answer = resolve)) }));
  const journal = new Journal(thinking);
  while (!answer) await new Promise((wake) => setTimeout(wake, 1));
  await thinking.close();
  answer('t');
  await journal.over();
  equal([journal.types, (await gate.log()).length], ['', 0]);
});

test('closed by a listener', async (using) => {
  for (const type of ['connected', 'welcome', 'notice', 'closing', 'closed']) {
    const gate = await played([WELCOME, { send: { type: 'notice' } }, closing({ reconnect: 'later' }), close(1013)], [WELCOME, HOLD]);
    const session = using(connect(gate.url, { credential: 't', policy: FAST }));
    const journal = new Journal(session);
    session.on(type, () => session.close());
    await journal.over();
    equal((await gate.log()).length, 1, type);
    equal(session.state, 'closed');
  }
  const final = await played([WELCOME, close(4410, 'revoked')]);
  const session = using(connect(final.url, { credential: 't' }));
  const journal = new Journal(session);
  session.on('closed', () => session.close());
  await journal.over();
  equal(journal.types, 'connected welcome closed', 'what one has ended oneself was not given up');
});

test('online again: a wait of our own is cut short, a connection from before is replaced', async (using) => {
  const gate = await played([WELCOME, { drop: true }], [WELCOME, HOLD]);
  const session = using(connect(gate.url, { credential: 't', policy: new Patient() }));
  const journal = new Journal(session);
  equal((await journal.find('closed')).next.afterMs, 60_000);
  dispatchEvent(new Event('online'));
  await journal.find('connected');
  dispatchEvent(new Event('online'));
  equal(session.state, 'open', 'nothing was lost');
  dispatchEvent(new Event('offline'));
  equal(session.state, 'open', 'it may come back');
  dispatchEvent(new Event('online'));
  const closed = await journal.find('closed');
  equal([closed.cause, closed.reason, closed.advice], ['lost', 'offline', 'later']);
  dispatchEvent(new Event('online'));
  await journal.find('connected');
  equal((await gate.log()).length, 3);
  const third = await played([WELCOME, { drop: true }], [WELCOME, HOLD]);
  const other = using(connect(third.url, { credential: 't', policy: new Patient() }));
  const second = new Journal(other);
  await second.find('closed');
  document.dispatchEvent(new Event('visibilitychange'));
  await second.find('connected');
}, 'browser');

test('a relative URL, and a URL of the page', async (using) => {
  const gate = await played([WELCOME, HOLD]);
  const session = using(connect(gate.url.slice(base.length), { credential: 't' }));
  await new Journal(session).find('connected');
  const root = using(connect(base + gate.url.slice(base.length + 3).replace(/^/, '/'), { credential: 't' }));
  await new Journal(root).find('connected');
  equal((await gate.log()).map(({ target }) => target.split('?')[0]), ['/ws', '/ws']);
}, 'browser');
