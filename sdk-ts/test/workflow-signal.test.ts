import { describe, expect, test } from 'vitest'
import { createSignalHandler, MultiStepPgQueue, signalByToken, signalJob, startWorker, waitForSignal, type Step } from '../src/index.ts'
import { errorOf, latch, openDb, queueName, until } from './support.ts'
import { newWorkflow, work } from './workflow-support.ts'

const db = openDb()
const tell: Step<{ n: number }> = { id: 'tell', handler: (_payload, _job_id, { received_signal }) => received_signal ?? 'none' }

/** A workflow that waits for the signal `ok`, and gives the token of its first run. */
async function waiting(timeout_milliseconds?: number) {
  const token = latch<string>()
  const workflow = await newWorkflow(db, [
    {
      id: 'ask',
      handler: async (_payload, _job_id, { makeSignalToken }) => {
        token.open(await makeSignalToken('ok'))
        return waitForSignal('ok', timeout_milliseconds === undefined ? {} : { timeout_milliseconds })
      },
    },
    tell,
  ])
  const { job_id } = await workflow.addJob({ n: 1 })
  work(workflow)
  return { workflow, job_id, token: await token.promise }
}

const held = (workflow: MultiStepPgQueue<{ n: number }>, job_id: number) => async (): Promise<boolean> =>
  (await workflow.getRawQueue().getJob(job_id)).held_by === 'signal'

describe('a signal', () => {
  test('lets the run go on, with its payload', async () => {
    const { workflow, job_id } = await waiting()
    await until(held(workflow, job_id))
    expect(await workflow.signalJob(job_id, 'ok', { by: 'ada' })).toBe(true)
    expect((await workflow.waitForResult(job_id)).output).toEqual({ name: 'ok', payload: { by: 'ada' } })
    await errorOf(workflow.signalJob(job_id, 'ok'), 'job_in_another_state')
    await errorOf(signalJob(db, 2 ** 52, 'ok'), 'job_not_found')
  })

  test('of another name does not', async () => {
    const { workflow, job_id } = await waiting()
    await until(held(workflow, job_id))
    expect(await signalJob(db, job_id, 'other')).toBe(false)
    expect(await workflow.signalJob(job_id, 'ok')).toBe(true)
    expect((await workflow.waitForResult(job_id)).output).toEqual({ name: 'ok', payload: null })
  })

  test('that comes early is kept', async () => {
    const workflow = await newWorkflow(db, [{ id: 'ask', handler: () => waitForSignal('ok') }, tell])
    const { job_id } = await workflow.addJob({ n: 1 })
    expect(await workflow.signalJob(job_id, 'ok', 1)).toBe(false)
    work(workflow)
    expect((await workflow.waitForResult(job_id)).output).toEqual({ name: 'ok', payload: 1 })
  })

  test('that does not come in time is missed', async () => {
    const { workflow, job_id } = await waiting(50)
    expect((await workflow.waitForResult(job_id)).output).toBe('none')
  })

  test('belongs to the transaction that it is sent in', async () => {
    const { workflow, job_id } = await waiting()
    const rolled_back = db.transaction(async (transaction) => {
      await workflow.signalJob(job_id, 'ok', 'rolled back', { transaction })
      throw new Error('no')
    })
    await expect(rolled_back).rejects.toThrow('no')
    await db.transaction((transaction) => signalJob(transaction, job_id, 'ok', 'committed'))
    expect((await workflow.waitForResult(job_id)).output).toEqual({ name: 'ok', payload: 'committed' })
  })
})

