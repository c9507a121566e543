import type { Clock } from "../lib/clock.ts";
import { Deadlines } from "../lib/deadlines.ts";
import type { Session } from "../link/contract.ts";
import { ByteBudget } from "./byte_budget.ts";
import type { Route, RouteDirectory, RouterOptions } from "./contract.ts";
import { type Answer, type Call, CALL_OVERHEAD_BYTES, type Carrier, type Delivery } from "./delivery.ts";
import { Flow } from "./flow.ts";
import { RUN, type Run } from "./frames.ts";
import { type Outcome, OUTCOMES } from "./outcome.ts";
import type { Owner } from "./owner.ts";
import { type CarriedCalls, Peer } from "./peer.ts";

/** What a router has on its way; all 0 when idle. */
export interface InFlight {
  /** Connections with messages of this node on their way. */
  readonly connections: number;
  /** Messages that peers have to answer. */
  readonly calls: number;
  /** Charged for messages that wait at this caller. */
  readonly waitingBytes: number;
}

/** This node as a carrier: what it carries is in the connection's outbox. */
class Here implements Carrier {
  readonly budget: ByteBudget;

  constructor(waitingBytesMax: number) {
    this.budget = new ByteBudget(waitingBytesMax);
  }

  forget(): void {}
}

/**
 * The caller's side: brings each call to whoever has its connection, keeps the order of the calls to one
 * connection, tries again what certainly did not arrive, and gives every call exactly one outcome.
 */
export class Dispatcher implements CarriedCalls {
  /** Outcomes given so far. */
  readonly routed: Record<Outcome, number>;
  readonly #directory: RouteDirectory;
  readonly #owner: Owner;
  readonly #clock: Clock;
  readonly #options: RouterOptions;
  readonly #here: Here;
  /** What waits without a known owner. */
  readonly #nowhere: ByteBudget;
  readonly #deadlines: Deadlines<Delivery>;
  readonly #flows = new Map<string, Flow>();
  readonly #peers = new Map<string, Peer>();
  #order = 0;
  #stopped = false;

