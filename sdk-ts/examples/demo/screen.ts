/** What the demo prints: colours, a progress line, tables. */

const is_terminal = process.stdout.isTTY === true
const has_colours = is_terminal && !process.env['NO_COLOR'] && process.env['TERM'] !== 'dumb'
const colour = (on: number, off: number) => (text: string): string => (has_colours ? `\x1b[${on}m${text}\x1b[${off}m` : text)

export const bold = colour(1, 22)
export const dim = colour(2, 22)
export const red = colour(31, 39)
export const green = colour(32, 39)

/** The progress line, if there is one; it stays below what is printed. */
let status_line = ''

export function say(text = ''): void {
  const erase = status_line ? '\r\x1b[2K' : ''
  process.stdout.write(`${erase}${text}\n${status_line}`)
}

/** What a worker's `stats()` tell of the progress. */
interface Figures {
  readonly running: number
  readonly complete: number
  readonly failed: number
}

const TERMINAL_INTERVAL_MILLISECONDS = 50
const PLAIN_INTERVAL_MILLISECONDS = 500
const BAR_WIDTH = 30

/** Keeps one line up to date; where the output is no terminal, prints a line now and then. */
export function startProgress(total: number, figures: () => Figures): { end(): void } {
  let last_printed = ''

  function show(): void {
    const { running, complete, failed } = figures()
    const text = `${complete} of ${total} complete · ${running} running · failed attempts: ${failed}`
    if (is_terminal) {
      const filled = Math.round((BAR_WIDTH * complete) / total)
      status_line = `  ${green('█'.repeat(filled))}${dim('░'.repeat(BAR_WIDTH - filled))} ${text}`
      process.stdout.write(`\r\x1b[2K${status_line}`)
    } else if (text !== last_printed) {
      last_printed = text
      say(`  ${text}`)
    }
  }

  const timer = setInterval(show, is_terminal ? TERMINAL_INTERVAL_MILLISECONDS : PLAIN_INTERVAL_MILLISECONDS)
  return {
    end() {
      clearInterval(timer)
      show()
      if (status_line) process.stdout.write('\n')
      status_line = ''
    },
  }
}

/** Prints rows below a title and their keys; numbers to the right. */
export function printTable(title: string, rows: readonly Readonly<Record<string, string | number>>[]): void {
  say(`\n${bold(title)}`)
  const columns = Object.keys(rows[0] ?? {}).map((key) => ({
    key,
    width: Math.max(key.length, ...rows.map((row) => String(row[key]).length)),
    is_number: rows.every((row) => typeof row[key] === 'number'),
  }))
  const line = (cell: (key: string) => string): string =>
    columns.map(({ key, width, is_number }) => (is_number ? cell(key).padStart(width) : cell(key).padEnd(width))).join('  ').trimEnd()
  say(dim(`  ${line((key) => key)}`))
  for (const row of rows) say(`  ${line((key) => String(row[key]))}`)
}

export function firstLine(text: string | null): string {
  return text?.split('\n')[0] ?? ''
}

export function messageOf(error: unknown): string {
  // What went wrong first, not what went wrong while it was being cleaned up.
  if (error instanceof Error && 'suppressed' in error) return messageOf(error.suppressed)
  return error instanceof Error ? error.message : String(error)
}
