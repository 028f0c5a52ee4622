/**
 * Names that clients give themselves. They stand between blanks in CLIENT LIST, so they hold none.
 */
import type { Bytes } from "../../bytes.ts";
import { CommandError } from "../../errors.ts";

/** Whether `text` can stand in a line of CLIENT LIST: only characters from "!" to "~". */
export function isListable(text: Bytes): boolean {
  return !/[^!-~]/.test(text);
}

/** Throws the error of CLIENT SETNAME for a name that cannot be. */
export function checkClientName(name: Bytes): void {
  if (!isListable(name)) {
    throw new CommandError("ERR Client names cannot contain spaces, newlines or special characters.");
  }
}
