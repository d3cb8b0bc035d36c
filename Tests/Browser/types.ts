// Never run: what must compile, and, behind @ts-expect-error, what must not.
import { adviceFor, connect, GateError, GateSession, parseMessage, ReconnectPolicy, Room } from '../../Sources/PortcullisBrowser/portcullis.js';
import type { Advice, Credential, Member, Question, Role, WelcomeMessage } from '../../Sources/PortcullisBrowser/portcullis.js';

declare function show(...values: (string | number | boolean)[]): void;

async function credential(question: Question): Promise<Credential | null> {
  switch (question.why) {
    case 'connect': return 'token';
    case 'closed': return question.ending.code === 4401 ? { token: 'token' } : null;
    case 'expiring': return { token: `${question.message.in_s}`, firstMessage: true };
    case 'reauthenticate': return { ticket: question.message.reason ?? '' };
    case 'refresh': return { cookie: true };
    default: {
      const nothing: never = question;
      return nothing;
    }
  }
}

export async function use(): Promise<void> {
  const gate: GateSession = connect('/ws', { credential, resource: 'doc:1', policy: { baseMs: 1 } });
  connect(new URL('wss://h/ws'), { credential: 'token', policy: new ReconnectPolicy(), WebSocket });
  const off: () => void = gate.on('welcome', (welcome: WelcomeMessage) => show(welcome.user));
  off();
  gate.on('closed', ({ code, advice, next, retryAfterMs }) => {
    const advised: Advice = advice;
    show(advised, code ?? 0, retryAfterMs ?? 0, next.action === 'stop' ? 0 : next.afterMs);
    // @ts-expect-error: there is nothing to wait for where it stops
    if (next.action === 'stop') show(next.afterMs);
  });
  gate.addEventListener('joined', (event) => show(event.detail.type, event.detail.user ?? ''));
  gate.addEventListener('error', ({ detail }) => show(detail.code));
  // @ts-expect-error: no such event
  gate.on('opened', () => {});
  // @ts-expect-error: only a session gives up
  gate.room?.on('gaveup', () => {});
  // @ts-expect-error: read only
  gate.state = 'open';
  // @ts-expect-error: rooms come from join
  new Room();
  // @ts-expect-error: a credential is one thing
  connect('/ws', { credential: { cookie: false } });

  for await (const event of gate) {
    switch (event.type) {
      case 'permission': show(event.from ?? '', event.to ?? ''); break;
      case 'joined': case 'left': show(event.role ?? '', event.user ?? ''); break;
      case 'message': show(JSON.stringify(event.data), event.b64 ?? ''); break;
      case 'overflow': show(event.dropped); break;
      case 'binary': show(event.data.byteLength); break;
      case 'unknown': show(event.name ?? '', event.text); break;
      case 'closing': show(event.code, event.reconnect ?? ''); break;
      case 'gaveup': show(event.ending.cause); break;
      case 'connected': show(event.welcome.node ?? ''); break;
      case 'welcome': case 'expiring': case 'refreshed': case 'reauthenticate': case 'notice': case 'missed': case 'error': case 'closed': break;
      default: {
        const nothing: never = event;
        return nothing;
      }
    }
  }

  const room: Room = await gate.join('doc:1');
  const role: Role | null = room.role;
  const members: readonly Member[] = room.members;
  show(role ?? '', members.length, room.state === 'joined');
  try {
    await room.publish({ text: 'x', list: [1, null, true] });
    // @ts-expect-error: no JSON
    await room.publish(() => 1);
  } catch (error) {
    if (error instanceof GateError && error.code === 'forbidden') show(error.detail ?? '');
  }
  const refreshed = await gate.refresh('token');
  show(refreshed.permissions['doc:1'] ?? '', adviceFor(null), parseMessage('{}').type);
  await room.leave();
  await gate.close();
}
