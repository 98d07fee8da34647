// @ts-check
// What the dashboard shows: each panel is a function of what is known to elements.
import { el } from "/view.js";

/**
 * What the panels are drawn of.
 * @typedef {object} Known
 * @property {any} health Of `till.health`.
 * @property {any[]} jobs Stored jobs, newest first.
 * @property {any[]} payments Of `till.payments`, open ones.
 * @property {any[]} accounts Of `till.accounts-in-doubt`.
 * @property {Set<string>} serving The payments that terminals are working on.
 * @property {any[]} leases Of `lease.list`.
 * @property {any[]} events Newest first.
 * @property {any[] | null} audit Of `remote.audit`, newest first; `null`: not asked for.
 * @property {Set<string>} watched The cameras whose picture is shown.
 * @property {(right: string, device?: string | null) => boolean} may
 * @property {any} words
 */

/** All panels by the id of their section. @type {Record<string, (known: Known) => Node[]>} */
export const PANELS = { alerts, devices, cameras, payments, jobs, leases, health, server, events, access };

function panel(/** @type {any} */ words, /** @type {string} */ name, /** @type {any} */ count, /** @type {any[]} */ ...content) {
  const id = `${name}-title`;
  return [
    el("header", {}, el("h2", { id }, words.t(name)), count === null ? null : el("span.count", {}, String(count))),
    ...content,
  ];
}

/** @param {string} action @param {string} text @param {Record<string, any>} [data] @param {string} [kind] */
function button(action, text, data = {}, kind = "") {
  const named = Object.fromEntries(Object.entries(data).map(([name, value]) => [`data-${name}`, value]));
  return el(kind ? `button.${kind}` : "button", { type: "button", "data-do": action, "data-key": action, ...named }, text);
}

function alerts(/** @type {Known} */ { health, words: { t, time } }) {
  return health.alerts.map((/** @type {any} */ { source, alert, since, why }) =>
    el("div.note.bad", { "data-key": `${name(source)} ${alert}` },
      el("p", {}, el("strong", {}, `${t(alert)}: ${name(source)}`), ` ${t("since", time(since))}`),
      el("p.why", {}, why),
      el("p.next", {}, t(`${alert}-next`))));
}

function devices(/** @type {Known} */ { health, may, words }) {
  const rows = health.devices.map((/** @type {any} */ device) => {
    const { t, time } = words;
    const [kind, text, why] = phase(device, t);
    const error = device.errors.at(-1);
    const facts = [
      device.address,
      device.busy_with && t("busy", device.busy_with),
      device.lease && t("leased-by", device.lease.holder),
      device.waiting > 0 && t("waiting-calls", device.waiting),
      device.reconnects > 0 && t("reconnects", device.reconnects),
    ].filter(Boolean);
    // What is said above is not said again.
    const said = why?.includes(error?.what);
    const last = error && el("p.facts.why", {},
      said ? t("last-error-at", time(error.at)) : t("last-error", time(error.at), error.what),
      error.times > 1 ? ` (${t("times", error.times)})` : null,
      error.hint && !said ? [" ", el("span.next", {}, error.hint)] : null);
    const reset = device.phase !== "ready" && may("configure", device.name);
    return el("li", { "data-key": `${device.class} ${device.name}` },
      el("div.head", {},
        el("span.name", {}, device.name), el("span.quiet", {}, t(device.class)), el(`span.state.end.${kind}`, {}, text)),
      why ? el("p.why", {}, why) : null,
      el("p.facts", {}, facts.join(" · ")),
      last,
      el("div.actions", {}, reset ? button("reset", t("reset"), { class: device.class, name: device.name }) : null));
  });
  const { t } = words;
  const list = rows.length > 0 ? el("ul.rows", {}, rows) : el("p.empty", {}, t("no-devices"));
  return panel(words, "devices", rows.length, list);
}

