/**
 * The door to @upstash/redis, Redis over HTTP, which is loaded when somebody asks for it and not before. Without a
 * package.json in reach the bare specifier does not resolve and the `npm:` one does.
 */
export type UpstashModule = typeof import("@upstash/redis");

const fromNpm = async (): Promise<UpstashModule> => {
  const specifier: string = "npm:@upstash/redis@1.39.0";
  return await import(specifier);
};

export async function loadUpstash(): Promise<UpstashModule> {
  return await import("@upstash/redis").catch(fromNpm);
}
