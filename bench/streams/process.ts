/**
 * One process of the bench: `process.ts ROLE ORDER`, where ROLE is owner, source or clients and ORDER is JSON.
 * Started by `trial.ts`.
 */
import process from "node:process";
import type { Bytes } from "../../src/lib/bytes.ts";
import { percentile } from "../support/numbers.ts";
import { PeakMemory } from "../support/peak_memory.ts";
import { calibratedClock } from "../support/wall_clock.ts";
import { cpuMs, serveCommands } from "../support/worker.ts";
import { type Contender, type Delivery, plainIds, SDK_ID, SMALL_BYTES } from "./contract.ts";

export interface Order {
  readonly contender: Contender;
  /** Of the owner: where the source or the clients connect; empty for the owner itself. */
  readonly url: string;
  /** Plain clients; one of the SDK is beside them. */
  readonly clients: number;
  /** Each client reads no faster; 0 for as fast as it can. */
  readonly bytesPerSecond: number;
}

export interface StreamOrder {
  readonly delivery: Delivery;
  /** Of each client's stream. */
  readonly bytes: number;
  /** Clients that get one, all at once. */
  readonly streams: number;
  /** The streams are ended after so long; 0 for never. */
  readonly stopAfterMs: number;
  /** Meanwhile a small message every so many milliseconds; 0 for none. */
  readonly messageEveryMs: number;
}

/** What the source says of it. */
export interface Streamed {
  /** From the call to its result. */
  readonly ms: number;
  readonly messages: number;
}

/** What the clients say. */
export interface Reception {
  /** From the call of a small message, at the source, to its arrival. */
  readonly arrivalMsP50: number;
  readonly arrivalMsP99: number;
}

/** How long the last bytes may be on their way after the result. */
const ARRIVAL_MS_MAX = 20_000;
const LOOK_MS = 1;

const [role = "", given = "{}"] = process.argv.slice(2);
const order = JSON.parse(given) as Order;
const isRelay = order.contender === "relay";
const memory = new PeakMemory();
const measuring = { cpuMs, begin: () => memory.begin(), grown: () => memory.end() };

switch (role) {
  case "owner":
    await beOwner();
    break;
  case "source":
    await beSource();
    break;
  case "clients":
    await beClients();
    break;
  default:
    throw new Error(`there is no role ${role}`);
}

// Each contender is loaded only where it runs, so that nobody's memory holds the others.

async function beOwner(): Promise<void> {
  const { peerUrl, clientUrl, stop } = isRelay
    ? await (await import("./relay.ts")).ownWithRelay()
    : await (await import("./flotilla.ts")).ownWithFlotilla(order.contender);
  await serveCommands({ peerUrl, clientUrl }, measuring, stop);
}

async function beSource(): Promise<void> {
  const ids = [...plainIds(order.clients), SDK_ID];
  const source = isRelay
    ? await (await import("./relay.ts")).sourceWithRelay(order.url, ids)
    : await (await import("./flotilla.ts")).sourceWithFlotilla(order.contender, order.url, ids);
  const now = calibratedClock();
  const stamped = (): Bytes => {
    const payload = new Uint8Array(SMALL_BYTES);
    new DataView(payload.buffer).setFloat64(0, now());
    return payload;
  };
  const stream = async (wanted: StreamOrder): Promise<Streamed> => {
    const { delivery, bytes, streams, stopAfterMs, messageEveryMs } = wanted;
    const stop = new AbortController();
    const stopping = stopAfterMs === 0 ? undefined : setTimeout(() => stop.abort(), stopAfterMs);
    const to = delivery === "framed" ? [SDK_ID] : plainIds(streams);
    const began = performance.now();
    const sent: Promise<void>[] = [];
    const messaging = messageEveryMs === 0 ? undefined : setInterval(() => {
      sent.push(source.message(to[0] ?? "", stamped()));
    }, messageEveryMs);
    const all = delivery === "framed" ? Array.from({ length: streams }, () => SDK_ID) : to;
    await Promise.all(all.map((id) => source.stream(id, bytes, delivery, stop.signal)));
    const ms = performance.now() - began;
    clearTimeout(stopping);
    clearInterval(messaging);
    await Promise.all(sent);
    return { ms, messages: sent.length };
  };
  await serveCommands({}, { ...measuring, stream }, () => source.stop());
}

async function beClients(): Promise<void> {
  const { StreamClient } = await import("./client.ts");
  const now = calibratedClock();
  let arrivalMs: number[] = [];
  const small = (payload: Bytes): void => {
    arrivalMs.push(now() - new DataView(payload.buffer, payload.byteOffset).getFloat64(0));
  };
  const { url: clientUrl, bytesPerSecond } = order;
  const clients = await Promise.all(
    [...plainIds(order.clients), SDK_ID].map((id) =>
      StreamClient.connect({ clientUrl, id, sdk: id === SDK_ID && !isRelay, bytesPerSecond, small })
    ),
  );
  const bytesOf = (): number => clients.reduce((sum, { bytes }) => sum + bytes, 0);
  let taken = 0;
  /** Once exactly so much more than at the last call has come. */
  const take = async ({ bytes, messages }: { bytes: number; messages: number }): Promise<Reception> => {
    const deadline = performance.now() + ARRIVAL_MS_MAX;
    while ((bytesOf() < taken + bytes || arrivalMs.length < messages) && performance.now() < deadline) {
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
    const came = bytesOf() - taken;
    taken += came;
    if (came !== bytes || arrivalMs.length !== messages) {
      throw new Error(`${came} of ${bytes} bytes and ${arrivalMs.length} of ${messages} messages came`);
    }
    const latencies = arrivalMs;
    arrivalMs = [];
    return { arrivalMsP50: percentile(latencies, 0.5), arrivalMsP99: percentile(latencies, 0.99) };
  };
  await serveCommands({}, { cpuMs, take }, async () => {
    for (const client of clients) client.close();
  });
}
