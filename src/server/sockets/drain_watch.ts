import type { Clock, Timer } from "../../lib/clock.ts";

/** Looks in turns that follow each other, before a socket is looked at only now and then. */
const QUICK_LOOKS = 16;
/** The pause between two looks at sockets whose clients read slowly. */
const SLOW_LOOK_MS = 8;

/** What is looked at. */
export interface Draining {
  readonly bufferedBytes: number;
  /** Bytes have left. Must not throw. */
  drained(): void;
}

interface Look {
  lastBytes: number;
  /** In a row that found nothing gone. */
  vain: number;
}

/**
 * Sees bytes leave the buffers of sockets that do not tell by themselves. All sockets share one timer, since after a
 * message to ten thousand clients all of them have something buffered: looked at in every turn at first, for a kernel
 * with room takes the bytes within some turns, and after that every few milliseconds.
 */
export class DrainWatch {
  readonly #clock: Clock;
  #quick = new Map<Draining, Look>();
  readonly #slow = new Map<Draining, Look>();
  #quickTimer: Timer | undefined;
  #slowTimer: Timer | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** `socket` was just given bytes: it is watched until it has none. */
  watch(socket: Draining): void {
    const lastBytes = socket.bufferedBytes;
    if (lastBytes === 0) return;
    const known = this.#quick.get(socket) ?? this.#slow.get(socket);
    if (known !== undefined) known.lastBytes = lastBytes;
    else this.#watchQuickly(socket, { lastBytes, vain: 0 });
  }

  #watchQuickly(socket: Draining, look: Look): void {
    this.#quick.set(socket, look);
    this.#quickTimer ??= this.#clock.timer(0, () => this.#lookQuickly());
  }

  /** The socket has closed. */
  forget(socket: Draining): void {
    this.#quick.delete(socket);
    this.#slow.delete(socket);
  }

  #lookQuickly(): void {
    this.#quickTimer = undefined;
    for (const [socket, look] of this.#quick) {
      if (!this.#look(this.#quick, socket, look) && look.vain >= QUICK_LOOKS) {
        this.#quick.delete(socket);
        this.#slow.set(socket, look);
        this.#slowTimer ??= this.#clock.timer(SLOW_LOOK_MS, () => this.#lookSlowly());
      }
    }
    if (this.#quick.size > 0) this.#quickTimer ??= this.#clock.timer(0, () => this.#lookQuickly());
  }

  #lookSlowly(): void {
    this.#slowTimer = undefined;
    for (const [socket, look] of this.#slow) {
      if (!this.#look(this.#slow, socket, look) || !this.#slow.delete(socket)) continue;
      this.#watchQuickly(socket, look);
    }
    if (this.#slow.size > 0) this.#slowTimer ??= this.#clock.timer(SLOW_LOOK_MS, () => this.#lookSlowly());
  }

  /** True when bytes have left; a socket without any more is forgotten first. */
  #look(among: Map<Draining, Look>, socket: Draining, look: Look): boolean {
    const { bufferedBytes } = socket;
    const fell = bufferedBytes < look.lastBytes;
    look.lastBytes = bufferedBytes;
    look.vain = fell ? 0 : look.vain + 1;
    if (bufferedBytes === 0) among.delete(socket);
    if (fell) socket.drained();
    return fell;
  }
}
