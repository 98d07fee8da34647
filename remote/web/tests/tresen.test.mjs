// `node --test`: what tresen.js does when the link is cut, the till restarted, the page loaded again.
import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";

import { Rights, Till, TillError, connect } from "../tresen.js";
import { Peer } from "./peer.mjs";

/** What a tab keeps over a reload. */
class Tab {
  kept = new Map();
  getItem = (name) => this.kept.get(name) ?? null;
  setItem = (name, text) => void this.kept.set(name, text);
}

/** Time that passes when the test says so. */
class VirtualClock {
  time = 0;
  timers = [];
  now = () => this.time;
  wall = () => Date.parse("2026-01-01T08:00:00Z") + this.time;
  after = (ms, then) => {
    const timer = { at: this.time + ms, then };
    this.timers.push(timer);
    return timer;
  };
  cancel = (timer) => void (this.timers = this.timers.filter((other) => other !== timer));
  pass(ms) {
    const end = this.time + ms;
    for (;;) {
      const [next] = this.timers.filter(({ at }) => at <= end).sort((a, b) => a.at - b.at);
      if (!next) break;
      this.cancel(next);
      this.time = next.at;
      next.then();
    }
    this.time = end;
  }
}

let peer;
let tab;
let clock;
let tills;

beforeEach(async () => {
  peer = await Peer.start();
  tab = new Tab();
  clock = new VirtualClock();
  tills = [];
});

afterEach(() => {
  tills.forEach((till) => till.close());
  peer.stop();
});

/** A page that is let in. A reload is another one with the same tab. */
async function open(more = {}, greeting = {}) {
  const opening = connect({ url: peer.url, token: "secret", storage: tab, clock, ...more });
  const connection = await peer.welcome(greeting);
  const till = await opening;
  // Reconnects at once.
  till.watch((state) => state === "away" && clock.pass(15_000));
  tills.push(till);
  return [till, connection];
}

const pay = { terminal: "counter", amount: "12.50 EUR" };

test("a changing command has a key, a reading one has none; replies come in any order", async () => {
  const [till, connection] = await open();
  assert.deepEqual(connection.hello, { hello: { protocol: 1, token: "secret" } });
  const [paid, health] = [till.call("terminal.pay", pay), till.call("till.health")];
  const [first, second] = [await connection.next(), await connection.next()];
  assert.equal(first.command, "terminal.pay");
  assert.deepEqual(first.with, pay);
  assert.match(first.key, /^[0-9a-f]{32}$/);
  assert.equal("key" in second, false);
  connection.send({ id: second.id, reply: "fine" });
  connection.send({ id: first.id, error: { kind: "busy", effect: "none", what: "taken", hint: "wait", device: "bar" } });
  assert.equal(await health, "fine");
  const error = await paid.catch((error) => error);
  assert.ok(error instanceof TillError);
  assert.deepEqual([error.kind, error.effect, error.message], ["busy", "none", "bar: taken; wait"]);
});

test("after a cut link the call is sent again under the same key, once", async () => {
  const [till, first] = await open();
  const paid = till.call("terminal.pay", pay);
  const sent = await first.next();
  first.cut();
  const second = await peer.welcome();
  const again = await second.next();
  assert.deepEqual(again, sent);
  second.send({ id: again.id, reply: { charged: {} } });
  assert.deepEqual(await paid, { charged: {} });
  const after = till.call("till.health");
  assert.equal((await second.next()).command, "till.health", "nothing else was sent");
  second.send({ id: 2, reply: null });
  await after;
});

test("what a restarted till has forgotten is not sent again", async () => {
  const [till, first] = await open();
  const drawer = till.call("printer.kick-drawer", { printer: "bar" });
  const paid = till.call("terminal.pay", pay);
  const line = till.call("sale.remove", { sale: "s", at: 0 });
  // Whether its step was taken cannot be told from a sale that another station has changed since.
  const step = till.call("sale.close", { sale: "s", rev: 3, printer: "bar" });
  const opened = till.call("sale.open");
  for (let n = 0; n < 5; n += 1) await first.next();
  first.cut();
  const second = await peer.welcome({ run: "run-2" });
  const lost = await drawer.catch((error) => error);
  assert.deepEqual([lost.kind, lost.effect], ["closed", "unknown"]);
  assert.equal((await line.catch((error) => error)).effect, "unknown");
  assert.equal((await step.catch((error) => error)).effect, "unknown");
  const again = [await second.next(), await second.next()];
  assert.deepEqual(again.map((request) => request.command), ["terminal.pay", "sale.open"]);
  again.forEach(({ id }) => second.send({ id, reply: id }));
  assert.deepEqual(await Promise.all([paid, opened]), again.map(({ id }) => id));
});

