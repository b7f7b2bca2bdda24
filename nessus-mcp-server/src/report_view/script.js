"use strict";
// Shows what `get_scan_summary` or `compare_scans` has answered. The host of this view sends the answer (MCP Apps, SEP-1865,
// revision 2026-01-26). It has texts of scanned machines in it, so whatever is shown becomes a text node: nothing here reads markup.

const PROTOCOL = "2026-01-26";
const SEVERITIES = ["Critical", "High", "Medium", "Low", "Info"];
// The most rows of a table, and characters of a cell.
const ROWS = 50;
const CHARS = 300;
const main = document.querySelector("main");

function text(value) {
  if (value === undefined || value === null) return "";
  const whole = typeof value === "object" ? JSON.stringify(value) : String(value);
  return whole.length > CHARS ? whole.slice(0, CHARS) + "…" : whole;
}

// An element. Children that are no elements become text nodes.
function element(name, kind, ...children) {
  const made = document.createElement(name);
  if (kind) made.className = kind;
  made.append(...children.map((child) => (child instanceof Node ? child : text(child))));
  return made;
}

function tag(severity) {
  const known = SEVERITIES.includes(severity) ? severity : "unknown";
  return element("span", "tag " + known.toLowerCase(), known);
}

const listOf = (value) => (Array.isArray(value) ? value : []);
const worst = (counts) => SEVERITIES.slice(0, 4).map((severity) => counts?.[severity] ?? 0);

// A table of the entries of a list that the answer may have cut. `columns` are pairs: a title, and what of a row stands there.
function table(title, list, columns) {
  const rows = listOf(list?.shown).slice(0, ROWS);
  if (rows.length === 0) return "";
  const head = element("tr", "", ...columns.map(([name]) => element("th", "", name)));
  const body = rows.map((row) => element("tr", "", ...columns.map(([, cell]) => element("td", "", cell(row)))));
  const left = (list.total ?? rows.length) - rows.length;
  return element("section", "", element("h2", "", title),
    element("div", "scroll", element("table", "", element("thead", "", head), element("tbody", "", ...body))),
    left > 0 ? element("p", "note", `and ${left} more`) : "");
}

function cards(counts) {
  return element("ul", "cards", ...counts.map(([name, count]) => element("li", "", element("strong", "", count ?? 0), name)));
}

function notes(lines) {
  return element("ul", "notes", ...listOf(lines).map((line) => element("li", "warn", line)));
}

function bars(counts) {
  const most = Math.max(1, ...SEVERITIES.map((severity) => counts?.[severity] ?? 0));
  const row = (severity) => {
    const count = counts?.[severity] ?? 0;
    const bar = element("div", "bar " + severity.toLowerCase());
    bar.style.width = `${(100 * count) / most}%`;
    return element("div", "row", element("span", "", severity), element("div", "track", bar), element("span", "count", count));
  };
  return element("figure", "", element("figcaption", "", "Findings by severity"), ...SEVERITIES.map(row));
}

function summary(answer) {
  const counts = answer.counts ?? {};
  const checks = counts.compliance_counts;
  const logins = answer.authentication;
  const host = (row) => (row.host_ip ? `${row.host} (${row.host_ip})` : row.host);
  return [
    element("p", "kind", "Scan"),
    element("h1", "", answer.report_name ?? answer.task_id),
    element("p", "note", `${answer.status} · ${answer.targets}`),
    notes(answer.warnings),
    cards([["hosts", counts.hosts], ["of them did not answer", counts.dead_hosts], ["findings above Info", counts.vulnerabilities],
      ["with a public exploit", answer.exploitable?.findings], ["known to be exploited", answer.known_exploited?.findings]]),
    bars(counts.severity_counts),
    table("By plugin", answer.plugins, [["Severity", (row) => tag(row.severity)], ["Plugin", (row) => row.plugin_name],
      ["Hosts", (row) => row.hosts], ["Findings", (row) => row.findings], ["CVSS", (row) => row.cvss_score],
      ["EPSS", (row) => row.epss_score], ["VPR", (row) => row.vpr_score], ["Due (CISA)", (row) => row.cisa_known_exploited]]),
    table("By host", answer.hosts, [["Host", host], ["System", (row) => row.operating_system],
      ...SEVERITIES.slice(0, 4).map((severity) => [severity, (row) => row.severity_counts?.[severity]]),
      ["Login", (row) => row.authentication]]),
    table("What to do", answer.solutions, [["Solution", (row) => row.solution], ["Findings", (row) => row.clears],
      ["Hosts", (row) => row.hosts]]),
    logins && logins.status !== "not_applicable"
      ? element("p", "note", `Logins: ${logins.status}; ${logins.authenticated} of ${counts.hosts} hosts`) : "",
    checks ? element("p", "note", `Compliance checks: ${checks.FAILED} failed, ${checks.PASSED} passed, ${checks.WARNING} to judge, ${checks.ERROR} not done`) : "",
    table("Compliance checks", answer.compliance?.by_check, [["Check", (row) => row.check_name],
      ["Failed", (row) => row.compliance_counts?.FAILED], ["Passed", (row) => row.compliance_counts?.PASSED], ["Hosts", (row) => row.hosts]]),
    answer.truncated ? element("p", "note", "Lists are cut; the counts are whole.") : "",
  ];
}

