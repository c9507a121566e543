import { utf8 } from "../lib/bytes.ts";
import { CLOSE } from "../lib/close_codes.ts";
import { sendableCode } from "../lib/close_frame.ts";
import { FlotillaError, shown } from "../lib/errors.ts";
import { CLOSE_REASON_BYTES_MAX } from "../lib/limits.ts";
import type { Cluster } from "../cluster/contract.ts";
import { requireConnectionId } from "./api_messages.ts";
import { errorResponse } from "./exchange.ts";
import type { RouteContext } from "./upgrade.ts";

const PAGE_CONNECTIONS_DEFAULT = 100;
const PAGE_CONNECTIONS_MAX = 1_000;

export type ConnectionsCluster = Pick<Cluster, "getConnection" | "listConnections" | "closeConnection">;

/** `GET /api/connections/:id`, as its owner answers. */
export async function getConnection(c: RouteContext, cluster: ConnectionsCluster): Promise<Response> {
  const connectionId = requireConnectionId(c.req.param("id"));
  const found = await cluster.getConnection(connectionId);
  if (found === undefined) return notFound(connectionId);
  const { nodeId, endpoint, remoteAddress, connectedAt } = found;
  return Response.json({ connectionId, nodeId, endpoint, remoteAddress, connectedAt });
}

/** `GET /api/connections?limit=&after=`: `next` is the `after` of the next page, null on the last one. */
export function listConnections(c: RouteContext, cluster: ConnectionsCluster): Response {
  const limit = wholeNumber("limit", c.req.query("limit"), PAGE_CONNECTIONS_DEFAULT, 1, PAGE_CONNECTIONS_MAX);
  const after = c.req.query("after");
  const connections = cluster.listConnections(
    after === undefined || after === "" ? { limit } : { limit, after },
  );
  const next = connections.length < limit ? null : connections.at(-1)?.connectionId ?? null;
  return Response.json({ connections, next });
}

/** `DELETE /api/connections/:id?code=&reason=`: closes it wherever it is. */
export async function deleteConnection(c: RouteContext, cluster: ConnectionsCluster): Promise<Response> {
  const connectionId = requireConnectionId(c.req.param("id"));
  const code = wholeNumber("code", c.req.query("code"), CLOSE.normal, 1000, 4999);
  if (sendableCode(code) !== code) {
    throw new FlotillaError("malformed", `code ${code} may not be sent (RFC 6455, 7.4)`);
  }
  const reason = c.req.query("reason") ?? "";
  if (utf8(reason).byteLength > CLOSE_REASON_BYTES_MAX) {
    throw new FlotillaError(
      "malformed",
      `reason ${shown(reason)} is longer than ${CLOSE_REASON_BYTES_MAX} bytes`,
    );
  }
  const closed = await cluster.closeConnection(connectionId, code, reason);
  return closed ? Response.json({ closed: true }) : notFound(connectionId);
}

function notFound(connectionId: string): Response {
  return errorResponse(404, "not-found", `no node has the connection ${shown(connectionId)}`);
}

function wholeNumber(
  name: string,
  text: string | undefined,
  byDefault: number,
  min: number,
  max: number,
): number {
  if (text === undefined) return byDefault;
  const value = /^\d{1,9}$/.test(text) ? Number(text) : NaN;
  if (value >= min && value <= max) return value;
  throw new FlotillaError(
    "malformed",
    `${name} must be a whole number from ${min} to ${max}, not ${shown(text)}`,
  );
}
