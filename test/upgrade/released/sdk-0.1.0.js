// The SDK of 0.1.0, bundled: what programs that were not updated go on calling with. Never changes.

// src/index.ts
import { z } from "zod";

// src/errors.ts
var SQL_ERROR_CODES = {
  JQ001: "queue_not_found",
  JQ002: "job_not_found",
  JQ003: "lease_lost",
  JQ004: "job_in_another_state",
  JQ005: "queue_paused",
  JQ006: "endpoint_not_found"
};
var STANDARD_ERROR_CODES = {
  "22023": "invalid_argument",
  "22004": "invalid_argument",
  "23505": "unique_key_held",
  "55000": "wrong_state",
  "54000": "too_large",
  "42501": "access_denied",
  "40001": "conflict",
  "40P01": "conflict",
  "55P03": "conflict",
  "42883": "not_installed",
  "3F000": "not_installed",
  "42P01": "not_installed"
};
var PgqError = class extends Error {
  name = "PgqError";
  code;
  /** The SQLSTATE, if the error came from the database. */
  sqlstate;
  constructor(code, message, options = {}) {
    super(message, "cause" in options ? { cause: options.cause } : void 0);
    this.code = code;
    this.sqlstate = options.sqlstate;
  }
};
var CONNECTION_FAULTS = /* @__PURE__ */ new Set([
  "CONNECTION_CLOSED",
  "CONNECTION_ENDED",
  "CONNECTION_DESTROYED",
  "CONNECT_TIMEOUT",
  "ECONNREFUSED",
  "ECONNRESET",
  "ECONNABORTED",
  "EPIPE",
  "ETIMEDOUT",
  "ENOTFOUND",
  "EAI_AGAIN",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "ENOENT"
]);
var CONNECTION_STATES = /^(08...|57P0[1-5]|53300|25006)$/;
function toPgqError(error) {
  if (error instanceof PgqError) return error;
  const code = textOf(error, "code") ?? "";
  const message = textOf(error, "message") || code || String(error);
  if (/^[0-9A-Z]{5}$/.test(code) && !CONNECTION_FAULTS.has(code)) {
    const details = [message, textOf(error, "detail"), textOf(error, "hint")].filter((part) => part).join(" \u2014 ");
    return new PgqError(codeOfSqlstate(code), details, { cause: error, sqlstate: code });
  }
  const is_broken = CONNECTION_FAULTS.has(code) || /connection (was )?(terminated|ended|closed|timeout)|not queryable/i.test(message);
  return new PgqError(is_broken ? "connection_lost" : "database_error", message, { cause: error });
}
function codeOfSqlstate(sqlstate) {
  if (sqlstate in SQL_ERROR_CODES) return SQL_ERROR_CODES[sqlstate];
  if (sqlstate in STANDARD_ERROR_CODES) return STANDARD_ERROR_CODES[sqlstate];
  if (CONNECTION_STATES.test(sqlstate)) return "connection_lost";
  return sqlstate.startsWith("22") ? "invalid_argument" : "database_error";
}
function textOf(error, key) {
  if (typeof error !== "object" || error === null) return void 0;
  const value = error[key];
  if (typeof value === "string" && value !== "") return value;
  const first = error.errors;
  return Array.isArray(first) && first.length > 0 ? textOf(first[0], key) : void 0;
}

// src/backoff.ts
function backoff(attempt, first, cap) {
  const ceiling = Math.min(cap, first * 2 ** Math.min(attempt, 30));
  return ceiling / 2 + Math.random() * ceiling / 2;
}
function sleep(milliseconds2, signal) {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve();
    const timer = setTimeout(done, milliseconds2);
    signal?.addEventListener("abort", done, { once: true });
    function done() {
      clearTimeout(timer);
      signal?.removeEventListener("abort", done);
      resolve();
    }
  });
}

// src/listening.ts
var FIRST_PAUSE_MILLISECONDS = 100;
var LONGEST_PAUSE_MILLISECONDS = 1e4;
function createListening(open2) {
  const channels = /* @__PURE__ */ new Map();
  return {
    async listen(name, on_notify, callbacks = {}) {
      const channel = channels.get(name) ?? keepListening(open2, name);
      channels.set(name, channel);
      const subscriber = { ...callbacks, on_notify };
      channel.subscribers.add(subscriber);
      await channel.first_attempt;
      return async () => {
        if (!channel.subscribers.delete(subscriber) || channel.subscribers.size > 0) return;
        if (channels.get(name) === channel) channels.delete(name);
        await channel.close();
      };
    },
    async close() {
      const all = [...channels.values()];
      channels.clear();
      await Promise.all(all.map((channel) => channel.close()));
    }
  };
}
function keepListening(open2, name) {
  const subscribers = /* @__PURE__ */ new Set();
  const closing = new AbortController();
  let session;
  let tell_first = () => {
  };
  const first_attempt = new Promise((resolve) => tell_first = resolve);
  const running = run();
  async function run() {
    let failures = 0;
    for (let is_first = true; !closing.signal.aborted; is_first = false) {
      try {
        session = await open2(name, (payload) => subscribers.forEach((subscriber) => subscriber.on_notify(payload)));
        failures = 0;
        if (closing.signal.aborted) break;
        if (!is_first) subscribers.forEach((subscriber) => subscriber.on_reconnect?.());
        tell_first();
        const reason = await session.closed;
        session = void 0;
        if (!closing.signal.aborted) tellError(reason);
      } catch (error) {
        tellError(error);
      }
      tell_first();
      await sleep(backoff(failures++, FIRST_PAUSE_MILLISECONDS, LONGEST_PAUSE_MILLISECONDS), closing.signal);
    }
    tell_first();
    await session?.close();
  }
  function tellError(error) {
    subscribers.forEach((subscriber) => subscriber.on_error?.(error));
  }
  return {
    subscribers,
    first_attempt,
    async close() {
      closing.abort();
      await session?.close();
      await running;
    }
  };
}

// src/adapters.ts
function fromPostgresTransaction(sql, { transaction_pooler = false } = {}) {
  const prepare = !transaction_pooler;
  return {
    async query({ q, args = [] }) {
      return { rows: await sql.unsafe(q, args, { prepare }) };
    },
    async exec(text) {
      await sql.unsafe(text);
    }
  };
}

// src/expect.ts
function refuse(name, expected, got) {
  throw new PgqError("invalid_argument", `Expected \`${name}\` to be ${expected}, got ${show(got)}`);
}
function expectWhole(name, value, min, max = Number.MAX_SAFE_INTEGER) {
  if (value === void 0) return;
  if (!Number.isSafeInteger(value) || value < min || value > max) {
    refuse(name, max === Number.MAX_SAFE_INTEGER ? `a whole number from ${min}` : `a whole number from ${min} to ${max}`, value);
  }
}
function expectText(name, value) {
  if (typeof value !== "string" || value === "") refuse(name, "a text that is not empty", value);
}
function expectOneOf(name, value, words) {
  if (value !== void 0 && !words.includes(value)) {
    refuse(name, words.map((word) => `'${word}'`).join(", ").replace(/, ([^,]*)$/, " or $1"), value);
  }
}
function show(value) {
  if (typeof value === "string") return value.length > 60 ? `'${value.slice(0, 60)}\u2026'` : `'${value}'`;
  if (typeof value === "function") return "a function";
  if (typeof value === "object" && value !== null) return Array.isArray(value) ? "an array" : value.constructor?.name ?? "an object";
  return String(value);
}

// src/sql-call.ts
var DEFAULT_SCHEMA = "pgq";
function quoteName(name) {
  expectText("schema_name", name);
  if (name.includes("\0")) refuse("schema_name", "a name without zero characters", name);
  return `"${name.replaceAll('"', '""')}"`;
}
function param(value) {
  return value === void 0 || value === null ? null : String(value);
}
function jsonParam(name, value) {
  return value === void 0 ? null : toJson(name, value);
}
function timeParam(name, value) {
  if (value === void 0) return null;
  if (typeof value === "string") return value;
  if (!(value instanceof Date) || Number.isNaN(value.getTime())) refuse(name, "a valid Date or a text in ISO form", value);
  return value.toISOString().replace(/^\+0*/, "");
}
function numbersParam(numbers) {
  return `{${numbers.join(",")}}`;
}
function textsParam(texts) {
  return texts === void 0 ? null : JSON.stringify(texts);
}
function jsonLinesParam(texts) {
  return texts?.some((text) => text !== void 0) ? texts.join("\n") : null;
}
function toJson(name, value) {
  let json;
  try {
    json = JSON.stringify(value);
  } catch (error) {
    refuse(name, `a value that JSON can hold (${error.message})`, value);
  }
  return json ?? refuse(name, "a value that JSON can hold", value);
}
async function callVoid(db, q, args) {
  await rowsOf(db, q, args);
}
async function rowsOf(db, q, args) {
  try {
    return (await db.query({ q, args })).rows;
  } catch (error) {
    throw toPgqError(error);
  }
}
async function call(db, q, args) {
  return (await rowsOf(db, q, args)).map((row) => {
    const text = Object.values(row)[0];
    return typeof text === "string" ? JSON.parse(text) : text;
  });
}
async function callOne(db, q, args) {
  return (await call(db, q, args))[0];
}
function namedArguments(types, first = 1) {
  return Object.entries(types).map(([name, type], index) => `${name} => ${castOf(`$${first + index}::text`, type)}`).join(", ");
}
function castOf(parameter, type) {
  switch (type) {
    case "text":
      return parameter;
    // With CASE, because ARRAY(SELECT …) of NULL is an empty array and not NULL.
    case "text[]":
      return `CASE WHEN ${parameter} IS NOT NULL THEN ARRAY(SELECT jsonb_array_elements_text(${parameter}::jsonb)) END`;
    case "jsonb[]":
      return `CASE WHEN ${parameter} IS NOT NULL THEN ARRAY(SELECT line::jsonb FROM string_to_table(${parameter}, E'\\n', '') AS line) END`;
    default:
      return `${parameter}::${type}`;
  }
}

