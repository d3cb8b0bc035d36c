import { adviceFor, connect, GateError, parseMessage, ReconnectPolicy } from '../../Sources/PortcullisBrowser/portcullis.js';
import { equal, ok, test, thrown } from './kit.js';

test('the table of close codes', async () => {
  const table = [
    [null, '', 'later'], [1000, 'bye', 'never'], [1001, 'shutting_down', 'later'], [1002, '', 'never'], [1003, '', 'never'],
    [1007, '', 'never'], [1008, '', 'never'], [1009, '', 'never'], [1011, '', 'later'], [1012, '', 'later'],
    [1013, 'slow_consumer', 'later'], [4401, 'expired', 'reauthenticate'], [4403, 'permission_revoked', 'never'],
    [4403, 'reauthentication_required', 'reauthenticate'], [4408, 'heartbeat_timeout', 'later'], [4409, 'replaced', 'never'],
    [4410, 'revoked', 'never'], [4423, 'blocked', 'never'], [4429, 'rate_limited', 'later'], [4499, '', 'never'], [4999, '', 'later'],
  ];
  for (const [code, reason, advice] of table) equal(adviceFor(code, reason), advice, `${code} ${reason}`);
});

test('the policy: full jitter in bounds, the wait that the gate asks for, no flood', async () => {
  const policy = new ReconnectPolicy({ baseMs: 100, capMs: 1_000 });
  const later = (retryAfterMs) => ({ advice: 'later', retryAfterMs });
  equal([0, 1, 2, 3, 4, 99].map((attempt) => policy.backoff(attempt, 1)), [100, 200, 400, 800, 1_000, 1_000], 'bounds');
  equal(policy.backoff(3, 0.5), 400, 'jitter');
  equal(policy.backoff(-1, 7), 100, 'nonsense');
  equal(policy.decide({ advice: 'never', retryAfterMs: 5 }, 0, true, 1), { action: 'stop' });
  equal(policy.decide(later(null), 1, false, 0.5), { action: 'retry', afterMs: 100 });
  equal(policy.decide(later(7), 0, false, 1), { action: 'retry', afterMs: 7 });
  equal(policy.decide(later(7), 2, false, 1), { action: 'retry', afterMs: 400 }, 'a gate that asks again and again');
  equal(policy.decide(later(5_000), 2, false, 1), { action: 'retry', afterMs: 5_000 });
  const reauthenticate = { advice: 'reauthenticate', retryAfterMs: null };
  equal(policy.decide(reauthenticate, 0, false, 1), { action: 'stop' });
  equal(policy.decide(reauthenticate, 0, true, 1), { action: 'reauthenticate', afterMs: 0 });
  equal(policy.decide(reauthenticate, 1, true, 1), { action: 'reauthenticate', afterMs: 200 });
  for (const options of [{ baseMs: 0 }, { baseMs: NaN }, { baseMs: 2, capMs: 1 }, { capMs: Infinity }]) {
    equal(thrown(() => new ReconnectPolicy(options)).code, 'invalid', JSON.stringify(options));
  }
});

test('messages: known ones with all their fields, others as unknown', async () => {
  const permission = { type: 'permission', resource: 'r', from: 'editor', to: null, version: 3, later: { on: [1] } };
  equal(parseMessage(JSON.stringify(permission)), permission);
  for (const type of ['permission', 'message', 'joined', 'left', 'missed', 'error', 'closing', 'welcome']) {
    equal(parseMessage(`{"type":"${type}"}`), { type: 'unknown', name: type, text: `{"type":"${type}"}` });
  }
  for (const text of ['', '{', '[]', 'null', '7', '{"type":7}', '{}']) {
    equal(parseMessage(text), { type: 'unknown', name: null, text });
  }
  for (const name of ['brandnew', '__proto__', 'constructor', 'toString']) {
    equal(parseMessage(`{"type":"${name}"}`).name, name);
    equal(parseMessage(`{"type":"${name}"}`).type, 'unknown');
  }
  equal(parseMessage('{"type":"refreshed","permissions":null}').permissions, {});
  equal(parseMessage('{"type":"closing","code":70000}').type, 'unknown');
});

test('what cannot be connected to, or with, is said at once and without repeating it', async () => {
  const cases = [
    ['http://[secret', {}], ['ftp://secret.example/ws', {}], ['ws://secret@h/ws', {}], ['ws://a:secret@h/ws', {}], ['ws://h/ws#secret', {}],
    ['ws://h', { credential: '' }], ['ws://h', { credential: 'secret with spaces' }], ['ws://h', { credential: { ticket: '' } }],
    ['ws://h', { credential: { secret: 'secret' } }], ['ws://h', { credential: null }], ['ws://h', { WebSocket: null }],
    ['ws://h', { resource: '' }], ['ws://h', { resource: 'ä'.repeat(128) }], ['ws://h', { resource: '\ud800' }], ['ws://h', { resource: '.' }],
    ['ws://h', { resource: '..' }], ['ws://h', { resource: 7 }],
  ];
  for (const [url, options] of cases) {
    const error = thrown(() => connect(url, options));
    ok(error instanceof GateError && ['invalid', 'bad_resource'].includes(error.code), `${url} ${JSON.stringify(options)}: ${error}`);
    ok(!`${error.message} ${error.stack.split('\n')[0]} ${error.detail}`.includes('secret'), `${error}`);
  }
});
