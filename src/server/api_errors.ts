import { type ErrorCode, FlotillaError, reasonOf } from "../lib/errors.ts";
import type { Logger } from "../lib/logger.ts";
import type { Outcome } from "../router/outcome.ts";
import { errorResponse } from "./exchange.ts";

const STATUS_OF_CODE: Readonly<Record<ErrorCode, number>> = {
  "invalid-option": 400,
  "malformed": 400,
  "unauthorized": 401,
  "not-found": 404,
  "id-in-use": 409,
  "too-large": 413,
  "unsupported": 501,
  "not-running": 503,
  "no-leader": 503,
  "compacted": 410,
  "closed": 410,
  "node-lost": 503,
  "backpressure": 503,
  "aborted": 503,
  "wrong-secret": 503,
  "wrong-cluster": 503,
  "wrong-version": 503,
  "timeout": 504,
};

/** The HTTP status of one delivery. */
export const STATUS_OF_OUTCOME: Readonly<Record<Outcome, 200 | 403 | 404 | 410 | 413 | 503 | 504>> = {
  "delivered": 200,
  "acknowledged": 200,
  "unauthorized": 403,
  "not-found": 404,
  "closed": 410,
  "too-large": 413,
  "backpressure": 503,
  "node-lost": 503,
  "timeout": 504,
};

/** The answer to what a route threw. Only our own errors say why; others are logged. */
export function thrownResponse(thrown: unknown, logger: Logger): Response {
  if (thrown instanceof FlotillaError) {
    return errorResponse(STATUS_OF_CODE[thrown.code], thrown.code, thrown.message);
  }
  logger.error("a route failed", { reason: reasonOf(thrown) });
  return errorResponse(500, "internal", "the server failed to answer");
}
