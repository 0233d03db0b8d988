/**
 * pg-boss: one batch of 2,000 jobs at a time, looking every 0.5 seconds, which is its least.
 *
 * A handler is given a batch, and what it returns is not kept by job. Jobs of a batch that failed
 * are failed by it one by one, as its documents say; they are retried without delay.
 */
import pg from "pg";
import PgBoss from "pg-boss";

import * as kit from "../kit.mjs";

const BATCH = 2000;
const CHUNK = 5000;
const POLL_SECONDS = 0.5;
const TASKS = ["noop", "kib", "flaky", "stamp"];

const jobs = {
  noop: () => tally.count(),
  kib: ({ data }) => {
    tally.count();
    return data.text;
  },
  flaky: ({ data, retryCount }) => {
    if (kit.isFlaky(data.n) && retryCount === 0) throw new Error("the first attempt fails");
    tally.count();
  },
  stamp: ({ data }) => tally.stamp(data.n),
};
let tally;

function data(task, n) {
  return { [task === "kib" ? "text" : "n"]: kit.argument(task, n) };
}

async function connect(url, options = { supervise: false, schedule: false }) {
  const boss = new PgBoss({ connectionString: url, ...options });
  boss.on("error", console.error);
  await boss.start();
  return boss;
}

function insert(boss, name) {
  return (numbers) => boss.insert(numbers.map((n) => ({ name, data: data(name, n) })));
}

async function prepare({ url }) {
  const boss = await connect(url);
  for (const name of TASKS) await boss.createQueue(name, { name, retryLimit: 2, retryDelay: 0 });
  await boss.stop();
}

async function fill({ url, jobs, task }) {
  const boss = await connect(url);
  return { seconds: await kit.filled(jobs, CHUNK, insert(boss, task)) };
}

async function enqueue({ url, jobs, callers }) {
  const boss = await connect(url);
  const call = (n) => boss.send("noop", data("noop", n));
  return { seconds: await kit.fromCallers(callers, jobs, call) };
}

async function pace({ url, jobs, gap_ms }) {
  const boss = await connect(url);
  const call = (atNs) => boss.send("stamp", data("stamp", atNs));
  return { seconds: await kit.paced(jobs, gap_ms, call) };
}

async function feed({ url, task, seconds, backlog, tally }) {
  const boss = await connect(url);
  return { jobs: await kit.fed(tally, seconds, backlog, insert(boss, task)) };
}

function handler(boss, name) {
  return async (batch) => {
    const failed = [];
    for (const job of batch) {
      try {
        jobs[name](job);
      } catch {
        failed.push(job.id);
      }
    }
    if (failed.length) await boss.fail(name, failed);
  };
}

async function work({ url }) {
  tally = kit.tally();
  const boss = await connect(url, {});
  for (const name of TASKS) {
    const includeMetadata = name === "flaky";
    const options = { batchSize: BATCH, pollingIntervalSeconds: POLL_SECONDS, includeMetadata };
    await boss.work(name, options, handler(boss, name));
  }
  await kit.asked();
  await boss.stop({ timeout: 5000 });
}

async function left({ url }) {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  const { rows } = await client.query(
    "SELECT count(*)::int AS left FROM pgboss.job WHERE state < 'completed'",
  );
  await client.end();
  return rows[0];
}

await kit.run({ prepare, fill, enqueue, pace, feed, work, left });
