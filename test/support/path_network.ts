/** A transport with ways of their own, as sockets are: lossless, one or several between two nodes, who is at the other end only claimed. */
import type { Bytes } from "../../src/lib/bytes.ts";
import type { ClusterTransport, Path, TransportFeature, TransportSink } from "../../src/transport.ts";
import type { SimClock } from "./sim_clock.ts";

/** One end of a way. */
export class TestPath implements Path {
  readonly private = true;
  readonly sameHost = false;
  readonly holdsSmallWrites = false;
  readonly outbound: boolean;
  /** Whom the other end says to be. */
  readonly claimed: string;
  readonly #network: PathNetwork;
  other: TestPath | undefined;
  owner: PathTransport | undefined;
  /** What came in, where nobody owns this end: it is an outsider's. */
  readonly inbox: Bytes[] = [];
  /** Nothing passes any more and nobody is told, as when a cable is cut. */
  silent = false;
  open = true;
  closedFor: string | undefined;

  constructor(network: PathNetwork, claimed: string, outbound: boolean) {
    this.outbound = outbound;
    this.#network = network;
    this.claimed = claimed;
  }

  close(reason: string): void {
    if (!this.open) return;
    this.closedFor = reason;
    for (const end of [this, this.other]) {
      if (end === undefined) continue;
      end.open = false;
      this.#network.later(() => end.owner?.sink?.peerGone(end.claimed, end));
    }
  }

  send(packet: Bytes): void {
    const other = this.other;
    if (other === undefined || !this.open || this.silent) return;
    const copy = packet.slice();
    this.#network.later(() => {
      if (!this.open || this.silent) return;
      if (other.owner === undefined) other.inbox.push(copy);
      else other.owner.sink?.packet(other.claimed, copy, other);
    });
  }
}

export class PathTransport implements ClusterTransport {
  readonly name = "paths";
  readonly features: ReadonlySet<TransportFeature> = new Set(["lossless", "paths"]);
  readonly packetBytesMax = 262_144;
  sink: TransportSink | undefined;
  readonly #paths = new Map<string, TestPath[]>();

  start(sink: TransportSink): Promise<void> {
    this.sink = sink;
    return Promise.resolve();
  }

  stop(): Promise<void> {
    this.sink = undefined;
    for (const path of [...this.#paths.values()].flat()) path.close("stopped");
    return Promise.resolve();
  }

  add(path: TestPath): void {
    path.owner = this;
    this.#paths.set(path.claimed, [...this.#paths.get(path.claimed) ?? [], path]);
    this.sink?.peerSeen(path.claimed, path);
  }

  send(nodeId: string, packet: Bytes, path?: Path): void {
    const paths = this.#paths.get(nodeId) ?? [];
    (paths.find((own) => own === path) ?? paths.findLast(({ open }) => open))?.send(packet);
  }

  broadcast(): void {}

  queuedBytes(): number {
    return 0;
  }

  counters(): Readonly<Record<string, number>> {
    return {};
  }

  confirm(nodeId: string, path: Path): void {
    for (const other of this.#paths.get(nodeId) ?? []) {
      if (other !== path) other.close("another way is confirmed");
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}

export class PathNetwork {
  readonly #clock: SimClock;

  constructor(clock: SimClock) {
    this.#clock = clock;
  }

  later(run: () => void): void {
    this.#clock.timer(1, run);
  }

  /** A way between two nodes; both ends tell the truth. */
  connect(
    [oneId, one]: readonly [string, PathTransport],
    [twoId, two]: readonly [string, PathTransport],
  ): TestPath {
    const [path, other] = this.#pair(twoId, oneId);
    one.add(path);
    two.add(other);
    return path;
  }

  /** A way from an outsider, who claims to be `claimed`; returns the outsider's end. */
  intrude(transport: PathTransport, claimed: string): TestPath {
    const [outsider, path] = this.#pair("", claimed);
    transport.add(path);
    return outsider;
  }

  #pair(oneClaims: string, twoClaims: string): [TestPath, TestPath] {
    const [one, two] = [new TestPath(this, oneClaims, true), new TestPath(this, twoClaims, false)];
    one.other = two;
    two.other = one;
    return [one, two];
  }
}
