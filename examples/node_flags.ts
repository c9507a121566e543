/**
 * The command line and environment of `examples/node.ts`: one table is the flags, the variables and the help.
 */
import type { TransportName } from "../mod.ts";

/** What a node is told; undefined where nothing was said. */
export interface NodeSettings {
  readonly id?: string;
  readonly host?: string;
  readonly port?: number;
  readonly nodes?: readonly string[];
  readonly transport?: TransportName;
  readonly channel?: string;
  readonly clusterName?: string;
  readonly secret?: string;
  readonly redis?: string;
  readonly rabbitmq?: string;
  readonly dataDir?: string;
  readonly publicUrl?: string;
  readonly apiToken?: string;
  readonly bootstrapExpect?: number;
  readonly witness?: string;
  readonly electionTimeoutMs?: number;
  readonly heartbeatMs?: number;
  readonly allowInsecure?: boolean;
}

export type ParsedFlags =
  | { readonly kind: "run"; readonly settings: NodeSettings }
  | { readonly kind: "help"; readonly text: string }
  /** One line that names the flag or variable and what is wrong with it. */
  | { readonly kind: "wrong"; readonly message: string };

/** A value as it is read from text; undefined when the text is no such value. */
interface Kind<Value> {
  readonly placeholder: string;
  /** Completes "must be ..." */
  readonly must: string;
  read(text: string): Value | undefined;
}

interface Flag<Name extends keyof NodeSettings> {
  readonly name: Name;
  readonly kind: Kind<Exclude<NodeSettings[Name], undefined>>;
  readonly help: string;
  /** Another variable that is read after the flag's own. */
  readonly alsoEnv?: string;
}

const text: Kind<string> = {
  placeholder: "TEXT",
  must: "text that is not empty",
  read: (value) => value || undefined,
};
const url: Kind<string> = { ...text, placeholder: "URL" };
const port: Kind<number> = { placeholder: "PORT", must: "a port from 0 to 65535", read: whole(0, 65_535) };
const count: Kind<number> = {
  placeholder: "N",
  must: "a whole number from 1 to 1000",
  read: whole(1, 1_000),
};
const milliseconds: Kind<number> = {
  placeholder: "MS",
  must: "a whole number of milliseconds from 1 to 600000",
  read: whole(1, 600_000),
};
const list: Kind<readonly string[]> = {
  placeholder: "LIST",
  must: "entries separated by commas",
  read: (value) => value.split(",").map((entry) => entry.trim()).filter((entry) => entry !== ""),
};
const TRANSPORTS: readonly TransportName[] = ["ws", "redis", "rabbitmq", "hybrid"];
const transport: Kind<TransportName> = {
  placeholder: "NAME",
  must: "ws, redis, rabbitmq or hybrid",
  read: (value) => TRANSPORTS.find((name) => name === value),
};
/** The only kind that may stand without a value on the command line. */
const onOff: Kind<boolean> = {
  placeholder: "",
  must: "true or false",
  read: (value) =>
    value === "true" || value === "1" ? true : value === "false" || value === "0" ? false : undefined,
};

