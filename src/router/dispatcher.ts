import type { Clock } from "../lib/clock.ts";
import type { Session } from "../link/contract.ts";
import { FRAME_TARGETS_MAX, type RouteDirectory, type RouterOptions } from "./contract.ts";
import { Deliveries } from "./deliveries.ts";
import type { Answer, Call, Delivery } from "./delivery.ts";
import { Flows } from "./flows.ts";
import { RUN, type Run } from "./frames.ts";
import { type Outcome, OUTCOMES } from "./outcome.ts";
import type { Owner } from "./owner.ts";
import { Peer } from "./peer.ts";

/** What a router has on its way; all 0 when idle. */
export interface InFlight {
  /** Connections with messages of this node on their way. */
  readonly connections: number;
  /** Messages that peers have to answer. */
  readonly calls: number;
  /** Charged for messages that wait at this caller. */
  readonly waitingBytes: number;
}

/** The caller's side: sets deliveries on their way, one frame for each node, and hears what peers answer. */
export class Dispatcher {
  readonly #clock: Clock;
  readonly #options: RouterOptions;
  readonly #deliveries: Deliveries;
  readonly #flows: Flows;
  /** By nodeId. */
  readonly #peers = new Map<string, Peer>();

  constructor(directory: RouteDirectory, owner: Owner, clock: Clock, options: RouterOptions) {
    this.#clock = clock;
    this.#options = options;
    this.#deliveries = new Deliveries(clock, (delivery) => {
      for (const call of delivery.calls) this.#flows.expire(call);
    });
    const peers = this.#peers;
    this.#flows = new Flows({ directory, owner, clock, options, deliveries: this.#deliveries, peers });
  }

  /** Outcomes given so far. */
  get routed(): Readonly<Record<Outcome, number>> {
    return this.#deliveries.routed;
  }

  get inFlight(): InFlight {
    let calls = 0;
    let { waitingBytes } = this.#flows;
    for (const peer of this.#peers.values()) {
      calls += peer.size;
      waitingBytes += peer.budget.used;
    }
    return { connections: this.#flows.size, calls, waitingBytes };
  }

  /** `delivery.finished` is called when the last call has its outcome. */
  launch(delivery: Delivery): void {
    const only = delivery.calls.length === 1 ? delivery.calls[0] : undefined;
    if (only !== undefined) this.#flows.place(only)?.hand(delivery.calls);
    else this.#launchMany(delivery);
    this.#deliveries.track(delivery);
  }

  /** Ends what is open of a delivery now. */
  end(delivery: Delivery, outcome: Outcome): void {
    for (const call of delivery.calls) this.#flows.giveUp(call, outcome);
  }

  /** What has no outcome yet gets `node-lost`: nobody will hear of it. */
  stop(): void {
    this.#flows.stop();
    for (const delivery of this.#deliveries.stop()) this.end(delivery, "node-lost");
  }

  // --- Sessions ---

  peer(session: Session): Peer | undefined {
    const peer = this.#peers.get(session.nodeId);
    return peer?.session === session ? peer : undefined;
  }

  peerOf(nodeId: string): Peer | undefined {
    return this.#peers.get(nodeId);
  }

  up(session: Session): void {
    this.#peers.set(
      session.nodeId,
      new Peer(session, this.#clock, this.#options.waitingBytesMax, this.#flows),
    );
  }

  /** What was sent is unknown, `node-lost`; what was not goes to wherever the connection is now. */
  down(peer: Peer): void {
    this.#peers.delete(peer.session.nodeId);
    const { sent, unsent } = peer.end();
    for (const call of sent) this.#flows.settle(call, "node-lost");
    for (const call of unsent) this.#flows.unsent(call);
    peer.endHolds();
  }

  /** Applies one run of a peer's answers. */
  answered(peer: Peer, run: Run): void {
    if (run.code === RUN.writable) return peer.endHolds(run);
    const answer: Answer | undefined = run.code === RUN.held ? "held" : OUTCOMES[run.code];
    if (answer === undefined) return;
    for (const call of peer.answered(run)) this.#flows.answered(call, answer);
  }

  #launchMany(delivery: Delivery): void {
    const groups = new Map<Peer, Call[]>();
    for (const call of delivery.calls) {
      const peer = this.#flows.place(call);
      if (peer === undefined) continue;
      const group = groups.get(peer);
      if (group === undefined) groups.set(peer, [call]);
      else group.push(call);
    }
    for (const [peer, calls] of groups) {
      for (let start = 0; start < calls.length; start += FRAME_TARGETS_MAX) {
        peer.hand(calls.slice(start, start + FRAME_TARGETS_MAX));
      }
    }
  }
}
