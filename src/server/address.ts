import type { RemoteAddress } from "./contract.ts";

/** The far end of a TCP connection; an unknown address is never loopback. */
export function remoteAddress(address: string | undefined, port: number | undefined): RemoteAddress {
  const plain = (address ?? "").replace(/^::ffff:(?=\d+\.)/i, "");
  return { address: plain, port: port ?? 0, loopback: isLoopback(plain) };
}

/** True for a name or address that only ever means this machine; brackets around IPv6 are allowed. */
export function isLoopback(hostname: string): boolean {
  const name = hostname.toLowerCase().replace(/^\[(.*)\]$/, "$1").replace(/\.$/, "");
  return name === "localhost" || name.endsWith(".localhost") || name === "::1" ||
    /^(::ffff:)?127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(name);
}

/** `http://host:port` as reachable from this machine: a wildcard address becomes loopback. */
export function localUrl(hostname: string, port: number): string {
  const host = hostname === "0.0.0.0" ? "127.0.0.1" : hostname === "::" ? "::1" : hostname;
  return `http://${host.includes(":") ? `[${host}]` : host}:${port}`;
}

/** The host name in a `Host` header, without the port; undefined when it is not one. */
export function hostnameOf(hostHeader: string | null): string | undefined {
  const url = hostHeader === null ? null : URL.parse(`http://${hostHeader}`);
  return url === null || url.pathname !== "/" || url.username !== "" ? undefined : url.hostname;
}
