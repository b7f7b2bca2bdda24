// The view of MCP Apps, in a document that has nothing of a browser but what the view may use: whatever else it touches is an error.
//
//   node report_view.mjs <INPUT
//
// INPUT is {"html": the document, "results": [results of tools]}. Prints what the view has sent, and what it shows of each result.

import vm from "node:vm";

const { html, results } = JSON.parse(await new Response(process.stdin).text());

function fail(what) {
  throw new Error(what);
}

class Node {
  constructor(text = "") {
    this.text = text;
  }
}

const OWN = ["name", "text", "children", "className"];

class Element extends Node {
  constructor(name) {
    super();
    Object.assign(this, { name, children: [], className: "" });
    const style = new Proxy({}, { set: (_, name) => name === "width" || fail(`style.${name}`) });
    Object.defineProperty(this, "style", { value: style });
    return new Proxy(this, {
      set: (target, name, value) => (OWN.includes(name) ? Reflect.set(target, name, value) : fail(`${this.name}.${String(name)} is set`)),
      get: (target, name) => (name in target || typeof name === "symbol" ? Reflect.get(target, name) : fail(`${this.name}.${name} is read`)),
    });
  }

  // As in a browser: what is no node becomes a text node.
  append(...children) {
    this.children.push(...children.map((child) => (child instanceof Node ? child : new Node(String(child)))));
  }

  replaceChildren(...children) {
    this.children.length = 0;
    this.append(...children);
  }
}

const sent = [];
const parent = { postMessage: (message, target) => sent.push({ message, target }) };
const listeners = [];
const main = new Element("main");
const documentElement = { dataset: { version: "test" }, getBoundingClientRect: () => ({ width: 400.5, height: 300 }) };
const sandbox = {
  Node,
  window: { parent, addEventListener: (type, listener) => (type === "message" ? listeners.push(listener) : fail(type)) },
  document: {
    documentElement,
    createElement: (name) => new Element(name),
    querySelector: (selector) => (selector === "main" ? main : fail(selector)),
  },
  ResizeObserver: class {
    constructor(tell) {
      this.tell = tell;
    }
    observe() {
      this.tell();
    }
  },
};

const receive = (data, source = parent) => listeners.forEach((listener) => listener({ source, data: { jsonrpc: "2.0", ...data } }));
const textOf = (node) => node.text + (node.children ?? []).map(textOf).join(" ");
const namesOf = (node) => (node.name ? [node.name, ...node.children.flatMap(namesOf)] : []);

const [, script] = html.match(/<script>([^]*)<\/script>/);
vm.runInNewContext(script, sandbox);
receive({ id: 1, result: { protocolVersion: "2026-01-26", hostInfo: {}, hostCapabilities: {}, hostContext: {} } });
receive({ id: 7, method: "ping" });
receive({ id: 8, method: "ui/resource-teardown", params: {} });
receive({ id: 9, method: "tools/call", params: {} });
// Another frame is not the host.
receive({ method: "ui/notifications/tool-result", params: { content: [{ type: "text", text: "{\"task_id\":\"forged\"}" }] } }, {});
const forged = textOf(main);
const shown = results.map((result) => {
  receive({ method: "ui/notifications/tool-input", params: { arguments: {} } });
  receive({ method: "ui/notifications/tool-result", params: result });
  return { text: textOf(main), elements: [...new Set(namesOf(main))].sort() };
});
receive({ method: "ui/notifications/tool-cancelled", params: { reason: "test" } });
console.log(JSON.stringify({ sent, forged, shown, cancelled: textOf(main) }));
