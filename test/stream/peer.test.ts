/** One end of the streams between two nodes, with a lane that is full and a peer that says what no node says. */
import { describe, expect, test } from "bun:test";
import { Outbox, OUTBOX_DEFAULTS } from "../../src/connection/outbox.ts";
import { type Bytes, concatBytes } from "../../src/lib/bytes.ts";
import { FlotillaError } from "../../src/lib/errors.ts";
import { type Digest, newDigest } from "../../src/lib/xxhash.ts";
import { CONTROL, type Lane, type SendResult, type Session, STREAMS } from "../../src/link/contract.ts";
import { STREAM_DEFAULTS } from "../../src/stream/contract.ts";
import {
  type Credit,
  dataHead,
  decodeFromCaller,
  decodeFromOwner,
  encodeAbort,
  encodeCredits,
  encodeEnd,
  encodeOpen,
  encodeSettled,
  type Opening,
  type Settlement,
} from "../../src/stream/frames.ts";
import { Leg, type LegHost } from "../../src/stream/leg.ts";
import { Owner } from "../../src/stream/owner.ts";
import { StallWatch } from "../../src/stream/stall_watch.ts";
import { StreamPeer } from "../../src/stream/stream_peer.ts";
import { FakeSdk } from "../support/fake_sdk.ts";
import { FakeSink } from "../support/fake_sink.ts";
import { SimClock } from "../support/sim_clock.ts";
import { pattern } from "../support/stream_world.ts";

const MIB = 1_048_576;
const OPENING: Opening = {
  text: false,
  delivery: undefined,
  totalBytes: null,
  stallTimeoutMs: 1_000,
  metadata: null,
  handles: [0],
};

class FakeSession implements Session {
  readonly nodeId = "peer";
  readonly incarnation = "0000000000000001";
  live = true;
  /** Frames that the lane of streams takes before it is full. */
  room = Infinity;
  /** Longer ones find it full. */
  bytesMax = Infinity;
  readonly sent: { readonly lane: Lane; readonly frame: Bytes }[] = [];

  send(lane: Lane, _port: number, rest: Bytes, head?: Bytes): SendResult {
    const frame = head === undefined ? rest : concatBytes(head, rest);
    if (!this.live) return "ended";
    if (lane === STREAMS) {
      if (this.room <= 0 || frame.byteLength > this.bytesMax) return "full";
      this.room--;
    }
    this.sent.push({ lane, frame });
    return "sent";
  }

  datagram(): boolean {
    return false;
  }

  pendingBytes(): number {
    return 0;
  }
}

class FakeHost implements LegHost {
  readonly settlements: { readonly connectionId: string; readonly outcome: string }[] = [];
  changes = 0;

  changed(): void {
    this.changes++;
  }

  settled(connectionId: string, { outcome }: { readonly outcome: string }): void {
    this.settlements.push({ connectionId, outcome });
  }
}

/** A node with connections by handle, and its end of a session. */
class Fixture {
  readonly clock: SimClock = new SimClock();
  readonly session: FakeSession = new FakeSession();
  readonly host: FakeHost = new FakeHost();
  readonly counters = { messagesOut: 0, bytesOut: 0, queuedBytes: 0, slowConsumers: 0 };
  readonly outboxes: Outbox[] = [];
  readonly owner: Owner;
  readonly peer: StreamPeer;

  constructor() {
    const byId = new Map<string, Outbox>();
    this.owner = new Owner(
      { localByHandle: (handle) => this.outboxes[handle] === undefined ? undefined : `${handle}` },
      { get: (connectionId) => byId.get(connectionId) ?? this.outboxes[Number(connectionId)] },
      new StallWatch(this.clock),
      { ...STREAM_DEFAULTS, messageBytesMax: MIB, deliveryTimeoutMs: 1_000 },
    );
    this.peer = new StreamPeer(this.session, this.owner);
  }

  connect<Sink extends FakeSink>(sink: Sink): Sink {
    this.outboxes.push(new Outbox(sink, this.clock, OUTBOX_DEFAULTS, this.counters));
    return sink;
  }

  leg(id: string = "x"): Leg {
    return new Leg(this.host, this.peer, [{ connectionId: id, handle: 7 }]);
  }

  open(id?: string, metadata: unknown = null): Leg {
    const leg = this.leg(id);
    leg.open({ ...OPENING, metadata });
    return leg;
  }

