/** Witness records in Redis. Names of keys tell nobody anything; values are numbers. */
import { hex, utf8 } from "../lib/bytes.ts";
import type { Clock } from "../lib/clock.ts";
import { derivedNameKey } from "../lib/derived_bits.ts";
import { FlotillaError, reasonOf } from "../lib/errors.ts";
import type { Logger } from "../lib/logger.ts";
import { loadRedis, type RedisModule } from "../lib/redis.ts";
import type { RaftId } from "./core/types.ts";
import type { Records } from "./records.ts";

/** A command that takes longer is lost, and its connection is given up, ms. */
const COMMAND_MS_MAX = 2_000;
const RECONNECT_MS_MIN = 50;
const RECONNECT_MS_MAX = 2_000;
const NAME_BYTES = 16;

/**
 * A record stands behind the id of the run of Redis that it was made in. Another run may not have its last writes: Redis
 * syncs late or never, and what a replica has is older.
 */
const RUN = `
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')
if not run then return redis.error_reply('ERR this server does not tell its run_id') end
`;
const CREATE = `${RUN}
return redis.call('SET', KEYS[1], run .. ' ' .. ARGV[1], 'NX') and 1 or 0`;
const SWAP = `${RUN}
local value = redis.call('GET', KEYS[1])
if not value or string.sub(value, 1, #run + 1) ~= run .. ' ' then return false end
local content = string.sub(value, #run + 2)
if content ~= ARGV[1] then return content end
if ARGV[2] ~= content then redis.call('SET', KEYS[1], run .. ' ' .. ARGV[2]) end
return ARGV[2]`;
const REMOVE = `return redis.call('DEL', KEYS[1])`;

export interface RedisRecordsOptions {
  /** `redis://` or `rediss://`. */
  readonly url: string;
  readonly clusterName: string;
  readonly secret: string | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
}

type Client = ReturnType<RedisModule["createClient"]>;

export class RedisRecords implements Records {
  readonly #options: RedisRecordsOptions;
  readonly #nameKey: Promise<CryptoKey>;
  #client: Client | undefined;
  #opening: Promise<void> | undefined;
  /** What was complained of last; said again only after it had gone well. */
  #complaint: string | undefined;
  #closed = false;

  /** Connects by itself, now and whenever the connection is lost. */
  constructor(options: RedisRecordsOptions) {
    this.#options = options;
    this.#nameKey = derivedNameKey(options.clusterName, options.secret ?? "", "names of records");
    this.#nameKey.catch(() => {});
    this.#open();
  }

  async create(clusterId: string, raftId: RaftId, content: string): Promise<boolean> {
    return await this.#run(CREATE, clusterId, raftId, [content]) === 1;
  }

  async swap(clusterId: string, raftId: RaftId, expected: string, next: string): Promise<string | undefined> {
    const found = await this.#run(SWAP, clusterId, raftId, [expected, next]);
    return typeof found === "string" ? found : undefined;
  }

  async read(clusterId: string, raftId: RaftId): Promise<string | undefined> {
    // No record is empty.
    return await this.swap(clusterId, raftId, "", "");
  }

  async remove(clusterId: string, raftId: RaftId): Promise<void> {
    await this.#run(REMOVE, clusterId, raftId, []);
  }

  close(): void {
    this.#closed = true;
    this.#drop();
  }

  async #run(script: string, clusterId: string, raftId: RaftId, args: string[]): Promise<unknown> {
    const { clock } = this.#options;
    const key = await this.#keyOf(clusterId, raftId);
    const client = this.#client;
    if (this.#closed || client === undefined || !client.isReady) {
      if (client === undefined) this.#open();
      throw new FlotillaError("not-running", "Redis is not connected");
    }
    const { promise: late, reject } = Promise.withResolvers<never>();
    const timer = clock.timer(COMMAND_MS_MAX, () => {
      // A connection that says nothing may never say anything again.
      if (client === this.#client) this.#drop();
      reject(new FlotillaError("timeout", `Redis did not answer within ${COMMAND_MS_MAX} ms`));
    });
    try {
      return await Promise.race([client.eval(script, { keys: [key], arguments: args }), late]);
    } catch (thrown) {
      this.#complain(thrown);
      throw thrown;
    } finally {
      timer.cancel();
    }
  }

  #open(): void {
    if (this.#closed || this.#opening !== undefined) return;
    this.#opening = this.#connect().catch((thrown) => this.#complain(thrown)).finally(() => {
      this.#opening = undefined;
    });
  }

  async #connect(): Promise<void> {
    const { url } = this.#options;
    const { createClient } = await loadRedis();
    if (this.#closed) return;
    const client = createClient({
      url,
      // What cannot go at once is lost: Raft says it again.
      disableOfflineQueue: true,
      socket: {
        connectTimeout: COMMAND_MS_MAX,
        reconnectStrategy: (retries: number) =>
          Math.min(RECONNECT_MS_MIN * 2 ** Math.min(retries, 10), RECONNECT_MS_MAX),
      },
    }) as Client;
    client.on("error", (error: unknown) => this.#complain(error));
    client.on("ready", () => {
      this.#complaint = undefined;
      this.#options.logger.info("the witness's Redis is connected", {});
    });
    this.#client = client;
    await client.connect();
  }

  #drop(): void {
    const client = this.#client;
    this.#client = undefined;
    try {
      client?.destroy();
    } catch {
      // It was closed already.
    }
  }

  #complain(thrown: unknown): void {
    const reason = reasonOf(thrown);
    if (this.#closed || this.#complaint !== undefined) return;
    this.#complaint = reason;
    this.#options.logger.warn("the witness's Redis does not answer", { reason });
  }

  async #keyOf(clusterId: string, raftId: RaftId): Promise<string> {
    const name = utf8(`${clusterId} ${raftId}`);
    const digest = await crypto.subtle.sign("HMAC", await this.#nameKey, name);
    return `flotilla:${hex(new Uint8Array(digest, 0, NAME_BYTES))}`;
  }
}
