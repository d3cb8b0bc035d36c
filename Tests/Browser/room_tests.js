import { connect, GateError } from '../../Sources/PortcullisBrowser/portcullis.js';
import { code, equal, Journal, ok, played, soon, test, WELCOME } from './kit.js';

const FAST = { baseMs: 10, capMs: 40 };
const HOLD = { hold: true };
const ROLES = { 'doc:1': 'editor', 'doc:2': 'viewer' };
const OBEY = [WELCOME, { obey: { roles: ROLES } }];
const JOINED = [{ await: 'join' }, { send: { type: 'joined', resource: 'doc:1', role: 'editor', members: [], ref: '$ref' } }];
const refuse = (what, number, fields = {}) => [{ await: what }, { send: { type: 'error', code: number, detail: 'no', ref: '$ref', ...fields } }];

test('rooms: joined by two, published to, left', async (using) => {
  const gate = await played(OBEY);
  const alice = using(connect(gate.url, { credential: 't' }));
  const ours = await alice.join('doc:1');
  equal([ours.resource, ours.state, ours.role, ours.members, ours.isBound], ['doc:1', 'joined', 'editor', [], false]);
  equal(await alice.join('doc:1') === ours, true, 'one room a resource');
  const journal = new Journal(ours);

  const bob = using(connect(gate.url, { credential: 't' }));
  const theirs = await bob.join('doc:1');
  equal(theirs.members, [{ user: 'c1', role: 'editor' }]);
  equal((await journal.find('joined')).user, 'c2');
  equal(ours.members, [{ user: 'c2', role: 'editor' }]);

  const atGate = new Journal(alice);
  const published = theirs.publish({ text: 'hällo', n: [1, null] });
  const message = await journal.find('message');
  equal([message.user, message.data], ['c2', { text: 'hällo', n: [1, null] }]);
  equal(await atGate.find('message'), message, 'the session hears it, too');
  equal(await soon(published, 'a publish settles'), undefined);

  await theirs.leave();
  equal([theirs.state, theirs.role, theirs.members], ['left', null, []]);
  await new Journal(theirs).over();
  equal((await journal.find('left')).user, 'c2');
  equal(ours.members, []);
  equal(ours.state, 'joined');
  equal(await code(theirs.publish(1)), 'not_a_member');
  await theirs.leave();
  const anew = await bob.join('doc:1');
  ok(anew !== theirs && anew.state === 'joined', 'joined anew');
  const leaving = anew.leave();
  const again = await bob.join('doc:1');
  await leaving;
  equal([anew.state, again.state], ['left', 'joined'], 'joined while it was being left');
});

test('what the gate refuses is rejected with its code', async (using) => {
  const gate = await played(OBEY);
  const session = using(connect(gate.url, { credential: 't' }));
  const journal = new Journal(session);
  equal(await code(session.join('doc:9')), 'forbidden');
  equal((await journal.find('error')).code, 'forbidden');
  equal(await code(session.join('')), 'bad_resource');
  const viewed = await session.join('doc:2');
  const room = new Journal(viewed);
  equal(await code(viewed.publish(1)), 'forbidden');
  equal((await room.find('error')).code, 'forbidden');
  const circle = {};
  circle.circle = circle;
  for (const data of [undefined, () => 1, circle, 1n]) equal(await code(viewed.publish(data)), 'invalid');
  const unheard = await session.join('doc:1');
  await Promise.all([unheard.publish(null), unheard.publish(0)]);
  const refs = (await gate.log())[0].messages.map(({ ref }) => ref);
  equal(new Set(refs).size, refs.length, 'each ref once');
});

test('an error tells its code and not what the gate said', async (using) => {
  const gate = await played([WELCOME, ...refuse('join', 'forbidden', { detail: 'eyJ.secret' }), HOLD]);
  const session = using(connect(gate.url, { credential: 'eyJ.secret' }));
  let error;
  await session.join('doc:1').catch((caught) => (error = caught));
  ok(error instanceof GateError && error instanceof Error, 'its class');
  equal([error.code, error.detail, error.name], ['forbidden', 'eyJ.secret', 'GateError']);
  ok(!String(error).includes('eyJ') && !error.stack.split('\n')[0].includes('eyJ'), 'its message');
});

