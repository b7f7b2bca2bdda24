// An identity provider that other people have written: oidc-provider.
//
//   node provider.mjs
//
// It lets everybody in as `alice` and grants what is asked for, so that the flows of clients run without a person. Clients register
// themselves; `ci` and `ci-ec` are known, with the secret `secret`, and get tokens for themselves, signed with RS256 and ES256. It
// prints {"issuer": URL} when it listens, and ends when its standard input does.

import http from "node:http";
import { exportJWK, generateKeyPair } from "jose";
import { Provider } from "oidc-provider";

const scopes = ["nessus:read", "nessus:scan"];

const server = http.createServer();
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
const issuer = `http://127.0.0.1:${server.address().port}`;

async function key(alg) {
  const { privateKey } = await generateKeyPair(alg, { extractable: true });
  return { ...(await exportJWK(privateKey)), alg, use: "sig", kid: `key-${alg}` };
}

const machine = { client_secret: "secret", grant_types: ["client_credentials"], redirect_uris: [], response_types: [] };
const provider = new Provider(issuer, {
  jwks: { keys: [await key("RS256"), await key("ES256")] },
  clients: ["ci", "ci-ec"].map((client_id) => ({ client_id, ...machine })),
  scopes: ["openid", "offline_access", ...scopes],
  cookies: { keys: ["for a test"] },
  findAccount: (_context, accountId) => ({ accountId, claims: () => ({ sub: accountId }) }),
  interactions: { url: (_context, interaction) => `/interaction/${interaction.uid}` },
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: false },
    registration: { enabled: true },
    resourceIndicators: {
      enabled: true,
      useGrantedResource: () => true,
      getResourceServerInfo: (_context, audience, client) => ({
        audience,
        scope: scopes.join(" "),
        accessTokenFormat: "jwt",
        jwt: { sign: { alg: client.clientId === "ci-ec" ? "ES256" : "RS256" } },
      }),
    },
  },
});

// Clients register with the scopes that they begin with, and ask for more later.
provider.use(async (context, next) => {
  if (context.path === "/reg" && context.method === "POST") {
    const parts = [];
    for await (const part of context.req) parts.push(part);
    const { scope, ...metadata } = JSON.parse(Buffer.concat(parts).toString());
    context.req.body = metadata;
  }
  return next();
});

// What a person would do in a browser.
provider.use(async (context, next) => {
  if (!context.path.startsWith("/interaction/")) return next();
  const { prompt, params, session } = await provider.interactionDetails(context.req, context.res);
  context.respond = false;
  if (prompt.name === "login") {
    return provider.interactionFinished(context.req, context.res, { login: { accountId: "alice" } });
  }
  const grant = new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
  grant.addOIDCScope(["openid", "offline_access", ...scopes].join(" "));
  grant.addResourceScope(params.resource, scopes.join(" "));
  return provider.interactionFinished(context.req, context.res, { consent: { grantId: await grant.save() } });
});

server.on("request", provider.callback());
console.log(JSON.stringify({ issuer }));
process.stdin.on("end", () => process.exit(0)).resume();
