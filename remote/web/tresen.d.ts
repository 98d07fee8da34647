// Types of tresen.js. Those of the commands are generated from the till's own schema: commands.d.ts.
import type { Commands, Event, Snapshot } from "./commands.js";

export type * from "./commands.js";

/** The version of the protocol that the module speaks. */
export const PROTOCOL: number;
/** Commands that change nothing and need no key. */
export const READS: ReadonlySet<string>;

/** The fields of an error of the till. */
export interface ErrorFields {
  /** What kind of error: `busy`, `permission`, `closed`, … */
  kind: string;
  /** What became of the operation: nothing happened, a part, or nobody knows. */
  effect: "none" | "partial" | "unknown";
  /** When to try again. */
  retry: "now" | "after-reconnect" | "after-operator" | "never";
  device: string | null;
  option: string | null;
  what: string;
  /** The next step for a person. */
  hint: string | null;
  causes: string[];
  /** All of it as one sentence. */
  message: string;
}

export class TillError extends Error implements ErrorFields {
  constructor(fields: Partial<ErrorFields> & { what: string });
  kind: string;
  effect: "none" | "partial" | "unknown";
  retry: "now" | "after-reconnect" | "after-operator" | "never";
  device: string | null;
  option: string | null;
  what: string;
  hint: string | null;
  causes: string[];
}

export interface ConnectOptions {
  /** Where the till is: `https://till-1.local:7443`; default the origin of the page. */
  url?: string;
  /** A one-time code, shown by `tresen token`. */
  code?: string;
  /** A token that the program already has. */
  token?: string;
  /** Where token and unanswered calls are kept; default `sessionStorage`. */
  storage?: Pick<Storage, "getItem" | "setItem">;
  /** Default the global ones. */
  WebSocket?: typeof WebSocket;
  fetch?: typeof fetch;
  /** Time, for tests; default the browser's. */
  clock?: Clock;
}

/** In milliseconds. */
export interface Clock {
  now(): number;
  /** Since 1970. */
  wall(): number;
  after(ms: number, then: () => void): unknown;
  cancel(timer: any): void;
}

/**
 * `away`: tried again by itself. `signed-out`: the till does not accept the token (any more).
 */
export type State = "connecting" | "open" | "away" | "signed-out" | "closed";

/** What the till said on connecting. */
export interface About {
  tresen: string;
  protocol: number;
  /** The till's id. */
  till: string;
  /** The till's name. */
  name: string;
  /** The id of this run of the server. */
  run: string;
  /** The name of this caller. */
  you: string;
  /** The rights of this caller: `watch print:bar`. */
  rights: string;
  expires?: string;
}

/** Names a lease; the call is refused once it has ended. */
export interface LeaseKey {
  target: { device: { class: string; name: string } } | { sale: string };
  token: number;
}

export interface CallOptions {
  /** The idempotency key, at most 128 bytes; default a new one. */
  key?: string;
  leases?: LeaseKey[];
  /** Aborts the transaction of the call. The call still ends with its outcome. */
  signal?: AbortSignal;
}

/** A call that has no answer yet. */
export interface StoredCall {
  command: string;
  with: Record<string, unknown>;
  key?: string;
  leases?: LeaseKey[];
  /** The run of the server to which it was sent. */
  run?: string;
  /** When it was sent first, in ms since 1970. */
  sent?: number;
}

export interface Missed {
  from: number;
  to: number;
}

export interface Follower {
  /** An event. */
  event?(event: Event): void;
  /** The state of all devices: at first, and after a reconnection. `missed`: events before it that are gone. */
  state?(state: Snapshot, missed: Missed | null): void;
  /** Events that are gone. */
  missed?(missed: Missed): void;
}

type Fields<C extends keyof Commands> = Commands[C]["with"];
type Reply<C extends keyof Commands> = Commands[C]["reply"];
/** The fields may be left out if none is required. */
type Arguments<C extends keyof Commands> =
  {} extends Fields<C>
    ? [fields?: Fields<C>, options?: CallOptions]
    : [fields: Fields<C>, options?: CallOptions];

export class Till {
  constructor(options?: ConnectOptions);
  readonly url: string;
  readonly about: About | null;
  readonly state: State;
  readonly rights: Rights;
  signIn(code: string): Promise<void>;
  signOut(): void;
  opened(): Promise<void>;
  call<C extends keyof Commands>(command: C, ...rest: Arguments<C>): Promise<Reply<C>>;
  unanswered(): StoredCall[];
  join(key: string, options?: { signal?: AbortSignal }): Promise<unknown>;
  dismiss(key: string): void;
  abort(key: string): Promise<boolean>;
  follow(follower: Follower): Promise<() => void>;
  watch(watcher: (state: State, why: TillError | null) => void): void;
  picture(job: string, options?: { signal?: AbortSignal }): Promise<Blob>;
  frame(camera: string, options?: { signal?: AbortSignal }): Promise<Blob>;
  close(): void;
}

export class Rights {
  constructor(text: string);
  may(right: string, device?: string | null): boolean;
}

export function connect(options?: ConnectOptions): Promise<Till>;
export function signedIn(options?: ConnectOptions): boolean;
export function newKey(): string;
