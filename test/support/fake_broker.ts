/** A broker in virtual time, with its faults, for tests of what all broker transports share. */
import type { Bytes } from "../../src/lib/bytes.ts";
import type { Clock } from "../../src/lib/clock.ts";
import { FlotillaError } from "../../src/lib/errors.ts";
import type { Brokers } from "../../transports/broker.ts";
import type { Broker, BrokerConnection, BrokerEvents } from "../../transports/broker_contract.ts";

export interface Published {
  readonly channel: string;
  readonly message: Bytes;
}

interface Subscriber {
  readonly channels: readonly string[];
  readonly events: BrokerEvents;
}

export class FakeBroker {
  readonly #clock: Clock;
  readonly #subscribers = new Set<Subscriber>();
  /** Everything that was published, in order. */
  readonly published: Published[] = [];
  /** When somebody tried to connect, ms. */
  readonly attempts: number[] = [];
  /** Connections that are not closed. */
  open = 0;
  /** `refuses`: connecting fails. `hangs`: connecting never ends. */
  state: "up" | "refuses" | "hangs" = "up";
  /** What is published is taken and reaches nobody. */
  mute = false;
  /** `refused`: publishing fails. `stuck`: it never ends. */
  publishing: "taken" | "refused" | "stuck" = "taken";

  /** Connections never close. */
  holds = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  broker(): Broker {
    return {
      address: "fake://broker",
      packetBytesMax: 131_072,
      silenceMs: 1_000,
      answerMs: 2_000,
      open: (channels, events, signal) => this.#open(channels, events, signal),
    };
  }

  /** It alone does all. */
  brokers(): Brokers {
    const broker = this.broker();
    return { name: "fake", discovers: broker, carries: broker };
  }

  /** All connections break. */
  cut(): void {
    for (const { events } of [...this.#subscribers]) events.lost("cut");
  }

  publish(channel: string, message: Bytes): number {
    this.published.push({ channel, message });
    if (this.mute) return 1;
    const hearing = [...this.#subscribers].filter(({ channels }) => channels.includes(channel));
    for (const subscriber of hearing) {
      this.#clock.timer(1, () => {
        if (this.#subscribers.has(subscriber)) subscriber.events.message(channel, message);
      });
    }
    return hearing.length;
  }

  async #open(
    channels: readonly string[],
    events: BrokerEvents,
    signal: AbortSignal,
  ): Promise<BrokerConnection> {
    this.attempts.push(this.#clock.now());
    if (this.state === "refuses") throw new FlotillaError("node-lost", "nobody is there");
    if (this.state === "hangs") {
      await new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
    }
    const subscriber = { channels, events };
    this.#subscribers.add(subscriber);
    this.open++;
    return {
      publish: async (channel, message) => {
        if (this.publishing === "refused") throw new FlotillaError("node-lost", "too many requests");
        if (this.publishing === "stuck") await new Promise(() => {});
        if (this.publish(channel, message) === 0) events.unheard(channel);
      },
      close: () => {
        if (this.#subscribers.delete(subscriber)) this.open--;
        return this.holds ? new Promise(() => {}) : Promise.resolve();
      },
    };
  }
}
