/**
 * The place in a command's arguments up to which they have been read. One cursor serves the whole program: reading
 * arguments is synchronous and over before the command runs.
 */
import type { Bytes } from "../bytes.ts";
import type { Call } from "./call.ts";
import { arityError, syntaxError } from "./errors.ts";

export class Cursor {
  call!: Call;
  args: readonly Bytes[] = [];
  at = 0;

  begin(call: Call, at: number): void {
    this.call = call;
    this.args = call.args;
    this.at = at;
  }

  get left(): number {
    return this.args.length - this.at;
  }

  /** The next argument, which must be there. */
  next(): Bytes {
    const text = this.args[this.at];
    if (text === undefined) throw syntaxError();
    this.at++;
    return text;
  }

  /** Everything that is left. */
  rest(): readonly Bytes[] {
    const rest = this.args.slice(this.at);
    this.at = this.args.length;
    return rest;
  }

  /** All arguments have been read, or it is a syntax error. */
  finish(): void {
    if (this.at !== this.args.length) throw syntaxError();
  }

  /** The error of a list that ends in the middle of a group. */
  incomplete(): Error {
    return arityError(this.call.command.fullName);
  }
}

export const cursor = new Cursor();
