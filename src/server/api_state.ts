import { FlotillaError, shown } from "../lib/errors.ts";
import type { Cluster } from "../cluster/contract.ts";
import type { CompareResult } from "../raft/contract.ts";
import { readBody } from "./body.ts";
import { errorResponse } from "./exchange.ts";
import type { Serving } from "./serving.ts";
import type { RouteContext } from "./upgrade.ts";

/** A longer body cannot be stored. */
const BODY_BYTES_MAX = 1_048_576;

export type StateCluster = Pick<Cluster, "state"> & { readonly serving: Serving };

/**
 * `GET /api/state/:key`: the stored body, and its revision as `ETag`. Linearizable; with `?stale=true` what this
 * node has applied, which may be old but needs no leader. `If-None-Match` answers 304 (RFC 9110, 13.1.2).
 */
export async function getState(c: RouteContext, cluster: StateCluster): Promise<Response> {
  const key = keyOf(c);
  const stale = c.req.query("stale");
  if (stale !== undefined && stale !== "true" && stale !== "false") {
    throw new FlotillaError("malformed", `stale must be true or false, not ${shown(stale)}`);
  }
  const found = await cluster.state.get(key, { stale: stale === "true" });
  if (found === undefined) return absent(key);
  const etag = etagOf(found.revision);
  const known = c.req.header("if-none-match");
  if (
    known !== undefined &&
    (known.trim() === "*" || revisionsIn("If-None-Match", known).includes(found.revision))
  ) {
    return new Response(null, { status: 304, headers: { etag } });
  }
  return new Response(found.value, { headers: { etag, "content-type": "application/octet-stream" } });
}

/** `PUT /api/state/:key`: stores the body. `If-Match: "revision"` or `If-None-Match: *` make it a compare-and-set. */
export async function putState(c: RouteContext, cluster: StateCluster): Promise<Response> {
  const key = keyOf(c);
  const expected = expectedRevision(c);
  const body = await readBody(c.req.raw, BODY_BYTES_MAX, cluster.serving.clock);
  if (body instanceof Response) return body;
  if (expected === undefined) return written(await cluster.state.set(key, body));
  return compared(key, await cluster.state.compareAndSet(key, expected, body));
}

/** `DELETE /api/state/:key`: 404 when it is absent. `If-Match: "revision"` makes it a compare-and-set. */
export async function deleteState(c: RouteContext, cluster: StateCluster): Promise<Response> {
  const key = keyOf(c);
  const expected = expectedRevision(c);
  if (expected === 0) throw new FlotillaError("malformed", "DELETE takes If-Match, not If-None-Match");
  if (expected === undefined) {
    const revision = await cluster.state.delete(key);
    return revision === undefined ? absent(key) : Response.json({ revision });
  }
  return compared(key, await cluster.state.compareAndSet(key, expected, null));
}

function keyOf(c: RouteContext): string {
  const key = c.req.param("key") ?? "";
  if (key !== "") return key;
  throw new FlotillaError("malformed", "the key must not be empty");
}

/** The revision that the request's conditions demand; 0: absent; undefined: none. */
function expectedRevision(c: RouteContext): number | undefined {
  const match = c.req.header("if-match"), noneMatch = c.req.header("if-none-match");
  if (match !== undefined && noneMatch !== undefined) {
    throw new FlotillaError("malformed", "If-Match and If-None-Match cannot stand together");
  }
  if (noneMatch !== undefined) {
    if (noneMatch.trim() === "*") return 0;
    throw new FlotillaError("malformed", `If-None-Match must be * here, not ${shown(noneMatch)}`);
  }
  if (match === undefined) return undefined;
  const [revision, second] = revisionsIn("If-Match", match);
  if (revision !== undefined && second === undefined) return revision;
  throw new FlotillaError("malformed", `If-Match must be one revision, not ${shown(match)}`);
}

/** The revisions in a list of entity tags (RFC 9110, 8.8.3), weak ones too. */
function revisionsIn(header: string, text: string): number[] {
  return text.split(",").map((tag) => {
    const digits = /^(?:W\/)?"(\d{1,16})"$/.exec(tag.trim())?.[1];
    const revision = digits === undefined ? NaN : Number(digits);
    if (Number.isSafeInteger(revision)) return revision;
    throw new FlotillaError("malformed", `${header}: ${shown(tag.trim())} is no revision in quotes`);
  });
}

function compared(key: string, { done, revision }: CompareResult): Response {
  if (done) return written(revision);
  const now = revision === 0 ? "it is absent" : `it was last written at revision ${revision}`;
  const headers: Record<string, string> = revision === 0 ? {} : { etag: etagOf(revision) };
  return errorResponse(412, "conflict", `${shown(key)} is not as was expected: ${now}`, headers);
}

function written(revision: number): Response {
  return Response.json({ revision }, { headers: { etag: etagOf(revision) } });
}

function absent(key: string): Response {
  return errorResponse(404, "not-found", `the replicated state has no ${shown(key)}`);
}

function etagOf(revision: number): string {
  return `"${revision}"`;
}
