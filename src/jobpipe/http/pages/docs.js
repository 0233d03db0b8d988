// Draws the document of the API, and lets one try every call. Text is only ever set as text.

const root = location.pathname.replace(/\/api\/docs\/?$/, "");
const calls = document.getElementById("calls");
const token = document.getElementById("token");
const search = document.getElementById("search");

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value !== false) made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}

const started = load();

async function load() {
  const answer = await fetch(`${root}/api/openapi.json`);
  const api = await answer.json();
  const groups = new Map();
  for (const [path, methods] of Object.entries(api.paths)) {
    for (const [method, operation] of Object.entries(methods)) {
      const tag = operation.tags[0];
      if (!groups.has(tag)) groups.set(tag, []);
      groups.get(tag).push(drawn(api, method.toUpperCase(), path, operation));
    }
  }
  calls.replaceChildren();
  for (const [tag, drawnCalls] of groups) {
    calls.append(element("section", {}, element("h2", {}, tag), ...drawnCalls));
  }
  search.addEventListener("input", filter);
}

function filter() {
  const words = search.value.toLowerCase().split(/\s+/);
  for (const section of calls.querySelectorAll("section")) {
    for (const call of section.querySelectorAll("details")) {
      const text = call.querySelector("summary").textContent.toLowerCase();
      call.hidden = !words.every((word) => text.includes(word));
    }
    section.hidden = ![...section.querySelectorAll("details")].some((call) => !call.hidden);
  }
}

function drawn(api, method, path, operation) {
  const form = { fields: [], body: null };
  const inside = element("div", { class: "inside" });
  if (operation.description) inside.append(element("p", {}, operation.description));
  if (operation["x-role"]) inside.append(element("p", {}, `Role: ${operation["x-role"]}`));
  if (operation.parameters.length) inside.append(parameters(api, operation, form));
  const content = operation.requestBody?.content["application/json"];
  if (content) inside.append(body(api, operation, content.schema, form));
  const result = element("div", { role: "status" });
  const send = element("button", { type: "button" }, "Send");
  const stop = element("button", { type: "button", hidden: "" }, "Stop");
  send.addEventListener("click", () => ask(method, path, operation, form, result, stop));
  inside.append(send, stop, result, answers(api, operation));
  const title = [
    element("span", { class: "method" }, method), path, " ",
    element("span", { class: "what" }, operation.summary),
  ];
  return element("details", { id: operation.operationId }, element("summary", {}, ...title), inside);
}

function parameters(api, operation, form) {
  const table = element("table");
  for (const parameter of operation.parameters) {
    const id = `${operation.operationId}-${parameter.name}`;
    const input = element("input", {
      id, type: "text", spellcheck: "false", placeholder: shortly(api, parameter.schema),
      "aria-required": String(parameter.required),
    });
    form.fields.push({ parameter, input });
    const name = parameter.name + (parameter.required ? " *" : "");
    table.append(element("tr", {},
      element("th", { scope: "row" }, element("label", { for: id }, name)),
      element("td", {}, input),
      element("td", { class: "none" }, parameter.description ?? parameter.in)));
  }
  return table;
}

function body(api, operation, schema, form) {
  const id = `${operation.operationId}-body`;
  form.body = element("textarea", { id, spellcheck: "false" });
  form.body.value = JSON.stringify(example(api, schema), null, 2);
  return element("div", {},
    element("label", { for: id }, "Body (JSON)"), form.body,
    element("details", {}, element("summary", {}, "What it may hold"), shape(api, schema)));
}

function answers(api, operation) {
  const list = element("div", {});
  for (const [status, answer] of Object.entries(operation.responses)) {
    const schema = Object.values(answer.content ?? {})[0]?.schema;
    const problem = Number(status) >= 400;
    list.append(element("p", {}, element("strong", {}, status), ` ${answer.description}`),
      ...(schema && !problem ? [shape(api, schema)] : []));
  }
  return element("details", {}, element("summary", {}, "Answers"),
    element("div", { class: "inside" }, list));
}

function shape(api, schema) {
  return element("pre", {}, JSON.stringify(resolved(api, schema, 0), null, 2));
}

function resolved(api, schema, depth) {
  if (Array.isArray(schema)) return schema.map((each) => resolved(api, each, depth));
  if (schema === null || typeof schema !== "object") return schema;
  if (schema.$ref) {
    const name = schema.$ref.split("/").pop();
    return depth > 4 ? { $ref: name } : resolved(api, api.components.schemas[name], depth + 1);
  }
  const kept = Object.entries(schema).filter(([key]) => key !== "title");
  return Object.fromEntries(kept.map(([key, value]) => [key, resolved(api, value, depth)]));
}

function shortly(api, schema) {
  const whole = resolved(api, schema, 0);
  if (whole.enum) return whole.enum.join(" | ");
  return whole.type ?? (whole.anyOf ?? []).map((each) => each.type).join(" | ");
}

