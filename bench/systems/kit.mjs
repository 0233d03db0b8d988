/**
 * What every program in JavaScript uses: the same verbs, answers and tallies as in kit.py.
 *
 * A program is started once a verb: `program.mjs VERB '{"url": ...}'`. Its last line of output is
 * one JSON object; whatever else it has to say goes to the standard error.
 */
import fs from "node:fs";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

/** What a job that is handed text is handed. */
const TEXT = "x".repeat(1024);
/** Pause between two looks at what is left, in ms. */
const WATCH_MS = 10;
/** Of so many flaky jobs one fails, at its first attempt. */
const FLAKY_EVERY = 20;

/**
 * Counts the jobs that this process ran, where the harness reads it while they run: jobs, and the
 * monotonic clock (ns) when the first began and when the last ended, as of the last turn of the loop.
 */
class Tally {
  constructor(folder) {
    fs.mkdirSync(folder, { recursive: true });
    this.stampsFile = path.join(folder, `${process.pid}.stamps`);
    this.file = fs.openSync(path.join(folder, `${process.pid}.tally`), "w+");
    this.cells = new BigUint64Array(3);
    this.jobs = 0;
    this.due = false;
    this.stamps = [];
    this.write = this.write.bind(this);
    this.write();
    process.on("exit", () => this.flush());
  }

  /** One job ran. */
  count() {
    const now = process.hrtime.bigint();
    if (!this.jobs) this.cells[1] = now;
    this.jobs += 1;
    this.cells[2] = now;
    if (!this.due) {
      this.due = true;
      setImmediate(this.write);
    }
  }

  /** One job ran that was asked for at `atNs`. */
  stamp(atNs) {
    const late = process.hrtime.bigint() - BigInt(atNs);
    this.stamps.push(late > 0n ? late : 0n);
    this.count();
  }

  write() {
    this.due = false;
    this.cells[0] = BigInt(this.jobs);
    fs.writeSync(this.file, this.cells, 0, 24, 0);
  }

  /** Write what is still in memory. */
  flush() {
    this.write();
    fs.appendFileSync(this.stampsFile, new BigUint64Array(this.stamps.splice(0)));
  }
}

/** Return how many jobs all processes ran that count in this folder. */
export function total(folder) {
  return fs
    .readdirSync(folder)
    .filter((name) => name.endsWith(".tally"))
    .map((name) => fs.readFileSync(path.join(folder, name)))
    .reduce((sum, bytes) => sum + (bytes.length < 8 ? 0 : Number(bytes.readBigUInt64LE())), 0);
}

/** Tell whether the flaky job `n` is one that fails at first. */
export function isFlaky(n) {
  return n % FLAKY_EVERY === 0;
}

/** Return what the job `n` of this task is given. */
export function argument(task, n) {
  return task === "kib" ? TEXT : n;
}

function secondsSince(began) {
  return (performance.now() - began) / 1000;
}

/**
 * Await `call(n)` for every n below `jobs` from so many callers; return the seconds. One call
 * before them opens what is opened but once.
 */
export async function fromCallers(callers, jobs, call) {
  await call(-1);
  let next = 0;
  const caller = async () => {
    while (next < jobs) await call(next++);
  };
  const began = performance.now();
  await Promise.all(Array.from({ length: callers }, caller));
  return secondsSince(began);
}

/** Await `call(at_ns)` once every `gapMs`, late ones at once; return the seconds. */
export async function paced(jobs, gapMs, call) {
  const began = performance.now();
  for (let n = 0; n < jobs; n++) {
    const pause = began + n * gapMs - performance.now();
    if (pause > 0) await sleep(pause);
    await call(Number(process.hrtime.bigint()));
  }
  return secondsSince(began);
}

function numbers(start, end) {
  return Array.from({ length: end - start }, (_, n) => start + n);
}

/** Await `call(numbers)` for all numbers below `jobs` in chunks; return the seconds. */
export async function filled(jobs, chunk, call) {
  const began = performance.now();
  for (let start = 0; start < jobs; start += chunk) {
    await call(numbers(start, Math.min(start + chunk, jobs)));
  }
  return secondsSince(began);
}

/** Keep about `backlog` jobs waiting by `call(numbers)` in chunks; return how many. */
export async function fed(tally, seconds, backlog, call, chunk = 1000) {
  const began = performance.now();
  let sent = 0;
  while (secondsSince(began) < seconds) {
    const room = backlog - (sent - total(tally));
    if (room < Math.min(chunk, backlog)) {
      await sleep(2);
      continue;
    }
    const size = Math.min(chunk, room);
    await call(numbers(sent, sent + size));
    sent += size;
  }
  return sent;
}

const given = JSON.parse(process.argv[3]);
let opened;

/** Return the tally that the command line names. */
export function tally() {
  return (opened ??= new Tally(given.tally));
}

/** Return a promise of the request to end. */
export function asked() {
  return new Promise((resolve) => process.once("SIGTERM", resolve));
}

/** Do the verb that the command line names with the arguments it gives; print the answer. */
export async function run(verbs) {
  const verb = process.argv[2];
  if (verb === "work") tally();
  const answer = verb === "watch" ? await watch(verbs.left) : await verbs[verb](given);
  process.stdout.write(`${JSON.stringify(answer ?? {})}\n`, () => process.exit(0));
}

/** Say `ready`; when so many jobs have run, tell when the store says that none is left. */
async function watch(left) {
  const parent = process.ppid;
  await left(given); // so that the first look that counts loads nothing
  process.stdout.write("ready\n");
  while (total(given.tally) < given.jobs) await pause(parent);
  for (;;) {
    const atNs = Number(process.hrtime.bigint());
    if ((await left(given)).left === 0) return { at_ns: atNs };
    await pause(parent);
  }
}

/** Wait for a moment; end the program when nobody is there any more to hear its answer. */
async function pause(parent) {
  await sleep(WATCH_MS);
  if (process.ppid !== parent) process.exit(1);
}
