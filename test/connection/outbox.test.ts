import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  Outbox,
  OUTBOX_DEFAULTS,
  type OutboxOptions,
  type SendOutcome,
} from "../../src/connection/outbox.ts";
import { Outboxes } from "../../src/connection/outboxes.ts";
import { utf8Length } from "../../src/lib/utf8_length.ts";
import { utf8 } from "../../src/lib/bytes.ts";
import { FakeSink } from "../support/fake_sink.ts";
import { SimClock } from "../support/sim_clock.ts";

class Fixture {
  readonly clock: SimClock = new SimClock();
  readonly counters = { messagesOut: 0, bytesOut: 0, queuedBytes: 0, slowConsumers: 0 };
  readonly outcomes: (SendOutcome | undefined)[] = [];
  readonly sink: FakeSink;
  readonly outbox: Outbox;

  constructor(bytesPerMs: number, options: Partial<OutboxOptions> = {}) {
    this.sink = new FakeSink(this.clock, bytesPerMs);
    this.outbox = new Outbox(this.sink, this.clock, { ...OUTBOX_DEFAULTS, ...options }, this.counters);
  }

  send(text: string, remainingMs: number = Infinity): void {
    const index = this.outcomes.push(undefined) - 1;
    this.outbox.send(text, text.length, (outcome) => {
      expect(this.outcomes[index]).toBe(undefined);
      this.outcomes[index] = outcome;
    }, remainingMs);
  }
}

