// Calls every tool of a server wrongly, through the TypeScript SDK, and prints as JSON what an agent gets to see.
//
//   node typescript_sdk.mjs VERSION URL
//   node typescript_sdk.mjs VERSION COMMAND ARGUMENT...
//
// The version is 1 or 2, the major one of the SDK, which begin with a handshake, or 2-modern, which does without.

const [version, target, ...rest] = process.argv.slice(2);
const [major, modern] = version.split("-");

const modules = {
  1: {
    client: "@modelcontextprotocol/sdk/client/index.js",
    http: "@modelcontextprotocol/sdk/client/streamableHttp.js",
    stdio: "@modelcontextprotocol/sdk/client/stdio.js",
  },
  2: {
    client: "@modelcontextprotocol/client",
    http: "@modelcontextprotocol/client",
    stdio: "@modelcontextprotocol/client/stdio",
  },
}[major];
const { Client } = await import(modules.client);

async function transport() {
  if (target.startsWith("http")) {
    const { StreamableHTTPClientTransport } = await import(modules.http);
    return new StreamableHTTPClientTransport(new URL(target));
  }
  const { StdioClientTransport } = await import(modules.stdio);
  return new StdioClientTransport({ command: target, args: rest, stderr: "ignore" });
}

const options = modern ? { versionNegotiation: { mode: { pin: "2026-07-28" } } } : {};
const client = new Client({ name: "client-tests", version: "1.0.0" }, options);
await client.connect(await transport());
// From the list the client learns what it would hold answers against.
const { tools } = await client.listTools();
const seen = {};
for (const tool of tools) {
  try {
    seen[tool.name] = await client.callTool({ name: tool.name, arguments: { no_such_argument: "x" } });
  } catch (error) {
    seen[tool.name] = { thrown: String(error) };
  }
}
console.log(JSON.stringify(seen));
await client.close();
