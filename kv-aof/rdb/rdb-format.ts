/** The codes of an RDB file that reader and writer share; the formats are described in rdb-reader.ts and rdb-writer.ts. */

export const OPCODE = {
  SLOT_INFO: 0xf4,
  FUNCTION: 0xf5,
  FUNCTION_PRE_GA: 0xf6,
  MODULE_AUX: 0xf7,
  IDLE: 0xf8,
  FREQUENCY: 0xf9,
  AUX: 0xfa,
  RESIZE_DB: 0xfb,
  EXPIRE_MS: 0xfc,
  EXPIRE_S: 0xfd,
  SELECT_DB: 0xfe,
  END: 0xff,
} as const;

export const TYPE_STRING = 0;
export const TYPE_HASH = 4;