function comparison(answer) {
  const counts = answer.counts ?? {};
  const kinds = [["New", "new"], ["Fixed", "fixed"], ["Still there", "still_there"], ["Rated differently", "severity_changed"],
    ["Other output", "changed_output"], ["Cannot be compared", "not_comparable"]];
  const sides = [["before", answer.before], ["after", answer.after]];
  const place = (row) => `${row.host}:${row.port}/${row.protocol}`;
  const found = [["Severity", (row) => tag(row.severity)], ["Plugin", (row) => row.plugin_name], ["Where", place]];
  return [
    element("p", "kind", "Two scans compared"),
    element("h1", "", answer.after?.report_name ?? answer.after_task_id),
    notes(listOf(answer.differences).map((one) =>
      `${one.what}: ${one.before ?? "nothing"} → ${one.after ?? "nothing"}: ${one.message}`)),
    table("The scans", { shown: sides }, [["", ([name]) => name], ["Name", ([, of]) => of?.report_name],
      ["Began", ([, of]) => of?.started], ["Hosts", ([, of]) => of?.hosts], ["Login", ([, of]) => of?.authentication_status]]),
    table("What became of findings", { shown: kinds }, [["", ([name]) => name],
      ...SEVERITIES.map((severity) => [severity, ([, kind]) => counts[kind]?.[severity] ?? 0])]),
    table("New", answer.new, [...found, ["Not seen before", (row) => row.unseen_before]]),
    table("Fixed", answer.fixed, found),
    table("Rated differently", answer.severity_changed, [...found, ["Was", (row) => tag(row.previous_severity)]]),
    table("Other output", answer.changed_output, [...found, ["Before", (row) => row.output_before], ["After", (row) => row.output_after]]),
    table("Cannot be compared", answer.hosts_not_comparable, [["Host", (row) => row.host], ["Why", (row) => row.reason],
      ["Critical to Low", (row) => worst(row.severity_counts).join(" / ")]]),
    table("Checks that fail now", answer.compliance?.newly_failed, [["Check", (row) => row.check], ["Host", (row) => row.host]]),
    table("Checks that pass now", answer.compliance?.newly_passed, [["Check", (row) => row.check], ["Host", (row) => row.host]]),
    answer.truncated ? element("p", "note", "Lists are cut; the counts are whole.") : "",
  ];
}

function show(result) {
  const said = listOf(result?.content).find((part) => part?.type === "text")?.text;
  let answer;
  try {
    answer = JSON.parse(said);
  } catch {
    answer = undefined;
  }
  if (typeof answer !== "object" || answer === null || result.isError) {
    main.replaceChildren(element("p", "alarm", answer?.message ?? said ?? "There is no answer."), element("p", "note", answer?.hint));
  } else {
    main.replaceChildren(...("before_task_id" in answer ? comparison(answer) : summary(answer)));
  }
}

// What is sent tells of nothing but this view, so it may reach whoever shows it.
const send = (message) => window.parent.postMessage({ jsonrpc: "2.0", ...message }, "*");

function begin() {
  send({ method: "ui/notifications/initialized" });
  const tell = () => {
    const { width, height } = document.documentElement.getBoundingClientRect();
    send({ method: "ui/notifications/size-changed", params: { width: Math.ceil(width), height: Math.ceil(height) } });
  };
  new ResizeObserver(tell).observe(document.documentElement);
}

window.addEventListener("message", ({ source, data }) => {
  if (source !== window.parent || data?.jsonrpc !== "2.0") return;
  const { id, method, params, result } = data;
  if (method === undefined) {
    if (id === 1 && result) begin();
  } else if (id !== undefined) {
    const known = method === "ping" || method === "ui/resource-teardown";
    send(known ? { id, result: {} } : { id, error: { code: -32601, message: "Method not found" } });
  } else if (method === "ui/notifications/tool-result") {
    show(params);
  } else if (method === "ui/notifications/tool-cancelled") {
    main.replaceChildren(element("p", "note", "The call was cancelled."));
  }
});

send({
  id: 1,
  method: "ui/initialize",
  params: {
    protocolVersion: PROTOCOL,
    appInfo: { name: "nessus-mcp", version: document.documentElement.dataset.version },
    appCapabilities: { availableDisplayModes: ["inline", "fullscreen"] },
  },
});
