/**
 * The addresses a node knows, each with its dial loop: configured ones for ever, learnt ones within a
 * bound.
 */
import type { Dialer } from "../src/lib/dial.ts";
import type { Socket, SocketEvents } from "../src/lib/socket.ts";
import type { ListedNode, TransportContext } from "../src/transport.ts";
import type { NodeAddress } from "./node_list.ts";
import { DialLoop } from "./ws_dial_loop.ts";
import type { Hello } from "./ws_hello.ts";

/** Addresses heard of from peers; over it the one that failed most often is forgotten. */
const LEARNT_ADDRESSES_MAX = 256;

export interface AddressBookOptions {
  readonly context: TransportContext;
  readonly channelName: string;
  readonly dialer: Dialer;
  readonly reached: (nodeId: string) => boolean;
  readonly opened: (socket: Socket, loop: DialLoop, holdsSmallWrites: boolean) => SocketEvents;
}

export class AddressBook {
  /** By origin, `ws://host:port`. */
  readonly #loops = new Map<string, DialLoop>();
  /** Origins that turned out to be this node itself. */
  readonly #own = new Set<string>();
  readonly #options: AddressBookOptions;

  constructor(options: AddressBookOptions) {
    this.#options = options;
  }

  /** Begins to dial the configured addresses. */
  start(nodes: readonly NodeAddress[]): void {
    for (const { url, nodeId } of nodes) if (url !== undefined) this.#add(url, nodeId, false);
  }

  stop(): void {
    for (const loop of this.#loops.values()) loop.stop();
    this.#loops.clear();
  }

  /**
   * Takes over what a proven peer says about itself and about others. `ownUrl`: where this node is itself.
   */
  learn(hello: Hello, ownUrl: string | undefined): void {
    const { context } = this.#options;
    const told = hello.url === undefined ? [] : [[hello.nodeId, hello.url] as const];
    for (const [nodeId, url] of [...told, ...hello.peers]) {
      if (nodeId === context.nodeId || url === ownUrl || this.#own.has(url)) continue;
      // Who lives at an address that is dialled already shows when it answers, better than by hearsay.
      if (!this.#loops.has(url)) this.#add(url, nodeId, true);
    }
    const lives = hello.url === undefined ? undefined : this.#loops.get(hello.url);
    // It says of itself where it lives, and has proven who it is.
    if (lives !== undefined) lives.nodeId ??= hello.nodeId;
    if (hello.url !== undefined) this.#forgetFormer(hello.nodeId, hello.url);
    this.#forgetSurplus();
  }

  /** A proven path leads to `nodeId`. */
  rest(nodeId: string): void {
    for (const loop of this.#of(nodeId)) loop.rest();
  }

  /** The proven path to `nodeId` is gone. */
  wake(nodeId: string): void {
    for (const loop of this.#of(nodeId)) loop.wake();
  }

  /** `loop` dials this node itself: never again. */
  dropOwn(loop: DialLoop): void {
    for (const [url, other] of this.#loops) if (other === loop) this.#own.add(url);
    this.#drop(loop);
  }

  /** Where `nodeId` can be dialled, as this node found out itself. */
  urlOf(nodeId: string): string | undefined {
    for (const [url, loop] of this.#loops) if (loop.nodeId === nodeId && !loop.learnt) return url;
    return undefined;
  }

  /** The configured addresses that are not this node's own. */
  listed(): ListedNode[] {
    const configured = [...this.#loops].filter(([, { learnt }]) => !learnt);
    return configured.map(([entry, { nodeId }]) => ({ entry, nodeId }));
  }

  #add(url: string, nodeId: string | undefined, learnt: boolean): void {
    const { context, channelName, dialer, reached, opened } = this.#options;
    const { clock, random, logger } = context;
    const loop = new DialLoop({
      url: new URL(channelName, url).href,
      nodeId,
      learnt,
      dialer,
      clock,
      random,
      logger,
      reached,
      opened,
    });
    this.#loops.set(url, loop);
    loop.start();
  }

  #of(nodeId: string): DialLoop[] {
    return [...this.#loops.values()].filter((loop) => loop.nodeId === nodeId);
  }

  /** A node that moved is not at its former learnt addresses any more. */
  #forgetFormer(nodeId: string, url: string): void {
    const current = this.#loops.get(url);
    for (const loop of this.#of(nodeId)) if (loop.learnt && loop !== current) this.#drop(loop);
  }

  #forgetSurplus(): void {
    const learnt = [...this.#loops.values()].filter((loop) => loop.learnt);
    learnt.sort((a, b) => b.failures - a.failures);
    for (const loop of learnt.slice(0, Math.max(0, learnt.length - LEARNT_ADDRESSES_MAX))) this.#drop(loop);
  }

  #drop(loop: DialLoop): void {
    loop.stop();
    for (const [url, other] of this.#loops) if (other === loop) this.#loops.delete(url);
  }
}
