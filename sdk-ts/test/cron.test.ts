import { describe, expect, test } from 'vitest'
import { previewSchedule } from '../src/index.ts'
import { chanceOf, chooseSeed, type Chance } from '../../test/support/random.ts'
import { errorOf, openDb } from './support.ts'

const db = openDb()

const ZONES = [
  'UTC', 'Europe/Berlin', 'Europe/London', 'America/New_York', 'America/Santiago', 'America/St_Johns', 'Asia/Kathmandu', 'Asia/Beirut',
  'Australia/Lord_Howe', 'Africa/Casablanca', 'Antarctica/Troll', 'Pacific/Chatham',
]
const DAY = 86_400_000

/** A field of a cron expression, of any form. */
function field(chance: Chance, low: number, high: number, names: readonly string[] = []): string {
  const word = (value: number): string => (names[value - low] && chance.happens(0.3) ? names[value - low]! : String(value))
  const item = (): string => {
    const from = chance.between(low, high)
    const to = chance.between(from, high)
    return chance.oneOf([
      word(from), word(from), `${word(from)}-${from === to ? to : word(to)}`, `${from}-${to}/${chance.between(1, Math.min(high, high - low + 1))}`, `*/${chance.between(1, Math.min(high, high - low + 1))}`,
    ])
  }
  return chance.happens(0.35) ? chance.oneOf(['*', '*', '*', '?']) : Array.from({ length: chance.oneOf([1, 1, 1, 2, 3]) }, item).join(',')
}

const MONTHS = ['JAN', 'feb', 'Mar', 'APR', 'MAY', 'JUN', 'JUL', 'AUG', 'SEP', 'OCT', 'NOV', 'DEC']
const WEEKDAYS = ['SUN', 'mon', 'Tue', 'WED', 'THU', 'FRI', 'SAT']

function expression(chance: Chance): string {
  const day = field(chance, 1, 31)
  return [
    ...(chance.happens(0.3) ? [field(chance, 0, 59)] : []), field(chance, 0, 59), field(chance, 0, 23),
    chance.happens(0.1) ? (chance.happens(0.5) && day !== '*' && day !== '?' ? `${day},L` : 'L') : day,
    // Most of the time any month, so that most cases reach the days on which clocks change.
    chance.happens(0.7) ? '*' : field(chance, 1, 12, MONTHS), chance.happens(0.6) ? '*' : field(chance, 0, chance.oneOf([6, 7]), WEEKDAYS),
  ].join(' ')
}

/** The moments of a year at which clocks change in this zone. */
function changesOf(time_zone: string, year: number): number[] {
  const format = new Intl.DateTimeFormat('en', { timeZone: time_zone, timeZoneName: 'longOffset' })
  const offset = (at: number): string => format.formatToParts(at).find(({ type }) => type === 'timeZoneName')!.value
  const changes: number[] = []
  for (let at = Date.UTC(year); at < Date.UTC(year + 1); at += DAY) {
    if (offset(at) === offset(at + DAY)) continue
    let [low, high] = [at, at + DAY]
    while (high - low > 1000) {
      const middle = (low + high) / 2
      if (offset(middle) === offset(low)) low = middle
      else high = middle
    }
    changes.push(high)
  }
  return changes
}

test('SQL means the same times as the library, also where clocks change', async () => {
  const seed = chooseSeed()
  const chance = chanceOf(seed)
  const changes = new Map(ZONES.map((zone) => [zone, [2027, 2028].flatMap((year) => changesOf(zone, year))]))
  const cases = Array.from({ length: 2000 }, () => {
    const time_zone = chance.oneOf(ZONES)
    const near = chance.oneOf([...changes.get(time_zone)!, Date.UTC(2027, 1, 27), chance.between(Date.UTC(2027), Date.UTC(2029))])
    return { cron: expression(chance), time_zone, after: new Date(near + chance.between(-DAY, 3 * 3_600_000)) }
  }).filter(({ cron, time_zone, after }) => previewSchedule(cron, { time_zone, after, count: 1 }).length > 0)
  const { rows } = await db.query<{ times: string }>({
    q: `SELECT (SELECT json_agg(to_char(p.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') ORDER BY p.place)
                FROM pgq.preview_schedule(c.value ->> 'cron', c.value ->> 'time_zone', 4, (c.value ->> 'after')::timestamptz) WITH ORDINALITY AS p (at, place))::text AS times
        FROM jsonb_array_elements($1::text::jsonb) WITH ORDINALITY AS c (value, place) ORDER BY c.place`,
    args: [JSON.stringify(cases)],
  })
  const differ = cases.flatMap((one, index) => {
    const library = previewSchedule(one.cron, { ...one, count: 4 }).map((at) => at.toISOString())
    const sql = JSON.parse(rows[index]!.times) as string[]
    return library.join() === sql.join() ? [] : [{ ...one, library, sql }]
  })
  expect(cases.length).toBeGreaterThan(1500)
  expect(differ, `seed ${seed}`).toEqual([])
}, 120_000)

describe('what is wrong is told', () => {
  test.each([
    ['* * * *', /^Expected `cron` to be five fields/], ['0 0 0 1 1 * 2030', /^Expected `cron` to be five fields/], ['@reboot', /^Expected `cron` to be five fields/],
    ['0 0 15W * *', /^Expected `cron` to be five fields/], ['0 0 * * FRI#2', /^Expected `cron` to be five fields/], ['0 0 * * 5L', /^Expected `cron` to be five fields/],
    ['0 0 1 * +MON', /^Expected `cron` to be five fields/],
    ['61 * * * *', /^Expected `cron` to be a cron expression, got '61 \* \* \* \*': .*minute/], ['5/10 * * * *', /^Expected `cron` to be five fields/],
    ['30-20 * * * *', /^Expected `cron` to be a cron expression/], ['0 0 L * L', /^Expected `cron`/],
  ])('%s', async (cron, message) => {
    expect((await errorOf(() => previewSchedule(cron), 'invalid_argument')).message).toMatch(message)
    await expect(db.query({ q: 'SELECT pgq.preview_schedule($1::text)', args: [cron] })).rejects.toMatchObject({ code: '22023' })
  })

  test.each(['Europe/Nowhere', 'CET', 'UTC+2', 'berlin'])('%s', async (time_zone) => {
    const { message } = await errorOf(() => previewSchedule('@daily', { time_zone }), 'invalid_argument')
    expect(message).toBe(`Expected \`time_zone\` to be 'UTC' or a name such as 'Europe/Berlin', got '${time_zone}'`)
    const sql = db.query({ q: 'SELECT pgq.preview_schedule($1::text, $2::text)', args: ['@daily', time_zone] })
    await expect(sql).rejects.toMatchObject({ code: '22023' })
  })
})

test('the next times are told without a database', () => {
  const after = new Date('2030-03-30T12:00:00Z')
  expect(previewSchedule('30 2 * * *', { time_zone: 'Europe/Berlin', count: 2, after })).toEqual([new Date('2030-03-31T01:00:00Z'), new Date('2030-04-01T00:30:00Z')])
  expect(previewSchedule('@weekly')).toHaveLength(5)
  expect(previewSchedule('0 0 30 2 *')).toEqual([])
})