/** How a device is: the kind of its state, in words, and why. */
function phase(/** @type {any} */ { phase, attention }, /** @type {any} */ t) {
  if (phase === "ready") {
    if (attention.length === 0) return ["good", t("ready"), null];
    const words = attention.map((/** @type {string} */ what) => t(what)).join(", ");
    return [attention.every((/** @type {string} */ what) => what === "paper-near-end") ? "warn" : "bad", words, null];
  }
  if (typeof phase === "string") return ["idle", t(phase), null];
  if (phase.away) return ["bad", t("is-away"), phase.away.why];
  if (phase.faulted) return ["bad", t("faulted"), phase.faulted.why];
  return ["idle", t("ended"), phase.ended?.why];
}

function cameras(/** @type {Known} */ { health, watched, may, words }) {
  const { t } = words;
  const seen = health.devices.filter((/** @type {any} */ { class: of, name }) => of === "camera" && may("camera", name));
  if (seen.length === 0) return [];
  const rows = seen.map((/** @type {any} */ { name }) => {
    const shown = watched.has(name);
    return el("li", { "data-key": name },
      el("div.head", {}, el("span.name", {}, name)),
      el("div.actions", {}, button(shown ? "hide" : "show", t(shown ? "hide" : "show"), { name })),
      shown ? el("div.camera", {},
        el("img", { "data-kept": true, "data-camera": name, alt: t("picture", name), width: 640, height: 480 }),
        el("p.facts", { "data-kept": true, "data-camera-says": name })) : null);
  });
  return panel(words, "cameras", null, el("ul.rows", {}, rows));
}

function payments(/** @type {Known} */ { payments, accounts, serving, may, words }) {
  const { t, money, time } = words;
  const terminals = payments.map(({ intent, approved }) => {
    const running = serving.has(intent.id);
    const known = approved ? t("approved", money(approved.amount)) : t("unheard");
    const operation = typeof intent.operation === "string" ? intent.operation : Object.keys(intent.operation)[0];
    const data = { key: intent.id, amount: intent.amount, where: intent.terminal };
    return el("li", { "data-key": intent.id },
      el("div.head", {},
        el("span.name", {}, `${t(operation)} ${money(intent.amount)}`), el("span.quiet", {}, intent.terminal),
        el(`span.state.end.${running ? "good" : "bad"}`, {}, t(running ? "running" : "doubt"))),
      running ? null : el("p.why", {}, known),
      el("p.facts", {}, `${time(intent.at)} · `, el("code", {}, intent.id)),
      el("div.actions", {},
        !running && may("pay", intent.terminal) ? button("recover", t("recover"), { where: intent.terminal }) : null,
        !running && may("settle", intent.terminal) ? button("settle", t("settle"), data, "main") : null));
  });
  const booked = accounts.map(({ key, account, amount, at, why }) =>
    el("li", { "data-key": key },
      el("div.head", {}, el("span.name", {}, money(amount)), el("span.quiet", {}, t("account", account)),
        el("span.state.end.bad", {}, t("doubt"))),
      el("p.why", {}, why ?? t("unheard")),
      el("p.facts", {}, `${time(at)} · `, el("code", {}, key)),
      el("div.actions", {}, may("settle")
        ? button("settle", t("settle"), { key, amount, where: t("account", account), account }, "main") : null)));
  const rows = [...terminals, ...booked];
  const list = rows.length > 0 ? el("ul.rows", {}, rows) : el("p.empty", {}, t("no-payments"));
  return panel(words, "payments", rows.length, list);
}

/** Which state of a job is how bad, and what may be done about it. */
const JOBS = {
  queued: ["warn", ["cancel-job"]],
  printing: ["good", []],
  printed: ["good", []],
  accepted: ["good", []],
  unknown: ["bad", ["reprint", "cancel-job"]],
  cancelled: ["idle", []],
  unreadable: ["bad", ["cancel-job"]],
};

