/** MULTI and its family. */

export * from "./multi.ts";
export * from "./watch.ts";
