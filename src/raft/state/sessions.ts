/**
 * What makes a retried command apply once (thesis, 6.3): each session remembers the results of the sequences
 * that its node may still ask for.
 *
 * A sequence below a session's floor is never applied, whether it was before or not. The floor is the highest
 * doneBelow that was seen: such a command is a late copy of one whose caller has its answer. It is also 4,095
 * below the highest sequence, which bounds what is remembered. A node that keeps fewer than 4,096 commands
 * outstanding never meets the second; one that does not finds out neither result nor whether there was one.
 * Saying `session-expired` instead would invite it to propose the command again, which could apply it twice.
 */
import type { Result } from "./results.ts";
import { ENDED_SESSIONS_MAX, RESULTS_MAX, RESULTS_PER_SESSION_MAX, SESSIONS_MAX } from "./limits.ts";

export interface Session {
  readonly id: number;
  floor: number;
  /** By sequence, none below the floor. */
  readonly results: Map<number, Result>;
}

export class Sessions {
  /** The one least recently used first. Entries are applied one after the other, so there are no ties. */
  readonly #sessions: Map<number, Session> = new Map();
  /** The oldest first. One that opened again would know nothing of what it applied. */
  readonly #ended: Set<number> = new Set();
  #latest: Session | undefined;
  #results = 0;

  get size(): number {
    return this.#sessions.size;
  }

  /** The one least recently used first. */
  all(): Iterable<Session> {
    return this.#sessions.values();
  }

  /** Of those that ended the newest 4,096, the oldest of them first. */
  ended(): Iterable<number> {
    return this.#ended;
  }

  /** False for one that has ended. */
  open(id: number): boolean {
    if (this.use(id) !== undefined) return true;
    if (this.#ended.has(id)) return false;
    this.#add({ id, floor: 1, results: new Map() });
    return true;
  }

  close(id: number): boolean {
    const session = this.#sessions.get(id);
    if (session === undefined) return false;
    this.#end(session);
    return true;
  }

  /** The session, which is now the one most recently used. */
  use(id: number): Session | undefined {
    if (this.#latest?.id === id) return this.#latest;
    const session = this.#sessions.get(id);
    if (session === undefined) return undefined;
    this.#sessions.delete(id);
    this.#sessions.set(id, session);
    return this.#latest = session;
  }

  /** Raises the floor, if it is lower. */
  forgetBelow(session: Session, floor: number): void {
    const { results } = session;
    if (floor <= session.floor) return;
    const before = results.size;
    if (floor - session.floor <= before) {
      for (let sequence = session.floor; sequence < floor; sequence++) results.delete(sequence);
    } else {
      for (const sequence of results.keys()) if (sequence < floor) results.delete(sequence);
    }
    session.floor = floor;
    this.#results -= before - results.size;
  }

  /** `sequence` is not below the floor and was not remembered. A session that ended remembers nothing. */
  remember(session: Session, sequence: number, result: Result): void {
    if (this.#sessions.get(session.id) !== session) return;
    this.forgetBelow(session, sequence - RESULTS_PER_SESSION_MAX + 1);
    session.results.set(sequence, result);
    this.#results++;
    this.#evict();
  }

  /** Of a snapshot: sessions come in the order of `all`, ended ones in that of `ended`. */
  restore(sessions: Iterable<Session>, ended: Iterable<number>): void {
    for (const session of sessions) this.#add(session);
    for (const id of ended) this.#ended.add(id);
  }

  #add(session: Session): void {
    this.#sessions.set(session.id, session);
    this.#latest = session;
    this.#results += session.results.size;
    this.#evict();
  }

  /** The session most recently used is never too much alone. */
  #evict(): void {
    while (this.#sessions.size > SESSIONS_MAX || this.#results > RESULTS_MAX) {
      for (const oldest of this.#sessions.values()) {
        this.#end(oldest);
        break;
      }
    }
  }

  #end(session: Session): void {
    this.#sessions.delete(session.id);
    if (this.#latest === session) this.#latest = undefined;
    this.#results -= session.results.size;
    this.#ended.add(session.id);
    if (this.#ended.size <= ENDED_SESSIONS_MAX) return;
    for (const oldest of this.#ended) {
      this.#ended.delete(oldest);
      break;
    }
  }
}
