/** What each command does to the state. Refused ones change nothing. */
import { shown } from "../../lib/errors.ts";
import { utf8Length } from "../../lib/utf8_length.ts";
import type { Command } from "./commands.ts";
import type { Change } from "./key_values.ts";
import { type Lease, leaseBytes, type LeaseChange } from "./leases.ts";
import {
  KEY_BYTES_MAX,
  LEASE_HOLDER_BYTES_MAX,
  LEASE_NAME_BYTES_MAX,
  LEASES_MAX,
  MEMBERS_MAX,
  STATE_BYTES_MAX,
  VALUE_BYTES_MAX,
} from "./limits.ts";
import { type Parts, stateBytesOf } from "./parts.ts";
import type { Result } from "./results.ts";

export interface Effect {
  readonly result: Result;
  readonly change: Change | undefined;
  readonly leaseChange: LeaseChange | undefined;
}

const NOT_FOUND: Effect = only({ kind: "not-found" });

/** Applies `command`, which stands in the entry `index`. */
export function execute(parts: Parts, index: number, command: Command): Effect {
  switch (command.kind) {
    case "open-session":
      return parts.sessions.open(command.session) ? done(parts) : only({ kind: "session-expired" });
    case "close-session":
      return parts.sessions.close(command.session) ? done(parts) : only({ kind: "session-expired" });
    case "set":
      return write(parts, command.key, command.value, undefined);
    case "delete":
      return write(parts, command.key, null, undefined);
    case "compare-and-set":
      return write(parts, command.key, command.value, command.expected);
    case "acquire-lease":
      return acquire(parts, index, command.name, command.holder, command.ttlMs);
    case "renew-lease": {
      const lease = heldLease(parts, command.name, command.token);
      return lease === undefined ? NOT_FOUND : renew(parts, index, lease, command.ttlMs);
    }
    case "release-lease": {
      const lease = heldLease(parts, command.name, command.token);
      return lease === undefined ? NOT_FOUND : end(parts, "released", lease);
    }
    case "expire-lease": {
      const lease = heldLease(parts, command.name, command.token);
      return lease?.renewedAt === command.renewedAt ? end(parts, "expired", lease) : NOT_FOUND;
    }
    case "set-member": {
      const outcome = parts.members.set(command.member);
      if (outcome === "full") return tooLarge("members", parts.members.size + 1, MEMBERS_MAX, "members");
      return outcome === "forgotten" ? NOT_FOUND : done(parts);
    }
    case "forget-member":
      parts.members.forget(command.raftId);
      return done(parts);
  }
}

/** `value` null deletes. `expected`: see `compare-and-set`; undefined: whatever is there. */
function write(parts: Parts, key: string, value: Uint8Array | null, expected: number | undefined): Effect {
  const { values } = parts;
  const keyBytes = utf8Length(key);
  if (keyBytes > KEY_BYTES_MAX) return tooLarge(`the key ${shown(key)}`, keyBytes, KEY_BYTES_MAX);
  if (value !== null && value.byteLength > VALUE_BYTES_MAX) {
    return tooLarge(`the value of ${shown(key)}`, value.byteLength, VALUE_BYTES_MAX);
  }
  const revision = values.get(key)?.revision ?? 0;
  if (expected !== undefined && expected !== revision) return only({ kind: "conflict", revision });
  if (value === null) return changed(values.delete(key));
  const growth = values.growth(key, value.byteLength);
  const bytes = stateBytesOf(parts) + growth;
  // What does not grow is taken however full the state is.
  if (growth > 0 && bytes > STATE_BYTES_MAX) {
    return tooLarge(`the whole state with ${shown(key)}`, bytes, STATE_BYTES_MAX);
  }
  return changed(values.set(key, value));
}

function acquire(parts: Parts, index: number, name: string, holder: string, ttlMs: number): Effect {
  const { leases } = parts;
  const held = leases.get(name);
  if (held?.holder === holder) return renew(parts, index, held, ttlMs);
  if (held !== undefined) return only({ kind: "held", holder: held.holder, token: held.token });
  const nameBytes = utf8Length(name);
  if (nameBytes > LEASE_NAME_BYTES_MAX) {
    return tooLarge(`the lease's name ${shown(name)}`, nameBytes, LEASE_NAME_BYTES_MAX);
  }
  const holderBytes = utf8Length(holder);
  if (holderBytes > LEASE_HOLDER_BYTES_MAX) {
    return tooLarge(`the lease's holder ${shown(holder)}`, holderBytes, LEASE_HOLDER_BYTES_MAX);
  }
  if (leases.size >= LEASES_MAX) return tooLarge("leases", leases.size + 1, LEASES_MAX, "leases");
  const bytes = stateBytesOf(parts) + leaseBytes(name, holder);
  if (bytes > STATE_BYTES_MAX) {
    return tooLarge(`the whole state with the lease ${shown(name)}`, bytes, STATE_BYTES_MAX);
  }
  return leased("granted", leases.grant(name, holder, ttlMs, index));
}

/** The lease, if it is held with this token. */
function heldLease({ leases }: Parts, name: string, token: number): Lease | undefined {
  const lease = leases.get(name);
  return lease?.token === token ? lease : undefined;
}

function renew({ leases }: Parts, index: number, lease: Lease, ttlMs: number): Effect {
  return leased("renewed", leases.renew(lease, ttlMs, index));
}

function leased(kind: "granted" | "renewed", lease: Lease): Effect {
  const { token, ttlMs } = lease;
  return { result: { kind: "leased", token, ttlMs }, change: undefined, leaseChange: { kind, lease } };
}

function end(parts: Parts, kind: "released" | "expired", lease: Lease): Effect {
  parts.leases.end(lease);
  return { ...done(parts), leaseChange: { kind, lease } };
}

function changed(change: Change | undefined): Effect {
  if (change === undefined) return NOT_FOUND;
  return { result: { kind: "done", revision: change.revision }, change, leaseChange: undefined };
}

function done({ values }: Parts): Effect {
  return only({ kind: "done", revision: values.revision });
}

function tooLarge(what: string, size: number, max: number, unit = "bytes"): Effect {
  const message = unit === "bytes"
    ? `${what} would take ${size} bytes, at most ${max} are allowed`
    : `there would be ${size} ${unit}, at most ${max} are allowed`;
  // What is shown is cut by units, which may leave half a surrogate pair, and no snapshot could hold that.
  return only({ kind: "too-large", message: message.toWellFormed() });
}

function only(result: Result): Effect {
  return { result, change: undefined, leaseChange: undefined };
}
