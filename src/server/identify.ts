import { CLOSE } from "../lib/close_codes.ts";
import { reasonOf, shown } from "../lib/errors.ts";
import { isConnectionId } from "../lib/ids.ts";
import { CONNECTION_ID_BYTES_MAX } from "../lib/limits.ts";
import type { Random } from "../lib/random.ts";
import type { RejectionKind } from "../cluster/contract.ts";
import type { Identity, RouteOptions, Serving } from "./serving.ts";

/** How long `authenticate` may take. */
const AUTHENTICATE_MS_MAX = 10_000;
const RANDOM_ID_BYTES = 16;

/** Who a newcomer is, or with what its socket is closed. */
export type Admission =
  | {
    readonly admitted: true;
    readonly connectionId: string;
    readonly ownId: boolean;
    readonly tags: Identity["tags"];
  }
  | {
    readonly admitted: false;
    readonly kind: RejectionKind;
    readonly code: number;
    readonly reason: string;
  };

/** Settles the connectionId of one handshake; `?id=` counts by itself only where `idIsFree`. */
export async function identify(
  request: Request,
  serving: Serving,
  authenticate: RouteOptions["authenticate"],
  idIsFree: boolean,
): Promise<Admission> {
  const wished = new URL(request.url).searchParams.get("id");
  if (wished !== null && !isConnectionId(wished)) {
    const rule = `1 to ${CONNECTION_ID_BYTES_MAX} bytes without control characters`;
    return refused("bad-request", CLOSE.unauthorized, `the id must be ${rule}`);
  }
  if (authenticate === undefined) {
    if (wished === null) return admitted(randomId(serving.random), false);
    if (idIsFree) return admitted(wished, true);
    return refused("unauthorized", CLOSE.unauthorized, "an id of one's own needs authentication here");
  }
  const identity = await within(serving, authenticate, request);
  if (identity === "failed") return refused("handler-failed", CLOSE.internal, "authentication failed");
  if (identity === null) return refused("unauthorized", CLOSE.unauthorized, "unauthorized");
  // From JavaScript: a boolean, say. Whoever meant to refuse must not have let in.
  if (typeof identity !== "object") {
    serving.logger.error("authenticate returned no identity", { returned: shown(identity) });
    return refused("handler-failed", CLOSE.internal, "authentication failed");
  }
  const { connectionId = randomId(serving.random), tags } = identity;
  if (!isConnectionId(connectionId)) {
    serving.logger.error("authenticate returned no connectionId", { connectionId: shown(connectionId) });
    return refused("handler-failed", CLOSE.internal, "authentication failed");
  }
  if (wished === null) return admitted(connectionId, false, tags);
  if (wished === identity.connectionId) return admitted(wished, true, tags);
  return refused("unauthorized", CLOSE.unauthorized, "the id belongs to somebody else");
}

/** 128 random bits in base64url: not to be guessed, so that nobody can take the connection over. */
function randomId(random: Random): string {
  const text = btoa(String.fromCharCode(...random.bytes(RANDOM_ID_BYTES)));
  return text.replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

async function within(
  { clock, logger }: Serving,
  authenticate: NonNullable<RouteOptions["authenticate"]>,
  request: Request,
): Promise<Identity | null | "failed"> {
  return await new Promise((resolve) => {
    const fail = (reason: string): void => {
      logger.error("authenticate failed", { reason });
      resolve("failed");
    };
    const deadline = clock.timer(
      AUTHENTICATE_MS_MAX,
      () => fail(`no answer within ${AUTHENTICATE_MS_MAX} ms`),
    );
    Promise.resolve(request).then(authenticate)
      .then(resolve, (thrown) => fail(reasonOf(thrown)))
      .finally(() => deadline.cancel());
  });
}

function admitted(connectionId: string, ownId: boolean, tags?: Identity["tags"]): Admission {
  return { admitted: true, connectionId, ownId, tags };
}

function refused(kind: RejectionKind, code: number, reason: string): Admission {
  return { admitted: false, kind, code, reason };
}