const FLAGS: readonly { readonly [Name in keyof Required<NodeSettings>]: Flag<Name> }[keyof NodeSettings][] =
  [
    { name: "id", kind: text, help: "name of this node, stable across restarts (default: a random one)" },
    { name: "host", kind: text, help: "address to listen on (default: 127.0.0.1)" },
    { name: "port", kind: port, help: "port to listen on, 0 for any (default: 8080)", alsoEnv: "PORT" },
    {
      name: "nodes",
      kind: list,
      help: "other nodes, by commas: ws://host:port[/id], id@host:port; over a broker: id",
    },
    {
      name: "transport",
      kind: transport,
      help: "how nodes reach each other: ws, redis, rabbitmq, hybrid (default: ws)",
    },
    { name: "channel", kind: text, help: "path that nodes dial each other on (default: /cluster)" },
    { name: "clusterName", kind: text, help: "clusters of different names never meet (default: flotilla)" },
    { name: "secret", kind: text, help: "what all nodes know; without it only loopback is served" },
    { name: "redis", kind: url, help: "redis://, rediss:// or https://:TOKEN@host" },
    { name: "rabbitmq", kind: url, help: "amqp://, amqps://, ws:// or wss://" },
    { name: "dataDir", kind: text, help: "where the replicated state is kept (default: in memory)" },
    { name: "publicUrl", kind: url, help: "where clients reach this node: ws://host:port or wss://host" },
    { name: "apiToken", kind: text, help: "bearer token of /api; without it /api answers this machine only" },
    {
      name: "bootstrapExpect",
      kind: count,
      help: "how many nodes must be found before the first leader is elected",
    },
    { name: "witness", kind: url, help: "the Redis that has two nodes' third vote" },
    {
      name: "electionTimeoutMs",
      kind: milliseconds,
      help: "ms without a leader until an election (default: 500)",
    },
    { name: "heartbeatMs", kind: milliseconds, help: "ms between a leader's signs of life (default: 100)" },
    {
      name: "allowInsecure",
      kind: onOff,
      help: "let whoever reaches the port join as a node and as any client",
    },
  ];

/**
 * Reads the command line, then, for what it does not say, the environment. An empty variable says nothing.
 */
export function parseFlags(args: readonly string[], env: (name: string) => string | undefined): ParsedFlags {
  const said = new Map<string, unknown>();
  for (let index = 0; index < args.length; index++) {
    const arg = args[index] ?? "";
    if (arg === "--help" || arg === "-h") return { kind: "help", text: helpText() };
    const [, written = "", inline] = /^(--[^=]*)(?:=(.*))?$/s.exec(arg) ?? [];
    const flag = FLAGS.find(({ name }) => flagOf(name) === written);
    if (flag === undefined) return wrong(`there is no flag ${JSON.stringify(written || arg)} (see --help)`);
    let value = inline;
    if (value === undefined && flag.kind === onOff) value = "true";
    else if (value === undefined) {
      value = args[++index];
      if (value === undefined || value.startsWith("--")) {
        return wrong(`${written} needs a value: ${flag.kind.must}`);
      }
    }
    const read = flag.kind.read(value);
    if (read === undefined) {
      return wrong(`${written} must be ${flag.kind.must}, not ${JSON.stringify(value)}`);
    }
    said.set(flag.name, read);
  }
  for (const flag of FLAGS) {
    if (said.has(flag.name)) continue;
    for (const variable of [variableOf(flag.name), flag.alsoEnv ?? ""]) {
      const value = variable === "" ? "" : env(variable) ?? "";
      if (value === "") continue;
      const read = flag.kind.read(value);
      if (read === undefined) {
        return wrong(`${variable} must be ${flag.kind.must}, not ${JSON.stringify(value)}`);
      }
      said.set(flag.name, read);
      break;
    }
  }
  return { kind: "run", settings: Object.fromEntries(said) };
}

/** `clusterName` → `--cluster-name` */
function flagOf(name: string): string {
  return `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}

/** `clusterName` → `FLOTILLA_CLUSTER_NAME` */
function variableOf(name: string): string {
  return `FLOTILLA_${name.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}`;
}

function helpText(): string {
  const rows = FLAGS.map(({ name, kind, help, alsoEnv }) => ({
    left: `  ${flagOf(name)} ${kind.placeholder}`.trimEnd(),
    right: `${help} [${[variableOf(name), ...alsoEnv === undefined ? [] : [alsoEnv]].join(", ")}]`,
  }));
  const width = Math.max(...rows.map(({ left }) => left.length)) + 2;
  const table = [...rows, { left: "  --help", right: "show this" }].map(({ left, right }) =>
    left.padEnd(width) + right
  );
  return ["One node of a Flotilla cluster. Each flag has a variable, in brackets.", "", ...table].join("\n");
}

function whole(min: number, max: number): (text: string) => number | undefined {
  return (value) => {
    const number = /^\d{1,9}$/.test(value) ? Number(value) : NaN;
    return number >= min && number <= max ? number : undefined;
  };
}

function wrong(message: string): ParsedFlags {
  return { kind: "wrong", message };
}
