import { fromBase64 } from "../lib/base64.ts";
import { type Bytes, fromUtf8, utf8 } from "../lib/bytes.ts";
import { FlotillaError, shown } from "../lib/errors.ts";
import { isConnectionId } from "../lib/ids.ts";
import { CONNECTION_ID_BYTES_MAX } from "../lib/limits.ts";
import type { Cluster } from "../cluster/contract.ts";
import { STATUS_OF_OUTCOME } from "./api_errors.ts";
import { readBody } from "./body.ts";
import { errorResponse } from "./exchange.ts";
import type { Serving } from "./serving.ts";
import type { RouteContext } from "./upgrade.ts";

/** Connections one `POST /api/messages` may address. */
export const BATCH_IDS_MAX = 10_000;
/** What a batch's JSON may take besides its message: 10,000 ids of 256 bytes, quoted and with a comma. */
const BATCH_ENVELOPE_BYTES_MAX = 4 * 1024 * 1024;

export type MessagesCluster = Pick<Cluster, "deliver" | "getConnectionNodeId"> & {
  readonly serving: Serving;
};

/** `POST /api/messages/:id`: the body as one message. */
export async function postMessage(c: RouteContext, cluster: MessagesCluster): Promise<Response> {
  const connectionId = requireConnectionId(c.req.param("id"));
  const { messageBytesMax, clock } = cluster.serving;
  const body = await readBody(c.req.raw, messageBytesMax, clock);
  if (body instanceof Response) return body;
  const data = isText(c.req.header("content-type") ?? "") ? textOf(body) : body;
  const outcomes = await cluster.deliver([connectionId], data);
  const outcome = outcomes.get(connectionId) ?? "not-found";
  const nodeId = cluster.getConnectionNodeId(connectionId) ?? null;
  const status = STATUS_OF_OUTCOME[outcome];
  return Response.json({ delivered: status === 200, outcome, nodeId }, { status });
}

/** `POST /api/messages`: one message to many. Always 200: each outcome stands in the answer. */
export async function postMessages(c: RouteContext, cluster: MessagesCluster): Promise<Response> {
  const { messageBytesMax, clock } = cluster.serving;
  // In JSON a byte of text may take six ("\u0001"), but who sends that at full length may send base64
  // instead.
  const body = await readBody(c.req.raw, 2 * messageBytesMax + BATCH_ENVELOPE_BYTES_MAX, clock);
  if (body instanceof Response) return body;
  const { connectionIds, data } = batchOf(parseJson(body));
  const bytes = typeof data === "string" ? utf8(data).byteLength : data.byteLength;
  if (bytes > messageBytesMax) {
    return errorResponse(413, "too-large", `the message has ${bytes} bytes, more than ${messageBytesMax}`);
  }
  const outcomes = await cluster.deliver(connectionIds, data);
  return Response.json({ results: Object.fromEntries(outcomes) });
}

/** @throws FlotillaError `malformed` */
export function requireConnectionId(value: unknown): string {
  if (isConnectionId(value)) return value;
  throw new FlotillaError(
    "malformed",
    `${shown(value)} is no connectionId: 1 to ${CONNECTION_ID_BYTES_MAX} bytes without control characters`,
  );
}

/** @throws FlotillaError `malformed` for anything but one JSON object. */
export function parseJson(body: Bytes): Readonly<Record<string, unknown>> {
  let value: unknown;
  try {
    value = JSON.parse(fromUtf8(body));
  } catch (cause) {
    throw new FlotillaError("malformed", "the body is not JSON", { cause });
  }
  if (typeof value === "object" && value !== null && !Array.isArray(value)) {
    return value as Record<string, unknown>;
  }
  throw new FlotillaError("malformed", `the body must be a JSON object, not ${shown(JSON.stringify(value))}`);
}

function batchOf(body: Readonly<Record<string, unknown>>): { connectionIds: string[]; data: string | Bytes } {
  const { connectionIds, text, base64 } = body;
  if (!Array.isArray(connectionIds)) {
    throw new FlotillaError("malformed", `connectionIds must be a list, not ${shown(connectionIds)}`);
  }
  if (connectionIds.length > BATCH_IDS_MAX) {
    throw new FlotillaError(
      "malformed",
      `connectionIds has ${connectionIds.length} ids, more than ${BATCH_IDS_MAX}`,
    );
  }
  const ids = [...new Set(connectionIds.map(requireConnectionId))];
  if ((text === undefined) === (base64 === undefined)) {
    throw new FlotillaError("malformed", "the message must be given as either text or base64");
  }
  if (typeof text === "string") return { connectionIds: ids, data: text.toWellFormed() };
  if (typeof base64 === "string") return { connectionIds: ids, data: bytesOf(base64) };
  throw new FlotillaError("malformed", `text and base64 must be strings, not ${shown(text ?? base64)}`);
}

function bytesOf(base64: string): Bytes {
  const bytes = fromBase64(base64);
  if (bytes !== undefined) return bytes;
  throw new FlotillaError("malformed", `base64 is not base64: ${shown(base64)}`);
}

/** Whether a body of this type goes out as text: `text/*` and JSON. */
export function isText(contentType: string): boolean {
  return /^\s*(text\/|application\/(json|[^;\s]+\+json)\s*(;|$))/i.test(contentType);
}

function textOf(body: Bytes): string {
  try {
    return fromUtf8(body);
  } catch (cause) {
    throw new FlotillaError("malformed", "a body that is declared as text must be UTF-8", { cause });
  }
}