// src/release.ts
var RESULTS = ["complete", "failed", "paused", "cancelled"];
async function releaseOne(db, schema_name, job_id, result, options) {
  expectWhole("job_id", job_id, 1);
  expectOneOf("result", result ?? "nothing", RESULTS);
  expectWhole("delay_milliseconds", options.delay_milliseconds, 0);
  const q = `SELECT to_json(${quoteName(schema_name)}.release_job(${namedArguments({
    job_id: "bigint",
    result: "text",
    lease_token: "bigint",
    output: "jsonb",
    error: "text",
    delay_milliseconds: "bigint",
    retry: "boolean"
  })}))::text AS r`;
  return callOne(options.transaction ?? db, q, [
    param(job_id),
    result,
    param(options.lease_token),
    jsonParam("output", options.output),
    param(storable(options.error)),
    param(options.delay_milliseconds),
    param(options.retry ?? true)
  ]);
}
function storable(text) {
  return text?.replaceAll("\0", "\uFFFD");
}

// src/worker-maintenance.ts
function planMaintenance(maintain) {
  let timer;
  let is_over = false;
  plan();
  function plan() {
    timer = setTimeout(() => void maintain().finally(() => is_over || plan()), 6e4 * (0.75 + Math.random() / 2));
  }
  return () => {
    is_over = true;
    clearTimeout(timer);
  };
}

