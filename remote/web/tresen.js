// @ts-check
/// <reference path="./tresen.d.ts" />
/**
 * A till from a web page: its commands and events over one WebSocket that reconnects by itself.
 *
 * ```js
 * import { connect } from "/tresen.js";
 *
 * const till = await connect({ code: "7F3K-9QXD-2MTA" }); // after a reload: connect()
 * const { tenders } = await till.call("till.capabilities");
 * await till.follow({ event: ({ source, kind }) => console.log(source, kind) });
 * const payment = await till.call("terminal.pay", { terminal: "counter", amount: "12.50 EUR" });
 * ```
 *
 * - **Once.** A call that changes something has a key. When the connection is lost it is sent again under the same key,
 *   and the till joins the call that is running or repeats its reply. A call that the till can have forgotten meanwhile,
 *   because it was restarted, is not sent again: it fails with `effect: "unknown"`.
 * - **Reloads.** Token, and calls without an answer, are in `sessionStorage`: `till.unanswered()` lists the calls of the
 *   page before the reload, `till.join(key)` goes on waiting for one.
 * - **Events** are resumed where they ended; `missed` tells of those that are gone.
 *
 * Amounts are text (`"12.50 EUR"`), durations milliseconds in fields ending in `_ms`, times RFC 3339.
 * @module
 */

/** The version of the protocol that this module speaks. */
export const PROTOCOL = 1;

/** An error of the till, or of the way to it; the fields are those of every error of the till. */
export class TillError extends Error {
  /** @param {Partial<import("./tresen.js").ErrorFields> & { what: string }} fields */
  constructor(fields) {
    super(fields.message ?? sentence(fields));
    this.name = "TillError";
    this.kind = fields.kind ?? "protocol";
    this.effect = fields.effect ?? "none";
    this.retry = fields.retry ?? "never";
    this.device = fields.device ?? null;
    this.option = fields.option ?? null;
    this.what = fields.what;
    this.hint = fields.hint ?? null;
    this.causes = fields.causes ?? [];
  }
}

/**
 * Connects to a till and waits until it has let the page in.
 *
 * With `code`, a one-time code, the page signs in; without, it goes on with the token of this tab.
 *
 * @param {import("./tresen.js").ConnectOptions} [options]
 * @returns {Promise<Till>}
 * @throws {TillError} The code or the token is not, or no longer, valid; or there is neither.
 */
export async function connect(options = {}) {
  const till = new Till(options);
  if (options.code) await till.signIn(options.code);
  await till.opened();
  return till;
}

/**
 * Whether this tab has a token for the till, so that `connect()` needs no code.
 * @param {import("./tresen.js").ConnectOptions} [options]
 */
export function signedIn(options = {}) {
  return Boolean(new Memory(base(options), options.storage).token);
}

/** A till. Made by {@link connect}. */
export class Till {
  /** @type {Memory} */ #memory;
  /** @type {import("./tresen.js").Clock} */ #clock;
  /** @type {WebSocket | null} */ #socket = null;
  /** @type {Map<number, Call>} */ #calls = new Map();
  /** @type {Array<import("./tresen.js").Follower>} */ #followers = [];
  /** @type {Array<(state: import("./tresen.js").State, why: TillError | null) => void>} */ #watchers = [];
  /** @type {Array<{ resolve: () => void, reject: (error: TillError) => void }>} */ #waiting = [];
  /** Of the events that were seen. @type {{ run: string, seq: number } | null} */ #seen = null;
  #following = false;
  #id = 0;
  #attempt = 0;
  #heard = 0;
  #renewing = false;
  /** The token of the connection's hello. @type {string | undefined} */ #presented = undefined;
  /** @type {any} */ #timer = null;
  /** @type {any} */ #pulse = null;
  /** @type {any} */ #renewal = null;
  /** @type {any} */ #about = null;
  /** @type {import("./tresen.js").State} */ #state = "closed";
  /** @type {TillError | null} */ #why = null;