test("a call made while the link is away is sent when it is back, whatever run it is", async () => {
  const [till, first] = await open();
  first.cut();
  const second = peer.accept();
  const connection = await second;
  const opened = till.call("sale.open");
  await connection.next();
  connection.send({ tresen: "0.1.0", protocol: 1, till: "0198", name: "", run: "run-2", you: "", rights: "" });
  const request = await connection.next();
  assert.equal(request.command, "sale.open");
  connection.send({ id: request.id, reply: { rev: 1 } });
  assert.deepEqual(await opened, { rev: 1 });
});

test("a reload in the middle of a payment joins it", async () => {
  const [, first] = await open();
  const before = tills[0].call("sale.check-out", { sale: "s", rev: 2, terminal: "counter" }).catch(() => {});
  const sent = await first.next();
  const [till, second] = await open({ token: undefined });
  assert.equal(second.hello.hello.token, "secret");
  const [call] = till.unanswered();
  assert.deepEqual([call.command, call.key], ["sale.check-out", sent.key]);
  const joined = till.join(call.key);
  const again = await second.next();
  assert.deepEqual({ ...again, id: 0 }, { ...sent, id: 0 });
  second.send({ id: again.id, reply: "sold" });
  assert.equal(await joined, "sold");
  assert.deepEqual(till.unanswered(), []);
  assert.deepEqual((await open({ token: undefined }))[0].unanswered(), []);
  tills[0].close();
  await before;
});

test("what a customer enters is not kept", async () => {
  const [till, connection] = await open();
  const answered = till.call("terminal.answer", { terminal: "counter", question: "1", answer: { text: "1234" } });
  const request = await connection.next();
  assert.equal([...tab.kept.values()].join().includes("1234"), false);
  connection.send({ id: request.id, reply: null });
  await answered;
});

test("events are resumed where they ended, and what is gone is told", async () => {
  const [till, first] = await open();
  const seen = [];
  const following = till.follow({
    event: ({ seq }) => seen.push(seq),
    missed: ({ from, to }) => seen.push(`missed ${from}-${to}`),
    state: ({ seq }) => seen.push(`state at ${seq}`),
  });
  const follow = await first.next();
  assert.deepEqual([follow.command, follow.with], ["follow", {}]);
  first.send({ id: follow.id, reply: { seq: 118, devices: [], missed: null } });
  await following;
  first.send({ event: { seq: 119 } });
  // Left out between are those of devices that this page may not watch.
  first.send({ event: { seq: 121 } });
  first.send({ event: { seq: 121 } });
  await roundTrip(till, first);
  first.cut();
  const second = await peer.welcome();
  const again = await second.next();
  assert.deepEqual(again.with, { since: 121, run: "run-1" });
  second.send({ id: again.id, reply: { seq: 130, devices: [], missed: { from: 122, to: 127 } } });
  second.send({ event: { seq: 128 } });
  await roundTrip(till, second);
  second.cut();
  const third = await peer.welcome({ run: "run-2" });
  const other = await third.next();
  assert.deepEqual(other.with, { since: 128, run: "run-1" });
  third.send({ id: other.id, reply: { seq: 4, devices: [], missed: { from: 0, to: 4 } } });
  third.send({ event: { seq: 5 } });
  await roundTrip(till, third);
  const resumed = ["missed 122-127", "state at 130", 128, "missed 0-4", "state at 4", 5];
  assert.deepEqual(seen, ["state at 118", 119, 121, ...resumed]);
});

test("a page that reads too slowly is told what was left out, and given the state again", async () => {
  const [till, connection] = await open();
  const seen = [];
  const following = till.follow({ missed: ({ from, to }) => seen.push(from, to), state: ({ seq }) => seen.push(seq) });
  connection.send({ id: (await connection.next()).id, reply: { seq: 7, devices: [], missed: null } });
  await following;
  connection.send({ missed: { from: 8, to: 99 } });
  const asked = await connection.next();
  assert.equal(asked.command, "till.snapshot");
  connection.send({ id: asked.id, reply: { seq: 99, devices: [] } });
  await roundTrip(till, connection);
  assert.deepEqual(seen, [7, 8, 99, 99]);
});

test("a one-time code becomes a token; a wrong one is said", async () => {
  const error = { kind: "permission", what: "the code is not valid", hint: "ask for a new one" };
  peer.sessions.push([403, error], [200, { token: "fresh", expires: "2099-01-01T00:00:00Z" }]);
  const refused = await connect({ url: peer.url, storage: tab, code: "wrong" }).catch((error) => error);
  assert.deepEqual([refused.kind, refused.hint], ["permission", "ask for a new one"]);
  const [, connection] = await open({ token: undefined, code: " 7F3K-9QXD-2MTA " });
  assert.equal(connection.hello.hello.token, "fresh");
  assert.deepEqual(JSON.parse(peer.requests[1].body), { code: "7F3K-9QXD-2MTA" });
});

