/**
 * A client of a Portcullis gate, for browsers and for whatever else has the WebSocket of browsers.
 *
 * ```js
 * import { connect } from './portcullis.js';
 *
 * const gate = connect('/ws', { credential: async () => (await fetch('/token')).text() });
 * const room = await gate.join('doc:42');
 * room.on('message', ({ user, data }) => console.log(user, data));
 * await room.publish({ text: 'hello' });
 * ```
 *
 * Fields of messages have the names of the protocol, and what a message holds beyond them is passed on as it came.
 */

/** `viewer` < `commenter` < `editor` < `owner`, or what the gate is configured with. */
export type Role = string;
export type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json };

// Credentials

export type Credential =
  /** A token, in the handshake as a subprotocol. */
  | string
  /** The same; with `firstMessage` it is sent as the first message instead (`tokens.sources: first_message`). */
  | { readonly token: string; readonly firstMessage?: boolean }
  /** Works for one connection: every further one asks the source of credentials, or there is none. A browser names the URL, and
   * the ticket in it, on its console where the connection fails. */
  | { readonly ticket: string }
  /** What the browser sends by itself. */
  | { readonly cookie: true };

/** Why a credential is asked for. */
export type Question =
  | { readonly why: 'connect' }
  | { readonly why: 'closed'; readonly ending: Ending }
  | { readonly why: 'expiring'; readonly message: ExpiringMessage }
  /** The token must be of a newer sign-in. */
  | { readonly why: 'reauthenticate'; readonly message: ReauthenticateMessage }
  | { readonly why: 'refresh' };

/**
 * Gives credentials: asked before the first connection, when one expires, and where the gate wants a fresh one. Null means that
 * there is none: the session ends. Where it throws it is asked again, later and later. One question is asked at a time.
 */
export type CredentialSource = (question: Question) => Credential | null | undefined | Promise<Credential | null | undefined>;

// Messages of the gate

export interface WelcomeMessage {
  readonly type: 'welcome';
  readonly connection: string;
  readonly user: string;
  readonly session?: string;
  /** Seconds since the epoch, perhaps with a fraction; null where nothing expires. */
  readonly expires_at?: number | null;
  readonly resource?: string;
  readonly role?: Role;
  readonly permissions: { readonly [resource: string]: Role };
  readonly node?: string;
  readonly heartbeat_s?: number;
}

export interface PermissionMessage {
  readonly type: 'permission';
  readonly resource: string;
  readonly from?: Role | null;
  readonly to?: Role | null;
  readonly version?: number;
  readonly reason?: string;
}

export interface ExpiringMessage {
  readonly type: 'expiring';
  readonly expires_at?: number | null;
  readonly in_s?: number;
}

export interface RefreshedMessage {
  readonly type: 'refreshed';
  readonly expires_at?: number | null;
  readonly permissions: { readonly [resource: string]: Role };
}

export interface ReauthenticateMessage {
  readonly type: 'reauthenticate';
  readonly deadline_s?: number;
  readonly reason?: string;
}

export interface NoticeMessage {
  readonly type: 'notice';
  readonly data?: Json;
}

export interface RelayedMessage {
  readonly type: 'message';
  readonly resource: string;
  readonly user?: string;
  readonly connection?: string;
  readonly data?: Json;
  /** A binary frame of a raw connection, in base64; then there is no `data`. */
  readonly b64?: string;
}

export interface MembershipMessage {
  /** One's own, or (with `user`) another's: a user who had no connection in the room before, or has none left. */
  readonly type: 'joined' | 'left';
  readonly resource: string;
  readonly role?: Role;
  readonly user?: string;
  readonly connection?: string;
  /** In one's own `joined`: the names of the users in the room, where the gate tells. */
  readonly members?: Json;
  readonly ref?: string | number;
  /** Of a `left` that this module made up, because a membership could not be renewed or the session is over. */
  readonly code?: ErrorCode;
}

export interface MissedMessage {
  /** Messages may have been lost: read the document anew. */
  readonly type: 'missed';
  readonly resource: string;
  /** There was no connection for a while; this one the module says itself, once the room is joined again. */
  readonly reconnected?: true;
}

export interface ErrorMessage {
  readonly type: 'error';
  readonly code: GateErrorCode;
  readonly detail?: string;
  readonly ref?: string | number;
}

