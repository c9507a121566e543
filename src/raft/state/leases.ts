/**
 * Leases: names that one holder at a time has. The state knows no time: the leader's clock ends a lease by a
 * command. Fencing tokens grow over all leases, so that what a lease guards can refuse an older holder.
 */
import { utf8Length } from "../../lib/utf8_length.ts";
import { ITEM_BYTES } from "./limits.ts";

export interface Lease {
  readonly name: string;
  readonly holder: string;
  readonly token: number;
  readonly ttlMs: number;
  /**
   * Index of the entry that granted it or renewed it last; 0 after the cluster was re-formed, whose log may
   * count anew.
   */
  readonly renewedAt: number;
}

/** `lease`: as it is now; as it was when it was released or expired. */
export interface LeaseChange {
  readonly kind: "granted" | "renewed" | "released" | "expired";
  readonly lease: Lease;
}

export class Leases {
  /** The one granted first first: ascending by token. */
  readonly #leases: Map<string, Lease> = new Map();
  #lastToken: number;
  #everGranted = false;
  #bytes = 0;

  /** Every token is above `tokenFloor`. */
  constructor(tokenFloor: number) {
    this.#lastToken = tokenFloor;
  }

  get size(): number {
    return this.#leases.size;
  }

  get lastToken(): number {
    return this.#lastToken;
  }

  get everGranted(): boolean {
    return this.#everGranted;
  }

  /** Bytes of names and holders, and `ITEM_BYTES` for each lease. */
  get bytes(): number {
    return this.#bytes;
  }

  get(name: string): Lease | undefined {
    return this.#leases.get(name);
  }

  /** Ascending by token. */
  all(): Iterable<Lease> {
    return this.#leases.values();
  }

  /** `name` is free. */
  grant(name: string, holder: string, ttlMs: number, renewedAt: number): Lease {
    const lease = { name, holder, token: ++this.#lastToken, ttlMs, renewedAt };
    this.#everGranted = true;
    this.#add(lease);
    return lease;
  }

  renew(lease: Lease, ttlMs: number, renewedAt: number): Lease {
    const renewed = { ...lease, ttlMs, renewedAt };
    this.#leases.set(lease.name, renewed);
    return renewed;
  }

  end(lease: Lease): void {
    this.#leases.delete(lease.name);
    this.#bytes -= leaseBytes(lease.name, lease.holder);
  }

  /** The cluster is re-formed: tokens go on above `tokenFloor`; no entry of the new log renewed anything. */
  reform(tokenFloor: number): void {
    this.#lastToken = Math.max(this.#lastToken, tokenFloor);
    for (const [name, lease] of this.#leases) this.#leases.set(name, { ...lease, renewedAt: 0 });
  }

  /** Of a snapshot: leases come in the order of `all`. */
  restore(everGranted: boolean, leases: Iterable<Lease>): void {
    this.#everGranted = everGranted;
    for (const lease of leases) this.#add(lease);
  }

  #add(lease: Lease): void {
    this.#leases.set(lease.name, lease);
    this.#bytes += leaseBytes(lease.name, lease.holder);
  }
}

/** What a lease counts towards the size of the state. */
export function leaseBytes(name: string, holder: string): number {
  return utf8Length(name) + utf8Length(holder) + ITEM_BYTES;
}
