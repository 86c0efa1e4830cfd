/** Workflows. Parts of it are shown in the READMEs. It leaves jobs behind: take an empty database. */
import {
  checkWorkflows, completeRun, createMultiStepPgQueueAsRecord, createSignalHandler, goToStep, MultiStepPgQueue, PostgresDb, sleepFor, startChildren, startWorker,
  steps, waitForSignal, workflowVersions, z,
} from 'pgq'
import { shop } from './shop.ts'

const db = new PostgresDb(process.env.DATABASE_URL!)
await db.exec('CREATE TABLE IF NOT EXISTS shipped (order_id integer PRIMARY KEY)')

// ---- A workflow

const signup = new MultiStepPgQueue(
  db,
  'signups', // the queue
  'signup', // the workflow
  [
    {
      id: 'create',
      handler: async ({ name }) => {
        return { customer: name.toUpperCase() } // kept as the output of the step
      },
    },
    {
      id: 'welcome',
      max_attempts: 5,
      handler: async ({ name }, job_id, { outputs, attempt }) => {
        await shop.send(`Welcome, ${name} (${job_id}, ${attempt}, ${JSON.stringify(outputs.create)})`)
      },
    },
  ],
  z.object({ name: z.string() }), // what a run is given; any Standard Schema will do
)

const { job_id } = await signup.addJob({ name: 'Ada' })

const worker = startWorker(signup, { concurrency: 20 })

const { state, output } = await signup.waitForResult(job_id)
console.log(state, output)

// ---- Several workflows

const workflows = {
  ...createMultiStepPgQueueAsRecord(
    db, 'mails', 'remind',
    [{ id: 'send', handler: async ({ to }) => shop.send(`Remember, ${to}!`) }],
    z.object({ to: z.string() }),
  ),
  ...createMultiStepPgQueueAsRecord(
    db, 'mails', 'invite',
    [
      { id: 'send', handler: async ({ to }) => shop.send(`Come, ${to}!`) },
      { id: 'remind', handler: async ({ to }) => { await workflows.remind.addJob({ to }) } },
    ],
    z.object({ to: z.string() }),
  ),
}

await workflows.invite.addJob({ to: 'ada@example.org' })
const mailer = startWorker(Object.values(workflows))

// ---- Typed outputs

const pay = steps(z.object({ order_id: z.number(), items: z.array(z.string()) }))
  .step({
    id: 'reserve',
    handler: ({ items }) => shop.reserve(items.join()),
    // Called when the run would die later on: steps that are done are undone backwards.
    compensate: (_payload, _job_id, { outputs }) => shop.release(outputs.reserve.reservation),
  })
  .step({
    id: 'charge',
    // At the next attempt of this step the card is not charged again.
    handler: ({ order_id }, _job_id, { once, signal }) => once('charge', () => shop.charge(order_id, { signal })),
  })
  .step({
    id: 'ship',
    handler: async ({ order_id }, _job_id, { outputs, finish }) => {
      await db.transaction(async (transaction) => {
        await transaction.query({ q: 'INSERT INTO shipped (order_id) VALUES ($1)', args: [`${order_id}`] })
        await finish(outputs.charge.receipt, { transaction }) // both, or neither: the row is written exactly once
      })
    },
  })

const payment = new MultiStepPgQueue(db, 'orders', 'payment', pay)

// ---- What a step may ask for

const order = new MultiStepPgQueue(
  db, 'orders', 'order',
  [
    {
      id: 'pay',
      handler: ({ items }) => startChildren(items.map((item, n) => payment.asChild({ order_id: n, items: [item] }))),
    },
    {
      id: 'approve',
      handler: async (_payload, _job_id, { children, makeSignalToken }) => {
        console.log(children.map(({ state, output }) => `${state}: ${output}`))
        await shop.send(`https://example.org/approve?token=${await makeSignalToken('approved')}`)
        return waitForSignal('approved', { timeout_milliseconds: 86_400_000 })
      },
    },
    {
      id: 'look',
      handler: async (_payload, _job_id, { received_signal }) => {
        if (!received_signal) return goToStep('approve') // a day is over: ask again
        if (received_signal.payload === 'no') return completeRun('declined')
        return sleepFor(10, received_signal.payload) // the next step comes later; it may be months
      },
    },
    { id: 'end', handler: (_payload, _job_id, { outputs }) => `approved: ${outputs.look}` },
  ],
  z.object({ items: z.array(z.string()) }),
)

const till = startWorker([order, payment])
const { job_id: order_job_id } = await order.addJob({ items: ['book', 'pen'] })

// ---- Signals

await order.signalJob(order_job_id, 'approved', 'yes')

// Behind the link of the mail: a page with a button that sends the signal.
const serveApprovals = createSignalHandler(db, { texts: { title: 'Your order', question: 'Shall we ship it?', button: 'Yes' } })

// ---- Versions

const signup_v2 = new MultiStepPgQueue(
  db, 'signups', 'signup',
  [
    { id: 'create', handler: async ({ name }) => ({ customer: name }) },
    { id: 'greet', handler: async ({ name }) => shop.send(`Hello, ${name}`) },
  ],
  z.object({ name: z.string() }),
  undefined, // the schema of pgq
  {
    version: 2, // new runs begin on it
    previous_versions: {
      1: [
        { id: 'create', handler: async ({ name }: { name: string }) => ({ customer: name }) },
        { id: 'welcome', handler: async () => {} },
      ],
    },
  },
)
await signup_v2.addJob({ name: 'Bob' })

for (const { workflow, version, open_runs_by_step } of await workflowVersions(db)) console.log(workflow, version, open_runs_by_step)

// Steps at which runs stand, and for which this code has no handler: none, if all is well.
console.log(await checkWorkflows(db, [signup_v2]))

// ---- The end

const end = await order.waitForResult(order_job_id)
if (end.output !== 'approved: yes') throw new Error(`expected the order to be approved, got ${end.state}: ${end.error}`)
if ((await serveApprovals(new Request('https://example.org/approve?token=x'))).status !== 200) throw new Error('expected a page')
await Promise.all([worker, mailer, till].map((one) => one.stop()))
await db.end()