  /** @param {import("./tresen.js").ConnectOptions} [options] */
  constructor(options = {}) {
    this.options = options;
    this.url = base(options);
    this.#clock = options.clock ?? CLOCK;
    this.#memory = new Memory(this.url, options.storage);
    if (options.token) this.#memory.keep({ token: options.token, expires: null });
    this.#id = this.#memory.calls.length;
    if (typeof addEventListener === "function") {
      // A page that was asleep, or a network that is back, does not wait for the next attempt.
      for (const name of ["online", "pageshow", "focus"]) addEventListener(name, () => this.#hurry());
    }
  }

  /** What the till said of itself and of this caller; `null` before the first connection. */
  get about() {
    return this.#about;
  }

  /** The state of the connection. */
  get state() {
    return this.#state;
  }

  /** The rights of this caller. */
  get rights() {
    return new Rights(this.#about?.rights ?? "");
  }

  /**
   * Exchanges a one-time code for a token. A page that was signed out then goes on with {@link opened}: followers and
   * watchers stay, and {@link unanswered} lists what it was waiting for.
   * @param {string} code
   */
  async signIn(code) {
    const body = JSON.stringify({ code: code.trim() });
    const init = { method: "POST", headers: { "content-type": "application/json" }, body };
    for (let attempt = 1; ; attempt += 1) {
      try {
        this.#memory.keep(await (await this.#http("/v1/session", init)).json());
        return;
      } catch (error) {
        // Somebody else was first in this second: the code was not tried.
        if (!(error instanceof TillError) || error.kind !== "busy" || attempt === SIGN_INS) throw error;
        await new Promise((resolve) => this.#clock.after(1_100, () => resolve(undefined)));
      }
    }
  }

  /** Forgets the token and closes the connection. Calls that were sent and have no answer stay known to this tab. */
  signOut() {
    this.#memory.forget();
    this.close();
  }

  /** Waits until the till has let the page in. */
  async opened() {
    if (this.#state === "open") return;
    if (!this.#memory.token) throw this.#signedOut();
    const opened = new Promise((resolve, reject) => {
      this.#waiting.push({ resolve: () => resolve(undefined), reject });
    });
    if (this.#state === "closed" || this.#state === "signed-out") this.#open();
    await opened;
  }

  /**
   * Runs a command and returns its reply.
   *
   * While the connection is away the call waits. `signal` asks the till to abort the transaction; the call still ends
   * with its outcome, which may be that money has moved.
   *
   * @param {string} command
   * @param {Record<string, any>} [fields]
   * @param {import("./tresen.js").CallOptions} [options]
   * @returns {Promise<any>}
   * @throws {TillError} As the till answers; `effect: "unknown"` if the answer is lost, or the page was signed out
   * after it had sent the call: then {@link unanswered} still has it.
   */
  call(command, fields = {}, options = {}) {
    const reads = READS.has(command);
    const key = options.key ?? (reads ? undefined : newKey());
    const known = key === undefined ? undefined : this.#memory.calls.find((call) => call.key === key);
    /** @type {import("./tresen.js").StoredCall} */
    const stored = { command, with: fields, key, leases: options.leases, run: known?.run, sent: known?.sent };
    return this.#start(stored, options.signal);
  }

  /** The calls of this tab that nobody waits for any more and that have no answer yet, oldest first. */
  unanswered() {
    const running = new Set([...this.#calls.values()].map((call) => call.stored.key));
    return this.#memory.calls.filter((call) => !running.has(call.key)).map((call) => ({ ...call }));
  }

  /**
   * Waits for the answer of a call of {@link unanswered}.
   * @param {string} key
   * @param {{ signal?: AbortSignal }} [options]
   * @returns {Promise<any>}
   */
  join(key, options = {}) {
    const stored = this.#memory.calls.find((call) => call.key === key);
    if (!stored) return Promise.reject(new TillError({ kind: "not-found", what: `no call has the key \`${key}\`` }));
    return this.#start(stored, options.signal);
  }

  /**
   * Gives up waiting for a call of {@link unanswered}; what it has begun is not undone.
   * @param {string} key
   */
  dismiss(key) {
    this.#memory.answered(key);
  }

  /**
   * Aborts the transaction that runs under the key of a call; `false` if none does.
   * @param {string} key
   * @returns {Promise<boolean>}
   */
  abort(key) {
    return this.#start({ command: "abort", with: { key } });
  }

  /**
   * Follows the events. The follower is given the state of the devices first, and again after events were missed.
   * @param {import("./tresen.js").Follower} follower
   * @returns {Promise<() => void>} Ends following.
   */
  async follow(follower) {
    this.#followers.push(follower);
    if (this.#followers.length === 1 || !this.#following) await this.#subscribe();
    else follower.state?.(await this.call("till.snapshot"), null);
    return () => {
      this.#followers = this.#followers.filter((other) => other !== follower);
    };
  }

  /**
   * Tells of changes of the connection, and at once of its state.
   * @param {(state: import("./tresen.js").State, why: TillError | null) => void} watcher
   */
  watch(watcher) {
    this.#watchers.push(watcher);
    watcher(this.#state, this.#why);
  }

  /**
   * The paper of a print job as a picture (PNG).
   * @param {string} job
   * @param {{ signal?: AbortSignal }} [options]
   * @returns {Promise<Blob>}
   */
  async picture(job, options = {}) {
    const { png } = await this.#post("printer.picture", { job }, options);
    return blob(png, "image/png");
  }

  /**
   * What a camera sees now (JPEG).
   * @param {string} camera
   * @param {{ signal?: AbortSignal }} [options]
   * @returns {Promise<Blob>}
   */
  async frame(camera, options = {}) {
    const { jpeg } = await this.#post("camera.frame", { camera }, options);
    return blob(jpeg, "image/jpeg");
  }

  /** Closes the connection. Waiting calls fail; what they have begun goes on at the till. */
  close() {
    this.#leave();
    this.#become("closed", null);
    this.#fail(new TillError({ kind: "cancelled", what: "the page closed the connection" }));
  }

  // --- the connection

  #open() {
    this.#become("connecting", this.#why);
    const make = this.options.WebSocket ?? globalThis.WebSocket;
    const socket = new make(`${this.url.replace(/^http/, "ws")}/v1/ws`);
    this.#socket = socket;
    this.#heard = this.#clock.now();
    socket.onopen = () => {
      this.#presented = this.#memory.token;
      socket.send(JSON.stringify({ hello: { protocol: PROTOCOL, token: this.#presented } }));
    };
    socket.onmessage = (/** @type {MessageEvent} */ message) => {
      if (this.#socket === socket) this.#receive(message.data);
    };
    socket.onclose = () => this.#lost(socket);
    this.#beat(socket);
  }

  /** A link that is dead without having been closed shows by silence: a page does not see the till's pings, so it asks. */
  #beat(/** @type {WebSocket} */ socket) {
    const silent = this.#clock.now() - this.#heard;
    if (silent > 2.5 * PULSE) {
      this.#lost(socket);
      return;
    }
    if (silent > PULSE && this.#state === "open") this.#send({ id: 0, command: "ping" });
    this.#clock.cancel(this.#pulse);
    this.#pulse = this.#clock.after(PULSE / 4, () => this.#beat(socket));
  }

  #lost(/** @type {WebSocket} */ socket) {
    if (this.#socket !== socket) return;
    this.#leave();
    if (this.#state === "signed-out" || this.#state === "closed") return;
    const wait = Math.min(FIRST * 2 ** this.#attempt, MOST) * (0.5 + Math.random());
    this.#attempt = Math.min(this.#attempt + 1, 16);
    this.#timer = this.#clock.after(wait, () => this.#open());
    this.#become("away", this.#why ?? new TillError({ kind: "closed", retry: "now", what: "the till is not reached" }));
  }

  #hurry() {
    if (this.#state !== "away") return;
    this.#clock.cancel(this.#timer);
    this.#open();
  }

  #leave() {
    const socket = this.#socket;
    this.#socket = null;
    for (const timer of [this.#timer, this.#renewal, this.#pulse]) this.#clock.cancel(timer);
    this.#following = false;
    if (socket && socket.readyState <= 1) socket.close();
  }

  #receive(/** @type {string} */ text) {
    this.#heard = this.#clock.now();
    const message = JSON.parse(text);
    if (message.event) this.#event(message.event);
    else if (message.missed) void this.#missed(message.missed);
    else if (message.tresen) this.#greeted(message);
    else if (message.closing) this.#why = new TillError({ kind: "closed", retry: "now", what: message.closing.why });
    else if (typeof message.id === "number") this.#answer(message);
    else if (message.error) this.#refused(new TillError(message.error));
  }

  #greeted(/** @type {any} */ about) {
    if (about.protocol !== PROTOCOL) {
      const what = `the till speaks protocol ${about.protocol}, this page ${PROTOCOL}`;
      this.#refused(new TillError({ kind: "unsupported", what, hint: "load the page again" }));
      return;
    }
    this.#about = about;
    this.#attempt = 0;
    this.#memory.accepted(this.#presented, about.expires);
    this.#become("open", null);
    this.#renewLater();
    for (const { resolve } of this.#waiting.splice(0)) resolve();
    for (const [id, call] of [...this.#calls].sort(([a], [b]) => a - b)) this.#sendAgain(id, call);
    if (this.#followers.length > 0) this.#subscribe().catch(() => {});
  }

  /** An error that belongs to no request ends the connection; before the greeting the till has not let the page in. */
  #refused(/** @type {TillError} */ error) {
    this.#why = error;
    if (this.#state === "open" || !FINAL.has(error.kind)) return;
    const isToken = error.kind === "permission" || error.kind === "refused";
    // A renewed token that the till does not know: the one before it may still be good. The connection is made again.
    if (isToken && this.#memory.fallBack(this.#presented)) return;
    this.#leave();
    if (isToken) this.#memory.forget();
    this.#become("signed-out", error);
    this.#fail(error);
  }

  /** Renews the token after a third of its time. If that fails, there is time to try again. */
  #renewLater() {
    this.#clock.cancel(this.#renewal);
    const left = Date.parse(this.#memory.expires ?? "") - this.#clock.wall();
    if (left > 0) this.#renewal = this.#clock.after(left / 3, () => void this.#renew());
  }

  /** One renewal at a time; it is repeated under its key when its reply is lost. */
  async #renew() {
    if (this.#renewing) return;
    this.#renewing = true;
    try {
      this.#memory.renewed(await this.#start({ command: RENEW, with: {}, key: newKey() }));
    } catch {
      // The connection stays as long as the till allows; then it says why it ends.
    }
    this.#renewing = false;
    if (this.#state === "open") this.#renewLater();
  }

  #become(/** @type {import("./tresen.js").State} */ state, /** @type {TillError | null} */ why) {
    this.#state = state;
    this.#why = why;
    for (const watcher of this.#watchers) watcher(state, why);
  }

  /** Fails everything that waits. What was sent may have happened, and stays known; the rest has not happened. */
  #fail(/** @type {TillError} */ error) {
    for (const { reject } of this.#waiting.splice(0)) reject(error);
    for (const { stored, reject } of this.#calls.values()) {
      const sent = stored.run !== undefined && stored.key !== undefined;
      if (!sent) this.#memory.answered(stored.key);
      reject(sent ? new TillError({ ...error, message: error.message, effect: "unknown" }) : error);
    }
    this.#calls.clear();
  }

  #signedOut() {
    return new TillError({ kind: "permission", what: "this page is not signed in", hint: "enter a one-time code" });
  }

  // --- calls

  /**
   * @param {import("./tresen.js").StoredCall} stored
   * @param {AbortSignal} [signal]
   * @returns {Promise<any>}
   */
  #start(stored, signal) {
    if (this.#state === "signed-out" || this.#state === "closed") return Promise.reject(this.#signedOut());
    const id = ++this.#id;
    const answered = new Promise((resolve, reject) => {
      const call = { stored, resolve, reject };
      this.#calls.set(id, call);
      this.#memory.asked(stored);
      if (this.#state === "open") this.#sendAgain(id, call);
    });
    if (signal && stored.key) {
      const abort = () => void this.abort(/** @type {string} */ (stored.key)).catch(() => {});
      if (signal.aborted) abort();
      else signal.addEventListener("abort", abort, { once: true });
    }
    return answered;
  }

  /** Sends a call for the first time, or again if the till cannot have forgotten it. */
  #sendAgain(/** @type {number} */ id, /** @type {Call} */ call) {
    const { stored } = call;
    const first = stored.run === undefined;
    const remembered = stored.run === this.#about.run && this.#clock.wall() - (stored.sent ?? 0) < KEPT;
    if (!first && !remembered && !repeats(stored)) {
      this.#calls.delete(id);
      this.#memory.answered(stored.key);
      const what = `the answer to \`${stored.command}\` is lost: the till was restarted, or away for long`;
      const hint = "look whether it took effect before asking again";
      call.reject(new TillError({ kind: "closed", effect: "unknown", what, hint }));
      return;
    }
    if (first) {
      stored.run = this.#about.run;
      stored.sent = this.#clock.wall();
      this.#memory.asked(stored);
    }
    const { command, key, leases } = stored;
    this.#send({ id, key, command, with: stored.with, leases });
  }

  #send(/** @type {object} */ message) {
    // One that is not open any more: the message is sent again after reconnecting.
    if (this.#socket?.readyState === 1) this.#socket.send(JSON.stringify(message));
  }

  #answer(/** @type {{ id: number, reply?: any, error?: any }} */ { id, reply, error }) {
    const call = this.#calls.get(id);
    if (!call) return;
    this.#calls.delete(id);
    this.#memory.answered(call.stored.key);
    if (call.stored.command === "follow" && reply) this.#followed(reply);
    if (error) call.reject(new TillError(error));
    else call.resolve(reply);
  }

  // --- events

  async #subscribe() {
    this.#following = true;
    const since = this.#seen ?? undefined;
    await this.#start({ command: "follow", with: since ? { since: since.seq, run: since.run } : {} });
  }

  /** The reply to `follow`: handled before the events behind it. */
  #followed(/** @type {any} */ state) {
    const missed = state.missed ?? null;
    const run = this.#about.run;
    // What follows now is what came after the last event seen, without what is missing.
    if (this.#seen?.run !== run) this.#seen = { run, seq: state.seq };
    else if (missed) this.#seen = { run, seq: missed.to };
    for (const follower of this.#followers) {
      if (missed) follower.missed?.(missed);
      follower.state?.(state, missed);
    }
  }

  #event(/** @type {any} */ event) {
    if (this.#seen && event.seq <= this.#seen.seq) return;
    this.#seen = { run: this.#about.run, seq: event.seq };
    for (const follower of this.#followers) follower.event?.(event);
  }

  /** The page reads too slowly, and the till has left out some. Numbers that are merely absent are of other devices. */
  async #missed(/** @type {{ from: number, to: number }} */ missed) {
    for (const follower of this.#followers) follower.missed?.(missed);
    const state = await this.call("till.snapshot").catch(() => null);
    if (state) for (const follower of this.#followers) follower.state?.(state, missed);
  }

  // --- plain HTTP

  async #http(/** @type {string} */ path, /** @type {RequestInit} */ init) {
    const ask = this.options.fetch ?? globalThis.fetch.bind(globalThis);
    const reply = await ask(this.url + path, { cache: "no-store", credentials: "omit", ...init }).catch((error) => {
      throw new TillError({ kind: "closed", retry: "now", what: `the till is not reached: ${error.message}` });
    });
    if (reply.ok) return reply;
    const body = await reply.json().catch(() => ({}));
    const error = body.error ?? body;
    throw new TillError(error.what ? error : { what: `the till answered with status ${reply.status}` });
  }

  /** A reading command beside the WebSocket, so that a large reply holds up nothing. */
  async #post(/** @type {string} */ command, /** @type {object} */ fields, /** @type {{ signal?: AbortSignal }} */ { signal }) {
    const headers = { "content-type": "application/json", authorization: `Bearer ${this.#memory.token}` };
    const reply = await this.#http(`/v1/${command}`, { method: "POST", signal, headers, body: JSON.stringify(fields) });
    return reply.json();
  }
}

/** The rights of a caller: `watch print:bar,kitchen`. */
export class Rights {
  /** @type {Map<string, Set<string> | null>} */ #of = new Map();

  /** @param {string} text */
  constructor(text) {
    for (const word of text.split(/\s+/).filter(Boolean)) {
      const at = word.indexOf(":");
      const [right, names] = at < 0 ? [word, null] : [word.slice(0, at), word.slice(at + 1)];
      this.#of.set(right, names === null ? null : new Set(names.split(",")));
    }
  }

  /**
   * Whether it may use `right` on `device`; without a device, whether it may use it on some.
   * @param {string} right
   * @param {string | null} [device]
   */
  may(right, device = null) {
    const devices = this.#of.get(right);
    if (devices === undefined) return false;
    return devices === null || device === null || devices.has(device);
  }
}

/** What the tab remembers over a reload: the token, and the calls without an answer. */
class Memory {
  /** @param {string} url @param {Pick<Storage, "getItem" | "setItem">} [storage] */
  constructor(url, storage) {
    this.storage = storage ?? globalThis.sessionStorage;
    this.name = `tresen ${url}`;
    /** @type {{ token?: string, expires?: string | null, former?: string, calls: import("./tresen.js").StoredCall[] }} */
    this.kept = { calls: [] };
    try {
      const kept = JSON.parse(this.storage?.getItem(this.name) ?? "null");
      if (Array.isArray(kept?.calls)) this.kept = kept;
    } catch {
      // Not readable: as if the tab were new.
    }
  }

  get token() {
    return this.kept.token;
  }

  get expires() {
    return this.kept.expires;
  }

  get calls() {
    return this.kept.calls;
  }

  keep(/** @type {{ token: string, expires?: string | null }} */ { token, expires }) {
    Object.assign(this.kept, { token, expires: expires ?? null, former: undefined });
    this.#write();
  }

  /** A new token replaces the former one only when the till has accepted it. */
  renewed(/** @type {{ token: string, expires?: string | null }} */ session) {
    const former = this.kept.former ?? this.token;
    this.keep(session);
    this.kept.former = former;
    this.#write();
  }

  accepted(/** @type {string | undefined} */ token, /** @type {string | undefined} */ expires) {
    if (token !== this.token) return;
    delete this.kept.former;
    this.kept.expires = expires ?? this.kept.expires;
    this.#write();
  }

  /** Goes back to the former token if the till refused the new one; `false` if there is none. */
  fallBack(/** @type {string | undefined} */ refused) {
    const { former } = this.kept;
    if (refused !== this.token || !former) return false;
    this.keep({ token: former });
    return true;
  }

  forget() {
    for (const name of /** @type {const} */ (["token", "expires", "former"])) delete this.kept[name];
    this.#write();
  }

  /** What a customer entered is not written down. */
  asked(/** @type {import("./tresen.js").StoredCall} */ stored) {
    if (!stored.key || stored.command === "terminal.answer" || stored.command === RENEW) return;
    const at = this.calls.findIndex((call) => call.key === stored.key);
    if (at < 0) this.calls.push(stored);
    else this.calls[at] = stored;
    this.#write();
  }

  answered(/** @type {string | undefined} */ key) {
    const at = this.calls.findIndex((call) => key !== undefined && call.key === key);
    if (at < 0) return;
    this.calls.splice(at, 1);
    this.#write();
  }

  #write() {
    try {
      this.storage?.setItem(this.name, JSON.stringify(this.kept));
    } catch {
      // Full or forbidden: then a reload forgets.
    }
  }
}

/** @typedef {{ stored: import("./tresen.js").StoredCall, resolve: (reply: any) => void, reject: (error: any) => void }} Call */

/** Sending it again does no harm, although the till was restarted: a read, a renewal, or a key in the till's database. */
function repeats(/** @type {import("./tresen.js").StoredCall} */ { command, key }) {
  return key === undefined || command === RENEW || DURABLE.has(command);
}

/** A new key for a call: 128 random bits. */
export function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

function blob(/** @type {string} */ base64, /** @type {string} */ type) {
  return new Blob([Uint8Array.from(atob(base64), (char) => char.charCodeAt(0))], { type });
}

function sentence(/** @type {any} */ { device, what, hint }) {
  return `${device ? `${device}: ` : ""}${what}${hint ? `; ${hint}` : ""}`;
}

function base(/** @type {import("./tresen.js").ConnectOptions} */ { url }) {
  return (url ?? globalThis.location.origin).replace(/^ws/, "http").replace(/\/+$/, "");
}

/** @type {import("./tresen.js").Clock} */
const CLOCK = {
  now: () => performance.now(),
  wall: () => Date.now(),
  after: (ms, then) => setTimeout(then, ms),
  cancel: (timer) => clearTimeout(timer),
};

/** After this time without a message the till is asked something; after 2.5 times it the connection is dead. In ms. */
const PULSE = 10_000;
/** The first delay of reconnecting, and the longest, in ms; each is the double of the one before, give or take a half. */
const FIRST = 250;
const MOST = 10_000;
/** The till repeats replies for 10 minutes; from here on that is not relied on. In ms. */
const KEPT = 9 * 60_000;
/** Errors before the greeting after which trying again is useless. */
const FINAL = new Set(["permission", "refused", "unsupported", "input"]);

/** How often a code is sent while the till takes one attempt a second. */
const SIGN_INS = 5;

/** The command that renews the token. */
const RENEW = "session.renew";

/** Commands whose key the till keeps in its database. A test compares them with the till's. */
const DURABLE = new Set([
  "sale.open", "sale.open-refund", "sale.add", "sale.add-tip", "sale.return-line", "sale.pay-card", "sale.reverse-card",
  "sale.pay-cash", "sale.pay-out", "sale.pay-account", "sale.pay-other", "sale.give-back",
  "terminal.pay", "terminal.try-pay", "terminal.refund", "terminal.pre-authorise", "terminal.reverse",
  "terminal.increment", "terminal.book", "terminal.release", "terminal.tip", "terminal.top-up",
  "printer.print", "printer.submit",
]);

/** Commands that change nothing and need no key. A test compares them with the till's. */
export const READS = new Set([
  "abort", "follow",
  "camera.capabilities", "camera.frame", "lease.list", "lease.queue", "lease.renew", "printer.capabilities",
  "printer.find", "printer.identity", "printer.outcome", "printer.phase", "printer.picture", "printer.preview",
  "printer.status", "remote.audit", "remote.clients", "sale.by-number", "sale.find", "sale.list-closed",
  "sale.list-open", "sale.list-parked", "sale.orders", "sale.refresh", "sale.returnable", "sale.since",
  "scanner.capabilities", "terminal.capabilities", "terminal.find", "terminal.open", "terminal.questions",
  "terminal.serving", "terminal.status", "terminal.totals", "till.accounts-in-doubt", "till.capabilities",
  "till.commands", "till.export", "till.health", "till.info", "till.jobs", "till.journal", "till.new-id",
  "till.open-jobs", "till.payments", "till.phase", "till.printer-for", "till.recent-events", "till.reference",
  "till.reference-row", "till.refresh-reference", "till.snapshot", "till.sync", "till.unbooked",
]);