export interface ClosingMessage {
  /** Always the last message; `closed` follows. */
  readonly type: 'closing';
  readonly code: number;
  readonly reason?: string;
  readonly reconnect?: Advice | (string & {});
  readonly retry_after_ms?: number;
  readonly detail?: string;
}

export type ServerMessage =
  | WelcomeMessage
  | PermissionMessage
  | ExpiringMessage
  | RefreshedMessage
  | ReauthenticateMessage
  | NoticeMessage
  | RelayedMessage
  | MembershipMessage
  | MissedMessage
  | ErrorMessage
  | ClosingMessage;

/** A text that is no message known here: of a newer type, without what its type must have, or no JSON (then `name` is null). */
export interface UnknownMessage {
  readonly type: 'unknown';
  readonly name: string | null;
  readonly text: string;
}

export function parseMessage(text: string): ServerMessage | UnknownMessage;

// What happens to connections

export type Advice = 'never' | 'reauthenticate' | 'later';

/** How a connection, or the attempt at one, ended. */
export interface Ending {
  readonly type: 'closed';
  /** `lost`: nobody said goodbye. `violation`: what answered speaks no `portcullis.v1`. `failed`: nothing could be tried. */
  readonly cause: 'client' | 'gate' | 'lost' | 'violation' | 'failed';
  /** Of the close frame, or of `closing`; null where there was neither. Browsers do not tell the status of a refused handshake. */
  readonly code: number | null;
  /** What the gate said; else `handshake_timeout`, `offline`, `not_portcullis`, `not_allowed`, `no_credential`, `credential_failed`. */
  readonly reason: string;
  readonly advice: Advice;
  /** At most a day; null where the gate named none. */
  readonly retryAfterMs: number | null;
  /** What the gate said beyond the reason, or what is wrong with a credential. */
  readonly detail: string | null;
}

export type Decision =
  | { readonly action: 'stop' }
  /** Wait, connect with the same credential. */
  | { readonly action: 'retry'; readonly afterMs: number }
  /** Wait, ask for a fresh credential, connect. */
  | { readonly action: 'reauthenticate'; readonly afterMs: number };

export interface ConnectedEvent {
  readonly type: 'connected';
  readonly welcome: WelcomeMessage;
}

export interface ClosedEvent extends Ending {
  readonly next: Decision;
}

export interface GaveUpEvent {
  /** The last event, where the end was not our wish. */
  readonly type: 'gaveup';
  readonly ending: Ending;
}

export interface BinaryEvent {
  readonly type: 'binary';
  readonly data: ArrayBuffer;
}

/** To an iterator that fell 1,024 events behind: so many of the oldest were dropped. */
export interface OverflowEvent {
  readonly type: 'overflow';
  readonly dropped: number;
}

export type SessionEvent =
  | ServerMessage
  | UnknownMessage
  | ConnectedEvent
  | ClosedEvent
  | GaveUpEvent
  | BinaryEvent;

export type RoomEvent = RelayedMessage | MissedMessage | PermissionMessage | MembershipMessage | ErrorMessage;

/** Events as a target, by `on`, or as an async iterator, each of which sees what happens while it stands. */
declare class Events<Event extends { readonly type: string }> extends EventTarget {
  on<Type extends Event['type']>(type: Type, listener: (detail: Of<Event, Type>) => void): () => void;

  addEventListener<Type extends Event['type']>(
    type: Type,
    listener: ((event: CustomEvent<Of<Event, Type>>) => void) | null,
    options?: boolean | AddEventListenerOptions,
  ): void;
  addEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: boolean | AddEventListenerOptions,
  ): void;

  [Symbol.asyncIterator](): AsyncIterableIterator<Event | OverflowEvent>;
}

/** The member of a union of events whose `type` may be this. */
export type Of<Event extends { readonly type: string }, Type extends string> = Event extends unknown
  ? Type extends Event['type']
    ? Event & { readonly type: Type }
    : never
  : never;

// Errors

/** What a gate answers in `error`; a newer one may know more. */
export type GateErrorCode =
  | 'unknown_type'
  | 'bad_message'
  | 'forbidden'
  | 'not_a_member'
  | 'bad_resource'
  | 'rate_limited'
  | 'too_large'
  | 'unavailable'
  | (string & {});

/** And what this module says itself: no connection, no answer, too much unsent, or something that cannot be sent. */
export type ErrorCode = GateErrorCode | 'closed' | 'timed_out' | 'congested' | 'invalid';