// src/outcome.ts
var IS_OUTCOME = /* @__PURE__ */ Symbol.for("pgq.outcome");
function completeJob(output) {
  return outcome("complete", { output: jsonOf(output) });
}
function failJob(error, options = {}) {
  return outcome("failed", { error: errorText(error), delay_milliseconds: delayOf(options), retry: options.retry ?? true });
}
function outcomeOfValue(value) {
  if (value === void 0) return COMPLETE;
  if (isOutcome(value)) return value;
  switch (value) {
    case "complete":
      return COMPLETE;
    case "paused":
      return PAUSED;
    case "failed":
      return outcome("failed", { error: "the handler returned 'failed'" });
    default:
      return completeJob(value);
  }
}
function outcomeOfError(error) {
  return isOutcome(error) ? error : outcome("failed", { error: errorText(error) });
}
function isOutcome(x) {
  return typeof x === "object" && x !== null && IS_OUTCOME in x;
}
function outcome(result, rest = {}) {
  return { [IS_OUTCOME]: true, result, output: void 0, error: void 0, delay_milliseconds: void 0, retry: true, ...rest };
}
var COMPLETE = outcome("complete");
var PAUSED = outcome("paused");
function delayOf({ delay_milliseconds }) {
  if (delay_milliseconds === void 0) return void 0;
  if (!(delay_milliseconds >= 0 && delay_milliseconds <= Number.MAX_SAFE_INTEGER)) {
    refuse("delay_milliseconds", "a number from 0", delay_milliseconds);
  }
  return Math.round(delay_milliseconds);
}
function jsonOf(output) {
  return JSON.stringify(output);
}
var MAX_FRAMES = 8;
var MAX_ERROR_LENGTH = 8e3;
function errorText(error) {
  const parts = [];
  for (let cause = error, depth = 0; cause !== void 0 && depth < 5; depth++) {
    parts.push(depth === 0 ? oneErrorText(cause) : `caused by ${oneErrorText(cause)}`);
    cause = cause instanceof Error ? cause.cause : void 0;
  }
  const text = storable(parts.join("\n"));
  return text.length > MAX_ERROR_LENGTH ? `${text.slice(0, MAX_ERROR_LENGTH)}\u2026` : text;
}
function oneErrorText(error) {
  if (typeof error === "string") return error;
  if (!(error instanceof Error)) return `not an Error was thrown: ${jsonOrShow(error)}`;
  const [stack = ""] = (error.stack ?? "").split(/^.*runHandlerOfPgq/m);
  const frames = stack.split("\n").filter((line) => /^\s+at /.test(line) && !/\((node|ext|deno|bun):/.test(line) && !/at (node|ext):/.test(line));
  return [`${error.name}: ${error.message}`, ...frames.slice(0, MAX_FRAMES)].join("\n");
}
function jsonOrShow(value) {
  try {
    return JSON.stringify(value) ?? show(value);
  } catch {
    return show(value);
  }
}

// src/worker-line.ts
function createLine() {
  let jobs = [];
  let head = 0;
  return {
    get length() {
      return jobs.length - head;
    },
    push(job) {
      jobs.push(job);
    },
    shift() {
      const job = jobs[head];
      if (job === void 0) return void 0;
      head++;
      if (head === jobs.length) {
        jobs = [];
        head = 0;
      }
      return job;
    },
    takeAll() {
      const all = jobs.slice(head);
      jobs = [];
      head = 0;
      return all;
    },
    remove(job) {
      const index = jobs.indexOf(job, head);
      if (index !== -1) jobs.splice(index, 1);
    }
  };
}

// src/worker-run.ts
var LONGEST_WAIT_IN_LINE_MILLISECONDS = 250;
var LONGEST_TURN_MILLISECONDS = 10;
var soon = typeof setImmediate === "function" ? (work) => void setImmediate(work) : (work) => void setTimeout(work, 0);
function createRunner({ concurrency, run, on_begin, on_end, on_late }) {
  const line = createLine();
  let running = 0;
  let is_abandoned = false;
  let is_beginning = false;
  let turn_ends_at = 0;
  let line_timer;
  function begin() {
    if (is_beginning) return;
    is_beginning = true;
    while (running < concurrency && line.length > 0) {
      const now = performance.now();
      if (turn_ends_at === 0) startTurn(now);
      else if (now >= turn_ends_at) break;
      runOne(line.shift(), now);
    }
    is_beginning = false;
    if (line.length > 0 && line_timer === void 0) line_timer = setTimeout(checkLine, LONGEST_WAIT_IN_LINE_MILLISECONDS);
  }
  function startTurn(now) {
    turn_ends_at = now + LONGEST_TURN_MILLISECONDS;
    soon(() => {
      turn_ends_at = 0;
      begin();
    });
  }
  function runOne(job, now) {
    running++;
    job.started_at = now;
    on_begin(job);
    try {
      const returned = run(job);
      if (isThenable(returned)) returned.then((value) => endWithValue(job, value), (error) => end(job, outcomeOfError(error)));
      else endWithValue(job, returned);
    } catch (error) {
      end(job, outcomeOfError(error));
    }
  }
  function endWithValue(job, value) {
    end(job, job.is_released ? void 0 : value === void 0 ? COMPLETE : outcomeOf(value));
  }
  function outcomeOf(value) {
    try {
      return outcomeOfValue(value);
    } catch (error) {
      return outcomeOfError(error);
    }
  }
  function end(job, outcome2) {
    if (is_abandoned) return;
    running--;
    on_end(job, outcome2);
    begin();
  }
  function checkLine() {
    line_timer = void 0;
    const now = performance.now();
    const late = [];
    for (const job of line.takeAll()) {
      if (now - job.picked_at < LONGEST_WAIT_IN_LINE_MILLISECONDS) line.push(job);
      else late.push(job);
    }
    if (late.length > 0) on_late(late);
    begin();
  }
  return {
    get running() {
      return is_abandoned ? 0 : running;
    },
    get waiting() {
      return line.length;
    },
    push: line.push,
    begin,
    remove: line.remove,
    close() {
      clearTimeout(line_timer);
      return line.takeAll();
    },
    abandon() {
      is_abandoned = true;
    }
  };
}
function isThenable(x) {
  return typeof x === "object" && x !== null && "then" in x && typeof x.then === "function";
}

// src/worker-wake.ts
function wakeSourceOf(source, queue_names) {
  const { listen } = source;
  return {
    announceIdle: (worker, idle_milliseconds) => source.announceIdle(queue_names, worker, idle_milliseconds),
    announceBusy: (worker) => source.announceBusy(worker),
    listen: listen && ((on_notify, callbacks) => listen((queue_name) => queue_names.includes(queue_name) && on_notify(), callbacks))
  };
}
var SECOND_LOOK_MILLISECONDS = 30;
var ANNOUNCE_LONGER_MILLISECONDS = 250;
function createWaker({ source, settings, on_wake, on_error }) {
  const { worker, poll_interval_milliseconds } = settings;
  let is_dry = false;
  let notifications = 0;
  let is_called = false;
  let full_picks = 0;
  let announced_until = 0;
  let wake_at = 0;
  let known_until = 0;
  let is_second_look_due = false;
  let announcing_busy;
  let timer;
  let listening;
  const stopping = new AbortController();
  function onNotify() {
    notifications++;
    is_called = true;
    is_dry = false;
    on_wake();
  }
  function arm(at) {
    clearTimeout(timer);
    if (!stopping.signal.aborted) timer = setTimeout(onTimer, Math.max(1, Math.ceil(at - performance.now())));
  }
  function onTimer() {
    if (is_second_look_due) {
      is_second_look_due = false;
      is_dry = false;
      arm(wake_at);
    } else {
      announced_until = 0;
    }
    on_wake();
  }
  async function listen() {
    for (let failures = 0; source.listen && !stopping.signal.aborted; failures++) {
      try {
        const unlisten = await source.listen(onNotify, { on_reconnect: onNotify, on_error });
        onNotify();
        return unlisten;
      } catch (error) {
        on_error(error);
        await sleep(backoff(failures, 200, 5e3), stopping.signal);
      }
    }
    return void 0;
  }
  function announceBusy() {
    announced_until = 0;
    known_until = 0;
    clearTimeout(timer);
    announcing_busy = source.announceBusy(worker).catch(on_error);
    return announcing_busy;
  }
  return {
    get is_dry() {
      return is_dry;
    },
    get notifications() {
      return notifications;
    },
    needsAnnouncement() {
      return performance.now() >= announced_until;
    },
    async announce() {
      await announcing_busy;
      const now = performance.now();
      const row_lasts = poll_interval_milliseconds + ANNOUNCE_LONGER_MILLISECONDS;
      const due_in = await source.announceIdle(worker, row_lasts);
      is_second_look_due = now > known_until;
      known_until = now + row_lasts;
      announced_until = now + poll_interval_milliseconds * (0.9 + Math.random() * 0.1);
      wake_at = Math.min(announced_until, due_in === null ? Infinity : performance.now() + due_in);
      arm(is_second_look_due ? Math.min(wake_at, performance.now() + SECOND_LOOK_MILLISECONDS) : wake_at);
    },
    picked(found, wanted, notifications_before) {
      if (found === wanted) {
        is_dry = false;
        if (++full_picks === 2 && announced_until > performance.now()) void announceBusy();
        return;
      }
      full_picks = 0;
      if (notifications !== notifications_before) return;
      is_dry = true;
      if (is_called && found === 0) announced_until = 0;
      is_called = false;
    },
    forget() {
      announced_until = 0;
    },
    start() {
      listening = listen();
    },
    async stop() {
      stopping.abort();
      clearTimeout(timer);
      if (announced_until > performance.now()) await announceBusy();
      await (await listening)?.();
    }
  };
}

// src/queryable.ts
function isQueryable(x) {
  return typeof x === "object" && x !== null && "query" in x && typeof x.query === "function";
}

// src/add.ts
function sqlJobSink(db, schema_name) {
  const schema = quoteName(schema_name);
  const common = { start_after: "timestamptz", priority: "integer", max_attempts: "integer" };
  const rest = {
    on_conflict: "text",
    throttle_milliseconds: "bigint",
    timeout_milliseconds: "integer",
    timeout_with_result: "text",
    headers: "jsonb"
  };
  const add_job = `SELECT to_json(a)::text AS r FROM ${schema}.add_job(${namedArguments({
    queue_name: "text",
    payload: "jsonb",
    ...common,
    ...rest,
    unique_key: "text",
    group_key: "text"
  })}) AS a`;
  const add_jobs = `SELECT array_to_json(${schema}.add_jobs(${namedArguments({
    queue_name: "text",
    payloads: "jsonb[]",
    ...common,
    ...rest,
    unique_keys: "text[]",
    group_keys: "text[]"
  })}))::text AS r`;
  return {
    add(queue_name, payload, options) {
      return callOne(options.transaction ?? db, add_job, [
        queue_name,
        toJson("payload", payload),
        ...commonArguments(options),
        ...restArguments(options),
        param(options.unique_key),
        param(options.group_key)
      ]);
    },
    async addMany(queue_name, payloads, options) {
      if (payloads.length === 0) return [];
      const lines = jsonLinesParam(payloads.map((payload) => toJson("payload", payload)));
      return callOne(options.transaction ?? db, add_jobs, [
        queue_name,
        lines,
        ...commonArguments(options),
        ...restArguments(options),
        textsParam(options.unique_keys),
        textsParam(options.group_keys)
      ]);
    }
  };
}
function commonArguments({ start_after, priority, max_attempts, retries }) {
  if (retries !== void 0 && max_attempts !== void 0 && retries !== max_attempts) {
    refuse("retries", `the same as \`max_attempts\` (${max_attempts}) or left out`, retries);
  }
  return [timeParam("start_after", start_after), param(priority ?? 0), param(max_attempts ?? retries)];
}
function restArguments(options) {
  return [
    options.on_conflict ?? "skip",
    param(options.throttle_milliseconds),
    param(options.timeout_milliseconds),
    param(options.timeout_with_result),
    jsonParam("headers", options.headers)
  ];
}

// src/sql-job-source.ts
var picked = (first_queue) => `json_build_array(
  json_agg(ARRAY[p.job_id, p.lease_token, p.attempt, p.max_attempts, p.timeout_milliseconds, p.priority,
    ${milliseconds("p.added_at")}, ${milliseconds("p.lease_until")}]),
  json_agg(p.payload),
  json_object_agg(p.job_id, p.headers) FILTER (WHERE p.headers IS NOT NULL),
  json_object_agg(p.job_id, p.group_key) FILTER (WHERE p.group_key IS NOT NULL),
  json_object_agg(p.job_id, p.queue_name) FILTER (WHERE p.queue_name <> ${first_queue}))::text AS r`;
var milliseconds = (moment) => `(date_part('epoch', ${moment}) * 1000)::bigint`;
var RELEASE = {
  job_ids: "bigint[]",
  lease_tokens: "bigint[]",
  result: "text",
  outputs: "jsonb[]",
  errors: "text[]",
  delay_milliseconds: "bigint",
  retry: "boolean"
};
var PICK = {
  queue_names: "text[]",
  max_jobs: "integer",
  worker: "text",
  timeout_milliseconds: "integer",
  ignore_max_concurrency: "boolean"
};
function sqlJobSource(db, schema_name) {
  const schema = quoteName(schema_name);
  const pick_jobs = `SELECT ${picked("$1::text")} FROM ${schema}.pick_jobs(${namedArguments({ ...PICK, durable: "boolean" }, 2)}) AS p`;
  const release_jobs = `SELECT array_to_json(${schema}.release_jobs(${namedArguments(RELEASE)}, skip_lost => true))::text AS r`;
  const release_and_pick = `SELECT ${picked("$1::text")} FROM ${schema}.release_and_pick(${namedArguments({ ...RELEASE, ...PICK }, 2)}) AS p`;
  const keep_jobs_alive = `SELECT to_json(k)::text AS r FROM ${schema}.keep_jobs_alive(${namedArguments({
    job_ids: "bigint[]",
    lease_tokens: "bigint[]",
    timeout_milliseconds: "integer",
    skip_lost: "boolean"
  })}) AS k`;
  const announce_idle = `SELECT ${schema}.announce_idle(${namedArguments({
    queue_names: "text[]",
    worker: "text",
    idle_milliseconds: "integer"
  })})::text AS r`;
  const { listen } = db;
  return {
    async pick(request, { transaction, durable = false } = {}) {
      return pickedJobs(request, await callOne(transaction ?? db, pick_jobs, [
        firstQueue(request),
        ...pickArguments(request),
        param(durable)
      ]));
    },
    async release(batch) {
      return await callOne(db, release_jobs, releaseArguments(batch)) ?? [];
    },
    async releaseAndPick(batch, request) {
      return pickedJobs(request, await callOne(db, release_and_pick, [
        firstQueue(request),
        ...releaseArguments(batch),
        ...pickArguments(request)
      ]));
    },
    keepAlive(leases) {
      return call(db, keep_jobs_alive, [...leaseArguments(leases), null, "true"]);
    },
    async keepOneAlive(lease, { transaction, timeout_milliseconds }) {
      const kept = await callOne(transaction ?? db, keep_jobs_alive, [
        ...leaseArguments([lease]),
        param(timeout_milliseconds),
        "false"
      ]);
      if (kept.lease_until === null) throw new PgqError("job_cancelled", `job ${lease.job_id} was cancelled`);
      return new Date(kept.lease_until);
    },
    releaseOne({ job_id, lease_token }, result, options) {
      return releaseOne(db, schema_name, job_id, result, { ...options, lease_token });
    },
    announceIdle(queue_names, worker, idle_milliseconds) {
      return callOne(db, announce_idle, [textsParam(queue_names), worker, param(idle_milliseconds)]);
    },
    async announceBusy(worker) {
      await callVoid(db, `SELECT ${schema}.announce_busy(worker => $1::text)`, [worker]);
    },
    async maintain() {
      await callVoid(db, `SELECT ${schema}.maintain()`, []);
    },
    listen: listen && (async (on_notify, callbacks) => {
      const channel = await callOne(db, `SELECT to_json(${schema}.wake_up_channel())::text AS r`, []);
      return listen.call(db, channel, on_notify, callbacks);
    })
  };
}
function pickArguments(request) {
  return [
    textsParam(request.queue_names),
    param(request.max_jobs),
    param(request.worker),
    param(request.timeout_milliseconds),
    param(request.ignore_max_concurrency ?? false)
  ];
}
function releaseArguments({ leases, result, outputs, errors, delay_milliseconds, retry = true }) {
  return [
    ...leaseArguments(leases),
    result,
    jsonLinesParam(outputs),
    textsParam(errors?.map((error) => error ?? null)),
    param(delay_milliseconds),
    param(retry)
  ];
}
function leaseArguments(leases) {
  return [numbersParam(leases.map((lease) => lease.job_id)), numbersParam(leases.map((lease) => lease.lease_token))];
}
function firstQueue({ queue_names: [first = ""] }) {
  return first;
}
function pickedJobs(request, [numbers, payloads, headers, group_keys, queue_names]) {
  if (numbers === null) return [];
  const first_queue = firstQueue(request);
  return numbers.map(([job_id, lease_token, attempt, max_attempts, timeout_milliseconds, priority, added_at, lease_until], index) => ({
    job_id,
    lease_token,
    attempt,
    max_attempts,
    timeout_milliseconds,
    priority,
    added_at,
    lease_until,
    payload: payloads[index],
    headers: headers?.[job_id] ?? null,
    group_key: group_keys?.[job_id] ?? null,
    queue_name: queue_names?.[job_id] ?? first_queue
  }));
}

// src/worker-job.ts
var RunningJob = class {
  job_id;
  lease_token;
  timeout_milliseconds;
  picked;
  #source;
  #controller;
  /** Moments on the clock of performance.now(). */
  picked_at;
  /** When its lease was last known to begin. */
  kept_at;
  started_at = 0;
  /** Set when the handler has ended. */
  outcome;
  /** The handler released it. */
  is_released = false;
  /** Its result is on its way. */
  is_recording = false;
  /** Its result is in the database, or will never be: nothing more is to be done. */
  is_over = false;
  constructor(picked2, source, picked_at) {
    this.job_id = picked2.job_id;
    this.lease_token = picked2.lease_token;
    this.timeout_milliseconds = picked2.timeout_milliseconds;
    this.picked = picked2;
    this.picked_at = picked_at;
    this.kept_at = picked_at;
    this.#source = source;
  }
  get queue_name() {
    return this.picked.queue_name;
  }
  get attempt() {
    return this.picked.attempt;
  }
  get max_attempts() {
    return this.picked.max_attempts;
  }
  get headers() {
    return this.picked.headers;
  }
  /** Made when first asked for: most handlers never do. */
  get signal() {
    this.#controller ??= new AbortController();
    return this.#controller.signal;
  }
  /** When to keep it alive: after a third of its lease. */
  get keep_at() {
    return this.kept_at + this.timeout_milliseconds / 3;
  }
  abort(reason) {
    this.#controller ??= new AbortController();
    this.#controller.abort(reason);
  }
  async keepAlive(options = {}) {
    const now = performance.now();
    const lease_until = await this.#source.keepOneAlive(this, options);
    if (!options.transaction) this.kept_at = now;
    return lease_until;
  }
  async release(result, options = {}) {
    this.is_released = true;
    try {
      return await this.#source.releaseOne(this, result, options);
    } catch (error) {
      this.is_released = false;
      throw error;
    }
  }
};
var HeldJob = class extends RunningJob {
  get priority() {
    return this.picked.priority;
  }
  get group_key() {
    return this.picked.group_key;
  }
  get added_at() {
    return new Date(this.picked.added_at);
  }
};

// src/worker-leases.ts
var RETRY_MILLISECONDS = 500;
var EARLY_SHARE = 1 / 12;
function createLeaseKeeper(options) {
  const { source, held, max_run_milliseconds } = options;
  let timer;
  let armed_for = Infinity;
  let is_busy = false;
  let is_stopped = false;
  function watch(job) {
    arm(dueAt(job));
  }
  function dueAt(job) {
    const has_limit = max_run_milliseconds !== void 0 && job.started_at > 0 && job.outcome === void 0;
    return has_limit ? Math.min(job.keep_at, job.started_at + max_run_milliseconds) : job.keep_at;
  }
  function arm(at) {
    if (at >= armed_for || is_busy || is_stopped) return;
    clearTimeout(timer);
    armed_for = at;
    timer = setTimeout(() => void tick(), Math.max(1, at - performance.now()));
  }
  async function tick() {
    is_busy = true;
    armed_for = Infinity;
    const now = performance.now();
    let has_failed = false;
    try {
      if (max_run_milliseconds !== void 0) endLongRuns(now, max_run_milliseconds);
      await keepAlive(now);
    } catch (error) {
      options.on_error(toPgqError(error));
      has_failed = true;
    }
    is_busy = false;
    let next = Infinity;
    const later = performance.now() + RETRY_MILLISECONDS;
    for (const job of held) next = Math.min(next, isBeingReleased(job) ? Math.max(dueAt(job), later) : dueAt(job));
    if (next < Infinity) arm(has_failed ? Math.max(next, later) : next);
  }
  async function keepAlive(now) {
    const due = [];
    for (const job of held) {
      if (!isBeingReleased(job) && job.keep_at - job.timeout_milliseconds * EARLY_SHARE <= now) due.push(job);
    }
    if (due.length === 0) return;
    const states = new Map((await source.keepAlive(due)).map((lease) => [lease.job_id, lease.state]));
    for (const job of due) {
      const state = states.get(job.job_id);
      if (state === "running") job.kept_at = now;
      else if (!isBeingReleased(job)) options.on_lost(job, lossOf(job, state));
    }
  }
  function endLongRuns(now, limit) {
    for (const job of held) {
      if (job.started_at > 0 && !job.outcome && !job.is_released && job.started_at + limit <= now) {
        options.on_too_long(job, new PgqError("job_ran_too_long", `job ${job.job_id} ran longer than ${limit} ms`));
      }
    }
  }
  return {
    watch,
    stop() {
      is_stopped = true;
      clearTimeout(timer);
    }
  };
}
function isBeingReleased(job) {
  return job.is_released || job.is_recording || job.is_over;
}
function lossOf(job, state) {
  return state === "cancelled" ? new PgqError("job_cancelled", `job ${job.job_id} was cancelled`) : new PgqError("lease_lost", `the lease of job ${job.job_id} was lost`);
}

// src/worker-record.ts
async function recordResults(source, jobs, request, callbacks) {
  const groups = groupByOutcome(jobs);
  for (const group of groups.slice(1)) await recordGroup(source, group, void 0, callbacks);
  return recordGroup(source, groups[0], request, callbacks);
}
async function recordGroup(source, group, request, callbacks) {
  const batch = batchOf(group);
  try {
    if (request) {
      const picked2 = await source.releaseAndPick(batch, request);
      for (const job of group) callbacks.on_recorded(job, job.outcome);
      return picked2;
    }
    await releaseGroup(source, group, batch, callbacks);
    return [];
  } catch (error) {
    if (!(error instanceof PgqError)) throw error;
    if (request && error.code === "lease_lost") await releaseGroup(source, group, batch, callbacks);
    else if (error.code === "invalid_argument" || error.code === "too_large") await recordOneByOne(source, group, callbacks);
    else throw error;
    return request ? source.pick(request) : [];
  }
}
async function releaseGroup(source, group, batch, callbacks) {
  const lost = new Set(await source.release(batch));
  for (const job of group) {
    if (lost.has(job.job_id)) callbacks.on_lost(job);
    else callbacks.on_recorded(job, job.outcome);
  }
}
async function recordOneByOne(source, group, callbacks) {
  for (const job of group) {
    try {
      await releaseGroup(source, [job], batchOf([job]), callbacks);
    } catch (error) {
      if (!(error instanceof PgqError) || error.code !== "invalid_argument" && error.code !== "too_large") throw error;
      callbacks.on_refused(job, error);
      job.outcome = outcomeOfError(`its result could not be stored: ${error.message}`);
      await releaseGroup(source, [job], batchOf([job]), callbacks);
    }
  }
}
function groupByOutcome(jobs) {
  const first = jobs[0].outcome;
  if (jobs.every((job) => isAlike(job.outcome, first))) return [jobs];
  const groups = /* @__PURE__ */ new Map();
  for (const job of jobs) {
    const { result, delay_milliseconds, retry } = job.outcome;
    const key = `${result} ${delay_milliseconds} ${retry}`;
    const group = groups.get(key);
    if (group) group.push(job);
    else groups.set(key, [job]);
  }
  return [...groups.values()].sort((a, b) => b.length - a.length);
}
function isAlike(a, b) {
  return a === b || a.result === b.result && a.delay_milliseconds === b.delay_milliseconds && a.retry === b.retry;
}
function batchOf(group) {
  const { result, delay_milliseconds, retry } = group[0].outcome;
  return {
    leases: group,
    result,
    outputs: result === "complete" ? group.map((job) => job.outcome.output) : void 0,
    errors: result === "failed" ? group.map((job) => job.outcome.error) : void 0,
    delay_milliseconds,
    retry
  };
}

// src/payload-schema.ts
function parsePayload(schema, payload, queue_name) {
  if (schema === void 0) return payload;
  const result = schema["~standard"].validate(payload);
  return result instanceof Promise ? result.then((late) => valueOf(late, queue_name)) : valueOf(result, queue_name);
}
function fitsSchema(schema, payload) {
  if (schema === void 0) return true;
  const result = schema["~standard"].validate(payload);
  return result instanceof Promise || result.issues === void 0;
}
function valueOf(result, queue_name) {
  if (result.issues === void 0) return result.value;
  const issues = result.issues.map(({ message, path = [] }) => {
    const place = path.map((step) => String(typeof step === "object" ? step.key : step)).join(".");
    return place === "" ? message : `${place}: ${message}`;
  });
  throw new PgqError("payload_invalid", `the payload does not fit the schema of queue "${queue_name}": ${issues.join("; ")}`);
}

// src/run-handler.ts
function createRun(queues, handler) {
  if (typeof handler !== "function") refuse("handler", "a function", handler);
  return function runHandlerOfPgq(job) {
    const { payload_schema } = queues.get(job.queue_name);
    if (payload_schema === void 0) return handler(job.picked.payload, job);
    try {
      const payload = parsePayload(payload_schema, job.picked.payload, job.queue_name);
      if (payload instanceof Promise) return payload.then((parsed) => handler(parsed, job), refusePayload);
      return handler(payload, job);
    } catch (error) {
      return refusePayload(error);
    }
  };
}
function refusePayload(error) {
  if (error instanceof PgqError && error.code === "payload_invalid") return failJob(error.message, { retry: false });
  throw error;
}

// src/postgres-db.ts
import postgres from "postgres";
var RECONNECT_SECONDS = (retries) => (0.5 + Math.random() / 2) * Math.min(0.05 * 2 ** Math.min(retries, 10), 2);
var PostgresDb = class {
  /** The instance of the npm package `postgres` underneath. */
  sql;
  /** Left out behind a transaction pooler. */
  listen;
  #is_mine;
  #pooler_options;
  #listening;
  #under_way = /* @__PURE__ */ new Set();
  constructor(connection, options = {}) {
    this.#is_mine = typeof connection !== "function";
    this.sql = open(connection, options);
    this.#pooler_options = { transaction_pooler: options.transaction_pooler ?? this.sql.options.prepare === false };
    this.#listening = createListening((channel, on_notify) => openListenSession(this.sql, channel, on_notify));
    if (!this.#pooler_options.transaction_pooler) this.listen = this.#listening.listen;
  }
  query(query) {
    return this.#track(fromPostgresTransaction(this.sql, this.#pooler_options).query(query));
  }
  /** On a connection of its own, so that the script may have transactions, and leaves none behind. */
  exec(sql) {
    return this.#track(this.#exec(sql));
  }
  async #exec(sql) {
    const client = connectAlone(this.sql);
    try {
      await client.unsafe(sql);
    } finally {
      await client.end({ timeout: 1 });
    }
  }
  /** Runs `work` in a transaction on one connection: commits when it resolves, rolls back when it rejects. */
  async transaction(work) {
    const run = async (sql) => [await work(fromPostgresTransaction(sql, this.#pooler_options))];
    const [result] = await this.#track(this.sql.begin(run));
    return result;
  }
  /** Closes all connections, after the queries under way. An instance that you passed in stays open. */
  async end() {
    await this.#listening.close();
    if (!this.#is_mine) return;
    await Promise.allSettled(this.#under_way);
    await this.sql.end({ timeout: 1 });
  }
  #track(work) {
    const forget = () => void this.#under_way.delete(work);
    this.#under_way.add(work);
    work.then(forget, forget);
    return work;
  }
  async [Symbol.asyncDispose]() {
    await this.end();
  }
};
function open(connection, { transaction_pooler = false }) {
  if (typeof connection === "function") return connection;
  const defaults = {
    // Otherwise the driver prints notices.
    onnotice: () => {
    },
    backoff: RECONNECT_SECONDS,
    // Array types, which pgq has no use for. A connection lost while the driver (3.4) asks for them ends the process with
    // an unhandled rejection.
    fetch_types: false,
    ...transaction_pooler && { prepare: false }
  };
  if (typeof connection === "string") return postgres(connection, defaults);
  if (typeof connection !== "object" || connection === null) {
    refuse("connection", "a connection string, options of the package postgres or an instance of it", connection);
  }
  return postgres({ ...defaults, ...connection });
}
async function openListenSession(sql, channel, on_notify) {
  let tell_closed = () => {
  };
  const closed = new Promise((resolve) => tell_closed = resolve);
  const client = connectAlone(sql, {
    onnotify: (_channel, payload) => on_notify(payload),
    onclose: () => tell_closed(new PgqError("connection_lost", "the connection that listened was closed"))
  });
  try {
    await client.unsafe(`LISTEN "${channel.replaceAll('"', '""')}"`);
  } catch (error) {
    await client.end({ timeout: 0 });
    throw error;
  }
  return { closed, close: () => client.end({ timeout: 0 }) };
}
function connectAlone(sql, handlers = {}) {
  const options = {
    ...sql.options,
    max: 1,
    idle_timeout: null,
    max_lifetime: null,
    fetch_types: false,
    shared: { retries: 0, typeArrayMap: {} },
    ...handlers
  };
  return postgres(options);
}

// src/endpoint.ts
var DETAILS = {
  endpoint_url: "text",
  endpoint_method: "text",
  endpoint_timeout_milliseconds: "integer",
  endpoint_manual_release: "boolean",
  endpoint_max_in_flight: "integer",
  endpoint_headers: "jsonb",
  endpoint_bearer_token_location: "text",
  endpoint_client_error_attempts: "integer",
  endpoint_max_response_bytes: "integer",
  endpoint_is_insecure_allowed: "boolean"
};
var sqlName = (name) => name.replace(/^endpoint_/, "");
function sqlEndpoint(db, schema_name, queue_name) {
  const schema = quoteName(schema_name);
  return {
    async set(is_active, details) {
      checkNames(details);
      const given = Object.entries(details).filter(([, value]) => value !== void 0);
      const types = Object.fromEntries(given.map(([name]) => [sqlName(name), DETAILS[name]]));
      const q = `SELECT to_json(e)::text AS r FROM ${schema}.set_endpoint(${namedArguments({ queue_name: "text", is_active: "boolean", ...types })}) AS e`;
      const values = given.map(([name, value]) => name === "endpoint_headers" ? jsonParam(name, value) : param(value));
      return settingsOf(await discreetly(callOne(db, q, [queue_name, param(is_active), ...values])));
    },
    async get() {
      const q = `SELECT to_json(e)::text AS r FROM ${schema}.get_endpoint(queue_name => $1::text) AS e`;
      return settingsOf(await callOne(db, q, [queue_name]));
    },
    remove: () => callOne(db, `SELECT to_json(${schema}.remove_endpoint(queue_name => $1::text))::text AS r`, [queue_name]),
    async setActive(is_active) {
      const types = { queue_name: "text", is_active: "boolean" };
      await callVoid(db, `SELECT ${schema}.set_endpoint_active(${namedArguments(types)})`, [queue_name, param(is_active)]);
    },
    async setBearerToken(token) {
      const types = { queue_name: "text", token: "text" };
      await discreetly(callVoid(db, `SELECT ${schema}.set_endpoint_bearer_token(${namedArguments(types)})`, [queue_name, token]));
    },
    async getBearerToken() {
      const q = `SELECT json_build_array(${schema}.get_endpoint_bearer_token(queue_name => $1::text))::text AS r`;
      return (await callOne(db, q, [queue_name]))[0];
    },
    setSigningSecret(secret) {
      const types = { queue_name: "text", secret: "text" };
      const q = `SELECT to_json(${schema}.set_endpoint_signing_secret(${namedArguments(types)}))::text AS r`;
      return discreetly(callOne(db, q, [queue_name, param(secret)]));
    },
    async forgetPreviousSigningSecret() {
      await callVoid(db, `SELECT ${schema}.forget_previous_signing_secret(queue_name => $1::text)`, [queue_name]);
    },
    async status() {
      const q = `SELECT to_json(s)::text AS r FROM ${schema}.endpoint_status(queue_name => $1::text) AS s`;
      const [row] = await call(db, q, [queue_name]);
      return row && { ...row, held_until: row.held_until === null ? null : new Date(row.held_until) };
    }
  };
}
async function discreetly(work) {
  try {
    return await work;
  } catch (error) {
    if (!(error instanceof PgqError)) throw error;
    throw new PgqError(error.code, error.message, error.sqlstate === void 0 ? {} : { sqlstate: error.sqlstate });
  }
}
function checkNames(details) {
  for (const [name, value] of Object.entries(details)) {
    if (!(name in DETAILS)) refuse("details", `made of ${Object.keys(DETAILS).join(", ")}`, name);
    if (value === null) refuse(name, "a value, or left out", value);
  }
  if (typeof details.endpoint_url !== "string") refuse("endpoint_url", "a text", details.endpoint_url);
}
function settingsOf(row) {
  const named = Object.entries(row).map(([name, value]) => {
    if (name === "queue_name") return [name, value];
    return [name === "is_active" ? "endpoint_active" : `endpoint_${name}`, value];
  });
  return Object.fromEntries(named);
}

// src/queue-config.ts
var SETTINGS = {
  max_concurrency: "integer",
  max_concurrency_per_group: "integer",
  group_order: "text",
  max_attempts: "integer",
  retry_backoff: "text",
  pause_between_retries_milliseconds: "bigint",
  max_pause_between_retries_milliseconds: "bigint",
  timeout_milliseconds: "integer",
  timeout_with_result: "text",
  keep_history: "text",
  history_days: "integer",
  dead_days: "integer",
  max_payload_bytes: "integer"
};
var LIMITS = ["max_concurrency", "max_concurrency_per_group"];
var PgQueueConfig = class {
  db;
  queue_name;
  schema_name;
  #schema;
  constructor(db, queue_name, schema_name = DEFAULT_SCHEMA) {
    expectText("queue_name", queue_name);
    this.db = db;
    this.queue_name = queue_name;
    this.schema_name = schema_name;
    this.#schema = quoteName(schema_name);
  }
  /** The settings. Rejects with `queue_not_found` before the first job or `set`. */
  async get(transaction) {
    const q = `SELECT to_json(c)::text AS r FROM ${this.#schema}.get_queue_config(queue_name => $1::text) AS c`;
    return configOf(await callOne(transaction ?? this.db, q, [this.queue_name]));
  }
  /** Changes the settings given and leaves the others; makes the queue if it does not exist. `null` takes a limit away. */
  async set(settings, transaction) {
    for (const [name, value] of Object.entries(settings)) {
      if (!(name in SETTINGS)) refuse("settings", `made of ${Object.keys(SETTINGS).join(", ")}`, name);
      if (value === null && !LIMITS.includes(name)) refuse(name, "a value (only limits may be null)", value);
      if (value === 0 && LIMITS.includes(name)) refuse(name, "a whole number from 1, or null for no limit", value);
    }
    const q = `SELECT to_json(c)::text AS r FROM ${this.#schema}.set_queue_config(${namedArguments({ queue_name: "text", ...SETTINGS })}) AS c`;
    const values = Object.keys(SETTINGS).map((name) => {
      const value = settings[name];
      return value === null ? "0" : param(value);
    });
    return configOf(await callOne(transaction ?? this.db, q, [this.queue_name, ...values]));
  }
  /** No job of the queue is picked until `paused_until` or `resume`; running ones go on. */
  async pause({ paused_until = "infinity", reason, transaction } = {}) {
    const types = { queue_name: "text", paused_until: "timestamptz", reason: "text" };
    await callVoid(transaction ?? this.db, `SELECT ${this.#schema}.pause_queue(${namedArguments(types)})`, [
      this.queue_name,
      timeParam("paused_until", paused_until),
      param(reason)
    ]);
  }
  /** Ends a pause. */
  async resume(transaction) {
    await callVoid(transaction ?? this.db, `SELECT ${this.#schema}.resume_queue(queue_name => $1::text)`, [this.queue_name]);
  }
  /** Deletes the jobs that wait (ready, scheduled, held) and gives their number; running ones stay. */
  purge(transaction) {
    return callOne(transaction ?? this.db, `SELECT ${this.#schema}.purge_queue(queue_name => $1::text)::text`, [this.queue_name]);
  }
  /** Drops the queue and its settings. */
  async drop({ force = false, transaction } = {}) {
    const types = { queue_name: "text", force: "boolean" };
    await callVoid(transaction ?? this.db, `SELECT ${this.#schema}.drop_queue(${namedArguments(types)})`, [this.queue_name, param(force)]);
  }
  /**
   * Says where dispatchers send the jobs of this queue, and how; makes the queue if it does not exist. All details are
   * set: what is left out gets its default. With `active` false nothing is sent. Token and signing secret stay as they are.
   */
  setEndpoint(active, details, transaction) {
    return this.#endpoint(transaction).set(active, details);
  }
  /** The endpoint, without its secrets. Rejects with `queue_not_found`, or `endpoint_not_found` when the queue has none. */
  getEndpoint(transaction) {
    return this.#endpoint(transaction).get();
  }
  /** Switches sending on or off. Switching on also ends a hold, as after repeated failures. */
  setEndpointActive(active, transaction) {
    return this.#endpoint(transaction).setActive(active);
  }
  /** Removes the endpoint and its secrets; tells whether there was one. */
  removeEndpoint(transaction) {
    return this.#endpoint(transaction).remove();
  }
  /**
   * Sets the bearer token that each request carries in its Authorization header; null removes it. It is kept where
   * `endpoint_bearer_token_location` says; `wrong_state` when that is nowhere, or there is no Vault.
   */
  setQueueEndPointApiKey(key, transaction) {
    return this.#endpoint(transaction).setBearerToken(key);
  }
  /** The bearer token, or null. For admins only. */
  getQueueEndPointApiKey(transaction) {
    return this.#endpoint(transaction).getBearerToken();
  }
  /**
   * Sets the secret that signs each request (`whsec_…`, by Standard Webhooks), or makes one, and gives it. The one before
   * goes on signing beside it until `forgetPreviousSigningSecret` or the next rotation, so that handlers can change over.
   */
  rotateSigningSecret(secret, transaction) {
    return this.#endpoint(transaction).setSigningSecret(secret);
  }
  /** Ends a rotation: only the newest secret signs. */
  forgetPreviousSigningSecret(transaction) {
    return this.#endpoint(transaction).forgetPreviousSigningSecret();
  }
  /** How the endpoint does: requests under way, limit, breaker. Undefined when there is none. */
  endpointStatus(transaction) {
    return this.#endpoint(transaction).status();
  }
  #endpoint(transaction) {
    return sqlEndpoint(transaction ?? this.db, this.schema_name, this.queue_name);
  }
};
function configOf(row) {
  const { paused_until } = row;
  return {
    ...row,
    paused_until: paused_until === null || paused_until === "infinity" ? paused_until : new Date(paused_until),
    created_at: new Date(row.created_at)
  };
}

// src/control.ts
function sqlControl(db, schema_name) {
  const schema = quoteName(schema_name);
  return {
    async cancel(job_id, { reason, transaction = db }) {
      expectWhole("job_id", job_id, 1);
      await callVoid(transaction, `SELECT ${schema}.cancel_job(${namedArguments({ job_id: "bigint", reason: "text" })})`, [
        param(job_id),
        param(reason)
      ]);
    },
    async retry(job_id, { start_after, transaction = db }) {
      expectWhole("job_id", job_id, 1);
      await callVoid(transaction, `SELECT ${schema}.retry_job(${namedArguments({ job_id: "bigint", start_after: "timestamptz" })})`, [
        param(job_id),
        timeParam("start_after", start_after)
      ]);
    },
    async redrive(queue_name, { error_like, dead_since, dead_until, max_jobs, preview = false, transaction = db }) {
      expectWhole("max_jobs", max_jobs, 1);
      const types = {
        queue_name: "text",
        error_like: "text",
        dead_since: "timestamptz",
        dead_until: "timestamptz",
        max_jobs: "integer",
        preview: "boolean"
      };
      return callOne(transaction, `SELECT ${schema}.redrive_jobs(${namedArguments(types)})::text`, [
        queue_name,
        param(error_like),
        timeParam("dead_since", dead_since),
        timeParam("dead_until", dead_until),
        param(max_jobs),
        param(preview)
      ]);
    },
    async reschedule(job_id, start_after, { transaction = db }) {
      expectWhole("job_id", job_id, 1);
      const types = { job_id: "bigint", start_after: "timestamptz" };
      await callVoid(transaction, `SELECT ${schema}.reschedule_job(${namedArguments(types)})`, [
        param(job_id),
        timeParam("start_after", start_after)
      ]);
    }
  };
}

// src/job-handle.ts
function jobOf(picked2, payload) {
  return { ...picked2, payload, added_at: new Date(picked2.added_at), lease_until: new Date(picked2.lease_until) };
}
function createJobHandle({ source, transaction }, job) {
  return {
    job,
    release(result, options = {}) {
      return source.releaseOne(job, result, { ...transaction && { transaction }, ...options });
    },
    keepAlive(options = {}) {
      return source.keepOneAlive(job, { transaction, ...options });
    }
  };
}

// src/status.ts
var STATES = ["scheduled", "ready", "running", "held", "complete", "dead", "cancelled"];
function sqlStatus(db, schema_name) {
  const schema = quoteName(schema_name);
  return {
    async get(job_id, transaction = db) {
      expectWhole("job_id", job_id, 1);
      const q = `SELECT to_json(j)::text AS r FROM ${schema}.get_job(job_id => $1::text::bigint) AS j`;
      return statusOf(await callOne(transaction, q, [param(job_id)]));
    },
    async finishedAmong(job_ids) {
      const q = `SELECT CASE WHEN j.state IN ('complete', 'dead', 'cancelled') THEN to_json(j) ELSE to_json(j.job_id) END::text AS r
        FROM ${schema}.get_jobs(job_ids => $1::text::bigint[]) AS j`;
      const rows = await call(db, q, [numbersParam(job_ids)]);
      return {
        known: rows.map((row) => typeof row === "number" ? row : row.job_id),
        finished: rows.filter((row) => typeof row !== "number").map(statusOf)
      };
    },
    async *list(queue_name, { state, before_job_id, page_size = 100, signal }) {
      expectOneOf("state", state, STATES);
      expectWhole("page_size", page_size, 1, 1e4);
      const q = `SELECT to_json(j)::text AS r FROM ${schema}.list_jobs(${namedArguments({
        queue_name: "text",
        state: "text",
        before_job_id: "bigint",
        max_jobs: "integer"
      })}) AS j`;
      for (let before = before_job_id; ; ) {
        signal?.throwIfAborted();
        const page = await call(db, q, [queue_name, param(state), param(before), param(page_size)]);
        for (const row of page) yield statusOf(row);
        if (page.length < page_size) return;
        before = page.at(-1).job_id;
      }
    },
    stats(queue_name) {
      return callOne(db, `SELECT to_json(s)::text AS r FROM ${schema}.queue_stats(queue_name => $1::text) AS s`, [queue_name]);
    }
  };
}
function statusOf(row) {
  return {
    ...row,
    start_after: date(row.start_after),
    added_at: new Date(row.added_at),
    picked_at: date(row.picked_at),
    lease_until: date(row.lease_until),
    finished_at: date(row.finished_at),
    attempts: (row.attempts ?? []).map((attempt) => ({
      ...attempt,
      picked_at: new Date(attempt.picked_at),
      ended_at: new Date(attempt.ended_at),
      worker: attempt.worker ?? null,
      error: attempt.error ?? null
    }))
  };
}
function date(text) {
  return text === null ? null : new Date(text);
}

// src/wait-for-result.ts
var FIRST_PAUSE_MILLISECONDS2 = 20;
var LONGEST_PAUSE_MILLISECONDS2 = 1e3;
var pollers = /* @__PURE__ */ new WeakMap();
async function waitForJob(db, schema_name, job_id, options) {
  const { timeout_milliseconds = 6e4, signal } = options;
  expectWhole("job_id", job_id, 1);
  if (timeout_milliseconds !== Infinity) expectWhole("timeout_milliseconds", timeout_milliseconds, 0);
  signal?.throwIfAborted();
  const poller = pollerOf(db, schema_name);
  let timer;
  let waiter;
  let onAbort = () => {
  };
  try {
    return await new Promise((resolve, reject) => {
      waiter = { job_id, was_known: false, resolve, reject };
      onAbort = () => reject(signal.reason);
      signal?.addEventListener("abort", onAbort, { once: true });
      if (timeout_milliseconds !== Infinity) {
        const late = () => reject(new PgqError("wait_timed_out", `job ${job_id} did not finish within ${timeout_milliseconds} ms`));
        timer = setTimeout(late, Math.min(timeout_milliseconds, 2 ** 31 - 1));
      }
      poller.add(waiter);
    });
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", onAbort);
    if (waiter) poller.remove(waiter);
  }
}
function pollerOf(db, schema_name) {
  let of_schema = pollers.get(db);
  if (!of_schema) pollers.set(db, of_schema = /* @__PURE__ */ new Map());
  let poller = of_schema.get(schema_name);
  if (!poller) of_schema.set(schema_name, poller = createPoller(sqlStatus(db, schema_name)));
  return poller;
}
function createPoller(status) {
  const waiters = /* @__PURE__ */ new Set();
  let is_running = false;
  let looks = 0;
  let nap = new AbortController();
  async function run() {
    is_running = true;
    while (waiters.size > 0) {
      nap = new AbortController();
      await look([...waiters]);
      if (waiters.size > 0) await sleep(backoff(looks++, FIRST_PAUSE_MILLISECONDS2, LONGEST_PAUSE_MILLISECONDS2), nap.signal);
    }
    is_running = false;
  }
  async function look(asked) {
    try {
      const { known, finished } = await status.finishedAmong([...new Set(asked.map((waiter) => waiter.job_id))]);
      const known_ids = new Set(known);
      const jobs = new Map(finished.map((job) => [job.job_id, job]));
      for (const waiter of asked) {
        const job = jobs.get(waiter.job_id);
        if (job) waiter.resolve(job);
        else if (!known_ids.has(waiter.job_id)) waiter.reject(goneError(waiter));
        else waiter.was_known = true;
      }
    } catch (error) {
      if (error instanceof PgqError && error.code === "connection_lost") return;
      asked.forEach((waiter) => waiter.reject(error));
    }
  }
  return {
    add(waiter) {
      waiters.add(waiter);
      looks = 0;
      nap.abort();
      if (!is_running) void run();
    },
    remove(waiter) {
      waiters.delete(waiter);
      if (waiters.size === 0) nap.abort();
    }
  };
}
function goneError({ job_id, was_known }) {
  return new PgqError(
    "job_not_found",
    was_known ? `job ${job_id} was deleted, or finished in a queue that keeps no history of it` : `there is no job ${job_id}`
  );
}

// src/queue.ts
var PgQueue = class {
  db;
  queue_name;
  schema_name;
  payload_schema;
  #source;
  #sink;
  #control;
  #status;
  constructor(db, queue_name, schema_name_or_options = {}) {
    if (!isQueryable(db)) refuse("db", "a Queryable, e.g. a PostgresDb", db);
    expectText("queue_name", queue_name);
    const options = typeof schema_name_or_options === "string" ? { schema_name: schema_name_or_options } : schema_name_or_options;
    this.db = db;
    this.queue_name = queue_name;
    this.schema_name = options.schema_name ?? DEFAULT_SCHEMA;
    this.payload_schema = "payload_schema" in options ? options.payload_schema : void 0;
    this.#source = sqlJobSource(db, this.schema_name);
    this.#sink = sqlJobSink(db, this.schema_name);
    this.#control = sqlControl(db, this.schema_name);
    this.#status = sqlStatus(db, this.schema_name);
  }
  /** Adds a job. The queue is made by its first job. Rejects with `payload_invalid` if the payload does not fit the schema. */
  async addJob(payload, options = {}) {
    await parsePayload(this.payload_schema, payload, this.queue_name);
    return this.#sink.add(this.queue_name, payload, options);
  }
  /** Adds any number of jobs in one call, all or none; gives their ids in the order of the payloads. */
  async addJobs(payloads, options = {}) {
    if (!Array.isArray(payloads)) refuse("payloads", "an array", payloads);
    if (this.payload_schema) for (const payload of payloads) await parsePayload(this.payload_schema, payload, this.queue_name);
    return this.#sink.addMany(this.queue_name, payloads, options);
  }
  /** Picks the next job, or gives undefined when none is ready. */
  async pickNextJob(ignore_max_concurrency = false, transaction) {
    for (; ; ) {
      const { handles, picked: picked2 } = await this.#pick(1, { ignore_max_concurrency, ...transaction && { transaction } });
      if (handles.length > 0 || picked2 === 0) return handles[0];
    }
  }
  /** Picks up to `max_jobs` jobs. */
  async pickJobs(max_jobs, options = {}) {
    expectWhole("max_jobs", max_jobs, 1);
    return (await this.#pick(max_jobs, options)).handles;
  }
  /**
   * Releases a running job by its id, and gives its new state. Without `lease_token` this is the weaker form: it is not
   * checked who runs it. The third argument is a transaction, or options.
   */
  releaseJob(job_id, result, transaction_or_options) {
    const options = isQueryable(transaction_or_options) ? { transaction: transaction_or_options } : transaction_or_options ?? {};
    return releaseOne(this.db, this.schema_name, job_id, result, options);
  }
  /** Cancels a job, a running one too: its worker learns of it at its next keep-alive. `job_in_another_state` when finished. */
  cancelJob(job_id, options = {}) {
    return this.#control.cancel(job_id, options);
  }
  /** Brings a finished job back: its attempts start anew, its history stays. `job_in_another_state` when it is live. */
  retryJob(job_id, options = {}) {
    return this.#control.retry(job_id, options);
  }
  /** Brings dead jobs of the queue back, and gives their number. */
  redriveJobs(options = {}) {
    return this.#control.redrive(this.queue_name, options);
  }
  /** Changes when a waiting job may start. `job_in_another_state` when it is running or finished. */
  rescheduleJob(job_id, start_after, options = {}) {
    return this.#control.reschedule(job_id, start_after, options);
  }
  /** All that is known of a job. `job_not_found` when unknown, or finished in a queue that keeps no history. */
  getJob(job_id, transaction) {
    return this.#status.get(job_id, transaction);
  }
  /** The jobs of the queue, newest first: `for await (const job of queue.listJobs({ state: 'dead' })) …`. Reads page by page. */
  listJobs(options = {}) {
    return this.#status.list(this.queue_name, options);
  }
  /** The queue in figures. `queue_not_found` before its first job. */
  stats() {
    return this.#status.stats(this.queue_name);
  }
  /** Resolves when the job has finished: see `state`, `output` and `error`. All that wait on one `db` share one poller. */
  waitForResult(job_id, options = {}) {
    return waitForJob(this.db, this.schema_name, job_id, options);
  }
  /** Is this parsed request body a job of this queue, with a payload that fits? */
  ownsJob(x) {
    if (typeof x !== "object" || x === null) return false;
    const { job_id, queue_name, payload } = x;
    return queue_name === this.queue_name && Number.isSafeInteger(job_id) && payload !== void 0 && fitsSchema(this.payload_schema, payload);
  }
  /** The settings of this queue. */
  getConfig() {
    return new PgQueueConfig(this.db, this.queue_name, this.schema_name);
  }
  async #pick(max_jobs, options) {
    const { transaction, ...request } = options;
    const jobs = await this.#source.pick({ ...request, queue_names: [this.queue_name], max_jobs }, { transaction, durable: transaction !== void 0 });
    const handles = [];
    for (const job of jobs) {
      const handle = await this.#handleOf(job, transaction);
      if (handle) handles.push(handle);
    }
    return { handles, picked: jobs.length };
  }
  /** A job whose payload does not fit can never be run: it is released as dead, and gives no handle. */
  async #handleOf(job, transaction) {
    const place = { source: this.#source, transaction };
    try {
      return createJobHandle(place, jobOf(job, await parsePayload(this.payload_schema, job.payload, this.queue_name)));
    } catch (error) {
      if (!(error instanceof PgqError) || error.code !== "payload_invalid") throw error;
      await createJobHandle(place, jobOf(job, job.payload)).release("failed", { error: error.message, retry: false });
      return void 0;
    }
  }
};

// src/worker-pace.ts
var SHORTEST_WINDOW_MILLISECONDS = 5;
var LONGEST_WINDOW_MILLISECONDS = 50;
var CALLS_AHEAD = 4;
var MAX_PREFETCH = 4e3;
var MEMORY_MILLISECONDS = 20;
var WEIGHT = 0.3;
function createPace(now) {
  let rate = 0;
  let call_milliseconds = 1;
  let ended = 0;
  let since = now;
  return {
    ended() {
      ended++;
    },
    called(milliseconds2) {
      call_milliseconds += (milliseconds2 - call_milliseconds) * WEIGHT;
    },
    reset() {
      rate = 0;
      ended = 0;
    },
    prefetch(now2) {
      const elapsed = now2 - since;
      if (elapsed >= 0.5) {
        rate += (ended / elapsed - rate) * (1 - Math.exp(-elapsed / MEMORY_MILLISECONDS));
        ended = 0;
        since = now2;
      }
      const window = Math.min(LONGEST_WINDOW_MILLISECONDS, Math.max(SHORTEST_WINDOW_MILLISECONDS, CALLS_AHEAD * call_milliseconds));
      return Math.min(MAX_PREFETCH, Math.floor(rate * window));
    }
  };
}

// src/worker-loop.ts
var MAX_CALLS = 2;
var MUCH_TO_DO = 100;
var MAX_BATCH = 1e3;
var FIRST_PAUSE_MILLISECONDS3 = 100;
var LONGEST_PAUSE_MILLISECONDS3 = 5e3;
var LAST_TRIES_MILLISECONDS = 5e3;
function runWorker(source, queue_names, run, settings) {
  const { concurrency, worker, logger } = settings;
  const held = /* @__PURE__ */ new Set();
  const pace = createPace(performance.now());
  const totals = { picked: 0, complete: 0, failed: 0, paused: 0, cancelled: 0, lost: 0 };
  let results = [];
  let calls = 0;
  let asked_for = 0;
  let failures = 0;
  let last_error;
  let is_backing_off = false;
  let is_stopping = false;
  let is_woken = false;
  let is_over = false;
  const over = new AbortController();
  let tell_stopped = () => {
  };
  const stopped = new Promise((resolve) => tell_stopped = resolve);
  const waker = createWaker({ source: wakeSourceOf(source, queue_names), settings, on_wake: pump, on_error: report });
  const leases = createLeaseKeeper({
    source,
    held,
    max_run_milliseconds: settings.max_run_milliseconds,
    on_error: report,
    on_lost(job, reason) {
      logger?.warn?.(reason.message, { job_id: job.job_id, queue_name: job.queue_name, worker });
      lose(job);
      job.abort(reason);
    },
    on_too_long(job, reason) {
      settle(job, outcomeOfError(reason.message));
      job.abort(reason);
    }
  });
  const runner = createRunner({
    concurrency,
    run,
    on_begin(job) {
      if (settings.max_run_milliseconds !== void 0) leases.watch(job);
    },
    on_end(job, outcome2) {
      pace.ended();
      if (outcome2) settle(job, outcome2);
      else putAway(job);
      pumpSoon();
    },
    on_late(jobs) {
      pace.reset();
      jobs.forEach(giveBack);
    }
  });
  function pump() {
    while (calls < MAX_CALLS && !is_backing_off && !is_over) {
      const free = concurrency - runner.running - runner.waiting - asked_for;
      const wanted = howMany(free);
      if (calls > 0 && results.length < MUCH_TO_DO && wanted < MUCH_TO_DO) break;
      if (results.length > 0) {
        const batch = results.length > MAX_BATCH ? results.splice(0, MAX_BATCH) : results;
        if (batch === results) results = [];
        void cycle(batch, wanted, false);
      } else if (wanted > 0 && !waker.is_dry) {
        void cycle([], wanted, false);
      } else if (wanted > 0 && free > 0 && waker.needsAnnouncement()) {
        void cycle([], wanted, true);
      } else {
        break;
      }
    }
    if (is_stopping) endWhenDone();
  }
  function howMany(free) {
    if (is_stopping) return 0;
    const prefetch = pace.prefetch(performance.now());
    const wanted = Math.min(MAX_BATCH, free + prefetch);
    return wanted <= 0 || free <= 0 && wanted < prefetch / 4 ? 0 : wanted;
  }
  async function cycle(batch, wanted, is_first_announced) {
    calls++;
    asked_for += wanted;
    let picked2 = [];
    let sent_at = 0;
    const notifications = waker.notifications;
    try {
      if (is_first_announced) await waker.announce();
      sent_at = performance.now();
      picked2 = await send(batch, wanted);
      failures = 0;
    } catch (error) {
      results = batch.filter((job) => !job.is_over).concat(results);
      for (const job of batch) job.is_recording = false;
      waker.forget();
      report(error);
      backOff();
    }
    calls--;
    asked_for -= wanted;
    if (sent_at > 0) pace.called(performance.now() - sent_at);
    if (wanted > 0 && !is_backing_off) waker.picked(picked2.length, wanted, notifications);
    receive(picked2, sent_at);
    pump();
    runner.begin();
  }
  function send(batch, wanted) {
    const request = wanted === 0 ? void 0 : {
      queue_names,
      max_jobs: wanted,
      worker,
      timeout_milliseconds: settings.timeout_milliseconds,
      ignore_max_concurrency: settings.ignore_max_concurrency
    };
    if (batch.length === 0) return source.pick(request);
    for (const job of batch) job.is_recording = true;
    return recordResults(source, batch, request, { on_recorded, on_lost: lose, on_refused });
  }
  function on_recorded(job, outcome2) {
    putAway(job);
    totals[outcome2.result]++;
    if (outcome2.result === "failed" || outcome2.result === "paused") waker.forget();
  }
  function on_refused(job, error) {
    logger?.error?.("a result could not be stored", { job_id: job.job_id, queue_name: job.queue_name, error });
  }
  function lose(job) {
    if (job.is_over) return;
    putAway(job);
    totals.lost++;
    runner.remove(job);
    const index = results.indexOf(job);
    if (index !== -1) results.splice(index, 1);
  }
  function putAway(job) {
    job.is_over = true;
    held.delete(job);
  }
  function receive(picked2, sent_at) {
    totals.picked += picked2.length;
    for (const one of picked2) {
      const job = new HeldJob(one, source, sent_at);
      held.add(job);
      leases.watch(job);
      if (is_stopping) giveBack(job);
      else runner.push(job);
    }
  }
  function backOff() {
    is_backing_off = true;
    setTimeout(() => {
      is_backing_off = false;
      pump();
    }, backoff(failures++, FIRST_PAUSE_MILLISECONDS3, LONGEST_PAUSE_MILLISECONDS3));
  }
  function settle(job, outcome2) {
    if (job.is_over || job.outcome !== void 0) return;
    job.outcome = outcome2;
    results.push(job);
    pumpSoon();
  }
  function pumpSoon() {
    if (is_woken || calls >= MAX_CALLS || calls > 0 && results.length < MUCH_TO_DO) return;
    is_woken = true;
    soon(() => {
      is_woken = false;
      pump();
    });
  }
  function giveBack(job) {
    settle(job, PAUSED);
  }
  async function stop({ hard = false, timeout_milliseconds } = {}) {
    if (!is_stopping) {
      is_stopping = true;
      settings.signal?.removeEventListener("abort", onSignal);
      runner.close().forEach(giveBack);
    }
    if (hard) stopHard();
    endWhenDone();
    if (timeout_milliseconds !== void 0 && !hard) {
      await sleep(timeout_milliseconds, over.signal);
      if (!is_over) stopHard();
    }
    await stopped;
  }
  function stopHard() {
    for (const job of [...held]) {
      if (job.outcome !== void 0 || job.is_released) continue;
      giveBack(job);
      job.abort(new PgqError("worker_stopped", `worker "${worker}" was stopped`));
    }
    runner.abandon();
    void sleep(LAST_TRIES_MILLISECONDS, over.signal).then(() => {
      if (is_over) return;
      report(new PgqError("worker_stopped", `worker "${worker}" stopped without recording ${results.length} results: those jobs will be run again`));
      endNow();
    });
  }
  function endWhenDone() {
    if (!is_over && runner.running === 0 && results.length === 0 && calls === 0) endNow();
  }
  function endNow() {
    is_over = true;
    over.abort();
    leases.stop();
    stopMaintenance();
    waker.stop().catch(report).then(tell_stopped);
  }
  function report(error) {
    const pgq_error = toPgqError(error);
    last_error = pgq_error;
    logger?.error?.(pgq_error.message, { code: pgq_error.code, worker, error: pgq_error });
    settings.on_error?.(pgq_error);
  }
  function onSignal() {
    void stop();
  }
  settings.signal?.addEventListener("abort", onSignal, { once: true });
  const stopMaintenance = planMaintenance(() => source.maintain().catch(report));
  waker.start();
  if (settings.signal?.aborted) onSignal();
  else pump();
  return {
    worker,
    stop,
    stopped,
    stats: () => {
      const { picked: picked2, complete, failed, paused, lost } = totals;
      return { running: runner.running, waiting: runner.waiting, unrecorded: results.length, picked: picked2, complete, failed, paused, lost, last_error };
    },
    [Symbol.asyncDispose]: () => stop()
  };
}

// src/worker-options.ts
function workerSettings(options) {
  const { concurrency = 10, poll_interval_milliseconds = 1e3, worker = randomName() } = options;
  expectWhole("concurrency", concurrency, 1, 1e5);
  expectWhole("poll_interval_milliseconds", poll_interval_milliseconds, 1, 36e5);
  expectWhole("timeout_milliseconds", options.timeout_milliseconds, 100, 6048e5);
  expectWhole("max_run_milliseconds", options.max_run_milliseconds, 1, 2 ** 31 - 1);
  expectText("worker", worker);
  if (options.signal !== void 0 && !(options.signal instanceof AbortSignal)) refuse("signal", "an AbortSignal", options.signal);
  return { ...options, concurrency, poll_interval_milliseconds, worker };
}
function randomName() {
  return `worker-${crypto.randomUUID().slice(0, 8)}`;
}

// src/worker.ts
function startWorker(queue_or_queues, handler, options = {}) {
  const queues = queue_or_queues instanceof PgQueue ? [queue_or_queues] : queue_or_queues;
  const first = Array.isArray(queues) ? queues[0] : void 0;
  if (first === void 0 || !queues.every((queue) => queue instanceof PgQueue)) refuse("queues", "a PgQueue or several", queue_or_queues);
  if (queues.some((queue) => queue.db !== first.db || queue.schema_name !== first.schema_name)) {
    refuse("queues", "queues of one database and one schema", queues);
  }
  const by_name = new Map(queues.map((queue) => [queue.queue_name, queue]));
  return runWorker(sqlJobSource(first.db, first.schema_name), [...by_name.keys()], createRun(by_name, handler), workerSettings(options));
}
export {
  PgQueue,
  PostgresDb,
  startWorker
};
