/**
 * Graphile Worker with the settings of its own page on performance.
 *
 * A finished job is deleted; what it returns is not kept. A retry comes e (2.7) seconds later.
 */
import pg from "pg";

import * as kit from "../kit.mjs";

process.env.NO_LOG_SUCCESS = "1";
const { Logger, makeWorkerUtils, run, runMigrations } = await import("graphile-worker");

const CHUNK = 5000;
/** Most connections to enqueue by, as many as by default. */
const LINKS = 10;
const ADD_MANY = `
  SELECT 1 FROM graphile_worker.add_jobs(
    ARRAY(SELECT json_populate_recordset(NULL::graphile_worker.job_spec, $1::json)))`;
const WORKER = {
  concurrentJobs: 24,
  maxPoolSize: 25,
  localQueue: { size: 500 },
  completeJobBatchDelay: 0,
  failJobBatchDelay: 0,
};

const logger = new Logger(() => (level, message) => {
  if (level === "error" || level === "warning") console.error(message);
});

const tasks = {
  noop: async () => tally.count(),
  kib: async ({ text }) => {
    tally.count();
    return text;
  },
  flaky: async ({ n }, { job }) => {
    if (kit.isFlaky(n) && job.attempts === 1) throw new Error("the first attempt fails");
    tally.count();
  },
  stamp: async ({ n }) => tally.stamp(n),
};
let tally;

function payload(task, n) {
  return { [task === "kib" ? "text" : "n"]: kit.argument(task, n) };
}

async function connect(url) {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  return client;
}

function addMany(client, task) {
  return (numbers) => {
    const specs = numbers.map((n) => ({ identifier: task, payload: payload(task, n) }));
    return client.query(ADD_MANY, [JSON.stringify(specs)]);
  };
}

function utils(url, maxPoolSize) {
  return makeWorkerUtils({ connectionString: url, maxPoolSize, logger });
}

async function prepare({ url }) {
  await runMigrations({ connectionString: url, logger });
}

async function fill({ url, jobs, task }) {
  const client = await connect(url);
  return { seconds: await kit.filled(jobs, CHUNK, addMany(client, task)) };
}

async function enqueue({ url, jobs, callers }) {
  const { addJob } = await utils(url, Math.min(callers, LINKS));
  const call = (n) => addJob("noop", payload("noop", n));
  return { seconds: await kit.fromCallers(callers, jobs, call) };
}

async function pace({ url, jobs, gap_ms }) {
  const { addJob } = await utils(url, 1);
  const call = (atNs) => addJob("stamp", payload("stamp", atNs));
  return { seconds: await kit.paced(jobs, gap_ms, call) };
}

async function feed({ url, task, seconds, backlog, tally }) {
  const client = await connect(url);
  return { jobs: await kit.fed(tally, seconds, backlog, addMany(client, task)) };
}

async function work({ url }) {
  tally = kit.tally();
  const runner = await run({
    preset: { worker: { connectionString: url, logger, ...WORKER } },
    taskList: tasks,
    noHandleSignals: true,
  });
  await kit.asked();
  await runner.stop();
}

async function left({ url }) {
  const client = await connect(url);
  const { rows } = await client.query("SELECT count(*)::int AS left FROM graphile_worker.jobs");
  await client.end();
  return rows[0];
}

await kit.run({ prepare, fill, enqueue, pace, feed, work, left });