function jobs(/** @type {Known} */ { jobs, may, words }) {
  const { t, time } = words;
  const rows = jobs.map((job) => {
    const [kind, able] = /** @type {any} */ (JOBS)[job.state] ?? ["idle", []];
    const facts = [
      t("queued-at", time(job.queued_at)),
      job.printer && t("on", job.printer),
      job.copy && t("copy"),
      job.sheets > 1 && `${job.sheet}/${job.sheets}`,
      job.origin?.station,
    ].filter(Boolean);
    const data = { job: job.id, route: job.route };
    return el("li", { "data-key": job.id },
      el("div.head", {}, el("span.name", {}, job.route), el(`span.state.end.${kind}`, {}, t(job.state))),
      job.error ? el("p.why", {}, job.error) : null,
      el("p.facts", {}, `${facts.join(" · ")} · `, el("code", {}, job.id)),
      el("div.actions", {},
        job.state === "unreadable" ? null : button("paper", t("paper"), data),
        may("print", job.route) ? able.map((/** @type {string} */ what) => button(what, t(what), data)) : null));
  });
  const list = rows.length > 0 ? el("ul.rows", {}, rows) : el("p.empty", {}, t("no-jobs"));
  return panel(words, "jobs", rows.length, el("div.scroll", { tabindex: "0", role: "group", "aria-labelledby": "jobs-title" }, list));
}

function leases(/** @type {Known} */ { leases, health, may, words }) {
  const { t, time, span } = words;
  const now = Date.parse(health.at);
  const rows = leases.map(({ target, holder, nature, since, until, ending, asked, waiting }) => {
    const what = target.device ? `${t(target.device.class)} ${target.device.name}` : t("sale", target.sale);
    const facts = [
      t("holder", holder, span(now - Date.parse(since))),
      until && t("expires", time(until)),
      ending && t("ending"),
      waiting.length > 0 && t("queue", waiting.map((/** @type {any} */ { name }) => name).join(", ")),
    ].filter(Boolean);
    const data = { target: JSON.stringify(target), what, holder };
    return el("li", { "data-key": JSON.stringify(target) },
      el("div.head", {}, el("span.name", {}, what), el("span.state.end.warn", {}, t(nature))),
      el("p.facts", {}, facts.join(" · ")),
      asked.map((/** @type {any} */ { by, why }) => el("p.why", {}, t("asked", by, why))),
      el("div.actions", {},
        may("settle", target.device?.name ?? null) ? button("take-over", t("take-over"), data) : null));
  });
  const list = rows.length > 0 ? el("ul.rows", {}, rows) : el("p.empty", {}, t("no-leases"));
  return panel(words, "leases", rows.length, list);
}

function health(/** @type {Known} */ { health, words }) {
  const { t, span, bytes } = words;
  const { store, version, uptime_ms: uptime } = health.till;
  const used = store.disk_total ? 100 * (1 - store.disk_free / store.disk_total) : null;
  const queues = store.queues.filter((/** @type {any} */ { waiting, printing, parked }) => waiting + printing + parked > 0);
  const pairs = [
    [t("version"), version],
    [t("open-for"), span(uptime)],
    [t("database"), bytes(store.bytes ?? 0)],
    used === null ? null : [t("disk"), [t("free", bytes(store.disk_free), bytes(store.disk_total)), meter(used)]],
    [t("writes"), t("writes-are", store.writes, (store.p99_us / 1000).toFixed(1), store.failed)],
    [t("queues"), queues.length === 0 ? t("queues-empty") : queues.map((/** @type {any} */ { route, waiting, printing, parked }) =>
      el("p", {}, t("queue-is", route, waiting, printing, parked)))],
    [t("sales"), store.open_sales],
    store.error ? [t("problem"), el("span.bad", {}, store.error)] : null,
  ];
  return panel(words, "health", null, el("dl.pairs", {}, pairs.filter(Boolean).map(pair)));
}

