/**
 * An entry: one cell of a slab (slabs.ts) that holds a key and its value, or a field of a large hash and its value.
 *
 *     word  bytes
 *      0     0–3   the next entry of the bucket (dictionary.ts)
 *      1     4–7   hash of the key
 *      2     8–11  key: place in the expiry index + 1, or 0.   field: number of the hash's dictionary in the store's objects
 *      3    12–15  low byte: kind (below), never 0 in a used cell, and SAVED.   upper 24 bits: time of the last access in seconds
 *      4    16–19  length of the key
 *      5    20–23  length of the value that follows the key; or, for LARGE and DICTIONARY, the number of the object
 *           24–    key, then value
 */
import { Type } from "../../common/keyspace/keyspace.ts";

export const CELL_HEADER_BYTES = 24;
export const WORD_NEXT = 0;
export const WORD_HASH = 1;
/** Of a key. */
export const WORD_EXPIRY = 2;
/** Of a field. */
export const WORD_OWNER = 2;
export const WORD_KIND = 3;
export const WORD_KEY_LENGTH = 4;
/** Of a value in the cell. */
export const WORD_VALUE_LENGTH = 5;
/** Of a value outside the cell. */
export const WORD_OBJECT = 5;

/** Flips with each snapshot (snapshot.ts): an entry whose bit is not its store's has not been visited by the last one. Not part of the kind. */
export const SAVED = 0x80;
export const KIND_MASK = 0x7f;

/** Kind = type in the low four bits (keyspace.ts), and: */
export const TYPE_MASK = 0x0f;
/** The type of an entry that is a field of a hash. */
export const FIELD = 0x0f;
/** The value is an object of the store: a buffer of its own. */
export const LARGE = 0x10;
/** A string that was changed in place: OBJECT ENCODING says raw. */
export const RAW = 0x20;
/** A hash whose fields are in a dictionary, an object of the store. */
export const DICTIONARY = 0x40;

export const KIND_STRING = Type.STRING;
/** A small hash, packed into the value (packed-hash.ts). */
export const KIND_HASH = Type.HASH;
