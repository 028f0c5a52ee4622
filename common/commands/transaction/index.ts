/** MULTI and its family. */

export * from "./interactive.ts";
export * from "./multi.ts";
export * from "./watch.ts";
