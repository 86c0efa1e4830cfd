/** Several things of the same kind, closed together. */

export async function startAll<T extends AsyncDisposable>(count: number, start: () => Promise<T>): Promise<T[] & AsyncDisposable> {
  const all: T[] = []
  const close = async (): Promise<void> => {
    for (const one of all) await one[Symbol.asyncDispose]()
  }
  try {
    while (all.length < count) all.push(await start())
  } catch (error) {
    await close()
    throw error
  }
  return Object.assign(all, { [Symbol.asyncDispose]: close })
}
