/**
 * The whole state in bytes. Rows, in pages: a head, then values (`value_rows.ts`), leases, sessions, ended
 * sessions, members and forgotten members, as many of each as the head says. Each stands in the order in
 * which the state keeps it, which follows from the state alone, so that equal states give equal bytes.
 */
import { FlotillaError } from "../../lib/errors.ts";
import { asBoolean, asList, asTuple, asWhole } from "../../lib/shape.ts";
import { asLabel, asSafe, asUtf8, type Field, textField } from "./fields.ts";
import { KeyValues } from "./key_values.ts";
import { type Lease, Leases } from "./leases.ts";
import {
  CLUSTER_ID_BYTES_MAX,
  COUNTER_MAX,
  ENDED_SESSIONS_MAX,
  FORGOTTEN_MEMBERS_MAX,
  LEASE_TTL_MS_MAX,
  LEASE_TTL_MS_MIN,
  LEASES_MAX,
  LINEAGE_MAX,
  MEMBERS_MAX,
  RESULTS_PER_SESSION_MAX,
  SESSIONS_MAX,
  STATE_BYTES_MAX,
} from "./limits.ts";
import { memberFields, Members, readMember } from "./members.ts";
import { PageReader, PageWriter } from "./pages.ts";
import { type Parts, stateBytesOf } from "./parts.ts";
import { readResult, type Result, resultFields } from "./results.ts";
import { type Session, Sessions } from "./sessions.ts";
import { readValues, writeValues } from "./value_rows.ts";

const FORMAT = 1;
/** Bytes of a row of numbers, about. */
const ROW_BYTES = 32;

export function encodeSnapshot(parts: Parts): Uint8Array<ArrayBuffer> {
  const { values, leases, sessions, members } = parts;
  const writer = new PageWriter();
  const ended = [...sessions.ended()];
  const forgotten = [...members.forgotten()];
  const lineage = parts.lineage.map(textField);
  const tokens = [leases.lastToken, leases.everGranted];
  const counts = [values.size, leases.size, sessions.size, ended.length, members.size, forgotten.length];
  writer.row([FORMAT, textField(parts.clusterId), lineage, values.revision, ...tokens, ...counts], ROW_BYTES);
  writeValues(writer, values);
  for (const { name, holder, token, ttlMs, renewedAt } of leases.all()) {
    writer.row([textField(name), textField(holder), token, ttlMs, renewedAt], ROW_BYTES);
  }
  for (const { id, floor, results } of sessions.all()) {
    const ordered = [...results].sort(([a], [b]) => a - b);
    const fields = ordered.map(([sequence, result]): Field[] => [sequence, ...resultFields(result)]);
    writer.row([id, floor, fields], ROW_BYTES * (1 + fields.length));
  }
  for (const id of ended) writer.row([id], ROW_BYTES);
  for (const member of members.all()) writer.row(memberFields(member), ROW_BYTES);
  for (const raftId of forgotten) writer.row([raftId], ROW_BYTES);
  return writer.take();
}

/** Throws `malformed` for whatever `encodeSnapshot` would not write. */
export function decodeSnapshot(bytes: Uint8Array): Parts {
  const reader = new PageReader(bytes);
  const head = asTuple(reader.row(), 12, "the head of a snapshot");
  asWhole(head[0], FORMAT, FORMAT, "the format of a snapshot");
  const clusterId = asLabel(head[1], CLUSTER_ID_BYTES_MAX, "a cluster's id");
  const lineage = asList(head[2], "a lineage").map((id) =>
    asLabel(id, CLUSTER_ID_BYTES_MAX, "a cluster's id")
  );
  demand(lineage.length <= LINEAGE_MAX, `a lineage of ${lineage.length}`);
  const revision = asWhole(head[3], 0, COUNTER_MAX, "a revision");
  const lastToken = asWhole(head[4], 0, COUNTER_MAX, "a token");
  const everGranted = asBoolean(head[5], "whether leases were granted");
  const [keys, held, open, ended, known, forgotten] = [
    asWhole(head[6], 0, STATE_BYTES_MAX, "a number of keys"),
    asWhole(head[7], 0, everGranted ? LEASES_MAX : 0, "a number of leases"),
    asWhole(head[8], 0, SESSIONS_MAX, "a number of sessions"),
    asWhole(head[9], 0, ENDED_SESSIONS_MAX, "a number of ended sessions"),
    asWhole(head[10], 0, MEMBERS_MAX, "a number of members"),
    asWhole(head[11], 0, FORGOTTEN_MEMBERS_MAX, "a number of forgotten members"),
  ];
  const values = new KeyValues();
  values.restore(revision, readValues(reader, keys, revision));
  demand(values.size === keys, "a key twice");
  const leases = new Leases(lastToken);
  leases.restore(everGranted, heldLeases(reader.rows(held), lastToken));
  demand(leases.size === held, "a lease twice");
  const sessions = new Sessions();
  sessions.restore(openSessions(reader.rows(open)), numbers(reader.rows(ended)));
  demand(sessions.size === open, "a session twice, or more results than are kept");
  demand([...sessions.ended()].length === ended, "an ended session twice");
  const members = new Members();
  for (const row of reader.rows(known)) {
    demand(members.set(readMember(asTuple(row, 6, "a member"))) === "set", "too many members");
  }
  demand(members.size === known, "a member twice");
  for (const raftId of numbers(reader.rows(forgotten))) members.forget(raftId);
  demand(members.size === known, "a forgotten member");
  demand([...members.forgotten()].length === forgotten, "a forgotten member twice");
  reader.end();
  const parts = { clusterId, lineage, values, leases, sessions, members };
  const stateBytes = stateBytesOf(parts);
  demand(stateBytes <= STATE_BYTES_MAX, `${stateBytes} bytes of state`);
  return parts;
}

function* heldLeases(rows: Iterable<readonly unknown[]>, lastToken: number): Iterable<Lease> {
  let before = 0;
  for (const row of rows) {
    const fields = asTuple(row, 5, "a lease");
    const token = asWhole(fields[2], before + 1, lastToken, "a lease's token");
    yield {
      name: asUtf8(fields[0], "a lease's name"),
      holder: asUtf8(fields[1], "a lease's holder"),
      token,
      ttlMs: asWhole(fields[3], LEASE_TTL_MS_MIN, LEASE_TTL_MS_MAX, "ttlMs"),
      renewedAt: asSafe(fields[4], 0, "the index of a renewal"),
    };
    before = token;
  }
}

function* openSessions(rows: Iterable<readonly unknown[]>): Iterable<Session> {
  for (const row of rows) {
    const fields = asTuple(row, 3, "a session");
    const floor = asSafe(fields[1], 1, "the floor of a session");
    const results = new Map<number, Result>();
    let next = floor;
    for (const each of asList(fields[2], "the results of a session")) {
      const [sequence, ...result] = asList(each, "a result");
      next = asWhole(sequence, next, floor + RESULTS_PER_SESSION_MAX - 1, "a sequence") + 1;
      results.set(next - 1, readResult(result));
    }
    yield { id: asSafe(fields[0], 1, "a session"), floor, results };
  }
}

function* numbers(rows: Iterable<readonly unknown[]>): Iterable<number> {
  for (const row of rows) yield asSafe(asTuple(row, 1, "a number")[0], 1, "a number");
}

function demand(holds: boolean, problem: string): void {
  if (!holds) throw new FlotillaError("malformed", `read a snapshot: it has ${problem}`);
}
