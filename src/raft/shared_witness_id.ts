/** The nodeId under which a witness that is a record stands among the members; no node may have it. */
export const SHARED_WITNESS = "redis:witness";