describe("an outbox", () => {
  test("says delivered at once when the kernel takes everything", () => {
    const fixture = new Fixture(Infinity);
    fixture.send("a");
    fixture.send("");
    expect(fixture.outcomes).toEqual(["delivered", "delivered"]);
    expect(fixture.counters).toEqual({ messagesOut: 2, bytesOut: 1, queuedBytes: 0, slowConsumers: 0 });
  });

  test("says delivered of each message when its last byte has left, not before", async () => {
    const fixture = new Fixture(10);
    for (const bytes of [15, 10, 0]) fixture.send("x".repeat(bytes));
    expect(fixture.counters.queuedBytes).toBe(25);
    await fixture.clock.advance(1);
    expect(fixture.outcomes).toEqual([undefined, undefined, undefined]);
    await fixture.clock.advance(1);
    expect(fixture.outcomes).toEqual(["delivered", undefined, undefined]);
    await fixture.clock.advance(1);
    expect(fixture.outcomes).toEqual(["delivered", "delivered", "delivered"]);
    expect(fixture.counters.queuedBytes).toBe(0);
    expect(fixture.clock.timers).toBe(0);
  });

  test("keeps only a little in the socket's own buffer", async () => {
    const fixture = new Fixture(100, { sinkBytesMax: 250 });
    for (let index = 0; index < 20; index++) fixture.send("x".repeat(100));
    while (fixture.outbox.queuedBytes > 0) {
      expect(fixture.sink.bufferedBytes).toBeLessThanOrEqual(350);
      await fixture.clock.advance(1);
    }
    expect(fixture.sink.received.length).toBe(20);
  });

  test("takes one message of any size while there is room, and is bounded in bytes and in messages", () => {
    const fixture = new Fixture(0, { outboxBytesMax: 1_000, slowConsumer: "drop" });
    fixture.send("a short one");
    fixture.send("x".repeat(5_000));
    fixture.send("x".repeat(900));
    fixture.send("x");
    expect(fixture.outcomes).toEqual([undefined, undefined, undefined, "backpressure"]);
    const empty = new Fixture(0, { outboxBytesMax: 1_000, sinkBytesMax: 1, slowConsumer: "drop" });
    empty.send("x");
    for (let index = 0; index < 1_000; index++) empty.send("");
    expect(empty.outcomes.filter((outcome) => outcome === undefined).length).toBeLessThan(20);
  });

  test("gives up what expired while it was queued, and nothing that the socket has", async () => {
    const fixture = new Fixture(0, { sinkBytesMax: 10 });
    fixture.send("in the socket", 5);
    fixture.send("expires", 5);
    fixture.send("stays", 100);
    await fixture.clock.advance(10);
    fixture.sink.bytesPerMs = 100;
    await fixture.clock.advance(10);
    expect(fixture.outcomes).toEqual(["delivered", "timeout", "delivered"]);
    expect(fixture.sink.received).toEqual(["in the socket", "stays"]);
  });

  test("ends everything as closed when the socket is gone, and tells who waits", async () => {
    const fixture = new Fixture(10, { sinkBytesMax: 20, slowConsumer: "wait" });
    let told = 0;
    fixture.outbox.whenWritable(() => told++);
    for (let index = 0; index < 4; index++) fixture.send("x".repeat(10));
    await fixture.clock.advance(1);
    fixture.sink.cut();
    fixture.outbox.closed();
    fixture.outbox.closed();
    fixture.send("late");
    fixture.outbox.whenWritable(() => told++);
    expect(fixture.outcomes).toEqual(["delivered", "closed", "closed", "closed", "closed"]);
    expect(told).toBe(2);
    expect(fixture.counters.queuedBytes).toBe(0);
  });

  test("notices a socket that has closed by itself", () => {
    const fixture = new Fixture(0, { sinkBytesMax: 100 });
    fixture.send("first");
    fixture.sink.cut();
    fixture.send("second");
    expect(fixture.outcomes).toEqual(["closed", "closed"]);
    expect(fixture.outbox.open).toBe(false);
  });

  test("takes what it cannot ask or close as it is, and throws nothing itself", () => {
    const thrown = (): never => {
      throw new Error("this sink is broken");
    };
    const sink = { onDrain: undefined, send: () => true, close: thrown } as unknown as ConstructorParameters<
      typeof Outbox
    >[0];
    Object.defineProperty(sink, "bufferedBytes", { get: thrown });
    const outcomes: SendOutcome[] = [];
    const counters = { messagesOut: 0, bytesOut: 0, queuedBytes: 0, slowConsumers: 0 };
    const outbox = new Outbox(sink, new SimClock(), { ...OUTBOX_DEFAULTS, outboxBytesMax: 10 }, counters);
    for (let sent = 0; sent < 3; sent++) {
      outbox.send("0123456789", 10, (outcome) => void outcomes.push(outcome));
    }
    outbox.close(1000, "");
    outbox.closed();
    expect(new Set(outcomes)).toEqual(new Set(["closed"]));
    expect(outcomes.length).toBe(3);
  });

  test("takes a socket that throws for a closed one", () => {
    const fixture = new Fixture(0);
    fixture.sink.send = () => {
      throw new Error("a bug of the application's");
    };
    fixture.send("x");
    expect(fixture.outcomes).toEqual(["closed"]);
  });

  test("hands over what is queued before it closes the socket", async () => {
    const fixture = new Fixture(10, { sinkBytesMax: 20 });
    for (let index = 0; index < 5; index++) fixture.send(`message ${index}`);
    fixture.outbox.close(1001, "leaving");
    fixture.outbox.close(1000, "again");
    fixture.send("late");
    await fixture.clock.advance(10);
    expect(fixture.outcomes).toEqual([...Array<SendOutcome>(5).fill("delivered"), "closed"]);
    expect(fixture.sink.closedWith).toEqual({ code: 1001, reason: "leaving" });
  });

  test("that is retired ends what the socket does not have, and waits for what it has", async () => {
    const fixture = new Fixture(10, { sinkBytesMax: 10 });
    for (let index = 0; index < 3; index++) fixture.send("x".repeat(10));
    fixture.outbox.retire();
    expect(fixture.outcomes).toEqual([undefined, "closed", "closed"]);
    await fixture.clock.advance(2);
    expect(fixture.outcomes).toEqual(["delivered", "closed", "closed"]);
  });
});

describe("a slow consumer", () => {
  const options = { outboxBytesMax: 1_000, sinkBytesMax: 300 };
  const message = "x".repeat(200);

  test("is closed with 4008, and what had not left ends closed", () => {
    const fixture = new Fixture(0, options);
    for (let index = 0; index < 6; index++) fixture.send(message);
    expect(fixture.sink.closedWith?.code).toBe(4008);
    // Two are in the socket's buffer: they may still leave before the close frame.
    expect(fixture.outcomes).toEqual([undefined, undefined, "closed", "closed", "closed", "closed"]);
    fixture.outbox.closed();
    expect(fixture.outcomes).toEqual(Array<SendOutcome>(6).fill("closed"));
  });

  test("under drop loses the newest, never one already taken", async () => {
    const fixture = new Fixture(0, { ...options, slowConsumer: "drop" });
    for (let index = 0; index < 6; index++) fixture.send(message);
    fixture.sink.bytesPerMs = 200;
    await fixture.clock.advance(10);
    fixture.send(message);
    await fixture.clock.advance(2);
    const taken = ["delivered", "delivered", "delivered", "delivered"];
    expect(fixture.outcomes as string[]).toEqual([...taken, "backpressure", "backpressure", "delivered"]);
  });

  test("under wait tells once when half of the queue is free", async () => {
    const fixture = new Fixture(0, { ...options, slowConsumer: "wait" });
    for (let index = 0; index < 5; index++) fixture.send(message);
    expect(fixture.outcomes[4]).toBe("backpressure");
    const queuedThen: number[] = [];
    fixture.outbox.whenWritable(() => queuedThen.push(fixture.outbox.queuedBytes));
    fixture.sink.bytesPerMs = 50;
    await fixture.clock.advance(20);
    expect(queuedThen).toEqual([400]);
  });
});