test('a join waits for a connection; joins that are not answered time out', async (using) => {
  const gate = await played([{ refuse: 503 }], OBEY);
  const session = using(connect(gate.url, { credential: 't', policy: FAST }));
  equal((await session.join('doc:1')).state, 'joined');

  const deaf = await played([WELCOME, HOLD]);
  const unanswered = using(connect(deaf.url, { credential: 't', answerTimeoutMs: 100 }));
  equal(await code(unanswered.join('doc:1')), 'timed_out');
  equal(await code(unanswered.refresh('t')), 'timed_out');
  const log = await deaf.logged(([{ messages }]) => messages.length === 3, 'three messages');
  equal(log[0].messages.map(({ type }) => type), ['join', 'leave', 'refresh'], 'it is not wanted any more');

  const gone = await played([close(4410)]);
  const never = using(connect(gone.url, { credential: 't' }));
  equal(await code(never.join('doc:1')), 'closed');
});

function close(number) {
  return { close: [number, ''] };
}

test('after a reconnect rooms are joined anew, and told that they missed something', async (using) => {
  const gate = await played(
    [WELCOME, ...JOINED, { drop: true }],
    [WELCOME, ...refuse('join', 'unavailable'), ...refuse('join', 'rate_limited'), ...JOINED, { send: { type: 'message', resource: 'doc:1', data: 'back' } }, { drop: true }],
    [WELCOME, ...refuse('join', 'forbidden'), HOLD],
  );
  const session = using(connect(gate.url, { credential: 't', policy: FAST }));
  const room = await session.join('doc:1');
  const journal = new Journal(room);
  const atGate = new Journal(session);
  await atGate.find('closed');
  equal(room.state, 'joining');
  equal(await code(room.publish('lost')), 'closed');
  equal(await journal.find('missed'), { type: 'missed', resource: 'doc:1', reconnected: true });
  equal(journal.types.split(' ').slice(0, 4), ['error', 'error', 'joined', 'missed']);
  equal((await atGate.find('missed')).resource, 'doc:1');
  equal((await journal.find('message')).data, 'back');
  const left = await journal.find('left');
  equal([left.code, left.user, room.state], ['forbidden', undefined, 'left']);
  await journal.over();
  const log = await gate.log();
  equal(log.map(({ messages }) => messages.map(({ type }) => type).join(' ')), ['join', 'join join join', 'join']);
  equal(await code(room.publish(1)), 'not_a_member');
});

test('a bound room after a reconnect', async (using) => {
  const welcome = (role) => ({ send: { ...WELCOME.send, resource: 'doc:1', role } });
  const gate = await played([welcome('editor'), { await: 'publish' }, { drop: true }], [welcome('viewer'), HOLD]);
  const session = using(connect(gate.url, { credential: 't', policy: FAST, resource: 'doc:1' }));
  const { room } = session;
  const journal = new Journal(room);
  await journal.find('joined');
  equal(await code(room.publish(1)), 'closed', 'nobody knows what came of it');
  await journal.find('missed');
  equal([room.state, room.role, session.room === room], ['joined', 'viewer', true]);
  await session.close();
  equal((await journal.find('left')).code, 'closed');
});

