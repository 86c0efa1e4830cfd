/** Jobs that come by themselves: at the times of a schedule, and with changes of a table. */
import { addJobOnChange, listSchedules, pauseSchedule, PgQueue, PostgresDb, previewSchedule, removeJobOnChange, resumeSchedule, scheduleJob, unscheduleJob } from 'pgq'

const db = new PostgresDb(process.env.DATABASE_URL!)
await db.exec('DROP TABLE IF EXISTS customer_order; CREATE TABLE customer_order (order_id integer PRIMARY KEY, customer_id integer, status text)')

const queue = new PgQueue<{ to: string }>(db, 'mail')

await scheduleJob(queue, { name: 'monday mail', cron: '0 9 * * MON', payload: { to: 'all@example.org' } }, { time_zone: 'Europe/Berlin' })

console.log(previewSchedule('0 9 * * MON', { time_zone: 'Europe/Berlin', count: 3 })) // the next three times, as Dates

await pauseSchedule(db, 'monday mail')
await resumeSchedule(db, 'monday mail')
for (const { schedule_name, next_at } of await listSchedules(db)) console.log(schedule_name, next_at)
await unscheduleJob(db, 'monday mail')

const shipping = new PgQueue<{ order_id: number; customer_id: number; status: string }>(db, 'shipping')

await addJobOnChange(shipping, { name: 'paid orders', table_name: 'customer_order' }, {
  condition: `status = 'paid'`,
  when_changed: ['status'],
  group_key: 'customer_id',
})

await db.exec(`INSERT INTO customer_order VALUES (1, 7, 'new'); UPDATE customer_order SET status = 'paid'`)
console.log((await shipping.stats()).ready)
await removeJobOnChange(db, 'paid orders')
await db.exec('DROP TABLE customer_order')
await db.end()
