import { FlotillaError, shown } from "../lib/errors.ts";
import type { Cluster } from "../cluster/contract.ts";
import type { StreamDelivery, StreamOptions, StreamResult } from "../stream/contract.ts";
import { STATUS_OF_OUTCOME } from "./api_errors.ts";
import { BATCH_IDS_MAX, isText, requireConnectionId } from "./api_messages.ts";
import type { RouteContext } from "./upgrade.ts";

/** Options that a query may set to a whole number. */
const NUMBERS = ["chunkSize", "totalBytes", "timeoutMs", "idleTimeoutMs", "stallTimeoutMs"] as const;

export type StreamsCluster = Pick<Cluster, "deliverStream" | "deliverStreams">;

/** `PUT /api/streams/:id`: the body, of any length, as a stream at the pace of the client. */
export async function putStream(c: RouteContext, cluster: StreamsCluster): Promise<Response> {
  const connectionId = requireConnectionId(c.req.param("id"));
  const result = await cluster.deliverStream(connectionId, bodyOf(c), optionsOf(c));
  return Response.json(shownResult(result), { status: STATUS_OF_OUTCOME[result.outcome] });
}

/** `PUT /api/streams?ids=a,b`, or `?ids=a&ids=b`, where ids may hold commas: the same to many. Always 200: each outcome stands in the answer. */
export async function putStreams(c: RouteContext, cluster: StreamsCluster): Promise<Response> {
  const ids = idsOf(c).map(requireConnectionId);
  if (ids.length > BATCH_IDS_MAX) {
    throw new FlotillaError("malformed", `ids has ${ids.length} ids, more than ${BATCH_IDS_MAX}`);
  }
  const results = await cluster.deliverStreams(ids, bodyOf(c), optionsOf(c));
  const shown = [...results].map(([connectionId, result]) => [connectionId, shownResult(result)]);
  return Response.json({ results: Object.fromEntries(shown) });
}

/** @throws FlotillaError `malformed` */
function idsOf(c: RouteContext): string[] {
  const given = c.req.queries("ids") ?? [];
  if (given.length > 1) return given;
  const [list = ""] = given;
  if (list === "") {
    throw new FlotillaError("malformed", "ids must name connections: ?ids=a,b or ?ids=a&ids=b");
  }
  return list.split(",");
}

function shownResult({ outcome, bytes, chunks, ms, reason }: StreamResult): Record<string, unknown> {
  const delivered = STATUS_OF_OUTCOME[outcome] === 200;
  return { delivered, outcome, bytes, chunks, ms: Math.round(ms), reason };
}

function bodyOf(c: RouteContext): ReadableStream<Uint8Array> {
  return c.req.raw.body ?? new ReadableStream({ start: (controller) => controller.close() });
}

/** @throws FlotillaError `malformed` */
function optionsOf(c: RouteContext): StreamOptions {
  const delivery = c.req.query("delivery") as StreamDelivery | undefined;
  const messageType = isText(c.req.header("content-type") ?? "") ? "text" : "binary";
  const numbers: { -readonly [Name in typeof NUMBERS[number]]?: number } = {};
  // What a proxy may have changed (`content-encoding`) does not come here: no such body is decoded.
  const length = c.req.header("content-length");
  if (length !== undefined) numbers.totalBytes = wholeNumber("content-length", length);
  for (const name of NUMBERS) {
    const value = c.req.query(name);
    if (value !== undefined) numbers[name] = wholeNumber(name, value);
  }
  return { ...numbers, delivery, messageType, metadata: metadataOf(c.req.query("metadata")) };
}

function wholeNumber(name: string, value: string): number {
  if (/^\d{1,15}$/.test(value)) return Number(value);
  throw new FlotillaError("malformed", `${name} must be a whole number, not ${shown(value)}`);
}

function metadataOf(text: string | undefined): unknown {
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new FlotillaError("malformed", `metadata must be JSON, not ${shown(text)}`, { cause });
  }
}