  /** What the peer was told of its streams, until now. */
  async told(): Promise<{ credits: Credit[]; settlements: Settlement[] }> {
    await this.clock.advance(0);
    const said = this.session.sent.filter(({ lane }) => lane === CONTROL).map(({ frame }) =>
      decodeFromOwner(frame)
    );
    return {
      credits: said.flatMap((each) => each.kind === "credit" ? each.credits : []),
      settlements: said.flatMap((each) => each.kind === "settled" ? each.settlements : []),
    };
  }

  get kinds(): string[] {
    const frames = this.session.sent.filter(({ lane }) => lane === STREAMS);
    return frames.map(({ frame }) => decodeFromCaller(frame)).map(({ kind, stream }) => `${kind} ${stream}`);
  }
}

function credit(stream: number, bytes: number, chunks: number, windowBytes = 131_072): Bytes {
  return encodeCredits([{ stream, windowBytes, bytes, chunks }]);
}

function codeThrown(call: () => unknown): string {
  try {
    call();
  } catch (thrown) {
    return thrown instanceof FlotillaError ? thrown.code : String(thrown);
  }
  return "nothing";
}

function digestOf(...payloads: Bytes[]): bigint {
  const digest = newDigest() as Digest;
  for (const payload of payloads) digest.update(payload);
  return digest.value();
}

const dataFrame = (stream: number, payload: Uint8Array): Bytes => concatBytes(dataHead(stream), payload);

describe("a full lane", () => {
  test("makes streams wait in turns, each in its order", () => {
    const fixture = new Fixture();
    const { session, peer } = fixture;
    const legs = [fixture.open(), fixture.open()];
    for (const { number } of legs) peer.fromOwner(credit(number, 0, 0));
    session.room = 1;
    for (const leg of legs) {
      expect(leg.hasRoom(10)).toBe(true);
      leg.data(pattern(10));
      leg.end({ bytes: 10, chunks: 1, digest: 5n });
    }
    expect(legs.map((leg) => leg.hasRoom(10))).toEqual([false, false]);
    for (const _ of [1, 2, 3]) {
      session.room = 1;
      peer.writable();
    }
    expect(fixture.kinds).toEqual(["open 0", "open 1", "data 0", "end 0", "data 1", "end 1"]);
    expect(peer.size).toBe(2);
  });

  test("that takes a later opening first mixes up nobody's numbers", () => {
    const fixture = new Fixture();
    const { session, peer, host } = fixture;
    session.bytesMax = 1_000;
    const long = fixture.open("long", "m".repeat(2_000));
    const short = fixture.open("short");
    expect(fixture.kinds).toEqual(["open 0"]);
    long.abort("timeout", { code: "timeout", reason: "called off" });
    peer.fromOwner(credit(0, 0, 0));
    expect(short.answered).toBe(true);
    expect(peer.size).toBe(1);
    session.bytesMax = Infinity;
    peer.writable();
    expect(fixture.kinds).toEqual(["open 0"]);
    expect(host.settlements).toEqual([{ connectionId: "long", outcome: "timeout" }]);
  });

  test("whose session ends loses streams that wait to be opened too", () => {
    const fixture = new Fixture();
    const { session, peer, host } = fixture;
    session.room = 1;
    for (const id of ["opened", "waits", "waits too"]) fixture.open(id);
    session.live = false;
    peer.down();
    expect(host.settlements.map(({ connectionId, outcome }) => `${connectionId}: ${outcome}`)).toEqual([
      "opened: node-lost",
      "waits: node-lost",
      "waits too: node-lost",
    ]);
    expect(peer.size).toBe(0);
  });

  test("lets a stream that was given up go with what it still has to say", () => {
    const fixture = new Fixture();
    const { session, peer, host } = fixture;
    const leg = fixture.open();
    peer.fromOwner(credit(0, 0, 0));
    session.room = 0;
    leg.data(pattern(10));
    leg.abort("timeout", { code: "timeout", reason: "enough" });
    expect(host.settlements.length).toBe(1);
    expect(peer.size).toBe(1);
    session.room = 5;
    peer.writable();
    expect(fixture.kinds).toEqual(["open 0", "abort 0"]);
    expect(peer.size).toBe(0);
  });
});

