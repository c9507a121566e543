/** Notices when a subscription has fallen silent: a node sends to itself, and must hear that. */
import { type Clock, every, type Timer } from "../src/lib/clock.ts";
import { jittered, type Random } from "../src/lib/random.ts";
import type { Broker } from "./broker_contract.ts";

interface Watched {
  heardAt: number;
  /** Jittered, so that of many nodes on one channel mostly one asks, and all of them hear it. */
  silenceMs: number;
  askedAt: number | undefined;
  everHeard: boolean;
}

export class Silence {
  readonly #watched: ReadonlyMap<string, Watched>;
  readonly #limits: Pick<Broker, "silenceMs" | "answerMs">;
  readonly #clock: Clock;
  readonly #random: Random;
  #ticker: Timer | undefined;

  constructor(
    channels: readonly string[],
    limits: Pick<Broker, "silenceMs" | "answerMs">,
    { clock, random }: { readonly clock: Clock; readonly random: Random },
  ) {
    const fresh = (): Watched => ({ heardAt: 0, silenceMs: 0, askedAt: undefined, everHeard: false });
    this.#watched = new Map(channels.map((channel) => [channel, fresh()]));
    this.#limits = limits;
    this.#clock = clock;
    this.#random = random;
  }

  /** Whether every channel has been heard. */
  get all(): boolean {
    for (const { everHeard } of this.#watched.values()) if (!everHeard) return false;
    return true;
  }

  /** Asks at once, then whenever a channel is silent; `look` is called several times within each limit. */
  begin(ask: (channel: string) => void, look: (now: number) => void): void {
    const periodMs = Math.min(this.#limits.silenceMs, this.#limits.answerMs) / 4;
    let lookedAt = this.#clock.now();
    for (const [channel, watched] of this.#watched) this.#ask(channel, watched, lookedAt, ask);
    this.#ticker = every(this.#clock, periodMs, () => {
      const now = this.#clock.now();
      // This process stood still, not the broker: what was missed is not held against it.
      const late = now - lookedAt > periodMs * 3;
      lookedAt = now;
      for (const [channel, watched] of this.#watched) {
        const due = watched.askedAt === undefined && now - watched.heardAt >= watched.silenceMs;
        if (late || due) this.#ask(channel, watched, now, ask);
      }
      if (!late) look(now);
    });
  }

  heard(channel: string): void {
    const watched = this.#watched.get(channel);
    if (watched === undefined) return;
    watched.heardAt = this.#clock.now();
    watched.askedAt = undefined;
    watched.everHeard = true;
  }

  /** Milliseconds since a channel was asked that did not answer in time; undefined when all is well. */
  silentMs(now: number): number | undefined {
    for (const { askedAt } of this.#watched.values()) {
      if (askedAt !== undefined && now - askedAt >= this.#limits.answerMs) return now - askedAt;
    }
    return undefined;
  }

  end(): void {
    this.#ticker?.cancel();
  }

  #ask(channel: string, watched: Watched, now: number, ask: (channel: string) => void): void {
    watched.askedAt = now;
    watched.silenceMs = jittered(this.#random, this.#limits.silenceMs);
    ask(channel);
  }
}
