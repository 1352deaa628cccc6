// Logs at the edge: each name under /logs/ is a Durable Object with a broker of its own. Copy this folder, then
// `npm install` and `npx wrangler dev`; docs/EDGE.md says the rest. Set the secret TOKEN_HASH (`millrace token create`
// makes one) before you deploy: without it, everyone who knows the address writes and reads.

import { type DurableObjectContext, MillraceObject } from "millrace/edge";
import { authToken } from "millrace/plugins/auth-token";

interface Env {
  readonly LOG: {
    getByName(name: string): { fetch(request: Request): Promise<Response> };
  };
  /** "sha256:…" of the one token that may do everything. */
  readonly TOKEN_HASH?: string;
}

const OWNER = "User:owner";

export class Log extends MillraceObject {
  constructor(ctx: DurableObjectContext, env: Env) {
    const hash = env.TOKEN_HASH;
    const owner = (token: string) =>
      authToken({ tokens: [{ principal: OWNER, hash: token }], superUsers: [OWNER] });
    super(ctx, env, { auth: hash === undefined ? [] : [owner(hash)] });
  }
}

export default {
  /** /logs/NAME/… is the HTTP of docs/PROTOCOL.md, spoken by the object of that name. */
  async fetch(request: Request, env: Env): Promise<Response> {
    const url = new URL(request.url);
    const [, name, path] = /^\/logs\/([\w.-]{1,100})(\/.*)$/.exec(url.pathname) ?? [];
    if (name === undefined || path === undefined) {
      return new Response("POST /logs/NAME/v1/topics/TOPIC/records\n", { status: 404 });
    }
    url.pathname = path;
    return await env.LOG.getByName(name).fetch(new Request(url.href, request as RequestInit));
  },
};
