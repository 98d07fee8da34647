// @ts-check
// A till from afar: what it is doing, what is wrong, and what a person decides.
import { Till } from "/tresen.js";
import { letIn, showLink } from "/entrance.js";
import { at, handle, language, redraw } from "/view.js";
import { ask, dismiss, field, look, say, settling } from "./dialogs.js";
import { PANELS } from "./panels.js";
import { TEXTS } from "./words.js";

const words = language(TEXTS);
const { t } = words;
const till = new Till();

/** What the panels are drawn of. @returns {any} */
const nothing = () => ({
  health: null, jobs: [], payments: [], accounts: [], leases: [], events: [], audit: null, serving: new Set(), watched: new Set(), words,
  may: (/** @type {string} */ right, /** @type {string | null} */ device = null) => till.rights.may(right, device),
});
let known = nothing();

/** How often all is asked again, in ms; events ask at once. */
const EVERY = 15_000;
const SERVING = 2_000;
/** Events that come this close together are one redraw, in ms. */
const TOGETHER = 250;
/** How many events are kept, and jobs of the last hour. */
const EVENTS = 200;
const JOBS = 100;

// --- the connection

let following = false;

async function entered() {
  known = nothing();
  known.events = (await till.call("till.recent-events").catch(() => [])).reverse();
  const since = new Date(Date.now() - 3_600_000).toISOString();
  const { rows } = await till.call("till.jobs", { since }).catch(() => ({ rows: [] }));
  remember(rows);
  if (following) {
    await refresh();
    return;
  }
  await till.follow({ event, state: () => refresh(), missed: ({ from, to }) => say(t("missed", to - from + 1)) });
  following = true;
  setInterval(refresh, EVERY);
  // No event tells that a terminal has given up a payment.
  setInterval(() => known.serving.size > 0 && refresh(), SERVING);
}

function linked() {
  if (till.about) {
    document.title = `${till.about.name} – tresen`;
    at("till").textContent = till.about.name;
  }
  const out = till.state === "signed-out" || till.state === "closed";
  at("leave").hidden = out;
  if (out) {
    known = nothing();
    dismiss();
    at("panels").hidden = true;
  }
}

// --- what is known

/** @type {Set<string>} */
const changed = new Set();
/** @type {any} */
let soon = null;

/** @param {any} event */
function event(event) {
  known.events.unshift(event);
  known.events.length = Math.min(known.events.length, EVENTS);
  const job = typeof event.kind === "object" ? /** @type {any} */ (Object.values(event.kind)[0])?.job : null;
  if (job) changed.add(job);
  soon ??= setTimeout(() => {
    soon = null;
    void refresh();
  }, TOGETHER);
}

let asking = false;
let again = false;

/** Asks the till how it is. What it does not tell this caller stays empty. */
async function refresh() {
  if (till.state !== "open") return;
  if (asking) {
    again = true;
    return;
  }
  asking = true;
  try {
    await fetchAll();
    draw();
  } catch (error) {
    say(/** @type {Error} */ (error).message);
  } finally {
    asking = false;
    if (again) {
      again = false;
      void refresh();
    }
  }
}

async function fetchAll() {
  const now = known;
  const or = (/** @type {any} */ usual) => () => usual;
  const jobs = [...changed].map((job) => till.call("printer.find", { job }).catch(or(null)));
  changed.clear();
  const [health, open, payments, accounts, leases, ...stored] = await Promise.all([
    till.call("till.health"),
    till.call("till.open-jobs").catch(or([])),
    till.call("till.payments", { open: true }).catch(or({ rows: [] })),
    till.call("till.accounts-in-doubt").catch(or([])),
    till.call("lease.list").catch(or([])),
    ...jobs,
  ]);
  remember([...stored.filter(Boolean), ...open]);
  const terminals = [...new Set(payments.rows.map((/** @type {any} */ { intent }) => intent.terminal))];
  const serving = await Promise.all(terminals.map((terminal) => till.call("terminal.serving", { terminal }).catch(or(null))));
  Object.assign(now, { health, payments: payments.rows, accounts, leases, serving: new Set(serving.filter(Boolean)) });
}

/** Keeps the jobs that are open, and the last of those that are done. @param {any[]} jobs */
function remember(jobs) {
  const all = new Map(known.jobs.map((/** @type {any} */ job) => [job.id, job]));
  for (const job of jobs) all.set(job.id, job);
  const sorted = [...all.values()].sort((a, b) => b.seq - a.seq);
  const open = ["queued", "printing", "unknown", "unreadable"];
  known.jobs = sorted.filter((job, at) => at < JOBS || open.includes(job.state));
  // One that was open and of which no event told is asked for.
  const told = new Set(jobs.map((job) => job.id));
  for (const job of known.jobs) if (open.includes(job.state) && !told.has(job.id)) changed.add(job.id);
}