describe("a message longer than the whole queue", () => {
  const options = { outboxBytesMax: 1_000, sinkBytesMax: 300 };

  test.each([
    ["first", []],
    ["behind one in the socket's buffer", [10]],
    ["behind so many that the socket's buffer has no room", [200, 200]],
  ])("does not make the client slow: only what else waits counts, when it is %s", async (_, before) => {
    const fixture = new Fixture(0, options);
    for (const bytes of before) fixture.send("x".repeat(bytes));
    fixture.send("x".repeat(50_000));
    for (let index = 0; index < 3; index++) fixture.send("behind it");
    expect(fixture.sink.closedWith).toBe(undefined);
    expect(new Set(fixture.outcomes)).toEqual(new Set([undefined]));
    fixture.sink.bytesPerMs = 1_000;
    await fixture.clock.advance(60);
    expect(new Set(fixture.outcomes)).toEqual(new Set(["delivered"]));
    expect(fixture.counters.queuedBytes).toBe(0);
  });

  test("is one: another one that waits behind it counts until it is the first", async () => {
    const fixture = new Fixture(0, { ...options, slowConsumer: "drop" });
    fixture.send("x".repeat(5_000));
    fixture.send("x".repeat(5_000));
    fixture.send("too much");
    fixture.sink.bytesPerMs = 1_000;
    await fixture.clock.advance(6);
    fixture.send("not too much");
    expect(fixture.outcomes).toEqual(["delivered", undefined, "backpressure", undefined]);
    await fixture.clock.advance(6);
    expect(fixture.outcomes).toEqual(["delivered", "delivered", "backpressure", "delivered"]);
    expect(fixture.outbox.full).toBe(false);
  });
});

describe("whoever waits for the end of an outbox", () => {
  test.each([
    ["closes", (outbox: Outbox) => outbox.close(1000, "")],
    ["is retired", (outbox: Outbox) => outbox.retire()],
    ["is gone", (outbox: Outbox) => outbox.closed()],
  ])("is told once when it %s, at once when it has, and not when it asked not to be", (_, end) => {
    const { outbox } = new Fixture(0);
    const told: string[] = [];
    outbox.whenClosed(() => told.push(`open: ${outbox.open}`));
    outbox.whenClosed(() => told.push("never"))();
    const stop = outbox.whenClosed(() => {
      told.push("second");
      // Also from within.
      outbox.whenClosed(() => told.push("late"));
      stop();
    });
    end(outbox);
    expect(told).toEqual(["open: false", "second", "late"]);
    end(outbox);
    outbox.closed();
    outbox.whenClosed(() => told.push("at once"))();
    expect(told).toEqual(["open: false", "second", "late", "at once"]);
  });

  test("is told before a message that was refused says closed, and hears of no end while it is slow", () => {
    const fixture = new Fixture(0, { outboxBytesMax: 100, slowConsumer: "drop" });
    let told = 0;
    fixture.outbox.whenClosed(() => told++);
    for (let index = 0; index < 5; index++) fixture.send("x".repeat(90));
    expect(told).toBe(0);
    const slow = new Fixture(0, { outboxBytesMax: 100 });
    slow.outbox.whenClosed(() => told++);
    for (let index = 0; index < 5; index++) slow.send("x".repeat(90));
    expect(told).toBe(1);
  });
});

describe("the bytes that have left an outbox", () => {
  test("grow as the socket's buffer empties, by messages and within them", async () => {
    const { outbox, send, sink, clock } = bound(new Fixture(10, { sinkBytesMax: 100 }));
    send("x".repeat(30));
    send("x".repeat(30));
    const left: number[] = [];
    for (let index = 0; index < 7; index++) {
      left.push(outbox.leftBytes);
      await clock.advance(1);
    }
    expect(left).toEqual([0, 10, 20, 30, 40, 50, 60]);
    // A socket that counts its framing too shows less, never less than nothing.
    sink.bufferedBytes = 1_000;
    expect(outbox.leftBytes).toBe(0);
  });
});

