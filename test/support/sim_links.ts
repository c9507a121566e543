/** Nodes of one process in virtual time, joined by links over the memory transport. */
import type { Bytes } from "../../src/lib/bytes.ts";
import type { FlotillaError } from "../../src/lib/errors.ts";
import { type Logger, silentLogger } from "../../src/lib/logger.ts";
import { seededRandom } from "../../src/lib/random.ts";
import type { DownReason, Lane, Session } from "../../src/link/contract.ts";
import { ClusterLinks } from "../../src/link/links.ts";
import type { LinkOptions } from "../../src/link/options.ts";
import type { ClusterTransport } from "../../src/transport.ts";
import { SimBase } from "./sim_base.ts";
import type { SimView } from "./sim_clock.ts";

export const TEST_PORT = 7;

/** What a node's test service heard, in order. */
export type Heard =
  | { readonly kind: "up" | "suspect" | "unsuspect"; readonly from: string }
  | { readonly kind: "down"; readonly from: string; readonly reason: DownReason }
  | {
    readonly kind: "frame";
    readonly from: string;
    readonly lane: Lane;
    readonly payload: Bytes;
    readonly at: number;
  }
  | { readonly kind: "datagram"; readonly from: string; readonly payload: Bytes }
  | { readonly kind: "writable"; readonly from: string; readonly lane: Lane };

export class SimNode {
  readonly links: ClusterLinks;
  readonly #transport: ClusterTransport;
  readonly clock: SimView;
  readonly heard: Heard[] = [];
  fatal: FlotillaError | undefined;
  /** Called instead of recording where set. */
  onFrame: ((session: Session, lane: Lane, payload: Bytes) => void) | undefined;
  onDown: ((session: Session, reason: DownReason) => void) | undefined;
  onUp: ((session: Session) => void) | undefined;
  onWritable: ((session: Session, lane: Lane) => void) | undefined;

  constructor(sim: SimLinks, nodeId: string, options: Partial<LinkOptions>, logger: Logger) {
    this.clock = sim.clock.view();
    const transport = sim.hub.transport(nodeId, this.clock);
    this.#transport = transport;
    const random = seededRandom(sim.nextSeed());
    this.links = new ClusterLinks(transport, { clusterName: "test", secret: "secret", ...options }, {
      nodeId,
      clock: this.clock,
      random,
      logger,
    });
    this.links.onFatal = (error) => void (this.fatal = error);
    this.links.register(TEST_PORT, {
      up: (session) => {
        this.heard.push({ kind: "up", from: session.nodeId });
        this.onUp?.(session);
      },
      down: (session, reason) => {
        this.heard.push({ kind: "down", from: session.nodeId, reason });
        this.onDown?.(session, reason);
      },
      suspect: (session, suspected) =>
        void this.heard.push({ kind: suspected ? "suspect" : "unsuspect", from: session.nodeId }),
      frame: (session, lane, payload) => {
        if (this.onFrame !== undefined) this.onFrame(session, lane, payload);
        else this.heard.push({ kind: "frame", from: session.nodeId, lane, payload, at: sim.clock.now() });
      },
      datagram: (session, payload) =>
        void this.heard.push({ kind: "datagram", from: session.nodeId, payload }),
      writable: (session, lane) => {
        this.heard.push({ kind: "writable", from: session.nodeId, lane });
        this.onWritable?.(session, lane);
      },
    });
  }

  /** Ends as a killed process does: says nothing, hears nothing, and its timers never fire again. */
  async kill(): Promise<void> {
    this.clock.pause();
    await this.#transport.stop();
  }

  count(kind: Heard["kind"], from?: string): number {
    return this.heard.filter((event) => event.kind === kind && (from === undefined || event.from === from))
      .length;
  }

  frames(): Bytes[] {
    return this.heard.filter((event) => event.kind === "frame").map(({ payload }) => payload);
  }
}

export class SimLinks extends SimBase {
  readonly #nodes: SimNode[] = [];
  node(nodeId: string, options: Partial<LinkOptions> = {}, logger: Logger = silentLogger): SimNode {
    const node = new SimNode(this, nodeId, options, logger);
    this.#nodes.push(node);
    return node;
  }

  async start(...nodes: SimNode[]): Promise<void> {
    for (const node of nodes) {
      const started = node.links.start();
      await this.clock.advance(0);
      await started;
    }
  }

  /** Runs until every two of `nodes` have a session that both call live. */
  async meet(...nodes: SimNode[]): Promise<void> {
    await this.start(...nodes);
    await this.clock.runUntil(() => met(nodes), 20_000);
  }

  async stop(): Promise<void> {
    for (const node of this.#nodes) {
      const stopped = node.links.stop();
      await this.clock.advance(0);
      await stopped;
    }
  }
}

export function met(nodes: readonly SimNode[]): boolean {
  return nodes.every((one) =>
    nodes.every((other) => one === other || one.links.session(other.links.nodeId)?.space !== undefined)
  );
}

/** 4 bytes big-endian and filler. */
export function numbered(number: number, bytes = 8): Bytes {
  const out = new Uint8Array(bytes);
  new DataView(out.buffer).setUint32(0, number);
  return out;
}

export function numberOf(payload: Bytes): number {
  return new DataView(payload.buffer, payload.byteOffset).getUint32(0);
}