function example(api, schema) {
  const whole = resolved(api, schema, 0);
  if (whole.enum) return whole.enum[0];
  if (whole.anyOf) return example(api, whole.anyOf[0]);
  if (whole.type === "object") {
    const wanted = new Set(whole.required ?? []);
    const named = Object.entries(whole.properties ?? {});
    const shown = named.filter(([name, each]) => wanted.has(name) || name === "args" || !("default" in each));
    return Object.fromEntries(shown.map(([name, each]) => [name, example(api, each)]));
  }
  if (whole.type === "array") return whole.items ? [example(api, whole.items)] : [];
  if (whole.type === "integer" || whole.type === "number") return whole.minimum ?? 0;
  if (whole.type === "boolean") return true;
  return whole.type === "string" ? "" : null;
}

async function ask(method, path, operation, form, result, stop) {
  const headers = {};
  const query = new URLSearchParams();
  let place = path;
  for (const { parameter, input } of form.fields) {
    const value = input.value;
    if (!value && !parameter.required) continue;
    if (parameter.in === "path") {
      const parts = value.split("/").map(encodeURIComponent);
      place = place.replace(`{${parameter.name}}`, parts.join("/"));
    } else if (parameter.in === "query") query.set(parameter.name, value);
    else headers[parameter.name] = value;
  }
  if (token.value) headers.Authorization = `Bearer ${token.value}`;
  if (form.body) headers["Content-Type"] = "application/json";
  const url = root + place + (query.size ? `?${query}` : "");
  const ending = new AbortController();
  stop.hidden = false;
  stop.onclick = () => ending.abort();
  result.replaceChildren(element("p", {}, "Asking ..."), curl(method, url, headers, form.body?.value));
  const began = performance.now();
  try {
    const answer = await fetch(url, {
      method, headers, body: form.body?.value, signal: ending.signal, cache: "no-store",
    });
    const took = Math.round(performance.now() - began);
    const shown = element("pre", {});
    const mood = answer.ok ? "good" : "bad";
    const title = `${answer.status} ${answer.statusText} in ${took} ms`;
    const sent = [...answer.headers].map(([name, value]) => `${name}: ${value}`).join("\n");
    result.replaceChildren(
      element("p", { class: `status ${mood}` }, title), shown,
      element("details", {}, element("summary", {}, "Headers"), element("pre", {}, sent)),
      curl(method, url, headers, form.body?.value));
    await read(answer, shown);
  } catch (error) {
    if (error.name !== "AbortError") {
      result.replaceChildren(element("p", { class: "status bad" }, `No answer: ${error.message}`));
    }
  } finally {
    stop.hidden = true;
  }
}

async function read(answer, shown) {
  const kind = answer.headers.get("content-type") ?? "";
  if (kind.startsWith("text/event-stream")) {
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      shown.append(value);
      if (shown.childNodes.length > 500) shown.firstChild.remove();
      shown.scrollTop = shown.scrollHeight;
    }
  }
  const text = await answer.text();
  shown.textContent = kind.includes("json") ? pretty(text) : text;
}

// JSON.parse would round large numbers, so the text is only laid out anew.
function pretty(text) {
  let depth = 0;
  let out = "";
  for (const [piece] of text.matchAll(/"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+/g)) {
    const line = "\n" + "  ".repeat(Math.max(0, depth));
    if (piece === "}" || piece === "]") {
      depth -= 1;
      const opened = out.endsWith("{") || out.endsWith("[");
      out += opened ? piece : "\n" + "  ".repeat(depth) + piece;
    } else {
      if (out.endsWith("{") || out.endsWith("[")) out += line;
      out += piece;
      if (piece === ",") out += line;
      if (piece === ":") out += " ";
      if (piece === "{" || piece === "[") depth += 1;
    }
  }
  return out;
}

function curl(method, url, headers, text) {
  const quoted = (value) => `'${value.replaceAll("'", "'\\''")}'`;
  const shown = Object.entries(headers).map(([name, value]) =>
    `-H ${quoted(`${name}: ${name === "Authorization" ? "Bearer $JOBPIPE_TOKEN" : value}`)}`);
  const parts = ["curl", ...(method === "GET" ? [] : ["-X", method]), ...shown];
  if (text) parts.push("-d", quoted(text));
  parts.push(quoted(location.origin + url));
  const line = parts.join(" ").replace("'Authorization: Bearer $JOBPIPE_TOKEN'",
    '"Authorization: Bearer $JOBPIPE_TOKEN"');
  return element("details", {}, element("summary", {}, "As a command"), element("pre", {}, line));
}

started.catch((error) => {
  calls.replaceChildren(element("p", { class: "status bad" }, `The document cannot be read: ${error.message}`));
});
