// A real gate, and decisions by the command line.
import { connect } from '../../Sources/PortcullisBrowser/portcullis.js';
import { base, code, decide as decideAbout, equal, isBrowser, Journal, ok, portcullis, post, soon, test, token as tokenOf } from './kit.js';

const FAST = { baseMs: 10, capMs: 200 };
const { main, strict } = await post('/gates', {});

// What was decided about somebody in one environment stands in the next: everybody is somebody else there.
const named = (user) => `${user}-${isBrowser ? 'page' : 'node'}`;
const token = (user, ...more) => tokenOf(named(user), ...more);
const decide = (what, option, user, ...more) => decideAbout(what, option, named(user), ...more);

test('gate: a token by subprotocol', async (using) => {
  const session = using(connect(`ws://${main}`, { credential: await token('ann', { 'doc:1': 'editor' }) }));
  const { welcome } = await new Journal(session).find('connected');
  equal([welcome.user, welcome.permissions, welcome.resource], [named('ann'), { 'doc:1': 'editor' }, undefined]);
  ok(welcome.expires_at * 1000 > Date.now() && welcome.heartbeat_s > 0 && welcome.node.length > 0, JSON.stringify(welcome));
});

test('gate: tickets, each once', async (using) => {
  const mint = async () => ({ ticket: await portcullis('ticket', 'mint', '--user', named('tim')) });
  const ticket = await mint();
  const first = using(connect(`http://${main}/ws`, { credential: ticket }));
  equal((await new Journal(first).find('connected')).welcome.user, named('tim'));
  const given = [ticket];
  const second = using(connect(`http://${main}/ws`, { credential: () => given.shift() ?? mint(), policy: FAST }));
  const journal = new Journal(second);
  const closed = await journal.find('closed');
  // Node sends no Origin: there the refusal is a status, which nobody can read.
  if (isBrowser) equal([closed.code, closed.reason, closed.advice], [4401, 'bad_ticket', 'reauthenticate']);
  equal((await journal.find('connected')).welcome.user, named('tim'));
});

test('gate: a session cookie', async (using) => {
  const id = await portcullis('session', 'create', '--user', named('sam'), '--field', 'permissions={"doc:1":"viewer"}');
  document.cookie = `session_id=${id}; path=/`;
  try {
    const session = using(connect(`ws://${main}`));
    const journal = new Journal(session);
    const { welcome } = await journal.find('connected');
    equal([welcome.user, welcome.permissions], [named('sam'), { 'doc:1': 'viewer' }]);
    await portcullis('session', 'end', id);
    const closing = await journal.find('closing');
    equal([closing.code, closing.reason, closing.reconnect], [4410, 'session_ended', 'never']);
    await journal.find('gaveup');
    await journal.over();
  } finally {
    document.cookie = 'session_id=; path=/; max-age=0';
  }
}, 'browser');

test('gate: the first message', async (using) => {
  const session = using(connect(`ws://${main}`, { credential: { token: await token('fay'), firstMessage: true } }));
  equal((await new Journal(session).find('connected')).welcome.user, named('fay'));
});

test('gate: two connections that are bound to a resource', async (using) => {
  const resource = 'doc:42/ä ?';
  const open = async (user, role) => {
    const session = using(connect(`ws://${main}`, { credential: await token(user, { [resource]: role }), resource }));
    await new Journal(session).find('connected');
    return session.room;
  };
  const [alice, bob, eve] = [await open('alice', 'editor'), await open('bob', 'viewer'), await open('eve', 'editor')];
  equal([alice.state, alice.role, bob.role], ['joined', 'editor', 'viewer']);
  const [atBob, atEve] = [new Journal(bob), new Journal(eve)];
  const data = { text: 'hällo', at: [1.5, null, true] };
  const published = alice.publish(data);
  for (const journal of [atBob, atEve]) {
    const message = await journal.find('message');
    equal([message.resource, message.user, message.data], [resource, named('alice'), data]);
  }
  await published;
  equal(await code(bob.publish('I may not')), 'forbidden');
  equal((await atBob.find('error')).code, 'forbidden');
});

