import type { Clock, Timer } from "../../lib/clock.ts";

/** Looks in turns that follow each other, before a socket is looked at only now and then. */
const QUICK_LOOKS = 16;
/** The pause between two looks at sockets whose clients read slowly. */
const SLOW_LOOK_MS = 8;

/** What is looked at. */
export interface Draining {
  /** Bytes the kernel does not have yet, now. */
  look(): number;
  /** Bytes have left. Must not throw. */
  drained(): void;
}

/** One socket in the eyes of its watch; made once, since it is used for every message. */
export class Watched {
  readonly socket: Draining;
  /** As of the last look, and what was sent since. */
  bytes = 0;
  /** Looks in a row that found nothing gone. */
  vain = 0;
  among: "none" | "quick" | "slow" = "none";

  constructor(socket: Draining) {
    this.socket = socket;
  }
}

/**
 * Sees bytes leave the buffers of sockets that do not tell by themselves. All sockets share one timer,
 * since after a message to ten thousand clients all of them have something buffered: looked at in every
 * turn at first, for a kernel with room takes the bytes within some turns, and after that every few
 * milliseconds.
 */
export class DrainWatch {
  readonly #clock: Clock;
  #quick: Watched[] = [];
  #slow: Watched[] = [];
  #quickTimer: Timer | undefined;
  #slowTimer: Timer | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** The socket was just given `bytes` bytes: it is watched until it has none. */
  given(watched: Watched, bytes: number): void {
    watched.bytes += bytes;
    if (watched.bytes === 0 || watched.among !== "none") return;
    watched.vain = 0;
    this.#lookSoon(watched);
  }

  /** The socket has closed. */
  forget(watched: Watched): void {
    watched.among = "none";
  }

  #lookSoon(watched: Watched): void {
    watched.among = "quick";
    this.#quick.push(watched);
    this.#quickTimer ??= this.#clock.timer(0, () => {
      this.#quickTimer = undefined;
      const all = this.#quick;
      this.#quick = [];
      for (const each of all) if (each.among === "quick") this.#look(each);
    });
  }

  #lookLater(watched: Watched): void {
    watched.among = "slow";
    this.#slow.push(watched);
    this.#slowTimer ??= this.#clock.timer(SLOW_LOOK_MS, () => {
      this.#slowTimer = undefined;
      const all = this.#slow;
      this.#slow = [];
      for (const each of all) if (each.among === "slow") this.#look(each);
    });
  }

  /** Decides first when to look again: being told of the drain, the socket's owner may send and close. */
  #look(watched: Watched): void {
    const bytes = watched.socket.look();
    const fell = bytes < watched.bytes;
    watched.bytes = bytes;
    watched.vain = fell ? 0 : watched.vain + 1;
    if (bytes === 0) watched.among = "none";
    else if (watched.vain < QUICK_LOOKS) this.#lookSoon(watched);
    else this.#lookLater(watched);
    if (fell) watched.socket.drained();
  }
}