  constructor(directory: RouteDirectory, owner: Owner, clock: Clock, options: RouterOptions) {
    this.#directory = directory;
    this.#owner = owner;
    this.#clock = clock;
    this.#options = options;
    this.#here = new Here(options.waitingBytesMax);
    this.#nowhere = new ByteBudget(options.waitingBytesMax);
    this.#deadlines = new Deadlines(clock, (delivery) => this.#expire(delivery));
    this.routed = Object.fromEntries(OUTCOMES.map((outcome) => [outcome, 0])) as Record<Outcome, number>;
    directory.onRouteChange((connectionId) => this.#routeChanged(connectionId));
  }

  get inFlight(): InFlight {
    let calls = 0;
    let waitingBytes = this.#here.budget.used + this.#nowhere.used;
    for (const peer of this.#peers.values()) {
      calls += peer.size;
      waitingBytes += peer.budget.used;
    }
    return { connections: this.#flows.size, calls, waitingBytes };
  }

  // --- Calls ---

  /**
   * Sets the calls of a delivery on their way; `delivery.finished` is called when the last has its outcome.
   */
  launch(delivery: Delivery): void {
    const only = delivery.calls.length === 1 ? delivery.calls[0] : undefined;
    if (only !== undefined) this.#place(only)?.hand(delivery.calls);
    else this.#launchMany(delivery);
    if (delivery.open > 0) delivery.deadline = this.#deadlines.add(delivery, delivery.expiresAt);
  }

  /** Ends a delivery now: what has no outcome yet gets `timeout`. */
  abort(delivery: Delivery): void {
    for (const call of delivery.calls) this.#giveUp(call, "timeout");
  }

  /** Ends a delivery that was not launched. */
  refuse(delivery: Delivery, outcome: Outcome): void {
    for (const call of delivery.calls) this.#settle(call, outcome);
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
    this.#peers.set(session.nodeId, new Peer(session, this.#clock, this.#options.waitingBytesMax, this));
  }

  /** What was sent is unknown, `node-lost`; what was not goes to wherever the connection is now. */
  down(peer: Peer): void {
    this.#peers.delete(peer.session.nodeId);
    const { sent, unsent } = peer.end();
    for (const call of sent) this.#settle(call, "node-lost");
    for (const call of unsent) this.unsent(call);
    for (const flow of [...peer.held.values()]) this.#unblock(flow);
  }

  /** Applies one run of a peer's answers. */
  answered(peer: Peer, run: Run): void {
    if (run.code === RUN.writable) {
      for (const flow of peer.writableFlows(run)) this.#unblock(flow);
      return;
    }
    const answer: Answer | undefined = run.code === RUN.held ? "held" : OUTCOMES[run.code];
    if (answer !== undefined) { for (const call of peer.answered(run)) this.#answered(call, answer); }
  }

  unsent(call: Call): void {
    this.#retry(call, "node-lost");
  }

  refused(call: Call): void {
    this.#settle(call, "backpressure");
  }

  /** What has no outcome yet gets `node-lost`: nobody will hear of it. */
  stop(): void {
    this.#stopped = true;
    for (const delivery of this.#deadlines.stop()) {
      for (const call of delivery.calls) this.#giveUp(call, "node-lost");
    }
  }

  // --- From the call to its carrier ---

  #launchMany(delivery: Delivery): void {
    const groups = new Map<Peer, Call[]>();
    for (const call of delivery.calls) {
      if (call.outcome !== undefined) continue;
      const peer = this.#place(call);
      if (peer === undefined) continue;
      const group = groups.get(peer);
      if (group === undefined) groups.set(peer, [call]);
      else group.push(call);
    }
    for (const [peer, calls] of groups) peer.hand(calls);
  }

  /** Sends a call to this node's own outbox, or queues it, or returns the peer that it must be handed to. */
  #place(call: Call): Peer | undefined {
    call.order = this.#order++;
    const known = this.#flows.get(call.connectionId);
    const route = known?.waits === true ? undefined : this.#directory.lookup(call.connectionId);
    if (known === undefined && route?.local === true) return this.#sendHere(call, route);
    const flow = known ?? this.#open(call.connectionId);
    const target = flow.waits ? undefined : this.#target(flow, route);
    if (target !== undefined) {
      flow.open++;
      return this.#carry(call, flow, target);
    }
    const budget = (flow.carrier ?? { budget: this.#nowhere }).budget;
    if (!call.charge(budget, call.delivery.bytes + CALL_OVERHEAD_BYTES)) {
      this.#settle(call, "backpressure");
      this.#closeIfIdle(flow);
      return undefined;
    }
    flow.open++;
    call.state = "waiting";
    flow.queue(call);
    return undefined;
  }

  /**
   * Where a call of `flow` can go now; if nowhere, sees to it that the flow is advanced when that changes.
   */
  #target(flow: Flow, route: Route | undefined): Route | undefined {
    const carrier = route === undefined ? undefined : this.#carrierOf(route);
    if (flow.inFlight > 0) {
      return carrier !== undefined && carrier === flow.carrier && route?.handle === flow.handle
        ? route
        : undefined;
    }
    if (route === undefined) {
      this.#ask(flow);
      return undefined;
    }
    if (carrier === undefined || (carrier === flow.refusedBy && route.handle === flow.refusedHandle)) {
      flow.blocked = "route";
      return undefined;
    }
    flow.carrier = carrier;
    flow.handle = route.handle;
    return route;
  }

  #carrierOf(route: Route): Carrier | undefined {
    return route.local ? this.#here : this.#peers.get(route.nodeId);
  }

  /**
   * Marks a call of `flow` as in flight; sends it if it is for this node, else returns the peer to hand it
   * to.
   */
  #carry(call: Call, flow: Flow, route: Route): Peer | undefined {
    call.state = "carried";
    call.carrier = flow.carrier;
    call.handle = route.handle;
    call.number = -1;
    call.starts = flow.inFlight === 0;
    flow.inFlight++;
    if (!route.local) return this.#peers.get(route.nodeId);
    this.#owner.accept(
      route.handle,
      call.delivery,
      true,
      undefined,
      (answer) => this.#answered(call, answer),
    );
    return undefined;
  }

  /** The short way of a call with nothing before it: no flow unless the socket takes its time. */
  #sendHere(call: Call, route: Route): undefined {
    call.carrier = this.#here;
    call.handle = route.handle;
    let early: Answer | undefined;
    let returned = false;
    this.#owner.accept(route.handle, call.delivery, true, undefined, (answer) => {
      if (returned) this.#answered(call, answer);
      else early = answer;
    });
    returned = true;
    if (early !== undefined && early !== "held" && early !== "not-found") {
      return void this.#settle(call, early);
    }
    const flow = this.#open(call.connectionId);
    flow.open++;
    flow.inFlight++;
    flow.carrier = this.#here;
    flow.handle = route.handle;
    call.state = "carried";
    if (early !== undefined) this.#answered(call, early);
  }

  /** Hands over what waits, as far as it may go. */
  #advance(flow: Flow): void {
    if (flow.advancing || this.#stopped) return;
    flow.advancing = true;
    do {
      if (flow.inFlight === 0) flow.restart();
      this.#drain(flow);
      // What was handed over and came back at once starts again, unless that blocked the flow.
    } while (flow.inFlight === 0 && flow.blocked === undefined && flow.waits);
    flow.advancing = false;
    this.#closeIfIdle(flow);
  }

  #drain(flow: Flow): void {
    for (const call of flow.queued) {
      if (flow.stalled) return;
      const route = this.#target(flow, this.#directory.lookup(flow.connectionId));
      if (route === undefined) return;
      flow.remove(call);
      call.discharge();
      call.delivery.remainingMs = Math.max(call.delivery.expiresAt - this.#clock.now(), 0);
      this.#carry(call, flow, route)?.hand([call]);
    }
  }

  // --- From the answer back to the call ---

  #answered(call: Call, answer: Answer): void {
    if (call.outcome !== undefined) return;
    if (answer === "held" || answer === "not-found") this.#retry(call, answer);
    else this.#settle(call, answer);
  }

  /** The call certainly did not arrive: it goes back into its flow. */
  #retry(call: Call, why: "held" | "not-found" | "node-lost"): void {
    const flow = this.#flows.get(call.connectionId);
    const { carrier } = call;
    if (flow === undefined || carrier === undefined || call.outcome !== undefined) return;
    call.unsent = why === "held" ? "backpressure" : why;
    if (!call.charge(carrier.budget, call.delivery.bytes + CALL_OVERHEAD_BYTES)) {
      return this.#settle(call, call.unsent);
    }
    flow.inFlight--;
    call.state = "waiting";
    flow.takeBack(call);
    if (why === "held") this.#hold(flow, carrier, call.handle);
    else {
      flow.refusedBy = carrier;
      flow.refusedHandle = call.handle;
    }
    if (flow.inFlight === 0) this.#advance(flow);
  }

  /**
   * The first call held since the flow started blocks it until the owner says `writable`, once for all of
   * them.
   */
  #hold(flow: Flow, carrier: Carrier, handle: number): void {
    if (flow.held) return;
    flow.held = true;
    flow.blocked = "writable";
    if (carrier instanceof Peer) carrier.held.set(handle, flow);
    else this.#owner.outbox(handle)?.whenWritable(() => this.#writable(carrier, handle, flow));
  }

  #writable(carrier: Carrier, handle: number, flow: Flow): void {
    if (flow.blocked !== "writable" || flow.carrier !== carrier || flow.handle !== handle) return;
    this.#unblock(flow);
  }

  #unblock(flow: Flow): void {
    if (flow.blocked === "writable" && flow.carrier instanceof Peer) flow.carrier.held.delete(flow.handle);
    flow.blocked = undefined;
    if (this.#flows.get(flow.connectionId) === flow) this.#advance(flow);
  }

  #routeChanged(connectionId: string): void {
    const flow = this.#flows.get(connectionId);
    if (flow?.blocked !== undefined) this.#unblock(flow);
  }

  /** Asks the peers for the connection of a flow that has nothing in flight. */
  #ask(flow: Flow): void {
    flow.blocked = "lookup";
    const heard = (route: Route | undefined): void => {
      if (flow.blocked !== "lookup" || this.#flows.get(flow.connectionId) !== flow) return;
      if (route !== undefined) return this.#unblock(flow);
      flow.blocked = undefined;
      for (const call of flow.waiting()) this.#giveUp(call, "not-found");
    };
    this.#directory.resolve(flow.connectionId).then(heard, () => heard(undefined));
  }

  #expire(delivery: Delivery): void {
    for (const call of delivery.calls) {
      const sent = call.state === "carried" && (call.number >= 0 || call.carrier === this.#here);
      this.#giveUp(call, sent ? "timeout" : call.unsent);
    }
  }

  /** An outcome for a call that may be anywhere. */
  #giveUp(call: Call, outcome: Outcome): void {
    if (call.outcome !== undefined) return;
    if (call.state === "carried") call.carrier?.forget(call);
    this.#settle(call, outcome);
  }

  #settle(call: Call, outcome: Outcome): void {
    const { delivery, state } = call;
    call.outcome = outcome;
    call.discharge();
    this.routed[outcome]++;
    if (state !== "new") {
      const flow = this.#flows.get(call.connectionId);
      if (flow !== undefined) this.#leave(flow, call);
    }
    delivery.open--;
    if (delivery.open > 0) return;
    if (delivery.deadline !== undefined) this.#deadlines.cancel(delivery.deadline);
    delivery.finished?.();
  }

  #leave(flow: Flow, call: Call): void {
    flow.open--;
    if (call.state === "carried") flow.inFlight--;
    else flow.remove(call);
    if (flow.open === 0) this.#closeIfIdle(flow);
    else if (flow.inFlight === 0) this.#advance(flow);
  }

  #open(connectionId: string): Flow {
    const flow = new Flow(connectionId);
    this.#flows.set(connectionId, flow);
    return flow;
  }

  #closeIfIdle(flow: Flow): void {
    if (flow.open > 0 || this.#flows.get(flow.connectionId) !== flow) return;
    if (flow.blocked === "writable" && flow.carrier instanceof Peer) flow.carrier.held.delete(flow.handle);
    this.#flows.delete(flow.connectionId);
  }
}