test('gate: who is in a room', async (using) => {
  const [hers, his] = await Promise.all(['ann', 'ben'].map((user) => token(user, { 'doc:7': 'editor' })));
  const session = using(connect(`ws://${main}`, { credential: hers, resource: 'doc:7' }));
  const ours = new Journal(session.room);
  const other = using(connect(`ws://${main}`, { credential: his }));
  await ours.find('joined', () => session.room.members.length > 0);
  const names = (room) => room.members.map((member) => member.user).sort();
  equal(names(session.room), [named('ann')]);
  const theirs = await other.join('doc:7');
  equal(names(theirs), [named('ann'), named('ben')]);
  await ours.find('joined', ({ user }) => user === named('ben'));
  equal(names(session.room), [named('ann'), named('ben')]);
  await theirs.leave();
  await ours.find('left', ({ user }) => user === named('ben'));
  equal(names(session.room), [named('ann')]);
});

test('gate: permissions change, and the last one is taken away', async (using) => {
  const session = using(connect(`ws://${main}`, { credential: await token('pam', { 'doc:p': 'editor' }), resource: 'doc:p' }));
  const journal = new Journal(session);
  await journal.find('connected');
  await decide('permit', '--user', 'pam', '--resource', 'doc:p', '--role', 'viewer');
  const { from, to } = await journal.find('permission');
  equal([from, to, session.room.role], ['editor', 'viewer', 'viewer']);
  equal(await code(session.room.publish(1)), 'forbidden');
  const { room } = session;
  await decide('permit', '--user', 'pam', '--resource', 'doc:p', '--none');
  const closed = await journal.find('closed');
  equal([closed.code, closed.reason, closed.advice], [4403, 'permission_revoked', 'never']);
  await journal.find('gaveup');
  equal(room.state, 'left');
});

test('gate: a notice', async (using) => {
  const session = using(connect(`ws://${main}`, { credential: await token('nina') }));
  const journal = new Journal(session);
  await journal.find('connected');
  await decide('notify', '--user', 'nina', '--data', '{"hello":["you"]}');
  equal((await journal.find('notice')).data, { hello: ['you'] });
});

test('gate: revoked, and not let in again', async (using) => {
  const credential = await token('ron');
  const session = using(connect(`ws://${main}`, { credential: () => credential, policy: FAST }));
  const journal = new Journal(session);
  await journal.find('connected');
  await decide('revoke', '--user', 'ron', '--message', 'You changed your password.');
  const closing = await journal.find('closing');
  equal([closing.code, closing.reason, closing.reconnect, closing.detail], [4410, 'revoked', 'never', 'You changed your password.']);
  const closed = await journal.find('closed');
  equal([closed.cause, closed.code, closed.next], ['gate', 4410, { action: 'stop' }]);
  await journal.over();
  if (!isBrowser) return;
  const again = new Journal(using(connect(`ws://${main}`, { credential })));
  const refused = await again.find('closed');
  equal([refused.code, refused.reason, refused.advice, again.count('connected')], [4410, 'revoked', 'never', 0]);
  // What this browser itself makes of the close frame, whatever the closing message said.
  const entry = `base64url.bearer.portcullis.${btoa(credential).replace(/\+/g, '-').replace(/\//g, '_').replace(/=/g, '')}`;
  const bare = new WebSocket(`ws://${main}/ws`, ['portcullis.v1', entry]);
  const event = await soon(new Promise((resolve) => bare.addEventListener('close', resolve)), 'the close');
  equal([event.code, event.reason, event.wasClean], [4410, 'revoked', true]);
});

test('gate: blocked', async (using) => {
  const session = using(connect(`ws://${main}`, { credential: await token('ben') }));
  const journal = new Journal(session);
  await journal.find('connected');
  await decide('block', '--user', 'ben');
  const closed = await journal.find('closed');
  equal([closed.code, closed.reason, closed.next.action], [4423, 'blocked', 'stop']);
});

test('gate: disconnected, and back by itself', async (using) => {
  const session = using(connect(`ws://${main}`, { credential: await token('dan'), policy: FAST }));
  const journal = new Journal(session);
  await journal.find('connected');
  await decide('disconnect', '--user', 'dan');
  const closed = await journal.find('closed');
  equal([closed.code, closed.advice, closed.next.action], [1000, 'later', 'retry']);
  equal((await journal.find('connected')).welcome.user, named('dan'));
});

