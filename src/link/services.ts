import { FlotillaError, reasonOf, shown } from "../lib/errors.ts";
import type { Logger } from "../lib/logger.ts";
import type { DownReason, LinkService, Session } from "./contract.ts";

/** The users of the links, by port. One that throws harms neither the others nor the caller. */
export class Services {
  readonly #logger: Logger;
  readonly #byPort = new Map<number, LinkService>();
  /** The session whose `up` is being announced, and to how many services so far. */
  #beginning: { readonly session: Session; told: number } | undefined;

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  /** False if the port is in use. */
  add(port: number, service: LinkService): boolean {
    if (this.#byPort.has(port)) return false;
    this.#byPort.set(port, service);
    return true;
  }

  /** Throws `malformed` for a port that nobody serves. */
  at(port: number): LinkService {
    const service = this.#byPort.get(port);
    if (service === undefined) throw new FlotillaError("malformed", `nothing serves port ${shown(port)}`);
    return service;
  }

  /** Tells every service while the session lives. False if one threw. */
  tell(session: Session, call: (service: LinkService) => void): boolean {
    let whole = true;
    for (const service of this.#byPort.values()) {
      if (session.live && !this.#guarded(session, () => call(service))) whole = false;
    }
    return whole;
  }

  /** A session begins. False if a service threw. */
  up(session: Session): boolean {
    const beginning = this.#beginning = { session, told: 0 };
    const whole = this.tell(session, (service) => {
      beginning.told++;
      service.up?.(session);
    });
    this.#beginning = undefined;
    return whole;
  }

  /** A session ended: tells those that heard of its beginning. */
  down(session: Session, reason: DownReason): void {
    const told = this.#beginning?.session === session ? this.#beginning.told : this.#byPort.size;
    for (const service of [...this.#byPort.values()].slice(0, told)) {
      this.#guarded(session, () => service.down?.(session, reason));
    }
  }

  #guarded(session: Session, call: () => void): boolean {
    try {
      call();
      return true;
    } catch (thrown) {
      this.#logger.error("a service failed", { peer: session.nodeId, reason: reasonOf(thrown) });
      return false;
    }
  }
}
