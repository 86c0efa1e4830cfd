/** Cron expressions: when they are due, without a database. Mirrors functions/53-cron.sql. */
import { Cron, CronPattern } from 'croner'
import { PgqError } from './errors.ts'
import { expectText, expectWhole, refuse } from './expect.ts'

/** Options of `previewSchedule`. */
export interface PreviewScheduleOptions {
  /** An IANA name, such as Europe/Berlin. @default 'UTC' */
  readonly time_zone?: string
  /** How many times, 1 to 1000. @default 5 */
  readonly count?: number
  /** The first one is later than this. @default now */
  readonly after?: Date
}

/**
 * The next times that a cron expression means, as SQL's `preview_schedule` tells them. Throws `invalid_argument` for an
 * expression or a time zone that is not understood.
 */
export function previewSchedule(cron: string, { time_zone = 'UTC', count = 5, after = new Date() }: PreviewScheduleOptions = {}): Date[] {
  expectWhole('count', count, 1, 1000)
  return readCron(cron, time_zone).nextRuns(count, after)
}

/** Throws `invalid_argument`, with what is wrong, unless the expression means days that come. */
export function expectCron(cron: string, time_zone = 'UTC'): void {
  if (readCron(cron, time_zone).nextRun() === null) refuse('cron', 'an expression that means a day that comes', cron)
}

/** What SQL knows. The library knows more: years, nearest weekdays, the second Friday. */
const WORD = String.raw`(\d{1,2}|[a-z]{3})`
const ITEM = String.raw`(([*?]|${WORD}-${WORD})(/\d{1,2})?|${WORD}|L)`
const FIELD = `${ITEM}(,${ITEM})*`
const KNOWN = new RegExp(String.raw`^(@(yearly|annually|monthly|weekly|daily|midnight|hourly)|(${FIELD}\s+){4,5}${FIELD})$`, 'i')

function readCron(cron: string, time_zone: string): Cron {
  expectText('cron', cron)
  expectText('time_zone', time_zone)
  const text = cron.trim()
  if (!KNOWN.test(text)) {
    refuse('cron', 'five fields (minute, hour, day, month, weekday), or six with the second first, or a word such as @daily', cron)
  }
  if (!isTimeZone(time_zone)) refuse('time_zone', "'UTC' or a name such as 'Europe/Berlin'", time_zone)
  try {
    return new Cron(fixedTimes(text), { timezone: time_zone, fixedTimeRule: 'no-wildcard' })
  } catch (error) {
    throw new PgqError('invalid_argument', `Expected \`cron\` to be a cron expression, got '${text}': ${(error as Error).message}`, { cause: error })
  }
}

function isTimeZone(name: string): boolean {
  try {
    return name === 'UTC' || (name.includes('/') && new Intl.DateTimeFormat('en', { timeZone: name }) !== undefined)
  } catch {
    return false
  }
}

/**
 * Where clocks change the library asks how a field is written, SQL whether every hour is meant. So fields are written as
 * lists, which makes times fixed, but for the hour if it is any.
 */
function fixedTimes(text: string): string {
  const { second, minute, hour } = new CronPattern(text)
  const days = /^@/.test(text) ? DAYS[text.toLowerCase()]! : text.split(/\s+/).slice(-3).join(' ')
  return `${valuesOf(second)} ${valuesOf(minute)} ${hour.every(Boolean) ? '*' : valuesOf(hour)} ${days}`
}

const DAYS: Readonly<Record<string, string>> = {
  '@yearly': '1 1 *', '@annually': '1 1 *', '@monthly': '1 * *', '@weekly': '* * 0', '@daily': '* * *', '@midnight': '* * *', '@hourly': '* * *',
}

function valuesOf(flags: readonly number[]): string {
  return flags.flatMap((flag, value) => (flag ? [value] : [])).join(',')
}
