import type { Clock } from "../lib/clock.ts";
import { ByteBudget } from "./byte_budget.ts";
import type { Route, RouteDirectory, RouterOptions } from "./contract.ts";
import type { Deliveries } from "./deliveries.ts";
import { type Answer, type Call, CALL_OVERHEAD_BYTES, type Carrier } from "./delivery.ts";
import { Flow } from "./flow.ts";
import type { Outcome } from "./outcome.ts";
import type { Owner } from "./owner.ts";
import type { CarriedCalls, Peer } from "./peer.ts";

/** This node as a carrier: what it carries is in the connection's outbox. */
class Here implements Carrier {
  readonly budget: ByteBudget;
  readonly #owner: Owner;

  constructor(owner: Owner, waitingBytesMax: number) {
    this.#owner = owner;
    this.budget = new ByteBudget(waitingBytesMax);
  }

  forget(): void {}

  whenWritable(handle: number, listener: () => void): void {
    this.#owner.outbox(handle)?.whenWritable(listener);
  }
}

export interface FlowsContext {
  readonly directory: RouteDirectory;
  readonly owner: Owner;
  readonly clock: Pick<Clock, "now">;
  readonly options: RouterOptions;
  readonly deliveries: Deliveries;
  /** By nodeId. */
  readonly peers: ReadonlyMap<string, Peer>;
}

/**
 * Brings each call to whoever has its connection, in the order of the calls, and again when it certainly did
 * not arrive.
 */
export class Flows implements CarriedCalls {
  readonly #directory: RouteDirectory;
  readonly #owner: Owner;
  readonly #clock: Pick<Clock, "now">;
  readonly #deliveries: Deliveries;
  readonly #peers: ReadonlyMap<string, Peer>;
  readonly #here: Here;
  /** What waits without a known owner. */
  readonly #nowhere: ByteBudget;
  readonly #flows = new Map<string, Flow>();
  #order = 0;
  #stopped = false;