describe("an owner that says what no owner says", () => {
  const opened = () => {
    const fixture = new Fixture();
    const leg = fixture.open();
    fixture.peer.fromOwner(credit(0, 0, 0));
    leg.data(pattern(100));
    leg.data(pattern(100));
    fixture.peer.fromOwner(credit(0, 100, 1));
    return { ...fixture, fixture, leg };
  };

  test.each([
    ["more bytes than were sent", [201, 2]],
    ["more chunks than were sent", [200, 3]],
    ["fewer bytes than before", [99, 1]],
    ["fewer chunks than before", [100, 0]],
  ])("is not believed when it credits %s", (_, [bytes = 0, chunks = 0]) => {
    const { fixture, leg } = opened();
    expect(codeThrown(() => fixture.peer.fromOwner(credit(0, bytes, chunks)))).toBe("malformed");
    expect([leg.bytes, leg.chunks]).toEqual([100, 1]);
  });

  test.each([0, 1, 131_071])("is not believed when the window shrinks to %i", (windowBytes) => {
    const { fixture } = opened();
    expect(codeThrown(() => fixture.peer.fromOwner(credit(0, 100, 1, windowBytes)))).toBe("malformed");
  });

  test("is passed over when it speaks of streams and connections that are not there", () => {
    const { fixture } = opened();
    const { peer, host } = fixture;
    peer.fromOwner(credit(99, 5, 5));
    const settled = { outcome: "delivered", bytes: 0, chunks: 0, reason: "" } as const;
    peer.fromOwner(
      encodeSettled([{ stream: 99, target: 0, ...settled }, { stream: 0, target: 9, ...settled }]),
    );
    expect(host.settlements).toEqual([]);
    const end = { stream: 0, target: 0, ...settled, outcome: "closed" } as const;
    peer.fromOwner(encodeSettled([end, end]));
    expect(host.settlements).toEqual([{ connectionId: "x", outcome: "closed" }]);
    peer.fromOwner(credit(0, 150, 1));
    expect(peer.size).toBe(0);
  });

  test.each(["delivered", "acknowledged"] as const)(
    "is not believed when %s comes before the end",
    (outcome) => {
      const { fixture } = opened();
      const said = encodeSettled([{ stream: 0, target: 0, outcome, bytes: 200, chunks: 2, reason: "" }]);
      expect(codeThrown(() => fixture.peer.fromOwner(said))).toBe("malformed");
      expect(fixture.host.settlements).toEqual([]);
    },
  );
});

