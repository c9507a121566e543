import { type Bytes, fromUtf8, utf8 } from "../../src/lib/bytes.ts";
import type { Unsubscribe } from "../../src/lib/events.ts";
import type { LinkService, Session } from "../../src/link/contract.ts";
import { CONTROL } from "../../src/link/contract.ts";
import type { Route, RouteDirectory } from "../../src/router/contract.ts";
import type { FakeLinks } from "./fake_links.ts";

interface Claim {
  readonly nodeId: string;
  readonly handle: number;
  readonly stamp: number;
}

type Frame =
  | { readonly kind: "add"; readonly id: string; readonly handle: number; readonly stamp: number }
  | { readonly kind: "remove"; readonly id: string; readonly handle: number }
  | { readonly kind: "ask"; readonly id: string };

const PORT = 1;

/** A small honest directory: owners announce, the latest claim counts, a node that is down has no claims. */
export class FakeDirectory implements RouteDirectory, LinkService {
  /** Called for each own connection that a later claim of another node has beaten. */
  lost: (connectionId: string) => void = () => {};
  /** Own claims are kept to itself while false, so that peers have to ask. */
  announces = true;
  readonly #links: FakeLinks;
  readonly #stamp: () => number;
  readonly #claims = new Map<string, Claim[]>();
  readonly #handles = new Map<number, string>();
  readonly #listeners: ((connectionId: string) => void)[] = [];
  readonly #waiting: { id: string; answers: number; heard: (route: Route | undefined) => void }[] = [];
  #next = 1;

  constructor(links: FakeLinks, stamp: () => number) {
    this.#links = links;
    this.#stamp = stamp;
    links.register(PORT, this);
  }

  register(id: string): number {
    this.unregister(id);
    const handle = this.#next++;
    this.#handles.set(handle, id);
    const stamp = this.#stamp();
    this.#add(id, { nodeId: this.#links.nodeId, handle, stamp });
    if (this.announces) this.#tell({ kind: "add", id, handle, stamp });
    return handle;
  }

  unregister(id: string): void {
    const own = this.#claims.get(id)?.find((claim) => claim.nodeId === this.#links.nodeId);
    if (own === undefined) return;
    this.#handles.delete(own.handle);
    this.#remove(id, own.nodeId, own.handle);
    this.#tell({ kind: "remove", id, handle: own.handle });
  }

  lookup(id: string): Route | undefined {
    const claims = this.#claims.get(id);
    if (claims === undefined) return undefined;
    const { nodeId, handle } = claims.reduce((a, b) => a.stamp > b.stamp ? a : b);
    return { nodeId, handle, local: nodeId === this.#links.nodeId };
  }

  resolve(id: string): Promise<Route | undefined> {
    const sessions = [...this.#links.sessions()];
    return new Promise((heard) => {
      this.#waiting.push({ id, answers: sessions.length, heard });
      for (const session of sessions) this.#send(session, { kind: "ask", id });
      this.#settle();
    });
  }

  localByHandle(handle: number): string | undefined {
    return this.#handles.get(handle);
  }

  onRouteChange(listener: (connectionId: string) => void): Unsubscribe {
    this.#listeners.push(listener);
    return () => {};
  }

  up(session: Session): void {
    for (const [id, claims] of this.#claims) {
      const own = claims.find((claim) => claim.nodeId === this.#links.nodeId);
      if (own !== undefined && this.announces) this.#send(session, { ...own, kind: "add", id });
    }
  }

  down(session: Session): void {
    for (const [id, claims] of [...this.#claims]) {
      for (const claim of claims) {
        if (claim.nodeId === session.nodeId) this.#remove(id, claim.nodeId, claim.handle);
      }
    }
    for (const question of this.#waiting) question.answers--;
    this.#settle();
  }

  frame(session: Session, _lane: number, payload: Bytes): void {
    const frame = JSON.parse(fromUtf8(payload)) as Frame;
    if (frame.kind === "add") this.#add(frame.id, { ...frame, nodeId: session.nodeId });
    else if (frame.kind === "remove") this.#remove(frame.id, session.nodeId, frame.handle);
    else {
      const own = this.#claims.get(frame.id)?.find((claim) => claim.nodeId === this.#links.nodeId);
      this.#send(
        session,
        own === undefined
          ? { kind: "remove", id: frame.id, handle: 0 }
          : { ...own, kind: "add", id: frame.id },
      );
      return;
    }
    for (const question of this.#waiting) if (question.id === frame.id) question.answers--;
    this.#settle();
  }

  #add(id: string, claim: Claim): void {
    const others = (this.#claims.get(id) ?? []).filter(({ nodeId }) => nodeId !== claim.nodeId);
    this.#claims.set(id, [...others, claim]);
    const own = others.find(({ nodeId }) => nodeId === this.#links.nodeId);
    if (own !== undefined && own.stamp < claim.stamp) {
      this.lost(id);
      this.unregister(id);
    }
    this.#changed(id);
  }

  #remove(id: string, nodeId: string, handle: number): void {
    const claims = this.#claims.get(id);
    if (claims === undefined) return;
    const rest = claims.filter((claim) => claim.nodeId !== nodeId || claim.handle !== handle);
    if (rest.length === claims.length) return;
    if (rest.length > 0) this.#claims.set(id, rest);
    else this.#claims.delete(id);
    this.#changed(id);
  }

  #changed(id: string): void {
    for (const listener of this.#listeners) listener(id);
  }

  /** Ends the questions that are answered: a route is known, or nobody is left to say so. */
  #settle(): void {
    for (const question of [...this.#waiting]) {
      const route = this.lookup(question.id);
      if (route === undefined && question.answers > 0) continue;
      this.#waiting.splice(this.#waiting.indexOf(question), 1);
      question.heard(route);
    }
  }

  #tell(frame: Frame): void {
    for (const session of this.#links.sessions()) this.#send(session, frame);
  }

  #send(session: Session, frame: Frame): void {
    session.send(CONTROL, PORT, utf8(JSON.stringify(frame)));
  }
}