describe('a link', () => {
  const handle = createSignalHandler(db)
  const post = (url: string, body: string, type = 'application/x-www-form-urlencoded'): Promise<Response> =>
    handle(new Request(url, { method: 'POST', body, headers: { 'content-type': type } }))

  test('shows a page that sends the signal when its button is pressed, and only once', async () => {
    const { workflow, job_id, token } = await waiting()
    const url = `https://example.org/signal?approved=yes&token=${token}`
    // A mail scanner follows it as often as it likes.
    for (let looks = 0; looks < 3; looks++) {
      const page = await handle(new Request(url))
      expect(page.status).toBe(200)
      const html = await page.text()
      expect(html).toContain(`<input type="hidden" name="token" value="${token}">`)
      expect(html).toContain('<input type="hidden" name="approved" value="yes">')
    }
    await until(held(workflow, job_id))
    const sent = await post('https://example.org/signal?', `approved=yes&token=${token}`)
    expect([sent.status, await sent.text()]).toEqual([200, expect.stringContaining('Thank you')])
    expect((await workflow.waitForResult(job_id)).output).toEqual({ name: 'ok', payload: { approved: 'yes' } })
    expect((await post(url, `token=${token}`)).status).toBe(410)
  })

  test('may be posted as it is, and its parameters are the payload', async () => {
    const { workflow, job_id, token } = await waiting()
    expect((await handle(new Request(`https://example.org/signal?approved=no&token=${token}`, { method: 'POST' }))).status).toBe(200)
    expect((await workflow.waitForResult(job_id)).output).toEqual({ name: 'ok', payload: { approved: 'no' } })
  })

  test('may be used by a program with JSON', async () => {
    const { workflow, job_id, token } = await waiting()
    const body = JSON.stringify({ token, payload: [1] })
    const sent = await post('https://example.org/signal', body, 'application/json')
    expect([sent.status, await sent.json()]).toEqual([200, { status: 'done' }])
    expect((await workflow.waitForResult(job_id)).output).toEqual({ name: 'ok', payload: [1] })
    expect(await (await post('https://example.org/signal', body, 'application/json')).json()).toEqual({ status: 'gone' })
  })

  test('is not kept, passed on, framed or scripted', async () => {
    const { headers } = await handle(new Request('https://example.org/?token=x'))
    expect(headers.get('cache-control')).toBe('no-store')
    expect(headers.get('referrer-policy')).toBe('no-referrer')
    expect(headers.get('content-security-policy')).toMatch(/default-src 'none';.*frame-ancestors 'none'/)
    const html = await (await handle(new Request(`https://example.org/?token=${encodeURIComponent('"><script>')}&${encodeURIComponent('<b>')}=%26`))).text()
    expect(html).not.toContain('<script>')
    expect(html).toContain('name="&lt;b&gt;" value="&amp;"')
  })

  test.each([
    ['without a token', new Request('https://example.org/'), 400],
    ['with another method', new Request('https://example.org/?token=x', { method: 'PUT' }), 405],
    ['with JSON that is none', new Request('https://example.org/?token=x', { method: 'POST', body: '{', headers: { 'content-type': 'application/json' } }), 400],
    ['with a body that is too long', new Request('https://example.org/', { method: 'POST', body: 'x'.repeat(70_000) }), 413],
    ['with a token that nobody has made', new Request('https://example.org/?token=x', { method: 'POST' }), 410],
  ])('%s is refused', async (_title, request, status) => {
    expect((await handle(request)).status).toBe(status)
  })

  test('says what it is told to say', async () => {
    const own = createSignalHandler(db, { texts: ({ order }) => ({ question: `Ship order ${order}?`, button: 'Ship', gone: `Order ${order} was answered.` }) })
    const html = await (await own(new Request('https://example.org/?token=x&order=7'))).text()
    expect(html).toContain('<p>Ship order 7?</p>')
    expect(html).toContain('<button>Ship</button>')
    expect(await (await own(new Request('https://example.org/', { method: 'POST', body: 'token=x&order=7' }))).text()).toContain('Order 7 was answered.')
  })

  test('of a run that has ended is gone', async () => {
    const { workflow, job_id, token } = await waiting()
    await workflow.getRawQueue().cancelJob(job_id)
    expect((await post('https://example.org/', `token=${token}`)).status).toBe(410)
    await errorOf(signalByToken(db, token), 'job_in_another_state')
  })

  test('tells of a database that does not answer', async () => {
    const errors: unknown[] = []
    const broken = { query: () => Promise.reject(Object.assign(new Error('gone'), { code: 'ECONNRESET' })), exec: () => Promise.resolve() }
    const own = createSignalHandler(broken, { on_error: (error) => errors.push(error) })
    expect((await own(new Request('https://example.org/?token=x', { method: 'POST' }))).status).toBe(503)
    expect(errors).toMatchObject([{ code: 'connection_lost' }])
  })
})

test('the worker of another queue is not disturbed by a run that waits', async () => {
  const { workflow, job_id } = await waiting()
  const other = new MultiStepPgQueue<{ n: number }>(db, queueName(), 'w', [tell])
  await using _worker = startWorker(other)
  const run = await other.addJob({ n: 1 })
  expect((await other.waitForResult(run.job_id)).output).toBe('none')
  await workflow.getRawQueue().cancelJob(job_id)
})
