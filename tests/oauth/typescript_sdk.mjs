// Comes in through the authorization code flow of the TypeScript SDK, first to look and then, where that is refused, to scan; prints
// as JSON what happened.
//
//   node typescript_sdk.mjs MAJOR URL

const [major, target] = process.argv.slice(2);
const modules = {
  1: {
    client: "@modelcontextprotocol/sdk/client/index.js",
    http: "@modelcontextprotocol/sdk/client/streamableHttp.js",
    auth: "@modelcontextprotocol/sdk/client/auth.js",
  },
  2: { client: "@modelcontextprotocol/client", http: "@modelcontextprotocol/client", auth: "@modelcontextprotocol/client" },
}[major];
const { Client } = await import(modules.client);
const { StreamableHTTPClientTransport } = await import(modules.http);
const { UnauthorizedError } = await import(modules.auth);

const redirect = "http://127.0.0.1:1/callback";
const asked = [];
let back;

// Follows the provider through its pages, as a browser does.
async function browse(url) {
  const cookies = new Map();
  for (let step = 0; step < 20; step += 1) {
    if (url.href.startsWith(redirect)) return url.searchParams;
    const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join("; ");
    const answer = await fetch(url, { redirect: "manual", headers: { cookie } });
    for (const set of answer.headers.getSetCookie()) {
      const [pair] = set.split(";");
      cookies.set(pair.slice(0, pair.indexOf("=")), pair.slice(pair.indexOf("=") + 1));
    }
    if (!answer.headers.has("location")) throw new Error(`${url}: ${answer.status} ${await answer.text()}`);
    url = new URL(answer.headers.get("location"), url);
  }
  throw new Error("the provider sends its visitors round and round");
}

class Browser {
  kept = {};
  clientMetadata = {
    client_name: "tests",
    redirect_uris: [redirect],
    grant_types: ["authorization_code", "refresh_token"],
    response_types: ["code"],
    token_endpoint_auth_method: "none",
    application_type: "native",
  };
  redirectUrl = redirect;
  clientInformation = () => this.kept.client;
  saveClientInformation = (client) => void (this.kept.client = client);
  tokens = () => this.kept.tokens;
  saveTokens = (tokens) => void (this.kept.tokens = tokens);
  codeVerifier = () => this.kept.verifier;
  saveCodeVerifier = (verifier) => void (this.kept.verifier = verifier);
  redirectToAuthorization = async (url) => {
    asked.push({ scope: url.searchParams.get("scope"), resource: url.searchParams.get("resource") });
    back = await browse(url);
  };
}

const authProvider = new Browser();

async function connect() {
  const transport = new StreamableHTTPClientTransport(new URL(target), { authProvider });
  const client = new Client({ name: "oauth-tests", version: "1.0.0" });
  await client.connect(transport);
  return { client, transport };
}

// Does something, and once more when that needed somebody to agree in a browser.
async function authorized(transportOf, action) {
  try {
    return await action();
  } catch (error) {
    if (!(error instanceof UnauthorizedError)) throw error;
    await transportOf().finishAuth(back.get("code"), back.get("iss"));
    return await action();
  }
}

let last = new StreamableHTTPClientTransport(new URL(target), { authProvider });
const connected = await authorized(() => last, connect);
last = connected.transport;
const { tools } = await connected.client.listTools();
const scan = { name: "run_untrusted_scan", arguments: { targets: "192.0.2.1", name: "x" } };
const answer = await authorized(() => last, () => connected.client.callTool(scan));
console.log(JSON.stringify({ asked, tools: tools.map((tool) => tool.name), answer }));
await connected.client.close();
