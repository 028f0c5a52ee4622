/** Values of flags, as commander hands them over: a text in, a number out, or what is wrong with it. */
import { InvalidArgumentError } from "commander";

/** 0, 1, 2, … */
export function wholeNumber(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 0) throw new InvalidArgumentError("Not a whole number.");
  return value;
}

/** 1, 2, … */
export function positiveInteger(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1) throw new InvalidArgumentError("Not a positive integer.");
  return value;
}
