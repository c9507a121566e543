/**
 * One process of the bench: `process.ts ROLE CONTENDER ORDER`, where ROLE is owner, sender or clients and ORDER is
 * JSON. Started by `main.ts`.
 */
import process from "node:process";
import { calibratedClock } from "../support/wall_clock.ts";
import { percentile } from "../support/numbers.ts";
import { cpuMs, serveCommands } from "../support/worker.ts";
import { contenderNamed } from "./contenders.ts";
import {
  connectionIdsOf,
  type Contender,
  type PacedRun,
  type Reception,
  type Sender,
  type Setup,
  type ThroughputRun,
} from "./contract.ts";

/** What a process needs to know when it starts. */
export interface Order extends Setup {
  /** Of the owner: where the sender or the clients connect; empty for the owner itself. */
  readonly url: string;
  readonly connections: number;
  readonly payloadBytes: number;
}

export interface ThroughputOrder {
  /** Calls outstanding at a time. */
  readonly window: number;
  readonly ms: number;
}

export interface PacedOrder {
  /** From one call to the next. */
  readonly intervalMs: number;
  readonly messages: number;
}

/** How long the last messages may be on their way after their answers. */
const ARRIVAL_MS_MAX = 10_000;

const [role = "", name = "", order = "{}"] = process.argv.slice(2);
const contender = await contenderNamed(name);
const settings = JSON.parse(order) as Order;
const connectionIds = connectionIdsOf(settings.connections);

switch (role) {
  case "owner":
    await beOwner(contender);
    break;
  case "sender":
    await beSender(contender);
    break;
  case "clients":
    await beClients(contender);
    break;
  default:
    throw new Error(`there is no role ${role}`);
}

async function beOwner(contender: Contender): Promise<void> {
  const { peerUrl, clientUrl, stop } = await contender.own(settings);
  await serveCommands({ peerUrl, clientUrl }, { cpuMs }, stop);
}

async function beSender(contender: Contender): Promise<void> {
  const sender = await contender.sendTo(settings.url, connectionIds, settings);
  const now = calibratedClock();
  const { payloadBytes } = settings;
  const stamp = new Float64Array(1);
  const stampBytes = new Uint8Array(stamp.buffer);
  // Without a look at the payload's `buffer`: Bun makes that of a small array only when asked, at some cost.
  const stamped = (): Uint8Array<ArrayBuffer> => {
    const payload = new Uint8Array(payloadBytes);
    stamp[0] = now();
    payload.set(stampBytes);
    return payload;
  };
  await serveCommands({}, {
    throughput: (order: ThroughputOrder) => atFullThroughput(sender, stamped, order),
    paced: (order: PacedOrder) => atSteadyPace(sender, stamped, order),
    sent: () => sender.sent?.() ?? null,
    async stream(bytes: number) {
      const began = performance.now();
      await sender.stream?.(connectionIds[0] ?? "", bytes);
      return sender.stream === undefined ? null : performance.now() - began;
    },
  }, () => sender.stop());
}

async function atFullThroughput(
  sender: Sender,
  payload: () => Uint8Array<ArrayBuffer>,
  { window, ms }: ThroughputOrder,
): Promise<ThroughputRun> {
  const began = performance.now();
  const cpuBefore = cpuMs();
  const end = began + ms;
  let messages = 0;
  const line = async (): Promise<void> => {
    while (performance.now() < end) {
      await sender.send(connectionIds[messages % connectionIds.length] ?? "", payload());
      messages++;
    }
  };
  await Promise.all(Array.from({ length: window }, line));
  return { messages, ms: performance.now() - began, cpuMs: cpuMs() - cpuBefore };
}

async function atSteadyPace(
  sender: Sender,
  payload: () => Uint8Array<ArrayBuffer>,
  { intervalMs, messages }: PacedOrder,
): Promise<PacedRun> {
  const answerMs: number[] = [];
  const send = async (connectionId: string): Promise<void> => {
    const called = performance.now();
    await sender.send(connectionId, payload());
    answerMs.push(performance.now() - called);
  };
  const sent: Promise<void>[] = [];
  for (let count = 0; count < messages; count++) {
    sent.push(send(connectionIds[count % connectionIds.length] ?? ""));
    await new Promise((resolve) => setTimeout(resolve, intervalMs));
  }
  await Promise.all(sent);
  return { messages, answerMsP50: percentile(answerMs, 0.5), answerMsP99: percentile(answerMs, 0.99) };
}

async function beClients(contender: Contender): Promise<void> {
  const now = calibratedClock();
  let arrivalMs: number[] = [];
  const stamp = new Float64Array(1);
  const stampBytes = new Uint8Array(stamp.buffer);
  const received = (payload: Uint8Array): void => {
    stampBytes.set(payload.subarray(0, stampBytes.byteLength));
    arrivalMs.push(now() - (stamp[0] ?? NaN));
  };
  const clients = await Promise.all(connectionIds.map((id) => contender.connect(settings.url, id, received)));
  /** What came since the last call, once it is as many as expected, or no more comes. */
  const take = async (expected: number): Promise<Reception> => {
    const deadline = performance.now() + ARRIVAL_MS_MAX;
    while (arrivalMs.length < expected && performance.now() < deadline) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    const taken = arrivalMs;
    arrivalMs = [];
    return {
      messages: taken.length,
      arrivalMsP50: percentile(taken, 0.5),
      arrivalMsP99: percentile(taken, 0.99),
    };
  };
  await serveCommands({}, { take, cpuMs }, async () => {
    for (const client of clients) client.close();
  });
}
