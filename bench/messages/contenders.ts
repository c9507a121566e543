/** All contenders by name; each is loaded only where it runs. */
import type { Contender } from "./contract.ts";

/** Between servers that dial each other. */
const CONTENDERS: Readonly<Record<string, () => Promise<Contender>>> = {
  "flotilla": async () => (await import("./flotilla.ts")).flotilla,
  "flotilla sealed": async () => (await import("./flotilla.ts")).flotillaSealed,
  "relay": async () => (await import("./relay.ts")).relay,
  "socket.io": async () => (await import("./socket_io.ts")).socketIo,
};

/** Between servers that share a broker. */
const OVER_BROKERS: Readonly<Record<string, () => Promise<Contender>>> = {
  "raw redis": async () => (await import("./raw_brokers.ts")).rawRedis,
  "redis": async () => (await import("./flotilla.ts")).overRedis,
  "redis unsealed": async () => (await import("./flotilla.ts")).overRedisUnsealed,
  "redis by HTTP": async () => (await import("./flotilla.ts")).overRedisHttp,
  "socket.io redis": async () => (await import("./socket_io.ts")).socketIo,
  "socket.io redis streams": async () => (await import("./socket_io.ts")).socketIoStreams,
  "raw rabbitmq": async () => (await import("./raw_brokers.ts")).rawRabbitMq,
  "rabbitmq": async () => (await import("./flotilla.ts")).overRabbitMq,
  "rabbitmq by WebSocket": async () => (await import("./flotilla.ts")).overRabbitMqRelay,
  "hybrid": async () => (await import("./flotilla.ts")).hybrid,
};

export const CONTENDER_NAMES: readonly string[] = Object.keys(CONTENDERS);
export const BROKER_CONTENDER_NAMES: readonly string[] = Object.keys(OVER_BROKERS);

export async function contenderNamed(name: string): Promise<Contender> {
  const load = CONTENDERS[name] ?? OVER_BROKERS[name];
  if (load === undefined) throw new Error(`there is no contender ${name}`);
  return await load();
}