test("a code that was not tried, because the till takes one attempt a second, is sent again", async () => {
  const busy = { kind: "busy", retry: "now", what: "too many attempts" };
  peer.sessions.push([409, busy], [409, busy], [200, { token: "fresh", expires: "2099-01-01T00:00:00Z" }]);
  const opening = connect({ url: peer.url, storage: tab, clock, code: "7F3K-9QXD-2MTA" });
  const welcomed = peer.welcome();
  while (peer.requests.length < 3) {
    const asked = peer.requests.length;
    while (peer.requests.length === asked) {
      clock.pass(500);
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
  const connection = await welcomed;
  assert.equal(connection.hello.hello.token, "fresh");
  tills.push(await opening);
  for (let times = 0; times < 5; times += 1) peer.sessions.push([409, busy]);
  const hopeless = new Till({ url: peer.url, storage: new Tab(), clock: { ...clock, after: (_, then) => setImmediate(then) } });
  const error = await hopeless.signIn("7F3K-9QXD-2MTA").catch((error) => error);
  assert.deepEqual([error.kind, peer.requests.length], ["busy", 8]);
});

test("a till that does not accept the token signs the page out, and is not asked again", async () => {
  const opening = connect({ url: peer.url, token: "old", storage: tab }).catch((error) => error);
  const connection = await peer.accept();
  await connection.next();
  connection.send({ id: null, error: { kind: "permission", what: "the token has expired" } });
  connection.close(1008);
  const refused = await opening;
  assert.equal(refused.message, "the token has expired");
  const nothing = await connect({ url: peer.url, storage: tab }).catch((error) => error);
  assert.equal(nothing.kind, "permission");
});

test("a till that is full, or stops, is asked again", async () => {
  const till = new Till({ url: peer.url, token: "secret", storage: tab, clock });
  tills.push(till);
  till.watch((state) => state === "away" && clock.pass(15_000));
  const opened = till.opened();
  const first = await peer.accept();
  await first.next();
  first.send({ id: null, error: { kind: "busy", what: "1000 clients are connected" } });
  first.close(1008);
  const second = await peer.welcome();
  await opened;
  second.send({ closing: { why: "the till stops" } });
  second.close(1001);
  await peer.welcome();
});

test("the token is renewed before it expires, over the connection", async () => {
  const [till, connection] = await open({}, { expires: "2026-01-01T08:00:24Z" });
  clock.pass(7_999);
  const info = till.call("till.info");
  const asked = await connection.next();
  assert.equal(asked.command, "till.info", "not yet");
  connection.send({ id: asked.id, reply: null });
  await info;
  clock.pass(1);
  const request = await connection.next();
  assert.equal(request.command, "session.renew");
  connection.send({ id: request.id, reply: { token: "next", expires: "2026-01-01T08:20:00Z" } });
  await roundTrip(till, connection);
  connection.cut();
  const second = await peer.welcome();
  assert.equal(second.hello.hello.token, "next");
});

test("a renewal whose reply is lost is repeated under its key, with the former token", async () => {
  const [till, first] = await open({}, { expires: "2026-01-01T08:00:24Z" });
  clock.pass(8_000);
  const asked = await first.next();
  first.cut();
  const second = await peer.welcome({ run: "run-2", expires: "2026-01-01T08:00:24Z" });
  assert.equal(second.hello.hello.token, "secret");
  assert.deepEqual(await second.next(), asked);
  second.send({ id: asked.id, reply: { token: "next", expires: "2026-01-01T08:20:00Z" } });
  await roundTrip(till, second);
});

test("a renewal that fails is tried again while there is time", async () => {
  const [till, connection] = await open({}, { expires: "2026-01-01T08:00:24Z" });
  clock.pass(8_000);
  const asked = await connection.next();
  connection.send({ id: asked.id, error: { kind: "storage", what: "the disk is full" } });
  await roundTrip(till, connection);
  clock.pass(6_000);
  const again = await connection.next();
  assert.equal(again.command, "session.renew");
  assert.notEqual(again.key, asked.key);
});

test("a new token that the till does not know does not sign the page out: the former one is still good", async () => {
  const [till, first] = await open({}, { expires: "2026-01-01T08:00:24Z" });
  clock.pass(8_000);
  const asked = await first.next();
  first.send({ id: asked.id, reply: { token: "next", expires: "2026-01-01T08:20:00Z" } });
  await roundTrip(till, first);
  first.cut();
  // Such as a till whose database was restored meanwhile.
  const second = await peer.accept();
  assert.equal((await second.next()).hello.token, "next");
  second.send({ id: null, error: { kind: "permission", what: "the token is unknown" } });
  second.close(1008);
  const third = await peer.welcome();
  assert.equal(third.hello.hello.token, "secret");
  await roundTrip(till, third);
  assert.equal(till.state, "open");
  // Refused as well, that is the end.
  third.cut();
  const fourth = await peer.accept();
  await fourth.next();
  const out = new Promise((resolve) => till.watch((state, why) => state === "signed-out" && resolve(why)));
  fourth.send({ id: null, error: { kind: "permission", what: "the token is unknown" } });
  fourth.close(1008);
  assert.equal((await out).message, "the token is unknown");
});

test("a page that is signed out in the middle of a payment signs in again and joins it under its key", async () => {
  const [till, first] = await open();
  const events = [];
  const following = till.follow({ event: ({ seq }) => events.push(seq) });
  first.send({ id: (await first.next()).id, reply: { seq: 7, devices: [], missed: null } });
  await following;
  const fields = { sale: "s", rev: 2, terminal: "counter", printer: "receipt" };
  const paying = till.call("sale.check-out", fields).catch((error) => error);
  const sent = await first.next();
  first.cut();
  const second = await peer.accept();
  // Made while the link is away: it has not been sent.
  const opening = till.call("sale.open").catch((error) => error);
  await second.next();
  second.send({ id: null, error: { kind: "permission", what: "the session was revoked" } });
  second.close(1008);
  const [paid, opened] = [await paying, await opening];
  assert.deepEqual([paid.kind, paid.effect, paid.message], ["permission", "unknown", "the session was revoked"]);
  assert.equal(opened.effect, "none");
  assert.deepEqual(till.unanswered().map(({ key }) => key), [sent.key]);
  assert.equal((await till.call("till.info").catch((error) => error)).kind, "permission");
  peer.sessions.push([200, { token: "fresh", expires: "2099-01-01T00:00:00Z" }]);
  await till.signIn("7F3K-9QXD-2MTA");
  const back = till.opened();
  const third = await peer.welcome();
  await back;
  assert.equal(third.hello.hello.token, "fresh");
  // Events go on after the last one seen.
  const follow = await third.next();
  assert.deepEqual(follow.with, { since: 7, run: "run-1" });
  third.send({ id: follow.id, reply: { seq: 8, devices: [], missed: null } });
  third.send({ event: { seq: 8 } });
  const joined = till.join(sent.key);
  const again = await third.next();
  assert.deepEqual({ ...again, id: 0 }, { ...sent, id: 0 });
  third.send({ id: again.id, reply: "sold" });
  assert.equal(await joined, "sold");
  assert.deepEqual(events, [8]);
});

test("a link that is silent is asked, then given up", async () => {
  const [till, first] = await open();
  clock.pass(13_000);
  // What every caller may ask: a page without the right `watch` makes no entry in the till's audit.
  assert.equal((await first.next()).command, "ping");
  const health = till.call("till.health").catch(() => {});
  await first.next();
  clock.pass(15_000);
  const second = await peer.welcome();
  assert.equal((await second.next()).command, "till.health");
  till.close();
  await health;
});

test("aborting asks the till; the call ends with its outcome", async () => {
  const [till, connection] = await open();
  const abort = new AbortController();
  const paid = till.call("terminal.pay", pay, { key: "a-17", signal: abort.signal });
  const request = await connection.next();
  abort.abort();
  const asked = await connection.next();
  assert.deepEqual([asked.command, asked.with], ["abort", { key: "a-17" }]);
  connection.send({ id: asked.id, reply: true });
  connection.send({ id: request.id, reply: { "not-charged": { reason: "aborted" } } });
  assert.equal((await paid)["not-charged"].reason, "aborted");
});

test("rights are of some devices, or of all", () => {
  const rights = new Rights("watch print:bar,grill pay:counter");
  assert.equal(rights.may("print", "bar"), true);
  assert.equal(rights.may("print", "kitchen"), false);
  assert.equal(rights.may("print"), true);
  assert.equal(rights.may("watch", "anything"), true);
  assert.equal(rights.may("settle"), false);
});

/** Whatever was sent before has been read. */
async function roundTrip(till, connection) {
  const done = till.call("till.info");
  let request = await connection.next();
  while (request.command !== "till.info") request = await connection.next();
  connection.send({ id: request.id, reply: null });
  await done;
}
