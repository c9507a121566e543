import { equalBytes, utf8 } from "../lib/bytes.ts";
import type { Cluster } from "../cluster/contract.ts";
import { hostnameOf, isLoopback } from "./address.ts";
import { errorResponse } from "./exchange.ts";
import { requestContext, type RouteContext } from "./upgrade.ts";

/** Answers a request that may not use the API; undefined lets it pass. */
export type ApiGuard = (c: RouteContext) => Promise<Response | undefined>;

/**
 * With a token: whoever presents it (`Authorization: Bearer`, RFC 6750). Without: only this machine, and no
 * web page: neither by an `Origin` nor under a name that resolves to 127.0.0.1 for the occasion (DNS
 * rebinding).
 */
export function apiGuard(cluster: Pick<Cluster, "countRejection">, token: string | undefined): ApiGuard {
  return token === undefined ? localOnly(cluster) : withToken(cluster, token);
}

function withToken(cluster: Pick<Cluster, "countRejection">, token: string): ApiGuard {
  const expected = digest(token);
  return async (c) => {
    const presented = /^bearer +(\S+) *$/i.exec(c.req.header("authorization") ?? "")?.[1];
    // Digests have one length, so that comparing takes the same time whatever was presented.
    if (presented !== undefined && equalBytes(await digest(presented), await expected)) return undefined;
    cluster.countRejection("unauthorized");
    return errorResponse(401, "unauthorized", "the API needs its bearer token", {
      "www-authenticate": "Bearer",
    });
  };
}

function localOnly(cluster: Pick<Cluster, "countRejection">): ApiGuard {
  return async (c) => {
    await Promise.resolve();
    if (requestContext(c)?.remote.loopback !== true) {
      cluster.countRejection("unauthorized");
      return errorResponse(403, "unauthorized", "without a token the API answers this machine only");
    }
    const hostname = hostnameOf(c.req.header("host") ?? null);
    if (c.req.header("origin") === undefined && isLoopback(hostname ?? "")) return undefined;
    cluster.countRejection("origin");
    const message = "without a token the API answers requests to a loopback name that come from no web page";
    return errorResponse(403, "unauthorized", message);
  };
}

async function digest(text: string): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", utf8(text)));
}