test('who is in a room: told, kept up, and asked for anew after a gap', async (using) => {
  const say = (type, fields) => ({ send: { type, resource: 'doc:1', ...fields } });
  const list = (...members) => [{ await: 'join' }, say('joined', { role: 'viewer', members, ref: '$ref' })];
  const bound = { send: { ...WELCOME.send, resource: 'doc:1', role: 'editor' } };
  const others = [['joined', 'bob'], ['joined', 'ann'], ['left', 'ann'], ['left', 'nobody']].map(([type, user]) => say(type, { user }));
  const unknown = [{ await: 'join' }, say('joined', { role: 'owner', ref: '$ref' }), say('message', { data: 1 })];
  const gate = await played(
    [bound, ...list('ann', 'me'), ...others, say('missed'), ...list('carl', 'me'), say('missed'), ...unknown, { drop: true }],
    [bound, ...list('me'), HOLD],
  );
  const session = using(connect(gate.url, { credential: 't', policy: FAST, resource: 'doc:1' }));
  const { room } = session;
  const seen = [];
  const names = () => room.members.map(({ user }) => user).sort().join(' ');
  for (const type of ['joined', 'left', 'missed', 'message']) room.on(type, () => seen.push(`${type}: ${names()}`));
  const journal = new Journal(room);
  await journal.find('message');
  equal(seen.splice(0), [
    'joined: ', 'joined: ann me', 'joined: ann bob me', 'joined: ann bob me', 'left: bob me', 'left: bob me', 'missed: bob me',
    'joined: carl me', 'missed: carl me', 'message: ',
  ]);
  await journal.find('missed');
  await journal.find('joined');
  equal(seen, ['joined: ', 'missed: ', 'joined: me']);
  equal((await gate.log()).map(({ messages }) => messages.map(({ type }) => type).join(' ')), ['join join join', 'join']);
});

test('roles and memberships that the gate changes', async (using) => {
  const gate = await played([WELCOME, ...JOINED, HOLD]);
  const messages = [
    { send: { type: 'permission', resource: 'doc:1', from: 'editor', to: 'viewer', version: 2 } },
    { send: { type: 'missed', resource: 'doc:1' } },
    { send: { type: 'refreshed', expires_at: null, permissions: { 'doc:1': 'owner' } } },
    { send: { type: 'message', resource: 'doc:1', b64: 'AQI=' } },
    { send: { type: 'message', resource: 'doc:7', data: 'of another' } },
    { send: { type: 'permission', resource: 'doc:1', from: 'owner', to: null, version: 3 } },
    { send: { type: 'left', resource: 'doc:1' } }, { send: { type: 'notice' } },
  ];
  const session = using(connect(gate.url, { credential: 't' }));
  const roles = [];
  const room = await session.join('doc:1');
  for (const type of ['permission', 'missed', 'message']) room.on(type, () => roles.push(`${type} ${room.role}`));
  const journal = new Journal(room);
  const atGate = new Journal(session);
  await gate.order(...messages);
  await atGate.find('notice');
  await journal.over();
  equal(roles, ['permission viewer', 'missed viewer', 'message owner', 'permission null']);
  equal([room.state, journal.seen.at(-1).type], ['left', 'left']);
});

test('leave: refused, unanswered, without a connection', async (using) => {
  const gate = await played([WELCOME, ...JOINED, ...refuse('leave', 'unavailable'), ...refuse('leave', 'not_a_member'), HOLD]);
  const session = using(connect(gate.url, { credential: 't' }));
  const room = await session.join('doc:1');
  equal(await code(room.leave()), 'unavailable');
  equal(room.state, 'joined', 'still a member');
  await room.leave();
  equal(room.state, 'left', 'the gate knows of no membership');

  const deaf = await played([WELCOME, ...JOINED, HOLD]);
  const unanswered = using(connect(deaf.url, { credential: 't', answerTimeoutMs: 100 }));
  const kept = await unanswered.join('doc:1');
  equal(await code(kept.leave()), 'timed_out');
  equal(kept.state, 'left');

  const dropping = await played([WELCOME, ...JOINED, { await: 'leave' }, { drop: true }], [WELCOME, HOLD]);
  const lost = using(connect(dropping.url, { credential: 't', policy: FAST }));
  const left = await lost.join('doc:1');
  const journal = new Journal(lost);
  await left.leave();
  equal(left.state, 'left');
  await journal.find('connected');
  equal((await dropping.log())[1].messages, []);

  const away = await played([WELCOME, ...JOINED, { drop: true }], [WELCOME, { send: { type: 'notice' } }, HOLD]);
  const waiting = using(connect(away.url, { credential: 't', policy: FAST }));
  const wish = await waiting.join('doc:1');
  const second = new Journal(waiting);
  await second.find('closed');
  await wish.leave();
  await second.find('notice');
  equal((await away.log())[1].messages, [], 'it is not joined anew');
});