function bound(fixture: Fixture) {
  return { ...fixture, send: fixture.send.bind(fixture) };
}

describe("the outcomes of an outbox", () => {
  const step = fc.oneof(
    fc.record({ send: fc.nat({ max: 400 }), expiresInMs: fc.constantFrom(2, 10, Infinity) }),
    fc.record({ rate: fc.constantFrom(0, 10, 100, Infinity) }),
    fc.record({ pass: fc.nat({ max: 10 }) }),
  );
  const policy = fc.constantFrom("close" as const, "drop" as const, "wait" as const);

  test("are exact whatever the socket does: delivered is what the client got, in order", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), policy, async (steps, slowConsumer) => {
        const fixture = new Fixture(Infinity, { outboxBytesMax: 1_000, sinkBytesMax: 200, slowConsumer });
        for (const step of steps) {
          if ("pass" in step) await fixture.clock.advance(step.pass);
          else if ("rate" in step) fixture.sink.bytesPerMs = step.rate;
          else fixture.send(`${fixture.outcomes.length} `.padEnd(step.send), step.expiresInMs);
          expect(fixture.counters.queuedBytes).toBe(fixture.outbox.queuedBytes);
        }
        fixture.sink.bytesPerMs = 1_000;
        await fixture.clock.advance(20);
        fixture.sink.cut();
        fixture.outbox.closed();
        const delivered = [...fixture.outcomes.keys()].filter((index) =>
          fixture.outcomes[index] === "delivered"
        );
        expect(fixture.sink.received.map((data) => parseInt(String(data), 10))).toEqual(delivered);
        expect(fixture.outcomes.includes(undefined)).toBe(false);
        expect(fixture.counters.queuedBytes).toBe(0);
        expect(fixture.counters.messagesOut).toBe(delivered.length);
      }),
      { numRuns: 200 },
    );
  });
});

describe("the outboxes of a node", () => {
  test("know one socket for each connection, and only its own close removes it", () => {
    const clock = new SimClock();
    const outboxes = new Outboxes(clock, { sinkBytesMax: 10 });
    const [first, second] = [new FakeSink(clock, 0), new FakeSink(clock)];
    const outcomes: string[] = [];
    const before = outboxes.open("alice", first);
    before.send("in the buffer", 13, (outcome) => outcomes.push(outcome));
    before.send("queued", 6, (outcome) => outcomes.push(outcome));
    const after = outboxes.open("alice", second);
    expect(outboxes.open("alice", second)).toBe(after);
    expect(outcomes).toEqual(["closed"]);
    expect(outboxes.remove("alice", first)).toBe(false);
    expect(outcomes).toEqual(["closed", "closed"]);
    expect(outboxes.get("alice")).toBe(after);
    expect(outboxes.remove("alice", second)).toBe(true);
    expect(outboxes.remove("alice")).toBe(false);
    expect([outboxes.size, outboxes.counters.queuedBytes]).toEqual([0, 0]);
  });
});

describe("a replaced connection", () => {
  test("is closed, and what its socket had already is settled by that socket", async () => {
    const clock = new SimClock();
    const outboxes = new Outboxes(clock, { sinkBytesMax: 10 });
    const sink = new FakeSink(clock, 10);
    const outcomes: string[] = [];
    const outbox = outboxes.open("alice", sink);
    for (const text of ["twelve bytes", "queued"]) {
      outbox.send(text, text.length, (outcome) => outcomes.push(outcome));
    }
    expect(outboxes.replace("alice", 4409, "replaced")).toBe(true);
    expect(outboxes.replace("alice", 4409, "replaced")).toBe(false);
    expect(sink.closedWith).toEqual({ code: 4409, reason: "replaced" });
    expect([outboxes.get("alice"), outcomes]).toEqual([undefined, ["closed"]]);
    await clock.advance(5);
    expect(outcomes).toEqual(["closed", "delivered"]);
  });
});

describe("the UTF-8 length of a string", () => {
  test("is that of its encoding, lone surrogates included", () => {
    for (const text of ["", "a", "é", "€", "🛶", "\ud83d", "\udef6", "\ud83d\ud83d\udef6a\udef6"]) {
      expect(utf8Length(text)).toBe(utf8(text).byteLength);
    }
    fc.assert(fc.property(fc.string({ unit: "binary" }), (text) => {
      expect(utf8Length(text)).toBe(utf8(text).byteLength);
      const cut = text.slice(1);
      expect(utf8Length(cut)).toBe(utf8(cut).byteLength);
    }));
  });
});
