/** Checks of arguments, with one form of message. Mirrors no SQL file: SQL checks values again. */
import { PgqError } from './errors.ts'

/** Throws "Expected `name` to be …, got …". */
export function refuse(name: string, expected: string, got: unknown): never {
  throw new PgqError('invalid_argument', `Expected \`${name}\` to be ${expected}, got ${show(got)}`)
}

/** A whole number within bounds, or undefined where `value` is. */
export function expectWhole(name: string, value: unknown, min: number, max = Number.MAX_SAFE_INTEGER): void {
  if (value === undefined) return
  if (!Number.isSafeInteger(value) || (value as number) < min || (value as number) > max) {
    refuse(name, max === Number.MAX_SAFE_INTEGER ? `a whole number from ${min}` : `a whole number from ${min} to ${max}`, value)
  }
}

/** A text that is not empty. */
export function expectText(name: string, value: unknown): asserts value is string {
  if (typeof value !== 'string' || value === '') refuse(name, 'a text that is not empty', value)
}

/** One of several words, or undefined. */
export function expectOneOf(name: string, value: unknown, words: readonly string[]): void {
  if (value !== undefined && !words.includes(value as string)) {
    refuse(name, words.map((word) => `'${word}'`).join(', ').replace(/, ([^,]*)$/, ' or $1'), value)
  }
}

/** A short picture of a value for messages. */
export function show(value: unknown): string {
  if (typeof value === 'string') return value.length > 60 ? `'${value.slice(0, 60)}…'` : `'${value}'`
  if (typeof value === 'function') return 'a function'
  if (typeof value === 'object' && value !== null) return Array.isArray(value) ? 'an array' : (value.constructor?.name ?? 'an object')
  return String(value)
}