/** A share of a hundred as a bar; its value is in words beside it. */
function meter(/** @type {number} */ percent) {
  return el("progress", { max: 100, value: percent.toFixed(0), "aria-hidden": "true" });
}

function pair(/** @type {any} */ [name, value]) {
  return [el("dt", {}, name), el("dd", {}, value)];
}

function server(/** @type {Known} */ { health, words }) {
  const { t, time } = words;
  const { outbox } = health.till;
  if (!outbox) return panel(words, "server", null, el("p.empty", {}, t("off")));
  const state = typeof outbox.state === "string" ? outbox.state : Object.keys(outbox.state)[0];
  const kind = /** @type {any} */ ({ connected: "good", "catching-up": "warn", local: "bad" })[state] ?? "idle";
  const pairs = [
    [el(`span.state.${kind}`, {}, t(state)), outbox.state.local?.why ?? ""],
    [t("behind"), outbox.behind],
    outbox.oldest ? [t("oldest"), time(outbox.oldest)] : null,
    [t("acknowledged"), `${outbox.acknowledged} / ${outbox.end}`],
    outbox.unbooked > 0 ? [t("unbooked"), el("span.bad", {}, String(outbox.unbooked))] : null,
  ];
  return panel(words, "server", null, el("dl.pairs", {}, pairs.filter(Boolean).map(pair)));
}

function events(/** @type {Known} */ { events, words }) {
  const { t, time } = words;
  // What can be done now is seen at the devices.
  const rows = events.filter(({ kind }) => kind !== "capabilities-changed").map(({ seq, at, source, kind }) =>
    el("li", { "data-key": seq }, el("time", { datetime: at }, time(at)), el("span.why", {}, `${name(source)}: ${told(kind)}`)));
  const list = rows.length > 0 ? el("ul.log", {}, rows) : el("p.empty", {}, t("no-events"));
  return panel(words, "events", null, el("div.scroll", { tabindex: "0", role: "group", "aria-labelledby": "events-title" }, list));
}

/** Who did what from outside. Looking at it is recorded itself, so it is asked for by hand only. */
function access(/** @type {Known} */ { audit, may, words }) {
  const { t, time } = words;
  if (!may("configure")) return [];
  const load = el("div.actions", {}, button("audit", t(audit ? "audit-again" : "audit")));
  if (!audit) return panel(words, "access", null, load);
  const rows = audit.map(({ seq, at, note }) => {
    const facts = [note.device, note.address, note.about].filter(Boolean).join(" · ");
    return el("li", { "data-key": seq },
      el("time", { datetime: at }, time(at)),
      el("div.why", {},
        el("strong", {}, note.principal ?? t("stranger")), `: ${note.action} `,
        note.refused ? el("span.bad", {}, t("refused", note.refused)) : null,
        facts ? el("p.facts", {}, facts) : null));
  });
  return panel(words, "access", null, load,
    el("div.scroll", { tabindex: "0", role: "group", "aria-labelledby": "access-title" }, el("ul.log", {}, rows)));
}

/** Where an event comes from. */
function name(/** @type {any} */ source) {
  return source.device?.name ?? source.route ?? source;
}

/** An event in words: its kind, and the reason if there is one. */
export function told(/** @type {any} */ kind) {
  if (typeof kind === "string") return kind.replaceAll("-", " ");
  const [what, details] = Object.entries(kind)[0];
  const words = what.replaceAll("-", " ");
  if (what === "printer") return `paper ${details.paper}, online ${details.online}, cover open ${details.cover_open}`;
  if (typeof details === "string") return `${words}: ${details}`;
  const shown = details?.display ?? details?.status?.text;
  const facts = [details?.job ?? details?.holder ?? details?.intent ?? details?.address ?? details?.sale ?? shown, details?.why];
  const reason = facts.filter((fact) => typeof fact === "string").join(", ");
  return reason ? `${words}: ${reason}` : words;
}