test('gate: refreshed before it expires, on the live connection', async (using) => {
  const asked = [];
  const credential = (question) => {
    asked.push(question.why);
    return token('rex', asked.length === 1 ? {} : { 'doc:1': 'viewer' }, '--ttl', asked.length === 1 ? '12s' : '15m');
  };
  const session = using(connect(`ws://${main}`, { credential, policy: FAST }));
  const journal = new Journal(session);
  const { welcome } = await journal.find('connected');
  const expiring = await journal.find('expiring');
  ok(expiring.expires_at === welcome.expires_at && expiring.in_s <= 12, JSON.stringify(expiring));
  const refreshed = await journal.find('refreshed');
  ok(refreshed.expires_at > welcome.expires_at + 800, JSON.stringify(refreshed));
  equal(refreshed.permissions, { 'doc:1': 'viewer' });
  // The first token's end is over.
  await new Promise((wake) => setTimeout(wake, welcome.expires_at * 1000 - Date.now() + 300));
  equal((await session.join('doc:1')).role, 'viewer');
  equal([journal.count('closed'), asked], [0, ['connect', 'expiring']]);
});

test('gate: expired, and back with a fresh token', async (using) => {
  const asked = [];
  const credential = (question) => {
    asked.push(question);
    // There is none in time.
    if (question.why === 'expiring') return null;
    return token('eli', {}, '--ttl', asked.length === 1 ? '12s' : '15m');
  };
  const session = using(connect(`ws://${main}`, { credential, policy: FAST }));
  const journal = new Journal(session);
  await journal.find('connected');
  const closed = await journal.find('closed');
  equal([closed.code, closed.reason, closed.advice, closed.next.action], [4401, 'expired', 'reauthenticate', 'reauthenticate']);
  await journal.find('connected');
  equal(asked.map(({ why }) => why), ['connect', 'expiring', 'closed']);
  equal(asked[2].ending.reason, 'expired');
});

test('gate: a token that is not accepted is not tried again', async (using) => {
  const asked = [];
  const credential = (question) => (asked.push(question.why), asked.length < 3 ? 'eyJhbGciOiJub25lIn0.e30.' : token('una'));
  const session = using(connect(`ws://${main}`, { credential, policy: FAST }));
  const journal = new Journal(session);
  const closed = await journal.find('closed');
  equal([closed.code, closed.advice], [4401, 'reauthenticate']);
  equal((await journal.find('connected')).welcome.user, named('una'));
  equal(asked, ['connect', 'closed', 'closed']);
  const fixed = new Journal(using(connect(`ws://${main}`, { credential: 'eyJhbGciOiJub25lIn0.e30.' })));
  equal((await fixed.find('gaveup')).ending.code, 4401);
}, 'browser');

test('gate: a fresh sign-in is asked for, and shown on the live connection', async (using) => {
  const asked = [];
  const credential = (question) => {
    asked.push(question.why);
    // Seconds with a fraction: it is later than the decision, and not in the future.
    return token('ria', {}, '--claim', `auth_time=${asked.length === 1 ? 1_000 : Date.now() / 1000}`);
  };
  const session = using(connect(`ws://${main}`, { credential, policy: FAST }));
  const silent = using(connect(`ws://${main}`, { credential: await token('ria', {}, '--claim', 'auth_time=1000') }));
  const [journal, atSilent] = [new Journal(session), new Journal(silent)];
  await journal.find('connected');
  await atSilent.find('connected');
  await decide('reauthenticate', '--user', 'ria', '--within', '10s', '--reason', 'new_device');
  const demand = await journal.find('reauthenticate');
  ok(demand.deadline_s > 0 && demand.deadline_s <= 10 && demand.reason === 'new_device', JSON.stringify(demand));
  await journal.find('refreshed');
  // Its deadline is over: who had nothing to show is closed, and the other is not.
  const closed = await atSilent.find('closed');
  equal([closed.code, closed.reason, closed.advice], [4401, 'expired', 'reauthenticate']);
  await decide('notify', '--user', 'ria', '--data', '"still here"');
  equal((await journal.find('notice')).data, 'still here');
  equal([journal.count('closed'), asked], [0, ['connect', 'reauthenticate']]);
});

test('gate: a resource that one may not view', async (using) => {
  const journal = new Journal(using(connect(`ws://${main}`, { credential: await token('vic'), resource: 'doc:secret' })));
  const closed = await journal.find('closed');
  equal([closed.code, closed.reason, closed.advice], [4403, 'forbidden_resource', 'never']);
  await journal.over();
}, 'browser');