function draw() {
  if (!known.health) return;
  at("panels").hidden = false;
  for (const [id, panel] of Object.entries(PANELS)) {
    const section = at(id);
    const content = panel(known);
    section.hidden = content.length === 0;
    if (id !== "alerts") section.setAttribute("aria-labelledby", `${id}-title`);
    redraw(section, content);
  }
  for (const name of known.watched) void watch(name);
}

// --- cameras

/** The cameras whose pictures are being fetched. @type {Set<string>} */
const fetching = new Set();
/** The pause between two pictures, and after a failure, in ms. */
const FRAME = 500;
const FAILED = 3_000;

/** Shows what a camera sees for as long as it is wanted. @param {string} name */
async function watch(name) {
  if (fetching.has(name)) return;
  fetching.add(name);
  while (till.state === "open" && known.watched.has(name)) {
    const find = (/** @type {string} */ data) => document.querySelector(`[${data}="${CSS.escape(name)}"]`);
    const says = find("data-camera-says");
    let pause = FRAME;
    try {
      if (!document.hidden) {
        const url = URL.createObjectURL(await till.frame(name));
        const image = /** @type {HTMLImageElement | null} */ (find("data-camera"));
        if (image) {
          const before = image.src;
          image.src = url;
          await image.decode();
          if (before.startsWith("blob:")) URL.revokeObjectURL(before);
        }
        if (says) says.textContent = "";
      }
    } catch (error) {
      if (says) says.textContent = t("no-picture", /** @type {Error} */ (error).message);
      pause = FAILED;
    }
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
  fetching.delete(name);
}

// --- what a person decides

/** @type {Record<string, (data: DOMStringMap) => unknown>} */
const ACTIONS = {
  leave: () => {
    till.signOut();
    location.reload();
  },
  show: ({ name }) => {
    known.watched.add(name);
    draw();
  },
  hide: ({ name }) => {
    known.watched.delete(name);
    draw();
  },
  audit: async () => {
    known.audit = (await till.call("remote.audit", { limit: 50 })).sort((one, other) => other.seq - one.seq);
    draw();
  },
  reset: ({ class: of, name = "" }) => {
    const device = { class: /** @type {import("/tresen.js").DeviceClass} */ (of), name };
    return doing(till.call("till.reset", { device }));
  },
  recover: ({ where = "" }) => doing(till.call("terminal.recover", { terminal: where })),
  paper: ({ job = "" }) =>
    look(words, t("paper-title", job), t("paper-alt", job), till.picture(job)),
  reprint: ({ job = "" }) =>
    ask(words, { title: t("reprint-title", job), how: t("reprint-how"), decide: t("reprint") }, () =>
      changing(job, "printer.reprint", { job, within_ms: 0 })),
  "cancel-job": ({ job = "" }) =>
    ask(words, { title: t("cancel-title", job), how: t("cancel-how"), decide: t("cancel-job"), kind: "danger" }, () =>
      changing(job, "printer.cancel", { job })),
  settle: ({ key = "", amount = "", where, account }) => {
    const fields = settling(words, amount, till.about?.you ?? "");
    const title = t("settle-title", words.money(amount), where);
    ask(words, { title, how: t("settle-how"), fields, decide: t("decide") }, async (answers) => {
      const [outcome, sum, by, reason] = ["outcome", "amount", "by", "reason"].map((name) => String(answers.get(name)).trim());
      const decision = { charged: outcome === "charged" ? sum : null, reference: null, by, reason };
      await till.call(account ? "till.settle-account" : "terminal.settle", { key, decision });
      await refresh();
    });
  },
  "take-over": ({ target = "", what, holder }) => {
    const fields = field("why", t("reason"), { required: true, autocomplete: "off" });
    const title = t("take-over-title", what, holder);
    ask(words, { title, how: t("take-over-how"), fields, decide: t("take-over").replace(" …", "") }, async (answers) => {
      const turn = await till.call("lease.take-over", { target: JSON.parse(target), why: String(answers.get("why")) });
      await refresh();
      return t("granted" in turn ? "taken-over" : "taking-over", what);
    });
  },
};

/** @param {string} job @param {"printer.cancel" | "printer.reprint"} command @param {any} fields */
async function changing(job, command, fields) {
  await till.call(command, fields);
  changed.add(job);
  await refresh();
}

/** @param {Promise<unknown>} done */
async function doing(done) {
  try {
    await done;
    say(t("done"));
  } catch (error) {
    ask(words, { title: t("failed", ""), how: /** @type {Error} */ (error).message, decide: t("close") }, async () => "");
  }
  await refresh();
}

const select = /** @type {HTMLSelectElement} */ (at("language"));
select.value = words.tag;
select.addEventListener("change", () => {
  words.choose(select.value);
  showLink(till, words);
  draw();
});
words.apply();
handle(ACTIONS);
letIn(till, words, { entered, linked });