export class GateError extends Error {
  readonly name: 'GateError';
  readonly code: ErrorCode;
  /** What the gate said. */
  readonly detail: string | null;
  constructor(code: ErrorCode, message: string, detail?: string | null);
}

// Reconnecting

export interface PolicyOptions {
  /** The bound of the first wait; each further one doubles. 250 by default. */
  readonly baseMs?: number;
  /** The bound of all waits that the gate does not name. 30,000 by default. */
  readonly capMs?: number;
}

/** When to connect again. Pure: the randomness is passed in. */
export class ReconnectPolicy {
  readonly baseMs: number;
  readonly capMs: number;
  constructor(options?: PolicyOptions);
  /**
   * @param attempt how many endings in a row came before this one: 0 after a connection that stood for ten seconds
   * @param random evenly from 0 to 1
   */
  decide(ending: Pick<Ending, 'advice' | 'retryAfterMs'>, attempt: number, canReauthenticate: boolean, random: number): Decision;
  backoff(attempt: number, random: number): number;
}

/** The advice of the table of close codes, for a connection whose gate said nothing more. */
export function adviceFor(code: number | null, reason?: string): Advice;

// Rooms and sessions

export interface Member {
  readonly user: string;
  readonly role?: Role;
  readonly connection?: string;
}

/** A resource that one is, or wants to be, a member of: joined anew after every reconnect, and then told `missed`. */
export class Room extends Events<RoomEvent> {
  private constructor();
  readonly resource: string;
  /** Whether the connection itself is bound to the resource. */
  readonly isBound: boolean;
  /** `joining` also while there is no connection; `left` is for good. */
  readonly state: 'joining' | 'joined' | 'left';
  /** One's own. */
  readonly role: Role | null;
  /**
   * Who is in the room, oneself among them, each user once; empty where the gate does not tell (`resources.presence`). Of a room with
   * more than a thousand users, some. It is kept up by the `joined` and `left` of others, and asked for anew after `missed`.
   */
  readonly members: readonly Member[];

  /**
   * Sends to the other members. Nothing is kept for later: without a connection it is rejected as `closed`.
   *
   * A gate answers a publish only where it refuses it: the promise is resolved when that did not happen for a second (`settleMs`),
   * so do not wait for one before the next. Nobody need handle its rejection: the room's `error` event tells the same.
   */
  publish(data: Json): Promise<void>;

  /** Ends the membership; of a bound room: closes the session. */
  leave(): Promise<void>;
}

export interface SessionOptions {
  /** `{ cookie: true }` by default. Only a source can be asked again. */
  readonly credential?: Credential | CredentialSource;
  /** Binds the connection: `/ws/<resource>`. */
  readonly resource?: string;
  readonly policy?: ReconnectPolicy | PolicyOptions;
  /** To the welcome. 10,000 by default. */
  readonly handshakeTimeoutMs?: number;
  /** To the answer to join, leave and refresh. 10,000 by default. */
  readonly answerTimeoutMs?: number;
  /** How long a publish waits for a refusal. 1,000 by default. */
  readonly settleMs?: number;
  /** How many bytes may wait to be sent before a message is refused as `congested`. 16 MiB by default. */
  readonly maximumBuffered?: number;
  readonly WebSocket?: typeof WebSocket;
}

/** A connection that is made again when it ends, as its gate advises. */
export class GateSession extends Events<SessionEvent> {
  /** @throws GateError `invalid` or `bad_resource`, where the URL or an option cannot be used */
  constructor(url: string | URL, options?: SessionOptions);
  readonly state: 'connecting' | 'open' | 'waiting' | 'closed';
  /** What the gate said of the connection of the moment, or of the last one. */
  readonly welcome: WelcomeMessage | null;
  /** The room of the resource that the connection is bound to. */
  readonly room: Room | null;

  /** Becomes a member of a resource, when there is a connection. Rejected with the code of the gate's `error`. */
  join(resource: string): Promise<Room>;

  /** Sends a fresh token: this one, or one of the source. What `expiring` and `reauthenticate` ask for is sent without it. */
  refresh(token?: string): Promise<RefreshedMessage>;

  /** Says goodbye, and connects no more. Done when the connection is closed. */
  close(): Promise<void>;
}

/** Connects to a gate: `ws:`, `wss:`, `http:`, `https:`, or relative to the page; without a path `/ws` is meant. */
export function connect(url: string | URL, options?: SessionOptions): GateSession;

export {};