  constructor({ directory, owner, clock, options, deliveries, peers }: FlowsContext) {
    this.#directory = directory;
    this.#owner = owner;
    this.#clock = clock;
    this.#deliveries = deliveries;
    this.#peers = peers;
    this.#here = new Here(owner, options.waitingBytesMax);
    this.#nowhere = new ByteBudget(options.waitingBytesMax);
    directory.onRouteChange((connectionId) => this.#routeChanged(connectionId));
  }

  get size(): number {
    return this.#flows.size;
  }

  /** Charged for what waits for no peer in particular. */
  get waitingBytes(): number {
    return this.#here.budget.used + this.#nowhere.used;
  }

  /** From now on nothing is handed over any more. */
  stop(): void {
    this.#stopped = true;
  }

  // --- From the call to its carrier ---

  /**
   * Sends a new call to this node's own outbox, or queues it, or returns the peer that it must be handed to.
   */
  place(call: Call): Peer | undefined {
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
    const budget = flow.carrier === undefined ? this.#nowhere : flow.carrier.budget;
    if (!call.charge(budget, call.delivery.bytes + CALL_OVERHEAD_BYTES)) {
      this.settle(call, "backpressure");
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
      const same = carrier !== undefined && carrier === flow.carrier && route?.handle === flow.handle;
      return same ? route : undefined;
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
    this.#owner.accept(route.handle, call.delivery, true, undefined, (answer) => this.answered(call, answer));
    return undefined;
  }

  /** The short way of a call with nothing before it: no flow unless the socket takes its time. */
  #sendHere(call: Call, route: Route): undefined {
    call.carrier = this.#here;
    call.handle = route.handle;
    let early: Answer | undefined;
    let returned = false;
    this.#owner.accept(route.handle, call.delivery, true, undefined, (answer) => {
      if (returned) this.answered(call, answer);
      else early = answer;
    });
    returned = true;
    if (early !== undefined && early !== "held" && early !== "not-found") {
      return void this.settle(call, early);
    }
    const flow = this.#open(call.connectionId);
    flow.open++;
    flow.inFlight++;
    flow.carrier = this.#here;
    flow.handle = route.handle;
    call.state = "carried";
    if (early !== undefined) this.answered(call, early);
  }

  /** Hands over what waits, as far as it may go. */
  #advance(flow: Flow): void {
    if (flow.advancing || this.#stopped) return;
    flow.advancing = true;
    do {
      if (flow.inFlight === 0) flow.restart();
      if (!flow.stalled) this.#drain(flow);
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

  answered(call: Call, answer: Answer): void {
    if (call.outcome !== undefined) return;
    if (answer === "held" || answer === "not-found") this.#retry(call, answer);
    else this.settle(call, answer);
  }

  unsent(call: Call): void {
    this.#retry(call, "node-lost");
  }

  refused(call: Call): void {
    this.settle(call, "backpressure");
  }

  /** When its time is over: unknown if it was handed over, else what is known for certain. */
  expire(call: Call): void {
    const sent = call.state === "carried" && (call.number >= 0 || call.carrier === this.#here);
    this.giveUp(call, sent ? "timeout" : call.unsent);
  }

  /** An outcome, unless it has one, for a call that may be anywhere. */
  giveUp(call: Call, outcome: Outcome): void {
    if (call.outcome !== undefined) return;
    if (call.state === "carried") call.carrier?.forget(call);
    this.settle(call, outcome);
  }

  /** An outcome for a call that no carrier has any more. */
  settle(call: Call, outcome: Outcome): void {
    this.#deliveries.settle(call, outcome);
    const flow = call.state === "new" ? undefined : this.#flows.get(call.connectionId);
    if (flow === undefined) return;
    flow.open--;
    if (call.state === "carried") flow.inFlight--;
    else flow.remove(call);
    if (flow.open === 0) this.#closeIfIdle(flow);
    else if (flow.inFlight === 0) this.#advance(flow);
  }

  /** The call certainly did not arrive: it goes back into its flow. */
  #retry(call: Call, why: "held" | "not-found" | "node-lost"): void {
    const flow = this.#flows.get(call.connectionId);
    const { carrier } = call;
    if (flow === undefined || carrier === undefined || call.outcome !== undefined) return;
    call.unsent = why === "held" ? "backpressure" : why;
    if (!call.charge(carrier.budget, call.delivery.bytes + CALL_OVERHEAD_BYTES)) {
      return this.settle(call, call.unsent);
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

  // --- What a flow waits for ---

  /**
   * The first call held since the flow started blocks it until the owner says `writable`, once for all of
   * them.
   */
  #hold(flow: Flow, carrier: Carrier, handle: number): void {
    if (flow.held) return;
    flow.held = true;
    flow.blocked = "writable";
    carrier.whenWritable(handle, () => {
      if (flow.blocked === "writable" && flow.carrier === carrier && flow.handle === handle) {
        this.#unblock(flow);
      }
    });
  }

  /** Asks the peers for the connection of a flow that has nothing in flight. */
  #ask(flow: Flow): void {
    flow.blocked = "lookup";
    const heard = (route: Route | undefined): void => {
      if (flow.blocked !== "lookup" || this.#flows.get(flow.connectionId) !== flow) return;
      if (route !== undefined) return this.#unblock(flow);
      // The flow stays blocked while its calls end: none of them must ask again.
      for (const call of flow.waiting()) this.giveUp(call, "not-found");
    };
    this.#directory.resolve(flow.connectionId).then(heard, () => heard(undefined));
  }

  #routeChanged(connectionId: string): void {
    const flow = this.#flows.get(connectionId);
    if (flow?.blocked !== undefined) this.#unblock(flow);
  }

  #unblock(flow: Flow): void {
    flow.blocked = undefined;
    if (this.#flows.get(flow.connectionId) === flow) this.#advance(flow);
  }

  #open(connectionId: string): Flow {
    const flow = new Flow(connectionId);
    this.#flows.set(connectionId, flow);
    return flow;
  }

  #closeIfIdle(flow: Flow): void {
    if (flow.open === 0 && this.#flows.get(flow.connectionId) === flow) this.#flows.delete(flow.connectionId);
  }
}
