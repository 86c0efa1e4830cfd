/** Schemas that check payloads: Zod or any library that follows the Standard Schema. Mirrors no SQL file. */
import { PgqError } from './errors.ts'

/**
 * What a payload schema must offer: the interface that Zod (3.24 and later, 4), Valibot and ArkType share, see
 * standardschema.dev. Because only this is used, the version of your Zod need not be ours.
 */
export interface PayloadSchema<Input = unknown, Output = Input> {
  readonly '~standard': {
    readonly version: 1
    readonly vendor: string
    readonly validate: (value: unknown) => SchemaResult<Output> | Promise<SchemaResult<Output>>
    readonly types?: { readonly input: Input; readonly output: Output } | undefined
  }
}

type SchemaResult<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | { readonly issues: readonly SchemaIssue[] }

interface SchemaIssue {
  readonly message: string
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined
}

/** The parsed payload (a promise if the schema is asynchronous); throws `payload_invalid`. */
export function parsePayload<Output>(
  schema: PayloadSchema<unknown, Output> | undefined,
  payload: unknown,
  queue_name: string,
): Output | Promise<Output> {
  if (schema === undefined) return payload as Output
  const result = schema['~standard'].validate(payload)
  return result instanceof Promise ? result.then((late) => valueOf(late, queue_name)) : valueOf(result, queue_name)
}

/** Does the payload fit? An asynchronous schema is not asked, and fits. */
export function fitsSchema(schema: PayloadSchema | undefined, payload: unknown): boolean {
  if (schema === undefined) return true
  const result = schema['~standard'].validate(payload)
  return result instanceof Promise || result.issues === undefined
}

function valueOf<Output>(result: SchemaResult<Output>, queue_name: string): Output {
  if (result.issues === undefined) return result.value
  const issues = result.issues.map(({ message, path = [] }) => {
    const place = path.map((step) => String(typeof step === 'object' ? step.key : step)).join('.')
    return place === '' ? message : `${place}: ${message}`
  })
  throw new PgqError('payload_invalid', `the payload does not fit the schema of queue "${queue_name}": ${issues.join('; ')}`)
}