test('gate: rooms are joined, spoken in and left', async (using) => {
  const mine = { 'doc:j': 'editor', 'doc:v': 'viewer' };
  const open = async (user) => {
    const session = using(connect(`ws://${main}`, { credential: await token(user, mine) }));
    await new Journal(session).find('connected');
    return session;
  };
  const [jim, jo, jill] = [await open('jim'), await open('jo'), await open('jill')];
  const [his, hers] = [await jim.join('doc:j'), await jo.join('doc:j')];
  equal([his.state, his.role, hers.state, hers.role], ['joined', 'editor', 'joined', 'editor']);
  const [atHis, atHers] = [new Journal(his), new Journal(hers)];
  await his.publish({ from: 'jim' });
  const message = await atHers.find('message');
  equal([message.user, message.data], [named('jim'), { from: 'jim' }]);
  await hers.publish([1, 2]);
  equal((await atHis.find('message')).data, [1, 2]);
  const viewed = await jim.join('doc:v');
  equal([viewed.role, await code(viewed.publish(1))], ['viewer', 'forbidden']);
  equal(await code(jim.join('doc:9')), 'forbidden');
  await hers.leave();
  equal(hers.state, 'left');
  // Who has heard what was said meanwhile knows that it is over.
  const witness = new Journal(await jill.join('doc:j'));
  await his.publish('unheard');
  equal((await witness.find('message')).data, 'unheard');
  const again = await jo.join('doc:j');
  const atAgain = new Journal(again);
  await his.publish('heard');
  equal((await atAgain.find('message')).data, 'heard');
});

test('gate: a room that is joined follows the role', async (using) => {
  const session = using(connect(`ws://${main}`, { credential: await token('rob', { 'doc:r': 'viewer' }) }));
  const room = await session.join('doc:r');
  const journal = new Journal(room);
  await decide('permit', '--user', 'rob', '--resource', 'doc:r', '--role', 'editor');
  const { from, to } = await journal.find('permission');
  equal([from, to, room.role], ['viewer', 'editor', 'editor']);
  await room.publish('mine');
  await decide('permit', '--user', 'rob', '--resource', 'doc:r', '--none');
  equal((await journal.find('permission')).to, null);
  await journal.over();
  equal([room.state, await code(session.join('doc:r'))], ['left', 'forbidden']);
});

test('gate: a page that is not on its list of origins', async (using) => {
  const session = using(connect(`ws://${strict}`, { credential: await token('ora'), policy: FAST }));
  const journal = new Journal(session);
  for (let time = 0; time < 3; time += 1) {
    const closed = await journal.find('closed');
    equal([closed.cause, closed.code, closed.advice], ['lost', null, 'later']);
  }
  equal(journal.count('connected'), 0);
}, 'browser');

test('README: the example', async (using) => {
  const source = await (await fetch(`${base}/example.js`)).text();
  ok(source.includes('portcullis.js') && source.includes(main), source);
  const lines = [];
  // Who is there stands apart: it may be told anew at any time.
  const said = () => lines.filter((line) => !line.startsWith('here:'));
  const log = console.log;
  console.log = (...words) => lines.push(words.join(' '));
  try {
    const { gate, room } = await soon(import(`${base}/example.js`), 'the example');
    using(gate);
    equal([room.resource, room.state, room.role], ['doc:42', 'joined', 'editor']);
    const other = using(connect(`ws://${main}`, { credential: await token('oli', { 'doc:42': 'editor' }), resource: 'doc:42' }));
    const journal = new Journal(other);
    await journal.find('connected');
    other.room.publish({ text: 'from Oli' });
    while (said().length === 0) await new Promise((wake) => setTimeout(wake, 10));
    await decideAbout('revoke', '--user', 'rea');
    while (said().length === 1) await new Promise((wake) => setTimeout(wake, 10));
  } finally {
    console.log = log;
  }
  equal(said(), [`${named('oli')} {"text":"from Oli"}`, 'over: revoked']);
  ok(lines.some((line) => line.startsWith('here:') && line.includes(named('oli'))), lines.join('; '));
}, 'browser');

// The last one: it stops the gate.
test('gate: it shuts down, and is back', async (using) => {
  const session = using(connect(`ws://${main}`, { credential: await token('sue', { 'doc:1': 'editor' }), resource: 'doc:1', policy: FAST }));
  const journal = new Journal(session);
  const room = new Journal(session.room);
  await journal.find('connected');
  const restarted = post('/restart', {});
  const closing = await journal.find('closing');
  equal([closing.code, closing.reason, closing.reconnect], [1001, 'shutting_down', 'later']);
  const closed = await journal.find('closed');
  equal([closed.code, closed.next], [1001, { action: 'retry', afterMs: closing.retry_after_ms }]);
  await restarted;
  equal((await journal.find('connected')).welcome.user, named('sue'));
  await room.find('missed');
  equal(session.room.state, 'joined');
});
