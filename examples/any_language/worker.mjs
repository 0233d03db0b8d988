// Runs jobs of the queue "node", up to four at once. JOBPIPE_TOKEN is needed where there are tokens.
const tasks = {
  "text.reverse": async ({ text }) => [...text].reverse().join(""),
  "text.fail": async () => { throw new TypeError("it failed"); },
};

const { JOBPIPE_URL = "http://127.0.0.1:8000", JOBPIPE_TOKEN } = process.env;

async function call(path, body) {
  const headers = { "Content-Type": "application/json" };
  if (JOBPIPE_TOKEN) headers.Authorization = `Bearer ${JOBPIPE_TOKEN}`;
  const url = `${JOBPIPE_URL}/api/v1/claims${path}`;
  const answer = await fetch(url, { method: "POST", headers, body: JSON.stringify(body) });
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
  return answer.json();
}

async function run(claim, { id: job, token, task, args }) {
  let how = "finish", said;
  try {
    said = { result: await tasks[task](args) };
  } catch ({ name: type, message, stack: traceback }) {
    [how, said] = ["fail", { error: { type, message, traceback } }];
  }
  await call(`/${claim}/${how}`, { jobs: [{ job, token, ...said }] });
}

const wanted = { worker: `node-${process.pid}`, queues: "node", slots: 4, wait_seconds: 30 };
for (;;) {
  const { claim, jobs } = await call("", { ...wanted, tasks: Object.keys(tasks) });
  if (claim === null) continue;
  const beat = setInterval(() => call(`/${claim}/heartbeat`, {}).catch(console.error), 2000);
  await Promise.allSettled(jobs.map((job) => run(claim, job)));
  clearInterval(beat);
}
