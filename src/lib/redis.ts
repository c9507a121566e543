/**
 * The door to node-redis, which is loaded when somebody asks for Redis and not before: most nodes never do. Without a
 * package.json in reach the bare specifier does not resolve and the `npm:` one does.
 */
export type RedisModule = typeof import("redis");

const fromNpm = async (): Promise<RedisModule> => {
  const specifier: string = "npm:redis@6.3.1";
  return await import(specifier);
};

export async function loadRedis(): Promise<RedisModule> {
  return await import("redis").catch(fromNpm);
}