describe("a caller that says what no caller says", () => {
  const opened = (options: Partial<Opening> = {}) => {
    const fixture = new Fixture();
    const sink = fixture.connect(new FakeSink(fixture.clock, 0));
    fixture.peer.fromCaller(encodeOpen(0, { ...OPENING, delivery: "chunks", ...options }));
    return { fixture, sink, say: (frame: Bytes) => codeThrown(() => fixture.peer.fromCaller(frame)) };
  };

  test("is refused with streams that were not opened, or not in their order", () => {
    const { say } = opened();
    expect(say(dataFrame(1, pattern(5)))).toBe("malformed");
    expect(say(encodeAbort(7, { code: "aborted", reason: "" }))).toBe("malformed");
    expect(say(encodeOpen(5, OPENING))).toBe("malformed");
    expect(say(encodeOpen(0, OPENING))).toBe("malformed");
    expect(say(encodeOpen(1, OPENING))).toBe("nothing");
  });

  test("is refused with more than its credit, but one chunk of any size is under way", () => {
    const { say } = opened();
    expect(say(dataFrame(0, pattern(MIB)))).toBe("nothing");
    expect(say(dataFrame(0, pattern(1)))).toBe("malformed");
    const many = opened();
    let taken = 0;
    while (taken < 10_000 && many.say(dataFrame(0, pattern(1))) === "nothing") taken++;
    expect(taken).toBeGreaterThan(1_000);
    expect(taken).toBeLessThan(3_000);
  });

  test("is refused with data or an end after the end, and with an end that does not fit", () => {
    for (const [bytes, chunks] of [[6, 1], [5, 2], [0, 0]] as const) {
      const { say } = opened();
      say(dataFrame(0, pattern(5)));
      expect(say(encodeEnd(0, { bytes, chunks, digest: digestOf(pattern(5)) }))).toBe("malformed");
    }
    const { say } = opened();
    say(dataFrame(0, pattern(5)));
    const end = encodeEnd(0, { bytes: 5, chunks: 1, digest: digestOf(pattern(5)) });
    expect(say(end)).toBe("nothing");
    expect(say(end)).toBe("malformed");
    expect(say(dataFrame(0, pattern(5)))).toBe("malformed");
  });

  test("harms only its own stream with bytes that have changed on the way, or are no text", async () => {
    for (const delivery of ["chunks", "message"] as const) {
      const { fixture, sink, say } = opened({ delivery });
      sink.bytesPerMs = Infinity;
      say(dataFrame(0, pattern(5)));
      expect(say(encodeEnd(0, { bytes: 5, chunks: 1, digest: 1n }))).toBe("nothing");
      const { settlements } = await fixture.told();
      expect(settlements.map(({ outcome }) => outcome)).toEqual(["closed"]);
      expect(settlements[0]?.reason).toContain("digest");
      expect(fixture.peer.size).toBe(0);
      expect(sink.received.length).toBe(delivery === "chunks" ? 1 : 0);
    }
    for (const delivery of ["chunks", "message"] as const) {
      const { fixture, say } = opened({ delivery, text: true });
      const broken = new Uint8Array([0xff, 0xfe]);
      expect(say(dataFrame(0, broken))).toBe("nothing");
      expect(say(encodeEnd(0, { bytes: 2, chunks: 1, digest: digestOf(broken) }))).toBe("nothing");
      const { settlements } = await fixture.told();
      expect(settlements.map(({ outcome }) => outcome)).toEqual(["closed"]);
      expect(settlements[0]?.reason).toContain("UTF-8");
      expect(fixture.peer.size).toBe(0);
      expect(fixture.owner.budget.used).toBe(0);
    }
  });

  test("may open a stream for nobody, one client many times, and abort what is over", async () => {
    const fixture = new Fixture();
    const sdk = fixture.connect(new FakeSdk(fixture.clock));
    sdk.say = (frame) => fixture.owner.clientFrame("0", frame);
    fixture.peer.fromCaller(encodeOpen(0, { ...OPENING, handles: [5, 6, 7] }));
    fixture.peer.fromCaller(encodeOpen(1, { ...OPENING, handles: Array<number>(1_000).fill(0) }));
    fixture.peer.fromCaller(dataFrame(1, pattern(10)));
    for (const stream of [0, 1, 0, 1]) {
      fixture.peer.fromCaller(encodeAbort(stream, { code: "aborted", reason: "" }));
    }
    const { settlements } = await fixture.told();
    expect(settlements.length).toBe(1_003);
    expect(new Set(settlements.map(({ outcome }) => outcome as string))).toEqual(
      new Set(["not-found", "backpressure", "closed"]),
    );
    await fixture.clock.advance(10);
    const { owner, peer, counters } = fixture;
    expect([peer.size, owner.size, owner.budget.used, owner.watch.size, counters.queuedBytes]).toEqual(
      [0, 0, 0, 0, 0],
    );
  });

  test("may ask for a standstill of no time at all", async () => {
    const { fixture, say } = opened({ stallTimeoutMs: 0 });
    say(dataFrame(0, pattern(5)));
    await fixture.clock.advance(10);
    expect((await fixture.told()).settlements.map(({ outcome }) => outcome)).toEqual(["timeout"]);
    fixture.outboxes[0]?.closed();
    expect([fixture.peer.size, fixture.owner.size, fixture.owner.watch.size]).toEqual([0, 0, 0]);
  });
});

describe("a socket that fails within the very call that opens its stream", () => {
  test.each(["chunks", "message", "framed"] as const)("ends it closed, once: %s", async (delivery) => {
    const fixture = new Fixture();
    const sdk = fixture.connect(new FakeSdk(fixture.clock));
    sdk.send = () => false;
    fixture.peer.fromCaller(encodeOpen(0, { ...OPENING, delivery }));
    if (delivery !== "framed") {
      fixture.peer.fromCaller(dataFrame(0, pattern(5)));
      fixture.peer.fromCaller(encodeEnd(0, { bytes: 5, chunks: 1, digest: digestOf(pattern(5)) }));
    }
    const { settlements } = await fixture.told();
    expect(settlements.map(({ outcome }) => outcome)).toEqual(["closed"]);
    const { owner, peer, counters } = fixture;
    expect([peer.size, owner.size, owner.budget.used, owner.watch.size, counters.queuedBytes]).toEqual(
      [0, 0, 0, 0, 0],
    );
  });
});
