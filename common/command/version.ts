/** The versions that INFO, HELLO and LOLWUT tell. */

/** The Redis whose behaviour clients may expect. */
export const REDIS_VERSION = "7.2.0";
export const TWOLOG_VERSION = "0.1.0";
