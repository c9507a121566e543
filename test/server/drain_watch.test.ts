import { describe, expect, test } from "bun:test";
import { type Draining, DrainWatch, Watched } from "../../src/server/sockets/drain_watch.ts";
import { SimClock } from "../support/sim_clock.ts";

/** A socket whose buffer the test fills and empties. */
class Buffered implements Draining {
  bufferedBytes = 0;
  readonly drains: number[] = [];
  onDrain: (() => void) | undefined;
  readonly watched: Watched = new Watched(this);
  readonly #clock: SimClock;

  constructor(clock: SimClock) {
    this.#clock = clock;
  }

  look(): number {
    return this.bufferedBytes;
  }

  drained(): void {
    this.drains.push(this.#clock.now());
    this.onDrain?.();
  }
}

function watched(bytes: number): { clock: SimClock; watch: DrainWatch; socket: Buffered } {
  const clock = new SimClock();
  const watch = new DrainWatch(clock);
  const socket = new Buffered(clock);
  socket.bufferedBytes = bytes;
  watch.given(socket.watched, bytes);
  return { clock, watch, socket };
}

describe("DrainWatch", () => {
  test("tells when bytes have left, and nothing before", async () => {
    const { clock, socket } = watched(100);
    clock.timer(5, () => socket.bufferedBytes = 40);
    clock.timer(9, () => socket.bufferedBytes = 0);
    await clock.advance(4);
    expect(socket.drains).toEqual([]);
    await clock.advance(100);
    expect(socket.drains.length).toBe(2);
  });

  test("is at rest when nothing is buffered", async () => {
    const { clock, socket } = watched(0);
    expect(clock.timers).toBe(0);
    socket.bufferedBytes = 0;
    await clock.advance(100);
    expect(socket.drains).toEqual([]);
  });

  test("ends when everything has left", async () => {
    const { clock, socket } = watched(100);
    await clock.advance(50);
    socket.bufferedBytes = 0;
    await clock.advance(50);
    expect(socket.drains.length).toBe(1);
    expect(clock.timers).toBe(0);
  });

  test("sees within some milliseconds that a client which read slowly reads again", async () => {
    const { clock, socket } = watched(100);
    await clock.advance(1_000);
    socket.bufferedBytes = 50;
    await clock.advance(8);
    expect(socket.drains.length).toBe(1);
  });

  test("hears of bytes that go while more come", async () => {
    const { clock, watch, socket } = watched(100);
    await clock.advance(100);
    socket.bufferedBytes = 250;
    watch.given(socket.watched, 150);
    socket.bufferedBytes = 200;
    await clock.advance(8);
    expect(socket.drains.length).toBe(1);
  });

  test("takes what is sent from within a drain", async () => {
    const { clock, watch, socket } = watched(100);
    let refills = 3;
    socket.onDrain = () => {
      if (refills-- <= 0) return;
      socket.bufferedBytes = 100;
      watch.given(socket.watched, 100);
      clock.timer(20, () => socket.bufferedBytes = 0);
    };
    socket.bufferedBytes = 0;
    await clock.advance(200);
    expect(socket.drains.length).toBe(4);
    expect(clock.timers).toBe(0);
  });

  test("forgets a socket that has closed", async () => {
    const { clock, watch, socket } = watched(100);
    await clock.advance(3);
    watch.forget(socket.watched);
    socket.bufferedBytes = 0;
    await clock.advance(100);
    expect(socket.drains).toEqual([]);
    expect(clock.timers).toBe(0);
  });

  test("tells every socket of its own bytes", async () => {
    const { clock, watch, socket } = watched(100);
    const other = new Buffered(clock);
    other.bufferedBytes = 10;
    watch.given(other.watched, 10);
    await clock.advance(20);
    other.bufferedBytes = 0;
    await clock.advance(20);
    expect(other.drains.length).toBe(1);
    expect(socket.drains).toEqual([]);
  });
});
